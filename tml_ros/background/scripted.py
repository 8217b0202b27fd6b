"""A background model that says what a script tells it to, when the script tells it to: a test double for anybody.

A script is YAML: ``tasks`` is a list of ``{match: REGULAR EXPRESSION, updates: [...]}``, and each update has
``after_s`` (since the update before it) and one of ``progress``, ``partial``, ``result``, ``failure``, ``hang: true``.
It reasons about nothing.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tml_ros.background.protocol import (
    Cancel,
    ContextPackage,
    Failure,
    Outcome,
    Partial,
    Progress,
    Result,
    Surroundings,
    Update,
)
from tml_ros.config import param
from tml_ros.errors import ConfigError
from tml_ros.records import IntentDraft, TimerDraft
from tml_ros.schema_files import read_yaml

__all__ = ["ScriptedConfig", "ScriptedModel", "read_update"]

_HANG_S = 3600.0


@dataclass(frozen=True, slots=True)
class ScriptedConfig:
    """Where the script is."""

    script: str = param("", "YAML file with the script; empty: every task is answered with its own words")


class ScriptedModel:
    """Answers by the first entry of the script whose expression is found in the task."""

    name = "scripted"
    config_type = ScriptedConfig

    def __init__(self, config: ScriptedConfig = ScriptedConfig(), surroundings: Surroundings | None = None) -> None:
        """Read the script.

        Raises:
            ConfigError: the file is missing or wrong.
        """
        self._tasks = _load(Path(config.script)) if config.script else []

    @classmethod
    def of(cls, *tasks: Mapping[str, Any]) -> "ScriptedModel":
        """Make a model from entries as they stand in a script.

        Raises:
            ConfigError: an entry is wrong.
        """
        model = cls()
        model._tasks = _read(list(tasks), "the script")
        return model

    def run(self, package: ContextPackage, cancel: Cancel) -> Iterator[Update]:
        """Play the updates of the entry that fits; a task that none fits is a failure."""
        if not self._tasks:
            yield Result(f"You said: {package.task}")
            return
        for pattern, updates in self._tasks:
            if pattern.search(package.task):
                yield from _play(updates, cancel)
                return
        yield Failure(Outcome.FAILED, "I do not know how to do that.", f"no entry of the script fits {package.task!r}")

    def close(self) -> None:
        """Do nothing: there is nothing to free."""


def _play(updates: list[tuple[float, Update | None]], cancel: Cancel) -> Iterator[Update]:
    for after_s, update in updates:
        if cancel.wait(after_s):
            return
        if update is None:
            cancel.wait(_HANG_S)
            return
        yield update


def _load(path: Path) -> list[tuple[re.Pattern[str], list[tuple[float, Update | None]]]]:
    content = read_yaml(path, "script")
    if not isinstance(content, Mapping) or not isinstance(content.get("tasks"), list):
        raise ConfigError(f"{path} must hold 'tasks: [...]'")
    return _read(content["tasks"], str(path))


def _read(tasks: list[Any], where: str) -> list[tuple[re.Pattern[str], list[tuple[float, Update | None]]]]:
    read = []
    for number, task in enumerate(tasks):
        try:
            updates = [(float(spec.get("after_s", 0.0)), read_update(spec)) for spec in task["updates"]]
            read.append((re.compile(task.get("match", ""), re.IGNORECASE), updates))
        except (AttributeError, KeyError, TypeError, ValueError, re.error) as err:
            raise ConfigError(f"{where}: tasks.{number} is wrong ({type(err).__name__}: {err})") from err
    return read


def read_update(spec: Mapping[str, Any]) -> Update | None:
    """Return the update that an entry describes, None for ``hang``.

    Raises:
        KeyError, TypeError, ValueError: a field is missing, unknown or of the wrong type.
    """
    (kind,) = set(spec) - {"after_s"}
    body = spec[kind]
    if kind == "hang":
        return None
    if kind == "progress":
        return Progress(**body)
    if kind == "partial":
        return Partial(str(body))
    if kind == "failure":
        return Failure(Outcome[body.get("outcome", "FAILED")], body["report"], body.get("error", ""))
    if kind != "result":
        raise ValueError(f"{kind!r} is no update; use progress, partial, result, failure or hang")
    return Result(
        body["report"],
        body.get("data", {}),
        tuple(IntentDraft(**intent) for intent in body.get("intents", ())),
        tuple(TimerDraft(**timer) for timer in body.get("timers", ())),
        tuple(int(number) for number in body.get("contradicts", ())),
    )
