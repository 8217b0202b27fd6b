"""``tml bag play``: a bag on real topics."""

import argparse
import json

from rich.console import Console

from tml_ros.errors import ConfigError
from tml_ros.nodes import environment

__all__ = ["play"]


def play(options: argparse.Namespace) -> int:
    """Publish a bag once, or until interrupted with ``--loop``."""
    if not 0.01 <= options.rate <= 100.0:
        raise ConfigError(f"--rate must lie in 0.01..100, got {options.rate}; 1 is the speed of life")
    environment.require_ros()
    environment.prepare()
    from tml_ros.nodes.bag_player import PlayOptions, play_bag

    chosen = PlayOptions(
        rate=options.rate,
        with_clock=not options.no_clock,
        with_outputs=not options.no_outputs,
        loop=options.loop,
        wait_s=options.wait_for,
        subscribers=options.subscribers,
    )
    console = Console(quiet=options.json, stderr=True)
    with console.status(f"playing {options.bag.name} at {options.rate:g}x"):
        played = play_bag(options.bag, chosen)
    print(json.dumps(played))
    return 0
