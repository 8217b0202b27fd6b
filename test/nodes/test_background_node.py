"""The background node over real DDS: lifecycle, parameters, goals good and bad, questions, what a model may read."""

import array
import json
import os
import signal
import threading
import time
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: run `make setup`")

from action_msgs.msg import GoalStatus
from builtin_interfaces.msg import Duration
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from rclpy.action import ActionClient
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import BatteryState, CompressedImage, Image, JointState
from std_msgs.msg import Float32MultiArray, String

from tml_interfaces.action import Delegate
from tml_interfaces.srv import Ask
from tml_ros.background import BackgroundService, Result
from tml_ros.errors import ConfigError, InputError
from tml_ros.nodes.delegate_messages import from_goal
from tml_ros.nodes.delegate_server import DelegateServer
from tml_ros.nodes.messages import fill
from tml_ros.nodes.qos import ACTION_CLIENT_QOS
from tml_ros.nodes.topic_states import TopicStates, to_json

SCRIPT = """
tasks:
  - match: boil
    updates:
      - {after_s: 0.1, progress: {stage: search, progress: 0.5, status_text: Looking it up.}}
      - {after_s: 0.1, partial: "At "}
      - {after_s: 0.1, partial: "100 degrees."}
      - after_s: 0.1
        result: {report: "At 100 degrees.", data: {celsius: 100}, timers: [{text: tea, after_s: 180}],
                 intents: [{intent: bring_object, data: {object: kettle}, priority: 7}], contradicts: [3]}
  - match: hang
    updates: [{hang: true}]
  - match: fail
    updates: [{failure: {report: "I could not.", error: no such book}}]
"""
BOILS = "At 100 degrees. But no timer runs: I can only remind you while we talk."
SUCCEEDED, CANCELED, ABORTED = GoalStatus.STATUS_SUCCEEDED, GoalStatus.STATUS_CANCELED, GoalStatus.STATUS_ABORTED


class Goals:
    """An action client that keeps what comes."""

    def __init__(self, graph) -> None:
        self.graph = graph
        self.client = ActionClient(graph.client, Delegate, "delegate", **ACTION_CLIENT_QOS)
        graph.wait(self.client.server_is_ready, "the action server")

    def send(self, task="", **fields):
        """Send a goal; return its handle, the future of its result and the list of its feedback."""
        feedback = []
        sent = self.client.send_goal_async(Delegate.Goal(task=task, **fields), lambda m: feedback.append(m.feedback))
        self.graph.wait(sent.done, "the answer to a goal", 10.0)
        assert sent.result().accepted
        return sent.result(), sent.result().get_result_async(), feedback

    def end_of(self, future):
        self.graph.wait(future.done, "a result", 10.0)
        return future.result().status, future.result().result


@pytest.fixture
def script(graph):
    path = graph.folder / "script.yaml"
    path.write_text(SCRIPT)
    return f"scripted.script:={path}"


@pytest.fixture
def goals(graph, script):
    """The node, and a client of its action server."""
    graph.start_background(script, "max_goals:=2", "budget_s:=20.0")
    made = Goals(graph)
    yield made
    made.client.destroy()


# ----------------------------------------------------------------------------------------------- life of the node


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ("max_goal:=2", "did you mean 'max_goals'"),
        ("max_goals:=0", "max_goals must lie in 1..64"),
        ("backend:=scriptet", "did you mean 'scripted'"),
        ("scripted.script:=/nowhere.yaml", "/nowhere.yaml"),
        ("scripted.scripd:=x", "did you mean 'scripted.script'"),
        ("documents:=/nowhere/documents", "/nowhere/documents"),
        ("topics:=['door']", "expected NAME=package/msg/Type"),
        ("topics:=['door=no_such_msgs/msg/Door']", "no_such_msgs"),
        ("topics:=['do or!=std_msgs/msg/Bool']", "do or!"),
        ("camera_topic:='1 2'", "1 2"),
    ],
)
def test_node_says_what_is_wrong_and_ends_when_a_parameter_is_bad(graph, parameter, message):
    good = ("backend:=scripted", "documents:=''", "skills_file:=''")
    given = [word for one in (*good, parameter) for word in ("-p", one)]
    process = graph.start("-m", "tml_ros.nodes.background", "--ros-args", *given)
    assert process.wait(60.0) == 1
    lines = [line for line in graph.log_text().splitlines() if "documents" in line or message in line]
    assert any(message in line for line in lines)
    assert "Traceback" not in graph.log_text()


def test_lifecycle_is_walked_through_when_a_manager_drives_it(graph):
    process = graph.start_background("autostart:=false", "offline.anything:=1", active=False)
    for transition, state in [
        (Transition.TRANSITION_CONFIGURE, "inactive"),
        (Transition.TRANSITION_ACTIVATE, "active"),
        (Transition.TRANSITION_DEACTIVATE, "inactive"),
        (Transition.TRANSITION_ACTIVATE, "active"),
        (Transition.TRANSITION_DEACTIVATE, "inactive"),
        (Transition.TRANSITION_CLEANUP, "unconfigured"),
        (Transition.TRANSITION_CONFIGURE, "inactive"),
    ]:
        assert graph.change_state(transition, "background")
        assert graph.state("background") == state
    assert os.getpriority(os.PRIO_PROCESS, process.pid) == os.getpriority(os.PRIO_PROCESS, 0) + 10  # once, not thrice
    assert graph.stop(process) == 0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_node_ends_cleanly_when_it_is_told_to_stop_during_a_task(graph, script, how):
    process = graph.start_background(script)
    Goals(graph).send("hang")
    assert graph.stop(process, how) == 0
    assert "Traceback" not in graph.log_text("background.log")


def test_diagnostics_count_what_was_done_when_tasks_ran(graph, goals):
    statuses = graph.collect(DiagnosticArray, "/diagnostics", 10)
    goals.send("hang")
    goals.end_of(goals.send("fail")[1])
    statuses.clear()
    graph.wait(lambda: bool(statuses), "a diagnostic")
    status = statuses[-1].status[0]
    values = {pair.key: pair.value for pair in status.values}
    assert (status.name, status.level, status.message) == ("background: tasks", b"\x00", "1 tasks running")
    assert values == {"backend": "scripted", "failed": "1", "running": "1", "tasks": "2"}


# ---------------------------------------------------------------------------------------------------------- goals


def test_result_and_feedback_are_complete_when_a_goal_succeeds(goals):
    _, future, feedback = goals.send("When does water boil?", context_json='{"facts": {}}')
    status, result = goals.end_of(future)
    assert [(one.stage, one.progress, one.status_text, one.partial_text) for one in feedback] == [
        ("search", 0.5, "Looking it up.", ""),
        ("", -1.0, "", "At "),
        ("", -1.0, "", "100 degrees."),
    ]
    assert (status, result.outcome, result.report, result.error_msg) == (SUCCEEDED, 0, "At 100 degrees.", "")
    assert json.loads(result.result_json) == {
        "celsius": 100,
        "timers": [{"text": "tea", "after_s": 180, "repeat_s": 0.0}],
    }
    (intent,) = result.proposed_intents
    assert (intent.intent, json.loads(intent.data), intent.priority) == ("bring_object", {"object": "kettle"}, 7)
    assert list(result.contradicts) == [3]
    assert 300_000_000 < result.elapsed.nanosec < 900_000_000


def test_goals_run_side_by_side_and_one_more_is_refused_when_the_limit_is_reached(goals):
    first, hanging, feedback = goals.send("hang")
    _, second, _ = goals.send("boil")
    status, refused = goals.end_of(goals.send("boil")[1])
    assert (status, refused.outcome) == (ABORTED, Delegate.Result.REFUSED)
    assert "max_goals is 2" in refused.error_msg
    assert "busy" in refused.report
    assert goals.end_of(second)[1].report == "At 100 degrees."
    goals.graph.wait(lambda: len(feedback) >= 2, "heartbeats", 3.0)
    assert {(one.stage, one.partial_text, one.status_text) for one in feedback} == {("working", "", "")}
    assert not hanging.done()
    first.cancel_goal_async()
    assert goals.end_of(hanging)[0] == CANCELED


def test_goal_is_canceled_at_once_when_the_client_withdraws_it(goals):
    for _ in range(3):
        handle, future, _ = goals.send("hang")
        answer = handle.cancel_goal_async()
        goals.graph.wait(answer.done, "the answer to the cancel")
        answered_s = time.monotonic()
        status, result = goals.end_of(future)
        assert (status, result.outcome) == (CANCELED, Delegate.Result.CANCELED)
        assert time.monotonic() - answered_s < 0.3


def test_goal_is_canceled_at_once_when_the_model_ignores_it(graph):
    release = threading.Event()

    class ScriptedStubborn:
        name = "stubborn"

        def run(self, package, cancel):
            release.wait(20.0)
            yield Result("too late")

        def close(self):
            release.set()

    service = BackgroundService(ScriptedStubborn(), max_goals=2, budget_s=30.0, max_budget_s=60.0)
    server = DelegateServer(graph.client)
    server.open(service)
    goals = Goals(graph)
    handle, future, _ = goals.send("anything")
    asked_s = time.monotonic()
    handle.cancel_goal_async()
    assert goals.end_of(future)[0] == CANCELED
    assert time.monotonic() - asked_s < 0.3
    assert service.running == 1
    release.set()
    server.close()
    service.close()


def test_goal_times_out_when_its_budget_is_over(goals):
    status, result = goals.end_of(goals.send("hang", budget=Duration(nanosec=300_000_000))[1])
    assert (status, result.outcome) == (ABORTED, Delegate.Result.TIMED_OUT)
    assert "budget of 0.3 s" in result.error_msg
    assert "too long" in result.report


def test_bad_goals_are_refused_with_a_reason_when_they_come(goals):
    png = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    bad = [
        ({"task": " "}, "task is empty"),
        ({"task": "x" * 10_001}, "10001 characters"),
        ({"task": "boil", "context_json": "{"}, "not valid JSON"),
        ({"task": "boil", "context_json": "[1]"}, "must be a JSON object, got list"),
        ({"task": "boil", "context_json": "[" * 100_000}, "not valid JSON"),
        ({"task": "boil", "context_json": json.dumps({"a": "x" * 300_000})}, "at most 262144 are read"),
        ({"task": "boil", "images": [CompressedImage(format="png", data=array.array("B", png))]}, "no JPEG"),
        ({"task": "boil", "images": [CompressedImage()]}, "no JPEG"),
    ]
    for fields, reason in bad:
        status, result = goals.end_of(goals.send(**fields)[1])
        assert (status, result.outcome) == (ABORTED, Delegate.Result.REFUSED)
        assert reason in result.error_msg
        assert result.report
    assert goals.end_of(goals.send("boil")[1])[0] == SUCCEEDED


def test_five_images_are_refused_when_a_goal_is_read():
    goal = SimpleNamespace(task="a", session_id="", context_json="", images=[CompressedImage()] * 5)  # too many to send
    with pytest.raises(InputError, match="5 images, at most 4"):
        from_goal(goal)


def test_running_goals_and_questions_end_when_the_node_is_deactivated(graph, goals):
    _, future, _ = goals.send("hang")
    asking = graph.client.create_client(Ask, "ask")
    assert asking.wait_for_service(5.0)
    question = asking.call_async(Ask.Request(question="hang"))
    graph.spin(0.2)
    assert graph.change_state(Transition.TRANSITION_DEACTIVATE, "background")
    status, result = goals.end_of(future)
    assert (status, result.outcome) == (ABORTED, Delegate.Result.CANCELED)
    graph.wait(question.done, "the answer", 5.0)
    assert question.result().outcome == Ask.Response.CANCELED
    sent = goals.client.send_goal_async(Delegate.Goal(task="boil"))
    graph.wait(sent.done, "the rejection", 5.0)
    assert not sent.result().accepted
    refused = graph.call(Ask, "ask", Ask.Request(question="boil"))
    assert (refused.outcome, refused.error_msg) == (
        Ask.Response.REFUSED,
        "the background node is not active; activate it",
    )
    assert graph.change_state(Transition.TRANSITION_CLEANUP, "background")


def test_node_lives_when_it_is_deactivated_and_activated_during_tasks(graph, goals):
    for _ in range(15):
        _, future, _ = goals.send("hang")
        assert graph.change_state(Transition.TRANSITION_DEACTIVATE, "background")
        assert graph.change_state(Transition.TRANSITION_ACTIVATE, "background")
        assert goals.end_of(future)[1].outcome == Delegate.Result.CANCELED


def test_every_goal_ends_when_more_come_than_can_be_taken(graph, goals):
    sent = [goals.client.send_goal_async(Delegate.Goal(task="boil")) for _ in range(40)]
    graph.wait(lambda: all(one.done() for one in sent), "40 answers")
    futures = [one.result().get_result_async() for one in sent]
    outcomes = [goals.end_of(future)[1].outcome for future in futures]
    assert set(outcomes) == {Delegate.Result.SUCCEEDED, Delegate.Result.REFUSED}
    assert outcomes.count(Delegate.Result.SUCCEEDED) >= 2
    assert "Traceback" not in graph.log_text("background.log")


# ------------------------------------------------------------------------------------------------------ questions


def test_question_is_answered_refused_or_timed_out_when_it_is_asked(graph, script):
    graph.start_background(script, "max_goals:=1", "budget_s:=1.0")
    answer = graph.call(Ask, "ask", Ask.Request(question="When does water boil?"))
    assert (answer.outcome, answer.answer, answer.error_msg) == (Ask.Response.SUCCEEDED, BOILS, "")
    answer = graph.call(Ask, "ask", Ask.Request(question="fail"))
    assert (answer.outcome, answer.answer, answer.error_msg) == (Ask.Response.FAILED, "I could not.", "no such book")
    client = graph.client.create_client(Ask, "ask")
    assert client.wait_for_service(5.0)
    hanging, refused = (client.call_async(Ask.Request(question=text)) for text in ("hang", "boil"))
    graph.wait(refused.done, "the refusal", 0.8)
    assert refused.result().outcome == Ask.Response.REFUSED
    assert "max_goals is 1" in refused.result().error_msg
    assert not hanging.done()
    assert graph.state("background") == "active"  # nothing is blocked meanwhile
    graph.wait(hanging.done, "the end of the budget", 3.0)
    assert hanging.result().outcome == Ask.Response.TIMED_OUT


# ------------------------------------------------------------------------------------------ what a model may read


@pytest.fixture
def states(graph):
    """Topic states of the test's own node: a battery, a door, joints and a camera."""
    entries = ("battery=sensor_msgs/msg/BatteryState", "/door=std_msgs/msg/String", "", "j=sensor_msgs/msg/JointState")
    made = TopicStates(graph.client, entries, "image")
    yield made
    made.close()


def publish(graph, message, topic, qos=10):
    publisher = graph.client.create_publisher(type(message), topic, qos)
    graph.wait(lambda: publisher.get_subscription_count() > 0, f"the subscription to {topic}", 5.0)
    publisher.publish(message)
    return publisher


def test_only_listed_topics_are_read_when_messages_come(graph, states):
    assert states.names == ("/tml/battery", "/door", "/tml/j")
    assert states.read("/door") is None
    first = publish(graph, String(data="open"), "/door")
    graph.wait(lambda: states.read("/door") is not None, "the door", 5.0)
    first.publish(String(data="closed"))
    graph.wait(lambda: states.read("/door")["data"] == "closed", "the newest message", 5.0)
    assert states.read("/door")["_age_s"] < 5.0
    assert states.read("/tml/secret") is None
    assert states.read("/rosout") is None


def test_best_effort_and_latched_topics_are_read_when_publishers_offer_them(graph, states):
    sensor = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    door = graph.client.create_publisher(String, "/door", latched)
    door.publish(String(data="said once, early"))
    battery = graph.client.create_publisher(BatteryState, "battery", sensor)

    def battery_came():
        battery.publish(BatteryState(percentage=0.5))
        return states.read("/tml/battery") is not None

    graph.wait(battery_came, "the battery", 5.0)
    graph.wait(lambda: states.read("/door") is not None, "the door", 5.0)
    read = states.read("/tml/battery")
    assert read["percentage"] == 0.5
    assert read["header"] == {"stamp": {"sec": 0, "nanosec": 0}, "frame_id": ""}


def test_messages_are_cut_when_they_are_large():
    cloud = Float32MultiArray(data=array.array("f", [1.0] * 5000))
    assert to_json(cloud)["data"] == "(5000 values)"
    assert to_json(Image(data=array.array("B", b"\0" * 4_000_000)))["data"] == "(4000000 bytes)"
    assert to_json(String(data="x" * 3000))["data"] == "x" * 1000 + "... (3000 characters)"
    joints = JointState(name=["a", "b"], position=array.array("d", [0.5, float("nan")]))
    assert to_json(joints)["position"] == [0.5, "nan"]
    many = Float32MultiArray(data=array.array("f", [1.0] * 32))
    json.dumps([to_json(many), to_json(BatteryState(cell_voltage=array.array("f", [3.5]))), to_json(DiagnosticArray())])


def test_newest_picture_is_a_small_jpeg_when_the_camera_works(graph, states):
    assert states.look() is None
    picture = {"width": 1280, "height": 720, "step": 3840, "encoding": "rgb8", "data": b"\xff\0\0" * (1280 * 720)}
    camera = publish(graph, fill(Image(), picture), "image")
    graph.wait(lambda: states.look() is not None, "the picture", 5.0)
    stream = states.look()
    decoded = cv2.imdecode(np.frombuffer(stream, np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape == (360, 640, 3)
    assert decoded[100, 100, 2] > 240 > 20 > decoded[100, 100, 0]  # OpenCV's order is blue first
    camera.publish(fill(Image(), picture | {"height": 721}))
    graph.wait(lambda: states.look() is None, "the broken picture", 5.0)


def test_compressed_picture_is_seen_until_it_is_old(graph, monkeypatch):
    states = TopicStates(graph.client, (), "image/compressed")
    stream = cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8))[1].tobytes()
    publish(graph, fill(CompressedImage(), {"format": "jpeg", "data": stream}), "image/compressed")
    graph.wait(lambda: states.look() is not None, "the picture", 5.0)
    monkeypatch.setattr("tml_ros.nodes.topic_states._PICTURE_MAX_AGE_S", -1.0)
    assert states.look() is None
    states.close()


@pytest.mark.parametrize(
    "entry", ["door", "door=std_msgs/Bool", "=std_msgs/msg/Bool", "d=std_msgs/msg/Bol", "a b=c/msg/D"]
)
def test_entry_is_refused_when_it_names_no_topic_and_type(graph, entry):
    with pytest.raises(ConfigError, match=r"expected NAME=package/msg/Type|no message type"):
        TopicStates(graph.client, (entry,))


# ---------------------------------------------------------------------------------------------- a model behind HTTP


def test_words_stream_and_the_stream_is_closed_at_once_when_a_goal_over_http_is_withdrawn(graph, scripted_endpoint):
    endpoint = scripted_endpoint.Endpoint()
    try:
        graph.start_background("backend:=openai", f"openai.base_url:={endpoint.url}", "openai.model:=m")
        goals = Goals(graph)
        endpoint.play(scripted_endpoint.say("It is ", "warm ", "today.", every_s=0.3))
        _, future, feedback = goals.send("Is it warm?")
        graph.wait(lambda: any(one.partial_text for one in feedback), "the first words")
        assert not future.done()
        status, result = goals.end_of(future)
        assert (status, result.report) == (SUCCEEDED, "It is warm today.")
        assert "".join(one.partial_text for one in feedback) == "It is warm today."
        endpoint.play(scripted_endpoint.say(*["word "] * 1000, every_s=0.05))
        handle, future, feedback = goals.send("Talk for ever.")
        graph.wait(lambda: any(one.partial_text for one in feedback), "the first words")
        exchange = endpoint.wait_for(2)
        asked_s = time.monotonic()
        handle.cancel_goal_async()
        status, result = goals.end_of(future)
        ended_s = time.monotonic() - asked_s
        assert exchange.left.wait(5.0)
        print(f"stream closed after {exchange.left_at - asked_s:.3f} s, result after {ended_s:.3f} s")
        assert (status, result.outcome) == (CANCELED, Delegate.Result.CANCELED)
        assert exchange.left_at - asked_s < 0.2
        goals.client.destroy()
    finally:
        endpoint.close()
