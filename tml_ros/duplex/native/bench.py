"""Time the native model on a CPU as a robot runs it: micro-turn by micro-turn, through ``DuplexStream.step``.

Every figure comes from one run in one process, so that ratios mean something on a machine whose speed drifts. The
inputs are noise and random pictures: they cost what real ones cost. It knows no command line.
"""

import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tml_ros.duplex.native.checkpoint import locate_checkpoint, make_untrained, read_manifest
from tml_ros.duplex.native.config import NativeConfig
from tml_ros.duplex.native.inputs import ABSENT, StreamInputs, StreamTargets
from tml_ros.duplex.native.model import NativeModel, NativeStream
from tml_ros.duplex.native.tokens import Marker
from tml_ros.duplex.protocol import SessionInfo
from tml_ros.records import MICRO_TURN_NS, MICRO_TURN_SAMPLES, Frame, MicroTurn

__all__ = ["BenchOptions", "run_bench"]

DEADLINE_MS = 200.0
_WARM_UP_TURNS = 20
_PICTURES = 16
_NAIVE_RUNS = 3
_PAIRED_TURNS = 500
_EDGE_TURNS = 1000  # first and last micro-turns that growth compares


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """What is timed. text_tokens: put out per micro-turn, as many as there can be when None."""

    checkpoint: str = "micro"
    turns: int = 500
    context_s: float = 60.0
    precision: str = "float32"
    threads: int = 1
    text_tokens: int | None = None
    frames: bool = True
    compile: bool = False
    voice: bool = False
    naive: bool = True


def run_bench(options: BenchOptions, progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Run the benchmark and return its figures, times in milliseconds.

    Args:
        options: what is timed.
        progress: is told micro-turns done and in all.

    Raises:
        ModelError: the checkpoint cannot be used.
    """
    with tempfile.TemporaryDirectory() as folder:
        model = NativeModel(_config(options, Path(folder)))
    shape = model.stepper.model.shape
    said = shape.text_out_tokens if options.text_tokens is None else min(options.text_tokens, shape.text_out_tokens)
    model.stepper.options = replace(model.stepper.options, text_tokens=said)
    before = max(_WARM_UP_TURNS, round(options.context_s * 1e9 / MICRO_TURN_NS))
    turns = _Turns(*shape.picture_size, with_frames=options.frames)
    stream = model.open(SessionInfo("bench", 0))
    memory, stored, times = 0, 0, []
    for index in range(before + options.turns):
        if index == before:
            memory, stored = _resident_bytes(), _stored(stream)
        times.append(_time_step(stream, turns.take(index)))
        if progress is not None:
            progress(index, before + options.turns)
    figures = _summary(times[before:]) | {
        "tokens_per_turn": (_stored(stream) - stored) / options.turns,
        "text_tokens_per_turn": said,
        "resident_mb": _resident_bytes() / 1e6,
        "resident_growth": _resident_bytes() / memory,
        "state_mb": stream.state.bytes / 1e6,
    }
    figures["paired_growth"] = _pair(stream, model.open(SessionInfo("fresh", 0)), turns, before, options.turns)
    if options.naive:
        figures |= _compare(model, turns, before, figures["p50_ms"])
    return _describe(options, model) | figures


def _config(options: BenchOptions, folder: Path) -> NativeConfig:
    """Return how the model is run; a preset without weights gets random ones in a folder."""
    checkpoint = locate_checkpoint(options.checkpoint)
    if not read_manifest(checkpoint).has_weights:
        make_untrained(checkpoint, folder / checkpoint.name, seed=0)
        checkpoint = folder / checkpoint.name
    return NativeConfig(
        checkpoint=str(checkpoint),
        device="cpu",
        precision=options.precision,
        threads=options.threads,
        compile=options.compile,
        voice=options.voice,
    )


class _Turns:
    """Micro-turns with noise and random pictures; making them is not timed, their conversion is."""

    def __init__(self, height: int, width: int, *, with_frames: bool) -> None:
        source = np.random.default_rng(0)
        self._sounds = source.normal(0, 0.1, (_PICTURES, MICRO_TURN_SAMPLES)).astype(np.float32)
        self._pictures = source.integers(0, 256, (_PICTURES, height, width, 3), np.uint8) if with_frames else None

    def take(self, index: int) -> MicroTurn:
        """Return the micro-turn with a number."""
        start = index * MICRO_TURN_NS
        frames = () if self._pictures is None else (Frame(start, self._pictures[index % _PICTURES]),)
        return MicroTurn(index, start, start + MICRO_TURN_NS, self._sounds[index % _PICTURES], 1.0, frames=frames)


def _summary(times: list[float]) -> dict[str, Any]:
    p50, p95, p99 = np.percentile(times, (50, 95, 99)).tolist()
    edge = min(_EDGE_TURNS, len(times) // 2)
    return {
        "turns": len(times),
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
        "max_ms": max(times),
        "deadline_ms": DEADLINE_MS,
        "deadline_misses": sum(took > DEADLINE_MS for took in times),
        "edge_turns": edge,
        "time_growth": statistics.median(times[-edge:]) / statistics.median(times[:edge]) if edge else None,
    }


def _time_step(stream: NativeStream, turn: MicroTurn) -> float:
    began = time.perf_counter()
    stream.step(turn)
    return (time.perf_counter() - began) * 1e3


def _pair(old: NativeStream, fresh: NativeStream, turns: _Turns, context: int, most: int) -> float:
    """Return how much longer an old session takes than a fresh one with its context full, taking turns.

    The speed of a shared machine drifts in a minute; it does not between two steps. At most `most` steps of each.
    """
    for index in range(context):
        fresh.step(turns.take(index))
    pairs = [
        (_time_step(old, turns.take(index)), _time_step(fresh, turns.take(index)))
        for index in range(min(most, _PAIRED_TURNS))
    ]
    return statistics.median(one for one, _ in pairs) / statistics.median(two for _, two in pairs)


def _compare(model: NativeModel, turns: _Turns, count: int, step_ms: float) -> dict[str, Any]:
    """Time running all micro-turns of the context anew, without heads or choosing: what a model without state does."""
    transformer = model.stepper.model
    stream = model.open(SessionInfo("naive", 0))
    rows = [stream.inputs(turns.take(index)) for index in range(count)]
    inputs = StreamInputs.joined(rows)
    most = model.stepper.options.text_tokens or 0
    floor = torch.full((1, count), int(Marker.SPEAK))
    text = torch.full((1, count, transformer.shape.text_out_tokens), ABSENT)
    text[..., :most] = len(Marker)
    took = []
    with torch.no_grad():
        for _ in range(_NAIVE_RUNS):
            began = time.perf_counter()
            transformer.hidden(inputs, StreamTargets(floor, text))
            took.append((time.perf_counter() - began) * 1e3)
    naive = statistics.median(took)
    return {"naive_turns": count, "naive_ms": naive, "speedup_over_naive": naive / step_ms}


def _describe(options: BenchOptions, model: NativeModel) -> dict[str, Any]:
    return {
        "checkpoint": options.checkpoint,
        "context_s": options.context_s,
        "precision": options.precision,
        "threads": options.threads,
        "compile": options.compile,
        "voice": options.voice,
        "frame": options.frames,
        "device": str(model.stepper.model.embedding.weight.device),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "machine": platform.machine(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _stored(stream: NativeStream) -> int:
    """Return how many tokens the session has stored so far."""
    return int(stream.state.written.sum())


def _resident_bytes() -> int:
    """Return the memory of this process. Source: proc(5), statm, second field in pages."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
