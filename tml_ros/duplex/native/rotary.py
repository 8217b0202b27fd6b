"""Rotary positions that stay exact for ever.

Angles come from whole-number arithmetic: frequencies are multiples of one turn in ``PERIOD`` positions, so position p
and p + PERIOD are the same rotation and nothing is lost to rounding after hours. What attention sees is the difference
of two positions, which the window keeps far below the period.

Source: Su et al. 2021 (arXiv 2104.09864) for the rotation; partial rotation as in GPT-NeoX.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["PERIOD", "Angles", "Rotary", "rotate"]

Angles = tuple[Tensor, Tensor]

PERIOD = 1 << 20
_SLOWEST = 8  # rotations per period of the slowest pair: once in 131,072 positions


class Rotary(nn.Module):
    """Cosines and sines for positions of heads.

    rotary: how many elements of a head are rotated, even. width: of a head.
    """

    steps: Tensor

    def __init__(self, rotary: int, width: int) -> None:
        super().__init__()
        self._pairs, self._width = rotary // 2, width
        self.register_buffer("steps", self._steps(), persistent=False)

    def _steps(self) -> Tensor:
        fastest = PERIOD / (2 * math.pi)  # one radian per position
        ratio = (_SLOWEST / fastest) ** (1 / max(1, self._pairs - 1))
        return torch.tensor([round(fastest * ratio**pair) for pair in range(self._pairs)])

    def forward(self, positions: Tensor, dtype: torch.dtype) -> Angles:
        """Return what ``rotate`` multiplies with, [B, 1, S, width] each, for positions [B, S] int64."""
        angle = ((positions[..., None] * self.steps) & (PERIOD - 1)).double() * (2 * math.pi / PERIOD)
        cosines, sines, rest = angle.cos(), angle.sin(), (0, self._width - 2 * self._pairs)
        cosines = F.pad(torch.cat((cosines, cosines), -1), rest, value=1.0)
        sines = F.pad(torch.cat((-sines, sines), -1), rest)
        return cosines.to(dtype)[:, None], sines.to(dtype)[:, None]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Rotary":
        """Fill the fixed steps again: a module that was built without memory has none of them."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.steps = self._steps().to(self.steps.device)
        return self


def rotate(x: Tensor, angles: Angles, pairs: int) -> Tensor:
    """Rotate the first ``2 * pairs`` elements of heads x [B, H, S, width]; angles as ``Rotary`` makes them."""
    swapped = torch.cat((x[..., pairs : 2 * pairs], x[..., :pairs], x[..., 2 * pairs :]), dim=-1)
    return torch.addcmul(x * angles[0], swapped, angles[1])
