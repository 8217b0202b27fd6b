"""Train the keyword network: python -m tml_ros.training.keyword_net --data DIR --corpus DIR --out DIR.

Builds the corpus where it is missing, has rows made by other processes, learns, and says how many words of speakers of
the training that were kept aside are told in noise. The same seed gives the same weights on the same machine.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from tml_ros.duplex.native.spotting import KeywordNet
from tml_ros.training.corpus import save
from tml_ros.training.corpus_build import Amounts, pieces
from tml_ros.training.corpus_texts import COMMAND_WORDS
from tml_ros.training.keyword_rows import UNASKED, Rows
from tml_ros.training.overlap_net import follow
from tml_ros.training.sight_report import say

__all__ = ["AMOUNTS", "Settings", "main", "train"]

AMOUNTS = Amounts(
    command_word=200, other_word=24, sentences=1200, paused=60, corrected=12, talks=300, replies=1, murmurs=240,
    hums=240, coughs=240, knocks=120,
)  # fmt: skip
_FRAMES = 800  # of a row
_MEMORY = 0.997  # of the averaged weights, for one step
_NOTHING = 0.5
"""How much an answer counts where there is nothing to tell; most are of those."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How it learns. workers: processes that make rows."""

    steps: int = 12000
    batch: int = 16
    rate: float = 2e-3
    seed: int = 0
    workers: int = 1


class _Made(Dataset[tuple[Tensor, Tensor]]):
    def __init__(self, rows: Rows, settings: Settings) -> None:
        self._rows, self._settings = rows, settings

    def __len__(self) -> int:
        return self._settings.steps * self._settings.batch

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        row = self._rows.row(_FRAMES, (self._settings.seed, number, 23))
        return torch.from_numpy(row.frames), torch.from_numpy(row.told)


def train(rows: Rows, settings: Settings, net: KeywordNet | None = None) -> KeywordNet:
    """Return a trained network, its weights averaged over the last steps. net: to go on from."""
    torch.manual_seed(settings.seed)
    net, average = (net or KeywordNet(COMMAND_WORDS)).requires_grad_(True).train(), KeywordNet(COMMAND_WORDS)
    average.load_state_dict(net.state_dict())
    optimiser = torch.optim.AdamW(net.parameters(), settings.rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.rate, total_steps=settings.steps + 1, pct_start=0.1
    )
    began, losses, right = time.monotonic(), list[float](), list[float]()
    made = DataLoader(
        _Made(rows, settings),
        settings.batch,
        num_workers=settings.workers,
        prefetch_factor=8 if settings.workers else None,
    )
    for step, (frames, told) in enumerate(made, start=1):
        logits = net(frames)
        loss = _loss(logits, told)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimiser.step()
        schedule.step()
        follow(average, net, min(_MEMORY, (step + 1) / (step + 10)))
        losses.append(loss.item())
        right.append((logits.argmax(2) == told)[told > 0].float().mean().item())
        if step % 100 == 0:
            spent_s = time.monotonic() - began
            mean, share = np.mean(losses[-100:]), np.nanmean(right[-100:])
            say(f"step {step} of {settings.steps}: loss {mean:.4f}, {share:.1%} of answers right, {spent_s:.0f} s")
    return average.eval()


def _loss(logits: Tensor, told: Tensor) -> Tensor:
    """Return what is wrong with the answers that are asked for."""
    each = functional.cross_entropy(logits.flatten(0, 1), told.flatten(), ignore_index=UNASKED, reduction="none")
    counts = torch.where(told.flatten() > 0, 1.0, _NOTHING) * (told.flatten() != UNASKED)
    return (each * counts).sum() / counts.sum()


def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, help="folder with speech/*/labels.csv and dialogue/*/labels.csv")
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the corpus; built where it is missing")
    parser.add_argument("--out", type=Path, required=True, help="folder for model.safetensors")
    parser.add_argument("--from", dest="begin", type=Path, help="weights to go on from")
    parser.add_argument("--steps", type=int, default=Settings().steps)
    parser.add_argument("--batch", type=int, default=Settings().batch, help="rows of 8 s")
    parser.add_argument("--rate", type=float, default=Settings().rate)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=Settings().workers)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    if not (options.corpus / "parts.json").is_file():
        save(options.corpus, pieces(options.data, AMOUNTS, options.seed))
    settings = Settings(options.steps, options.batch, options.rate, options.seed, options.workers)
    net = train(Rows(options.corpus), settings, KeywordNet.load(options.begin) if options.begin else None)
    net.save(options.out)


if __name__ == "__main__":
    main()
