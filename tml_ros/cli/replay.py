"""``tml replay``: a bag through a model, offline."""

import argparse
import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tml_ros.config import load_parameter_file
from tml_ros.errors import ConfigError, nearest_name
from tml_ros.replay.report import write_report
from tml_ros.replay.run import ReplayOptions, ReplayResult, replay
from tml_ros.replay.runlog import RunLog
from tml_ros.wire import INPUT_TYPES

__all__ = ["run_replay"]


def run_replay(options: argparse.Namespace) -> int:
    """Replay, show what was heard and said, and end with one line of JSON."""
    console = Console(quiet=options.json)
    chosen = ReplayOptions(
        values=_values(options.params, options.model),
        topics=_topics(options.topic),
        paced=options.paced,
        out=options.out,
        pictures=options.out is not None,
        background=options.background,
    )
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    with progress if not options.json else nullcontext():
        on_turn = _progress_callback(progress, options.bag) if not options.json else None
        result = replay(options.bag, chosen, on_turn)
    if options.out is not None:
        _write_out(options.out, options.bag, result)
    _show(console, result)
    print(json.dumps(result.as_dict(), sort_keys=True))
    return 0


def _values(path: Path | None, model: str | None) -> dict[str, Any]:
    values = load_parameter_file(path, "interaction") if path else {}
    for name in ("autostart", "use_sim_time"):
        values.pop(name, None)
    return values | ({"model": model} if model else {})


def _topics(pairs: list[str]) -> dict[str, str]:
    chosen = {}
    for pair in pairs:
        name, _, topic = pair.partition("=")
        if name not in INPUT_TYPES or not topic:
            raise ConfigError(
                f"--topic {pair!r} must be INPUT=TOPIC with INPUT one of {', '.join(INPUT_TYPES)}"
                f"{nearest_name(name, INPUT_TYPES)}"
            )
        chosen[name] = topic
    return chosen


def _progress_callback(progress: Progress, bag: Path) -> Callable[[RunLog, float], None]:
    task = progress.add_task(f"replaying {bag.name}", total=1.0)
    return lambda log, share: progress.update(task, completed=share)


def _write_out(out: Path, bag: Path, result: ReplayResult) -> None:
    (out / "result.json").write_text(json.dumps(result.as_dict(), indent=2, sort_keys=True) + "\n", encoding="utf-8")
    facts = {
        "bag": bag.name,
        "model": result.model,
        "digest": result.digest[:16],
        "real-time factor": f"{result.as_dict()['realtime_factor']:.1f}",
    }
    write_report(result.log, out / "report.html", title=f"Replay of {bag.name}", facts=facts)


def _show(console: Console, result: ReplayResult) -> None:
    table = Table(
        "at", "who", "what", title=f"{result.model}: {len(result.log.turns)} micro-turns", title_justify="left"
    )
    for at_s, who, what in _events(result.log):
        table.add_row(f"{at_s:.2f} s", who, what)
    console.print(table)


def _events(log: RunLog) -> list[tuple[float, str, str]]:
    events = [(log.seconds(e.start_ns), "person", e.text) for e in log.transcripts if e.speaker == "user"]
    events += [(u.start_s, "robot", u.text + (" (interrupted)" if u.interrupted else "")) for u in log.utterances]
    events += [
        (log.seconds(i.stamp_ns), "withdrawn" if i.is_withdrawn else "intent", f"{i.intent} {i.data}")
        for i in log.intents
    ]
    events += [(log.seconds(d.stamp_ns), "task", d.task) for d in log.delegations if d.task]
    events += [(log.seconds(a.stamp_ns), "advisory alert", a.description) for a in log.alerts]
    return sorted(events)
