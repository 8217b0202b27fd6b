"""Whole conversations as one sequence of tokens, and who sees whom in it.

Most places of a micro-turn are empty most of the time. Training runs only what is taken: the tokens of each row are
moved together, shorter rows are filled up at the end with tokens that nobody sees. Without that, every place has its
token, and numbers do not depend on what is there later, to the bit. What attention may see is worked out
once for each window and used by every layer that has it, block by block of queries. It knows no weights.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from tml_ros.duplex.native.blocks import Attention
from tml_ros.duplex.native.sequence import SIGHT, Layout, Places

__all__ = ["Packed", "Sequence"]

_QUERY_TOKENS = 128  # of a block: what lies outside the window of all of them is not looked at
_HIDDEN = float("-inf")


@dataclass(frozen=True, slots=True)
class Packed:
    """The tokens that are there. x: [B, L, D]; present: [B, L] bool; positions: [B, L] int64."""

    x: Tensor
    present: Tensor
    positions: Tensor


@dataclass(frozen=True, slots=True)
class _Block:
    """Queries [begin, end) with the keys [first, last) that they may see. bias: [B, 1, queries, sinks + keys]."""

    begin: int
    end: int
    first: int
    last: int
    bias: Tensor


class Sequence:
    """T micro-turns of S places: which are taken, and who sees whom."""

    def __init__(self, present: Tensor, places: Places, layout: Layout, sinks: int, *, packs: bool) -> None:
        """present: [B, T, S] bool. sinks: keys before all others that every query sees. packs: leave out what is not
        present."""
        batch, turns, per_turn = present.shape
        there = present.flatten(1)
        self._size, self._sinks, self._packs = (batch, turns, per_turn), sinks, packs
        self._index = _packed(there) if packs else torch.arange(there.shape[1], device=there.device).expand_as(there)
        self._present = there.gather(1, self._index)
        turn, place = self._index // per_turn, self._index % per_turn
        self._positions = turn * layout.slots_per_turn + places.slots[place]
        if packs:
            turn = torch.where(self._present, turn, turns)  # in order: what is absent lies at the end
        self._ranks = turn * layout.ranks_per_turn + places.ranks[place]
        self._is_sight = places.kinds[place] == SIGHT
        self._has_sight = bool((places.kinds == SIGHT).any())
        self._count(turn)
        self._blocks: dict[tuple[int, int], list[_Block]] = {}

    def pack(self, x: Tensor) -> Packed:
        """Put the tokens of x [B, T, S, D] in line."""
        index = self._index[..., None].expand(-1, -1, x.shape[-1])
        return Packed(x.flatten(1, 2).gather(1, index), self._present, self._positions)

    def unpack(self, hidden: Tensor) -> Tensor:
        """Put hidden states [B, L, D] back to their places, [B, T, S, D]; zeros where there is no token."""
        batch, turns, per_turn = self._size
        index = self._index[..., None].expand_as(hidden)
        spread = hidden.new_zeros(batch, turns * per_turn, hidden.shape[-1])
        return spread.scatter(1, index, hidden * self._present[..., None]).view(batch, turns, per_turn, -1)

    def attend(self, attention: Attention, queries: Tensor, written: Tensor, *, window: tuple[int, int]) -> Tensor:
        """Return [B, L, D] of queries [B, H, L, W] over keys before values [B, 2 K, L, W] and the layer's sinks."""
        sinks = torch.cat(attention.sinks()).to(written.dtype).expand(len(written), -1, -1, -1)
        made = []
        for block in self._seen(window, queries.dtype):
            seen = torch.cat((sinks, written[:, :, block.first : block.last]), dim=2)
            made.append(attention.attend(queries[:, :, block.begin : block.end], seen, block.bias))
        return torch.cat(made, dim=1)

    def _count(self, turn: Tensor) -> None:
        """Number the tokens of each kind, and note how many there were before the micro-turn of each token."""
        kinds = torch.stack((self._present & ~self._is_sight, self._present & self._is_sight), dim=-1)
        counts = kinds.long().cumsum(1)  # [B, L, 2]
        self._ordinals = counts.gather(2, self._is_sight.long()[..., None])[..., 0] - 1
        starts = torch.searchsorted(turn, turn)  # [B, L]: first token of the own micro-turn
        before = F.pad(counts, (0, 0, 1, 0))  # [B, L + 1, 2]
        self._began = before.gather(1, starts[..., None].expand(-1, -1, 2))

    def _seen(self, window: tuple[int, int], dtype: torch.dtype) -> list[_Block]:
        if window not in self._blocks:
            count = self._present.shape[1]
            size = torch.tensor(window, device=self._present.device)
            oldest = self._began - size  # [B, L, 2]: ordinals from which on tokens of each kind are seen
            self._blocks[window] = [
                self._block(begin, min(count, begin + _QUERY_TOKENS), oldest, dtype)
                for begin in range(0, count, _QUERY_TOKENS)
            ]
        return self._blocks[window]

    def _block(self, begin: int, end: int, oldest: Tensor, dtype: torch.dtype) -> _Block:
        ranks, oldest = self._ranks[:, begin:end], oldest[:, begin:end]
        last = int(torch.searchsorted(self._ranks, ranks[:, -1:].contiguous(), right=True).max())
        first = self._first(oldest[:, 0], last)
        seen = slice(first, last)
        limit = oldest[..., :1]
        if self._has_sight:
            limit = torch.where(self._is_sight[:, None, seen], oldest[..., 1:], limit)
        is_seen = (self._ordinals[:, None, seen] >= limit) & (self._ranks[:, None, seen] <= ranks[..., None])
        if not self._packs:
            is_seen &= self._present[:, None, seen]
        bias = torch.zeros((), dtype=dtype, device=ranks.device).where(is_seen, _HIDDEN)[:, None]
        return _Block(begin, end, first, last, F.pad(bias, (self._sinks, 0)))

    def _first(self, oldest: Tensor, last: int) -> int:
        """Return the first key that a block sees whose first query sees ordinals from ``oldest`` [B, 2] on."""
        limit = oldest[:, :1]
        if self._has_sight:
            limit = torch.where(self._is_sight[:, :last], oldest[:, 1:], limit)
        is_seen = self._ordinals[:, :last] >= limit
        return int(is_seen.to(torch.uint8).argmax(1).min())


def _packed(there: Tensor) -> Tensor:
    """Return where the tokens of each row are, in order; rows with fewer go on with what is absent. [B, L]."""
    count = int(there.sum(1).max())
    return (~there).to(torch.uint8).argsort(dim=1, stable=True)[:, :count]
