"""``tml timers``: what waits and runs on a robot's clock, and setting it, through the services of its node."""

import argparse
import json

from rich.console import Console
from rich.table import Table

from tml_ros.errors import ConfigError
from tml_ros.intents.durations import match_duration, say_duration
from tml_ros.nodes import environment

__all__ = ["timers"]

_COMMANDS = {"start": 0, "stop": 1, "watch": 2}


def timers(options: argparse.Namespace) -> int:
    """Do what is asked; 0 when it was done, 1 otherwise.

    Raises:
        ConfigError: a length of time cannot be read.
        TmlError: no robot answers.
    """
    environment.require_ros()
    from tml_ros.nodes.time_client import TimeClient

    with TimeClient(options.namespace) as client:
        if options.action == "list":
            return _show(client.times(), as_json=options.json)
        if options.action == "set":
            answer = client.set_timer(options.name, _seconds(options.after), repeats=options.every, text=options.say)
        elif options.action == "cancel":
            answer = client.cancel_timers(options.name)
        else:
            limit_s = _seconds(options.longer_than) if options.action == "watch" and options.longer_than else 0.0
            answer = client.time_process(_COMMANDS[options.action], options.name, limit_s)
    success, message = answer
    print(json.dumps({"success": success, "message": message}) if options.json else message)
    return 0 if success else 1


def _seconds(text: str) -> float:
    """Read a length of time: a number of seconds, or words as they are said or typed.

    Raises:
        ConfigError: it is neither.
    """
    try:
        return float(text)
    except ValueError:
        words = text.lower().split()
        for end, seconds in match_duration(words, 0):
            if end == len(words):
                return seconds
    raise ConfigError(
        f"cannot read the time {text!r}; expected seconds or words such as '4 min' or 'an hour and a half'"
    )


def _show(times: dict[str, list[dict[str, float | str]]], *, as_json: bool) -> int:
    if as_json:
        print(json.dumps(times, sort_keys=True))
        return 0
    waiting = Table("timer", "says", "in", "every")
    for one in times["timers"]:
        every = say_duration(float(one["repeat_s"])) if one["repeat_s"] else ""
        waiting.add_row(str(one["name"]), str(one["text"]), say_duration(float(one["left_s"])), every)
    running = Table("process", "for", "limit", "the last one")
    for one in times["processes"]:
        spans = (say_duration(float(one[key])) if one[key] else "" for key in ("elapsed_s", "limit_s", "last_s"))
        running.add_row(str(one["name"]), *spans)
    console = Console(highlight=False)
    console.print(waiting)
    console.print(running)
    return 0
