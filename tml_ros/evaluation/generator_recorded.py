"""Scenarios of recordings: real people who command, cut in, and talk in the background.

The recordings lie in a folder ``speech``, one folder for each data set with a ``labels.csv`` (columns path, transcript,
speaker and split), as docs/scenarios.md says. Without the folder there is nothing to yield. It opens no recording.
"""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tml_ros.evaluation.generator_parts import Parts, monologue, scenario

__all__ = ["recorded_bids", "recorded_talk", "recorded_turns"]

_COMMANDS: Mapping[str, Mapping[str, tuple[str, dict[str, Any]]]] = {
    "gsc_v001_subset": {
        "left": ("__intent_move_by__", {"goal": "left"}),
        "right": ("__intent_move_by__", {"goal": "right"}),
        "go": ("__intent_move_by__", {"goal": "forward"}),
        "stop": ("__intent_stop_activity__", {}),
    },
    "rosfeiyu_commands": {
        "left": ("__intent_move_by__", {"goal": "left"}),
        "front": ("__intent_move_by__", {"goal": "forward"}),
        "stop": ("__intent_stop_activity__", {}),
    },
}
_BIDS = {"gsc_v001_subset": ("go", "left", "right", "stop"), "an4_nemo_subset": ("stop", "help", "go")}
_TALK = "librispeech_snips"


def recorded_turns(parts: Parts) -> Iterator[dict[str, Any]]:
    """Yield real people who say one command each: it is understood and answered."""
    choices = [
        (one, words[one["transcript"]]) for name, words in _COMMANDS.items() for one in _rows(parts, name, words)
    ]
    for row, (intent, data) in _drawn(parts, choices):
        command = {"name": "command", "file": row["file"], "at_s": parts.place_s()}
        proposal = {"name": intent, "data": data}
        expect = [{"name": "understands it", "intent": proposal, "after": "command.start", "within_ms": 4000}]
        yield scenario(parts, row["name"], 6.0, [command], expect, tags=_tags(row))


def recorded_bids(parts: Parts) -> Iterator[dict[str, Any]]:
    """Yield real people who cut in with a word."""
    choices = [one for name, words in _BIDS.items() for one in _rows(parts, name, words)]
    for row in _drawn(parts, choices):
        asked, more = monologue()
        when = {"event": "robot_speaks", "delay_s": parts.between(3.0, 6.0)}
        bid = {"name": "bid", "file": row["file"], "send_after": when}
        expect = [
            {"name": "falls silent", "stops": True, "after": "bid.start", "within_ms": 700, "hit": "stopped"},
            {
                "name": "is silent soon",
                "stops": True,
                "after": "bid.start",
                "within_ms": 2000,
                "latency": "stop_latency_s",
            },
        ]
        yield scenario(parts, row["name"], 12.0, [asked, bid], expect, tags=_tags(row), **more)


def recorded_talk(parts: Parts) -> Iterator[dict[str, Any]]:
    """Yield real people who read aloud in the background of a silent robot."""
    for row in _drawn(parts, _rows(parts, _TALK, None)):
        talk = {"name": "talk", "file": row["file"], "at_s": parts.place_s(0.3), "gain_db": -18.0}
        expect = [{"name": "stays out of it", "listens": True, "after": "talk.start", "between": [0.0, 10.0]}]
        yield scenario(parts, row["name"], 12.0, [talk], expect, tags=_tags(row))


def _rows(parts: Parts, name: str, words: Any) -> list[dict[str, str]]:
    """Return the recordings of a data set with their path below the data; words None: of everything."""
    labels = Path("speech", name, "labels.csv")
    if parts.data is None or not (parts.data / labels).is_file():
        return []
    with (parts.data / labels).open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if words is None or row["transcript"] in words]
    found = {"data": name}
    return [
        row | found | {"file": str(labels.parent / row["path"]), "name": f"{name} {Path(row['path']).stem}"}
        for row in rows
        if row["split"] == "dev"
    ]


def _drawn(parts: Parts, choices: list[Any]) -> Iterator[Any]:
    return (choices[place] for place in parts.rng.permutation(len(choices)))


def _tags(row: Mapping[str, str]) -> dict[str, str]:
    return {"data": row["data"], "speaker": row["speaker"], "word": row["transcript"], "voice": "recorded"}
