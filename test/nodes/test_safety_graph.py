"""Alerts and the clock over real DDS: a stalled model, silent sensors, kill -9, simulated time."""

import json
import signal
import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: run `make setup`")

from rosgraph_msgs.msg import Clock

from tml_interfaces.msg import AudioChunk, MicroTurnMetrics, SafetyAlert, SpeechChunk
from tml_interfaces.srv import ListTimes, SetTimer, TimeProcess
from tml_ros.nodes.messages import fill
from tml_ros.nodes.qos import OUTPUT_QOS
from tml_ros.nodes.sensors import sound_tree

LAB = """
version: 1
lab: test bench
watchers: {alarm: {kind: alarm_tone}, camera: {kind: camera}}
rules:
  alarm: {when: {value: alarm.alarm, above: 0.5}, describe: I hear an alarm., acknowledge: {within_s: 60}}
  gone: {when: {value: camera.missing_s, above: 3}, describe: I see nothing.}
"""
TIMES = np.arange(320) / 16_000


class Microphone:
    """Sends chunks of 20 ms, faster than life."""

    def __init__(self, graph) -> None:
        self._graph = graph
        self._sent = 0
        self.begin_ns = time.time_ns()
        self._publisher = graph.client.create_publisher(AudioChunk, "audio/in", 64)
        graph.wait(lambda: self._publisher.get_subscription_count() > 0, "a subscriber")

    def send(self, chunks: int, *, alarm: bool = False) -> None:
        for _ in range(chunks):
            times = TIMES + self._sent * 0.02
            samples = 0.1 * np.sin(2 * np.pi * 2900 * times) if alarm else 0.001 * np.sin(2 * np.pi * 400 * times)
            stamp_ns = self.begin_ns + self._sent * 20_000_000
            tree = sound_tree(stamp_ns, "mic", self._sent * 320, samples.astype(np.float32))
            self._publisher.publish(fill(AudioChunk(), tree))
            self._sent += 1
            time.sleep(0.005)
        self._graph.spin(0.05)


@pytest.fixture
def lab(tmp_path):
    path = tmp_path / "lab.yaml"
    path.write_text(LAB)
    return path


def start(graph, *parameters: str, log: str = "node.log", module: str = "interaction"):
    given = [word for parameter in parameters for word in ("-p", parameter)]
    process = graph.start("-m", f"tml_ros.nodes.{module}", "--ros-args", "-r", "__ns:=/tml", *given, log=log)
    graph.wait(lambda: process.poll() is not None or graph.state() == "active", "interaction to be active")
    assert process.poll() is None, graph.log_text(log)
    return process


def alerts_of(graph, rule: str) -> list[SafetyAlert]:
    received: list[SafetyAlert] = []

    def take(message: SafetyAlert) -> None:
        if message.rule == rule:
            received.append(message)

    graph.client.create_subscription(SafetyAlert, "safety_alert", take, OUTPUT_QOS["safety_alert"])
    return received


def test_alert_and_its_sound_come_when_the_model_stalls(graph, lab, tmp_path):
    switch = tmp_path / "stall"
    start(
        graph,
        "model:=stalling",
        "stalling.inner:=silence",
        f"stalling.switch:={switch}",
        "stalling.stall_s:=3.0",
        f"safety.lab_file:={lab}",
        module="stalled_interaction",
    )
    alerts = alerts_of(graph, "alarm")
    turns = graph.collect(MicroTurnMetrics, "micro_turn", OUTPUT_QOS["micro_turn"])
    speech = graph.collect(SpeechChunk, "speech", OUTPUT_QOS["speech"])
    microphone = Microphone(graph)
    microphone.send(100)
    graph.wait(lambda: len(turns) >= 8, "the model to run")
    switch.touch()
    microphone.send(20)
    before = len(turns)
    microphone.send(60, alarm=True)
    graph.wait(lambda: any(len(chunk.audio.data) for chunk in speech), "the alert to be spoken", 1.5)
    assert len(turns) - before <= 1
    assert alerts[0].state == SafetyAlert.RAISED and speech[0].kind == SpeechChunk.ALERT
    stamp = alerts[0].header.stamp
    latency_ns = stamp.sec * 10**9 + stamp.nanosec - (microphone.begin_ns + 120 * 20_000_000)
    assert latency_ns <= 600_000_000  # on the clock of the sound: two micro-turns and the rest of a third


def test_open_alert_and_processes_go_on_when_the_node_was_killed(graph, lab, tmp_path):
    given = (
        "model:=silence",
        f"safety.lab_file:={lab}",
        f"safety.state_file:={tmp_path / 'open.json'}",
        f"time.history_file:={tmp_path / 'times.sqlite'}",
    )
    process = start(graph, *given)
    alerts = alerts_of(graph, "alarm")
    microphone = Microphone(graph)
    microphone.send(60)
    assert graph.call(TimeProcess, "interaction/time_process", TimeProcess.Request(name="wash")).success
    microphone.send(60, alarm=True)
    graph.wait(lambda: bool(alerts) and (tmp_path / "open.json").exists(), "the alert")
    graph.stop(process, signal.SIGKILL)
    start(graph, *given, log="again.log")
    microphone.send(60)
    graph.wait(lambda: alerts[-1].state == SafetyAlert.UPDATED, "the alert to be told again")
    late = alerts_of(graph, "alarm")
    graph.wait(lambda: bool(late), "somebody who comes later to get the latched alert")
    assert late[0].alert_id == alerts[0].alert_id == alerts[-1].alert_id
    times = graph.call(ListTimes, "interaction/list_times", ListTimes.Request())
    assert [one.name for one in times.processes] == ["wash"]


def test_lost_sensors_are_told_by_simulated_time_and_timers_follow_it(graph, lab):
    start(graph, "model:=silence", f"safety.lab_file:={lab}", "use_sim_time:=true")
    alerts = alerts_of(graph, "gone")
    clock = graph.client.create_publisher(Clock, "/clock", 10)
    graph.wait(lambda: clock.get_subscription_count() > 0, "a subscriber of the clock")

    def run(from_s: int, to_s: int) -> None:
        for now_s in range(from_s, to_s):
            message = Clock()
            message.clock.sec = now_s
            clock.publish(message)
            time.sleep(0.015)
        graph.spin(0.1)

    def times() -> ListTimes.Response:
        return graph.call(ListTimes, "interaction/list_times", ListTimes.Request())

    run(1000, 1002)
    request = SetTimer.Request(name="stir", after_sec=300.0)
    answer = graph.call(SetTimer, "interaction/set_timer", request)
    assert (answer.success, answer.message) == (True, "Okay, five minutes.")
    run(1002, 1091)
    (one,) = times().timers
    assert one.left_sec == pytest.approx(211.0, abs=0.01)
    graph.spin(0.5)  # the clock stands still
    assert times().timers[0].left_sec == pytest.approx(one.left_sec, abs=0.01)
    graph.wait(lambda: bool(alerts), "somebody to miss the camera", 5.0)
    refused = graph.call(SetTimer, "interaction/set_timer", SetTimer.Request(after_sec=-1.0))
    assert not refused.success and "after_sec must be more than 0" in refused.message


def test_timers_are_set_and_listed_when_the_command_asks(graph):
    start(graph, "model:=silence")

    def tml(*arguments: str) -> tuple[int, str]:
        process = graph.start("-m", "tml_ros.cli.main", "timers", "--json", *arguments, log="tml.log")
        graph.wait(lambda: process.poll() is not None, "the command")
        return process.returncode, graph.log_text("tml.log").splitlines()[-1]

    assert tml("set", "stir", "--after", "4 min", "--every")[0] == 0
    code, line = tml("list")
    (one,) = json.loads(line)["timers"]
    assert code == 0 and (one["name"], one["repeat_s"]) == ("stir", 240.0)
    assert tml("stop", "wash")[0] == 1
