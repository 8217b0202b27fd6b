"""Pictures as tokens: fitted to a grid of 40x40 patches, each patch through a small stem of its own.

Every convolution of the stem has as stride its own size, and 4 * 2 * 5 is 40: patches never mix, and each layer is one
matrix product over pixels that lie next to each other once the picture has been put in order. It knows neither cameras
nor sessions.

Source: hMLP stem, Touvron et al. 2022 (arXiv 2203.09795), with the sizes 4, 2, 5 for patches of 40 pixels
and layer norm in place of batch norm, so that no patch depends on another.
"""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from tml_ros.duplex.native.shape import NativeShape
from tml_ros.errors import ImageFormatError

__all__ = ["PATCH_PIXELS", "PatchStem", "fit"]

PATCH_PIXELS = 40
_SIDES = (4, 2, 5)
"""Sides of the three convolutions, from the pixels up."""


def fit(rgb: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.uint8]:
    """Resize a picture to a grid of patches: the whole of it, stretched where its proportions are others.

    Args:
        rgb: [H, W, 3] uint8.
        rows: patches from top to bottom.
        columns: patches from left to right.

    Returns:
        [rows * 40, columns * 40, 3] uint8, contiguous; the picture itself when it fits already.

    Raises:
        ImageFormatError: ``rgb`` is no such array, or is empty.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or 0 in rgb.shape:
        raise ImageFormatError(f"a picture must be [H, W, 3] uint8, got {list(rgb.shape)} {rgb.dtype}; decode it first")
    height, width = rows * PATCH_PIXELS, columns * PATCH_PIXELS
    fitted = _resized(rgb, min(rgb.shape[0], height), min(rgb.shape[1], width), cv2.INTER_AREA)
    return np.ascontiguousarray(_resized(fitted, height, width, cv2.INTER_LINEAR))


def _resized(rgb: NDArray[np.uint8], height: int, width: int, interpolation: int) -> NDArray[np.uint8]:
    if rgb.shape[:2] == (height, width):
        return rgb
    return cv2.resize(rgb, (width, height), interpolation=interpolation).astype(np.uint8, copy=False)


class PatchStem(nn.Module):
    """Patches to tokens, with what row and column they come from."""

    def __init__(self, shape: NativeShape) -> None:
        super().__init__()
        self._grid = (shape.patch_rows, shape.patch_columns)
        fine, coarse = shape.stem_widths
        self.fine = nn.Linear(3 * _SIDES[0] ** 2, fine)
        self.fine_norm = nn.LayerNorm(fine)
        self.coarse = nn.Linear(fine * _SIDES[1] ** 2, coarse)
        self.coarse_norm = nn.LayerNorm(coarse)
        self.whole = nn.Linear(coarse * _SIDES[2] ** 2, shape.width)
        self.row = nn.Parameter(torch.empty(shape.patch_rows, shape.width))
        self.column = nn.Parameter(torch.empty(shape.patch_columns, shape.width))
        for table in (self.row, self.column):
            nn.init.normal_(table, std=0.02)

    def forward(self, pictures: Tensor) -> Tensor:
        """Embed pictures.

        Args:
            pictures: [..., rows * 40, columns * 40, 3] uint8, as ``fit`` makes them.

        Returns:
            [..., P, D], row by row, of the parameters' dtype.
        """
        pixels = self._in_order(pictures).to(self.fine.weight.dtype) / 127.5 - 1.0
        fine = functional.gelu(self.fine_norm(self.fine(pixels)))
        coarse = functional.gelu(self.coarse_norm(self.coarse(fine.flatten(-2))))
        tokens: Tensor = self.whole(coarse.flatten(-2))
        return tokens + (self.row[:, None] + self.column).flatten(0, 1)

    def _in_order(self, pictures: Tensor) -> Tensor:
        """Bring together what each layer takes at once: [..., P, 25, 4, 48]."""
        rows, columns = self._grid
        fine, coarse, whole = _SIDES
        lead = pictures.shape[:-3]
        cut = pictures.reshape(-1, rows, whole, coarse, fine, columns, whole, coarse, fine, 3)
        ordered = cut.permute(0, 1, 5, 2, 6, 3, 7, 4, 8, 9)
        return ordered.reshape(*lead, rows * columns, whole**2, coarse**2, fine**2 * 3)
