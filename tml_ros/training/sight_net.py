"""Train the sight network: python -m tml_ros.training.sight_net --pictures DIR --out DIR.

Renders scenes where they are missing, learns, and measures on scenes of another seed (``sight_report``). The same seed
and number of threads give the same weights on the same machine. On several cores: the scenes first, without --out, then
torchrun --nproc-per-node 2 -m tml_ros.training.sight_net with the same arguments.
"""

import argparse
import itertools
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from tml_ros.duplex.native.seeing import (
    FINE,
    KINDS,
    MARKS,
    ROLES,
    WEIGHTS_FILE,
    Looked,
    SightNet,
    nearer,
    planes,
)
from tml_ros.errors import ModelError
from tml_ros.sights.labels import FACE, Role
from tml_ros.sights.scene import EYES_SHARE
from tml_ros.training.overlap_net import follow
from tml_ros.training.parallel import Place, joined
from tml_ros.training.sight_pictures import ROLE_BITS, TURNS, UNASKED, Shown, load, render
from tml_ros.training.sight_report import report, say
from tml_ros.training.sight_views import another_view
from tml_ros.training.sight_watching import watch

__all__ = ["Settings", "begin_from", "begins", "main", "train"]

_FRESH = 3  # pictures from its first on in which a kind has to be told
_STALE = 4  # pictures before that, in which it must not be told
_FRESH_SHARE, _FRESH_WEIGHT = 0.5, 2.0
_OTHER_BEFORE = 0.1
_MAPS, _OTHERS = 10.0, 6.0  # so much that what a place is learns from maps, and not from what kinds make of it
_ROLE_WEIGHTS = {Role.NONE: 0.3, Role.FEET: 3.0, Role.EYES: 3.0, Role.EYEWEAR: 3.0, Role.HAND: 2.0}  # else 1
_LEAST_FACE = 0.1  # of what is looked at from nearer
_MEMORY = 0.997  # of the averaged weights, for one step
_ALONE = Place(0, 1, torch.device("cpu"))
_RARE = ("hazards", "hazards", "hands", "walks", "eyewear")  # what these show is rare, or like what is nothing
_MORE_FROM = 50_000  # index of the first scene of those


@dataclass(frozen=True, slots=True)
class Settings:
    """How it learns."""

    steps: int = 4000
    batch: int = 32
    rate: float = 3e-3
    seed: int = 0


@dataclass(frozen=True, slots=True)
class _Batch:
    shown: Tensor
    roles: Tensor
    others: Tensor
    mapped: Tensor
    kinds: Tensor
    fresh: Tensor


def train(scenes: Sequence[Shown], settings: Settings, net: SightNet | None = None, place: Place = _ALONE) -> SightNet:
    """Return a trained network, its weights averaged over the last steps.

    Args:
        scenes: what it looks at.
        settings: how it learns; a batch is that of one process.
        net: to go on from.
        place: among the processes that learn it together.
    """
    torch.manual_seed(settings.seed)
    net, average = (net or SightNet()).requires_grad_(True), SightNet()
    net.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    look: nn.Module = _Look(net)
    if place.world > 1:
        look = DistributedDataParallel(look, forward_sync_buffers=False)
    average.load_state_dict(net.state_dict())
    optimiser = torch.optim.AdamW(net.parameters(), settings.rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.rate, total_steps=settings.steps + 1, pct_start=0.1
    )
    is_half = torch.cpu._is_avx512_bf16_supported()  # without those instructions it is six times as slow
    began = time.monotonic()
    losses: list[tuple[float, float]] = []
    batches = itertools.islice(_batches(scenes, settings, place.rank), settings.steps)
    for step, batch in enumerate(_ahead(batches), start=1):
        with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
            looked = look(batch.shown if is_half else batch.shown.float())
        drawn, told = _losses(looked, batch)
        optimiser.zero_grad()
        (drawn + told).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimiser.step()
        schedule.step()
        follow(average, net, min(_MEMORY, (step + 1) / (step + 10)))
        losses.append((drawn.item(), told.item()))
        if step % 100 == 0 and place.is_first:
            drawn_, told_ = np.mean(losses[-100:], axis=0)
            spent_s = time.monotonic() - began
            say(f"step {step} of {settings.steps}: maps {drawn_:.4f}, kinds {told_:.4f}, {spent_s:.0f} s")
    return average.eval()


def begin_from(folder: Path) -> SightNet:
    """Return a network that begins with weights of this or an earlier shape: what has grown is new, or begins at 0.

    Raises:
        ModelError: there are none.
    """
    path, net = folder / WEIGHTS_FILE, SightNet()
    if not path.is_file():
        raise ModelError(f"no weights of a sight network at {path}; check --from")
    began, state = load_file(path), net.state_dict()
    for name in state.keys() & began.keys():
        known, own = began[name], state[name]
        if known.shape != own.shape:
            own.zero_()
        own[tuple(slice(0, size) for size in known.shape)] = known
    return net


class _Look(nn.Module):
    """``SightNet.look`` as a module of its own, which DistributedDataParallel wants."""

    def __init__(self, net: SightNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, shown: Tensor) -> Looked:
        return self.net.look(shown)


def _losses(looked: Looked, batch: _Batch) -> tuple[Tensor, Tensor]:
    """Return what is wrong with maps and faces, and with kinds."""
    weights = torch.ones(ROLES)
    for role, weight in _ROLE_WEIGHTS.items():
        weights[role] = weight
    maps, kinds = looked.maps.float(), looked.kinds.float()
    roles, others = torch.split(maps, [ROLES, 1 + MARKS], 1)
    each = functional.cross_entropy(roles, batch.roles, weights, reduction="none")
    others = functional.binary_cross_entropy_with_logits(others, batch.others, reduction="none").sum(1)
    drawn = (_MAPS * each + _OTHERS * others).mean((1, 2)) * batch.mapped
    asked = (batch.kinds != UNASKED).float()
    fresh = (batch.fresh > 0) & (batch.fresh <= _FRESH)
    counts = asked * torch.where(fresh, _FRESH_WEIGHT, 1.0)
    off = functional.binary_cross_entropy_with_logits(kinds, batch.kinds.clamp(max=1).float(), reduction="none")
    told = (off * counts).sum() / len(kinds)
    return drawn.sum() / batch.mapped.sum().clamp_min(1.0) + _face_loss(looked, batch), told


def _face_loss(looked: Looked, batch: _Batch) -> Tensor:
    """Return what is wrong with what is said of bare eyes, where there is a face."""
    parts = torch.stack([torch.isin(batch.roles, torch.tensor(FACE)), batch.roles == Role.EYES], 1).float()
    face, eyes = nearer(parts, looked.box, "nearest").mean((2, 3)).unbind(1)
    is_bare = (eyes >= EYES_SHARE * face).float()
    counts = (face >= _LEAST_FACE).float() * batch.mapped
    off = functional.binary_cross_entropy_with_logits(looked.face.float(), is_bare, reduction="none")
    return (off * counts).sum() / len(off)


# --------------------------------------------------------------------------------------------------------- batches


def _batches(scenes: Sequence[Shown], settings: Settings, rank: int) -> Iterator[_Batch]:
    rng = np.random.default_rng((settings.seed, rank))
    fresh = [
        [(number, int(turn)) for number, scene in enumerate(scenes) for turn in np.flatnonzero(begins(scene, kind))]
        for kind in range(len(KINDS))
    ]
    fresh = [places for places in fresh if places]
    while True:
        places = [_place(scenes, fresh, rng) for _ in range(settings.batch)]
        yield _batch([_example(scenes[number], turn, rng) for number, turn in places])


def _ahead(batches: Iterator[_Batch]) -> Iterator[_Batch]:
    """Yield batches in order, each made while the one before is learned from."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, batches, None)
            yield batch


def begins(scene: Shown, kind: int) -> NDArray[np.bool_]:
    """Return whether each picture is one of the first that show a kind or of the last before, [T]."""
    found = np.zeros(len(scene.fresh), np.bool_)
    for first in np.flatnonzero(scene.fresh[:, kind] == 1):
        found[max(0, first - _STALE) : first + _FRESH] = True
    return found


def _place(scenes: Sequence[Shown], fresh: list[list[tuple[int, int]]], rng: Generator) -> tuple[int, int]:
    if fresh and rng.random() < _FRESH_SHARE:
        places = fresh[int(rng.integers(len(fresh)))]
        return places[int(rng.integers(len(places)))]
    return int(rng.integers(len(scenes))), int(rng.integers(TURNS))


def _example(scene: Shown, turn: int, rng: Generator) -> tuple[NDArray[np.generic], ...]:
    before = max(0, turn - (2 if rng.random() < _OTHER_BEFORE else 1))
    view, half = another_view(rng), (FINE[1] // 2, FINE[0] // 2)
    sizes = ((FINE[1], FINE[0]), half, half)
    pictures = [view.picture(scene.pictures[i], size) for i, size in zip((turn, before, 0), sizes, strict=True)]
    maps = view.map(scene.roles[turn]), view.map(scene.zone)
    return *pictures, *maps, scene.mapped[turn], scene.kinds[turn], scene.fresh[turn]


def _batch(examples: list[tuple[NDArray[np.generic], ...]]) -> _Batch:
    roles, zone, mapped, kinds, fresh = (
        torch.from_numpy(np.stack(each)) for each in zip(*(example[3:] for example in examples), strict=True)
    )
    shown = torch.cat([_planes(*example[:3]) for example in examples])
    others = torch.stack([zone, *(roles >> (ROLE_BITS + bit) & 1 for bit in range(MARKS))], 1).float()
    return _Batch(
        shown.contiguous(memory_format=torch.channels_last),
        (roles % (1 << ROLE_BITS)).long(),
        others,
        mapped.float(),
        kinds.long(),
        fresh,
    )


def _planes(*pictures: NDArray[np.generic]) -> Tensor:
    return planes(*(torch.from_numpy(each)[None] for each in pictures)).bfloat16()


def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--pictures", type=Path, required=True, help="folder for rendered scenes, 25 MB each")
    parser.add_argument("--out", type=Path, help="folder for model.safetensors and report.txt; none: render only")
    parser.add_argument("--scenes", type=int, default=2000)
    parser.add_argument("--more", type=int, default=0, help="scenes beside those of what is rare or easily mistaken")
    parser.add_argument("--held", type=int, default=200, help="scenes to measure on")
    parser.add_argument("--steps", type=int, default=Settings().steps)
    parser.add_argument("--rate", type=float, default=Settings().rate)
    parser.add_argument("--from", dest="begin", type=Path, help="weights to go on from")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    learnt, held = options.pictures / "learnt", options.pictures / "held"
    render(learnt, 2 * options.seed + 51, range(options.scenes), options.threads)
    render(learnt, 2 * options.seed + 51, range(_MORE_FROM, _MORE_FROM + options.more), options.threads, _RARE)
    render(held, 2 * options.seed + 52, range(options.held), options.threads)
    if options.out is None:
        return
    settings = Settings(options.steps, rate=options.rate, seed=options.seed)
    with joined("cpu") as place:
        net = train(load(learnt), settings, begin_from(options.begin) if options.begin else None, place)
    if place.is_first:
        net.save(options.out, dict.fromkeys(KINDS, 0.0))
        said = watch(options.out, held, place.world * options.threads)
        report(net, load(held), said, options.out)


if __name__ == "__main__":
    main()
