"""Feed-forward layers: SwiGLU, and a mixture of such experts with top-k routing.

The mixture has three ways to the same result. ``gather`` copies the weights of the chosen experts beside each token:
fixed shapes without a look at the choice, right for a few tokens inside a CUDA graph. ``rows`` runs each row by itself:
a row's result never depends on its neighbours. ``grouped`` sorts the tokens of all rows by expert: for training.

Source: Shazeer 2020 (arXiv 2002.05202) for SwiGLU; Fedus et al. 2021 (arXiv 2101.03961), eq. 4 to 6, for the
load-balancing loss; routing weights renormalised over the chosen experts as in Mixtral (arXiv 2401.04088).
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["ExpertBank", "ExpertPath", "MixtureOfExperts", "RouterUse", "SwiGlu", "balance_loss", "one_by_one"]

ExpertPath = Literal["gather", "rows", "grouped"]


class RouterUse(NamedTuple):
    """How a layer's router used its experts. share, probability: [E], of the ``tokens`` [] that were there."""

    share: Tensor
    probability: Tensor
    tokens: Tensor


def balance_loss(uses: list[RouterUse]) -> Tensor:
    """Return the load-balancing loss, a mean over layers: 1 when every expert is used alike, more otherwise."""
    losses = [use.share.numel() * (use.share * use.probability).sum() for use in uses]
    return torch.stack(losses).mean() if losses else torch.zeros(())


class SwiGlu(nn.Module):
    """One dense feed-forward layer."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.rise = nn.Linear(width, 2 * hidden, bias=False)
        self.fall = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., D] to [..., D]."""
        return self.fall(_gated(self.rise(x)))  # type: ignore[no-any-return]


class ExpertBank(nn.Module):
    """One linear map per expert, I to O. weight: [E, O, I]."""

    def __init__(self, experts: int, inwards: int, outwards: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(experts, outwards, inwards))
        nn.init.normal_(self.weight, std=inwards**-0.5)

    def one(self, x: Tensor, expert: int) -> Tensor:
        """Map x [..., I] with one expert."""
        return F.linear(x, self.weight[expert])

    def each(self, x: Tensor, experts: Tensor) -> Tensor:
        """Map each row of x [S, I] with an expert of its own, experts [S] int64."""
        return torch.bmm(self.weight[experts], x[..., None])[..., 0]

    def groups(self, x: Tensor, ends: Tensor) -> Tensor:
        """Map consecutive groups of rows of x [S, I], one group per expert. ends: [E] int32, where groups end."""
        if not x.is_cuda or x.dtype == torch.bfloat16:  # CUDA's grouped product takes bfloat16 only
            return F.grouped_mm(x, self.weight.transpose(1, 2), offs=ends)
        return one_by_one(self.one, x, ends)


def one_by_one(one: Callable[[Tensor, int], Tensor], x: Tensor, ends: Tensor) -> Tensor:
    """Map consecutive groups of rows of x [S, I] in turn: ``one`` gets a group and its expert's number. ends: [E]."""
    groups = x.tensor_split(ends[:-1].cpu().long())
    return torch.cat([one(group, expert) for expert, group in enumerate(groups) if len(group)])


class MixtureOfExperts(nn.Module):
    """Top-k experts of a router, and one shared expert if it has a width."""

    def __init__(self, width: int, experts: int, chosen: int, hidden: int, shared: int) -> None:
        super().__init__()
        self.chosen, self.experts = chosen, experts
        self.router = nn.Linear(width, experts, bias=False)
        self.rise = ExpertBank(experts, width, 2 * hidden)
        self.fall = ExpertBank(experts, hidden, width)
        self.shared = SwiGlu(width, shared) if shared else None

    def forward(self, x: Tensor, path: ExpertPath) -> Tensor:
        """Map [B, S, D] to [B, S, D]."""
        weights, experts, _ = self._route(x)
        if path == "rows":
            made = torch.stack([self._row(*row) for row in zip(x, weights, experts, strict=True)])
        else:
            run = self._gather if path == "gather" else self._sorted
            made = run(x.flatten(0, 1), weights.flatten(0, 1), experts.flatten(0, 1)).view_as(x)
        return made if self.shared is None else made + self.shared(x)

    def measured(self, x: Tensor, present: Tensor) -> tuple[Tensor, RouterUse]:
        """Map [B, S, D] for training, and say how the tokens that are present [B, S] use the experts."""
        weights, experts, probability = self._route(x)
        made = self._sorted(x.flatten(0, 1), weights.flatten(0, 1), experts.flatten(0, 1)).view_as(x)
        there = present[..., None].to(probability.dtype)
        total = there.sum().clamp(min=1.0)
        chosen = F.one_hot(experts, self.experts).sum(-2).to(probability.dtype)
        share = (chosen * there).sum((0, 1)) / (total * self.chosen)
        use = RouterUse(share, (probability * there).sum((0, 1)) / total, total)
        return made if self.shared is None else made + self.shared(x), use

    def _route(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return weights [B, S, k], experts [B, S, k] and the probability of every expert [B, S, E]."""
        probability = torch.softmax(self.router(x).float(), dim=-1)
        weights, experts = probability.topk(self.chosen, dim=-1)
        return (weights / weights.sum(-1, keepdim=True)).to(x.dtype), experts, probability

    # The ways below take tokens x [S, D] with the weights and numbers [S, k] of their experts.

    def _gather(self, x: Tensor, weights: Tensor, experts: Tensor) -> Tensor:
        ids = experts.reshape(-1)
        made = self.fall.each(_gated(self.rise.each(x.repeat_interleave(self.chosen, dim=0), ids)), ids)
        return (made.view(len(x), self.chosen, -1) * weights[..., None]).sum(1)

    def _row(self, x: Tensor, weights: Tensor, experts: Tensor) -> Tensor:
        if len(x) > 1:
            return self._sorted(x, weights, experts)
        made = torch.zeros_like(x)
        for expert, weight in zip(experts[0].tolist(), weights[0], strict=True):
            made = torch.addcmul(made, self.fall.one(_gated(self.rise.one(x, expert)), expert), weight)
        return made

    def _sorted(self, x: Tensor, weights: Tensor, experts: Tensor) -> Tensor:
        order = experts.reshape(-1).argsort(stable=True)
        ends = F.one_hot(experts.reshape(-1), self.experts).sum(0).cumsum(0).to(torch.int32)
        hidden = _gated(self.rise.groups(x[order // self.chosen], ends))
        made = self.fall.groups(hidden, ends) * weights.reshape(-1, 1)[order]
        return made[order.argsort()].view(len(x), self.chosen, -1).sum(1)


def _gated(x: Tensor) -> Tensor:
    """Map [..., 2 F], gate before value, to [..., F]."""
    gate, value = x.chunk(2, dim=-1)
    return F.silu(gate) * value
