"""Watch a surface: something that spreads over it, and something that was left on it.

A spill begins small and grows at its rim on all sides, evenly and slowly; it loses nothing, and what it has covered
stays as it is. A person who comes near or crouches grows as well, but not on all sides, and not wider than tall; a hand
comes fast, a shadow or the glow of a flame has no rim. It knows no rules, and no liquid: what spreads without a colour
of its own is not seen, nor is what is hidden.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from tml_ros.config import param
from tml_ros.safety.arrays import Floats, Labels, Mask, eroded, grown, largest, slope
from tml_ros.safety.eye import View
from tml_ros.safety.scene import Comparison
from tml_ros.safety.watcher import Reading, SafetyTurn, Surroundings
from tml_ros.safety.zone import find_zone
from tml_ros.safety.zones import Box, as_box

__all__ = ["SurfaceConfig", "SurfaceWatcher"]

_FEW = 8  # pixels
_LEAST = 20
_SIDES = 3  # that it must be seen to grow on; the fourth may be out of the picture
_SAME = 0.3
_SQUARE = np.ones((3, 3), np.uint8)
_SPANS = (1, 2, 4)  # times that growth is measured over: a small spill grows fast, a large one or a blurred one slowly


@dataclass(frozen=True, slots=True)
class SurfaceConfig:
    """What spreads, and what is left."""

    zone: str = param("", "Name of the zone that is the surface; empty: the whole picture")
    least_area: float = param(0.003, "Least area of a spill, share of the picture", minimum=0.0, maximum=1.0)
    within_s: float = param(
        0.4,
        "Time over which growth is measured; it is over two and four times that, too",
        unit="s",
        minimum=0.1,
        maximum=10.0,
    )
    growth: float = param(0.15, "Least growth in that time, share of what it is then", minimum=0.0, maximum=1.0)
    rim: float = param(
        0.038, "Most that a rim moves in that time, share of the picture's width", minimum=0.0, maximum=1.0
    )
    lost: float = param(
        0.05, "Most that goes away again in that time, share of what it is then", minimum=0.0, maximum=1.0
    )
    sides: float = param(
        0.03, "Least share of the growth on each of its four sides; on three of them three times as much", minimum=0.0
    )
    calm: float = param(15.0, "Most that the middle changes in that time, of 255", minimum=0.0, maximum=255.0)
    colour: float = param(60.0, "Largest variation of colour within a spill, of 255", minimum=1.0, maximum=255.0)
    fill: float = param(0.5, "Least share of its box that it fills: it is round", minimum=0.0, maximum=1.0)
    wide: float = param(1.1, "Least width over height: it lies", minimum=0.0, maximum=10.0)
    edge: float = param(
        2.5, "Least slope of its rim over its contrast, eight times that of a pixel: it is no light", minimum=0.0
    )
    confirm: int = param(4, "Frames that must show it, less those after the first that do not", minimum=1, maximum=100)
    left_s: float = param(3.0, "Time after which something new that is still counts as left", unit="s", minimum=0.2)


@dataclass(frozen=True, slots=True)
class _Look:
    """What is new on one picture, soft light apart. flat: [h, w, 3], the picture without that light. away: [h, w], how
    far that is from the scene; steep: [h, w], the slope of it.
    """

    stamp_ns: int
    new: Mask
    flat: Floats
    away: Floats
    steep: Floats


@dataclass(frozen=True, slots=True)
class _Piece:
    """A piece that is new, beside the same place a while ago. Areas are in pixels.

    gained: new since then; far: the share of it that is away from the rim there was; sides: the shares of it to the
    left, right, top and bottom; at_border: which of these is the picture's. lost: what has gone since then, a pixel at
    the rim aside. change: in its middle. steep: slope of its rim over its contrast.
    """

    area: int
    before: int
    gained: int
    far: float
    sides: tuple[float, float, float, float]
    lost: int
    change: float
    colour: float
    fill: float
    wide: float
    steep: float
    at_border: tuple[bool, bool, bool, bool]


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
        self._past: deque[_Look] = deque()
        self._streaks: NDArray[np.int32] | None = None
        self._values: dict[str, float | None] = dict.fromkeys(self.values)
        self._boxes: tuple[Box, ...] = ()

    def step(self, turn: SafetyTurn) -> Reading:
        """Take in the next turn."""
        for view in turn.views:
            if view.found is None:
                self._past.clear()
            elif not view.is_same:
                self._look(view, view.found)
        return Reading(dict(self._values), self._boxes)

    def _look(self, view: View, found: Comparison) -> None:
        mask = self._zone.mask(view.shape)
        now = _look_at(view.frame.stamp_ns, found)
        past = self._before(now)
        reach = max(1, round(self._config.rim * view.shape[1]))
        streaks = np.zeros(view.shape, np.int32)
        boxes: list[Box] = []
        count, raw, stats, _ = cv2.connectedComponentsWithStats(now.new.astype(np.uint8), connectivity=8)
        labels: Labels = np.asarray(raw, np.int32)
        for number in range(1, count):
            x, y, width, height, area = (int(value) for value in stats[number])
            if area < _LEAST:
                continue
            inside = labels == number
            streak = self._streak(inside)
            if streak < self._config.confirm and past:
                part, box = inside & mask, (x, y, width, height)
                spreads = any(self._spreads(_piece(part, box, now, then, reach)) for then in past)
                streak = streak + 1 if spreads else max(0, streak - 1)
            if streak >= self._config.confirm and area >= self._config.least_area * mask.size:
                boxes.append(as_box(x, y, x + width, y + height, view.shape))
            streaks[inside] = streak
        self._streaks, self._boxes = streaks, tuple(boxes)
        still = found.new & ~found.shadow & (np.minimum(found.new_s, view.still_s) >= self._config.left_s) & mask
        self._values = {
            "spill": float(bool(boxes)),
            "area": float((streaks >= self._config.confirm).mean()) if boxes else 0.0,
            "left": float(still.sum()) / max(1, int(mask.sum())),
        }

    def _streak(self, inside: Mask) -> int:
        """Return for how many frames this has been spreading: what most of it has that was there before."""
        known = self._streaks[inside] if self._streaks is not None else np.zeros(0, np.int32)
        known = known[known > 0]
        return int(np.median(known)) if len(known) > _SAME * inside.sum() else 0

    def _before(self, now: _Look) -> list[_Look]:
        """Return how it was a while ago, and longer ago, as far as that is known."""
        within_ns = round(self._config.within_s * 1e9)
        self._past.append(now)
        while len(self._past) > 1 and self._past[1].stamp_ns <= now.stamp_ns - _SPANS[-1] * within_ns:
            self._past.popleft()
        limits = (now.stamp_ns - span * within_ns for span in _SPANS)
        found = (next((one for one in reversed(self._past) if one.stamp_ns <= limit), None) for limit in limits)
        return [look for look in found if look is not None]

    def _spreads(self, piece: _Piece) -> bool:
        """Tell whether a piece has grown a little, on all sides, has kept what it had, and is calm inside."""
        config = self._config
        sides = sorted(share for share, at_border in zip(piece.sides, piece.at_border, strict=True) if not at_border)
        if len(sides) < _SIDES or piece.before < _FEW or piece.fill < config.fill or piece.wide < config.wide:
            return False
        if piece.steep < config.edge:  # the glow of a flame comes and goes, a light fades in
            return False
        if piece.gained < config.growth * piece.area or piece.far > 2 * config.lost:
            return False
        if piece.lost > config.lost * piece.area:
            return False
        is_round = sides[0] >= config.sides and sides[1] >= 3.0 * config.sides
        return is_round and piece.change < config.calm and piece.colour <= config.colour


def _look_at(stamp_ns: int, found: Comparison) -> _Look:
    away = largest(np.abs(found.flat - found.scene))
    return _Look(stamp_ns, found.solid, found.flat, away, np.asarray(cv2.dilate(slope(away), _SQUARE), np.float32))


def _piece(inside: Mask, box: tuple[int, int, int, int], now: _Look, then: _Look, reach: int) -> _Piece:
    x, y, width, height = box
    rows, columns = inside.shape
    area, old = int(inside.sum()), inside & then.new
    gained = inside & ~then.new
    gone = then.new & grown(inside, 3) & ~grown(now.new, 1)
    near = grown(old, reach)
    core = eroded(old) if eroded(old).sum() >= _FEW else old
    change = largest(np.abs(now.flat - then.flat))[core]
    total = max(1, int(gained.sum()))
    return _Piece(
        area=area,
        before=int(old.sum()),
        gained=int(gained.sum()),
        far=float((gained & ~near).sum()) / total,
        sides=_sides(gained, old),
        lost=int(gone.sum()),
        change=float(np.median(change)) if len(change) else 255.0,
        colour=float(now.flat[inside].std(axis=0).max()) if area else 255.0,
        fill=area / (width * height),
        wide=width / height,
        steep=_steepness(inside, now),
        at_border=(x <= 0, x + width >= columns, y <= 0, y + height >= rows),
    )


def _steepness(inside: Mask, now: _Look) -> float:
    rim = inside & ~eroded(inside)
    if not rim.any():
        return 0.0
    return float(np.median(now.steep[rim])) / max(1.0, float(np.median(now.away[inside])))


def _sides(gained: Mask, old: Mask) -> tuple[float, float, float, float]:
    """Return what shares of the growth lie to the left, right, top and bottom of what there was."""
    rows, columns = np.nonzero(old)
    y, x = np.nonzero(gained)
    if not len(rows) or not len(y):
        return (0.0, 0.0, 0.0, 0.0)
    half_x, half_y = (np.ptp(columns) + 1) / 2.0, (np.ptp(rows) + 1) / 2.0
    across = (x - (columns.min() + columns.max()) / 2.0) / half_x
    down = (y - (rows.min() + rows.max()) / 2.0) / half_y
    is_beside = np.abs(across) >= np.abs(down)
    parts = (is_beside & (across < 0), is_beside & (across >= 0), ~is_beside & (down < 0), ~is_beside & (down >= 0))
    left, right, top, bottom = (float(part.mean()) for part in parts)
    return (left, right, top, bottom)
