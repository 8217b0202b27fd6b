"""What the native model is trained on: one loss per thing that it puts out, and their weighted sum.

Source: cross-entropy for floor and text, binary cross-entropy for the auxiliary predictions, flow matching in ``flow``,
load balancing in ``experts``. How the vocoder is trained is in ``vocoder``.
"""

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from tml_ros.duplex.native.experts import balance_loss
from tml_ros.duplex.native.inputs import ABSENT, StreamInputs, StreamTargets
from tml_ros.duplex.native.tokens import FLOOR_MARKERS, Marker
from tml_ros.duplex.native.transformer import InteractionTransformer, Predictions

__all__ = ["LossWeights", "losses"]


@dataclass(frozen=True, slots=True)
class LossWeights:
    """How much each loss counts in the total; 0 leaves it out."""

    floor: float = 1.0
    text: float = 1.0
    auxiliary: float = 0.3
    flow: float = 1.0
    balance: float = 0.01


def losses(
    model: InteractionTransformer,
    inputs: StreamInputs,
    targets: StreamTargets,
    weights: LossWeights | None = None,
    generator: torch.Generator | None = None,
) -> dict[str, Tensor]:
    """Return the losses of T micro-turns [B, T, ...] by name, ``total`` among them.

    Args:
        weights: of the total.
        generator: for the noise and the times of flow matching.
    """
    predictions = model(inputs, targets)
    found = {
        "floor": _floor_loss(predictions, targets),
        "text": _text_loss(predictions, targets),
        "auxiliary": _auxiliary_loss(predictions, targets),
        "flow": _flow_loss(model, predictions, targets, generator),
        "balance": balance_loss(predictions.uses).to(predictions.floor.device),
    }
    weights = weights or LossWeights()
    parts = [getattr(weights, field.name) * found[field.name] for field in fields(weights)]
    return found | {"total": torch.stack(parts).sum()}


def _floor_loss(predictions: Predictions, targets: StreamTargets) -> Tensor:
    return F.cross_entropy(predictions.floor.flatten(0, 1), (targets.floor - min(FLOOR_MARKERS)).flatten())


def _text_loss(predictions: Predictions, targets: StreamTargets) -> Tensor:
    wanted = targets.next_tokens(Marker.END)
    return F.cross_entropy(predictions.text.flatten(0, 2), wanted.flatten(), ignore_index=ABSENT)


def _auxiliary_loss(predictions: Predictions, targets: StreamTargets) -> Tensor:
    if targets.auxiliary is None:
        return predictions.auxiliary.new_zeros(())
    known = ~targets.auxiliary.isnan()
    off = F.binary_cross_entropy_with_logits(predictions.auxiliary[known], targets.auxiliary[known], reduction="sum")
    return off / known.sum().clamp(min=1)


def _flow_loss(
    model: InteractionTransformer,
    predictions: Predictions,
    targets: StreamTargets,
    generator: torch.Generator | None,
) -> Tensor:
    if predictions.voice is None or targets.mel is None or targets.speaking is None:
        return predictions.floor.new_zeros(())
    return model.flow.loss(predictions.voice.float(), targets.mel, targets.speaking, generator=generator)
