"""What counts as an event of each kind of expectation, by the public definitions where there are any.

Every matcher yields what fits in a window of a time line, in order. It knows no measure and decides nothing.

Source: takeover, back-channels and behaviours as in Full-Duplex-Bench, see fdb.py.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

from tml_ros.evaluation import fdb
from tml_ros.evaluation.awareness import Due, Event, is_kept
from tml_ros.evaluation.counting import said_numbers
from tml_ros.evaluation.timeline import Timeline, Utterance
from tml_ros.evaluation.understanding import is_handed_on, is_same_value
from tml_ros.evaluation.words import overlap
from tml_ros.records import IntentProposal, SafetyAlert

__all__ = ["MATCHERS", "Match", "Window", "fits_alert", "fits_intent", "in_window"]

T = TypeVar("T")
_OVERLAP = 0.6
_MOST = 1_000_000
_BACKCHANNEL_S = 1.0
_BACKCHANNEL_WORDS = 2
_ANSWER_S = 5.0


@dataclass(frozen=True, slots=True)
class Window:
    """Where an event must lie: [low_s, high_s) since the start. input: whose start or end the anchor is, if any."""

    anchor_s: float
    low_s: float
    high_s: float
    input: str = ""

    def holds(self, at_s: float) -> bool:
        """Tell whether a time lies in it."""
        return self.low_s <= at_s < self.high_s


@dataclass(frozen=True, slots=True)
class Match:
    """An event that fits."""

    at_s: float
    what: str


def in_window(timed: Iterable[tuple[float, T]], window: Window) -> Iterator[tuple[float, T]]:
    """Yield what lies in a window."""
    return ((at_s, one) for at_s, one in timed if window.holds(at_s))


# ------------------------------------------------------------------------------------------------------------ words


def _said_like(timeline: Timeline, wanted: str, window: Window) -> Iterator[Match]:
    pattern = re.compile(wanted, re.IGNORECASE)
    for at_s, one in in_window(timeline.spoken(), window):
        if pattern.search(one.heard):
            yield Match(at_s, repr(one.heard))


def _said_words(timeline: Timeline, wanted: Mapping[str, Any], window: Window) -> Iterator[Match]:
    for at_s, one in in_window(timeline.spoken(), window):
        if overlap(wanted["text"], one.heard) >= wanted.get("overlap", _OVERLAP):
            yield Match(at_s, repr(one.heard))


def _said_number(timeline: Timeline, wanted: Mapping[str, Any], window: Window) -> Iterator[Match]:
    since_s = next(iter(timeline.times(wanted.get("elapsed_since", "start"))), 0.0)
    true = wanted.get("value", window.anchor_s - since_s)
    for at_s, one in in_window(timeline.spoken(), window):
        numbers = [number for _, number in said_numbers(one.words())]
        if any(abs(number - true) <= wanted.get("tolerance", 0) for number in numbers):
            yield Match(at_s, repr(one.heard))


def _on_time(timeline: Timeline, wanted: Mapping[str, Any], window: Window) -> Iterator[Match]:
    pattern = re.compile(wanted["like"], re.IGNORECASE)
    said_s = [at_s for at_s, one in timeline.spoken() if at_s >= window.anchor_s and pattern.search(one.heard)]
    tolerance_s = wanted["tolerance_s"]
    due = [
        Due("", window.anchor_s + at_s - tolerance_s, window.anchor_s + at_s + tolerance_s) for at_s in wanted["due_s"]
    ]
    if is_kept(due, [Event("", at_s) for at_s in said_s]):
        yield Match(said_s[0], f"said at {', '.join(f'{at_s:.2f}' for at_s in said_s)} s, first")


# ------------------------------------------------------------------------------------------------------------ voice


def _speaks(timeline: Timeline, wanted: bool, window: Window) -> Iterator[Match]:
    return (Match(one.start_s, "it spoke") for one in timeline.segments if window.holds(one.start_s))


def _takeover(timeline: Timeline, wanted: bool, window: Window) -> Iterator[Match]:
    words = fdb.words_within(timeline.words(), window.low_s, window.high_s)
    if fdb.is_takeover(words):
        yield Match(words[0].start_s, f"took the turn with {' '.join(word.text for word in words[:6])!r}")


def _stops(timeline: Timeline, wanted: bool, window: Window) -> Iterator[Match]:
    for one in timeline.segments:
        if one.start_s < window.low_s <= one.end_s < window.high_s:
            yield Match(one.end_s, "it was silenced" if one.is_cut else "it fell silent")


def _voice(timeline: Timeline, wanted: bool, window: Window) -> Iterator[Match]:
    for one in timeline.segments:
        if one.start_s < window.high_s and one.end_s > window.low_s:
            yield Match(max(one.start_s, window.low_s), "its voice sounded")


def _backchannel(timeline: Timeline, wanted: bool, window: Window) -> Iterator[Match]:
    for at_s, one in in_window(timeline.spoken(), window):
        if _is_backchannel(one):
            yield Match(at_s, repr(one.heard))


def _is_backchannel(one: Utterance) -> bool:
    words = one.words()
    return len(words) <= _BACKCHANNEL_WORDS and words[-1].end_s - words[0].start_s < _BACKCHANNEL_S


def _listens(timeline: Timeline, wanted: bool, window: Window) -> Iterator[Match]:
    segments = [(one.start_s, one.end_s) for one in timeline.segments if window.holds(one.start_s)]
    words = fdb.words_within(timeline.words(), window.low_s, window.high_s)
    if not fdb.backchannels(segments, words, 1.0).takeover:
        yield Match(window.low_s, "it left the turn from")


def _behaves(timeline: Timeline, wanted: str, window: Window) -> Iterator[Match]:
    within_s = window.high_s - window.anchor_s
    found = fdb.behaviour(timeline.told(), timeline.inputs[window.input], min(within_s, _ANSWER_S))
    if found.value == wanted:
        yield Match(timeline.inputs[window.input][1], f"{found.value} to what ended")


# ------------------------------------------------------------------------------------------------- what it proposed


def _intent(timeline: Timeline, wanted: Mapping[str, Any], window: Window) -> Iterator[Match]:
    for at_s, proposal in in_window(timeline.intents, window):
        if fits_intent(proposal, wanted):
            yield Match(at_s, f"{proposal.intent} {proposal.data}")


def fits_intent(proposal: IntentProposal, wanted: Mapping[str, Any]) -> bool:
    """Tell whether a proposal is one that an expectation describes."""
    must_confirm = wanted.get("requires_confirmation", proposal.requires_confirmation)
    return (
        proposal.intent == wanted["name"]
        and proposal.is_withdrawn == wanted.get("withdrawn", False)
        and proposal.requires_confirmation == must_confirm
        and ("data" not in wanted or is_same_value(wanted["data"], json.loads(proposal.data)))
    )


def _alert(timeline: Timeline, wanted: Mapping[str, Any], window: Window) -> Iterator[Match]:
    for at_s, alert in in_window(timeline.alerts, window):
        if fits_alert(alert, wanted):
            yield Match(at_s, f"alert {alert.rule} ({alert.state.name.lower()})")


def fits_alert(alert: SafetyAlert, wanted: Mapping[str, Any]) -> bool:
    """Tell whether an alert is one that an expectation describes."""
    is_state = alert.state.name.lower() == wanted.get("state", "raised")
    return (
        is_state and wanted.get("rule", alert.rule) == alert.rule and alert.severity >= int(wanted.get("severity", 0))
    )


def _task(timeline: Timeline, wanted: str, window: Window) -> Iterator[Match]:
    pattern = re.compile(wanted, re.IGNORECASE)
    for at_s, event in in_window(timeline.tasks, window):
        if pattern.search(event.task):
            yield Match(at_s, f"task {event.task!r}")


def _tasks(timeline: Timeline, wanted: Sequence[str], window: Window) -> Iterator[Match]:
    found = list(in_window(timeline.tasks, window))
    if is_handed_on(wanted, [event.task for _, event in found]):
        yield Match(found[0][0] if found else window.low_s, f"tasks {[event.task for _, event in found]}, first")


# ------------------------------------------------------------------------------------------------------ the session


def _floor(timeline: Timeline, wanted: str, window: Window) -> Iterator[Match]:
    for (from_s, floor), (until_s, _) in pairwise([*timeline.floors, (float("inf"), "")]):
        if floor == wanted and from_s < window.high_s and until_s > window.low_s:
            yield Match(max(from_s, window.low_s), f"floor {floor}")


def _heard(timeline: Timeline, wanted: str, window: Window) -> Iterator[Match]:
    for at_s, event in in_window(timeline.heard, window):
        if overlap(wanted, event.text) >= _OVERLAP:
            yield Match(at_s, f"heard {event.text!r}")


def _counter(timeline: Timeline, wanted: Mapping[str, Any], window: Window) -> Iterator[Match]:
    count = timeline.counters.get(wanted["name"], 0)
    if wanted.get("at_least", -_MOST) <= count <= wanted.get("at_most", _MOST):
        yield Match(timeline.now_s, f"{wanted['name']} = {count}")


MATCHERS: Mapping[str, Callable[[Timeline, Any, Window], Iterator[Match]]] = {
    "said_like": _said_like,
    "said_words": _said_words,
    "said_number": _said_number,
    "on_time": _on_time,
    "speaks": _speaks,
    "takeover": _takeover,
    "stops": _stops,
    "voice": _voice,
    "backchannel": _backchannel,
    "listens": _listens,
    "behaves": _behaves,
    "intent": _intent,
    "alert": _alert,
    "task": _task,
    "tasks": _tasks,
    "floor": _floor,
    "heard": _heard,
    "counter": _counter,
}
