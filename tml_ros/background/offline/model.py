"""The background model that needs no network and no weights: small, quick and predictable.

It tries in turn: a timer, arithmetic, a unit conversion, a plan from the library of skills, the documents. What none
of them can answer it does not know, and says so. Intents come from the library of skills alone; what a person or a
document says is only ever matched, quoted or searched.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tml_ros.background.documents import DocumentIndex
from tml_ros.background.offline.amounts import plain
from tml_ros.background.offline.answers import answer_result
from tml_ros.background.offline.arithmetic import arithmetic_result
from tml_ros.background.offline.config import OfflineConfig
from tml_ros.background.offline.skills import SkillLibrary
from tml_ros.background.offline.skills_file import load_skills
from tml_ros.background.offline.timers import timer_result
from tml_ros.background.offline.units import Converter
from tml_ros.background.protocol import Cancel, ContextPackage, Progress, Result, Surroundings, Update

__all__ = ["MAX_TASK_CHARACTERS", "OfflineModel"]

MAX_TASK_CHARACTERS = 1_000
"""What is longer is cut: nobody asks like that, and the time for an answer must stay bounded."""

_ADDRESS = re.compile(r"^\s*(?:(?:hey|hi|hello|okay|ok)\W+)?robot\b\W*", re.IGNORECASE)
_UNKNOWN = "I found nothing about that in my documents."


class OfflineModel:
    """Answers from rules, a library of skills and documents, in milliseconds.

    Thread: any.
    """

    name = "offline"
    config_type = OfflineConfig

    def __init__(self, config: OfflineConfig, surroundings: Surroundings) -> None:
        """Read the documents and the skills.

        Raises:
            ConfigError: a document or the skills file is missing or wrong.
        """
        self._config = config
        self._converter = Converter()
        self._documents = None if surroundings.documents is None else DocumentIndex(surroundings.documents)
        self._skills: SkillLibrary | None = None
        if surroundings.skills_file is not None:
            self._skills = SkillLibrary(load_skills(surroundings.skills_file), surroundings.allow_list)

    def run(self, package: ContextPackage, cancel: Cancel) -> Iterator[Update]:
        """Answer a task; the end is always a Result, unless it was cancelled."""
        yield Progress("search")
        task = _ADDRESS.sub("", package.task[:MAX_TASK_CHARACTERS])
        words = plain(task)
        attempts: tuple[Callable[[], Result | None], ...] = (
            lambda: timer_result(words),
            lambda: arithmetic_result(words),
            lambda: self._converter.result(words),
            lambda: self._plan(task, package.context),
            lambda: self._answer(task),
        )
        for attempt in attempts:
            if cancel.is_set:
                return
            result = attempt()
            if result is not None:
                yield result
                return
        yield Result(_UNKNOWN, {"kind": "unknown"})

    def _plan(self, task: str, context: Mapping[str, Any]) -> Result | None:
        return None if self._skills is None else self._skills.result(task, context)

    def _answer(self, task: str) -> Result | None:
        return None if self._documents is None else answer_result(task, self._documents, self._config)

    def close(self) -> None:
        """Do nothing: there is nothing to free."""
