"""Small JPEGs of what was seen, for reports."""

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["thumbnail"]


def thumbnail(rgb: NDArray[np.uint8], width: int = 160, quality: int = 70) -> bytes:
    """Return a JPEG at most ``width`` pixels wide. rgb: [H, W, 3] uint8."""
    height = max(1, round(rgb.shape[0] * width / rgb.shape[1]))
    small = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA) if rgb.shape[1] > width else rgb
    done, stream = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return stream.tobytes() if done else b""
