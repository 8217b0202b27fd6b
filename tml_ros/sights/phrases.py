"""What is said of what can be seen: a short warning for each kind. It knows no pictures."""

from collections.abc import Mapping

from tml_ros.sights.truth import SightKind

__all__ = ["PHRASES"]

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
