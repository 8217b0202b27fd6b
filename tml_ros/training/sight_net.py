"""Train the sight network: python -m tml_ros.training.sight_net --pictures DIR --out DIR.

Renders scenes where they are missing, learns, chooses from which odds each kind is told on scenes of another seed, says
what came of those, and writes model.safetensors and report.txt. The same seed and number of threads give the same
weights on the same machine. On several cores: the scenes first, without --out, then
torchrun --nproc-per-node 2 -m tml_ros.training.sight_net with the same arguments.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from tml_ros.duplex.native.seeing import FINE, KINDS, MARKS, ROLES, Gathering, SightNet, coarse, planes
from tml_ros.sights import STILL_S, WITHIN_S, SightKind
from tml_ros.training.overlap_net import follow
from tml_ros.training.parallel import Place, joined
from tml_ros.training.sight_pictures import ROLE_BITS, TURNS, UNASKED, Shown, load, render

__all__ = ["Settings", "Tally", "begins", "logits_of", "main", "tallies", "train"]

_TURN_S = 0.2
_FRESH = 3  # pictures from its first on in which a kind has to be told
_STALE = 4  # pictures before that, in which it must not be told
_FRESH_SHARE, _FRESH_WEIGHT = 0.5, 2.0
_OTHER_BEFORE = 0.1
_MAPS, _OTHERS = 0.5, 0.3
_NOTHING = 0.3  # of a place with nothing of interest
_MEMORY = 0.997  # of the averaged weights, for one step
_FALSE_COSTS = 2.0  # told in time, that many make up for one that is false
_ALONE = Place(0, 1, torch.device("cpu"))
_LADDER = tuple(np.arange(-1.0, 5.51, 0.25).tolist())


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
        look = DistributedDataParallel(look, broadcast_buffers=False)
    average.load_state_dict(net.state_dict())
    optimiser = torch.optim.AdamW(net.parameters(), settings.rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.rate, total_steps=settings.steps + 1, pct_start=0.1
    )
    began = time.monotonic()
    losses: list[tuple[float, float]] = []
    batches = itertools.islice(_batches(scenes, settings, place.rank), settings.steps)
    for step, batch in enumerate(_ahead(batches), start=1):
        with torch.autocast("cpu", torch.bfloat16):
            maps, kinds = look(batch.shown)
        drawn, told = _losses(maps.float(), kinds.float(), batch)
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
            _say(f"step {step} of {settings.steps}: maps {drawn_:.4f}, kinds {told_:.4f}, {spent_s:.0f} s")
    return average.eval()


class _Look(nn.Module):
    """``SightNet.look`` as a module of its own, which DistributedDataParallel wants."""

    def __init__(self, net: SightNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, shown: Tensor) -> tuple[Tensor, Tensor]:
        return self.net.look(shown)


def _losses(maps: Tensor, kinds: Tensor, batch: _Batch) -> tuple[Tensor, Tensor]:
    """Return what is wrong with maps and with kinds."""
    weights = torch.ones(ROLES)
    weights[0] = _NOTHING
    roles, others = torch.split(maps, [ROLES, 1 + MARKS], 1)
    each = functional.cross_entropy(roles, batch.roles, weights, reduction="none")
    others = functional.binary_cross_entropy_with_logits(others, batch.others, reduction="none").sum(1)
    drawn = (_MAPS * each + _OTHERS * others).mean((1, 2)) * batch.mapped
    asked = (batch.kinds != UNASKED).float()
    fresh = (batch.fresh > 0) & (batch.fresh <= _FRESH)
    counts = asked * torch.where(fresh, _FRESH_WEIGHT, 1.0)
    off = functional.binary_cross_entropy_with_logits(kinds, batch.kinds.clamp(max=1).float(), reduction="none")
    return drawn.sum() / batch.mapped.sum().clamp_min(1.0), (off * counts).sum() / len(kinds)


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
    move, (height, width) = _move(rng), FINE
    gain, level = rng.uniform(0.8, 1.2) * rng.uniform(0.92, 1.08, 3), rng.uniform(-0.04, 0.04)
    tones = np.clip(np.arange(256) / 255 * gain[:, None] + level, 0, 1).astype(np.float32)
    sizes = ((width, height), (width // 2, height // 2), (width // 2, height // 2))
    places = (turn, before, 0)
    pictures = [_toned(_moved(scene.pictures[i], move, size), tones) for i, size in zip(places, sizes, strict=True)]
    maps = [_moved(each, move, (each.shape[1], each.shape[0])) for each in (scene.roles[turn], scene.zone)]
    return *pictures, *maps, scene.mapped[turn], scene.kinds[turn], scene.fresh[turn]


def _move(rng: Generator) -> NDArray[np.float64]:
    """Return what makes another view of a picture, as a map of shares of its width and height: [2, 3]."""
    angle, size = rng.normal(0.0, 0.03), rng.uniform(0.95, 1.08)
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * size
    turned[0] *= 1 if rng.random() < 0.5 else -1
    middle = np.full(2, 0.5)
    return np.column_stack([turned, middle - turned @ middle + rng.uniform(-0.05, 0.05, 2)])


def _moved(picture: NDArray[np.uint8], move: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return another view of a picture [H, W, 3] or a map [H, W], as large or half as large. size: width, height."""
    into, out_of = np.array(size, np.float64), np.array(picture.shape[1::-1], np.float64)
    turned = move[:, :2] * into[:, None] / out_of
    pixels = np.column_stack([turned, turned @ np.full(2, 0.5) + move[:, 2] * into - 0.5])  # 0 is a pixel's middle
    how = cv2.INTER_LINEAR if picture.ndim == 3 else cv2.INTER_NEAREST
    made = cv2.warpAffine(np.asarray(picture), pixels, size, flags=how, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(made, np.uint8)


def _toned(picture: NDArray[np.uint8], tones: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a picture [H, W, 3] as [3, H, W] in other colours. tones: [3, 256], what becomes of each value."""
    made = [cv2.LUT(plane, tone) for plane, tone in zip(cv2.split(picture), tones, strict=True)]
    return np.stack(made).astype(np.float32, copy=False)


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


# -------------------------------------------------------------------------------------------------------- measuring


@dataclass(frozen=True, slots=True)
class Tally:
    """What came of a kind. told: in time, of so many; false: told of nothing."""

    told: int
    of: int
    false: int


@torch.inference_mode()
def logits_of(net: SightNet, scene: Shown) -> NDArray[np.float32]:
    """Return what the network says of every picture of a scene, [T, K]."""
    fine = torch.tensor(np.asarray(scene.pictures)).permute(0, 3, 1, 2).float() / 255.0
    now = coarse(fine)
    before, still = torch.cat((now[:1], now[:-1])), now[:1].expand_as(now)
    parts = [net(*(each[i : i + 20] for each in (fine, before, still)))[1] for i in range(0, len(fine), 20)]
    return torch.cat(parts).numpy()


def tallies(
    scenes: Sequence[Shown], said: Sequence[NDArray[np.float32]], thresholds: dict[str, float]
) -> dict[SightKind, Tally]:
    """Return what comes of each kind at some thresholds."""
    sums: dict[SightKind, list[int]] = {}
    for scene, logits in zip(scenes, said, strict=True):
        gathering = Gathering(thresholds)
        begun = [(turn, kind) for turn, row in enumerate(logits.tolist()) for kind in gathering.look(row)]
        for kind in KINDS:
            own = [turn for turn, one in begun if one is kind]
            found = sums.setdefault(kind, [0, 0, 0])
            for index, count in enumerate(_counted(scene.told(kind), [(turn + 1) * _TURN_S for turn in own])):
                found[index] += count
    return {kind: Tally(*found) for kind, found in sums.items()}


def _counted(events: list[tuple[float, float]], told_s: list[float]) -> tuple[int, int, int]:
    in_time = sum(any(0.0 <= at_s - begin_s <= WITHIN_S + 1e-6 for at_s in told_s) for begin_s, _ in events)
    false = sum(not any(begin <= at_s <= end + STILL_S for begin, end in events) for at_s in told_s)
    return in_time, len(events), false


def choose(scenes: Sequence[Shown], said: Sequence[NDArray[np.float32]]) -> dict[str, float]:
    """Return from which odds each kind is told: where most are in time and few are false."""
    found = dict[str, float]()
    worth: dict[SightKind, dict[float, float]] = {kind: {} for kind in KINDS}
    for least in _LADDER:
        made = tallies(scenes, said, {str(kind): least for kind in KINDS})
        for kind in KINDS:
            tally = made[kind]
            worth[kind][least] = tally.told - _FALSE_COSTS * tally.false
    for kind in KINDS:
        most = max(worth[kind].values())
        best = [least for least in _LADDER if worth[kind][least] == most]
        found[str(kind)] = best[len(best) // 2]
    return found


def lines(made: dict[SightKind, Tally], thresholds: dict[str, float], minutes: float) -> Iterator[str]:
    """Yield a report."""
    for kind, tally in made.items():
        yield f"{kind:16} {tally.told:3} of {tally.of:3} in time, {tally.false:3} false, told from {thresholds[kind]:g}"
    told, of, false = (sum(getattr(tally, name) for tally in made.values()) for name in ("told", "of", "false"))
    yield f"{'all':16} {told:3} of {of:3} in time, {false:3} false in {minutes:.0f} minutes"


def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--pictures", type=Path, required=True, help="folder for rendered scenes, 25 MB each")
    parser.add_argument("--out", type=Path, help="folder for model.safetensors and report.txt; none: render only")
    parser.add_argument("--scenes", type=int, default=2000)
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
    render(held, 2 * options.seed + 52, range(options.held), options.threads)
    if options.out is None:
        return
    settings = Settings(options.steps, rate=options.rate, seed=options.seed)
    with joined("cpu") as place:
        net = train(load(learnt), settings, SightNet.load(options.begin)[0] if options.begin else None, place)
    if not place.is_first:
        return
    scenes = load(held)
    said = [logits_of(net, scene) for scene in scenes]
    thresholds = choose(scenes, said)
    net.save(options.out, thresholds)
    made = tallies(scenes, said, thresholds)
    report = "\n".join(lines(made, thresholds, len(scenes) * TURNS * _TURN_S / 60))
    (options.out / "report.txt").write_text(report + "\n", encoding="utf-8")
    _say(report)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
