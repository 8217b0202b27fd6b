"""Score the watchers on rendered scenes and labelled films: events found, false alerts, delay per event.

An event is found by an alert of its kind that is raised from shortly before its begin until its end; an alert that
belongs to no event is false. One alert may stand for events that overlap or follow closely, as its rule clears late.
``tml safety`` prints the tables. It knows no ROS.
"""

import json
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tml_ros.records import MICRO_TURN_NS, MICRO_TURN_SAMPLES, AlertState, Frame, MicroTurn
from tml_ros.safety import SafetyMonitor, load_lab
from tml_ros.sights import SightEvent, SightKind

__all__ = ["Cost", "Found", "Score", "alerts_of", "events_table", "lab_of", "score", "table"]

EARLY_S, LATE_S = 0.3, 1.5
RULES: Mapping[SightKind, str] = {
    SightKind.PERSON_IN_ZONE: "{value: zone.people, above: 0.5}",
    SightKind.HAND_IN_ZONE: "{value: zone.reached, above: 0.02}",
    SightKind.LENS_COVERED: "{value: camera.covered, above: 0.45, release: 0.3}",
    SightKind.TOO_DARK: "{value: camera.dark, above: 0.5}",
    SightKind.FROZEN: "{value: camera.frozen, above: 0.5}",
    SightKind.FLAME: "{value: flame.flame, above: 0.5}",
    SightKind.SPILL: "{value: surface.spill, above: 0.5}",
}
_WATCHERS = (
    "{camera: {kind: camera}, flame: {kind: flame}, surface: {kind: surface}, zone: {kind: zone, zone: area}, "
    "items: {kind: items}}"
)
_AWAY = 3  # things that may be away at once, each a kind of its own
_BENCHES = ("hands", "hazards", "transfer", "eyewear", "desk")
_START_NS = 1_000_000_000


class Sights(Protocol):
    """A scene or a film."""

    @property
    def theme(self) -> str: ...

    @property
    def zone(self) -> tuple[tuple[float, float], ...]: ...

    def frames(self, fps: float) -> Iterator[tuple[float, NDArray[np.uint8]]]:
        """Yield time and picture."""


@dataclass(slots=True)
class Score:
    """What was found of one kind. delays_s: from begin to the end of the micro-turn of the alert."""

    events: int = 0
    found: int = 0
    false: int = 0
    delays_s: list[float] = field(default_factory=list)

    @property
    def recall(self) -> float:
        """Share of the events that were found."""
        return self.found / self.events if self.events else 1.0

    @property
    def precision(self) -> float:
        """Share of the alerts that were right."""
        return self.found / (self.found + self.false) if self.found + self.false else 1.0


@dataclass(frozen=True, slots=True)
class Found:
    """One event that is labelled, or one false alert. at_s: of the alert, None where there was none."""

    where: str
    kind: str
    label: tuple[float, float] | None
    at_s: float | None

    @property
    def fault(self) -> str | None:
        """What went wrong, in words."""
        if self.label is None:
            return f"false {self.kind} at {self.at_s:.1f} s"
        return f"missed {self.kind} at {self.label[0]:.1f} s" if self.at_s is None else None


@dataclass(slots=True)
class Cost:
    """What watching takes, per micro-turn."""

    seconds: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, float]:
        """Return median and 95th percentile in milliseconds."""
        if not self.seconds:
            return {}
        return {f"turn_p{round(100 * q)}_ms": 1e3 * float(np.quantile(self.seconds, q)) for q in (0.5, 0.95)}


def alerts_of(
    sights: Sights, truth: Sequence[SightEvent], fps: float = 10.0, cost: Cost | None = None
) -> list[tuple[str, float]]:
    """Return kind and time in seconds of every alert that is raised. truth: of the sights; slow to make.

    Things that were taken are ``object_away_1`` for the first that is away, ``object_away_2`` for the second; they are
    watched where the sights have no zone, for a zone is one for people and hands.
    """
    monitor = _monitor(lab_of(sights, truth))
    raised = []
    for turn in _turns(sights.frames(fps)):
        began_s = time.perf_counter()
        alerts = monitor.step(turn).alerts
        if cost is not None:
            cost.seconds.append(time.perf_counter() - began_s)
        at_s = (turn.end_ns - _START_NS) / 1e9
        raised += [(alert.rule, at_s) for alert in alerts if alert.state is AlertState.RAISED]
    return raised


def _rules(sights: Sights, truth: Sequence[SightEvent]) -> dict[str, str]:
    """Return what is watched for: condition by kind."""
    other = SightKind.PERSON_IN_ZONE if _is_bench(sights, truth) else SightKind.HAND_IN_ZONE
    rules = {str(kind): when for kind, when in RULES.items() if kind is not other}
    if not sights.zone:
        rules = {kind: when for kind, when in rules.items() if "zone." not in when}
    if any(event.kind is SightKind.OBJECT_AWAY for event in truth) and not sights.zone:
        rules |= {
            f"{SightKind.OBJECT_AWAY}_{n}": f"{{value: items.away, above: {n - 0.5}}}" for n in range(1, _AWAY + 1)
        }
    return rules


def lab_of(sights: Sights, truth: Sequence[SightEvent]) -> str:
    """Return the lab file that watches for what may happen, in silence."""
    zone = [[min(1.0, max(0.0, x)), min(1.0, max(0.0, y))] for x, y in sights.zone or WHOLE_ZONE]
    rules = _rules(sights, truth).items()
    listed = "\n".join(f"  {kind}: {{when: {when}, describe: {kind}, silent: true}}" for kind, when in rules)
    return f"version: 1\nlab: scene\nzones: {{area: {json.dumps(zone)}}}\nwatchers: {_WATCHERS}\nrules:\n{listed}\n"


def _monitor(text: str) -> SafetyMonitor:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lab.yaml"
        path.write_text(text, encoding="utf-8")
        return SafetyMonitor(load_lab(path))


def _is_bench(sights: Sights, truth: Sequence[SightEvent]) -> bool:
    """Tell whether the zone is one for hands; a deployment knows what it has drawn."""
    return sights.theme in _BENCHES or any(event.kind is SightKind.HAND_IN_ZONE for event in truth)


WHOLE_ZONE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))


def _turns(frames: Iterable[tuple[float, NDArray[np.uint8]]]) -> Iterator[MicroTurn]:
    silence = np.zeros(MICRO_TURN_SAMPLES, np.float32)
    index, waiting = 0, list[Frame]()
    for time_s, rgb in frames:
        stamp_ns = _START_NS + round(time_s * 1e9)
        while stamp_ns >= _START_NS + (index + 1) * MICRO_TURN_NS:
            start_ns = _START_NS + index * MICRO_TURN_NS
            yield MicroTurn(index, start_ns, start_ns + MICRO_TURN_NS, silence, 1.0, frames=tuple(waiting))
            index, waiting = index + 1, []
        waiting.append(Frame(stamp_ns, rgb))
    start_ns = _START_NS + index * MICRO_TURN_NS
    yield MicroTurn(index, start_ns, start_ns + MICRO_TURN_NS, silence, 1.0, frames=tuple(waiting))


def score(
    alerts: Sequence[tuple[str, float]],
    truth: Iterable[SightEvent],
    into: dict[str, Score],
    *,
    has_zone: bool = True,
    where: str = "",
    each: list[Found] | None = None,
) -> list[str]:
    """Add one scene to the scores and return what went wrong in it, in words.

    Args:
        alerts: as ``alerts_of`` gives them.
        truth: what happens.
        into: by kind.
        has_zone: whether there is a zone to watch.
        where: name of the scene.
        each: every event and every false alert is added to it, by time.
    """
    told: list[Found] = []
    truth = tuple(truth)
    events = {
        str(kind): [e for e in truth if e.kind is kind and (has_zone or "zone." not in RULES[kind])] for kind in RULES
    }
    spans_of = {kind: _joined(sorted(mine, key=lambda e: e.begin_s)) for kind, mine in events.items()}
    if not has_zone:
        spans_of |= _away(event for event in truth if event.kind is SightKind.OBJECT_AWAY)
    for kind, spans in spans_of.items():
        one = into.setdefault(kind, Score())
        times = [at_s for alert, at_s in alerts if alert == kind]
        for begin_s, end_s in spans:
            hits = [at_s for at_s in times if begin_s - EARLY_S <= at_s <= end_s + LATE_S]
            one.events += 1
            one.found += bool(hits)
            told.append(Found(where, kind, (begin_s, end_s), hits[0] if hits else None))
            if hits:
                one.delays_s.append(max(0.0, hits[0] - begin_s))
        stray = [t for t in times if not any(b - EARLY_S <= t <= e + LATE_S for b, e in spans)]
        one.false += len(stray)
        told += [Found(where, kind, None, at_s) for at_s in stray]
    if each is not None:
        each += sorted(told, key=lambda one: one.label[0] if one.label else one.at_s or 0.0)
    return [one.fault for one in told if one.fault]


def _away(events: Iterable[SightEvent]) -> dict[str, list[tuple[float, float]]]:
    """Return when at least one thing, two and three were away."""
    steps = sorted(step for event in events for step in ((event.begin_s, 1), (event.end_s, -1)))
    spans: dict[str, list[tuple[float, float]]] = {}
    begins: list[float] = []
    for at_s, step in steps:
        if step > 0:
            begins.append(at_s)
        else:
            spans.setdefault(f"{SightKind.OBJECT_AWAY}_{len(begins)}", []).append((begins.pop(), at_s))
    return spans


def _joined(events: Sequence[SightEvent]) -> list[tuple[float, float]]:
    """Return spans of events of one kind, those joined between which no alert can clear and be raised again."""
    spans: list[tuple[float, float]] = []
    for event in events:
        if spans and event.begin_s <= spans[-1][1] + LATE_S:
            spans[-1] = (spans[-1][0], max(spans[-1][1], event.end_s))
        else:
            spans.append((event.begin_s, event.end_s))
    return spans


def events_table(found: Iterable[Found]) -> str:
    """Return every event with its label, and every false alert, as a Markdown table."""
    lines = ["| film | kind | labelled | alert | delay |", "|---|---|---|---|---|"]
    for one in found:
        label = f"{one.label[0]:.1f} to {one.label[1]:.1f} s" if one.label else "nothing: false"
        alert = f"{one.at_s:.1f} s" if one.at_s is not None else "none: missed"
        delay = f"{one.at_s - one.label[0]:.2f} s" if one.label and one.at_s is not None else ""
        lines.append(f"| {one.where} | {one.kind} | {label} | {alert} | {delay} |")
    return "\n".join(lines)


def table(scores: Mapping[str, Score]) -> str:
    """Return the scores as a Markdown table."""
    lines = [
        "| kind | events | found | false | recall | precision | delay median | 95 % |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind, one in scores.items():
        delays = [f"{np.quantile(one.delays_s, q):.2f} s" if one.delays_s else "" for q in (0.5, 0.95)]
        figures = (one.events, one.found, one.false, f"{one.recall:.3f}", f"{one.precision:.3f}", *delays)
        lines.append(f"| {kind} | {' | '.join(map(str, figures))} |")
    return "\n".join(lines)
