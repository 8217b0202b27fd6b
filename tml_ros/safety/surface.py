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
from tml_ros.safety.arrays import Bytes, Floats, Mask, eroded, grown, largest, opened, slope, smallest
from tml_ros.safety.blobs import pieces
from tml_ros.safety.eye import View
from tml_ros.safety.scene import Comparison
from tml_ros.safety.watcher import Reading, SafetyTurn, Surroundings
from tml_ros.safety.zone import find_zone
from tml_ros.safety.zones import Box

__all__ = ["SurfaceConfig", "SurfaceWatcher"]

_FEW = 8  # pixels
_LEAST = 20
_SIDES = 3  # that it must be seen to grow on; the fourth may be out of the picture
_SAME = 0.3
_DARKER, _NO_LIGHT = 8.0, 20.0  # of 255: in one colour, and in red, which lamps and flames have most of
_SQUARE = np.ones((3, 3), np.uint8)
# Times that growth is measured over: a small spill grows fast, a large one or a blurred one slowly. One that is found
# late, or that leaks, may gain less in the last of them, but then on all sides.
_SPANS = (1, 2, 4, 8)
_SLOW_GROWTH, _SLOW_SIDES, _SLOW_CALM = 0.5, 2.0, 1.5  # times those of the others
_UPRIGHT_COLOUR, _UPRIGHT_LOST, _UPRIGHT_SIDES = 0.6, 0.6, 3.0
_UPRIGHT_MOST = 0.45  # of the growth, on one side: legs grow downwards


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
    calm: float = param(9.0, "Most that the middle changes in that time, of 255", minimum=0.0, maximum=255.0)
    colour: float = param(60.0, "Largest variation of colour within a spill, of 255", minimum=1.0, maximum=255.0)
    fill: float = param(0.5, "Least share of its box that it fills: it is round", minimum=0.0, maximum=1.0)
    wide: float = param(0.6, "Least width over height, seen from above", minimum=0.0, maximum=10.0)
    lies: float = param(
        1.1,
        "Width over height from which it lies, seen from the side; less is a person unless it grows on all four sides, "
        "of one colour, and loses next to nothing",
        minimum=0.0,
        maximum=10.0,
    )
    edge: float = param(
        2.5, "Least slope of its rim over its contrast, eight times that of a pixel: it is no light", minimum=0.0
    )
    confirm: int = param(4, "Frames that must show it, less those after the first that do not", minimum=1, maximum=100)
    left_s: float = param(3.0, "Time after which something new that is still counts as left", unit="s", minimum=0.2)


@dataclass(frozen=True, slots=True)
class _Look:
    """What is new on one picture, soft light apart, and what of that is darker in a colour, as no light is.

    flat: [h, w, 3], the picture without that light. away: [h, w], how far that is from the scene; steep: [h, w], the
    slope of it.
    """

    stamp_ns: int
    new: tuple[Mask, Mask]
    flat: Floats
    away: Floats
    steep: Floats


@dataclass(frozen=True, slots=True)
class _Before:
    """What is kept of a look. flat: [h, w, 3] uint8."""

    stamp_ns: int
    new: tuple[Mask, Mask]
    flat: Bytes


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
        self._past: deque[_Before] = deque()
        self._streaks: list[NDArray[np.int32] | None] = [None, None]
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
        spilled = np.zeros(view.shape, np.bool_)
        boxes: list[Box] = []
        for kind, new in enumerate(now.new):
            streaks = np.zeros(view.shape, np.int32)
            for piece in pieces(new, _LEAST):
                inside, pixels = piece.mask, piece.pixels
                streak = self._streak(self._streaks[kind], inside)
                if streak < self._config.confirm and past:
                    spreads = self._has_spread(inside & mask, pixels, now, past, kind)
                    streak = streak + 1 if spreads else max(0, streak - 1)
                if streak >= self._config.confirm and piece.area >= self._config.least_area * mask.size:
                    boxes.append(piece.box)
                    spilled |= inside
                streaks[inside] = streak
            self._streaks[kind] = streaks
        self._boxes = tuple(dict.fromkeys(boxes))
        still = found.new & ~found.shadow & (np.minimum(found.new_s, view.still_s) >= self._config.left_s) & mask
        self._values = {
            "spill": float(bool(boxes)),
            "area": float(spilled.mean()),
            "left": float(still.sum()) / max(1, int(mask.sum())),
        }

    def _streak(self, before: NDArray[np.int32] | None, inside: Mask) -> int:
        """Return for how many frames this has been spreading: what most of it has that was there before."""
        known = before[inside] if before is not None else np.zeros(0, np.int32)
        known = known[known > 0]
        return int(np.median(known)) if len(known) > _SAME * inside.sum() else 0

    def _has_spread(
        self, inside: Mask, pixels: tuple[int, int, int, int], now: _Look, past: list[tuple[int, _Before]], kind: int
    ) -> bool:
        reach = max(1, round(self._config.rim * inside.shape[1]))
        return any(
            self._spreads(_piece(inside, pixels, now, then, kind, reach), is_slow=number == len(_SPANS) - 1)
            for number, then in past
        )

    def _before(self, now: _Look) -> list[tuple[int, _Before]]:
        """Return how it was a while ago, and longer ago, each with the number of its span, as far as that is known."""
        within_ns = round(self._config.within_s * 1e9)
        flat = np.clip(np.round(now.flat), 0.0, 255.0).astype(np.uint8)
        self._past.append(_Before(now.stamp_ns, now.new, flat))
        while len(self._past) > 1 and self._past[1].stamp_ns <= now.stamp_ns - _SPANS[-1] * within_ns:
            self._past.popleft()
        limits = (now.stamp_ns - span * within_ns for span in _SPANS)
        found = (next((one for one in reversed(self._past) if one.stamp_ns <= limit), None) for limit in limits)
        return [(number, look) for number, look in enumerate(found) if look is not None]

    def _spreads(self, piece: _Piece, *, is_slow: bool) -> bool:
        """Tell whether a piece has grown a little, on all sides, has kept what it had, and is calm inside.

        is_slow: growth is measured over the longest time.
        """
        config = self._config
        sides = sorted(share for share, at_border in zip(piece.sides, piece.at_border, strict=True) if not at_border)
        if len(sides) < _SIDES or piece.before < _FEW or piece.fill < config.fill or piece.wide < config.wide:
            return False
        if piece.steep < config.edge:  # the glow of a flame comes and goes, a light fades in
            return False
        is_upright = piece.wide < config.lies
        growth = config.growth * (_SLOW_GROWTH if is_slow else 1.0)
        if piece.gained < growth * piece.area or piece.far > 2 * config.lost:
            return False
        if piece.lost > config.lost * (_UPRIGHT_LOST if is_upright else 1.0) * piece.area:
            return False
        least = config.sides * (_UPRIGHT_SIDES if is_upright else _SLOW_SIDES if is_slow else 1.0)
        is_round = sides[0] >= least and sides[1] >= 3.0 * config.sides
        if is_upright or is_slow:
            is_round &= len(sides) > _SIDES
        if is_upright:
            is_round &= sides[-1] <= _UPRIGHT_MOST
        colour = config.colour * (_UPRIGHT_COLOUR if is_upright else 1.0)
        calm = config.calm * (_SLOW_CALM if is_slow else 1.0)
        return is_round and piece.change < calm and piece.colour <= colour


def _look_at(stamp_ns: int, found: Comparison) -> _Look:
    change = found.flat - found.scene
    away = largest(np.abs(change))
    darker = opened(found.solid & (smallest(change) < -_DARKER) & (change[..., 0] < _NO_LIGHT))
    steep = np.asarray(cv2.dilate(slope(away), _SQUARE), np.float32)
    return _Look(stamp_ns, (found.solid, darker), found.flat, away, steep)


def _piece(inside: Mask, pixels: tuple[int, int, int, int], now: _Look, then: _Before, kind: int, reach: int) -> _Piece:
    """Compare a piece with how it was. kind: which of the masks it is of."""
    x, y, width, height = pixels
    rows, columns = inside.shape
    area, old = int(inside.sum()), inside & then.new[kind]
    gained = inside & ~then.new[kind]
    gone = then.new[kind] & grown(inside, 3) & ~grown(now.new[kind], 1)
    near = grown(old, reach)
    core = eroded(old) if eroded(old).sum() >= _FEW else old
    change = largest(np.abs(now.flat - then.flat.astype(np.float32)))[core]
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
