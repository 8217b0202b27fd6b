"""What a robot took a request for: intents, their slots, and the tasks that it handed on.

Pure functions of names, values and times. Every wanted intent takes at most one proposal; a proposal that none takes is
a false one. It knows no grammar and no allow-list.

Source: intent accuracy and slot accuracy as for spoken language understanding (SNIPS, Coucke et al., arXiv 1805.10190),
over wanted intents and wanted slots, those of an intent that was missed included.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tml_ros.evaluation.results import Observation
from tml_ros.evaluation.words import overlap, spelled

__all__ = ["Proposed", "WantedIntent", "is_handed_on", "is_same_value", "observe_intents"]

_RELATIVE = 1e-6
_TASK_OVERLAP = 0.8


@dataclass(frozen=True, slots=True)
class Proposed:
    """An intent that the robot proposed. slots: its data."""

    intent: str
    slots: Mapping[str, Any]
    at_s: float


@dataclass(frozen=True, slots=True)
class WantedIntent:
    """An intent that a person meant, to be proposed in [start_s, end_s). slots: those that matter."""

    intent: str
    slots: Mapping[str, Any] = field(default_factory=dict)
    start_s: float = -math.inf
    end_s: float = math.inf

    def right_slots(self, proposed: Proposed) -> int:
        """Return how many of the slots a proposal has right."""
        return sum(
            name in proposed.slots and is_same_value(value, proposed.slots[name]) for name, value in self.slots.items()
        )

    def takes(self, proposed: Proposed) -> bool:
        """Tell whether a proposal is of this intent and in time."""
        return proposed.intent == self.intent and self.start_s <= proposed.at_s < self.end_s


def is_same_value(wanted: Any, found: Any) -> bool:
    """Tell whether two values of a slot are one: numbers by value, words by their spelling, all else by equality."""
    if isinstance(wanted, str) and isinstance(found, str):
        return spelled(wanted) == spelled(found) if spelled(wanted) else wanted == found
    numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in (wanted, found))
    if numbers:
        return math.isclose(wanted, found, rel_tol=_RELATIVE, abs_tol=_RELATIVE)
    return type(wanted) is type(found) and bool(wanted == found)


def observe_intents(
    wanted: Sequence[WantedIntent], proposed: Iterable[Proposed], hours: float = 0.0
) -> list[Observation]:
    """Return accuracy of intents and slots, and with ``hours`` the false intents of a recording that long.

    Each wanted intent in turn takes the proposal with the most right slots, the earliest of these.
    """
    left = sorted(proposed, key=lambda one: one.at_s)
    found: list[Observation] = []
    for one in wanted:
        fitting = [candidate for candidate in left if one.takes(candidate)]
        taken = max(fitting, key=one.right_slots, default=None)
        right = 0
        if taken is not None:
            left = [candidate for candidate in left if candidate is not taken]
            right = one.right_slots(taken)
        found.append(Observation("intent_accuracy", float(taken is not None)))
        found += [Observation("slot_accuracy", float(number < right)) for number in range(len(one.slots))]
    return [*found, Observation("false_intents_per_hour", float(len(left)), weight=hours)] if hours else found


def is_handed_on(wanted: Sequence[str], tasks: Sequence[str], at_least: float = _TASK_OVERLAP) -> bool:
    """Tell whether the tasks handed on are those wanted, in this order and no other.

    at_least: share of a wanted task's words that the one handed on has; a recogniser may lose some.
    """
    if len(wanted) != len(tasks):
        return False
    return all(overlap(one, task) >= at_least for one, task in zip(wanted, tasks, strict=True))
