"""What is expected of the robot in a scenario, and whether it happened: events, their times, their absence.

An expectation names a kind of event, an anchor, and the window after it in which the event must come, or must not. It
gives a check, and observations of the measures that it names. What counts as an event is said in ``matchers``, what a
scenario as a whole observes in ``understood``. Nothing here runs a model or knows a file.

Source: config/scenario.schema.json.
"""

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tml_ros.errors import ConfigError, nearest_name
from tml_ros.evaluation.awareness import Due, Event, observe_item, reminder_jitter_s
from tml_ros.evaluation.fdb import backchannels, stop_latencies_s, words_within
from tml_ros.evaluation.matchers import MATCHERS, Match, Window, in_window
from tml_ros.evaluation.results import Check, Observation
from tml_ros.evaluation.timeline import Timeline
from tml_ros.evaluation.words import wer
from tml_ros.intents.file import load_intents

__all__ = ["Anchor", "Expectation", "judge", "read_expectation"]

_MOST = 1_000_000
_SIDES = (".start", ".end")


@dataclass(frozen=True, slots=True)
class Anchor:
    """From when an expectation counts: ``start``, an event, or ``NAME.start`` or ``NAME.end`` of an input."""

    event: str

    def time(self, timeline: Timeline) -> float | None:
        """Return when that was, the first time; None if it never was."""
        return next(iter(timeline.times(self.event)), None)

    @property
    def input(self) -> str:
        """The input that it belongs to; empty if it is another event."""
        return self.event.rpartition(".")[0] if self.event.endswith(_SIDES) else ""


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
    group: str = ""

    def window(self, timeline: Timeline) -> Window | None:
        """Return where it must happen; None if its anchor never came."""
        anchor_s = self.anchor.time(timeline)
        if anchor_s is None:
            return None
        return Window(anchor_s, anchor_s + self.low_s, anchor_s + self.high_s, self.anchor.input)


def read_expectation(item: Mapping[str, Any], anchor: Anchor, number: int) -> Expectation:
    """Turn an entry that follows the schema into an expectation. number: its place, for its name.

    Raises:
        re.error: a regular expression cannot be read.
        ConfigError: no intent of that name is in the intents file, the window is empty, or the kind needs an input.
    """
    kind = next(name for name in MATCHERS if name in item)
    wanted = item[kind]
    _check_wanted(kind, wanted, anchor)
    low_s, high_s = item.get("between", (0.0, item.get("within_ms", float("inf")) / 1e3))
    if high_s <= low_s:
        raise ConfigError(f"between must hold the earlier time first, got {[low_s, high_s]}")
    at_least, at_most = item.get("times", (1, _MOST))
    if item.get("absent", False):
        at_least = at_most = 0
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
        **{key: _listed(item.get(key, ())) for key in ("hit", "miss", "latency", "jitter")},
    )


def _check_wanted(kind: str, wanted: Any, anchor: Anchor) -> None:
    if kind in ("said_like", "task"):
        re.compile(wanted)
    elif kind == "on_time":
        re.compile(wanted["like"])
    elif kind == "behaves" and not anchor.input:
        raise ConfigError(f"behaves judges what the robot did about an input, got after: {anchor.event}; name an input")
    elif kind == "intent" and wanted["name"] not in _intents():
        raise ConfigError(f"no intent {wanted['name']!r}{nearest_name(wanted['name'], _intents())}; see intents.yaml")


def judge(expectation: Expectation, timeline: Timeline) -> tuple[Check, tuple[Observation, ...]]:
    """Hold an expectation against what happened.

    Returns:
        The check, and the observations of the measures that the expectation names. What cannot be judged, because its
        anchor never came, does not hold; it is no trial of a ``miss``.
    """
    window = expectation.window(timeline)
    if window is None:
        check = Check(expectation.name, False, f"{expectation.anchor.event} never came")
        return check, tuple(Observation(name, 0.0, group=expectation.group) for name in expectation.hit)
    matches = list(MATCHERS[expectation.kind](timeline, expectation.wanted, window))
    passed = expectation.at_least <= len(matches) <= expectation.at_most
    detail = "; ".join(f"{one.what} at {one.at_s:.2f} s" for one in matches[:3])
    if len(matches) > 3:
        detail += f"; and {len(matches) - 3} more"
    where = f"in {window.low_s:.2f} s to {min(window.high_s, timeline.now_s):.2f} s"
    at_s = round(matches[0].at_s, 6) if matches else None
    check = Check(expectation.name, passed, f"{detail or 'nothing'} {where}", at_s)
    return check, tuple(_observe(expectation, timeline, window, matches, passed=passed))


def _observe(
    expectation: Expectation, timeline: Timeline, window: Window, matches: Sequence[Match], *, passed: bool
) -> Iterator[Observation]:
    group = expectation.group
    if expectation.kind == "on_time":
        yield from _observe_item(expectation, timeline, window)
        return
    yield from (Observation(name, float(passed), group=group) for name in expectation.hit)
    yield from (Observation(name, float(not passed), group=group) for name in expectation.miss)
    latency_s = _latency_s(expectation, timeline, window, matches)
    if latency_s is not None:
        yield from (Observation(name, round(latency_s, 6), group=group) for name in expectation.latency)
    if matches:
        off_s = abs(matches[0].at_s - (window.low_s + window.high_s) / 2)
        yield from (Observation(name, round(off_s, 6), group=group) for name in expectation.jitter)
    if expectation.kind == "listens":
        found = backchannels(*_in_turn(timeline, window))
        yield Observation("backchannel_takeover", float(found.takeover))
        yield Observation("backchannel_frequency", round(found.per_second, 6))
    elif expectation.kind == "tasks":
        yield Observation("delegation_accuracy", float(passed))
    elif expectation.kind == "heard":
        yield wer(expectation.wanted, " ".join(event.text for _, event in in_window(timeline.heard, window)))


def _latency_s(expectation: Expectation, timeline: Timeline, window: Window, matches: Sequence[Match]) -> float | None:
    """Return the time from the anchor; of a stop the length of the overlap, whoever ends it (v1.5)."""
    if expectation.kind == "stops" and window.input:
        robot = [(one.start_s, one.end_s) for one in timeline.segments]
        return next(iter(stop_latencies_s([timeline.inputs[window.input]], robot)), None)
    return max(0.0, matches[0].at_s - window.anchor_s) if matches else None


def _observe_item(expectation: Expectation, timeline: Timeline, window: Window) -> Iterator[Observation]:
    """Observe an item of things that are due: all of them in time and nothing else of it, or nothing."""
    wanted = expectation.wanted
    due_s = [window.anchor_s + at_s for at_s in wanted["due_s"]]
    pattern = re.compile(wanted["like"], re.IGNORECASE)
    said_s = [at_s for at_s, one in timeline.spoken() if at_s >= window.anchor_s and pattern.search(one.heard)]
    due = [Due("", at_s - wanted["tolerance_s"], at_s + wanted["tolerance_s"]) for at_s in due_s]
    for name in expectation.hit:
        yield observe_item(name, expectation.group, due, [Event("", at_s) for at_s in said_s])
    for off_s in reminder_jitter_s(due_s, said_s, wanted["tolerance_s"]):
        yield from (Observation(name, round(off_s, 6), group=expectation.group) for name in expectation.jitter)


def _in_turn(timeline: Timeline, window: Window) -> tuple[list[tuple[float, float]], list[Any], float]:
    """Return the robot's segments and words that begin in a window, and its length."""
    segments = [(one.start_s, one.end_s) for one in timeline.segments if window.holds(one.start_s)]
    high_s = min(window.high_s, timeline.now_s)
    return segments, words_within(timeline.words(), window.low_s, window.high_s), max(0.01, high_s - window.low_s)


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
