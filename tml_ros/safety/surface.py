"""Watch a surface: something that spreads over it, and something that was left on it.

A spill begins small and grows at its rim on all sides, evenly and slowly; it loses nothing, and what it has covered
stays as it is. One that began before the camera went blind is larger on all sides afterwards. A person who comes near
or crouches grows as well, but not on all sides, and not wider than tall; a hand comes fast, a shadow or the glow of a
flame has no rim. It knows no rules, and no liquid: what spreads without a colour of its own is not seen, nor is what is
hidden, or has spread before it could be seen.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise, repeat
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
_LOST_EVER = 2.0  # times what may be lost in the time that shows the growth, in any other
_MARGIN = 4  # pixels around a piece that tell what has become of it
_SIDES = 3  # that it must be seen to grow on; the fourth may be out of the picture
_SAME = 0.3
# Of 255: darker in one colour and hardly lighter in red, which lamps and flames have most of; more of another colour.
_DARKER, _NO_LIGHT, _COLDER = 8.0, 20.0, 14.0
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
        "Time over which growth is measured; it is over two, four and eight times that, too",
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
    """One way to look at what is new on a picture. new: [h, w]. flat: [h, w, 3], the picture that it is new on.

    kept: the same in bytes. around: [h, w], new, or what may be before it, as a flame in a puddle. away: [h, w], how
    far flat is from the scene; steep: [h, w], the slope of that.
    """

    new: Mask
    around: Mask
    flat: Floats
    kept: Bytes
    away: Floats
    steep: Floats


@dataclass(frozen=True, slots=True)
class _Before:
    """What is kept of the looks at one picture, in their order: what was new, and [h, w, 3] the picture.

    blinks: how many pictures had shown nothing until then.
    """

    stamp_ns: int
    blinks: int
    new: tuple[Mask, ...]
    kept: tuple[Bytes, ...]


@dataclass(frozen=True, slots=True)
class _Span:
    """How it was a while ago. is_slow: the longest while. was_blind: nothing could be seen for a time since then."""

    before: _Before
    is_slow: bool
    was_blind: bool


@dataclass(frozen=True, slots=True)
class _Shape:
    """A piece that is new. window: rows and columns around it; inside: [rows, columns], what of that it is.

    area: in pixels. steep: slope of its rim over its contrast. at_border: whether it touches the picture's left, right,
    top and bottom.
    """

    window: tuple[slice, slice]
    inside: Mask
    area: int
    colour: float
    fill: float
    wide: float
    steep: float
    at_border: tuple[bool, bool, bool, bool]


@dataclass(frozen=True, slots=True)
class _Growth:
    """A piece beside the same place a while ago. Areas are in pixels.

    gained: new since then; far: the share of it that is away from the rim there was; sides: the shares of it to the
    left, right, top and bottom. lost: what has gone since then, a pixel at the rim aside. change: in its middle.
    """

    before: int
    gained: int
    far: float
    sides: tuple[float, float, float, float]
    lost: int
    change: float


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
        self._blinks = 0
        self._streaks: dict[int, NDArray[np.int32]] = {}
        self._values: dict[str, float | None] = dict.fromkeys(self.values)
        self._boxes: tuple[Box, ...] = ()

    def step(self, turn: SafetyTurn) -> Reading:
        """Take in the next turn."""
        for view in turn.views:
            if view.is_blind:
                self._blinks += 1  # what had begun to spread goes on behind it
            elif view.found is None:
                self._past.clear()
                self._streaks.clear()
            elif not view.is_same:
                self._look(view, view.found)
        return Reading(dict(self._values), self._boxes)

    def _look(self, view: View, found: Comparison) -> None:
        mask = self._zone.mask(view.shape)
        looks = _looks_at(found)
        past = self._before(view.frame.stamp_ns, looks)
        spilled = np.zeros(view.shape, np.bool_)
        boxes: list[Box] = []
        for kind, now in enumerate(looks):
            streaks = np.zeros(view.shape, np.int32)
            for piece in pieces(now.new, _LEAST):
                inside = piece.mask
                streak = self._streak(self._streaks.get(kind), inside)
                if streak < self._config.confirm and past:
                    spreads = self._has_spread(_shape(inside & mask, piece.pixels, now), now, kind, past)
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

    def _has_spread(self, shape: _Shape, now: _Look, kind: int, past: list[_Span]) -> bool:
        if not self._lies(shape):
            return False
        reach = max(1, round(self._config.rim * now.new.shape[1]))
        growths = [_growth(shape, now, kind, span.before, reach) for span in past]
        most = _LOST_EVER * self._config.lost
        keeps_all = all(growth.lost <= most * shape.area for growth in growths)
        keeps_all &= all(older.before <= (1.0 + most) * newer.before for newer, older in pairwise(growths))
        return keeps_all and any(map(self._spreads, repeat(shape), growths, past))

    def _before(self, stamp_ns: int, looks: tuple[_Look, ...]) -> list[_Span]:
        """Keep the looks, and return how it was a while ago, and longer ago, as far as that is known."""
        within_ns = round(self._config.within_s * 1e9)
        new, kept = tuple(one.new for one in looks), tuple(one.kept for one in looks)
        self._past.append(_Before(stamp_ns, self._blinks, new, kept))
        while len(self._past) > 1 and self._past[1].stamp_ns <= stamp_ns - _SPANS[-1] * within_ns:
            self._past.popleft()
        spans = []
        for times in _SPANS:
            limit_ns = stamp_ns - times * within_ns
            before = next((one for one in reversed(self._past) if one.stamp_ns <= limit_ns), None)
            if before is not None:
                spans.append(_Span(before, times == _SPANS[-1], before.blinks < self._blinks))
        return spans

    def _lies(self, shape: _Shape) -> bool:
        """Tell whether a piece may be something that lies on a surface, by what it looks like now."""
        config = self._config
        is_upright = shape.wide < config.lies
        most = config.colour * (_UPRIGHT_COLOUR if is_upright else 1.0)
        is_plain = shape.fill >= config.fill and shape.wide >= config.wide and shape.colour <= most
        # the glow of a flame comes and goes, a light fades in
        return is_plain and shape.steep >= config.edge and sum(shape.at_border) <= (0 if is_upright else 4 - _SIDES)

    def _spreads(self, shape: _Shape, growth: _Growth, span: _Span) -> bool:
        """Tell whether a piece has grown a little, on all sides, has kept what it had, and is calm inside.

        How far its rim has moved counts only where it was seen to.
        """
        config, is_upright, is_slow = self._config, shape.wide < self._config.lies, span.is_slow
        if growth.before < _FEW or growth.gained < config.growth * (_SLOW_GROWTH if is_slow else 1.0) * shape.area:
            return False
        if growth.far > 2 * config.lost and not span.was_blind:
            return False
        if growth.lost > config.lost * (_UPRIGHT_LOST if is_upright else 1.0) * shape.area:
            return False
        sides = sorted(share for share, is_out in zip(growth.sides, shape.at_border, strict=True) if not is_out)
        least = config.sides * (_UPRIGHT_SIDES if is_upright else _SLOW_SIDES if is_slow else 1.0)
        is_round = sides[0] >= least and sides[1] >= 3.0 * config.sides
        if is_slow:
            is_round &= len(sides) > _SIDES
        if is_upright:
            is_round &= sides[-1] <= _UPRIGHT_MOST
        return is_round and growth.change < config.calm * (_SLOW_CALM if is_slow else 1.0)


def _looks_at(found: Comparison) -> tuple[_Look, ...]:
    """Return what is new soft light apart; what of that is darker, and what is green or blue; and all that is new.

    A lamp or a flame makes nothing darker, and shines in neither of these colours: it may even burn in a green puddle.
    One may be so large that its middle is taken for soft light.
    """
    change = found.flat - found.scene
    darker = opened(found.solid & (smallest(change) < -_DARKER) & (change[..., 0] < _NO_LIGHT))
    cold = opened(found.solid & (_coldness(change) > _COLDER) & (_coldness(found.flat) > _COLDER))
    flat = (found.flat, _bytes(found.flat), *_slopes(change))
    lit = (found.lit, _bytes(found.lit), *_slopes(found.lit - found.scene))
    all_new = found.new & ~found.shadow
    return (
        _Look(found.solid, found.solid, *flat),
        _Look(darker, darker, *flat),
        _Look(cold, found.solid, *flat),
        _Look(all_new, all_new, *lit),
    )


def _coldness(picture: Floats) -> Floats:
    """Return [h, w] how much more there is of another colour than of red."""
    return np.asarray(np.maximum(picture[..., 1], picture[..., 2]) - picture[..., 0], np.float32)


def _bytes(picture: Floats) -> Bytes:
    return np.clip(np.round(picture), 0.0, 255.0).astype(np.uint8)


def _slopes(change: Floats) -> tuple[Floats, Floats]:
    """Return [h, w] how large a change [h, w, 3] is, and how steep that is."""
    away = largest(np.abs(change))
    return away, np.asarray(cv2.dilate(slope(away), _SQUARE), np.float32)


def _shape(inside: Mask, pixels: tuple[int, int, int, int], now: _Look) -> _Shape:
    """Describe a piece. inside: [h, w]. pixels: left, top, width and height of it."""
    x, y, width, height = pixels
    rows, columns = inside.shape
    window = (slice(max(0, y - _MARGIN), y + height + _MARGIN), slice(max(0, x - _MARGIN), x + width + _MARGIN))
    part = inside[window]
    area = int(part.sum())
    return _Shape(
        window=window,
        inside=part,
        area=area,
        colour=float(now.flat[window][part].std(axis=0).max()) if area else 255.0,
        fill=float((now.around | inside)[y : y + height, x : x + width].mean()),
        wide=width / height,
        steep=_steepness(part, now.steep[window], now.away[window]),
        at_border=(x <= 0, x + width >= columns, y <= 0, y + height >= rows),
    )


def _growth(shape: _Shape, now: _Look, kind: int, before: _Before, reach: int) -> _Growth:
    """Compare a piece with how it was. kind: which of the looks it is of."""
    window, inside = shape.window, shape.inside
    then = before.new[kind][window]
    old, gained = inside & then, inside & ~then
    gone = then & grown(inside, _MARGIN - 1) & ~grown(now.new[window], 1)
    far = gained & ~grown(old, reach)
    core = eroded(old) if eroded(old).sum() >= _FEW else old
    change = largest(np.abs(now.flat[window] - before.kept[kind][window].astype(np.float32)))[core]
    return _Growth(
        before=int(old.sum()),
        gained=int(gained.sum()),
        far=float(far.sum()) / max(1, int(gained.sum())),
        sides=_sides(gained, old),
        lost=int(gone.sum()),
        change=float(np.median(change)) if len(change) else 255.0,
    )


def _steepness(inside: Mask, steep: Floats, away: Floats) -> float:
    rim = inside & ~eroded(inside)
    if not rim.any():
        return 0.0
    return float(np.median(steep[rim])) / max(1.0, float(np.median(away[inside])))


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
