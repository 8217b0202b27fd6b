"""What is expected of the robot in a scenario, and whether it happened: events, their times, their absence.

An expectation names a kind of event, an anchor, and the window after it in which the event must come, or must not. It
gives a check, and observations of the measures that it names. Nothing here runs a model or knows a file.

Source: config/scenario.schema.json; takeover and back-channels as in Full-Duplex-Bench, see fdb.py.
"""

import functools
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from text_to_num import alpha2digit

from tml_ros.errors import ConfigError, nearest_name
from tml_ros.evaluation.fdb import is_takeover, words_within
from tml_ros.evaluation.results import Check, Observation
from tml_ros.evaluation.timeline import Timeline, Utterance
from tml_ros.intents.file import load_intents
from tml_ros.intents.grammar import normalise
from tml_ros.records import IntentProposal, SafetyAlert

__all__ = ["NUMBER", "Anchor", "Expectation", "judge", "read_expectation", "unexpected_intents"]

_OVERLAP = 0.6
_MOST = 1_000_000
_BACKCHANNEL_S = 1.0
_BACKCHANNEL_WORDS = 2
NUMBER = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Anchor:
    """From when an expectation counts: ``start``, an event, or ``NAME.start`` or ``NAME.end`` of an input."""

    event: str

    def time(self, timeline: Timeline) -> float | None:
        """Return when that was, the first time; None if it never was."""
        if self.event == "start":
            return 0.0
        return next(iter(timeline.times(self.event)), None)


@dataclass(frozen=True, slots=True)
class Expectation:
    """One expectation. wanted: as in the file. low_s, high_s: window after the anchor, half-open.

    at_least, at_most: how often it must happen in the window. hit, miss, latency, jitter, wer: names of measures.
    """

    name: str
    kind: str
    wanted: Any
    anchor: Anchor
    low_s: float
    high_s: float
    at_least: int
    at_most: int
    hit: tuple[str, ...] = ()
    miss: tuple[str, ...] = ()
    latency: tuple[str, ...] = ()
    jitter: tuple[str, ...] = ()
    wer: tuple[str, ...] = ()
    group: str = ""


@dataclass(frozen=True, slots=True)
class _Match:
    """An event that fits. end_s: of an event that lasts."""

    at_s: float
    what: str


def read_expectation(item: Mapping[str, Any], anchor: Anchor, number: int) -> Expectation:
    """Turn an entry that follows the schema into an expectation. number: its place, for its name.

    Raises:
        re.error: a regular expression cannot be read.
        ConfigError: no intent of that name is in the intents file, or the window is empty.
    """
    kind = next(name for name in _MATCHERS if name in item)
    wanted = item[kind]
    if kind in ("said_like", "task"):
        re.compile(wanted)
    if kind == "intent":
        known = _intents()
        if wanted["name"] not in known:
            raise ConfigError(f"no intent {wanted['name']!r}{nearest_name(wanted['name'], known)}; see intents.yaml")
    low_s, high_s = item.get("between", (0.0, item.get("within_ms", float("inf")) / 1e3))
    if high_s <= low_s:
        raise ConfigError(f"between must hold the earlier time first, got {[low_s, high_s]}")
    at_least, at_most = item.get("times", (1, _MOST))
    if item.get("absent", False):
        at_least = at_most = 0
    names = {key: _listed(item.get(key, ())) for key in ("hit", "miss", "latency", "jitter", "wer")}
    return Expectation(
        name=item.get("name") or _name(item, kind, anchor, number),
        kind=kind,
        wanted=wanted,
        anchor=anchor,
        low_s=float(low_s),
        high_s=float(high_s),
        at_least=at_least,
        at_most=at_most,
        group=item.get("group", ""),
        **names,
    )


def judge(expectation: Expectation, timeline: Timeline) -> tuple[Check, tuple[Observation, ...]]:
    """Hold an expectation against what happened.

    Returns:
        The check, and the observations of the measures that the expectation names. What cannot be judged, because its
        anchor never came, does not hold; it is no trial of a ``miss``.
    """
    anchor_s = expectation.anchor.time(timeline)
    if anchor_s is None:
        check = Check(expectation.name, False, f"{expectation.anchor.event} never came")
        return check, tuple(Observation(name, 0.0, group=expectation.group) for name in expectation.hit)
    low_s, high_s = anchor_s + expectation.low_s, anchor_s + expectation.high_s
    matches = list(_MATCHERS[expectation.kind](timeline, expectation.wanted, low_s, high_s))
    passed = expectation.at_least <= len(matches) <= expectation.at_most
    detail = "; ".join(f"{one.what} at {one.at_s:.2f} s" for one in matches[:3])
    if len(matches) > 3:
        detail += f"; and {len(matches) - 3} more"
    window = f"in {low_s:.2f} s to {min(high_s, timeline.now_s):.2f} s"
    at_s = round(matches[0].at_s, 6) if matches else None
    check = Check(expectation.name, passed, f"{detail or 'nothing'} {window}", at_s)
    return check, tuple(_observe(expectation, timeline, anchor_s, matches, passed=passed))


def unexpected_intents(expectations: Sequence[Expectation], timeline: Timeline) -> list[IntentProposal]:
    """Return the proposals that no expectation asks for."""
    wanted = [one.wanted for one in expectations if one.kind == "intent" and one.at_most]
    return [
        proposal
        for _, proposal in timeline.intents
        if not (proposal.is_withdrawn or any(_fits_intent(proposal, one) for one in wanted))
    ]


def _observe(
    expectation: Expectation, timeline: Timeline, anchor_s: float, matches: Sequence[_Match], *, passed: bool
) -> Iterator[Observation]:
    group = expectation.group
    yield from (Observation(name, float(passed), group=group) for name in expectation.hit)
    yield from (Observation(name, float(not passed), group=group) for name in expectation.miss)
    if matches:
        after_s = max(0.0, matches[0].at_s - anchor_s)
        yield from (Observation(name, round(after_s, 6), group=group) for name in expectation.latency)
        off_s = abs(matches[0].at_s - anchor_s - (expectation.low_s + expectation.high_s) / 2)
        yield from (Observation(name, round(off_s, 6), group=group) for name in expectation.jitter)
    if expectation.kind == "intent" and expectation.at_least:
        yield from _understanding(expectation, timeline, anchor_s)


def _understanding(expectation: Expectation, timeline: Timeline, anchor_s: float) -> Iterator[Observation]:
    """Observe whether the intent was the right one, and of a right one whether its slots were."""
    low_s, high_s = anchor_s + expectation.low_s, anchor_s + expectation.high_s
    named = [
        proposal
        for at_s, proposal in timeline.intents
        if low_s <= at_s < high_s and proposal.intent == expectation.wanted["name"]
    ]
    yield Observation("intent_accuracy", float(bool(named)))
    if named and "data" in expectation.wanted:
        yield Observation("slot_accuracy", float(any(_fits_intent(one, expectation.wanted) for one in named)))


# ------------------------------------------------------------------------------------------------- kinds of events


def _said(timeline: Timeline, low_s: float, high_s: float, fits: Callable[[str, float], bool]) -> Iterator[_Match]:
    for at_s, one in timeline.spoken():
        text = " ".join(word.text for word in one.words())
        if low_s <= at_s < high_s and fits(text, at_s):
            yield _Match(at_s, repr(text))


def _said_like(timeline: Timeline, wanted: str, low_s: float, high_s: float) -> Iterator[_Match]:
    pattern = re.compile(wanted, re.IGNORECASE)
    return _said(timeline, low_s, high_s, lambda text, _: pattern.search(text) is not None)


def _said_words(timeline: Timeline, wanted: Mapping[str, Any], low_s: float, high_s: float) -> Iterator[_Match]:
    words = set(normalise(wanted["text"]).split())
    share = wanted.get("overlap", _OVERLAP)
    return _said(timeline, low_s, high_s, lambda text, _: _overlap(words, text) >= share)


def _said_number(timeline: Timeline, wanted: Mapping[str, Any], low_s: float, high_s: float) -> Iterator[_Match]:
    tolerance = wanted.get("tolerance", 0)
    since = Anchor(wanted.get("elapsed_since", "start")).time(timeline) or 0.0

    def fits(text: str, at_s: float) -> bool:
        true = wanted.get("value", at_s - since)
        return any(abs(float(one) - true) <= tolerance for one in NUMBER.findall(alpha2digit(text.lower(), "en")))

    return _said(timeline, low_s, high_s, fits)


def _overlap(words: set[str], text: str) -> float:
    return len(words & set(normalise(text).split())) / max(1, len(words))


def _speaks(timeline: Timeline, wanted: bool, low_s: float, high_s: float) -> Iterator[_Match]:
    return (_Match(one.start_s, "it spoke") for one in timeline.segments if low_s <= one.start_s < high_s)


def _takeover(timeline: Timeline, wanted: bool, low_s: float, high_s: float) -> Iterator[_Match]:
    words = words_within(timeline.words(), low_s, high_s)
    if is_takeover(words):
        yield _Match(words[0].start_s, f"took the turn with {' '.join(word.text for word in words[:6])!r}")


def _stops(timeline: Timeline, wanted: bool, low_s: float, high_s: float) -> Iterator[_Match]:
    for one in timeline.segments:
        if one.start_s < low_s <= one.end_s < high_s:
            yield _Match(one.end_s, "it was silenced" if one.is_cut else "it fell silent")


def _voice(timeline: Timeline, wanted: bool, low_s: float, high_s: float) -> Iterator[_Match]:
    for one in timeline.segments:
        if one.start_s < high_s and one.end_s > low_s:
            yield _Match(max(one.start_s, low_s), "its voice sounded")


def _backchannel(timeline: Timeline, wanted: bool, low_s: float, high_s: float) -> Iterator[_Match]:
    for at_s, one in timeline.spoken():
        if low_s <= at_s < high_s and _is_backchannel(one):
            yield _Match(at_s, repr(one.text))


def _is_backchannel(one: Utterance) -> bool:
    words = one.words()
    return len(words) <= _BACKCHANNEL_WORDS and words[-1].end_s - words[0].start_s < _BACKCHANNEL_S


def _intent(timeline: Timeline, wanted: Mapping[str, Any], low_s: float, high_s: float) -> Iterator[_Match]:
    for at_s, proposal in timeline.intents:
        if low_s <= at_s < high_s and _fits_intent(proposal, wanted):
            yield _Match(at_s, f"{proposal.intent} {proposal.data}")


def _fits_intent(proposal: IntentProposal, wanted: Mapping[str, Any]) -> bool:
    must_confirm = wanted.get("requires_confirmation", proposal.requires_confirmation)
    return (
        proposal.intent == wanted["name"]
        and proposal.is_withdrawn == wanted.get("withdrawn", False)
        and proposal.requires_confirmation == must_confirm
        and ("data" not in wanted or json.loads(proposal.data) == wanted["data"])
    )


def _alert(timeline: Timeline, wanted: Mapping[str, Any], low_s: float, high_s: float) -> Iterator[_Match]:
    for at_s, alert in timeline.alerts:
        if low_s <= at_s < high_s and _fits_alert(alert, wanted):
            yield _Match(at_s, f"alert {alert.rule} ({alert.state.name.lower()})")


def _fits_alert(alert: SafetyAlert, wanted: Mapping[str, Any]) -> bool:
    is_state = alert.state.name.lower() == wanted.get("state", "raised")
    return (
        is_state and wanted.get("rule", alert.rule) == alert.rule and alert.severity >= int(wanted.get("severity", 0))
    )


def _task(timeline: Timeline, wanted: str, low_s: float, high_s: float) -> Iterator[_Match]:
    pattern = re.compile(wanted, re.IGNORECASE)
    for at_s, event in timeline.tasks:
        if low_s <= at_s < high_s and pattern.search(event.task):
            yield _Match(at_s, f"task {event.task!r}")


def _floor(timeline: Timeline, wanted: str, low_s: float, high_s: float) -> Iterator[_Match]:
    changes = [*timeline.floors, (float("inf"), "")]
    for (from_s, floor), (until_s, _) in itertools.pairwise(changes):
        if floor == wanted and from_s < high_s and until_s > low_s:
            yield _Match(max(from_s, low_s), f"floor {floor}")


def _heard(timeline: Timeline, wanted: str, low_s: float, high_s: float) -> Iterator[_Match]:
    words = set(normalise(wanted).split())
    for at_s, event in timeline.heard:
        if low_s <= at_s < high_s and _overlap(words, event.text) >= _OVERLAP:
            yield _Match(at_s, f"heard {event.text!r}")


def _counter(timeline: Timeline, wanted: Mapping[str, Any], low_s: float, high_s: float) -> Iterator[_Match]:
    count = timeline.counters.get(wanted["name"], 0)
    if wanted.get("at_least", -_MOST) <= count <= wanted.get("at_most", _MOST):
        yield _Match(timeline.now_s, f"{wanted['name']} = {count}")


_MATCHERS: Mapping[str, Callable[[Timeline, Any, float, float], Iterator[_Match]]] = {
    "said_like": _said_like,
    "said_words": _said_words,
    "said_number": _said_number,
    "speaks": _speaks,
    "takeover": _takeover,
    "stops": _stops,
    "voice": _voice,
    "backchannel": _backchannel,
    "intent": _intent,
    "alert": _alert,
    "task": _task,
    "floor": _floor,
    "heard": _heard,
    "counter": _counter,
}


@functools.cache
def _intents() -> tuple[str, ...]:
    return tuple(load_intents().intents)


def _listed(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _name(item: Mapping[str, Any], kind: str, anchor: Anchor, number: int) -> str:
    """Say in a few words what is expected."""
    wanted = item[kind] if isinstance(item[kind], str) else ""
    if isinstance(item[kind], Mapping):
        wanted = str(next(iter(item[kind].values()), ""))
    words = f"{'no ' if item.get('absent') else ''}{kind} {wanted}".strip()
    return f"{number + 1}. {words} after {anchor.event}"
