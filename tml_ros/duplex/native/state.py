"""The memory of running sessions: ring caches of keys and values, tails, positions. Allocated once, updated in place.

One ``StreamState`` holds B sessions as rows of the same tensors. Its random state is a seed and the micro-turn
(``noise``). Layers with the same window share what their rings know of their slots. It knows no weights.

Source: ring buffer and execution mask as in Kyutai's Moshi (arXiv 2410.00037); sinks, arXiv 2309.17453.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tml_ros.duplex.native.sequence import SIGHT, STREAM
from tml_ros.duplex.native.shape import NativeShape
from tml_ros.errors import ModelError

__all__ = ["Ring", "StreamState", "keep"]

_EMPTY = -(1 << 62)  # ordinal of a slot that holds nothing: before every window
_SINK = 1 << 62  # ordinal of a sink: it never leaves the window


def keep(tail: Tensor, new: Tensor, active: Tensor) -> None:
    """Overwrite the rows of a tail that are active, in place. tail, new: [B, ...]; active: [B] bool."""
    tail.copy_(torch.where(active.view(-1, *[1] * (tail.dim() - 1)), new, tail))


@dataclass(slots=True)
class Ring:
    """What lies in the slots of caches with one window: [sinks | stream | sight | one slot for what is thrown away].

    ordinal: [B, C] int64, the how-manieth of its kind the token in a slot is, from 0. is_sight: [C] bool. capacity,
    window: stream and sight tokens that are kept, and that are seen.
    """

    ordinal: Tensor
    is_sight: Tensor
    sinks: int
    capacity: tuple[int, int]
    window: tuple[int, int]

    @staticmethod
    def window_of(shape: NativeShape, *, is_global: bool) -> tuple[int, int]:
        """Return how many stream and sight tokens before a micro-turn are seen in it."""
        if is_global:
            return shape.global_stream_tokens, shape.global_sight_tokens
        return shape.local_stream_tokens, shape.local_sight_tokens

    @classmethod
    def new(cls, shape: NativeShape, batch: int, device: torch.device, *, is_global: bool) -> "Ring":
        """Make an empty ring for the layers with the long or the short window."""
        window = cls.window_of(shape, is_global=is_global)
        capacity = (window[STREAM] + shape.most_stream_tokens, window[SIGHT] + shape.sight_tokens)
        slots = -(-(shape.sinks + sum(capacity) + 1) // 16) * 16
        index = torch.arange(slots, device=device)
        is_sight = (index >= shape.sinks + capacity[STREAM]) & (index < shape.sinks + sum(capacity))
        ring = cls(
            torch.empty(batch, slots, dtype=torch.int64, device=device),
            is_sight,
            shape.sinks,
            capacity,
            window,
        )
        ring.clear(torch.ones(batch, dtype=torch.bool, device=device))
        return ring

    def clear(self, rows: Tensor) -> None:
        """Forget the tokens of rows [B] bool; sinks stay."""
        ordinal = torch.full_like(self.ordinal, _EMPTY)
        ordinal[:, : self.sinks] = _SINK
        keep(self.ordinal, ordinal, rows)

    def write(self, ordinals: Tensor, kinds: Tensor, present: Tensor) -> Tensor:
        """Give tokens their slots and return these, [B, S].

        Args:
            ordinals: [B, S] int64.
            kinds: [S] int64.
            present: [B, S] bool; absent tokens take the last slot, which nobody sees.
        """
        in_stream = self.sinks + ordinals % self.capacity[STREAM]
        in_sight = self.sinks + self.capacity[STREAM] + ordinals % self.capacity[SIGHT]
        slots = torch.where(present, torch.where(kinds == SIGHT, in_sight, in_stream), self.slots - 1)
        self.ordinal.scatter_(1, slots, torch.where(present, ordinals, _EMPTY))
        return slots

    def seen(self, began: Tensor) -> Tensor:
        """Return which slots are seen, [B, C] bool. began: [B, 2] int64, tokens of each kind before the micro-turn."""
        sight, stream = began[:, SIGHT, None] - self.window[SIGHT], began[:, STREAM, None] - self.window[STREAM]
        return self.ordinal >= torch.where(self.is_sight, sight, stream)

    @property
    def slots(self) -> int:
        """How many there are, C."""
        return self.ordinal.shape[1]


@dataclass(slots=True)
class StreamState:
    """B sessions. caches: per layer [B, 2 K, C, head width], keys of K heads, then their values; sinks come first.

    turn: [B] int64, micro-turns so far. written: [B, 2] int64, stream and sight tokens so far. seed: [B] int64.
    tails: what other modules carry over, [B, ...] each, zero when fresh.

    Thread: one at a time.
    """

    caches: list[Tensor]
    rings: tuple[Ring, Ring]
    turn: Tensor
    written: Tensor
    seed: Tensor
    tails: dict[str, Tensor]

    @property
    def batch(self) -> int:
        """How many sessions there are, B."""
        return len(self.turn)

    @property
    def bytes(self) -> int:
        """Memory that the state takes."""
        return sum(tensor.nbytes for _, tensor in self.tensors())

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Yield every tensor by name; all have rows first."""
        for layer, cache in enumerate(self.caches):
            yield f"cache.{layer}", cache
        for name, ring in zip(("local", "global"), self.rings, strict=True):
            yield f"ring.{name}", ring.ordinal
        yield "turn", self.turn
        yield "written", self.written
        yield "seed", self.seed
        for name, tail in self.tails.items():
            yield f"tails.{name}", tail

    def reset(self, rows: Tensor, seed: Tensor | None = None) -> None:
        """Begin anew in rows [B] bool, with seeds [B] int64 where given; the other rows are not touched."""
        for ring in self.rings:
            ring.clear(rows)
        for tensor in (self.turn, self.written, *self.tails.values()):
            keep(tensor, torch.zeros_like(tensor), rows)
        for cache in self.caches:  # stale numbers are never seen, unless they are not finite
            tokens = cache[:, :, self.rings[0].sinks :]
            keep(tokens, torch.zeros_like(tokens), rows)
        if seed is not None:
            keep(self.seed, seed, rows)

    def snapshot(self) -> dict[str, Tensor]:
        """Return a copy of everything; it shares no memory with the state."""
        return {name: tensor.clone() for name, tensor in self.tensors()}

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        """Go back to a snapshot, in place.

        Raises:
            ModelError: the snapshot is of another shape, batch or precision.
        """
        own = dict(self.tensors())
        if own.keys() != snapshot.keys():
            odd = ", ".join(sorted(own.keys() ^ snapshot.keys())[:5])
            raise ModelError(
                f"the snapshot is of another model, they differ in {odd}; take it from the same checkpoint"
            )
        for name, tensor in own.items():
            given = snapshot[name]
            if (given.shape, given.dtype) != (tensor.shape, tensor.dtype):
                raise ModelError(
                    f"the snapshot's {name} is {list(given.shape)} {given.dtype}, this state's {list(tensor.shape)} "
                    f"{tensor.dtype}; restore it into a state of the same model, batch and precision"
                )
        for name, tensor in own.items():
            tensor.copy_(snapshot[name])

    def row(self, index: int) -> "StreamState":
        """Return one session as a state of its own that shares this one's memory."""
        part = slice(index, index + 1)
        rings = tuple(
            Ring(ring.ordinal[part], ring.is_sight, ring.sinks, ring.capacity, ring.window) for ring in self.rings
        )
        return StreamState(
            [cache[part] for cache in self.caches],
            (rings[0], rings[1]),
            self.turn[part],
            self.written[part],
            self.seed[part],
            {name: tail[part] for name, tail in self.tails.items()},
        )

    def admit(self, kinds: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Count tokens and return their slots [B, S] in the short and in the long ring.

        Args:
            kinds: [S] int64.
            present: [B, S] bool; absent tokens are thrown away.
        """
        is_sight = kinds == SIGHT
        counts = torch.stack((present & ~is_sight, present & is_sight), dim=1).cumsum(2)  # [B, 2, S]
        before = torch.where(is_sight, counts[:, SIGHT], counts[:, STREAM]) - 1
        ordinals = self.written[:, kinds] + before
        slots = [ring.write(ordinals, kinds, present) for ring in self.rings]
        self.written.add_(counts[:, :, -1])
        return slots[0], slots[1]
