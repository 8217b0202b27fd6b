"""Count things on a surface against how it was at first: what was taken from its place, and what was put there.

A place that something was taken from lacks the edges that the scene had; what was put there has edges that the scene
had not (``blobs``). Something counts when it has been still for a while, and what a hand hides stays as it was until it
is seen again. What stays away, or there, for as long as the scene takes to learn it (``safety.eye.scene.absorb_s``)
belongs to the scene then. It knows no things by name, and counts two that touch as one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from tml_ros.config import param
from tml_ros.safety.blobs import Blob, find_blobs
from tml_ros.safety.eye import View
from tml_ros.safety.scene import Comparison
from tml_ros.safety.watcher import Reading, SafetyTurn, Surroundings
from tml_ros.safety.zone import find_zone
from tml_ros.safety.zones import Box

__all__ = ["ItemsConfig", "ItemsWatcher"]

_HIDDEN = 0.05
_GAP = 0.12  # share of the picture's height


@dataclass(frozen=True, slots=True)
class ItemsConfig:
    """What is counted, and where."""

    zone: str = param("", "Name of the zone; empty: the whole picture")
    expected: int = param(0, "Number of things that are there at first, to count from", minimum=0, maximum=1000)
    settle_s: float = param(0.5, "Time that a change must be still", unit="s", minimum=0.1, maximum=60.0)
    least_area: float = param(0.002, "Least area of a thing, share of the picture", minimum=0.0001, maximum=1.0)
    most_area: float = param(0.2, "Largest area of a thing, share of the picture", minimum=0.001, maximum=1.0)


@dataclass(frozen=True, slots=True)
class _Change:
    """One thing taken or put. box: where."""

    is_taken: bool
    box: Box


class ItemsWatcher:
    """The kind ``items``."""

    config_type: ClassVar[type[Any]] = ItemsConfig
    values: ClassVar[Mapping[str, str]] = {
        "away": "number of things that are not where they were at first",
        "added": "number of things that were not there at first",
        "count": "expected, less those away, and those added",
    }

    def __init__(self, config: ItemsConfig, surroundings: Surroundings) -> None:
        """Prepare to count.

        Raises:
            ConfigError: the zone is unknown.
        """
        self._config = config
        self._zone = find_zone(config.zone, surroundings)
        self._changes: list[_Change] = []
        self._is_known = False

    def step(self, turn: SafetyTurn) -> Reading:
        """Take in the next turn."""
        for view in turn.views:
            if view.found is not None:
                self._is_known = True
                self._look(view, view.found)
        if not self._is_known:
            return Reading(dict.fromkeys(self.values))
        away, added = (sum(one.is_taken is kind for one in self._changes) for kind in (True, False))
        values = {"away": float(away), "added": float(added), "count": float(self._config.expected - away + added)}
        return Reading(values, tuple(one.box for one in self._changes))

    def _look(self, view: View, found: Comparison) -> None:
        _, blobs = find_blobs(replace(found, new=found.solid, lit=found.flat), view.still_s)
        settled = [blob for blob in blobs if blob.still_s >= self._config.settle_s]
        restless = [blob.box for blob in blobs if blob.still_s < self._config.settle_s]
        news = [_Change(blob.is_ghost, blob.box) for blob in settled if self._counts(blob)]
        seen = _joined([new for new in news if not any(_touches(new.box, box) for box in restless)])
        hidden = [old for old in self._changes if any(_touches(old.box, box) for box in restless)]
        self._changes = seen + [old for old in hidden if not any(_touches(old.box, new.box) for new in seen)]

    def _counts(self, blob: Blob) -> bool:
        middle = (0.5 * (blob.left + blob.right), 0.5 * (blob.top + blob.bottom))
        is_size = self._config.least_area <= blob.area <= self._config.most_area
        comes_in = not blob.is_ghost and min(blob.left, blob.top, 1.0 - blob.right, 1.0 - blob.bottom) <= 0.0  # an arm
        return is_size and not (blob.is_soft or comes_in) and self._zone.contains(*middle)


def _joined(changes: list[_Change]) -> list[_Change]:
    """Return changes with those joined that stand above one another: a thing whose middle looks like what is behind."""
    joined: list[_Change] = []
    for one in sorted(changes, key=lambda change: change.box[1]):
        above = next((n for n, other in enumerate(joined) if _is_below(one, other)), None)
        if above is None:
            joined.append(one)
        else:
            a, b = joined[above].box, one.box
            joined[above] = _Change(one.is_taken, (min(a[0], b[0]), a[1], max(a[2], b[2]), max(a[3], b[3])))
    return joined


def _is_below(one: _Change, other: _Change) -> bool:
    across = min(one.box[2], other.box[2]) - max(one.box[0], other.box[0])
    narrow = min(one.box[2] - one.box[0], other.box[2] - other.box[0])
    return one.is_taken is other.is_taken and across > 0.5 * narrow and one.box[1] - other.box[3] < _GAP


def _touches(a: Box, b: Box) -> bool:
    """Tell whether a good part of the first lies in the second."""
    across, down = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return across > 0.0 and down > 0.0 and across * down > _HIDDEN * (a[2] - a[0]) * (a[3] - a[1])
