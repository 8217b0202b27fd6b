"""See smoke: something soft that veils what is behind it in grey, never stands still, and stays.

A veil takes the same share of every colour away and puts grey in its place; a shadow only takes, a light only adds, and
both keep their shape. What is behind a veil keeps its edges, but fainter. It knows no rules. Steam looks the same, and
thin smoke before a plain wall is not seen.

Source: the loss of contrast and chroma after B. U. Toreyin et al., "Contour based smoke detection in video using
wavelets", EUSIPCO 2006.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tml_ros.config import param
from tml_ros.safety.arrays import Floats, Mask, eroded, largest, slope
from tml_ros.safety.blobs import pieces
from tml_ros.safety.eye import View
from tml_ros.safety.held import Held
from tml_ros.safety.scene import Comparison
from tml_ros.safety.watcher import Reading, SafetyTurn, Surroundings
from tml_ros.safety.zone import find_zone
from tml_ros.safety.zones import Box

__all__ = ["SmokeConfig", "SmokeWatcher"]

_SAME = 0.2
_SOLID = 80.0  # slope of the picture, eight times per pixel, that only a solid rim has
_MOST_COLOUR = 36.0  # of 255, between the strongest and the weakest colour of what a veil puts in
_DARKEST, _BRIGHTEST = 20.0, 265.0  # less is a shadow, more a light
_SHARES = (0.15, 1.3)  # more than 1 where what is behind has hardly any colours of its own
_PAST_S = 0.5


@dataclass(frozen=True, slots=True)
class SmokeConfig:
    """What looks like smoke."""

    zone: str = param("", "Name of the zone that is watched; empty: the whole picture")
    least_area: float = param(0.008, "Least area, share of the picture", minimum=0.0, maximum=1.0)
    churn: float = param(0.25, "Least share of it that changes within half a second", minimum=0.0, maximum=1.0)
    change: float = param(5.0, "Least change that counts for that, of 255", minimum=0.5, maximum=100.0)
    rim: float = param(0.35, "Most of its rim that is sharp", minimum=0.0, maximum=1.0)
    confirm_s: float = param(1.0, "Time that it must look like smoke", unit="s", minimum=0.1, maximum=60.0)
    hold_s: float = param(1.5, "Time that it counts when it is not seen", unit="s", minimum=0.0, maximum=60.0)


class SmokeWatcher:
    """The kind ``smoke``."""

    config_type: ClassVar[type[Any]] = SmokeConfig
    values: ClassVar[Mapping[str, str]] = {
        "smoke": "1 while something looks like smoke, otherwise 0",
        "area": "its share of the picture",
    }

    def __init__(self, config: SmokeConfig, surroundings: Surroundings) -> None:
        self._config = config
        self._zone = find_zone(config.zone, surroundings)
        self._past: deque[tuple[int, Floats]] = deque()
        self._since_s: NDArray[np.float32] | None = None
        self._held = Held("smoke", config.hold_s)

    def step(self, turn: SafetyTurn) -> Reading:
        """Take in the next turn."""
        for view in turn.views:
            if view.found is None:
                self._past.clear()
            elif not view.is_same:
                self._held.look()
                self._look(view, view.found)
        return self._held.reading(turn.end_ns)

    def _look(self, view: View, found: Comparison) -> None:
        before = self._before(view.frame.stamp_ns, found)
        if before is None:
            return
        churns = largest(np.abs(found.lit - before)) > self._config.change
        since = np.zeros(view.shape, np.float32)
        boxes, area = list[Box](), 0
        for piece in pieces(found.new & self._zone.mask(view.shape), self._config.least_area * since.size):
            seen_s = self._seen_for(piece.mask)
            veils = self._veils(piece.mask, found, churns)
            seen_s = seen_s + view.step_s if veils else max(0.0, seen_s - view.step_s)
            since[piece.mask] = seen_s
            if seen_s >= self._config.confirm_s:
                boxes.append(piece.box)
                area += piece.area
        self._since_s = since
        if boxes:
            self._held.see(view.frame.stamp_ns, area / since.size, tuple(boxes))

    def _before(self, stamp_ns: int, found: Comparison) -> Floats | None:
        """Return the picture of half a second ago, None where it is not known."""
        self._past.append((stamp_ns, found.lit))
        limit_ns = stamp_ns - round(_PAST_S * 1e9)
        while len(self._past) > 1 and self._past[1][0] <= limit_ns:
            self._past.popleft()
        return self._past[0][1] if self._past[0][0] <= limit_ns else None

    def _seen_for(self, inside: Mask) -> float:
        """Return for how long this has looked like smoke: what most of it has that did before."""
        known = self._since_s[inside] if self._since_s is not None else np.zeros(0, np.float32)
        known = known[known > 0.0]
        return float(np.median(known)) if len(known) > _SAME * inside.sum() else 0.0

    def _veils(self, inside: Mask, found: Comparison, churns: Mask) -> bool:
        """Tell whether grey has taken the place of a share of every colour, softly, and moves."""
        if float(churns[inside].mean()) < self._config.churn:
            return False
        rim = inside & ~eroded(inside)
        away = found.lit - found.scene
        if float((slope(largest(np.abs(away)))[rim] > _SOLID).mean()) > self._config.rim:
            return False
        share, grey = _veil(found.lit[inside], found.scene[inside])
        is_grey = float(np.ptp(grey)) <= _MOST_COLOUR and _DARKEST < float(grey.mean()) < _BRIGHTEST
        return _SHARES[0] < share < _SHARES[1] and is_grey


def _veil(lit: Floats, scene: Floats) -> tuple[float, Floats]:
    """Return the share that a veil takes away, and the colour [3] that it puts there. lit, scene: [N, 3].

    By least squares: lit = (1 - share) * scene + share * colour, one share for all.
    """
    middle_lit, middle = lit.mean(axis=0), scene.mean(axis=0)
    spread = float(np.square(scene - middle).sum())
    kept = float(((lit - middle_lit) * (scene - middle)).sum()) / max(1e-6, spread)
    share = 1.0 - kept
    colour = (middle_lit - kept * middle) / max(0.05, share)
    return share, np.asarray(colour, np.float32)
