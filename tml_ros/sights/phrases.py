"""What is said of what can be seen: a short warning for each kind, once. It knows no pictures."""

from collections.abc import Iterable, Mapping

from tml_ros.sights.truth import SightEvent, SightKind

__all__ = ["CUES", "PHRASES", "STILL_S", "WITHIN_S", "to_be_told"]

WITHIN_S = 0.6
"""So soon an event is to be told."""
STILL_S = 2.0
"""So long after its end it may still be."""
_AGAIN_S = 2.0
CUES = (
    SightKind.PERSON_ENTERS,
    SightKind.PERSON_IN_ZONE,
    SightKind.HAND_IN_ZONE,
    SightKind.FLAME,
    SightKind.SMOKE,
    SightKind.SPILL,
    SightKind.GOGGLES_MISSING,
    SightKind.SLOUCHING,
)
"""What happens before a camera, its own faults left out."""

PHRASES: Mapping[SightKind, str] = {
    SightKind.PERSON_ENTERS: "someone came in",
    SightKind.PERSON_IN_ZONE: "please leave the marked zone",
    SightKind.HAND_IN_ZONE: "careful, your hand is in the zone",
    SightKind.FLAME: "careful, a flame",
    SightKind.SMOKE: "careful, there is smoke",
    SightKind.SPILL: "careful, a spill",
    SightKind.GOGGLES_MISSING: "please put your goggles on",
    SightKind.SLOUCHING: "sit up straight",
    SightKind.LENS_COVERED: "something covers my camera",
    SightKind.FROZEN: "my picture is frozen",
    SightKind.TOO_DARK: "it is too dark to see",
}
"""An object that is away is nothing to speak of, and repetitions are counted."""


def to_be_told(events: Iterable[SightEvent]) -> list[SightEvent]:
    """Return the events that are to be told, without those that begin so soon after one of their kind that they are
    part of it. events: in order of their beginning."""
    kept: list[SightEvent] = []
    last: dict[SightKind, float] = {}
    for event in events:
        if event.kind in PHRASES:
            if event.begin_s - last.get(event.kind, -1e9) > _AGAIN_S:
                kept.append(event)
            last[event.kind] = max(event.end_s, last.get(event.kind, -1e9))
    return kept
