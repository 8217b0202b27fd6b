"""Another camera's view of rendered pictures: turned, moved, mirrored, in other colours. It knows no scenes."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

__all__ = ["View", "another_view"]


@dataclass(frozen=True, slots=True)
class View:
    """One camera. move: [2, 3], of shares of width and height. tones: [3, 256], what becomes of each value, 0 to 1."""

    move: NDArray[np.float64]
    tones: NDArray[np.float32]

    def picture(self, rgb: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.float32]:
        """Return how it sees a picture [H, W, 3], as [3, height, width]. size: width, height, the same or half."""
        planes = cv2.split(self._moved(rgb, size, cv2.INTER_LINEAR))
        made = [cv2.LUT(plane, tone) for plane, tone in zip(planes, self.tones, strict=True)]
        return np.stack(made).astype(np.float32, copy=False)

    def map(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a map [H, W] as it sees it."""
        return self._moved(labels, (labels.shape[1], labels.shape[0]), cv2.INTER_NEAREST)

    def _moved(self, picture: NDArray[np.uint8], size: tuple[int, int], how: int) -> NDArray[np.uint8]:
        into, out_of = np.array(size, np.float64), np.array(picture.shape[1::-1], np.float64)
        turned = self.move[:, :2] * into[:, None] / out_of
        moved = np.column_stack([turned, turned @ np.full(2, 0.5) + self.move[:, 2] * into - 0.5])  # 0: middle of one
        made = cv2.warpAffine(np.asarray(picture), moved, size, flags=how, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(made, np.uint8)


def another_view(rng: Generator) -> View:
    """Draw a camera."""
    move = _move(rng)
    gain, level = rng.uniform(0.8, 1.2) * rng.uniform(0.92, 1.08, 3), rng.uniform(-0.04, 0.04)
    return View(move, np.clip(np.arange(256) / 255 * gain[:, None] + level, 0, 1).astype(np.float32))


def _move(rng: Generator) -> NDArray[np.float64]:
    angle, size = rng.normal(0.0, 0.03), rng.uniform(0.95, 1.08)
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * size
    turned[0] *= 1 if rng.random() < 0.5 else -1
    middle = np.full(2, 0.5)
    return np.column_stack([turned, middle - turned @ middle + rng.uniform(-0.05, 0.05, 2)])
