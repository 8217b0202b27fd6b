"""What is to be seen when: kinds of events, from how much evidence on they count, and events from evidence per frame.

Shares are of the whole picture, counted in exact labels of 160x120 (``labels``). It knows no drawing.

| kind | a frame shows it when |
|---|---|
| person_enters | a person who was not there in the first frame covers at least 0.5 % |
| person_in_zone | feet inside the zone cover at least 0.05 % |
| hand_in_zone | a hand or its forearm inside the zone covers at least 0.3 % |
| flame | its outline, glow aside, covers at least 0.15 % |
| smoke | its dense part, alpha at least 0.3, covers at least 1.5 % |
| spill | it covers at least 0.4 % |
| goggles_missing | at a bench, a face covers at least 0.5 %, and bare eyes with what is around them an eighth of it |
| slouching | the back of one who sits leans 20 degrees or more, the person covering at least 2 % |
| lens_covered | something before the lens covers at least half |
| frozen | it is the frame before it, bit for bit |
| too_dark | the empty scene's mean luma, times the light, is below 24 of 255 |
| object_away | a vessel that covered 0.4 % at first stands, or hangs, half its height or more from where it was |
| repetition | from its begin to its completion, after which it counts |

An event begins with the first frame that shows it. It goes on while a share of that evidence (``HOLD``) is there, lest
it end and begin again at the threshold; it ends with the last such frame, gaps of up to 1 s being bridged. What shows
for less than 0.35 s in all is none. While the picture is covered or too dark, all else stays as it was.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["EVIDENCE", "WHOLE", "Box", "Evidence", "SightEvent", "SightKind", "find_events"]

Box = tuple[float, float, float, float]
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
BRIDGE_S = 1.0
SHORTEST_S = 0.35


class SightKind(StrEnum):
    """What can be seen to happen."""

    PERSON_ENTERS = "person_enters"
    PERSON_IN_ZONE = "person_in_zone"
    HAND_IN_ZONE = "hand_in_zone"
    FLAME = "flame"
    SMOKE = "smoke"
    SPILL = "spill"
    GOGGLES_MISSING = "goggles_missing"
    SLOUCHING = "slouching"
    LENS_COVERED = "lens_covered"
    FROZEN = "frozen"
    TOO_DARK = "too_dark"
    OBJECT_AWAY = "object_away"
    REPETITION = "repetition"


EVIDENCE: Mapping[SightKind, float] = {
    SightKind.PERSON_ENTERS: 0.005,
    SightKind.PERSON_IN_ZONE: 0.0005,
    SightKind.HAND_IN_ZONE: 0.003,
    SightKind.FLAME: 0.0015,
    SightKind.SMOKE: 0.015,
    SightKind.SPILL: 0.004,
    SightKind.GOGGLES_MISSING: 0.005,
    SightKind.SLOUCHING: 20.0,
    SightKind.LENS_COVERED: 0.5,
    SightKind.FROZEN: 1.0,
    SightKind.TOO_DARK: 1.0,
    SightKind.OBJECT_AWAY: 0.5,
}
"""Least value at which a frame shows a kind: see the table above; of too_dark, 24 over the mean luma."""
HOLD: Mapping[SightKind, float] = {
    SightKind.SLOUCHING: 0.75,
    SightKind.LENS_COVERED: 0.8,
    SightKind.FROZEN: 1.0,
    SightKind.TOO_DARK: 0.8,
    SightKind.GOGGLES_MISSING: 0.5,
}
"""Share of the evidence at which an event that has begun goes on; 0.3 where nothing is said."""
FAULTS = frozenset({SightKind.LENS_COVERED, SightKind.FROZEN, SightKind.TOO_DARK})


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one frame shows: value and box by kind and number of the actor. blind: nothing but faults can be seen."""

    values: Mapping[tuple[SightKind, int], tuple[float, Box]] = field(default_factory=dict)
    blind: bool = False


@dataclass(frozen=True, slots=True)
class SightEvent:
    """One event. begin_s, end_s: times of its first and last frame. box: left, up, right, down, shares of the picture,
    around all of it over its time. what, number: of a repetition, such as ``push ups`` and 3.
    """

    kind: SightKind
    begin_s: float
    end_s: float
    box: Box = WHOLE
    actor: int = 0
    what: str = ""
    number: int = 0


def find_events(frames: Sequence[tuple[float, Evidence]], present: Iterable[int] = ()) -> tuple[SightEvent, ...]:
    """Make events of evidence.

    Args:
        frames: time in seconds and evidence of each frame, in order.
        present: actors who are there before the first frame, and so do not enter until they have been away.

    Returns:
        Events in order of begin.
    """
    keys = sorted({key for _, evidence in frames for key in evidence.values})
    found = [event for key in keys for event in _of(key, frames, key[1] in present)]
    return tuple(sorted(found, key=lambda event: (event.begin_s, event.kind, event.actor)))


def _of(key: tuple[SightKind, int], frames: Sequence[tuple[float, Evidence]], present: bool) -> Iterable[SightEvent]:
    kind, actor = key
    begin_s = end_s = float("-inf")
    box, is_open, is_known = WHOLE, False, False
    shown_s, blind_s = 0.0, 0.0
    for number, (time_s, evidence) in enumerate(frames):
        step_s = time_s - frames[number - 1][0] if number else frames[1][0] - time_s if len(frames) > 1 else 0.0
        if evidence.blind and kind not in FAULTS:
            blind_s += step_s
            continue
        value, part = evidence.values.get(key, (0.0, WHOLE))
        if value >= EVIDENCE[kind] * (HOLD.get(kind, 0.3) if is_open else 1.0):
            if is_open:
                box = _around(box, part)
            else:
                begin_s, box, is_open, shown_s = time_s, part, True, 0.0
                is_known = present and kind is SightKind.PERSON_ENTERS and number == 0
            end_s, blind_s = time_s, 0.0
            shown_s += step_s
        elif is_open and time_s - end_s - blind_s > BRIDGE_S:
            if shown_s >= SHORTEST_S and not is_known:
                yield SightEvent(kind, begin_s, end_s, box, actor)
            is_open, blind_s = False, 0.0
    if is_open and shown_s >= SHORTEST_S and not is_known:
        yield SightEvent(kind, begin_s, end_s, box, actor)


def _around(a: Box, b: Box) -> Box:
    return (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))
