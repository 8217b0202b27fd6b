"""Draw smooth shapes on a picture, in coordinates of a 640x480 design whatever the picture's size.

A view bends all of it as a camera elsewhere would see it. Knows points, colours and blending, not what is drawn.
Colours are BGR, 0 to 255.
"""

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["DESIGN_SIZE", "Canvas", "Color", "Point", "bend", "oval"]

DESIGN_SIZE = (640.0, 480.0)
SHIFT = 4  # fractional bits of a coordinate that OpenCV draws to

Point = tuple[float, float]
Color = tuple[float, float, float]


class Canvas:
    """Shapes onto ``image`` [H, W, 3] uint8 BGR, which is changed in place."""

    def __init__(self, image: NDArray[np.uint8], view: NDArray[np.float64] | None = None) -> None:
        """Draw on an image. view: [3, 3] homography from what is drawn to the design, or None for none."""
        self.image = image
        self._view = view
        self._zoom = 1.0 if view is None else math.sqrt(abs(float(np.linalg.det(view[:2, :2]))))
        self._scale = np.array([image.shape[1], image.shape[0]], np.float64) / DESIGN_SIZE
        self._unit = float(self._scale.mean()) * self._zoom

    def mark(self, label: int) -> None:
        """Say what the next shapes are; a picture does not care."""

    def polygon(self, points: Sequence[Point], color: Color, alpha: float = 1.0) -> None:
        """Fill a polygon."""
        self.gradient(points, color, color, alpha)

    def gradient(self, points: Sequence[Point], top: Color, bottom: Color, alpha: float = 1.0) -> None:
        """Fill a polygon with a colour that changes from its top to its bottom."""
        pixels = self._pixels(points)
        if top == bottom and alpha >= 1.0:
            cv2.fillPoly(self.image, [_fixed(pixels)], top, cv2.LINE_AA, SHIFT)
            return
        left, up, right, down = self._box(pixels)
        if left >= right or up >= down:
            return
        mask = np.zeros((down - up, right - left), np.uint8)
        cv2.fillPoly(mask, [_fixed(pixels - (left, up))], (255,), cv2.LINE_AA, SHIFT)
        rows = np.arange(up, down, dtype=np.float32) - np.float32(pixels[:, 1].min())
        share = np.clip(rows / max(1.0, float(np.ptp(pixels[:, 1]))), 0.0, 1.0)[:, None, None]
        color = _row(top) + share * (_row(bottom) - _row(top))
        self._blend(left, up, mask.astype(np.float32)[..., None] * np.float32(alpha / 255.0), color)

    def ellipse(self, center: Point, axes: Point, color: Color, alpha: float = 1.0, tilt_deg: float = 0.0) -> None:
        """Fill an ellipse; axes are its half widths."""
        self.polygon(oval(center, axes, tilt_deg), color, alpha)

    def line(self, points: Sequence[Point], color: Color, width: float = 1.0) -> None:
        """Draw an open line through points; the ends are round."""
        thickness = max(1, round(width * self._unit))
        cv2.polylines(self.image, [_fixed(self._pixels(points))], False, color, thickness, cv2.LINE_AA, SHIFT)

    def glow(self, center: Point, axes: Point, color: Color, strength: float = 1.0) -> None:
        """Add light, or take it away when strength is negative; it fades out towards an ellipse."""
        left, up, fade = self._fade(*self._seen(center, axes))
        region = self.image[up : up + fade.shape[0], left : left + fade.shape[1]]
        light = region.astype(np.float32) + fade * (_row(color) * np.float32(strength))
        region[...] = np.clip(light, 0.0, 255.0).astype(np.uint8)

    def haze(self, center: Point, axes: Point, color: Color, alpha: float) -> None:
        """Lay a soft cloud over the picture; it fades out towards an ellipse."""
        left, up, fade = self._fade(*self._seen(center, axes))
        self._blend(left, up, fade * np.float32(alpha), _row(color))

    def text(self, words: str, at: Point, color: Color, height: float) -> None:
        """Write plain ASCII words; at is their lower left corner, height that of a capital."""
        x, y = self._pixels([at])[0]
        size = height * self._unit / 22.0
        face = cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(self.image, words, (round(x), round(y)), face, size, color, max(1, round(size * 2)), cv2.LINE_AA)

    def _fade(self, center: Point, axes: Point) -> tuple[int, int, NDArray[np.float32]]:
        """Return left, up and a mask [h, w, 1] that falls from 1 in the centre to 0 on the ellipse."""
        corners = [(center[0] - axes[0], center[1] - axes[1]), (center[0] + axes[0], center[1] + axes[1])]
        left, up, right, down = self._box(np.asarray(corners, np.float64) * self._scale)
        x = (np.arange(left, right) / self._scale[0] - center[0]) / axes[0]
        y = (np.arange(up, down) / self._scale[1] - center[1]) / axes[1]
        fade = np.clip(1.0 - (x[None, :] ** 2 + y[:, None] ** 2), 0.0, 1.0) ** 2
        return left, up, fade[..., None].astype(np.float32)

    def _pixels(self, points: Sequence[Point]) -> NDArray[np.float64]:
        scaled: NDArray[np.float64] = bend(self._view, points) * self._scale
        return scaled

    def _seen(self, center: Point, axes: Point) -> tuple[Point, Point]:
        """Return centre and axes of a soft ellipse in the design."""
        if self._view is None:
            return center, axes
        x, y = bend(self._view, [center])[0]
        return (float(x), float(y)), (axes[0] * self._zoom, axes[1] * self._zoom)

    def _box(self, pixels: NDArray[np.float64]) -> tuple[int, int, int, int]:
        """Return left, up, right, down of the part of the picture that the pixels cover."""
        height, width = self.image.shape[:2]
        left, up = np.floor(pixels.min(axis=0)).astype(int) - 1
        right, down = np.ceil(pixels.max(axis=0)).astype(int) + 2
        left, up = min(max(0, int(left)), width), min(max(0, int(up)), height)
        return left, up, max(left, min(width, int(right))), max(up, min(height, int(down)))

    def _blend(self, left: int, up: int, mask: NDArray[np.float32], color: NDArray[np.float32]) -> None:
        region = self.image[up : up + mask.shape[0], left : left + mask.shape[1]]
        below = region.astype(np.float32)
        region[...] = (below + mask * (color - below) + 0.5).astype(np.uint8)


def bend(view: NDArray[np.float64] | None, points: Sequence[Point]) -> NDArray[np.float64]:
    """Return points [n, 2] as a view [3, 3] shows them."""
    flat = np.asarray(points, np.float64)
    if view is None:
        return flat
    seen: NDArray[np.float64] = flat @ view[:2, :2].T + view[:2, 2]
    depth = flat @ view[2, :2] + view[2, 2]
    seen /= depth[:, None]
    return seen


def oval(
    center: Point, axes: Point, tilt_deg: float = 0.0, start_deg: float = 0.0, end_deg: float = 360.0
) -> list[Point]:
    """Return points on (a part of) an ellipse."""
    angles = np.radians(np.arange(start_deg, end_deg + 0.1, 6.0))
    tilt = np.radians(tilt_deg)
    x, y = axes[0] * np.cos(angles), axes[1] * np.sin(angles)
    turned = np.stack([x * np.cos(tilt) - y * np.sin(tilt), x * np.sin(tilt) + y * np.cos(tilt)], axis=1)
    return [(center[0] + float(dx), center[1] + float(dy)) for dx, dy in turned]


def _fixed(pixels: Any) -> NDArray[np.int32]:
    return np.asarray(np.rint(np.asarray(pixels) * (1 << SHIFT)), np.int32)


def _row(color: Color) -> NDArray[np.float32]:
    return np.array(color, np.float32)
