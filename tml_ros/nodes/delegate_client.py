"""The live background port: a session's tasks to the action server ``delegate``, and its news back.

A session asks in the engine's thread, pictures are encoded in a thread of this client, and ROS is called in the
executor's thread by a steady timer: an answer to a goal that another thread sends can come before rclpy expects it.
Whatever happens to the server, every task that was not withdrawn ends with a Result or a Failure.

It knows nothing about conversations.
"""

import functools
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from action_msgs.msg import GoalStatus
from rclpy.action import ActionClient
from rclpy.node import Node

from tml_interfaces.action import Delegate
from tml_ros.background import (
    DelegationRequest,
    DelegationUpdate,
    Failure,
    Outcome,
    Partial,
    Progress,
    Result,
    Update,
    spoken,
)
from tml_ros.nodes.clock import NodeClock, steady_timer
from tml_ros.nodes.delegate_messages import from_feedback, from_result, to_goal
from tml_ros.nodes.qos import ACTION_CLIENT_QOS

__all__ = ["DelegateClient"]

_PERIOD_S = 0.02
_AVAILABLE_EVERY_S = 0.2
_MATCH_TIMEOUT_S = 1.0
_ACCEPT_TIMEOUT_S = 2.0
_SILENCE_TIMEOUT_S = 3.0
_BUDGET_GRACE_S = 2.0
_STALL_S = 0.2
_log = logging.getLogger(__name__)

_STOPPED_WORKING = "Sorry, the part of me that looks things up stopped working."
_NOBODY = Failure(
    Outcome.FAILED,
    spoken.NOBODY,
    "no action server 'delegate' is there: the background node is not running or not active; start it with "
    "`ros2 run tml_ros background`, in the same namespace",
)
_NO_ANSWER = Failure(
    Outcome.FAILED,
    spoken.NOBODY,
    f"the background node did not answer a goal within {_ACCEPT_TIMEOUT_S:g} s; look whether it hangs, or restart it",
)
_REJECTED = Failure(
    Outcome.REFUSED,
    spoken.NOT_NOW,
    "the background node rejected the goal: it is not active; activate it and ask again",
)
_SILENT = Failure(
    Outcome.FAILED,
    _STOPPED_WORKING,
    f"no sign of life from the background node for {_SILENCE_TIMEOUT_S:g} s; look whether it died, and restart it",
)
_LOST = Failure(
    Outcome.FAILED,
    _STOPPED_WORKING,
    "the background node does not know the goal any more; it was restarted meanwhile",
)
_STOPPED = "I had to stop looking into that."


class _Stage(Enum):
    PREPARED = auto()
    SENT = auto()
    ACCEPTED = auto()
    OVER = auto()


@dataclass(eq=False, slots=True)
class _Task:
    """One task. since_s: when the stage began, or the last sign of life of an accepted one. Thread: the executor's.

    is_withdrawn is set by the engine's thread, prepared by the encoder's: a goal, or what it failed with.
    """

    delegation_id: str
    budget_s: float
    since_s: float
    stage: _Stage = _Stage.PREPARED
    prepared: Any = None
    is_withdrawn: bool = False
    accepted_s: float = 0.0
    handle: Any = None


@dataclass(slots=True)
class _News:
    """What came of one task since the engine last asked."""

    progress: Progress | None = None
    partials: list[str] = field(default_factory=list)
    end: Result | Failure | None = None

    def add(self, update: Update) -> None:
        """Take in an update; a progress replaces the one before it, partials are joined."""
        if isinstance(update, Progress):
            self.progress = update
        elif isinstance(update, Partial):
            self.partials.append(update.text)
        else:
            self.end = update

    def updates(self) -> list[Update]:
        """Return at most one update of each kind, the end last."""
        partial = Partial("".join(self.partials)) if self.partials else None
        return [update for update in (self.progress, partial, self.end) if update is not None]


class DelegateClient:
    """Implements ``tml_ros.background.BackgroundPort``. Make one for the life of a node and close it meanwhile.

    The ROS client in it stays as long as the node: an EventsExecutor of rclpy 9.1 crashes or falls silent when one goes
    while messages for it come in.

    Thread: ``start``, ``cancel``, ``updates`` and ``is_available`` any, they never wait; the rest the executor's.
    """

    def __init__(self, node: Node, clock: NodeClock) -> None:
        self._node = node
        self._clock = clock
        self._lock = threading.Lock()
        self._tasks: dict[str, _Task] = {}
        self._news: dict[str, _News] = {}
        self._is_closed = False
        self._is_available = False
        self._next_look_s = 0.0
        self._last_tick_s = self._now_s()
        self._encoder = ThreadPoolExecutor(1, thread_name_prefix="tml-delegate")
        self._client = ActionClient(node, Delegate, "delegate", **ACTION_CLIENT_QOS)
        steady_timer(node, _PERIOD_S, self._tick)

    # ----------------------------------------------------------------------------------------- engine's side

    @property
    def is_available(self) -> bool:
        """Whether an action server was matched when it was last looked, at most 0.2 s ago."""
        return self._is_available

    def start(self, request: DelegationRequest, now_ns: int) -> None:
        """Send a task; what goes wrong comes back as a Failure."""
        task = _Task(request.delegation_id, request.package.budget_s, self._now_s())
        with self._lock:
            if self._is_closed:
                return
            self._tasks[task.delegation_id] = task
            self._news.pop(task.delegation_id, None)
            self._encoder.submit(_prepare, task, request)

    def cancel(self, delegation_id: str) -> None:
        """Withdraw a task; nothing comes of it any more."""
        with self._lock:
            self._news.pop(delegation_id, None)
            task = self._tasks.get(delegation_id)
            if task is not None:
                task.is_withdrawn = True

    def updates(self, now_ns: int) -> tuple[DelegationUpdate, ...]:
        """Return what has come since the last call: of each task at most a progress, a partial and the end."""
        with self._lock:
            news, self._news = self._news, {}
        return tuple(
            DelegationUpdate(delegation_id, now_ns, update)
            for delegation_id, one in news.items()
            for update in one.updates()
        )

    # ---------------------------------------------------------------------------------------- executor's side

    def open(self) -> None:
        """Take tasks again after ``close``; a new client is open."""
        with self._lock:
            self._is_closed = False

    def close(self) -> None:
        """Withdraw every task and take none; nothing comes any more."""
        with self._lock:
            self._is_closed = True
            tasks, self._tasks, self._news = list(self._tasks.values()), {}, {}
        for task in tasks:
            self._withdraw(task)

    def _now_s(self) -> float:
        return self._clock.monotonic_ns() * 1e-9

    def _tick(self) -> None:
        now_s = self._now_s()
        stalled_s = now_s - self._last_tick_s - _PERIOD_S
        self._last_tick_s = now_s
        with self._lock:
            tasks = list(self._tasks.values())
        if tasks or now_s >= self._next_look_s:
            self._is_available = self._client.server_is_ready()
            self._next_look_s = now_s + _AVAILABLE_EVERY_S
        for task in tasks:
            if stalled_s > _STALL_S:
                task.since_s += stalled_s  # this process stood still: messages may wait that were not read yet
            self._advance(task, now_s)

    def _advance(self, task: _Task, now_s: float) -> None:
        """Take a task one step on, or give it up when it has waited too long."""
        waited_s = now_s - task.since_s
        if task.is_withdrawn:
            self._finish(task, None)
        elif isinstance(task.prepared, Failure):
            self._finish(task, task.prepared)
        elif task.stage is _Stage.PREPARED and self._is_available:
            if task.prepared is not None:
                self._send(task, now_s)
        elif task.stage is _Stage.PREPARED and waited_s > _MATCH_TIMEOUT_S:
            self._finish(task, _NOBODY)
        elif task.stage is _Stage.SENT and waited_s > _ACCEPT_TIMEOUT_S:
            self._finish(task, _NO_ANSWER)
        elif task.stage is _Stage.ACCEPTED:
            self._watch(task, now_s)

    def _watch(self, task: _Task, now_s: float) -> None:
        if now_s - task.since_s > _SILENCE_TIMEOUT_S:
            self._finish(task, _SILENT)
        elif 0.0 < task.budget_s < now_s - task.accepted_s - _BUDGET_GRACE_S:
            self._finish(task, _over_budget(task.budget_s))

    def _send(self, task: _Task, now_s: float) -> None:
        task.stage, task.since_s = _Stage.SENT, now_s
        try:
            sent = self._client.send_goal_async(task.prepared, functools.partial(self._on_feedback, task))
        except Exception as err:  # field checks and the serialiser raise types of their own
            self._finish(task, _unsendable(err))
            return
        sent.add_done_callback(functools.partial(self._on_response, task))

    def _on_response(self, task: _Task, future: Any) -> None:
        task.handle = future.result()
        if not task.handle.accepted:
            self._finish(task, _REJECTED)
        elif task.stage is _Stage.OVER:
            task.handle.cancel_goal_async()
        else:
            task.stage, task.since_s = _Stage.ACCEPTED, self._now_s()
            task.accepted_s = task.since_s
            task.handle.get_result_async().add_done_callback(functools.partial(self._on_result, task))

    def _on_feedback(self, task: _Task, message: Any) -> None:
        task.since_s = self._now_s()
        for update in from_feedback(message.feedback):
            self._tell(task, update)

    def _on_result(self, task: _Task, future: Any) -> None:
        if task.stage is _Stage.OVER:
            return
        answer = future.result()
        if answer.status == GoalStatus.STATUS_UNKNOWN:
            self._finish(task, _LOST)
            return
        end = from_result(answer.result)
        if isinstance(end, Failure) and end.outcome is Outcome.CANCELED:
            end = Failure(end.outcome, end.report or _STOPPED, end.error)
        task.handle = None  # nothing to withdraw any more
        self._finish(task, end)

    def _finish(self, task: _Task, end: Result | Failure | None) -> None:
        """End a task, for the session and for the server, once."""
        if task.stage is _Stage.OVER:
            return
        if end is not None:
            self._tell(task, end)
        with self._lock:
            if self._tasks.get(task.delegation_id) is task:
                del self._tasks[task.delegation_id]
        self._withdraw(task)

    def _withdraw(self, task: _Task) -> None:
        task.stage = _Stage.OVER
        if task.handle is not None and task.handle.accepted and self._node.context.ok():
            task.handle.cancel_goal_async()

    def _tell(self, task: _Task, update: Update) -> None:
        with self._lock:
            if not task.is_withdrawn and self._tasks.get(task.delegation_id) is task:
                self._news.setdefault(task.delegation_id, _News()).add(update)


def _prepare(task: _Task, request: DelegationRequest) -> None:
    """Encode pictures and context. Thread: the encoder's."""
    try:
        task.prepared = to_goal(request)
    except Exception as err:
        _log.exception("task %r cannot be sent", request.delegation_id)
        task.prepared = _unsendable(err)


def _unsendable(err: Exception) -> Failure:
    reason = f"the task cannot be sent ({type(err).__name__}: {err})"
    return Failure(Outcome.FAILED, "Sorry, I cannot ask about that.", reason)


def _over_budget(budget_s: float) -> Failure:
    return Failure(
        Outcome.TIMED_OUT,
        spoken.TOO_LONG,
        f"no result {_BUDGET_GRACE_S:g} s after the budget of {budget_s:g} s; look whether the background node hangs",
    )
