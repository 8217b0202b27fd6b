"""The delegate client over real DDS, against a background node in a process of its own that works, hangs or dies."""

import signal
import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: run `make setup`")

from lifecycle_msgs.msg import Transition
from rclpy.action import ActionServer
from rclpy.node import Node
from rclpy.task import Future

from tml_interfaces.action import Delegate
from tml_interfaces.msg import ActionIntent
from tml_ros.background import ContextPackage, DelegationRequest, Failure, Outcome, Partial, Progress, Result
from tml_ros.nodes.clock import NodeClock, steady_timer
from tml_ros.nodes.delegate_client import DelegateClient
from tml_ros.nodes.delegate_messages import from_feedback, from_result, to_feedback, to_goal, to_result
from tml_ros.nodes.spinning import spin_until
from tml_ros.records import Frame, IntentDraft, TimerDraft

SCRIPT = """
tasks:
  - match: boil
    updates:
      - {after_s: 0.1, progress: {stage: search, progress: 0.5, status_text: Looking it up.}}
      - {after_s: 0.1, partial: "At "}
      - {after_s: 0.1, partial: "100 degrees."}
      - after_s: 0.1
        result: {report: "At 100 degrees.", data: {celsius: 100}, timers: [{text: tea, after_s: 180}],
                 intents: [{intent: bring_object, data: {object: kettle}}], contradicts: [3]}
  - match: flood
    updates: [FLOOD {after_s: 0.3, result: {report: done}}]
  - match: hang
    updates: [{hang: true}]
"""
FLOOD = "".join(f"{{partial: 'x'}}, {{progress: {{stage: s{n}}}}}, " for n in range(500))


def an_executor(context):
    try:
        from rclpy.experimental import EventsExecutor
    except ImportError:
        from rclpy.executors import SingleThreadedExecutor

        return SingleThreadedExecutor(context=context)
    return EventsExecutor(context=context)


class JumpingClock(NodeClock):
    """A clock that a test puts ahead, as a process sees it that stood still."""

    ahead_ns = 0

    def monotonic_ns(self) -> int:
        return super().monotonic_ns() + self.ahead_ns


class Talker:
    """A node with a delegate client, spun by the test."""

    def __init__(self, graph) -> None:
        self.node = Node("talker", namespace="tml", context=graph.context)
        self.executor = an_executor(graph.context)
        self.executor.add_node(self.node)
        self.clock = JumpingClock(self.node)
        self.client = DelegateClient(self.node, self.clock)
        self.came: dict[str, list] = {}
        self.came_s: dict[str, float] = {}

    def start(self, name: str, task: str, *, budget_s: float = 30.0, frames: tuple = (), **package) -> float:
        self.client.start(DelegationRequest(name, ContextPackage(task, budget_s=budget_s, **package), frames), 0)
        return time.monotonic()

    def spin(self, seconds: float) -> None:
        spin_until(self.executor, Future(executor=self.executor), seconds)
        for update in self.client.updates(17):
            assert update.stamp_ns == 17
            self.came.setdefault(update.delegation_id, []).append(update.update)
            self.came_s[update.delegation_id] = time.monotonic()

    def wait(self, condition, timeout_s: float = 10.0) -> None:
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, f"waited in vain; so far {self.came}"
            self.spin(0.01)

    def end_of(self, name: str):
        self.wait(lambda: any(isinstance(update, Result | Failure) for update in self.came.get(name, ())))
        assert isinstance(self.came[name][-1], Result | Failure)
        return self.came[name][-1]

    def close(self) -> None:
        self.client.close()
        self.node.destroy_node()


@pytest.fixture
def talker(graph):
    made = Talker(graph)
    yield made
    made.close()


@pytest.fixture
def script(graph):
    path = graph.folder / "script.yaml"
    path.write_text(SCRIPT.replace("FLOOD ", FLOOD))
    return f"scripted.script:={path}"


def test_updates_come_in_order_when_the_background_node_works(graph, talker, script):
    graph.start_background(script)
    talker.wait(lambda: talker.client.is_available)
    picture = Frame(0, np.zeros((960, 1280, 3), np.uint8))
    talker.start("a", "when does water boil", frames=(picture,) * 5, context={"facts": {"altitude_m": 0}})
    end = talker.end_of("a")
    assert talker.came["a"][:-1] == [
        Progress("search", 0.5, "Looking it up."),
        Partial("At "),
        Partial("100 degrees."),
    ]
    assert end == Result(
        "At 100 degrees.",
        {"celsius": 100},
        (IntentDraft("bring_object", {"object": "kettle"}),),
        (TimerDraft("tea", 180.0),),
        (3,),
    )


def test_news_are_joined_when_they_flood_in(graph, talker, script):
    graph.start_background(script)
    talker.wait(lambda: talker.client.is_available)
    talker.start("a", "flood")
    talker.end_of("a")
    partials = [update for update in talker.came["a"] if isinstance(update, Partial)]
    assert "".join(partial.text for partial in partials) == "x" * 500
    assert len(talker.came["a"]) < 100


def test_task_ends_in_time_when_nobody_is_there(talker):
    assert not talker.client.is_available
    began = talker.start("a", "boil")
    end = talker.end_of("a")
    assert end.report == "I have nobody to ask at the moment."
    assert "background node is not running" in end.error
    assert 0.9 < talker.came_s["a"] - began < 2.0


def test_nothing_comes_and_the_place_is_free_when_a_task_is_withdrawn(graph, talker, script):
    graph.start_background(script, "max_goals:=1")
    talker.wait(lambda: talker.client.is_available)
    for number in range(3):  # before it is sent, before it is accepted, while it runs
        talker.start(f"hang{number}", "hang")
        talker.spin(0.15 * number)
        talker.client.cancel(f"hang{number}")
        talker.spin(0.4)
        talker.start(f"boil{number}", "boil")
        assert talker.end_of(f"boil{number}").report == "At 100 degrees."
    assert not [name for name in talker.came if name.startswith("hang")]


def test_client_says_so_and_the_next_task_works_when_the_node_is_killed_and_started_again(graph, talker, script):
    process = graph.start_background(script)
    talker.wait(lambda: talker.client.is_available)
    talker.start("a", "hang")
    talker.spin(0.8)
    assert talker.came == {}  # heartbeats are no news
    graph.stop(process, signal.SIGKILL)
    killed_s = time.monotonic()
    end = talker.end_of("a")
    assert end.report == "Sorry, the part of me that looks things up stopped working."
    assert 2.0 < talker.came_s["a"] - killed_s < 4.5
    talker.start("b", "boil")
    assert "did not answer" in talker.end_of("b").error  # DDS takes 20 s to notice
    graph.start_background(script, log="again.log")
    talker.start("c", "boil")
    assert talker.end_of("c").report == "At 100 degrees."


def test_task_runs_on_when_its_own_process_stood_still(graph, talker, script):
    graph.start_background(script)
    talker.wait(lambda: talker.client.is_available)
    talker.start("a", "hang", budget_s=2.0)
    talker.spin(0.3)
    talker.clock.ahead_ns += 3_500_000_000
    assert talker.end_of("a").outcome is Outcome.TIMED_OUT  # and not silence


def test_task_ends_when_the_node_is_deactivated_and_works_when_it_is_active_again(graph, talker, script):
    graph.start_background(script)
    talker.wait(lambda: talker.client.is_available)
    talker.start("a", "hang")
    talker.spin(0.3)
    assert graph.change_state(Transition.TRANSITION_DEACTIVATE, "background")
    end = talker.end_of("a")
    assert (end.outcome, end.report) == (Outcome.CANCELED, "I had to stop looking into that.")
    talker.start("b", "boil")
    assert talker.end_of("b").outcome is Outcome.REFUSED
    assert graph.change_state(Transition.TRANSITION_ACTIVATE, "background")
    talker.start("c", "boil")
    assert talker.end_of("c").report == "At 100 degrees."


def test_task_fails_with_a_reason_when_it_cannot_be_sent(graph, talker, script):
    graph.start_background(script)
    talker.wait(lambda: talker.client.is_available)
    talker.start("a", "boil", context={"no json": object()})
    assert "not JSON serializable" in talker.end_of("a").error
    talker.start("b", "boil \ud800")
    assert "cannot be sent" in talker.end_of("b").error


def test_client_gives_up_when_the_server_neither_ends_nor_stops(graph, talker):
    """A server that sends heartbeats but ignores its budget."""
    goals = []

    def beat():
        for goal in goals:
            goal.publish_feedback(to_feedback([]))

    server = ActionServer(
        talker.node, Delegate, "delegate", execute_callback=lambda _: None, handle_accepted_callback=goals.append
    )
    steady_timer(talker.node, 0.5, beat)
    talker.wait(lambda: talker.client.is_available)
    began = talker.start("a", "anything", budget_s=0.5)
    end = talker.end_of("a")
    assert end.outcome is Outcome.TIMED_OUT
    assert 2.0 < talker.came_s["a"] - began < 4.0
    server.destroy()


def test_nothing_is_left_running_when_the_client_is_closed(graph, talker, script):
    graph.start_background(script, "max_goals:=1")
    talker.wait(lambda: talker.client.is_available)
    talker.start("a", "hang")
    talker.spin(0.5)
    talker.client.close()
    talker.client.start(DelegationRequest("b", ContextPackage("boil")), 0)
    talker.spin(0.5)
    assert talker.came == {}
    talker.client.open()
    talker.start("c", "boil")
    assert talker.end_of("c").report == "At 100 degrees."


# ------------------------------------------------------------------------------------------------------- messages


@pytest.mark.parametrize(
    "message",
    [
        Delegate.Result(outcome=9),
        Delegate.Result(result_json="{"),
        Delegate.Result(result_json="[1]"),
        Delegate.Result(result_json='{"timers": [{"text": "a"}]}'),
        Delegate.Result(result_json='{"timers": 3}'),
        Delegate.Result(proposed_intents=[ActionIntent(data="no")]),
    ],
)
def test_result_is_a_failure_when_it_is_malformed(message):
    end = from_result(message)
    assert end.outcome is Outcome.FAILED
    assert "malformed" in end.error


@pytest.mark.parametrize(
    "end",
    [
        Result("a", data={"x": object()}),
        Result("a \ud800"),
        Result("a", contradicts=(-1,)),
        Result(None),
        Result("a", intents=(IntentDraft(None, {}),)),
    ],
)
def test_message_is_a_failure_when_a_result_cannot_be_sent(end):
    message = to_result(end, 1.5)
    assert message.outcome == Outcome.FAILED
    assert "cannot be sent" in message.error_msg
    assert message.elapsed.nanosec == 500_000_000


def test_pictures_become_small_jpegs_when_a_goal_is_made():
    frames = tuple(Frame(n, np.full((1280, 720, 3), n, np.uint8)) for n in range(6))
    goal = to_goal(DelegationRequest("a", ContextPackage("look", budget_s=1.25, priority=999), frames))
    assert len(goal.images) == 4
    assert all(bytes(image.data[:3]) == b"\xff\xd8\xff" and image.format == "jpeg" for image in goal.images)
    assert (goal.budget.sec, goal.budget.nanosec, goal.priority) == (1, 250_000_000, 255)


def test_feedback_carries_the_newest_progress_and_all_partials_when_there_are_many():
    updates = [Progress("a"), Partial("x"), Progress("b", 0.5, "Busy."), Partial("y")]
    assert from_feedback(to_feedback(updates)) == [Progress("b", 0.5, "Busy."), Partial("xy")]
    assert from_feedback(to_feedback([Partial("z")])) == [Partial("z")]
    assert to_feedback([]).stage == "working"
    assert from_feedback(to_feedback([])) == []
