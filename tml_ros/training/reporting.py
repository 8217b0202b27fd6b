"""What a training says on its way: a line for people, a line of JSON for programs, curves for TensorBoard.

It knows losses by stream and skill, not where they come from. TensorBoard is an option: without the package its curves
are left out.
"""

import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tml_ros.training.learner import Progress
from tml_ros.training.objective import STREAMS

__all__ = ["Reporter"]

_log = logging.getLogger(__name__)


class Reporter:
    """Adds up steps and says something every few of them.

    Thread: one caller.
    """

    def __init__(self, folder: Path | None, skills: tuple[str, ...], say: Callable[[str], None]) -> None:
        """folder: for metrics.jsonl and the curves; None: only ``say`` is told."""
        self._skills, self._say = skills, say
        self._file = folder / "metrics.jsonl" if folder else None
        self._curves = _open_curves(folder / "curves") if folder else None
        self._begin()

    def _begin(self) -> None:
        self._sums: Tensor | float = 0.0
        self._counts: Tensor | float = 0.0
        self._totals: list[Tensor] = []
        self._rows, self._audio_s, self._began = 0, 0.0, time.perf_counter()

    def add(self, progress: Progress, rows: int, audio_s: float) -> None:
        """Take in a step. rows, audio_s: of all processes."""
        self._sums = self._sums + progress.measured.sums
        self._counts = self._counts + progress.measured.counts
        self._totals.append(progress.measured.value)
        self._rows += rows
        self._audio_s += audio_s

    def tell(self, progress: Progress, *, steps: int, stage: str, waited_s: float) -> dict[str, Any]:
        """Say what came of the steps since the last time, and return it. waited_s: for scenes, since then."""
        took = time.perf_counter() - self._began
        assert isinstance(self._sums, Tensor) and isinstance(self._counts, Tensor)
        figures = {
            "step": progress.step,
            "stage": stage,
            "loss": float(torch.stack(self._totals).mean()),
            "rate": progress.rate,
            "norm": progress.norm,
            "rows_per_s": self._rows / took,
            "real_time": self._audio_s / took,
            "waited": waited_s / took,
            "streams": dict(zip(STREAMS, _ratios(self._sums.sum(1), self._counts.sum(1)), strict=True)),
            "skills": self._by_skill(),
        }
        self._say(_line(figures, steps))
        self.log(figures)
        self._begin()
        return figures

    def log(self, figures: Mapping[str, Any]) -> None:
        """Write figures, nested by name, with their ``step``."""
        if self._file is not None:
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(figures) + "\n")
        if self._curves is not None:
            for name, value in _flat(figures):
                self._curves.add_scalar(name, value, figures["step"])
            self._curves.flush()

    def close(self) -> None:
        """Finish the curves."""
        if self._curves is not None:
            self._curves.close()

    def _by_skill(self) -> dict[str, dict[str, float]]:
        """Return the losses of each skill that there was something of."""
        assert isinstance(self._sums, Tensor) and isinstance(self._counts, Tensor)
        columns = zip(self._skills, self._sums.T, self._counts.T, strict=True)
        return {
            skill: dict(zip(STREAMS, _ratios(sums, counts), strict=True))
            for skill, sums, counts in columns
            if counts[0]
        }


def _ratios(sums: Tensor, counts: Tensor) -> list[float]:
    return [
        round(part / count, 5) if count else 0.0 for part, count in zip(sums.tolist(), counts.tolist(), strict=True)
    ]


def _line(figures: Mapping[str, Any], steps: int) -> str:
    streams = " ".join(f"{name} {value:.3f}" for name, value in figures["streams"].items())
    skills = " ".join(f"{name} {values['text']:.2f}" for name, values in figures["skills"].items())
    return (
        f"step {figures['step']}/{steps} {figures['stage']}: loss {figures['loss']:.3f} | {streams} | text by skill: "
        f"{skills} | {figures['rows_per_s']:.1f} rows/s, {figures['real_time']:.0f} times real time, waited "
        f"{figures['waited']:.0%}"
    )


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and name != "step" and math.isfinite(value):
            found.append((f"{prefix}{name}", float(value)))
    return found


def _open_curves(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        _log.warning("no curves for TensorBoard: it is not installed; pip install tensorboard")
        return None
    return SummaryWriter(str(folder))
