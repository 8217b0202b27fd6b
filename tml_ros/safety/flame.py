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
from numpy.typing import NDArray

from tml_ros.config import param
from tml_ros.media.registration import local_contrast, moved, shift_between
from tml_ros.safety.arrays import Floats, Mask, edges, grown, largest, mean
from tml_ros.safety.eye import View
from tml_ros.safety.held import Held
from tml_ros.safety.scene import Comparison, distance
from tml_ros.safety.watcher import Reading, SafetyTurn, Surroundings
from tml_ros.safety.zone import find_zone
from tml_ros.safety.zones import as_box

__all__ = ["FlameConfig", "FlameWatcher"]

_GREEN = 0.7  # least green over blue
_STANDS_ON = 0.4
_SAME = 0.2
_IN_TURN = 0.013
_RESTLESS = 0.07
_EDGE = 100.0  # slope, eight times per pixel
# Shares of the edges elsewhere, and of the picture, that change when the camera shakes.
_SHAKES, _RESTS = 0.25, 0.02
_SHINES = 0.8  # what a flame shines on is darker than it is
_CHANGE, _NOISE = 18.0, 3.0  # of 255, and times what the picture changes everywhere
_FARTHEST = 0.05  # of the width, that a camera shakes from frame to frame
_STILL = 0.5  # pixels, of a camera that does not shake
_MOVED, _DRIFT, _SWAY = 0.4, 0.08, 0.3  # of its height


@dataclass(frozen=True, slots=True)
class FlameConfig:
    """What looks like a flame."""

    zone: str = param("", "Name of the zone that is watched; empty: the whole picture")
    least_area: float = param(0.0008, "Least area, share of the picture", minimum=0.0, maximum=1.0)
    red: float = param(90.0, "Least red of a flame's pixel, of 255", minimum=0.0, maximum=255.0)
    glow: float = param(
        0.75,
        "Least red of its pixel over the brightest of the scene; what it shines on has less",
        minimum=0.0,
        maximum=5.0,
    )
    warmth: float = param(0.35, "How far red must be above blue, share of the red", minimum=0.0, maximum=1.0)
    rise: float = param(20.0, "How much more light, or warmth, there must be than before, of 255", minimum=0.0)
    core: float = param(
        0.93, "Least red of its brightest tenth, over the brightest of the scene", minimum=0.0, maximum=5.0
    )
    rim: float = param(0.44, "Least warmth of its warmest quarter, as above", minimum=0.0, maximum=1.0)
    spread: float = param(0.1, "How far green must vary inside it, share of the red", minimum=0.0, maximum=1.0)
    flicker: float = param(0.08, "Least share of it that changes from frame to frame", minimum=0.0, maximum=1.0)
    frames: int = param(4, "Frames over which its flicker and its foot are watched", minimum=2, maximum=50)
    confirm: int = param(2, "Frames of the last four that must look like it", minimum=1, maximum=4)
    hold_s: float = param(1.0, "Time that it counts when it is not seen", unit="s", minimum=0.0, maximum=60.0)


@dataclass(frozen=True, slots=True)
class _Spot:
    """A warm piece of one frame.

    foot: middle of its lowest fifth, shares of the picture. core: red of its brightest tenth, over the scene's
    brightest. rim: warmth of its warmest quarter. spread: of green over red. stands_on: what is new below it, moved and
    not warmer, over its own area. restless: share of it that changes. box: in pixels.
    """

    mask: Mask
    foot: tuple[float, float]
    core: float
    rim: float
    spread: float
    stands_on: float
    restless: float
    box: tuple[int, int, int, int]


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
        self._before: Floats | None = None
        self._changes: deque[Mask] = deque(maxlen=config.frames)
        self._likely: deque[bool] = deque(maxlen=4)
        self._flames: Mask | None = None
        self._held = Held("flame", config.hold_s)

    def step(self, turn: SafetyTurn) -> Reading:
        """Take in the next turn."""
        for view in turn.views:
            if view.found is None:
                continue
            self._held.look()
            if not view.is_same:
                self._look(view, view.found)
        reading = self._held.reading(turn.end_ns)
        if not reading.values["flame"]:
            self._flames = None
        return reading

    def _look(self, view: View, found: Comparison) -> None:
        spots = self._spots(view, found)
        self._past.append(spots)
        flames = [spot for spot in spots if self._burns(spot)]
        self._likely.append(bool(flames))
        if not flames or sum(self._likely) < self._config.confirm:
            return
        self._flames = np.logical_or.reduce([spot.mask for spot in flames])
        boxes = tuple(as_box(*spot.box, view.shape) for spot in flames)
        self._held.see(view.frame.stamp_ns, float(self._flames.mean()), boxes)

    def _spots(self, view: View, found: Comparison) -> list[_Spot]:
        colours: Floats = view.rgb.astype(np.float32)
        red, green, blue = (np.asarray(one, np.float32) for one in cv2.split(colours))
        old_red, _, old_blue = cv2.split(found.scene * np.float32(found.light))
        rise = np.maximum(red - old_red, (red - blue) - (old_red - old_blue))
        white = float(np.quantile(old_red[::4, ::4], 0.98))
        least = max(self._config.red, self._config.glow * white)
        is_warm = (red >= least) & (red - blue >= self._config.warmth * red) & (red >= green)
        is_warm &= (green >= _GREEN * blue) & (rise >= self._config.rise) & grown(found.new, 2)
        is_warm &= self._zone.mask(view.shape)
        restless = self._restless(colours, grown(is_warm, 4))
        # what a flame only shines on is warm, too, and hardly changes
        is_warm &= grown(np.logical_or.reduce(list(self._changes)), 1)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(is_warm.astype(np.uint8), connectivity=8)
        cold = found.solid & found.moved & (rise < self._config.rise)  # no puddle, and nothing that is only lit up
        spots = []
        for number in range(1, count):
            if stats[number, cv2.CC_STAT_AREA] >= self._config.least_area * labels.size:
                mask = labels == number
                mask &= red >= _SHINES * float(np.quantile(red[mask], 0.95))
                rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
                box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
                spots.append(_spot(mask, box, red, green, blue, cold, restless, white))
        return spots

    def _restless(self, colours: Floats, warm: Mask) -> Mask:
        """Return what differs from the frame before by more than noise does."""
        before, self._before = self._before, colours
        if before is None or before.shape != colours.shape:
            self._changes.clear()
            before = colours
        shift = _shift(before, colours, warm) if warm.any() else np.zeros(2)
        before = moved(before, -shift)
        change = largest(np.abs(colours - before))
        limit = _CHANGE + _NOISE * float(np.median(change[::4, ::4]))
        restless: Mask = change > limit
        # what lies within a pixel tells nothing when the camera shakes
        still_edges = (edges(before) > _EDGE) & ~warm
        shaken = float(restless[still_edges].mean()) if still_edges.any() else 0.0
        if float(np.abs(shift).max()) > _STILL or shaken > _SHAKES or float(restless.mean()) > _RESTS:
            restless = distance(colours, before) > limit
        self._changes.append(restless)
        return restless

    def _burns(self, spot: _Spot) -> bool:
        """Tell whether a spot looks like a flame, its outline never still and its foot in its place."""
        config = self._config
        if spot.core < config.core or spot.rim < config.rim or spot.spread < config.spread:
            return False
        is_known = self._flames is not None and bool((self._flames & spot.mask).any())
        if spot.stands_on > _STANDS_ON and not is_known:
            return False
        chain = self._chain(spot)
        if len(chain) < config.frames:
            return False
        changes = [_change(a, b) for a, b in itertools.pairwise(chain)]
        # what grows, or fades in, does not lose in turn
        is_restless = float(np.median([min(both) for both in changes])) >= _IN_TURN
        flickers = float(np.median([sum(both) for both in changes])) >= config.flicker
        is_restless &= float(np.median([one.restless for one in chain])) >= _RESTLESS  # noise at a rim is no flicker
        return is_restless and flickers and not _walks(chain)

    def _chain(self, spot: _Spot) -> list[_Spot]:
        """Return the spot and what it was in the frames before, newest first, as far as it can be told."""
        chain = [spot]
        for spots in list(self._past)[-2::-1]:
            before = max(spots, key=lambda one: _overlap(one, chain[-1]), default=None)
            if before is None or _overlap(before, chain[-1]) < _SAME:
                break
            chain.append(before)
        return chain


def _spot(
    mask: Mask,
    box: tuple[int, int, int, int],
    red: Floats,
    green: Floats,
    blue: Floats,
    cold: Mask,
    restless: Mask,
    white: float,
) -> _Spot:
    window = (slice(box[1], box[3]), slice(box[0], box[2]))
    part = mask[window]
    rows, columns = np.nonzero(part)
    low = rows >= np.quantile(rows, 0.8)
    r, g, b = red[window][part], green[window][part], blue[window][part]
    core = float(np.quantile(r, 0.9))
    dark, bright = np.quantile(g, (0.1, 0.9))
    left, right = box[0] + int(columns[low].min()), box[0] + int(columns[low].max()) + 1
    reach = 3 * (box[3] - box[1]) // 2 + 2
    below = cold[box[3] + 1 : box[3] + 1 + reach, max(0, left - 2) : right + 2]
    return _Spot(
        mask,
        (box[0] + float(columns[low].mean()), box[1] + float(rows[low].mean())),
        core / max(1.0, white),
        float(np.quantile((r - b) / r, 0.75)),
        float(bright - dark) / core,
        float(below.sum()) / len(rows),
        float(restless[window][part].mean()),
        box,
    )


def _shift(before: Floats, colours: Floats, warm: Mask) -> NDArray[np.float64]:
    """Return [2] by how many pixels a camera that shakes has shifted what is not warm. The frames are [h, w, 3]."""
    shift = shift_between(local_contrast(mean(before)), local_contrast(mean(colours)), np.zeros(2), warm)
    return shift if np.abs(shift).max() < _FARTHEST * before.shape[1] else np.zeros(2)


def _walks(chain: list[_Spot]) -> bool:
    """Tell whether the foot is carried along: far, or a little but always the same way; or the sides come and go."""
    feet = np.array([spot.foot for spot in chain])
    size = max(spot.box[3] - spot.box[1] for spot in chain)
    went = np.abs(feet[0] - feet[-1]).max() / size
    path = np.abs(np.diff(feet, axis=0)).sum(axis=0).max() / size
    sides = np.array([(spot.box[0], spot.box[2]) for spot in chain]).std(axis=0).max() / size
    is_carried = np.ptp(feet, axis=0).max() / size > _MOVED or (went > _DRIFT and went > 0.7 * path)
    return bool(is_carried or sides > _SWAY)


def _overlap(a: _Spot, b: _Spot) -> float:
    """Return intersection over union."""
    union = int((a.mask | b.mask).sum())
    return int((a.mask & b.mask).sum()) / union if union else 0.0


def _change(a: _Spot, b: _Spot) -> tuple[float, float]:
    """Return what ``a`` has and ``b`` has not, and the reverse, one moved onto the other, shares of both together."""
    parts = [spot.mask[spot.box[1] : spot.box[3], spot.box[0] : spot.box[2]] for spot in (a, b)]
    middles = [np.argwhere(part).mean(axis=0) for part in parts]
    size = 2 * max(max(part.shape) for part in parts) + 2
    canvas = np.zeros((2, size, size), np.bool_)
    for place, part, middle in zip(canvas, parts, middles, strict=True):
        down, right = (round(size / 2 - float(value)) for value in middle)
        place[down : down + part.shape[0], right : right + part.shape[1]] = part
    union = max(1, int((canvas[0] | canvas[1]).sum()))
    return float((canvas[0] & ~canvas[1]).sum()) / union, float((canvas[1] & ~canvas[0]).sum()) / union
