"""Count repetitions of a motion in a part of the picture: push-ups, strokes, transfers from here to there and back.

Pictures become coarse maps of local contrast, steadied against a camera that shakes. The maps of the last seconds are
weighed by how periodic each place is, and their first principal component gives the two poses between which the motion
goes. A repetition is counted when the pose in which it began comes back after the other one. What moves much more than
what was counted so far was meant from the beginning: everything is counted anew by its poses. The same pictures give
the same count. It names no objects, and it counts one motion: of several in view the largest periodic one.

Source: spectral weights and self-similarity of periodic motion, Cutler and Davis (2000), Robust real-time periodic
motion detection, IEEE PAMI 22(8); the steadying is one-step-at-a-time registration, Lucas and Kanade (1981).
"""

import math
from collections import deque
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from tml_ros.errors import ConfigError
from tml_ros.media.registration import local_contrast, moved, shift_between

__all__ = ["RepetitionCounter"]

_SIZE = (160, 120)  # width and height in which a camera's shaking is followed
_MAP = (32, 24)
_SMOOTH_S = 0.25
_WINDOW_S = 12.0  # in which the motion is described; three of the slowest repetitions
_KEPT_S = 90.0  # that can be counted anew
_MOST_KEPT = 1_800
_UPDATE_S = 0.5
_FEWEST = 8  # pictures before anything is said
_BAND_HZ = (0.12, 1.2)
_CLIP = 8.0  # change of contrast beyond which more tells nothing: area counts, not brightness
_SHARE = 0.15  # of the pictures in the window that show a pose
_LOW, _HIGH = 0.28, 0.72  # closeness to a pose at which it is reached
_LEAST = 5.0  # distance of the poses; sensor noise and compression stay below 3
_STEADY = 3.0  # the poses are at least so many times as far apart as two pictures in the quieter moments
_MORE, _LESS = 1.8, 0.5  # of the distance of the poses so far: another motion, and none worth counting
_ALIKE = 0.5  # cosine between directions of motion that are the same one
_LONGEST_STEP_S = 0.5
_FARTHEST = 8.0  # pixels by which a camera shakes; beyond it was moved


class RepetitionCounter:
    """Counts in pictures that come in order.

    Thread: one caller at a time.
    """

    def __init__(self, region: Sequence[float] = (0.0, 0.0, 1.0, 1.0)) -> None:
        """Begin at zero. region: left, top, right, bottom as shares of the picture.

        Raises:
            ConfigError: the region is empty or not within the picture.
        """
        if len(region) != 4 or not (0 <= region[0] < region[2] <= 1 and 0 <= region[1] < region[3] <= 1):
            raise ConfigError(
                f"a region to count in is left, top, right, bottom as shares of the picture, got {list(region)}; "
                "use 0 0 1 1 for all of it"
            )
        self.count = 0
        self._region = tuple(region)
        self._steady = _Steady()
        self._recent: deque[tuple[float, NDArray[np.float32]]] = deque()
        self._times: list[float] = []
        self._maps: list[NDArray[np.float32]] = []
        self._stamp_ns: int | None = None
        self._updated_s = 0.0
        self._agreed_s = 0.0
        self._poses: _Poses | None = None
        self._at: int | None = None
        self._home: int | None = None

    def look(self, rgb: NDArray[np.uint8], stamp_ns: int) -> int:
        """Take in a picture [H, W, 3] and return the count so far. A gap or a clock that is set counts as a moment."""
        now_s = self._advance(stamp_ns)
        self._recent.append((now_s, self._steady.map(_part(rgb, self._region))))
        while self._recent[0][0] < now_s - _SMOOTH_S:
            self._recent.popleft()
        self._times.append(now_s)
        self._maps.append(np.mean([one for _, one in self._recent], axis=0, dtype=np.float32))
        if now_s - self._times[0] > _KEPT_S or len(self._times) > _MOST_KEPT:
            del self._times[0], self._maps[0]
        if len(self._maps) >= _FEWEST and now_s - self._updated_s >= _UPDATE_S:
            self._updated_s = now_s
            self._update(now_s)
        if self._poses is not None:
            self._walk(self._poses.closeness(self._maps[-1][None])[0])
        return self.count

    def _advance(self, stamp_ns: int) -> float:
        step_s = 0.0 if self._stamp_ns is None else (stamp_ns - self._stamp_ns) / 1e9
        self._stamp_ns = stamp_ns
        last_s = self._times[-1] if self._times else 0.0
        return last_s + (step_s if 0.0 < step_s <= _LONGEST_STEP_S else 0.1 if self._times else 0.0)

    def _walk(self, closeness: float) -> None:
        """Move on to a pose that is reached; count when it is the first one again."""
        at = 0 if closeness < _LOW else 1 if closeness > _HIGH else self._at
        if at == self._at:
            return
        if self._at is None:
            self._home = at
        elif at == self._home:
            self.count += 1
        self._at = at

    def _update(self, now_s: float) -> None:
        """Describe the motion of the last seconds and decide whether it is the one to be counted."""
        first = int(np.searchsorted(self._times, now_s - _WINDOW_S))
        maps = np.stack(self._maps[first:])
        new = _Poses.of(maps, (now_s - self._times[first]) / (len(maps) - 1))
        if new is None:
            return
        old = self._poses
        if old is None or new.distance > _MORE * old.distance:
            self._poses, self._agreed_s = new, now_s
            self._count_anew()
        elif new.distance >= _LESS * old.distance:
            new = new.turned_like(old)
            if new.likeness(old) >= _ALIKE or now_s - self._agreed_s > _WINDOW_S:
                self._poses, self._agreed_s = new.at_least(old.distance), now_s

    def _count_anew(self) -> None:
        self.count, self._at, self._home = 0, None, None
        assert self._poses is not None
        for closeness in self._poses.closeness(np.stack(self._maps))[:-1]:
            self._walk(closeness)


class _Poses:
    """Two poses between which a motion goes. ends: [2, N] float32. weights: [N], how periodic each place is."""

    def __init__(self, ends: NDArray[np.float32], weights: NDArray[np.float32], distance: float) -> None:
        self.distance = distance
        self._ends = ends
        self._weights = weights

    @classmethod
    def of(cls, maps: NDArray[np.float32], step_s: float) -> "_Poses | None":
        """Return the poses of a window, None when nothing moves. maps: [T, N] float32."""
        weights = _weights(maps, step_s)
        shifted = np.clip(maps - np.median(maps, axis=0), -_CLIP, _CLIP) * weights
        along = _project(shifted - shifted.mean(axis=0))
        order, count = np.argsort(along, kind="stable"), max(1, round(_SHARE * len(maps)))
        ends = np.stack([maps[order[:count]].mean(axis=0), maps[order[-count:]].mean(axis=0)])
        distance = math.sqrt(float(_squares(ends[:1], ends[1], weights)[0]))
        steps = np.sqrt(np.sum((np.clip(np.diff(maps, axis=0), -_CLIP, _CLIP) * weights) ** 2, axis=1))
        if distance < max(_LEAST, _STEADY * float(np.percentile(steps, 25))):
            return None
        return cls(ends, weights, distance)

    def closeness(self, maps: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return 0 at the first pose to 1 at the second for each of [T, N] maps."""
        first, second = (_squares(maps, end, self._weights).astype(np.float64) for end in self._ends)
        return np.asarray(first / (first + second + 1e-9))

    def turned_like(self, other: "_Poses") -> "_Poses":
        """Return the same poses in the other's order."""
        straight = float(np.sum((self._ends - other._ends) ** 2))
        crossed = float(np.sum((self._ends[::-1] - other._ends) ** 2))
        return _Poses(self._ends[::-1], self._weights, self.distance) if crossed < straight else self

    def likeness(self, other: "_Poses") -> float:
        """Return the cosine between the directions of both motions."""
        mine, theirs = self._direction(), other._direction()
        return float(mine @ theirs) / (float(np.linalg.norm(mine) * np.linalg.norm(theirs)) + 1e-9)

    def at_least(self, distance: float) -> "_Poses":
        """Return the same poses, known to be as far apart as that."""
        return _Poses(self._ends, self._weights, max(distance, self.distance))

    def _direction(self) -> NDArray[np.float32]:
        return np.asarray(np.clip(self._ends[1] - self._ends[0], -_CLIP, _CLIP) * self._weights)


class _Steady:
    """Maps of local contrast, with a shaking camera held still against the first picture."""

    def __init__(self) -> None:
        self._first: NDArray[np.float32] | None = None
        self._shift = np.zeros(2)

    def map(self, grey: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return [768] float32 of a grey picture of any size."""
        picture = local_contrast(_array(cv2.resize(grey, _SIZE, interpolation=cv2.INTER_AREA)))
        if self._first is None or np.abs(self._shift).max() > _FARTHEST:
            self._first, self._shift = picture, np.zeros(2)
        self._shift = shift_between(self._first, picture, self._shift)
        still = cv2.resize(moved(picture, self._shift), _MAP, interpolation=cv2.INTER_AREA)
        return _array(cv2.GaussianBlur(still, (0, 0), 1.0)).ravel()


def _part(rgb: NDArray[np.uint8], region: Sequence[float]) -> NDArray[np.uint8]:
    height, width = rgb.shape[:2]
    left, right = int(region[0] * width), max(int(region[0] * width) + 1, round(region[2] * width))
    top, bottom = int(region[1] * height), max(int(region[1] * height) + 1, round(region[3] * height))
    return np.asarray(cv2.cvtColor(rgb[top:bottom, left:right], cv2.COLOR_RGB2GRAY), np.uint8)


def _weights(maps: NDArray[np.float32], step_s: float) -> NDArray[np.float32]:
    """Return for every place the root of the share of its power at the common frequency and twice that. [N] float32."""
    count = len(maps)
    power = np.abs(np.fft.rfft(maps - maps.mean(axis=0), 2 * count, axis=0)) ** 2
    rates = np.fft.rfftfreq(2 * count, step_s)
    total = power[1:].sum(axis=0) + 1e-3
    common = (power * np.minimum(1.0, np.quantile(total, 0.9) / total)).sum(axis=1)
    band = np.flatnonzero((rates >= _BAND_HZ[0]) & (rates <= _BAND_HZ[1]))
    rate = rates[band[int(np.argmax(common[band]))]] if len(band) else rates[1]
    width = 1.0 / (count * step_s)
    near = (np.abs(rates - rate) <= width) | (np.abs(rates - 2 * rate) <= width)
    return np.asarray(np.sqrt(power[near].sum(axis=0) / total), np.float32)


def _project(centred: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return [T], each map's place along the first principal component; by power iteration, which needs few steps."""
    axis = centred[int(np.argmax(np.sum(centred**2, axis=1)))]
    for _ in range(8):
        axis = (centred @ axis) @ centred
        axis = axis / (float(np.linalg.norm(axis)) + 1e-9)
    return np.asarray(centred @ axis)


def _squares(maps: NDArray[np.float32], pose: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    change = np.clip(maps - pose, -_CLIP, _CLIP) * weights
    return np.asarray(np.sum(change * change, axis=1))


def _array(image: object) -> NDArray[np.float32]:
    return np.asarray(image, np.float32)
