"""``tml train``: train a native model as a file says, with progress, and end with one line of JSON.

torch is imported only when it runs: it takes seconds, and not every machine has it.
"""

import argparse
import json
from importlib import import_module
from pathlib import Path
from typing import Any

from tml_ros.cli.tune import tune
from tml_ros.errors import ConfigError, MissingDependencyError

__all__ = ["train"]

_OUT = Path("tml_train")


def train(options: argparse.Namespace) -> int:
    """Train to the end, or for a slice of time; with ``--bags``, teach a checkpoint (``tune``).

    Raises:
        ConfigError: the training file is wrong, or another one than the training was begun with.
        ModelError: the preset cannot be used, the folder is in the way, or training failed.
        MissingDependencyError: torch is not installed.
    """
    if options.bags is not None or options.start_from is not None:
        return tune(options)
    if options.config is None:
        raise ConfigError("name a training file, such as tiny; or teach a checkpoint with --from and --bags")
    parallel, trainer, settings = (_module(name) for name in ("parallel", "trainer", "settings"))
    loaded = settings.load_settings(options.config, corpus=options.corpus, threads=options.threads)
    say = (lambda line: None) if options.json else _say
    with parallel.joined(options.device) as place:
        outcome = trainer.Trainer(loaded, options.out or _OUT, place, say).run(
            resume=options.resume, seconds=options.seconds
        )
    if place.is_first:
        print(json.dumps(_as_dict(outcome), sort_keys=True))
    return 0


def _as_dict(outcome: Any) -> dict[str, Any]:
    return {
        "step": outcome.step,
        "steps": outcome.steps,
        "seconds": round(outcome.seconds, 1),
        "checkpoint": None if outcome.checkpoint is None else str(outcome.checkpoint),
        **outcome.figures,
    }


def _say(line: str) -> None:
    print(line, flush=True)


def _module(name: str) -> Any:
    try:
        return import_module(f"tml_ros.training.{name}")
    except ModuleNotFoundError as err:
        raise MissingDependencyError(f"{err.name} is not installed, training needs it; pip install it") from err
