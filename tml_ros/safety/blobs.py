"""What is new, piece by piece.

A piece that the scene lacks is told from one that it has more of by its rim: the edge is in the picture or it was in
the scene. It knows no names of things.

Source: R. Cucchiara et al., "Detecting moving objects, ghosts, and shadows in video streams", PAMI 25(10), 2003.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from tml_ros.safety.arrays import Floats, Labels, Mask, closed, edges, eroded, largest, slope
from tml_ros.safety.scene import Comparison
from tml_ros.safety.zones import Box, as_box

__all__ = ["Blob", "Piece", "find_blobs", "pieces", "resembles_person"]

_MOST = 20
_LEAST_AREA = 0.0008
_GAP = 13  # of the picture's height: belts and tapes on the floor cut people in two
_GHOST = 0.6
_MOVED = 0.05
_SOFT = 1.6  # slope of a rim over the contrast, as Sobel's filter gives it: a fifth per pixel
_SQUARE = np.ones((3, 3), np.uint8)


@dataclass(frozen=True, slots=True)
class Blob:
    """Something new, in one piece.

    label: its number in the labels. left, top, right, bottom, area: shares of the picture. still_s: for how long it
    has not moved, in the middle of its pixels. moved: whether it has moved since it came. is_ghost: the scene lacks
    something here, instead of having something more. is_soft: it fades out at its rim, as shadows and lights do.
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
    is_soft: bool

    @property
    def box(self) -> Box:
        """Where it is."""
        return (self.left, self.top, self.right, self.bottom)


@dataclass(frozen=True, slots=True)
class Piece:
    """One connected part of a mask.

    pixels: left, top, width and height. area: in pixels. box: shares of the picture.
    """

    mask: Mask
    pixels: tuple[int, int, int, int]
    area: int
    box: Box


@dataclass(frozen=True, slots=True)
class _Slopes:
    """Slopes [h, w] of the picture, of the scene, and of how far they are apart, and that itself."""

    now: Floats
    before: Floats
    of_away: Floats
    away: Floats


def resembles_person(blob: Blob, least_height: float, least_area: float, widest: float) -> bool:
    """Tell whether something new is tall enough, has moved, and is neither a shadow nor a gap."""
    height, width = blob.bottom - blob.top, blob.right - blob.left
    is_big = height >= least_height and blob.area >= least_area
    return is_big and width <= widest * height and blob.moved and not (blob.is_ghost or blob.is_soft)


def pieces(mask: Mask, least: float) -> Iterator[Piece]:
    """Yield the connected parts of a mask that have at least some pixels."""
    count, raw, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    for number in range(1, count):
        x, y, width, height, area = (int(value) for value in stats[number])
        if area >= least:
            yield Piece(raw == number, (x, y, width, height), area, as_box(x, y, x + width, y + height, mask.shape))


def find_blobs(found: Comparison, still_s: Floats) -> tuple[Labels, tuple[Blob, ...]]:
    """Return [h, w] int32 labels, 0 for none, and the largest pieces, largest first."""
    joined = closed(found.new, max(3, found.new.shape[0] // _GAP)).astype(np.uint8)
    count, raw, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    labels: Labels = np.asarray(raw, np.int32)
    areas = {number: int(stats[number, cv2.CC_STAT_AREA]) for number in range(1, count)}
    kept = sorted((n for n, area in areas.items() if area >= _LEAST_AREA * labels.size), key=lambda n: -areas[n])
    if not kept:
        return labels, ()
    away = largest(np.abs(found.lit - found.scene))
    slopes = _Slopes(
        edges(found.lit), edges(found.scene), np.asarray(cv2.dilate(slope(away), _SQUARE), np.float32), away
    )
    return labels, tuple(_blob(n, stats[n], labels, found, still_s, slopes) for n in kept[:_MOST])


def _blob(number: int, box: Labels, labels: Labels, found: Comparison, still_s: Floats, slopes: _Slopes) -> Blob:
    x, y, w, h, area = (int(value) for value in box)
    height, width = labels.shape
    window = (slice(max(0, y - 1), y + h + 1), slice(max(0, x - 1), x + w + 1))
    inside = labels[window] == number
    rim = inside & ~eroded(inside)
    now, before = (float(one[window][rim].mean()) for one in (slopes.now, slopes.before))
    contrast = float(np.median(slopes.away[window][inside & found.new[window]]))
    return Blob(
        label=number,
        left=x / width,
        top=y / height,
        right=(x + w) / width,
        bottom=(y + h) / height,
        area=area / labels.size,
        still_s=float(np.median(still_s[window][inside])),
        moved=float(found.moved[window][inside].mean()) > _MOVED,
        is_ghost=now < _GHOST * before,
        is_soft=float(np.median(slopes.of_away[window][rim])) < _SOFT * contrast,
    )
