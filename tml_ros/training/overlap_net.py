"""The network of tml_ros.duplex.cascade.overlap in torch, and how it learns: an answer at every frame from 100 ms on.

It knows features and labels, not where they came from.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from tml_ros.duplex.cascade import overlap
from tml_ros.duplex.cascade.overlap import BANDS, DILATIONS, INPUTS, STACK, TAPS, WIDTH, log_mel
from tml_ros.training.overlap_scenes import BEFORE, Example

__all__ = ["OverlapNet", "Settings", "TrainingSet", "export", "follow", "normalise", "train"]

_HOP_MS = 10
_BEFORE_FRAMES = BEFORE // overlap.HOP_SAMPLES
_LEAD_FRAMES = 6  # sound in front of the onset that the classifier gets
_WINDOW_FRAMES = 2  # a frame's window ends 25 ms after it begins
_SHARES = {"bid": 3.0, "word": 2.0, "hum": 1.5, "cough": 1.0, "echo": 0.7, "knock": 0.4, "noise": 0.2}
"""What each kind counts in all. Words are the hardest."""
_SHORT_MS, _SHORT_WEIGHT = 450, 1.6
"""Bids that are over by then count more: they sound most like a back-channel."""
_SURE = 0.01  # no label is surer than 1 minus this
_LONGEST_MEMORY = 0.999  # of the averaged weights, for one step


@dataclass(frozen=True, slots=True)
class Settings:
    """How it learns."""

    epochs: int = 24
    batch: int = 32
    rate: float = 4e-3
    dropout: float = 0.2
    seed: int = 0


class OverlapNet(nn.Module):
    """The same as ``OverlapClassifier``, with an answer for every frame."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        widths = [INPUTS] + [WIDTH] * (len(DILATIONS) - 1)
        self.layers = nn.ModuleList(nn.Linear(TAPS * width, WIDTH) for width in widths)
        self.norms = nn.ModuleList(nn.BatchNorm1d(WIDTH) for _ in DILATIONS)
        self.hidden = nn.Linear(3 * WIDTH, WIDTH)
        self.last = nn.Linear(WIDTH, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Tensor) -> Tensor:
        """features: [B, T, 82] -> logits [B, T]."""
        hidden = features
        for number, (layer, norm, dilation) in enumerate(zip(self.layers, self.norms, DILATIONS, strict=True)):
            outputs = layer(_columns(hidden, dilation))
            outputs = functional.relu(norm(outputs.flatten(0, 1))).reshape(outputs.shape)
            hidden = hidden + self.dropout(outputs) if number else outputs
        count = torch.arange(1, hidden.shape[1] + 1, dtype=hidden.dtype)[:, None]
        summary = torch.cat((hidden, hidden.cumsum(1) / count, hidden.cummax(1).values), 2)
        dense = self.dropout(functional.relu(self.hidden(self.dropout(summary))))
        logits: Tensor = self.last(dense)[..., 0]
        return logits


def _columns(inputs: Tensor, dilation: int) -> Tensor:
    """inputs: [B, T, C] -> [B, T, 3 * C], the past only."""
    frames = inputs.shape[1]
    padded = functional.pad(inputs, (0, 0, (TAPS - 1) * dilation, 0))
    return torch.cat([padded[:, tap * dilation : tap * dilation + frames] for tap in range(TAPS)], 2)


def normalise(log_power: Tensor) -> Tensor:
    """Do what ``overlap.normalise`` does. log_power: [B, T, 40] -> [B, T // 2, 82]."""
    floored = torch.logaddexp(log_power, torch.tensor(overlap._LEAST_LOG))
    level = torch.logsumexp(floored, 2, keepdim=True)
    peak = level.cummax(1).values.clamp_min(overlap._LEAST_PEAK)
    frames = torch.cat((floored - peak + 4, level - peak), 2) * overlap._LOG_SCALE
    return frames[:, : frames.shape[1] // STACK * STACK].reshape(len(frames), -1, INPUTS)


def export(net: OverlapNet) -> dict[str, NDArray[np.float32]]:
    """Return the weights as ``OverlapClassifier`` takes them."""
    found = {f"{name}.{part}": tensor for name, part, tensor in _tensors(net)}
    return {name: np.ascontiguousarray(tensor.detach().numpy()) for name, tensor in found.items()}


def _tensors(net: OverlapNet) -> Iterator[tuple[str, str, Tensor]]:
    """Yield name, part and value of every weight; what follows a layer to even it out is worked into it."""
    for number, (layer, norm) in enumerate(zip(net.layers, net.norms, strict=True)):
        assert isinstance(layer, nn.Linear) and isinstance(norm, nn.BatchNorm1d)
        assert norm.running_mean is not None and norm.running_var is not None
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        yield f"layer{number}", "weight", layer.weight.T * scale
        yield f"layer{number}", "bias", (layer.bias - norm.running_mean) * scale + norm.bias
    for name, dense in (("hidden", net.hidden), ("last", net.last)):
        yield name, "weight", dense.weight.T
        yield name, "bias", dense.bias


# --------------------------------------------------------------------------------------------------------- learning


class TrainingSet:
    """Features, labels and what each frame counts, of all examples."""

    def __init__(self, examples: Sequence[Example]) -> None:
        """Measure the examples; at least one."""
        self.features = torch.from_numpy(np.stack([log_mel(example.sound) for example in examples]))
        frames = self.features.shape[1]
        after_ms = (torch.arange(frames) - _BEFORE_FRAMES + _WINDOW_FRAMES) * _HOP_MS
        bid_ms = torch.tensor([example.bid_ms for example in examples])[:, None]
        self.labels = ((bid_ms >= 0) & (after_ms >= bid_ms)).float()
        self.weights = self._kinds(examples)[:, None] * self._times(after_ms, bid_ms)

    @staticmethod
    def _kinds(examples: Sequence[Example]) -> Tensor:
        totals: dict[str, float] = {}
        for example in examples:
            totals[example.kind] = totals.get(example.kind, 0.0) + example.weight
        each = [_SHARES[example.kind] * example.weight / totals[example.kind] for example in examples]
        short = [_SHORT_WEIGHT if one.bid_ms == 0 and one.length_ms < _SHORT_MS else 1.0 for one in examples]
        return torch.tensor(each) * torch.tensor(short) * (len(examples) / sum(each))

    @staticmethod
    def _times(after_ms: Tensor, bid_ms: Tensor) -> Tensor:
        """Count the time of the first two looks most, and nothing while a further word has only just begun."""
        weight = torch.where(after_ms < 100, 0.0, torch.where(after_ms < 600, 1.0, 0.5))
        is_unsure = (bid_ms > 0) & (after_ms >= bid_ms) & (after_ms < bid_ms + 130)
        return torch.where(is_unsure, 0.0, weight)


def train(data: TrainingSet, settings: Settings, report: Callable[[str], None]) -> OverlapNet:
    """Return a trained network, its weights averaged over the last steps.

    The same for the same data, settings and number of threads.
    """
    torch.manual_seed(settings.seed)
    net, average = OverlapNet(settings.dropout), OverlapNet()
    average.load_state_dict(net.state_dict())
    optimiser = torch.optim.AdamW(net.parameters(), lr=settings.rate, weight_decay=3e-2)
    steps = settings.epochs * max(1, len(data.features) // settings.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.rate, total_steps=steps + 1)
    draw = torch.Generator().manual_seed(settings.seed)
    step = 0
    for epoch in range(settings.epochs):
        order = torch.randperm(len(data.features), generator=draw)
        losses = []
        for rows in torch.split(order[: len(order) // settings.batch * settings.batch or None], settings.batch):
            loss = _loss(net, data, rows, draw)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            step += 1
            follow(average, net, min(_LONGEST_MEMORY, (step + 1) / (step + 10)))
            losses.append(loss.item())
        report(f"epoch {epoch + 1} of {settings.epochs}: loss {np.mean(losses):.4f}")
    return average.eval()


@torch.no_grad()
def follow(average: nn.Module, net: nn.Module, memory: float) -> None:
    """Move averaged weights, and what is known of the layers' outputs, a little towards those of now."""
    now = net.state_dict()
    for name, tensor in average.state_dict().items():
        if tensor.dtype.is_floating_point:
            tensor.lerp_(now[name], 1 - memory)


def _loss(net: OverlapNet, data: TrainingSet, rows: Tensor, draw: torch.Generator) -> Tensor:
    """Begin each sound a little early or late, and disturb it."""
    late = torch.randint(-4, 10, (1,), generator=draw).item()
    first = _BEFORE_FRAMES - _LEAD_FRAMES + int(late)
    logits = net(normalise(_disturbed(data.features[rows, first:], draw)))
    count = logits.shape[1]
    labels, weights = (part[rows, first + STACK - 1 :: STACK][:, :count] for part in (data.labels, data.weights))
    unsure = labels * (1 - 2 * _SURE) + _SURE
    each = functional.binary_cross_entropy_with_logits(logits, unsure, reduction="none")
    return (each * weights).sum() / weights.sum().clamp_min(1.0)


def _disturbed(features: Tensor, draw: torch.Generator) -> Tensor:
    """Make other people, rooms and cancellers of sounds: a longer or shorter throat, louder, in another colour.

    Of half of the batches every other sound also loses some bands, as the echo canceller takes them. [B, T, 40].

    Source: vocal tract length perturbation, Jaitly and Hinton 2013; SpecAugment, Park et al. 2019 (arXiv 1904.08779).
    """
    features = _warped(features, torch.rand(len(features), 1, generator=draw) * 0.24 + 0.88)
    gain = torch.rand(len(features), 1, 1, generator=draw) * 3 - 1.5
    points = torch.randn(len(features), 1, 6, generator=draw) * 0.8
    features = features + gain + functional.interpolate(points, BANDS, mode="linear", align_corners=True)
    if torch.rand(1, generator=draw) < 0.5:
        for row in range(0, len(features), 2):
            width = int(torch.randint(2, 9, (1,), generator=draw))
            low = int(torch.randint(0, BANDS - width, (1,), generator=draw))
            features[row, :, low : low + width] -= float(torch.rand(1, generator=draw) * 4)
    return features


def _warped(features: Tensor, factors: Tensor) -> Tensor:
    """Stretch the mel scale around its lower quarter. features: [B, T, 40], factors: [B, 1] -> [B, T, 40]."""
    place = (torch.arange(BANDS) * factors + (1 - factors) * (BANDS / 4)).clamp(0, BANDS - 1.001)
    low = place.floor().long()
    share = (place - low)[:, None]
    below, above = (features.gather(2, (low + side)[:, None].expand(-1, features.shape[1], -1)) for side in (0, 1))
    return below * (1 - share) + above * share
