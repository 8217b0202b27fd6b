"""``tml eval``: suites of scenarios with any models side by side, one folder of results, one verdict."""

import argparse
import json
import os
import shlex
import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import yaml
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tml_ros.cli.evaluate_skills import checkpoint_folder, evaluate_skills
from tml_ros.duplex.registry import available_models
from tml_ros.errors import ConfigError
from tml_ros.evaluation.campaign import BASELINES, Campaign, Outcome, execute, pick_models, pick_suites
from tml_ros.evaluation.comparison import RunComparison, compare_runs
from tml_ros.evaluation.ray_engine import RayEngine
from tml_ros.evaluation.report import render_report
from tml_ros.evaluation.report_markdown import render_markdown
from tml_ros.evaluation.results import ScenarioResult
from tml_ros.evaluation.runner import ModelSpec
from tml_ros.evaluation.scenario import find_suite, load_suite, shipped_suites
from tml_ros.evaluation.store import Store, read_results, write_whole
from tml_ros.evaluation.workers import Engine, LocalEngine
from tml_ros.replay.figures import printable
from tml_ros.session.build import read_config

__all__ = ["evaluate"]

_SHOWN_FAILURES = 20


def evaluate(options: argparse.Namespace) -> int:
    """Run the suites, write the folder, and end with one line of JSON; 1 when a threshold was missed.

    The folder of a checkpoint is no suite: ``evaluate_skills``.

    Raises:
        ConfigError: a suite, a model, a parameter or the folder cannot be used.
        InputError: the earlier run has no verdicts.
        MissingDependencyError: Ray is asked for and not installed.
    """
    checkpoint = checkpoint_folder(options.suites[0])
    if checkpoint is not None:
        return evaluate_skills(checkpoint, options, _values(options.set))
    began = time.monotonic()
    campaign = _campaign(options)
    before = read_results(options.against) if options.against else None  # it may lie where this run is written
    engine = _engine(options)
    store = Store(options.out, campaign.asked(), resume=options.resume)
    outcome = _run(campaign, engine, store, quiet=options.json)
    comparison = None if before is None else compare_runs(before, outcome.results, campaign.labels)
    line = outcome.as_dict() | _facts(store, outcome, comparison, time.monotonic() - began)
    _write(options, store, outcome, comparison)
    store.write("summary.json", json.dumps(line, indent=2, sort_keys=True) + "\n")
    if not options.json:
        _show(Console(), store, outcome, comparison)
    print(json.dumps(line, sort_keys=True))
    return 0 if outcome.is_good else 1


def _campaign(options: argparse.Namespace) -> Campaign:
    values = _values(options.set)
    names = pick_models(options.model or ["cascade"], available_models())
    known = available_models()
    beside = [one for one in BASELINES if one in known and one not in names and not options.no_baselines]
    for name in names:
        read_config({**values, "model": name})  # a wrong parameter is better told before the run than by every scenario
    suites = [load_suite(find_suite(one), options.data) for one in pick_suites(options.suites, shipped_suites())]
    return Campaign(
        suites=tuple(suites),
        models=tuple(ModelSpec(name, name, values) for name in names),
        baselines=tuple(ModelSpec(name, name, {}) for name in beside),
    )


def _values(pairs: Sequence[str]) -> dict[str, Any]:
    values = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not name or not equals or name == "model":
            raise ConfigError(f"--set {pair!r} must be NAME=VALUE, such as cascade.vad_on=0.6")
        try:
            values[name] = yaml.safe_load(text)
        except yaml.YAMLError as err:
            raise ConfigError(f"--set {pair!r}: {text!r} is no YAML value ({err}); put it in quotes") from err
    return values


def _engine(options: argparse.Namespace) -> Engine:
    workers = len(os.sched_getaffinity(0)) if options.workers is None else options.workers
    if workers < 1:
        raise ConfigError(f"--workers must be at least 1, got {workers}")
    if options.engine == "ray":
        return RayEngine(workers, os.environ.get("RAY_ADDRESS"))
    return LocalEngine(workers)


def _run(campaign: Campaign, engine: Engine, store: Store, *, quiet: bool) -> Outcome:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    progress = Progress(*columns, transient=True)
    with progress if not quiet else nullcontext():
        left = len(campaign.jobs(store.done))
        task = progress.add_task("scenarios", total=left + len(store.done), completed=len(store.done))
        return execute(campaign, engine, store, lambda finished: progress.advance(task))


def _facts(store: Store, outcome: Outcome, comparison: RunComparison | None, wall_s: float) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "out": str(store.folder),
        "scenarios": len(outcome.results),
        "audio_s": round(sum(one.seconds for one in outcome.results), 1),
        "wall_s": round(wall_s, 1),
    }
    return facts | ({} if comparison is None else {"against": comparison.as_dict()})


def _write(options: argparse.Namespace, store: Store, outcome: Outcome, comparison: RunComparison | None) -> None:
    tables = render_markdown(outcome, comparison, _command(options))
    store.write("results.md", tables)
    if options.markdown is not None:
        options.markdown.parent.mkdir(parents=True, exist_ok=True)
        write_whole(options.markdown, tables)
    store.write("report.html", render_report(outcome, comparison, store))


def _command(options: argparse.Namespace) -> str:
    """Return what makes the same tables again."""
    words = ["tml", "eval", *options.suites]
    words += [word for one in options.model or ["cascade"] for word in ("--model", one)]
    words += [word for one in options.set for word in ("--set", one)]
    words += ["--no-baselines"] if options.no_baselines else []
    words += ["--data", str(options.data)] if options.data else []
    words += ["--markdown", str(options.markdown)] if options.markdown else []
    return shlex.join(words)


# ------------------------------------------------------------------------------------------------------ on the screen


def _show(console: Console, store: Store, outcome: Outcome, comparison: RunComparison | None) -> None:
    console.print(_overview(outcome))
    failures = outcome.failures()
    for one, more in failures[:_SHOWN_FAILURES]:
        others = f" (and {more} more like it)" if more else ""
        text = f"{one.verdict.value}{others} {one.suite}/{one.scenario} {one.model}: {_reason(one)}"
        console.print(printable(text), markup=False, highlight=False)
    if len(failures) > _SHOWN_FAILURES:
        console.print(f"and {len(failures) - _SHOWN_FAILURES} more, see the report")
    for ruling in outcome.rulings:
        if not ruling.met:
            found = "has no trial" if ruling.figure.value is None else f"is {ruling.figure.value:.4g}"
            what = f"{ruling.suite}, {ruling.model}: {ruling.measure} {found}, wanted {ruling.limit}"
            console.print(f"[red]missed[/red] {escape(what)}")
    if comparison is not None:
        _show_comparison(console, comparison)
    console.print(f"report: {store.folder / 'report.html'}", markup=False, highlight=False)


def _overview(outcome: Outcome) -> Table:
    table = Table("suite", *outcome.campaign.labels, title="scenarios that passed", title_justify="left")
    for suite in outcome.campaign.suites:
        cells = (outcome.figures[suite.name, label].get("passed") for label in outcome.campaign.labels)
        table.add_row(suite.name, *("-" if one is None else f"{one.hits} of {one.trials}" for one in cells))
    return table


def _reason(result: ScenarioResult) -> str:
    return result.error or "; ".join(f"{check.name}: {check.detail}" for check in result.checks if not check.passed)


def _show_comparison(console: Console, comparison: RunComparison) -> None:
    changed = [one for one in comparison.changes if one.is_change]
    title = "against the earlier run; in brackets: may be chance"
    table = Table("model", "measure", "before", "now", "", "p, corrected", title=title, title_justify="left")
    for one in changed:
        mark = one.direction.value if one.is_significant else f"({one.direction.value})"
        figures = (one.before.value, one.after.value, one.corrected_p)
        before, after, p = ("-" if value is None else f"{value:.3g}" for value in figures)
        table.add_row(one.model, one.measure.name, before, after, mark, p)
    console.print(table if changed else "no measure differs from the earlier run")
