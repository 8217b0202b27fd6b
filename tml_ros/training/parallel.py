"""Several processes that learn one model together, as torchrun starts them; alone without it. It knows no model."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist

from tml_ros.errors import ConfigError

__all__ = ["Place", "joined"]


@dataclass(frozen=True, slots=True)
class Place:
    """This process among all. device: that it learns on."""

    rank: int
    world: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this process speaks and writes for all."""
        return self.rank == 0


@contextmanager
def joined(device: str = "auto") -> Iterator[Place]:
    """Join the other processes that torchrun started, if it did, and part from them at last.

    Args:
        device: auto, cpu or cuda.

    Raises:
        ConfigError: there is no CUDA.
    """
    has_cuda = torch.cuda.is_available()
    if device == "cuda" and not has_cuda:
        raise ConfigError("device is cuda, but torch finds no CUDA here; use auto or cpu")
    on_cuda = has_cuda and device != "cpu"
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    place = Place(rank, world, torch.device("cpu"))
    if on_cuda:
        place = Place(rank, world, torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))))
        torch.cuda.set_device(place.device)
        torch.set_float32_matmul_precision("high")  # TF32
    if world == 1:
        yield place
        return
    dist.init_process_group("nccl" if on_cuda else "gloo")
    try:
        yield place
    finally:
        dist.destroy_process_group()
