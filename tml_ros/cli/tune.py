"""``tml train --from CHECKPOINT --bags DIR``: teach a checkpoint what was labelled, and write the adapter.

torch is imported only when it runs: it takes seconds, and not every machine has it.
"""

import argparse
import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from tml_ros.cli.label import table_of
from tml_ros.errors import ConfigError, InputError, MissingDependencyError
from tml_ros.intents import Grammar, load_intents
from tml_ros.intents.labels import read_labels
from tml_ros.replay.labelling import hear
from tml_ros.resources import locate

__all__ = ["tune"]

_SUFFIX = ".labels.csv"


def tune(options: argparse.Namespace) -> int:
    """Train the adapter and end with one line of JSON.

    Raises:
        ConfigError: an option is missing or wrong.
        InputError: there are no labels, or one is wrong.
        BagError: a bag that has labels is missing or damaged.
        ModelError: the checkpoint cannot be used.
        MissingDependencyError: torch is not installed.
    """
    if options.bags is None or options.start_from is None:
        raise ConfigError("teaching takes --from CHECKPOINT and --bags DIR; without them name a training file")
    lessons, tuning = (_module(name) for name in ("lessons", "tuning"))
    out = options.out or Path(f"{options.bags.name or 'lab'}.safetensors")
    corpus = tuning.rehearsal_corpus(options.corpus or out.with_name(f"{out.stem}.rehearsal"))
    grammar = Grammar(load_intents(locate(options.intents) if options.intents else None))
    made = lessons.Lessons(_recordings(options.bags, lessons), corpus, grammar)
    given = {"threads": options.threads, "seconds": options.seconds}
    settings = tuning.Tuning(**{name: value for name, value in given.items() if value is not None})
    if options.steps is not None:
        courses = {name: replace(getattr(settings, name), steps=options.steps) for name in ("spelling", "answering")}
        settings = replace(settings, **courses)
    say = (lambda line: None) if options.json else (lambda line: print(line, flush=True))
    done = tuning.tune(options.start_from, made, out, settings, say)
    facts = {"adapter": str(done.adapter), "bytes": done.adapter.stat().st_size, "teaches": made.texts}
    print(json.dumps(facts | {"steps": done.steps, "seconds": done.seconds}))
    return 0


def _recordings(folder: Path, lessons: Any) -> list[Any]:
    """Return every bag of a folder that has a table of labels beside it."""
    found = []
    for table in sorted(folder.glob(f"*{_SUFFIX}")):
        bag = table.with_name(table.name.removesuffix(_SUFFIX))
        heard = hear(bag, {"model": "silence"}, {})
        found.append(lessons.Recording(bag.name, heard.audio, tuple(read_labels(table))))
    if not found:
        raise InputError(f"no {table_of(Path('BAG')).name} in {folder}; label each bag there with tml label BAG")
    return found


def _module(name: str) -> Any:
    try:
        return import_module(f"tml_ros.training.{name}")
    except ModuleNotFoundError as err:
        raise MissingDependencyError(f"{err.name} is not installed, training needs it; pip install it") from err
