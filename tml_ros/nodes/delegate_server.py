"""The action server ``delegate`` and the service ``ask`` in front of a background service.

Nothing here waits: tasks run in threads of the service, their updates are queued, and a steady timer works the queue
off in the executor's thread. A callback that awaited a future set by another thread would sleep until something else
happens, for that does not wake the EventsExecutor.

It knows nothing about models. A goal that cannot be taken is accepted and ended at once as REFUSED, because the
rejection of an action goal carries no reason.
"""

import time
from collections import deque
from dataclasses import replace
from typing import Any

from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.node import Node
from rclpy.task import Future

from tml_interfaces.action import Delegate
from tml_interfaces.srv import Ask
from tml_ros.background import BackgroundService, ContextPackage, Failure, Outcome, Result, Update, spoken
from tml_ros.background.service import Job
from tml_ros.errors import InputError
from tml_ros.nodes.clock import steady_timer
from tml_ros.nodes.delegate_messages import from_goal, to_feedback, to_result
from tml_ros.nodes.qos import ACTION_SERVER_QOS

__all__ = ["DelegateServer"]

_PERIOD_S = 0.02
_HEARTBEAT_S = 0.5
_NO_TIMERS = "But no timer runs: I can only remind you while we talk."
_INACTIVE = "the background node is not active; activate it"


class _Goal:
    """A goal in work."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle
        self.job: Job | None = None
        self.end: Result | Failure | None = None
        self.fed_back_s = time.monotonic()


class _Question:
    """A call of ``ask`` that waits for its answer."""

    def __init__(self) -> None:
        self.job: Job | None = None
        self.answer: Future[Result | Failure] = Future()


class DelegateServer:
    """Takes goals and questions while it is open; otherwise goals are rejected and questions refused.

    It stays as long as its node: an EventsExecutor of rclpy 9.1 crashes when an action server goes while messages for
    it come in.

    Thread: the executor's.
    """

    def __init__(self, node: Node) -> None:
        self.message_errors = 0
        self._node = node
        self._service: BackgroundService | None = None
        self._news: deque[tuple[_Goal | _Question, Update]] = deque()  # filled by the threads of the tasks
        self._goals: dict[bytes, _Goal] = {}
        self._questions: set[_Question] = set()
        self._actions = ActionServer(
            node,
            Delegate,
            "delegate",
            execute_callback=self._conclude,
            goal_callback=self._on_goal,
            handle_accepted_callback=self._on_accepted,
            cancel_callback=self._on_cancel,
            **ACTION_SERVER_QOS,
        )
        node.create_service(Ask, "ask", self._on_ask)
        steady_timer(node, _PERIOD_S, self._work_off)

    @property
    def is_open(self) -> bool:
        """Whether goals and questions are taken."""
        return self._service is not None

    def open(self, service: BackgroundService) -> None:
        """Take goals and questions."""
        self._service = service

    def close(self) -> None:
        """Take nothing more and withdraw every task; their results leave within 0.2 s."""
        self._service = None
        works: list[_Goal | _Question] = [*self._goals.values(), *self._questions]
        for job in (work.job for work in works):
            if job is not None:
                job.cancel()

    # ------------------------------------------------------------------------------------------------ goals

    def _on_goal(self, goal: Any) -> GoalResponse:
        return GoalResponse.ACCEPT if self._service is not None else GoalResponse.REJECT

    def _on_accepted(self, handle: Any) -> None:
        goal = _Goal(handle)
        self._goals[bytes(handle.goal_id.uuid)] = goal
        try:
            taken = self._take(from_goal(handle.request), goal)
        except InputError as err:
            taken = Failure(Outcome.REFUSED, "I cannot look into that, the request was not right.", str(err))
        if isinstance(taken, Failure):
            self._end(goal, taken)
        else:
            goal.job = taken

    def _on_cancel(self, handle: Any) -> CancelResponse:
        goal = self._goals.get(bytes(handle.goal_id.uuid))
        if goal is not None and goal.job is not None:
            goal.job.cancel()
        return CancelResponse.ACCEPT

    def _end(self, goal: _Goal, end: Result | Failure) -> None:
        if goal.end is None:
            goal.end = end
            goal.handle.execute()

    def _conclude(self, handle: Any) -> Any:
        """Set the goal's final state and return its result; called once it is known."""
        goal = self._goals.pop(bytes(handle.goal_id.uuid))
        elapsed_s = goal.job.elapsed_s if goal.job is not None else 0.0
        message = to_result(goal.end or Failure(Outcome.FAILED, "", "no result"), elapsed_s)
        if message.outcome == Outcome.SUCCEEDED:
            handle.succeed()
        elif message.outcome == Outcome.CANCELED and handle.is_cancel_requested:
            handle.canceled()
        else:
            handle.abort()
        return message

    # -------------------------------------------------------------------------------------------- questions

    async def _on_ask(self, request: Any, response: Any) -> Any:
        question = _Question()
        taken = self._take(ContextPackage(request.question, budget_s=0.0), question)  # 0: the service's default
        if isinstance(taken, Job):
            question.job = taken
            self._questions.add(question)
            end = await question.answer
            self._questions.discard(question)
        else:
            end = taken
        if isinstance(end, Result) and end.timers:
            end = replace(end, report=f"{end.report} {_NO_TIMERS}".strip())
        message = to_result(end, 0.0)
        response.answer, response.outcome, response.error_msg = message.report, message.outcome, message.error_msg
        return response

    # ------------------------------------------------------------------------------------------------ queue

    def _take(self, package: ContextPackage, work: _Goal | _Question) -> Job | Failure:
        """Start a task whose updates go to the queue, or say why not."""
        if self._service is None:
            return Failure(Outcome.REFUSED, spoken.NOT_NOW, _INACTIVE)
        return self._service.start(package, lambda update: self._news.append((work, update)))

    def _work_off(self) -> None:
        """Publish what the tasks' threads have queued, and show that goals without news are still worked on."""
        batches: dict[_Goal | _Question, list[Update]] = {}
        for _ in range(len(self._news)):
            work, update = self._news.popleft()
            batches.setdefault(work, []).append(update)
        for work, updates in batches.items():
            self._hand_on(work, updates)
        stale_s = time.monotonic() - _HEARTBEAT_S
        for goal in self._goals.values():
            if goal.end is None and goal.fed_back_s <= stale_s:
                self._feed_back(goal, [])

    def _hand_on(self, work: _Goal | _Question, updates: list[Update]) -> None:
        ends = [update for update in updates if isinstance(update, Result | Failure)]
        if isinstance(work, _Question):
            if ends:
                work.answer.set_result(ends[0])
            return
        if len(updates) > len(ends):
            self._feed_back(work, updates)
        if ends:
            self._end(work, ends[0])

    def _feed_back(self, goal: _Goal, updates: list[Update]) -> None:
        goal.fed_back_s = time.monotonic()
        try:
            goal.handle.publish_feedback(to_feedback(updates))
        except Exception as err:  # field checks and the serialiser raise types of their own
            self.message_errors += 1
            self._node.get_logger().warning(f"feedback cannot be sent ({type(err).__name__}: {err})", once=True)
