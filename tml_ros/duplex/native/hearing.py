"""A stem for sound: causal convolutions over the tokens of what is heard, a few hundred milliseconds each.

A token of sound holds 40 ms, less than a speech sound. What lies side by side is brought together here before the
blocks see it, as the stem of pictures does with pixels; nothing after a token is looked at, and what reaches back into
the micro-turn before is carried in a tail. It knows no spectrum and no session.

Source: ConvNeXt blocks, Liu et al. 2022 (arXiv 2201.03545), in one dimension and causal.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from tml_ros.duplex.native.shape import NativeShape
from tml_ros.duplex.native.state import keep

__all__ = ["SoundStem", "stem_tail_shapes"]

_WIDER = 2


class SoundStem(nn.Module):
    """Layers that each mix the last ``sound_kernel`` tokens, channel by channel, then the channels of each token."""

    name = "stem"
    """Of its tails, one for each stem of a model."""

    def __init__(self, shape: NativeShape) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_Layer(shape.width, shape.sound_kernel) for _ in range(shape.sound_layers))
        self.scale = nn.Parameter(torch.ones(shape.width))

    def forward(self, tokens: Tensor) -> Tensor:
        """Run whole streams [B, L, D] from their beginning."""
        for layer in self._every:
            before = tokens.new_zeros(len(tokens), layer.reach, tokens.shape[-1])
            tokens = layer(tokens, before)
        return self._levelled(tokens)

    def step(self, tokens: Tensor, tails: dict[str, Tensor], active: Tensor) -> Tensor:
        """Run the tokens [B, n, D] of the next micro-turn. tails: see ``stem_tail_shapes``; active: [B] bool."""
        for number, layer in enumerate(self._every):
            tail, given = tails[_tail(self.name, number)], tokens
            before = tail.to(tokens.dtype)
            tokens = layer(given, before)
            keep(tail, torch.cat((before, given), 1)[:, -layer.reach :].to(tail.dtype), active)
        return self._levelled(tokens)

    @property
    def _every(self) -> "list[_Layer]":
        return cast(list[_Layer], list(self.layers))

    def _levelled(self, tokens: Tensor) -> Tensor:
        return functional.rms_norm(tokens, tokens.shape[-1:]) * self.scale.to(tokens.dtype)


class _Layer(nn.Module):
    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.reach = kernel - 1
        self.mix = nn.Parameter(torch.randn(kernel, width) * kernel**-0.5)
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, _WIDER * width)
        self.down = nn.Linear(_WIDER * width, width)

    def forward(self, tokens: Tensor, before: Tensor) -> Tensor:
        """Run tokens [B, L, D], ``reach`` tokens [B, R, D] having been before them."""
        count, whole = tokens.shape[1], torch.cat((before, tokens), 1)
        mixed = whole[:, :count] * self.mix[0].to(whole.dtype)
        for place in range(1, self.reach + 1):
            mixed = mixed + whole[:, place : place + count] * self.mix[place].to(whole.dtype)
        made: Tensor = self.down(functional.gelu(self.up(self.norm(mixed))))
        return tokens + made


def stem_tail_shapes(shape: NativeShape, name: str = SoundStem.name) -> dict[str, tuple[int, ...]]:
    """Return what ``SoundStem.step`` keeps per row: the tokens that each layer reaches back to."""
    return {_tail(name, number): (shape.sound_kernel - 1, shape.width) for number in range(shape.sound_layers)}


def _tail(name: str, layer: int) -> str:
    return f"{name}.{layer}"
