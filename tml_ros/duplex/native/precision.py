"""Weights as a robot runs them: float32, bfloat16 or int8, laid out for speed on a CPU.

int8 keeps the weights of the blocks as whole numbers with one scale per output, and rounds activations to whole numbers
with one scale per token as they come (W8A8): a quarter of the memory, which is what a step on a CPU waits for. Norms,
the router, attention, embeddings, flow head and vocoder stay as they are.

Source: Dettmers et al. 2022 (arXiv 2208.07339), section 3.1, vector-wise quantisation.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from tml_ros.duplex.native.experts import ExpertBank, MixtureOfExperts, one_by_one
from tml_ros.duplex.native.transformer import InteractionTransformer
from tml_ros.errors import ConfigError

__all__ = ["Int8Bank", "Int8Linear", "Precision", "prepare"]

Precision = Literal["float32", "bfloat16", "int8"]


class Int8Linear(nn.Module):
    """A linear map without bias. weight: [I, O] int8; scale: [O] float32."""

    weight: Tensor
    scale: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        scale = weight.float().abs().amax(1).clamp(min=1e-12) / 127
        whole = (weight.float() / scale[:, None]).round().to(torch.int8)
        self.register_buffer("weight", whole.t().contiguous())
        self.register_buffer("scale", scale)

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., I] to [..., O]."""
        return _product(x, self.weight, self.scale)


class Int8Bank(nn.Module):
    """What ``ExpertBank`` is, in int8. weight: [E, I, O]; scale: [E, O]."""

    weight: Tensor
    scale: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        maps = [Int8Linear(part) for part in weight]
        self.register_buffer("weight", torch.stack([part.weight for part in maps]))
        self.register_buffer("scale", torch.stack([part.scale for part in maps]))

    def one(self, x: Tensor, expert: int) -> Tensor:
        """Map x [..., I] with one expert."""
        return _product(x, self.weight[expert], self.scale[expert])

    def each(self, x: Tensor, experts: Tensor) -> Tensor:
        """Map each row of x [S, I] with an expert of its own, experts [S] int64."""
        return torch.bmm(x[:, None], self.weight[experts].to(x.dtype))[:, 0] * self.scale[experts]

    def groups(self, x: Tensor, ends: Tensor) -> Tensor:
        """Map consecutive groups of rows of x [S, I], one group per expert. ends: [E] int32, where groups end."""
        return one_by_one(self.one, x, ends)


def prepare(model: InteractionTransformer, precision: Precision) -> InteractionTransformer:
    """Convert a model for running, in place, and return it. It cannot be trained afterwards.

    Raises:
        ConfigError: int8 for a model that is not on a CPU.
    """
    model.eval().requires_grad_(False)
    if precision == "bfloat16":
        for part in (model.embedding, *model.ears, model.sight, model.clock, model.blocks, model.norm, model.auxiliary):
            part.to(torch.bfloat16)
        model.voice_queries.data = model.voice_queries.data.to(torch.bfloat16)
    elif precision == "int8":
        if model.embedding.weight.device.type != "cpu":
            raise ConfigError("native.precision int8 is for a CPU; use bfloat16 on this device")
        for block in model.blocks:
            _quantise(block)
    if model.embedding.weight.device.type == "cpu":
        _lay_out(model)
    return model


def _quantise(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(module, MixtureOfExperts) and name == "router":
            continue  # it decides: a rounded score could choose another expert
        if isinstance(child, nn.Linear):
            setattr(module, name, Int8Linear(child.weight))
        elif isinstance(child, ExpertBank):
            setattr(module, name, Int8Bank(child.weight))
        else:
            _quantise(child)


def _lay_out(model: nn.Module) -> None:
    """Store weights with inputs first: a product with one or a few tokens then reads them in order (twice as fast)."""
    for module in model.modules():
        if isinstance(module, nn.Linear | ExpertBank | nn.Embedding):
            module.weight.data = module.weight.data.transpose(-1, -2).contiguous().transpose(-1, -2)


def _product(x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    flat = x.reshape(-1, x.shape[-1])
    most = flat.abs().amax(1, keepdim=True).clamp(min=1e-12)
    whole = (flat * (127 / most)).round_().to(torch.int8)
    made = torch._int_mm(whole, weight).to(x.dtype) * (most * (scale / 127))
    return made.view(*x.shape[:-1], -1)
