"""Where tokens stand: the slots of a micro-turn, their ranks, kinds and positions.

A micro-turn spans ``slots_per_turn`` positions whether they are taken or not, so that a position in the sequence is a
position in time. Ranks decide who sees whom: a token sees what has its own rank or a lower one. All inputs of a
micro-turn share a rank, so they see each other; outputs have one each, so they are causal.
Nothing here knows weights.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from tml_ros.duplex.native.shape import NativeShape

__all__ = ["SIGHT", "STREAM", "Layout", "Places", "Span"]

STREAM, SIGHT = 0, 1


@dataclass(frozen=True, slots=True)
class Span:
    """Slots of one sort in a micro-turn. kind: STREAM or SIGHT. rank: of the first; causal: ranks go up by one."""

    start: int
    count: int
    kind: int
    rank: int
    causal: bool

    def slots(self, count: int | None = None) -> range:
        """Return the slots of the first ``count`` tokens, of all without a count."""
        return range(self.start, self.start + (self.count if count is None else count))

    def ranks(self, count: int | None = None) -> list[int]:
        """Return their ranks within the micro-turn."""
        return [self.rank + (slot - self.start if self.causal else 0) for slot in self.slots(count)]


@dataclass(frozen=True, eq=False)
class Places:
    """Where S tokens stand. slots, ranks, kinds: [S] int64."""

    slots: Tensor
    ranks: Tensor
    kinds: Tensor


class Layout:
    """The spans of a shape, in order: sight, audio, text in, clock, OUT, floor and text out, voice."""

    def __init__(self, shape: NativeShape) -> None:
        sight, audio, text = shape.sight_tokens, shape.audio_tokens, shape.text_in_tokens
        said = 1 + shape.text_out_tokens
        self.sight = Span(0, sight, SIGHT, 0, causal=False)
        self.audio = Span(sight, audio, STREAM, 0, causal=False)
        self.text = Span(sight + audio, text, STREAM, 0, causal=False)
        self.clock = Span(sight + audio + text, 1, STREAM, 0, causal=False)
        self.out = Span(self.clock.start + 1, 1, STREAM, 1, causal=True)
        self.said = Span(self.out.start + 1, said, STREAM, 2, causal=True)
        self.voice = Span(self.said.start + said, shape.voice_tokens, STREAM, 2 + said, causal=True)
        self.slots_per_turn = shape.slots_per_turn
        self.ranks_per_turn = 2 + said + shape.voice_tokens
        self._places: dict[tuple[tuple[tuple[Span, int], ...], torch.device], Places] = {}

    def places(self, spans: tuple[tuple[Span, int], ...], device: torch.device) -> Places:
        """Return where the first tokens of spans stand, side by side, as (span, count); made once."""
        key = (spans, device)
        if key not in self._places:
            slots = [slot for span, count in spans for slot in span.slots(count)]
            ranks = [rank for span, count in spans for rank in span.ranks(count)]
            kinds = [span.kind for span, count in spans for _ in range(count)]
            lists = (slots, ranks, kinds)
            self._places[key] = Places(*(torch.tensor(each, dtype=torch.int64, device=device) for each in lists))
        return self._places[key]
