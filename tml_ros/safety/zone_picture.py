"""Draw zones on a picture, or a grid to read coordinates off. Knows no files and no windows."""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from tml_ros.safety.zones import Point, Zone

__all__ = ["draw_grid", "draw_zones", "sides_cross", "to_pixels"]

Rgb = NDArray[np.uint8]

_COLOURS = ((255, 176, 0), (0, 200, 255), (120, 255, 90), (255, 90, 160), (190, 140, 255))
_STEP = 0.1
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_INK = (255, 255, 255)
_LEAST_WIDTH = 640  # labels are not readable on a smaller picture


def draw_zones(rgb: Rgb, zones: Iterable[Zone]) -> Rgb:
    """Return a copy with the zones filled thinly, outlined, their corners numbered, and named. rgb: [H, W, 3] uint8."""
    drawn = _readable(rgb)
    for number, zone in enumerate(zones):
        _draw_zone(drawn, zone, _COLOURS[number % len(_COLOURS)])
    return drawn


def draw_grid(rgb: Rgb) -> Rgb:
    """Return a copy with a line and a label at every tenth of width and height. rgb: [H, W, 3] uint8."""
    drawn = _readable(rgb)
    height, width = drawn.shape[:2]
    for tenth in range(1, 10):
        share = tenth * _STEP
        x, y = round(share * width), round(share * height)
        weight = 2 if tenth == 5 else 1
        cv2.line(drawn, (x, 0), (x, height - 1), _INK, weight, cv2.LINE_AA)
        cv2.line(drawn, (0, y), (width - 1, y), _INK, weight, cv2.LINE_AA)
        _label(drawn, f"{share:.1f}", (x + 3, 14))
        _label(drawn, f"{share:.1f}", (3, y - 4))
    _label(drawn, "x", (width - 14, 14))
    _label(drawn, "y", (3, height - 6))
    return drawn


def to_pixels(points: Sequence[Point], width: int, height: int) -> NDArray[np.int32]:
    """Return the pixels [N, 2] (x, y) that points lie in."""
    pixels = np.rint(np.array(points).reshape(-1, 2) * (width, height) - 0.5)
    return np.clip(pixels, 0, (width - 1, height - 1)).astype(np.int32)


def sides_cross(points: tuple[Point, ...]) -> tuple[int, int] | None:
    """Return the numbers, from 1, of two sides of a polygon that cross each other, None where none do."""
    sides = list(zip(points, points[1:] + points[:1], strict=True))
    for first in range(len(sides)):
        for second in range(first + 2, len(sides)):
            if (first, second) != (0, len(sides) - 1) and _cross(*sides[first], *sides[second]):
                return first + 1, second + 1
    return None


def _readable(rgb: Rgb) -> Rgb:
    scale = max(1.0, _LEAST_WIDTH / rgb.shape[1])
    if scale == 1.0:
        return rgb.copy()
    return np.asarray(cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), np.uint8)


def _draw_zone(drawn: Rgb, zone: Zone, colour: tuple[int, int, int]) -> None:
    height, width = drawn.shape[:2]
    corners = to_pixels(zone.points, width, height)
    filled = drawn.copy()
    cv2.fillPoly(filled, [corners], colour)
    cv2.addWeighted(filled, 0.25, drawn, 0.75, 0, dst=drawn)
    cv2.polylines(drawn, [corners], True, colour, 2, cv2.LINE_AA)
    for number, (x, y) in enumerate(corners.tolist(), 1):
        cv2.circle(drawn, (x, y), 4, colour, -1, cv2.LINE_AA)
        _label(drawn, str(number), (x + 6, y - 6))
    middle_x, middle_y = corners.mean(axis=0).tolist()
    _label(drawn, zone.name, (round(middle_x) - 4 * len(zone.name), round(middle_y)))


def _label(drawn: Rgb, text: str, at: tuple[int, int]) -> None:
    """Write white on a dark rim, inside of the picture."""
    (width, height), _ = cv2.getTextSize(text, _FONT, 0.45, 1)
    x = min(max(at[0], 1), max(1, drawn.shape[1] - width - 2))
    y = min(max(at[1], height + 1), drawn.shape[0] - 3)
    cv2.putText(drawn, text, (x, y), _FONT, 0.45, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(drawn, text, (x, y), _FONT, 0.45, _INK, 1, cv2.LINE_AA)


def _cross(a: Point, b: Point, c: Point, d: Point) -> bool:
    return _side(a, b, c) * _side(a, b, d) < 0 and _side(c, d, a) * _side(c, d, b) < 0


def _side(a: Point, b: Point, p: Point) -> float:
    return (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0])
