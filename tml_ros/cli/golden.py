"""``tml golden``: write down what a bag gives."""

import argparse
import json

from rich.console import Console
from rich.markup import escape

from tml_ros.cli.replay import chosen_options, progress_of
from tml_ros.replay.golden import golden_path, make_golden

__all__ = ["run_golden"]


def run_golden(options: argparse.Namespace) -> int:
    """Replay, write the file, and end with one line of JSON."""
    console = Console(quiet=options.json)
    path = options.out or golden_path(options.bag)
    with progress_of(options.bag, console) as on_turn:
        golden, result = make_golden(options.bag, chosen_options(options), on_turn)
    golden.write(path)
    console.print(f"{len(golden.turns)} micro-turns of {escape(result.model)} in {escape(str(path))}", soft_wrap=True)
    print(json.dumps({"golden": str(path), "micro_turns": len(golden.turns), "model": result.model}, sort_keys=True))
    return 0
