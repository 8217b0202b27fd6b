"""Count things on a surface against how it was at first: what was taken from its place, and what was put there.

A place that something was taken from lacks the edges that the scene had; what was put there has edges that the scene
had not (``blobs``). Something counts when it has been still for a while, and what a hand hides stays as it was until it
is seen again. What has been away, or there, for so long that it belongs to the scene still counts. It knows
no things by name, and counts two that touch as one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tml_ros.config import param
from tml_ros.safety.blobs import Blob
from tml_ros.safety.eye import View
from tml_ros.safety.people_finder import overlap
from tml_ros.safety.scene import Comparison
from tml_ros.safety.watcher import Box, Reading, SafetyTurn, Surroundings
from tml_ros.safety.zone import find_zone

__all__ = ["ItemsConfig", "ItemsWatcher"]

_SAME = 0.25
_HIDDEN = 0.05


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
        self._for_good = {True: 0, False: 0}
        self._is_known = False

    def step(self, turn: SafetyTurn) -> Reading:
        """Take in the next turn."""
        for view in turn.views:
            if view.found is not None:
                self._is_known = True
                self._look(view, view.found)
        if not self._is_known:
            return Reading(dict.fromkeys(self.values))
        away, added = (
            self._for_good[kind] + sum(one.is_taken is kind for one in self._changes) for kind in (True, False)
        )
        values = {"away": float(away), "added": float(added), "count": float(self._config.expected - away + added)}
        return Reading(values, tuple(one.box for one in self._changes))

    def _look(self, view: View, found: Comparison) -> None:
        pieces = [(blob, (blob.left, blob.top, blob.right, blob.bottom)) for blob in view.blobs]
        settled = [(blob, box) for blob, box in pieces if blob.still_s >= self._config.settle_s]
        restless = [box for blob, box in pieces if blob.still_s < self._config.settle_s]
        news = [_Change(blob.is_ghost, box) for blob, box in settled if self._counts(blob)]
        kept: list[_Change] = []
        for old in self._changes:
            same = next((new for new in news if overlap(new.box, old.box) > _SAME), None)
            if same is not None:
                news.remove(same)
                kept.append(_Change(old.is_taken, same.box))
            elif any(_touches(old.box, box) for box in restless):
                kept.append(old)
            elif self._is_absorbed(view, old):
                self._for_good[old.is_taken] += 1
        self._changes = kept + [new for new in news if not any(_touches(new.box, box) for box in restless)]

    def _counts(self, blob: Blob) -> bool:
        middle = (0.5 * (blob.left + blob.right), 0.5 * (blob.top + blob.bottom))
        is_size = self._config.least_area <= blob.area <= self._config.most_area
        return is_size and not blob.is_soft and self._zone.contains(*middle)

    def _is_absorbed(self, view: View, old: _Change) -> bool:
        """Tell whether the place has been still all the time: then the change became a part of the scene."""
        height, width = view.shape
        left, top, right, bottom = old.box
        part = view.still_s[int(top * height) : round(bottom * height), int(left * width) : round(right * width)]
        return bool(part.size) and float(part.min()) > 2.0 * self._config.settle_s


def _touches(a: Box, b: Box) -> bool:
    """Tell whether a good part of the first lies in the second."""
    across, down = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return across > 0.0 and down > 0.0 and across * down > _HIDDEN * (a[2] - a[0]) * (a[3] - a[1])
