"""The exact truth of a drawn picture: the same shapes drawn once more, as labels of what they belong to.

What is drawn later hides what was drawn before, as in the picture, so counting labels gives what is really visible.
It knows shapes and numbers, not what follows from them.
"""

from collections.abc import Sequence
from enum import IntEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from tml_ros.sights.canvas import Canvas, Color, Point, oval

__all__ = ["FACE", "LABEL_SIZE", "LabelCanvas", "Role", "label", "role_of", "shares"]

LABEL_SIZE = (160, 120)
"""Width and height of a map of labels, whatever the size of the picture: truth does not depend on it."""
SEEN_ALPHA = 0.3
"""What is fainter hides nothing and is not there."""
HAZE_CORE = 0.62
"""A cloud falls off towards its rim as (1 - r^2)^2: at 0.62 of its radius to 0.38 of its middle."""


class Role(IntEnum):
    """What a pixel belongs to; 0 is nothing of interest."""

    NONE = 0
    PERSON = 1
    FEET = 2
    FACE = 3
    EYEWEAR = 4
    HAND = 5
    FLAME = 6
    SMOKE = 7
    SPILL = 8
    VESSEL = 9
    EYES = 10


FACE = (Role.FACE, Role.EYES, Role.EYEWEAR)
"""What a face is made of."""


def label(role: Role, actor: int = 0) -> int:
    """Return the label of a part of one actor, 0 to 14."""
    return int(role) + 16 * actor


def role_of(number: int) -> tuple[Role, int]:
    """Return role and actor of a label."""
    return Role(number % 16), number // 16


class LabelCanvas(Canvas):
    """Draws labels on a map [H, W] uint8 instead of colours on a picture."""

    def __init__(self, view: NDArray[np.float64] | None = None) -> None:
        super().__init__(np.zeros((LABEL_SIZE[1], LABEL_SIZE[0]), np.uint8), view)
        self._label = 0

    def mark(self, label: int) -> None:
        self._label = label

    def polygon(self, points: Sequence[Point], color: Color, alpha: float = 1.0) -> None:
        if alpha >= SEEN_ALPHA:
            cv2.fillPoly(self.image, [np.asarray(np.rint(self._pixels(points) - 0.5), np.int32)], (self._label,))

    def gradient(self, points: Sequence[Point], top: Color, bottom: Color, alpha: float = 1.0) -> None:
        self.polygon(points, top, alpha)

    def line(self, points: Sequence[Point], color: Color, width: float = 1.0) -> None:
        pixels = np.asarray(np.rint(self._pixels(points) - 0.5), np.int32)
        thickness = round(width * self._unit)
        if thickness >= 1:
            cv2.polylines(self.image, [pixels], False, (self._label,), thickness)

    def glow(self, center: Point, axes: Point, color: Color, strength: float = 1.0) -> None:
        """Light hides nothing."""

    def haze(self, center: Point, axes: Point, color: Color, alpha: float) -> None:
        if alpha >= SEEN_ALPHA:
            self.polygon(oval(center, (axes[0] * HAZE_CORE, axes[1] * HAZE_CORE)), color)

    def text(self, words: str, at: Point, color: Color, height: float) -> None:
        """Writing hides nothing."""


def shares(labels: NDArray[np.uint8], inside: NDArray[np.bool_] | None = None) -> dict[int, float]:
    """Return what share of the whole picture each label has.

    Args:
        labels: [H, W] uint8.
        inside: [H, W] bool, counts only what lies there; None counts all.
    """
    counted = labels if inside is None else labels[inside]
    counts = np.bincount(counted.ravel(), minlength=1)
    return {int(number): counts[number] / labels.size for number in np.flatnonzero(counts) if number}
