"""What should have been said or done in a recording, as a table that a person can correct: one line a turn.

CSV with the columns start_s, end_s (of the person's voice, seconds since the recording began), said (the words),
intent, data (JSON), reply (what the robot should say) and task (what it should hand on). A line with times alone says
that nothing should follow. It knows neither bags nor models.
"""

import csv
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tml_ros.errors import InputError
from tml_ros.intents.grammar import Grammar

__all__ = ["Label", "answered", "read_labels", "write_labels"]

COLUMNS = ("start_s", "end_s", "said", "intent", "data", "reply", "task")


@dataclass(frozen=True, slots=True)
class Label:
    """One turn of a person, and what should follow from it."""

    start_s: float
    end_s: float
    said: str = ""
    intent: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    reply: str = ""
    task: str = ""


def answered(label: Label, grammar: Grammar) -> Label:
    """Return a label with what follows from its words by a grammar; as it is when they have no meaning there."""
    meaning = grammar.parse(label.said)
    if meaning is None:
        return label
    return replace(label, intent=meaning.intent, data=meaning.data, reply=meaning.reply, task=meaning.delegate)


def write_labels(path: Path, labels: Iterable[Label]) -> None:
    """Write a table.

    Raises:
        InputError: it cannot be written.
    """
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for one in labels:
                data = json.dumps(dict(one.data), sort_keys=True) if one.data else ""
                row = (f"{one.start_s:.2f}", f"{one.end_s:.2f}", one.said, one.intent, data, one.reply, one.task)
                writer.writerow(row)
    except OSError as err:
        raise InputError(f"cannot write the labels {path}: {err}") from err


def read_labels(path: Path) -> list[Label]:
    """Read a table.

    Raises:
        InputError: it is missing or has other columns, or a line is wrong; names file, line and what was expected.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if missing := set(COLUMNS) - set(reader.fieldnames or ()):
                raise InputError(f"{path} lacks the column {min(missing)}; expected {', '.join(COLUMNS)}")
            return [_label(path, reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as err:
        raise InputError(f"cannot read the labels {path}: {err}; make them with tml label BAG") from err


def _label(path: Path, line: int, row: Mapping[str, str | None]) -> Label:
    text = {name: (row[name] or "").strip() for name in COLUMNS}
    try:
        start_s, end_s = float(text["start_s"]), float(text["end_s"])
        data = json.loads(text["data"] or "{}")
    except ValueError as err:
        raise InputError(f"{path}:{line}: {err}; expected seconds in start_s and end_s, JSON in data") from err
    if not (0.0 <= start_s < end_s and math.isfinite(end_s)):
        raise InputError(f"{path}:{line}: expected 0 <= start_s < end_s, got {start_s:g} and {end_s:g}; correct them")
    if not isinstance(data, dict):
        raise InputError(f'{path}:{line}: data must be a JSON object such as {{"goal": "left"}}, got {text["data"]!r}')
    return Label(start_s, end_s, text["said"], text["intent"], data, text["reply"], text["task"])
