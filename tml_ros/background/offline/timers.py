"""Requests for a timer: ``remind me to stir every ten minutes``, ``set a timer for an hour and a half``.

It makes drafts; the session keeps time.
"""

import re

from tml_ros.background.offline.amounts import say_duration, seconds
from tml_ros.background.protocol import Result
from tml_ros.intents.persons import as_other_person
from tml_ros.records import TimerDraft

__all__ = ["MAX_TIMER_S", "MIN_TIMER_S", "timer_result"]

MIN_TIMER_S = 1.0
MAX_TIMER_S = 86_400.0

_POLITE = re.compile(r"^(?:(?:hey|okay|robot|please|(?:can|could|would|will) you|and|then) )+|(?: please| robot)+$")
_WHEN = r"(?P<when>in|after|every|each) (?P<span>.+?)"
_WHAT = r"(?:(?:to|about|of|that) )(?P<what>.+?)"
_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_FORMS = tuple(
    re.compile(form)
    for form in (
        rf"remind me {_WHAT} {_WHEN}",
        rf"remind me {_WHEN}(?: {_WHAT})?",
        rf"{_WHEN} remind me(?: {_WHAT})?",
        rf"(?:tell|alert|warn|wake) me (?:up )?{_WHEN}",
        rf"(?:tell|alert) me (?P<when>when) (?P<span>{_NUMBER} .+?) (?:is|are|have|has) (?:up|over|passed)",
        r"(?:set|start|make) (?:me )?(?:a |the |another )?timer (?P<when>for|to|of|on) (?P<span>.+?)"
        r"(?: (?:to|for) (?P<what>.+))?",
        rf"(?:set|start|make) (?:me )?(?:a |an |the |another )?(?P<span>{_NUMBER} (?:second|minute|hour)) timer",
        rf"timer (?P<when>for) (?P<span>{_NUMBER} .+)",
    )
)
_BARE_UNIT = re.compile(r"(?:second|minute|hour)")


def timer_result(words: str) -> Result | None:
    """Return a result with a timer when the words ask for one. words: as ``amounts.plain`` gives them."""
    words = _POLITE.sub("", words)
    for form in _FORMS:
        found = form.fullmatch(words)
        if found is None:
            continue
        groups = found.groupdict()
        span = groups["span"]
        after_s = seconds(f"1 {span}" if _BARE_UNIT.fullmatch(span) else span)
        if after_s is not None:
            return _result(after_s, groups.get("when") in ("every", "each"), groups.get("what") or "")
    return None


def _result(after_s: float, repeats: bool, what: str) -> Result:
    if not MIN_TIMER_S <= after_s <= MAX_TIMER_S:
        words = f"I can keep time from {say_duration(MIN_TIMER_S)} to {say_duration(MAX_TIMER_S)}."
        return Result(words, {"kind": "timer", "refused": [words]})
    task = as_other_person(what.split())
    length = say_duration(after_s)
    timer = TimerDraft(f"Remember to {task}." if task else "Your time is up.", after_s, after_s if repeats else 0.0)
    when = f"every {length.removeprefix('1 ') if ' and ' not in length else length}" if repeats else f"in {length}"
    report = f"I will remind you to {task} {when}." if task else f"I will tell you {when}."
    data = {"kind": "timer", "text": timer.text, "after_s": timer.after_s, "repeat_s": timer.repeat_s}
    return Result(report, data, timers=(timer,))
