"""Learning without forgetting: some rows teach something new, in the others a model shall go on as before.

What it put out before is asked of it as a whole, every floor, token and letter with its probability, which says far
more than which of them was right. It knows no adapters and no files.

Source: Li and Hoiem 2016, learning without forgetting (arXiv 1606.09282); Hinton et al. 2015 (arXiv 1503.02531).
"""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from tml_ros.duplex.native.inputs import ABSENT
from tml_ros.duplex.native.tokens import Marker
from tml_ros.duplex.native.transformer import InteractionTransformer
from tml_ros.training.encoding import Batch
from tml_ros.training.objective import Emphasis, Measured, Objective, letter_logits

__all__ = ["KeepingObjective", "divergence"]


class KeepingObjective(Objective):
    """The first rows of a batch have their targets, the others are to be as before."""

    def __init__(self, model: InteractionTransformer, before: InteractionTransformer, new: int, weight: float) -> None:
        """before: the model as it was, never trained. new: rows. weight: of staying, beside the losses of the new."""
        super().__init__(model)
        self._before, self._new, self._weight = [before], new, weight  # a list: it is no part of this module

    def forward(self, batch: Batch, emphasis: Emphasis, stop: bool = False) -> tuple[Measured, bool]:
        """Return the losses, the divergence of the old rows in the total, and whether any process wants to stop."""
        measured, wants_stop = super().forward(batch.rows(0, self._new), emphasis, stop)
        old = batch.rows(self._new, len(batch.skill))
        if not len(old.skill) or not self._weight:
            return measured, wants_stop
        apart = divergence(self.model, self._before[0], old, only_spelling=emphasis.only_spelling)
        return replace(measured, total=measured.total + self._weight * apart), wants_stop


def divergence(
    model: InteractionTransformer, before: InteractionTransformer, batch: Batch, *, only_spelling: bool = False
) -> Tensor:
    """Return how far a model is from what it was: Kullback-Leibler, nats per floor and per token of text, added up.

    only_spelling: of letters in place of these, nats per token of sound, and only the sound is run.
    """
    now = _logits(model, batch, only_spelling)
    with torch.no_grad():
        then = _logits(before, batch, only_spelling)
    return torch.stack([_apart(one, other) for one, other in zip(now, then, strict=True)]).sum()


def _logits(model: InteractionTransformer, batch: Batch, only_spelling: bool) -> tuple[Tensor, ...]:
    if only_spelling:
        return (letter_logits(model, model.heard(batch.inputs), batch.letters).flatten(0, 1),)
    filled = batch.targets.floor != ABSENT
    asked = batch.targets.next_tokens(Marker.END) != ABSENT
    hidden, tokens, _ = model.hidden(batch.inputs, batch.targets, packs=True)
    out = tokens.of(hidden, model.layout.out)[..., 0, :]
    said = tokens.of(hidden, model.layout.said)[..., : asked.shape[-1], :]
    return model.floor_logits(out)[filled], model.text_logits(said[asked])


def _apart(now: Tensor, then: Tensor) -> Tensor:
    allowed = torch.isfinite(then[0]) if len(then) else torch.ones(then.shape[-1], dtype=torch.bool)
    new, old = (functional.log_softmax(each[:, allowed], dim=-1) for each in (now, then))
    return functional.kl_div(new, old, reduction="batchmean", log_target=True)
