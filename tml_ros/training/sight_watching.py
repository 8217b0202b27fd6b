"""What the sight network says of whole rendered scenes, by several processes."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tml_ros.duplex.native.seeing import SightNet, coarse
from tml_ros.training.sight_pictures import Shown, load

__all__ = ["logits_of", "watch"]

_AT_ONCE = 20


@torch.inference_mode()
def logits_of(net: SightNet, scene: Shown) -> NDArray[np.float32]:
    """Return what the network says of every picture of a scene, [T, K]."""
    fine = torch.tensor(np.asarray(scene.pictures)).permute(0, 3, 1, 2).float() / 255.0
    now = coarse(fine)
    before, still = torch.cat((now[:1], now[:-1])), now[:1].expand_as(now)
    parts = [
        net(*(each[i : i + _AT_ONCE] for each in (fine, before, still))).kinds for i in range(0, len(fine), _AT_ONCE)
    ]
    return torch.cat(parts).numpy()


def watch(weights: Path, folder: Path, workers: int = 1) -> list[NDArray[np.float32]]:
    """Return ``logits_of`` all scenes of a folder. weights: folder of the network."""
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(partial(_watch, weights, folder), range(len(load(folder))), chunksize=4))


def _watch(weights: Path, folder: Path, index: int) -> NDArray[np.float32]:
    torch.set_num_threads(1)
    return logits_of(_net(weights), _scenes(folder)[index])


_scenes = lru_cache(1)(load)


@lru_cache(1)
def _net(weights: Path) -> SightNet:
    return SightNet.load(weights)[0]
