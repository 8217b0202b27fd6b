"""What goes into the native model and what it is taught, as tensors: of one micro-turn [B, ...] or of T [B, T, ...].

A tensor that is None is absent for every row; ``*_present`` says it row by row.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

__all__ = ["ABSENT", "StreamInputs", "StreamTargets"]

ABSENT = -1  # in a tensor of token ids: no token


@dataclass(frozen=True, slots=True)
class StreamInputs:
    """Inputs of micro-turns; ``...`` is B or B, T.

    audio, reference: [..., 3200] float32 at 16 kHz. frames: [..., H, W, 3] uint8, H and W of the shape's grid of
    patches. text: [..., n] int64, n at most ``text_in_tokens``, ABSENT where there is none. playing: [...] bool,
    whether the loudspeaker plays. ``*_present``: [...] bool.

    Training brings what is measured already: levels, reference_levels, [B, T, 20, M] uint8, stand for audio (empty
    then, [B, T, 0]) and reference, and frames may be [F, H, W, 3], those that are present, row by row.
    """

    audio: Tensor
    audio_present: Tensor
    playing: Tensor
    reference: Tensor | None = None
    reference_present: Tensor | None = None
    frames: Tensor | None = None
    frame_present: Tensor | None = None
    text: Tensor | None = None
    levels: Tensor | None = None
    reference_levels: Tensor | None = None

    @classmethod
    def silent(cls, *leading: int, device: torch.device | str = "cpu") -> "StreamInputs":
        """Return inputs without sound, sight or text. leading: B, or B and T."""
        audio = torch.zeros(*leading, 3200, device=device)
        return cls(audio, *(torch.zeros(leading, dtype=torch.bool, device=device) for _ in range(2)))

    def played(self) -> tuple[Tensor, Tensor]:
        """Return the reference and where it is there; silence that is nowhere there when it is absent."""
        present = torch.zeros_like(self.audio_present) if self.reference_present is None else self.reference_present
        return torch.zeros_like(self.audio) if self.reference is None else self.reference, present

    def turn(self, index: int) -> "StreamInputs":
        """Return one micro-turn [B, ...] of [B, T, ...]."""
        return self._map(lambda tensor: tensor[:, index])

    @classmethod
    def joined(cls, turns: "list[StreamInputs]") -> "StreamInputs":
        """Return [B, T, ...] of T micro-turns [B, ...] that have the same tensors."""
        names = [field.name for field in fields(cls) if getattr(turns[0], field.name) is not None]
        return cls(**{name: torch.stack([getattr(turn, name) for turn in turns], dim=1) for name in names})

    def turns(self, begin: int, end: int) -> "StreamInputs":
        """Return the micro-turns [begin, end) of [B, T, ...]."""
        return self._map(lambda tensor: tensor[:, begin:end])

    def rows(self, begin: int, end: int) -> "StreamInputs":
        """Return the rows [begin, end)."""
        return self._map(lambda tensor: tensor[begin:end])

    def to(self, device: torch.device | str) -> "StreamInputs":
        """Return the inputs on a device."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def copied(self) -> "StreamInputs":
        """Return the inputs in tensors of their own, each with its own memory."""
        return self._map(torch.Tensor.clone)

    def _map(self, change: Callable[[Tensor], Tensor]) -> "StreamInputs":
        return StreamInputs(**_changed(self, change))


@dataclass(frozen=True, slots=True)
class StreamTargets:
    """What the model shall put out, [B, T, ...]; outputs of earlier micro-turns are inputs of later ones.

    floor: [B, T] int64, ids of floor markers. text: [B, T, N] int64 without END, ABSENT behind the last.
    auxiliary: [B, T, 3] float32, 0 or 1: user speaking, turn end, speech present; NaN where unknown, or None.
    speaking: [B, T] bool, whether there is voice. mel: [B, T, 20, M] float32 normalised, or None.
    A micro-turn whose floor is ABSENT is only there to fill up the row: nothing is asked of it.
    """

    floor: Tensor
    text: Tensor
    auxiliary: Tensor | None = None
    speaking: Tensor | None = None
    mel: Tensor | None = None

    def rows(self, begin: int, end: int) -> "StreamTargets":
        """Return the rows [begin, end)."""
        return self._map(lambda tensor: tensor[begin:end])

    def to(self, device: torch.device | str) -> "StreamTargets":
        """Return the targets on a device."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def turn(self, index: int) -> "StreamTargets":
        """Return one micro-turn [B, ...] of [B, T, ...]."""
        return self._map(lambda tensor: tensor[:, index])

    def _map(self, change: Callable[[Tensor], Tensor]) -> "StreamTargets":
        return StreamTargets(**_changed(self, change))

    def next_tokens(self, end: int) -> Tensor:
        """Return what the floor and text positions shall predict, [B, T, N] int64: text, then END, ABSENT behind."""
        there = self.text != ABSENT
        before = torch.cat(((self.floor != ABSENT)[..., None], there[..., :-1]), dim=-1)
        return torch.where(there, self.text, torch.where(before, end, ABSENT))


def _changed(record: StreamInputs | StreamTargets, change: Callable[[Tensor], Tensor]) -> dict[str, Any]:
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    return {name: value if value is None else change(value) for name, value in values.items()}
