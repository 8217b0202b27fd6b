"""Zones: polygons in a picture, in shares of its width and height, so that they hold for any size of it.

It knows no cameras and no watchers.
"""

import functools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tml_ros.errors import ConfigError

__all__ = ["WHOLE", "Box", "Zone", "as_box"]

Box = tuple[float, float, float, float]
"""Left, top, right and bottom, shares of the picture."""

Point = tuple[float, float]
_SUBPIXEL_BITS = 4
_LEAST_AREA = 1e-4


@dataclass(frozen=True, slots=True)
class Zone:
    """A named polygon. points: (x, y), each from 0, left or top, to 1, right or bottom; at least three.

    Raises:
        ConfigError: fewer points, one outside of the picture, or a polygon without an area.
    """

    name: str
    points: tuple[Point, ...]

    def __post_init__(self) -> None:
        if len(self.points) < 3:
            raise ConfigError(f"zone {self.name!r} has {len(self.points)} points, expected at least 3; add some")
        for x, y in self.points:
            if not (0.0 <= x <= 1.0 and 0.0 <= y <= 1.0):
                raise ConfigError(
                    f"zone {self.name!r} has the point [{x:g}, {y:g}], expected shares of the picture from 0 to 1"
                )
        if self.area < _LEAST_AREA:
            raise ConfigError(f"zone {self.name!r} has no area; give its points in order around it")

    @property
    def area(self) -> float:
        """Its share of the picture."""
        x, y = np.array(self.points).T
        return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2.0

    def contains(self, x: float, y: float) -> bool:
        """Tell whether a point, in shares of the picture, lies inside or on the border."""
        return cv2.pointPolygonTest(np.array(self.points, np.float32), (x, y), False) >= 0.0

    def mask(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Return [height, width] bool, True inside; not to be written to. shape: height, width."""
        return _mask(self.points, *shape)


WHOLE = Zone("", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)))
"""All of the picture."""


@functools.lru_cache(maxsize=64)
def _mask(points: tuple[Point, ...], height: int, width: int) -> NDArray[np.bool_]:
    mask = np.zeros((height, width), np.uint8)
    scaled = np.array(points) * (width, height) - 0.5
    cv2.fillPoly(mask, [np.rint(scaled * (1 << _SUBPIXEL_BITS)).astype(np.int32)], 1, shift=_SUBPIXEL_BITS)
    mask.flags.writeable = False
    return mask.astype(np.bool_)


def as_box(left: float, top: float, right: float, bottom: float, shape: tuple[int, int]) -> Box:
    """Return edges in pixels as shares of a picture. shape: its height and width."""
    height, width = shape
    return (left / width, top / height, right / width, bottom / height)
