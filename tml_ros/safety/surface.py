"""Watch a surface: something that spreads over it, and something that was left on it.

A spill grows slowly at its rim, loses nothing, and what it has covered stays as it is; a hand comes fast, a shadow goes
again, a glint is everywhere at once. It knows no rules, and no liquid: what spreads without a colour of its own on a
surface like it is not seen.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tml_ros.config import param
from tml_ros.safety.arrays import Mask, eroded, grown, largest
from tml_ros.safety.blobs import Blob
from tml_ros.safety.eye import View
from tml_ros.safety.scene import Comparison
from tml_ros.safety.watcher import Box, Reading, SafetyTurn, Surroundings
from tml_ros.safety.zone import find_zone

__all__ = ["SurfaceConfig", "SurfaceWatcher"]

_FEW = 8  # pixels
_LOST = 0.15  # of what is gained
_SAME = 0.3
_STEADY = 14.0
_FLAT = 1.2  # width over height, shares of the picture


@dataclass(frozen=True, slots=True)
class SurfaceConfig:
    """What spreads, and what is left."""

    zone: str = param("", "Name of the zone that is the surface; empty: the whole picture")
    least_area: float = param(0.003, "Least area of a spill, share of the picture", minimum=0.0, maximum=1.0)
    within_s: float = param(0.2, "Time over which growth is measured", unit="s", minimum=0.1, maximum=10.0)
    growth: float = param(0.03, "Least growth in that time, share of what it is then", minimum=0.0, maximum=1.0)
    rim: float = param(
        0.038, "Most that a rim moves in that time, share of the picture's width", minimum=0.0, maximum=1.0
    )
    calm: float = param(9.0, "Most that the middle changes in that time, of 255", minimum=0.0, maximum=255.0)
    colour: float = param(52.0, "Largest variation of colour within a spill, of 255", minimum=1.0, maximum=255.0)
    fill: float = param(0.6, "Least share of its box that it fills: it is round", minimum=0.0, maximum=1.0)
    confirm: int = param(4, "Frames that must show it, less those after the first that do not", minimum=1, maximum=100)
    left_s: float = param(3.0, "Time after which something new that is still counts as left", unit="s", minimum=0.2)


class SurfaceWatcher:
    """The kind ``surface``."""

    config_type: ClassVar[type[Any]] = SurfaceConfig
    values: ClassVar[Mapping[str, str]] = {
        "spill": "1 while something that has spread is there, otherwise 0",
        "area": "its share of the picture",
        "left": "share of the zone where something new is and stays",
    }

    def __init__(self, config: SurfaceConfig, surroundings: Surroundings) -> None:
        self._config = config
        self._zone = find_zone(config.zone, surroundings)
        self._past: deque[tuple[int, Comparison]] = deque()
        self._streaks: NDArray[np.int32] | None = None
        self._values: dict[str, float | None] = dict.fromkeys(self.values)
        self._boxes: tuple[Box, ...] = ()

    def step(self, turn: SafetyTurn) -> Reading:
        """Take in the next turn."""
        for view in turn.views:
            if view.found is not None:
                self._look(view, view.found)
        return Reading(dict(self._values), self._boxes)

    def _look(self, view: View, found: Comparison) -> None:
        mask = self._zone.mask(view.shape)
        before = self._before(view.frame.stamp_ns, found)
        streaks = np.zeros(view.shape, np.int32)
        boxes: list[Box] = []
        for blob in view.blobs:
            inside = (view.labels == blob.label) & found.new
            streak = self._streak(inside)
            if streak < self._config.confirm:
                spreads = before is not None and self._spreads(blob, inside & mask, before, found)
                streak = streak + 1 if spreads else max(0, streak - 1)
            if streak >= self._config.confirm:
                boxes.append((blob.left, blob.top, blob.right, blob.bottom))
            streaks[inside] = streak
        self._streaks, self._boxes = streaks, tuple(boxes)
        spills = streaks >= self._config.confirm
        still = found.new & ~found.shadow & (np.minimum(found.new_s, view.still_s) >= self._config.left_s) & mask
        self._values = {
            "spill": float(bool(boxes)),
            "area": float(spills.mean()),
            "left": float(still.sum()) / max(1, int(mask.sum())),
        }

    def _streak(self, inside: Mask) -> int:
        """Return for how many frames this has been spreading: what most of it has that was there before."""
        known = self._streaks[inside] if self._streaks is not None else np.zeros(0, np.int32)
        known = known[known > 0]
        return int(np.median(known)) if len(known) > _SAME * inside.sum() else 0

    def _before(self, stamp_ns: int, found: Comparison) -> Comparison | None:
        """Return how it was a while ago, None when that is not known."""
        within_ns = round(self._config.within_s * 1e9)
        self._past.append((stamp_ns, found))
        while len(self._past) > 1 and self._past[1][0] <= stamp_ns - within_ns:
            self._past.popleft()
        return self._past[0][1] if self._past[0][0] <= stamp_ns - within_ns else None

    def _lies(self, blob: Blob) -> bool:
        """Tell whether a piece is round or flat, as nothing upright is, and not at the border, where people come in."""
        width, height = blob.right - blob.left, blob.bottom - blob.top
        if min(blob.left, blob.top, 1.0 - blob.right, 1.0 - blob.bottom) <= 0.0:
            return False
        fill = blob.area / (width * height)
        return fill >= self._config.fill or (fill >= 0.75 * self._config.fill and width >= _FLAT * height)

    def _spreads(self, blob: Blob, inside: Mask, before: Comparison, found: Comparison) -> bool:
        """Tell whether a piece has grown a little, all around, and is calm inside."""
        area, old = int(inside.sum()), inside & before.new
        if area < self._config.least_area * inside.size or old.sum() < _FEW or blob.is_ghost or blob.is_soft:
            return False
        if not self._lies(blob) or float((found.shadow & inside).sum()) > 0.5 * area:
            return False
        gained = inside & ~before.new
        lost = before.new & grown(inside, 2) & ~inside & ~found.new
        if gained.sum() < self._config.growth * area or lost.sum() > _LOST * gained.sum():
            return False
        near = grown(old, max(1, round(self._config.rim * inside.shape[1])))
        away = largest(np.abs(found.lit - before.lit))
        core = eroded(old) if eroded(old).sum() >= _FEW else old
        is_slow = float((gained & near).sum()) >= 0.95 * float(gained.sum())
        is_calm = float(np.median(away[core])) < self._config.calm and float((away[core] < _STEADY).mean()) > 0.5
        return is_slow and is_calm and float(found.lit[inside].std(axis=0).max()) <= self._config.colour
