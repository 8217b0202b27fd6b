"""Transformer blocks: RMSNorm, grouped-query attention with sinks, SwiGLU or experts.

A block runs in two ways on the same weights: ``step`` appends a few tokens to a ring cache and attends to it,
``forward`` runs whole sequences for training. Who sees whom comes in as a bias.

Source: Zhang and Sennrich 2019 (arXiv 1910.07467) for RMSNorm, Ainslie et al. 2023 (arXiv 2305.13245) for grouped
queries. Sinks are learned keys and values (as the learned sinks of gpt-oss, with values): they hold no position, so
they are the same after a second and after a day.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tml_ros.duplex.native.experts import ExpertPath, MixtureOfExperts, RouterUse, SwiGlu
from tml_ros.duplex.native.rotary import Angles, rotate
from tml_ros.duplex.native.shape import NativeShape

__all__ = ["Attention", "Block", "RmsNorm"]

_EPSILON = 1e-6


class RmsNorm(nn.Module):
    """Root mean square normalisation, computed in float32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise [..., D]."""
        exact = x.float()
        return (exact * torch.rsqrt(exact.square().mean(-1, keepdim=True) + _EPSILON) * self.weight).to(x.dtype)


class Attention(nn.Module):
    """Grouped-query attention. H query heads share K key and value heads."""

    def __init__(self, shape: NativeShape) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_width = shape.heads, shape.kv_heads, shape.head_width
        self.pairs = shape.rotary_width // 2
        inner = shape.heads * shape.head_width
        self.inwards = nn.Linear(shape.width, inner + 2 * shape.kv_heads * shape.head_width, bias=False)
        self.outwards = nn.Linear(inner, shape.width, bias=False)
        self.sink_keys = nn.Parameter(torch.empty(shape.kv_heads, shape.sinks, shape.head_width - shape.rotary_width))
        self.sink_values = nn.Parameter(torch.empty(shape.kv_heads, shape.sinks, shape.head_width))
        nn.init.normal_(self.sink_keys)
        nn.init.normal_(self.sink_values, std=0.1)

    def sinks(self) -> tuple[Tensor, Tensor]:
        """Return the keys and values that every query sees, [K, sinks, head width] each; keys unrotated."""
        return F.pad(self.sink_keys, (self.head_width - self.sink_keys.shape[-1], 0)), self.sink_values

    def project(self, x: Tensor, angles: Angles) -> tuple[Tensor, Tensor]:
        """Return of x [B, S, D] the rotated queries [B, H, S, W], and rotated keys before values [B, 2 K, S, W]."""
        batch, count, _ = x.shape
        joint = self.inwards(x).view(batch, count, self.heads + 2 * self.kv_heads, self.head_width).transpose(1, 2)
        placed, values = joint.split((self.heads + self.kv_heads, self.kv_heads), dim=1)
        placed = rotate(placed, angles, self.pairs)
        return placed[:, : self.heads], torch.cat((placed[:, self.heads :], values), dim=1)

    def attend(self, queries: Tensor, cache: Tensor, bias: Tensor) -> Tensor:
        """Return [B, S, D] of queries [B, H, S, W] over keys before values [B, 2 K, C, W].

        Args:
            bias: [B, 1, S or 1, C], added to the scores.
        """
        keys, values = cache[:, : self.kv_heads], cache[:, self.kv_heads :]
        made = F.scaled_dot_product_attention(queries, keys, values, attn_mask=bias, enable_gqa=True)
        return self.outwards(made.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class Block(nn.Module):
    """One layer."""

    def __init__(self, shape: NativeShape, layer: int) -> None:
        super().__init__()
        self.is_global = shape.is_global(layer)
        self.attention_norm = RmsNorm(shape.width)
        self.attention = Attention(shape)
        self.forward_norm = RmsNorm(shape.width)
        self.feed_forward: MixtureOfExperts | SwiGlu
        if shape.is_moe(layer):
            sizes = (shape.experts, shape.experts_per_token, shape.expert_width, shape.shared_expert_width)
            self.feed_forward = MixtureOfExperts(shape.width, *sizes)
        else:
            self.feed_forward = SwiGlu(shape.width, shape.ffn_width)

    def step(self, x: Tensor, angles: Angles, cache: Tensor, slots: Tensor, bias: Tensor, path: ExpertPath) -> Tensor:
        """Append tokens to the cache and run them.

        Args:
            x: [B, S, D].
            angles: of the tokens' positions.
            cache: [B, 2 K, C, W], written in place.
            slots: [B, S] int64, where they go.
            bias: [B, 1, S or 1, C].
            path: how experts are run.
        """
        queries, written = self.attention.project(self.attention_norm(x), angles)
        cache.scatter_(2, slots[:, None, :, None].expand_as(written), written.to(cache.dtype))
        x = x + self.attention.attend(queries, cache, bias)
        return x + self._feed(self.forward_norm(x), path)

    def forward(
        self, x: Tensor, angles: Angles, attend: Callable[[Attention, Tensor, Tensor], Tensor], present: Tensor
    ) -> tuple[Tensor, RouterUse | None]:
        """Run whole sequences.

        Args:
            x: [B, L, D].
            angles: of the tokens' positions.
            attend: gets the layer's attention with what ``project`` returns, makes [B, L, D].
            present: [B, L] bool, for the use of the experts.
        """
        x = x + attend(self.attention, *self.attention.project(self.attention_norm(x), angles))
        ready = self.forward_norm(x)
        if isinstance(self.feed_forward, MixtureOfExperts):
            made, use = self.feed_forward.measured(ready, present)
            return x + made, use
        return x + self.feed_forward(ready), None

    def _feed(self, x: Tensor, path: ExpertPath) -> Tensor:
        if isinstance(self.feed_forward, MixtureOfExperts):
            return self.feed_forward(x, path)  # type: ignore[no-any-return]
        return self.feed_forward(x)  # type: ignore[no-any-return]
