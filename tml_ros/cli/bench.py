"""``tml bench native``: how long the native model takes for a micro-turn, and what it saves by keeping state."""

import argparse
import json
import subprocess
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tml_ros.cli.native import native_module
from tml_ros.errors import ConfigError

__all__ = ["bench_native"]

_ROWS = {
    "p50_ms": "median",
    "p95_ms": "95th percentile",
    "p99_ms": "99th percentile",
    "max_ms": "longest",
    "naive_ms": "running the whole context anew",
}


def bench_native(options: argparse.Namespace) -> int:
    """Run the benchmark, show it and end with one line of JSON.

    Raises:
        ConfigError: a number is out of bounds.
        ModelError: the checkpoint cannot be used.
        MissingDependencyError: torch is not installed.
    """
    text_tokens = options.text_tokens or 0
    if min(options.turns, options.threads) < 1 or min(options.context_s, text_tokens) < 0:
        raise ConfigError(
            "--turns and --threads must be at least 1, --context-s and --text-tokens at least 0, got "
            f"{options.turns}, {options.threads}, {options.context_s:g} and {text_tokens}"
        )
    bench = native_module("bench")
    chosen = bench.BenchOptions(
        checkpoint=options.preset,
        turns=options.turns,
        context_s=options.context_s,
        precision=options.dtype,
        threads=options.threads,
        text_tokens=options.text_tokens,
        frames=not options.no_frame,
        compile=options.compile,
        voice=options.voice,
        naive=not options.skip_naive,
    )
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    console = Console(quiet=options.json)
    progress = Progress(*columns, console=console, transient=True)
    with progress if not options.json else nullcontext():
        task = progress.add_task("micro-turns", total=1.0)
        shown = None if options.json else lambda done, total: progress.update(task, completed=done / total)
        figures = bench.run_bench(chosen, shown) | {"commit": _commit()}
    console.print(_table(figures))
    print(json.dumps(figures, sort_keys=True))
    return 0


def _table(figures: dict[str, Any]) -> Table:
    title = (
        f"{figures['checkpoint']}, {figures['precision']}, {figures['threads']} thread(s): {figures['turns']} "
        f"micro-turns of {figures['tokens_per_turn']:.0f} tokens, {figures['text_tokens_per_turn']} of them said"
    )
    table = Table("per micro-turn", "ms", title=title, title_justify="left")
    for name, label in _ROWS.items():
        if name in figures:
            table.add_row(label, f"{figures[name]:.1f}")
    table.add_row("longer than 200 ms", str(figures["deadline_misses"]))
    if "speedup_over_naive" in figures:
        table.add_row("times faster than running the context anew", f"{figures['speedup_over_naive']:.0f}")
    return table


def _commit() -> str:
    """Return the commit of the checkout this runs from, empty where it is installed."""
    command = ["git", "-C", str(Path(__file__).resolve().parent), "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
