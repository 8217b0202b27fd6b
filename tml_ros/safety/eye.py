"""What all watchers of pictures need, worked out once per frame: what is new in the scene, what moves, what stays.

The scene is remembered as it mostly is (a running mean of every pixel and of how much it varies). A frame is compared
with it after a common change of light is taken out, with the least difference within a pixel around, so that a lamp
that hums or a camera that shakes is no event. What is new stays new until it has stood still for long.
It knows no zones, no rules and no names of things.

Source: the selective running average of C. Wren et al., "Pfinder", PAMI 19(7), 1997; shadows by a common ratio of the
colours as in T. Horprasert et al., "A statistical approach for real-time robust background subtraction", 1999; ghosts
by edges as in R. Cucchiara et al., "Detecting moving objects, ghosts, and shadows in video streams", PAMI 25(10), 2003.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tml_ros.config import param
from tml_ros.records import Frame
from tml_ros.safety.structure import Structure, StructureConfig

__all__ = ["Blob", "Eye", "EyeConfig", "View"]

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

_SQUARE = np.ones((3, 3), np.uint8)
_NOISE_SIGMAS = 4.0
_GAIN_STEP = 4  # every fourth row and column is enough for a median
_MOST_BLOBS = 20
_EDGE_RATIO = 0.6
_BLIND_SHARE = 0.12


@dataclass(frozen=True, slots=True)
class EyeConfig:
    """How pictures are compared with the scene as it mostly is."""

    width: int = param(
        160,
        "Width to which pictures are reduced first; the mean of many pixels has less noise",
        unit="pixels",
        minimum=64,
        maximum=640,
    )
    learn_s: float = param(
        1.0, "Time from which the scene is learned at the start", unit="s", minimum=0.2, maximum=60.0
    )
    difference: float = param(
        14.0,
        "Least difference from the scene that counts, of 255; noise that is seen raises it",
        minimum=2.0,
        maximum=128.0,
    )
    adapt_s: float = param(
        20.0, "Time constant with which the scene follows slow changes", unit="s", minimum=1.0, maximum=3600.0
    )
    absorb_s: float = param(
        120.0,
        "Time that something new must stand still before it belongs to the scene",
        unit="s",
        minimum=1.0,
        maximum=86400.0,
    )
    least_blob: float = param(0.0008, "Least share of the picture of something new", minimum=0.0, maximum=1.0)
    structure: StructureConfig = field(default_factory=StructureConfig)


@dataclass(frozen=True, slots=True)
class Blob:
    """Something new, in one piece.

    label: its number in ``View.labels``. left, top, right, bottom, area: shares of the picture. still_s: for how long
    it has not moved, at least in its quietest half. moved: whether it has moved since it came. is_ghost: the scene
    lacks something here, instead of having something more.
    """

    label: int
    left: float
    top: float
    right: float
    bottom: float
    area: float
    still_s: float
    moved: bool
    is_ghost: bool


@dataclass(frozen=True, slots=True)
class View:
    """One frame as the watchers get it. All arrays [h, w] at the reduced size, not to be written to.

    frame: the picture itself. rgb: [h, w, 3] uint8. luma: uint8. is_ready: whether the scene is known; without it
    nothing is new. new: differs from the scene; shadow: new, but only darker. moving: differs from the frame before.
    still_s: seconds since it moved. labels: int32, 0 none, of the blobs. scene: [h, w, 3] float32 RGB. gain: of the
    light, over that in which the scene was learned. is_same: bit for bit the frame before. step_s: time since then.
    covered: share that something before the lens covers. is_dark: too dark to see.
    """

    frame: Frame
    rgb: NDArray[np.uint8]
    luma: NDArray[np.uint8]
    is_ready: bool
    new: Mask
    shadow: Mask
    moving: Mask
    still_s: Floats
    labels: NDArray[np.int32]
    blobs: tuple[Blob, ...]
    scene: Floats
    gain: float
    is_same: bool
    step_s: float
    covered: float
    is_dark: bool

    @property
    def is_blind(self) -> bool:
        """Whether what is seen is not the scene."""
        return self.covered > _BLIND_SHARE or self.is_dark

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of all arrays."""
        return self.luma.shape[0], self.luma.shape[1]


class Eye:
    """Looks at frames in order.

    Thread: one caller at a time.
    """

    def __init__(self, config: EyeConfig | None = None) -> None:
        self._config = config or EyeConfig()
        self._forget()

    def look(self, frame: Frame) -> View:
        """Take in the next frame."""
        rgb = self._reduce(frame.rgb)
        if self._last_rgb is None or rgb.shape != self._last_rgb.shape:
            self._forget()
        step_s = max(0.0, (frame.stamp_ns - self._last_ns) / 1e9) if self._last_rgb is not None else 0.0
        is_same = self._is_same(frame)
        luma = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        picture: Floats = cv2.blur(rgb, (3, 3)).astype(np.float32)
        moving = self._moving(picture)
        if self._still_s is None:
            self._still_s = np.zeros(luma.shape, np.float32)
        self._still_s = np.where(moving, np.float32(0.0), self._still_s + np.float32(step_s))
        health = self._structure.judge(rgb, luma, step_s)
        view = self._compare(frame, rgb, luma, picture, moving, is_same, step_s, health)
        self._last_rgb, self._last_picture, self._last_ns = rgb, picture, frame.stamp_ns
        return view

    # ------------------------------------------------------------------------------------------------ one frame

    def _forget(self) -> None:
        self._structure = Structure(self._config.structure)
        self._scene: Floats | None = None
        self._varies: Floats | None = None
        self._first: deque[Floats] = deque()
        self._first_ns = 0
        self._last_rgb: NDArray[np.uint8] | None = None
        self._last_picture: Floats | None = None
        self._last_ns = 0
        self._last_full: NDArray[np.uint8] | None = None
        self._still_s: Floats | None = None
        self._new_s: Floats | None = None
        self._moved: Mask | None = None

    def _reduce(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        height, width = rgb.shape[:2]
        if width <= self._config.width:
            return rgb
        size = (self._config.width, max(1, round(height * self._config.width / width)))
        small: NDArray[np.uint8] = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        return small

    def _is_same(self, frame: Frame) -> bool:
        before, self._last_full = self._last_full, frame.rgb
        return before is not None and before.shape == frame.rgb.shape and np.array_equal(before, frame.rgb)

    def _moving(self, picture: Floats) -> Mask:
        """Return what differs from the frame before, a common change of light apart."""
        if self._last_picture is None:
            return np.zeros(picture.shape[:2], np.bool_)
        gain = _gain(picture, self._last_picture)
        far = _distance(picture / gain, self._last_picture, 0.0) > 0.8 * self._config.difference
        return _opened(far)

    def _compare(
        self,
        frame: Frame,
        rgb: NDArray[np.uint8],
        luma: NDArray[np.uint8],
        picture: Floats,
        moving: Mask,
        is_same: bool,
        step_s: float,
        health: tuple[float, bool],
    ) -> View:
        assert self._still_s is not None
        empty = np.zeros(luma.shape, np.bool_)
        if self._scene is None:
            self._learn(frame.stamp_ns, picture)
        if self._scene is None or self._varies is None:
            labels = np.zeros(luma.shape, np.int32)
            return View(
                frame,
                rgb,
                luma,
                False,
                empty,
                empty,
                moving,
                self._still_s,
                labels,
                (),
                picture,
                1.0,
                is_same,
                step_s,
                *health,
            )
        gain = _gain(picture, self._scene)
        lit: Floats = picture / gain
        limit = np.maximum(np.float32(self._config.difference), np.float32(_NOISE_SIGMAS) * self._varies)
        new = _closed(_opened(_distance(lit, self._scene, 0.0) > limit))
        shadow = new & _shadow(lit, self._scene)
        self._follow(lit, new, moving, step_s)
        labels, blobs = self._blobs(new, lit)
        return View(
            frame,
            rgb,
            luma,
            True,
            new,
            shadow,
            moving,
            self._still_s,
            labels,
            blobs,
            self._scene,
            float(gain.mean()),
            is_same,
            step_s,
            *health,
        )

    def _learn(self, stamp_ns: int, picture: Floats) -> None:
        if not self._first:
            self._first_ns = stamp_ns
        self._first.append(picture)
        if stamp_ns - self._first_ns < self._config.learn_s * 1e9 or len(self._first) < 3:
            if len(self._first) > 40:
                self._first.popleft()
            return
        stack = np.stack(self._first)
        self._scene = np.median(stack, axis=0).astype(np.float32)
        self._varies = cv2.blur(np.abs(stack - self._scene).mean(axis=0).max(axis=2), (3, 3))
        self._new_s = np.zeros(picture.shape[:2], np.float32)
        self._moved = np.zeros(picture.shape[:2], np.bool_)
        self._first.clear()

    def _follow(self, lit: Floats, new: Mask, moving: Mask, step_s: float) -> None:
        """Let the scene follow where nothing is new, and take in what has stood still for long."""
        assert self._scene is not None and self._varies is not None
        assert self._new_s is not None and self._moved is not None and self._still_s is not None
        self._new_s = np.where(new, self._new_s + np.float32(step_s), np.float32(0.0))
        self._moved = new & (self._moved | moving)
        share = np.float32(min(0.2, step_s / self._config.adapt_s))
        weight = np.where(new, np.float32(0.0), share)
        absorbed = new & (np.minimum(self._new_s, self._still_s) > self._config.absorb_s)
        weight[absorbed] = 1.0
        self._scene = self._scene + weight[..., None] * (lit - self._scene)
        away = np.abs(lit - self._scene).max(axis=2)
        self._varies = self._varies + np.where(new, np.float32(0.0), share) * (away - self._varies)

    def _blobs(self, new: Mask, lit: Floats) -> tuple[NDArray[np.int32], tuple[Blob, ...]]:
        assert self._scene is not None and self._still_s is not None and self._moved is not None
        count, labels, stats, _ = cv2.connectedComponentsWithStats(new.astype(np.uint8), connectivity=8)
        height, width = new.shape
        least = max(3.0, self._config.least_blob * new.size)
        kept = [number for number in range(1, count) if stats[number, cv2.CC_STAT_AREA] >= least]
        kept = sorted(kept, key=lambda number: -int(stats[number, cv2.CC_STAT_AREA]))[:_MOST_BLOBS]
        if not kept:
            return labels, ()
        now_edges, scene_edges = _edges(lit), _edges(self._scene)
        blobs = []
        for number in kept:
            x, y, w, h, area = (int(value) for value in stats[number])
            window = (slice(max(0, y - 1), y + h + 1), slice(max(0, x - 1), x + w + 1))
            inside = labels[window] == number
            rim = inside & ~_eroded(inside)
            blobs.append(
                Blob(
                    number,
                    x / width,
                    y / height,
                    (x + w) / width,
                    (y + h) / height,
                    area / new.size,
                    still_s=float(np.median(self._still_s[window][inside])),
                    moved=bool(self._moved[window][inside].mean() > 0.05),
                    is_ghost=bool(now_edges[window][rim].mean() < _EDGE_RATIO * scene_edges[window][rim].mean()),
                )
            )
        return labels, tuple(blobs)


def _gain(picture: Floats, scene: Floats) -> Floats:
    """Return [3] factors of the light over that of the scene, by colour: the median, so new things are no light."""
    step = (slice(None, None, _GAIN_STEP), slice(None, None, _GAIN_STEP))
    ratio = (picture[step] + 4.0) / (scene[step] + 4.0)
    gain: Floats = np.clip(np.median(ratio.reshape(-1, 3), axis=0), 0.05, 20.0).astype(np.float32)
    return gain


def _distance(picture: Floats, scene: Floats, slack: float) -> Floats:
    """Return [h, w] how far a picture lies outside of what a scene has within a pixel, in its worst colour."""
    high, low = cv2.dilate(scene, _SQUARE), cv2.erode(scene, _SQUARE)
    outside: Floats = np.maximum(picture - high, low - picture).max(axis=2) - np.float32(slack)
    return outside


def _shadow(lit: Floats, scene: Floats) -> Mask:
    """Return what is the scene, darker by one factor for all colours."""
    ratio = (lit + 4.0) / (scene + 4.0)
    mean = ratio.mean(axis=2)
    even = (ratio.max(axis=2) - ratio.min(axis=2)) < 0.07
    result: Mask = even & (mean > 0.4) & (mean < 0.97)
    return result


def _edges(picture: Floats) -> Floats:
    luma = picture.mean(axis=2)
    result: Floats = np.abs(cv2.Sobel(luma, cv2.CV_32F, 1, 0)) + np.abs(cv2.Sobel(luma, cv2.CV_32F, 0, 1))
    return result


def _opened(mask: Mask) -> Mask:
    return _morphed(mask, cv2.MORPH_OPEN)


def _closed(mask: Mask) -> Mask:
    return _morphed(mask, cv2.MORPH_CLOSE)


def _eroded(mask: Mask) -> Mask:
    return _morphed(mask, cv2.MORPH_ERODE)


def _morphed(mask: Mask, operation: int) -> Mask:
    done: Any = cv2.morphologyEx(mask.astype(np.uint8), operation, _SQUARE)
    result: Mask = done.astype(np.bool_)
    return result
