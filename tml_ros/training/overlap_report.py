"""How well the overlap classifier decides, by the rule that the cascade uses: a look at the end of every micro-turn.

It knows probabilities at times, not how they came about. A back-channel after which somebody goes on counts neither
way.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray

from tml_ros.duplex.cascade.overlap import STACK
from tml_ros.training.overlap_net import OverlapNet, TrainingSet, normalise
from tml_ros.training.overlap_scenes import Example

__all__ = ["MIX", "Thresholds", "answers", "bids", "false_stops", "lines", "looks", "recommend"]

MIX = ("hum", "cough", "echo", "word")
"""What must not stop the robot, in equal parts."""
_FIRST_MS, _TURN_MS, _LAST_MS, _GAP_MS = 130, 200, 1000, 250
_LEAD_FRAMES, _WINDOW_FRAMES, _BEFORE_FRAMES = 6, 2, 16
_REPEATS = 5
_TRIED = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97)

Looks = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Probability from which a look is a bid: the first look, the second, and later ones."""

    first: float
    second: float
    later: float


def answers(net: OverlapNet, data: TrainingSet) -> NDArray[np.float32]:
    """Return the probability every 20 ms when the sound begins 60 ms before the onset, [N, T]."""
    with torch.no_grad():
        features = data.features[:, _BEFORE_FRAMES - _LEAD_FRAMES :]
        parts = [net(normalise(rows)) for rows in torch.split(features, 128)]
    return torch.sigmoid(torch.cat(parts)).numpy()


def looks(examples: Sequence[Example], table: NDArray[np.float32]) -> Looks:
    """Return what is seen at the first look, the second, and the surest later one, [N, 5, 3]; 0 for no such look.

    The first look comes at five times drawn for every example. Looks end 250 ms after the sound, when the cascade takes
    it for over, and after a second.
    """
    rng = np.random.default_rng(1)
    seen = np.zeros((len(examples), _REPEATS, 3), np.float32)
    for row, example in enumerate(examples):
        last_ms = min(_LAST_MS, example.length_ms + _GAP_MS)
        for repeat, first_ms in enumerate(rng.uniform(_FIRST_MS, _FIRST_MS + _TURN_MS, _REPEATS)):
            for look, time_ms in enumerate(np.arange(first_ms, max(last_ms, first_ms) + 1, _TURN_MS)):
                moments = (int(time_ms) // 10 + _LEAD_FRAMES - _WINDOW_FRAMES + 1) // STACK
                place = min(look, 2)
                seen[row, repeat, place] = max(seen[row, repeat, place], table[row, moments - 1])
    return seen


def false_stops(examples: Sequence[Example], seen: Looks, wanted: Thresholds) -> dict[str, float]:
    """Return the share of false stops of every kind."""
    stops = (seen >= (wanted.first, wanted.second, wanted.later)).any(2).mean(1)
    kinds = np.array([example.kind if example.bid_ms < 0 else "" for example in examples])
    return {str(kind): float(stops[kinds == kind].mean()) for kind in np.unique(kinds) if kind}


def bids(examples: Sequence[Example], seen: Looks, wanted: Thresholds) -> tuple[float, float, float]:
    """Return the share of bids that are taken for one at the first look, by the second, and ever."""
    hits = (seen >= (wanted.first, wanted.second, wanted.later))[[example.bid_ms == 0 for example in examples]]
    first, second, ever = (float(hits[:, :, : last + 1].any(2).mean()) for last in range(3))
    return first, second, ever


def recommend(examples: Sequence[Example], seen: Looks, most: float = 0.04) -> Thresholds:
    """Return the thresholds with most bids at the first and by the second look, at the allowed share of false stops."""
    best, best_score = Thresholds(_TRIED[-1], _TRIED[-1], _TRIED[-1]), -1.0
    for first, second, later in product(_TRIED, repeat=3):
        wanted = Thresholds(first, second, later)
        stops = false_stops(examples, seen, wanted)
        if np.mean([stops.get(kind, 0.0) for kind in MIX]) > most:
            continue
        early, soon, ever = bids(examples, seen, wanted)
        if early + soon + ever > best_score:
            best, best_score = wanted, early + soon + ever
    return best


def lines(examples: Sequence[Example], seen: Looks, wanted: Thresholds) -> Iterator[str]:
    """Yield the report."""
    yield f"thresholds: first {wanted.first:g}, second {wanted.second:g}, later {wanted.later:g}"
    origins = np.array([_origin(example) if example.bid_ms == 0 else "" for example in examples])
    for name in ["all", *(str(origin) for origin in np.unique(origins) if origin)]:
        rows = np.flatnonzero((origins == name) | ((name == "all") & (origins != ""))).tolist()
        early, soon, ever = bids([examples[row] for row in rows], seen[rows], wanted)
        yield f"bids, {name} ({len(rows)}): {early:.1%} at the first look, {soon:.1%} by the second, {ever:.1%} ever"
    stops = false_stops(examples, seen, wanted)
    for kind, share in stops.items():
        count = sum(example.kind == kind and example.bid_ms < 0 for example in examples)
        yield f"false stops, {kind} ({count}): {share:.1%}"
    yield f"false stops, equal parts of {', '.join(MIX)}: {np.mean([stops.get(kind, 0.0) for kind in MIX]):.1%}"


def _origin(example: Example) -> str:
    return example.voice.split(":")[0].split("_")[0]
