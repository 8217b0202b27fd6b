"""Random numbers without a generator object: a hash of seed, micro-turn and place.

So that the random state of a stream is two integers: a snapshot carries it, a row has its own, and the same row gives
the same numbers whatever its neighbours are.

Source: the finaliser of SplitMix64 (Steele, Lea, Flood 2014), Box and Muller 1958.
"""

import math

import torch
from torch import Tensor

__all__ = ["gumbel", "normal", "uniform"]

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed 64-bit integer
_MIX_1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX_2 = -7723592293110705685  # 0x94D049BB133111EB


def uniform(seed: Tensor, turn: Tensor, purpose: int, count: int) -> Tensor:
    """Return numbers in (0, 1).

    Args:
        seed: [B] int64.
        turn: [B] int64, the micro-turn.
        purpose: keeps different uses within a micro-turn apart, 0 to 4095.
        count: how many per row.

    Returns:
        [B, count] float32.
    """
    place = torch.arange(count, device=seed.device) + (purpose << 40)
    mixed = _mix(_mix(_mix(seed)[:, None] + turn[:, None]) + place)
    return (((mixed >> 41) & 0x7FFFFF).float() + 0.5) / (1 << 23)  # a float32 holds 24 bits: never 1


def normal(seed: Tensor, turn: Tensor, purpose: int, count: int) -> Tensor:
    """Return standard normal numbers, [B, count] float32; arguments as in ``uniform``."""
    numbers = uniform(seed, turn, purpose, 2 * count)
    radius = torch.sqrt(-2.0 * torch.log(numbers[:, :count]))
    return radius * torch.cos(2.0 * math.pi * numbers[:, count:])


def gumbel(seed: Tensor, turn: Tensor, purpose: int, count: int) -> Tensor:
    """Return standard Gumbel numbers, [B, count] float32: the argmax of logits plus these is a sample."""
    return -torch.log(-torch.log(uniform(seed, turn, purpose, count)))


def _mix(value: Tensor) -> Tensor:
    """Scramble 64-bit integers; overflow wraps, right shifts are made logical."""
    value = value + _GOLDEN
    value = (value ^ _shift(value, 30)) * _MIX_1
    value = (value ^ _shift(value, 27)) * _MIX_2
    return value ^ _shift(value, 31)


def _shift(value: Tensor, bits: int) -> Tensor:
    return (value >> bits) & ((1 << (64 - bits)) - 1)
