"""By how much a camera that shakes has shifted a picture, and the picture put back; what moves by itself hardly counts.

It knows shifts only, no turns and no zoom.

Source: one-step-at-a-time registration, B. D. Lucas and T. Kanade, "An iterative image registration technique" (1981).
"""

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["local_contrast", "moved", "shift_between"]

Picture = NDArray[np.float32]
_CONTRAST = 40.0  # per unit of log brightness
_LOCAL = 61  # pixels over which brightness is evened out: shadows and exposure go


def local_contrast(grey: Picture) -> Picture:
    """Return [h, w] what a grey picture is compared by; made for pictures about 160 pixels wide."""
    light = _CONTRAST * np.log1p(grey)
    evened = light - np.asarray(cv2.blur(light, (_LOCAL, _LOCAL)), np.float32)
    return np.asarray(cv2.GaussianBlur(evened, (0, 0), 1.5), np.float32)


def shift_between(
    still: Picture, picture: Picture, shift: NDArray[np.float64], aside: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Return [2] how many pixels a picture is shifted right and down, so that ``moved(picture, shift)`` is ``still``.

    Args:
        still: [h, w], what it is compared with.
        picture: [h, w].
        shift: where to begin; what is further away than a few pixels from there is not found.
        aside: [h, w], what does not count.
    """
    inner = np.s_[8:-8, 8:-8]
    slopes = [np.asarray(cv2.Sobel(still, cv2.CV_32F, *axis, ksize=3, scale=1 / 8))[inner] for axis in ((1, 0), (0, 1))]
    counts = np.float32(1.0) if aside is None else (~aside[inner]).astype(np.float32)
    for _ in range(4):
        error = (still - moved(picture, shift))[inner]
        trust = counts / (1.0 + (error / (1.5 * float(np.median(np.abs(error))) + 1e-3)) ** 2) ** 2
        normal = np.array([[float(np.sum(trust * one * other)) for other in slopes] for one in slopes])
        if abs(float(np.linalg.det(normal))) < 1e-6:
            return shift
        step = np.linalg.solve(normal, [float(np.sum(trust * one * error)) for one in slopes])
        shift = shift + np.clip(step, -2.0, 2.0)
        if np.abs(step).max() < 0.02:
            break
    return shift


def moved(picture: Picture, shift: NDArray[np.float64]) -> Picture:
    """Return a picture [h, w] or [h, w, 3] put back by a shift in pixels."""
    back = np.array([[1.0, 0.0, shift[0]], [0.0, 1.0, shift[1]]], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (picture.shape[1], picture.shape[0])
    return np.asarray(cv2.warpAffine(picture, back, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.float32)
