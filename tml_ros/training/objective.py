"""What is learned from a batch: the losses of ``duplex.native.losses``, weighted, and told apart by stream and skill.

What is rare counts more where it is asked for: floors by name, and the many micro-turns in which nothing shall be said
less than those in which something is. Over several processes the losses are those of all their rows together: counts
are added up before anything is divided. It knows no optimiser.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional

from tml_ros.duplex.native.experts import RouterUse, balance_loss
from tml_ros.duplex.native.inputs import ABSENT
from tml_ros.duplex.native.losses import LossWeights, TokenLosses, token_losses
from tml_ros.duplex.native.tokens import FLOOR_MARKERS, Marker
from tml_ros.duplex.native.transformer import InteractionTransformer
from tml_ros.training.encoding import Batch

__all__ = ["STREAMS", "Emphasis", "Measured", "Objective", "letter_logits"]

STREAMS = ("floor", "text", "quiet", "auxiliary")
"""What losses are told apart by. text: where something is being said; quiet: where nothing shall be."""


@dataclass(frozen=True, slots=True)
class Emphasis:
    """What counts how much. quiet: of a micro-turn in which nothing shall be said, beside a token of text.

    spelling: of the letters of what people say. alignment: of about where each of them sounds, beside the spelling,
    where a batch knows it. only_spelling: nothing else is asked, and only the sound is run.
    """

    losses: LossWeights = field(default_factory=lambda: LossWeights(flow=0.0))
    quiet: float = 1.0
    spelling: float = 0.5
    alignment: float = 0.0
    only_spelling: bool = False
    floors: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Measured:
    """The losses of a batch.

    total: what this process differentiates; the gradients of all have to be averaged. value: the loss of all processes
    together, without that of the balance of experts. sums, counts: [streams, skills], likewise.
    """

    total: Tensor
    value: Tensor
    sums: Tensor
    counts: Tensor


class Objective(nn.Module):
    """A model with what is asked of it, as one module, so that its gradients can be shared between processes."""

    def __init__(self, model: InteractionTransformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch, emphasis: Emphasis, stop: bool = False) -> tuple[Measured, bool]:
        """Return the losses, and whether any process wants to stop."""
        if emphasis.only_spelling:
            return self._spelled(batch, emphasis, stop)
        each = token_losses(self.model, batch.inputs, batch.targets)
        sums, counts, weighted = self._by_stream(each, batch, emphasis)
        if emphasis.spelling:
            spelled = _spelling(self.model, each.sound, batch)
            if batch.drilled is not None:
                spelled = spelled + _spelling(self.model, self.model.heard(batch.drilled.inputs), batch.drilled)
            weighted = torch.cat((weighted, spelled[None]))
        totals = torch.cat((weighted.detach().flatten(), sums.flatten(), counts.flatten(), sums.new_tensor([stop])))
        world = _add_up(totals)
        size, weights = weighted.numel(), emphasis.losses
        pairs, (summed, counted) = totals[:size].view(-1, 2), totals[size:-1].view(2, *sums.shape)
        each_counts = [weights.floor, weights.text, weights.auxiliary, emphasis.spelling][: len(pairs)]
        shares = sums.new_tensor(each_counts) / pairs[:, 1].clamp(min=1e-6)
        total, value = weighted[:, 0] @ shares * world, pairs[:, 0] @ shares
        if weights.balance and each.uses:
            total = total + weights.balance * balance_loss([_of_all(use) for use in each.uses])
        return Measured(total, value, summed, counted), bool(totals[-1])

    def _spelled(self, batch: Batch, emphasis: Emphasis, stop: bool) -> tuple[Measured, bool]:
        """Return how badly the tokens of sound spell what is said."""
        sound = self.model.heard(batch.inputs)
        pairs = [_spelling(self.model, sound, batch)]
        shares = [emphasis.spelling]
        if emphasis.alignment and batch.aligned is not None:
            logits = letter_logits(self.model, sound, batch.letters)
            off = functional.cross_entropy(logits.flatten(0, 1).float(), batch.aligned.flatten(), reduction="sum")
            pairs.append(torch.stack((off, off.new_tensor(batch.aligned.numel()))))
            shares.append(emphasis.alignment)
        made = torch.stack(pairs)
        totals = torch.cat((made.detach().flatten(), made.new_tensor([stop])))
        world, summed = _add_up(totals), totals[:-1].view(-1, 2)
        each = summed.new_tensor(shares) / summed[:, 1].clamp(min=1e-6)
        nothing = made.new_zeros(len(STREAMS), len(batch.skills))
        value = summed[0, 0] / summed[0, 1].clamp(min=1e-6)
        return Measured(made[:, 0] @ each * world, value, nothing, nothing), bool(totals[-1])

    def _by_stream(self, each: TokenLosses, batch: Batch, emphasis: Emphasis) -> tuple[Tensor, Tensor, Tensor]:
        """Return sums and counts [streams, skills], and the weighted sum and weight of floor, text, auxiliary [3, 2].

        Only the weighted sums have gradients.
        """
        filled = batch.targets.floor != ABSENT
        is_quiet = filled & (batch.targets.text[..., 0] == ABSENT)
        asked = batch.targets.next_tokens(Marker.END) != ABSENT
        text, said = each.text.sum(-1), asked.sum(-1)
        streams = (
            (each.floor, filled),
            (text * ~is_quiet, said * ~is_quiet),
            (text * is_quiet, is_quiet),
            (each.auxiliary.sum(-1), each.known.sum(-1)),
        )
        sums = torch.stack([_by_skill(losses.detach(), batch) for losses, _ in streams])
        counts = torch.stack([_by_skill(count.float(), batch) for _, count in streams])
        floor_weight = _floor_weights(batch, emphasis)
        text_weight = torch.where(is_quiet, emphasis.quiet, 1.0)
        weighted = [
            torch.stack(((each.floor * floor_weight).sum(), floor_weight.sum())),
            torch.stack(((text * text_weight).sum(), (said * text_weight).sum())),
            torch.stack((each.auxiliary.sum(), each.known.sum().float())),
        ]
        return sums, counts, torch.stack(weighted)


def _spelling(model: InteractionTransformer, sound: Tensor, batch: Batch) -> Tensor:
    """Return how badly what is said can be spelled from the hidden states of sound alone, and of how many letters, [2].

    sound: [B, T, n, D]. Rows in which nothing is to be written down are left out.

    Words are learned from few examples each, letters from all of them; and a letter is asked for where it sounds, not
    a micro-turn later. It takes no weights of its own: letters are tokens of the text.

    Source: Graves et al. 2006, connectionist temporal classification.
    """
    lengths = (batch.spelled != ABSENT).sum(-1)
    logits = letter_logits(model, sound, batch.letters)
    chances = functional.log_softmax(logits.float(), dim=-1).transpose(0, 1)
    places = torch.full_like(lengths, len(chances))
    losses = functional.ctc_loss(
        chances, batch.spelled.clamp(min=0), places, lengths, reduction="none", zero_infinity=True
    )
    return torch.stack((losses[lengths > 0].sum(), lengths.sum().float()))


def letter_logits(model: InteractionTransformer, sound: Tensor, letters: Tensor) -> Tensor:
    """Return [B, T * n, letters] of the tokens of sound [B, T, n, D]."""
    return functional.linear(sound.flatten(1, 2), model.embedding.weight[letters])


def _floor_weights(batch: Batch, emphasis: Emphasis) -> Tensor:
    """Return [B, T], 0 where a row is only filled up."""
    table = [emphasis.floors.get(floor.value, 1.0) for _, floor in sorted(FLOOR_MARKERS.items())]
    floor = batch.targets.floor
    weights = torch.tensor(table, device=floor.device)[(floor - min(FLOOR_MARKERS)).clamp(min=0)]
    return torch.where(floor == ABSENT, 0.0, weights)


def _by_skill(values: Tensor, batch: Batch) -> Tensor:
    """Add up [B, T] by skill; skills that other processes have must have the same number here."""
    made = values.new_zeros(len(batch.skills))
    return made.index_add(0, batch.skill.flatten(), values.flatten())


def _add_up(values: Tensor) -> int:
    """Add over all processes, in place; return how many there are."""
    if not (dist.is_available() and dist.is_initialized()):
        return 1
    dist.all_reduce(values)
    return dist.get_world_size()


def _of_all(use: RouterUse) -> RouterUse:
    """Return the use of experts by the tokens of all processes; the gradient is that of the own ones."""
    counts = torch.cat((use.share * use.tokens, use.tokens[None])).detach()
    world = _add_up(counts)
    if world == 1:
        return use
    return RouterUse(counts[:-1] / counts[-1], use.probability * (use.tokens * world / counts[-1]), counts[-1])
