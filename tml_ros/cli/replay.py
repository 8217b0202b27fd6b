"""``tml replay``: a bag through a model, offline, and whether it gives what it gave before."""

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tml_ros.errors import ConfigError, nearest_name
from tml_ros.replay.golden import Golden, compare, make_golden, read_golden
from tml_ros.replay.report import write_report
from tml_ros.replay.run import ReplayOptions, ReplayResult, read_values, replay
from tml_ros.replay.runlog import RunLog
from tml_ros.wire import INPUT_TYPES

__all__ = ["chosen_options", "progress_of", "run_replay"]


def run_replay(options: argparse.Namespace) -> int:
    """Replay, show what was heard and said, and end with one line of JSON; 1 when it is not what was expected."""
    console = Console(quiet=options.json)
    if options.ignore and options.expect is None:
        raise ConfigError(f"--ignore {options.ignore[0]} is for a comparison; give --expect GOLDEN, too")
    golden = read_golden(options.expect) if options.expect else None
    compare((), (), options.ignore)  # refuses an unknown field before the bag is played
    chosen = replace(
        chosen_options(options, golden), paced=options.paced, out=options.out, pictures=options.out is not None
    )
    with progress_of(options.bag, console) as on_turn:
        if golden is None:
            result = replay(options.bag, chosen, on_turn)
        else:
            got, result = make_golden(options.bag, chosen, on_turn)
    if options.out is not None:
        _write_out(options.out, options.bag, result)
    _show(console, result)
    if golden is None:
        print(json.dumps(result.as_dict(), sort_keys=True))
        return 0
    difference = compare(golden.turns, got.turns, options.ignore)
    verdict = f"[green]as expected by[/green] {escape(str(options.expect))}"
    console.print(escape(str(difference)) if difference else verdict, soft_wrap=True)
    expectation = {"met": difference is None, "first": difference.as_dict() if difference else None}
    print(json.dumps(result.as_dict() | {"expectation": expectation}, sort_keys=True))
    return 1 if difference else 0


def chosen_options(options: argparse.Namespace, golden: Golden | None = None) -> ReplayOptions:
    """Return how to play; what the command line does not say is as it was for the golden file, if there is one.

    Raises:
        ConfigError: the parameter file or a topic is wrong.
    """
    before = golden.options if golden else ReplayOptions()
    values = dict(before.values) if options.params is None else read_values(options.params)
    values |= {"model": options.model} if options.model else {}
    return ReplayOptions(
        values=values,
        topics=_topics(options.topic) or before.topics,
        background=options.background or before.background,
    )


@contextmanager
def progress_of(bag: Path, console: Console) -> Iterator[Callable[[RunLog, float], None] | None]:
    """Show how much of a bag is done; give what ``replay`` is to call, None where nothing is shown."""
    if console.quiet:
        yield None
        return
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %")
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
        task = progress.add_task(f"replaying {bag.name}", total=1.0)
        yield lambda log, share: progress.update(task, completed=share)


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
