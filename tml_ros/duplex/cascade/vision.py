"""Say in a sentence what two pictures show: how bright it is, the main colour, what moves and where.

Plain image statistics, honest about what they are: it names no objects.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from tml_ros.records import Frame

__all__ = ["Sight"]

_HUES = ((10, "red"), (22, "orange"), (34, "yellow"), (85, "green"), (130, "blue"), (160, "purple"), (181, "red"))
_SIZE = (160, 120)
_MOVING = 25  # grey levels between two pictures; sensor noise stays below 15
_MOVING_SHARE = 0.004  # of the picture; below it is flicker


class Sight:
    """Remembers the newest picture and what moved last."""

    def __init__(self) -> None:
        self._picture: NDArray[np.uint8] | None = None
        self._moved: tuple[int, str] | None = None

    def look(self, frames: tuple[Frame, ...]) -> None:
        """Take in the pictures of a micro-turn."""
        for frame in frames:
            picture = cv2.resize(frame.rgb, _SIZE, interpolation=cv2.INTER_AREA)
            if self._picture is not None:
                place = _motion(self._picture, np.asarray(picture, np.uint8))
                self._moved = (frame.stamp_ns, place) if place else self._moved
            self._picture = np.asarray(picture, np.uint8)

    def describe(self, now_ns: int) -> str:
        """Return a sentence on what is seen now; motion counts for one second."""
        if self._picture is None:
            return "I have no picture."
        brightness = float(self._picture.mean())
        if brightness < 25:
            return "It is too dark to see anything."
        scene = f"I see a {'bright' if brightness > 130 else 'dim'} scene, {_colour(self._picture)}."
        if self._moved is not None and now_ns - self._moved[0] < 1_000_000_000:
            return f"{scene} Something moves {self._moved[1]}."
        return f"{scene} Nothing moves."


def _colour(picture: NDArray[np.uint8]) -> str:
    hue, saturation, value = cv2.split(cv2.cvtColor(picture, cv2.COLOR_RGB2HSV))
    coloured = hue[(saturation > 70) & (value > 50)]
    if len(coloured) < 0.05 * hue.size:
        return "mostly grey"
    edges = [0, *(edge for edge, _ in _HUES)]
    counts = np.histogram(coloured, bins=edges)[0]
    return (
        f"mostly {_HUES[int(np.argmax(counts))][1]}"
        if counts.max() > 0.2 * hue.size
        else "with some " + _HUES[int(np.argmax(counts))][1]
    )


def _motion(before: NDArray[np.uint8], now: NDArray[np.uint8]) -> str:
    """Return where something moved, empty where nothing did."""
    change = cv2.absdiff(cv2.cvtColor(before, cv2.COLOR_RGB2GRAY), cv2.cvtColor(now, cv2.COLOR_RGB2GRAY))
    columns = np.nonzero(cv2.medianBlur(change, 3) > _MOVING)[1]
    if len(columns) < _MOVING_SHARE * change.size:
        return ""
    place = float(columns.mean()) / change.shape[1]
    return "on the left" if place < 0.4 else "on the right" if place > 0.6 else "in the middle"
