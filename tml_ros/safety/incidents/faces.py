"""Blur faces in a picture: OpenCV's Haar cascades for faces from the front and from both sides.

It misses what these cascades miss (faces turned away, small, dark, masked or cut off) and blurs some things that are no
faces; a place where a face was found stays blurred for half a second, because a face is often missed in between.

Source: Viola and Jones, Rapid object detection using a boosted cascade of simple features, CVPR 2001; cascades of
OpenCV (haarcascade_frontalface_alt2, haarcascade_profileface).
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tml_ros.errors import MissingDependencyError

__all__ = ["FaceBlur"]

Box = tuple[int, int, int, int]  # x, y, width, height in pixels

_CASCADES = ("haarcascade_frontalface_alt2.xml", "haarcascade_profileface.xml")
_DEBIAN = Path("/usr/share/opencv4/haarcascades")  # package opencv-data
_HOLD_NS = 500_000_000
_SMALLEST = 0.04  # of the width
_STEP, _NEIGHBOURS = 1.15, 3
_MARGIN = 0.25  # of a side of the box, which ends at chin and forehead
_BLOCKS = 6  # what is left of a face: so many blocks a side


class FaceBlur:
    """Finds and blurs faces, picture after picture of one camera. Thread: one at a time."""

    def __init__(self, search_width: int = 480) -> None:
        """Load the cascades.

        Raises:
            MissingDependencyError: OpenCV came without them.
        """
        self._front, self._side = (_load(name) for name in _CASCADES)
        self._search_width = search_width
        self._held: list[tuple[int, Box]] = []
        self.faces = 0

    def blur(self, rgb: NDArray[np.uint8], at_ns: int) -> bool:
        """Blur in place; return whether anything was blurred. rgb: [H, W, 3] uint8. at_ns: steady time."""
        found = self.find(rgb)
        self.faces += len(found)
        self._held = [(until, box) for until, box in self._held if until > at_ns]
        self._held += [(at_ns + _HOLD_NS, box) for box in found]
        for _, box in self._held:
            _pixelate(rgb, box)
        return bool(self._held)

    def find(self, rgb: NDArray[np.uint8]) -> list[Box]:
        """Return the faces with a margin around each; a face may be found more than once. rgb: [H, W, 3] uint8."""
        scale = min(1.0, self._search_width / rgb.shape[1])
        grey: NDArray[Any] = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        if scale < 1.0:
            grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        grey = cv2.equalizeHist(grey)
        width = grey.shape[1]
        boxes = _detect(self._front, grey) + _detect(self._side, grey)
        boxes += [(width - x - w, y, w, h) for x, y, w, h in _detect(self._side, cv2.flip(grey, 1))]
        return [_rescaled(box, scale) for box in boxes]


def _load(name: str) -> Any:
    shipped = getattr(getattr(cv2, "data", None), "haarcascades", "")
    for folder in (Path(shipped) if shipped else _DEBIAN, _DEBIAN):
        cascade = cv2.CascadeClassifier(str(folder / name)) if (folder / name).is_file() else None
        if cascade is not None and not cascade.empty():
            return cascade
    raise MissingDependencyError(
        f"{name} of OpenCV is neither in cv2.data nor in {_DEBIAN}, and pictures.blur_faces needs it; install "
        "opencv-data (apt) or opencv-python-headless (pip), or set pictures.blur_faces to false"
    )


def _detect(cascade: Any, grey: NDArray[Any]) -> list[Box]:
    least = max(12, round(grey.shape[1] * _SMALLEST))
    found = cascade.detectMultiScale(grey, _STEP, _NEIGHBOURS, minSize=(least, least))
    return [(int(x), int(y), int(w), int(h)) for x, y, w, h in found]


def _rescaled(box: Box, scale: float) -> Box:
    x, y, width, height = (side / scale for side in box)
    return (
        round(x - width * _MARGIN),
        round(y - height * _MARGIN),
        round(width * (1 + 2 * _MARGIN)),
        round(height * (1 + 2 * _MARGIN)),
    )


def _pixelate(rgb: NDArray[np.uint8], box: Box) -> None:
    x, y, width, height = box
    area = rgb[max(0, y) : max(0, y + height), max(0, x) : max(0, x + width)]
    if area.size:
        small = cv2.resize(area, (_BLOCKS, _BLOCKS), interpolation=cv2.INTER_AREA)
        area[:] = cv2.resize(small, (area.shape[1], area.shape[0]), interpolation=cv2.INTER_NEAREST)
