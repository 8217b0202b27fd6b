"""What the native model is trained on: one loss per thing that it puts out, and their weighted sum.

Source: cross-entropy for floor and text, binary cross-entropy for the auxiliary predictions, flow matching in ``flow``,
load balancing in ``experts``. How the vocoder is trained is in ``vocoder``.
"""

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from tml_ros.duplex.native.experts import RouterUse, balance_loss
from tml_ros.duplex.native.inputs import ABSENT, StreamInputs, StreamTargets
from tml_ros.duplex.native.tokens import FLOOR_MARKERS, Marker
from tml_ros.duplex.native.transformer import InteractionTransformer

__all__ = ["LossWeights", "TokenLosses", "losses", "token_losses"]


@dataclass(frozen=True, slots=True)
class LossWeights:
    """How much each loss counts in the total; 0 leaves it out."""

    floor: float = 1.0
    text: float = 1.0
    auxiliary: float = 0.3
    flow: float = 1.0
    balance: float = 0.01


@dataclass(frozen=True, slots=True)
class TokenLosses:
    """The losses of T micro-turns one by one, 0 where nothing is asked.

    floor: [B, T]. text: [B, T, N], of what ``next_tokens`` asks. auxiliary: [B, T, 3], where it is known: [B, T, 3] or
    [B, T, 1] bool. flow: of all together. uses: of every layer with experts. sound: [B, T, n, D], what was heard, as
    the stem of sound has it, or else as hidden states.
    """

    floor: Tensor
    text: Tensor
    auxiliary: Tensor
    known: Tensor
    flow: Tensor
    uses: list[RouterUse]
    sound: Tensor


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
    each = token_losses(model, inputs, targets, generator)
    found = {
        "floor": _mean(each.floor, targets.floor != ABSENT),
        "text": _mean(each.text, targets.next_tokens(Marker.END) != ABSENT),
        "auxiliary": _mean(each.auxiliary, each.known),
        "flow": each.flow,
        "balance": balance_loss(each.uses).to(each.floor.device),
    }
    weights = weights or LossWeights()
    parts = [getattr(weights, field.name) * found[field.name] for field in fields(weights)]
    return found | {"total": torch.stack(parts).sum()}


def token_losses(
    model: InteractionTransformer,
    inputs: StreamInputs,
    targets: StreamTargets,
    generator: torch.Generator | None = None,
) -> TokenLosses:
    """Return the losses of T micro-turns [B, T, ...] one by one.

    Text logits are worked out only where something is asked for: most places are empty.
    """
    hidden, tokens, uses = model.hidden(inputs, targets, packs=True)
    out = tokens.of(hidden, model.layout.out)[..., 0, :]
    known = torch.zeros_like(out[..., :1], dtype=torch.bool) if targets.auxiliary is None else _known(targets)
    voice = tokens.of(hidden, model.layout.voice) if targets.speaking is not None else None
    return TokenLosses(
        _floor_losses(model.floor_logits(out), targets),
        _text_losses(model, tokens.of(hidden, model.layout.said), targets),
        _auxiliary_losses(model.auxiliary(out).float(), targets, known),
        known,
        _flow_loss(model, voice, targets, generator),
        uses,
        tokens.of(hidden if model.sound.stem is None else tokens.x, model.layout.audio),
    )


def _mean(losses: Tensor, counts: Tensor) -> Tensor:
    return losses.sum() / counts.sum().clamp(min=1)


def _floor_losses(logits: Tensor, targets: StreamTargets) -> Tensor:
    wanted = torch.where(targets.floor == ABSENT, ABSENT, targets.floor - min(FLOOR_MARKERS))
    off = F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), ignore_index=ABSENT, reduction="none")
    return off.view_as(wanted)


def _text_losses(model: InteractionTransformer, said: Tensor, targets: StreamTargets) -> Tensor:
    wanted = targets.next_tokens(Marker.END)
    asked = wanted != ABSENT
    logits = model.text_logits(said[..., : wanted.shape[-1], :][asked])
    off = F.cross_entropy(logits, wanted[asked], reduction="none")
    return off.new_zeros(wanted.shape).masked_scatter(asked, off)


def _known(targets: StreamTargets) -> Tensor:
    assert targets.auxiliary is not None
    return ~targets.auxiliary.isnan() & (targets.floor != ABSENT)[..., None]


def _auxiliary_losses(logits: Tensor, targets: StreamTargets, known: Tensor) -> Tensor:
    if targets.auxiliary is None:
        return logits.new_zeros(known.shape)
    wanted = torch.where(known, targets.auxiliary, 0.0)
    return F.binary_cross_entropy_with_logits(logits, wanted, reduction="none") * known


def _flow_loss(
    model: InteractionTransformer,
    voice: Tensor | None,
    targets: StreamTargets,
    generator: torch.Generator | None,
) -> Tensor:
    if voice is None or targets.mel is None or targets.speaking is None:
        return model.voice_queries.new_zeros(())
    return model.flow.loss(voice.float(), targets.mel, targets.speaking, generator=generator)
