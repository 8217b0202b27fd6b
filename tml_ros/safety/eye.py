"""What all watchers of pictures need, worked out once per frame: what is new in the scene, what moves, what stays.

It knows no zones, no rules and no names of things.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np

from tml_ros.config import param
from tml_ros.records import Frame
from tml_ros.safety.arrays import Bytes, Floats, Labels, Mask, opened, reduced
from tml_ros.safety.blobs import Blob, find_blobs
from tml_ros.safety.scene import Comparison, SceneConfig, SceneMemory, distance, light_of, soft
from tml_ros.safety.structure import Structure, StructureConfig

__all__ = ["Eye", "EyeConfig", "View"]

_BLIND_SHARE = 0.12
_MOVING = 0.8  # of the difference that makes something new


@dataclass(frozen=True, slots=True)
class EyeConfig:
    """How pictures are looked at."""

    width: int = param(
        160,
        "Width to which pictures are reduced first; the mean of many pixels has less noise",
        unit="pixels",
        minimum=64,
        maximum=640,
    )
    scene: SceneConfig = field(default_factory=SceneConfig)
    structure: StructureConfig = field(default_factory=StructureConfig)


@dataclass(frozen=True, slots=True)
class View:
    """One frame as the watchers get it. All arrays are at the reduced size and not to be written to.

    frame: the picture itself. rgb: [h, w, 3] uint8. luma: [h, w] uint8. moving: [h, w], differs from the frame before.
    still_s: [h, w], seconds since it moved. is_same: bit for bit the frame before. step_s: time since then. covered:
    share that something before the lens covers. is_dark: too dark to see. found: beside the scene, None as long as
    that is not known, or cannot be seen. labels, blobs: what is new, piece by piece.
    """

    frame: Frame
    rgb: Bytes
    luma: Bytes
    moving: Mask
    still_s: Floats
    is_same: bool
    step_s: float
    covered: float
    is_dark: bool
    found: Comparison | None
    labels: Labels
    blobs: tuple[Blob, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of all arrays."""
        return self.luma.shape[0], self.luma.shape[1]

    @property
    def is_blind(self) -> bool:
        """Whether too little can be seen to tell anything."""
        return self.covered > _BLIND_SHARE or self.is_dark


@dataclass(frozen=True, slots=True)
class _Before:
    """The frame before. full: as it came."""

    stamp_ns: int
    full: Bytes
    picture: Floats
    still_s: Floats


class Eye:
    """Looks at frames in order.

    Thread: one caller at a time.
    """

    def __init__(self, config: EyeConfig | None = None) -> None:
        self._config = config or EyeConfig()
        self._before: _Before | None = None
        self._memory = SceneMemory(self._config.scene)
        self._structure = Structure(self._config.structure)

    def look(self, frame: Frame) -> View:
        """Take in the next frame."""
        before = self._before
        if before is not None and before.full.shape != frame.rgb.shape:
            self._memory, self._structure = SceneMemory(self._config.scene), Structure(self._config.structure)
            before = None
        rgb = reduced(frame.rgb, self._config.width)
        luma: Bytes = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)
        picture = soft(rgb)
        step_s = max(0, frame.stamp_ns - before.stamp_ns) / 1e9 if before is not None else 0.0
        moving = self._moving(picture, before)
        still_s = np.zeros(luma.shape, np.float32)
        if before is not None:
            still_s = np.where(moving, np.float32(0.0), before.still_s + np.float32(step_s))
        covered, is_dark = self._structure.judge(rgb, luma, step_s)
        is_blind = covered > _BLIND_SHARE or is_dark
        found = None if is_blind else self._memory.compare(picture, moving, still_s, step_s)
        labels, blobs = find_blobs(found, still_s) if found is not None else (np.zeros(luma.shape, np.int32), ())
        is_same = before is not None and np.array_equal(before.full, frame.rgb)
        self._before = _Before(frame.stamp_ns, frame.rgb, picture, still_s)
        return View(frame, rgb, luma, moving, still_s, is_same, step_s, covered, is_dark, found, labels, blobs)

    def _moving(self, picture: Floats, before: _Before | None) -> Mask:
        """Return what differs from the frame before, a common change of light apart."""
        if before is None:
            return np.zeros(picture.shape[:2], np.bool_)
        lit: Floats = picture / light_of(picture, before.picture)
        return opened(distance(lit, before.picture) > _MOVING * self._config.scene.difference)
