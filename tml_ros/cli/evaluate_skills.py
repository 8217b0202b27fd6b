"""``tml eval FOLDER`` of a checkpoint: what it can do, skill by skill, with the cascade and the baselines beside it."""

import argparse
import json
import os
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tml_ros.errors import ConfigError
from tml_ros.evaluation.runner import ModelSpec
from tml_ros.evaluation.skills import SkillRun, find_material, run_skills
from tml_ros.evaluation.skills.run import pick_items
from tml_ros.resources import locate

__all__ = ["checkpoint_folder", "evaluate_skills"]

_BESIDE = ("cascade", "silence", "always_talk")
_CONFIG = "config.yaml"


def checkpoint_folder(name: str) -> Path | None:
    """Return the folder of a checkpoint, given or shipped (``models/micro``); None if a name is something else."""
    try:
        folder = locate(name) if os.sep in name else Path(name)
    except ConfigError:
        return None
    return folder if (folder / _CONFIG).is_file() else None


def evaluate_skills(checkpoint: Path, options: argparse.Namespace, values: dict[str, Any]) -> int:
    """Measure the skills of a checkpoint and end with one line of JSON; 1 when a figure is below what is wanted.

    Raises:
        ConfigError: an option cannot be used.
        InputError: the recordings are absent or empty.
        ModelError: the checkpoint cannot be used.
    """
    began = time.monotonic()
    run = _run_of(checkpoint, options, values)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, transient=True, console=Console(stderr=True))
    with bar if not options.json else nullcontext():
        task = bar.add_task("pieces", total=None)
        figures = run_skills(run, lambda done, every: bar.update(task, completed=done, total=every))
    line = _facts(options, run, time.monotonic() - began) | figures
    if not options.json:
        Console().print(_table(figures))
    print(json.dumps(line))
    return 0 if all(one["met"] for one in figures.values()) else 1


def _run_of(checkpoint: Path, options: argparse.Namespace, values: dict[str, Any]) -> SkillRun:
    if len(options.suites) > 1:
        raise ConfigError(f"a checkpoint is evaluated alone, got {' '.join(options.suites)}; leave the others out")
    workers = len(os.sched_getaffinity(0)) if options.workers is None else options.workers
    if workers < 1:
        raise ConfigError(f"--workers must be at least 1, got {workers}")
    if options.limit is not None and options.limit < 1:
        raise ConfigError(f"--limit must be at least 1, got {options.limit}")
    material = find_material(options.speech, options.dialogue, options.video, options.split, options.limit)
    native = ModelSpec("native", "native", {**values, "native.checkpoint": str(checkpoint.absolute())})
    known = {name: ModelSpec(name, name, values) for name in _BESIDE} | {"native": native}
    names = options.model or (["native"] if options.no_baselines else ["native", *_BESIDE])
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(f"--model {unknown[0]!r}: beside a checkpoint stand {', '.join(known)}")
    specs = tuple(replace(known[name], values=_own(known[name])) for name in dict.fromkeys(names))
    return SkillRun(material, specs, pick_items(options.only), workers)


def _own(spec: ModelSpec) -> dict[str, Any]:
    """Return the values that concern a model: those of no other one."""
    others = {*_BESIDE, "native"} - {spec.model}
    return {name: value for name, value in spec.values.items() if name.partition(".")[0] not in others}


def _facts(options: argparse.Namespace, run: SkillRun, wall_s: float) -> dict[str, Any]:
    return {
        "checkpoint": options.suites[0],
        "speech": str(run.material.speech),
        "split": run.material.split,
        "limit": run.material.limit,
        "wall_s": round(wall_s, 1),
    }


def _table(figures: dict[str, Any]) -> Table:
    table = Table("item", "model", "hits", "trials", "figure", "and", title="skills", title_justify="left")
    for name, item in figures.items():
        models = {item["model"]: item} | {label: item[label] for label in _BESIDE if label in item}
        for label, one in models.items():
            figure = "-" if one["figure"] is None else f"{one['figure']:.3g}"
            table.add_row(name, label, f"{one['hits']}", f"{one['trials']}", figure, _more(one))
    return table


def _more(one: dict[str, Any]) -> str:
    """Return the second figure of an item, where there is one."""
    for key, text in (("pauses", "taken in pauses"), ("back_channels", "back-channels let pass")):
        if key in one:
            return f"{text}: {one[key]['hits']} of {one[key]['trials']}"
    return f"false in 10 min: {one['false_per_10_min']}" if "false_per_10_min" in one else ""
