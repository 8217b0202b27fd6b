"""See flames: something new that is as bright and as warm as fire, from yellow to red in one piece, and never still.

Colour alone is any orange thing; a flame is brightest inside and its outline changes from frame to frame while its foot
stays. It knows no rules. It looks: a flame that is blue, hidden or out of the picture is not seen.

Source: colour and flicker after B. U. Toreyin et al., "Computer vision based method for real-time fire and flame
detection", Pattern Recognition Letters 27(1), 2006.
"""

import itertools
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np

from tml_ros.config import param
from tml_ros.safety.arrays import Floats, Mask, grown
from tml_ros.safety.eye import View
from tml_ros.safety.scene import Comparison
from tml_ros.safety.watcher import Box, Reading, SafetyTurn, Surroundings
from tml_ros.safety.zone import find_zone

__all__ = ["FlameConfig", "FlameWatcher"]


@dataclass(frozen=True, slots=True)
class FlameConfig:
    """What looks like a flame."""

    zone: str = param("", "Name of the zone that is watched; empty: the whole picture")
    least_area: float = param(0.0008, "Least area, share of the picture", minimum=0.0, maximum=1.0)
    red: float = param(110.0, "Least red of a flame's pixel, of 255", minimum=0.0, maximum=255.0)
    warmth: float = param(0.3, "How far red must be above blue, share of the red", minimum=0.0, maximum=1.0)
    rise: float = param(25.0, "How much more light, or warmth, there must be than before, of 255", minimum=0.0)
    core: float = param(150.0, "Least red of the brightest tenth, of 255", minimum=0.0, maximum=255.0)
    spread: float = param(
        0.2, "How far green must vary from the rim to the middle, share of the red there", minimum=0.0, maximum=1.0
    )
    flicker: float = param(0.04, "Share of the outline that changes from frame to frame", minimum=0.0, maximum=1.0)
    frames: int = param(4, "Frames over which it is watched", minimum=2, maximum=50)
    hold_s: float = param(1.0, "Time that it counts when it is not seen", unit="s", minimum=0.0, maximum=60.0)


@dataclass(frozen=True, slots=True)
class _Spot:
    """A warm piece of one frame. foot: of its lowest rows, x and y; spread: of green, from its rim to its middle."""

    mask: Mask
    area: float
    foot: tuple[float, float]
    core: float
    spread: float
    box: Box


class FlameWatcher:
    """The kind ``flame``."""

    config_type: ClassVar[type[Any]] = FlameConfig
    values: ClassVar[Mapping[str, str]] = {
        "flame": "1 while something looks like a flame, otherwise 0",
        "area": "its share of the picture",
    }

    def __init__(self, config: FlameConfig, surroundings: Surroundings) -> None:
        self._config = config
        self._zone = find_zone(config.zone, surroundings)
        self._past: deque[list[_Spot]] = deque(maxlen=config.frames)
        self._seen_ns: int | None = None
        self._area = 0.0
        self._boxes: tuple[Box, ...] = ()
        self._is_known = False

    def step(self, turn: SafetyTurn) -> Reading:
        """Take in the next turn."""
        for view in turn.views:
            if view.found is None:
                continue
            self._is_known = True
            if not view.is_same:
                self._look(view, view.found)
        if not self._is_known:
            return Reading(dict.fromkeys(self.values))
        is_seen = self._seen_ns is not None and turn.end_ns - self._seen_ns <= self._config.hold_s * 1e9
        return Reading(
            {"flame": float(is_seen), "area": self._area if is_seen else 0.0}, self._boxes if is_seen else ()
        )

    def _look(self, view: View, found: Comparison) -> None:
        spots = self._spots(view, found)
        self._past.append(spots)
        flames = [spot for spot in spots if self._burns(spot)]
        if flames:
            self._seen_ns = view.frame.stamp_ns
            self._area = sum(spot.area for spot in flames)
            self._boxes = tuple(spot.box for spot in flames)

    def _spots(self, view: View, found: Comparison) -> list[_Spot]:
        colours: Floats = view.rgb.astype(np.float32)
        red, green, blue = colours[..., 0], colours[..., 1], colours[..., 2]
        is_warm = (
            (red >= self._config.red) & (red - blue >= self._config.warmth) & (red >= green) & (green >= 0.8 * blue)
        )
        near = grown(found.new, 2) & self._zone.mask(view.shape)
        count, labels, stats, _ = cv2.connectedComponentsWithStats((is_warm & near).astype(np.uint8), connectivity=8)
        least = self._config.least_area * labels.size
        kept = [number for number in range(1, count) if stats[number, cv2.CC_STAT_AREA] >= least]
        return [self._spot(labels == number, found.new, red, green) for number in kept]

    def _spot(self, mask: Mask, new: Mask, red: Floats, green: Floats) -> _Spot:
        rows, columns = np.nonzero(mask)
        height, width = mask.shape
        low = rows >= np.quantile(rows, 0.8)
        low_green, high_green = np.quantile(green[mask], (0.1, 0.9))
        return _Spot(
            mask,
            len(rows) / mask.size,
            (float(columns[low].mean()) / width, float(rows[low].mean()) / height),
            float(np.quantile(red[mask], 0.9)),
            float(high_green - low_green),
            (columns.min() / width, rows.min() / height, (columns.max() + 1) / width, (rows.max() + 1) / height),
        )

    def _burns(self, spot: _Spot) -> bool:
        """Tell whether a spot has been there for all frames, its outline never still and its foot in its place."""
        if len(self._past) < self._config.frames or spot.core < self._config.core:
            return False
        if spot.spread < self._config.spread * spot.core:
            return False
        chain = [spot]
        for spots in list(self._past)[-2::-1]:
            before = max(spots, key=lambda one: _overlap(one, chain[-1]), default=None)
            if before is None or _overlap(before, chain[-1]) < 0.25:
                return False
            chain.append(before)
        changes = [1.0 - _overlap(a, b) for a, b in itertools.pairwise(chain)]
        size = max(one.box[3] - one.box[1] for one in chain)
        moved = max(abs(one.foot[0] - chain[0].foot[0]) for one in chain) / max(size, 1e-6)
        return float(np.median(changes)) >= self._config.flicker and moved < 0.5


def _overlap(a: _Spot, b: _Spot) -> float:
    """Return intersection over union."""
    union = int((a.mask | b.mask).sum())
    return int((a.mask & b.mask).sum()) / union if union else 0.0
