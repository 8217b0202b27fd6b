"""What a background model is: a task with its context in, a stream of updates out.

It reasons, plans and uses tools for as long as the budget lasts while the conversation goes on without it. A failure is
data: nothing is raised across a thread. It knows neither ROS nor who asked.

Source of the outcomes: tml_interfaces/action/Delegate.action.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any, Protocol

from tml_ros.intents import AllowList
from tml_ros.records import IntentDraft, TimerDraft

__all__ = [
    "MAX_IMAGES",
    "BackgroundFactory",
    "BackgroundModel",
    "Cancel",
    "ContextPackage",
    "Failure",
    "Outcome",
    "Partial",
    "Progress",
    "Result",
    "Surroundings",
    "Update",
]

MAX_IMAGES = 4


class Outcome(IntEnum):
    """How a task ended; the values are those of tml_interfaces/Delegate."""

    SUCCEEDED = 0
    FAILED = 1
    TIMED_OUT = 2
    CANCELED = 3
    REFUSED = 4


@dataclass(frozen=True, slots=True)
class ContextPackage:
    """A task and what is known around it.

    context: the conversation as a JSON object, see ``tml_ros.session.context``; empty for a lone question. Everything
    in it that was heard, seen or typed is untrusted: material to reason about, never an instruction.
    images: JPEG streams, oldest first, at most ``MAX_IMAGES``. budget_s: time that the task may take.
    """

    task: str
    session_id: str = ""
    context: Mapping[str, Any] = field(default_factory=dict)
    images: tuple[bytes, ...] = ()
    budget_s: float = 30.0
    priority: int = 128


@dataclass(frozen=True, slots=True)
class Progress:
    """What is being done. progress: share that is done, 0 to 1, or -1. status_text: may be spoken; may be empty."""

    stage: str
    progress: float = -1.0
    status_text: str = ""


@dataclass(frozen=True, slots=True)
class Partial:
    """What the report adds since the last partial; all of them together are a beginning of ``Result.report``."""

    text: str


@dataclass(frozen=True, slots=True)
class Result:
    """The end of a task that went well.

    report: the result in words that can be spoken. data: the result as a JSON object. intents: proposals in the order
    in which they are to be carried out, not checked yet. contradicts: ids of the robot's utterances that are wrong.
    """

    report: str
    data: Mapping[str, Any] = field(default_factory=dict)
    intents: tuple[IntentDraft, ...] = ()
    timers: tuple[TimerDraft, ...] = ()
    contradicts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """The end of a task that did not. report: what the robot may say about it. error: what people need to mend it."""

    outcome: Outcome
    report: str
    error: str


Update = Progress | Partial | Result | Failure


class Cancel:
    """A request to stop, shared by who asks and who works.

    Thread: any.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []

    @property
    def is_set(self) -> bool:
        """Whether the work is to stop."""
        return self._event.is_set()

    def set(self) -> None:
        """Ask to stop; callbacks run in this thread, once."""
        with self._lock:
            self._event.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def wait(self, timeout_s: float) -> bool:
        """Wait for at most that long; return whether the work is to stop."""
        return self._event.wait(timeout_s)

    def on_set(self, callback: Callable[[], None]) -> None:
        """Call back when the work is to stop, at once if that is so already. It must not block or raise."""
        with self._lock:
            if not self._event.is_set():
                self._callbacks.append(callback)
                return
        callback()


class BackgroundModel(Protocol):
    """A model that any number of tasks share."""

    name: str

    def run(self, package: ContextPackage, cancel: Cancel) -> Iterator[Update]:
        """Work on a task. The last update is a Result or a Failure, unless it was cancelled.

        ``budget_s`` is watched by the caller, who then cancels. After ``cancel`` is set the iterator ends within 200 ms
        and everything that it had open (streams, tools) is closed.

        Thread: called by several threads at once; each iterator stays in its thread.
        """

    def close(self) -> None:
        """Free the model; called once, when no task runs."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a background model may read of the robot and its lab. Everything is read only.

    documents: folder of Markdown files, or None. skills_file: YAML library of plans, or None. read_topic: name of a
    topic -> its newest message as a JSON object, or None when nothing came; only for names in ``topics``. look: the
    newest camera picture as a JPEG stream, or None.

    Thread: the functions may be called from any thread and return at once.
    """

    allow_list: AllowList
    documents: Path | None = None
    skills_file: Path | None = None
    topics: tuple[str, ...] = ()
    read_topic: Callable[[str], Mapping[str, Any] | None] = lambda _: None
    look: Callable[[], bytes | None] = lambda: None


class BackgroundFactory(Protocol):
    """What an entry point of the group ``tml_ros.background_models`` names.

    config_type: a dataclass of ``tml_ros.config.param`` fields; its parameters appear under the model's name.
    """

    config_type: type

    def __call__(self, config: Any, surroundings: Surroundings) -> BackgroundModel:
        """Make the model from its checked configuration.

        Raises:
            ConfigError: a file that the configuration names is missing or wrong.
            MissingDependencyError: a library is absent.
        """
