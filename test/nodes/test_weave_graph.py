"""What the background model finds, worked into the talk: both nodes in processes of their own, a person who speaks."""

import json
import os
import signal
import threading
import time
from itertools import count

import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy", reason="rclpy is not installed: run `make setup`")

from diagnostic_msgs.msg import DiagnosticArray
from std_msgs.msg import String
from std_srvs.srv import Trigger

from tml_interfaces.msg import ActionIntent, AudioChunk, SessionState, SpeechChunk, Transcript
from tml_ros.nodes.messages import fill
from tml_ros.nodes.qos import OUTPUT_QOS
from tml_ros.speech import create_synthesiser

CHUNK = 320
BRING = {"intent": "__intent_bring_object__", "data": {"object": "cup", "recipient": "speaker"}}


class Microphone:
    """Sends sound in real time, 20 ms a piece: silence, unless there is something to say."""

    def __init__(self, graph):
        self._publisher = graph.client.create_publisher(AudioChunk, "audio/in", 64)
        graph.wait(lambda: self._publisher.get_subscription_count() > 0, "a subscriber to audio/in")
        self._voice = create_synthesiser("flite", "slt")
        self._noise = np.random.default_rng(0)
        self._sound = np.zeros(0, np.float32)
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def say(self, words: str) -> float:
        """Say something now; return when, on the clock of the stamps, the last word will have ended."""
        sound = self._voice.synthesise(words)
        with self._lock:
            self._sound = np.concatenate([self._sound, sound])
            return time.time() + len(self._sound) / 16_000

    def close(self) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        start_ns, began = time.time_ns(), time.monotonic()
        for number in count():
            wait_s = (number + 1) * 0.02 - (time.monotonic() - began)
            if self._is_over.wait(max(0.0, wait_s)):
                return
            with self._lock:
                piece, self._sound = self._sound[:CHUNK], self._sound[CHUNK:]
            samples = self._noise.normal(0.0, 20.0, CHUNK)
            samples[: len(piece)] += piece * 32_767
            nanoseconds = start_ns + number * 20_000_000
            tree = {
                "header": {"stamp": {"sec": nanoseconds // 10**9, "nanosec": nanoseconds % 10**9}},
                "stream_id": "mic",
                "first_sample": number * CHUNK,
                "sample_rate": 16_000,
                "channels": 1,
                "encoding": "S16LE",
                "data": np.clip(samples, -32_768, 32_767).astype("<i2").tobytes(),
            }
            self._publisher.publish(fill(AudioChunk(), tree))


class Talk:
    """A robot with both nodes, somebody who talks to it, and all that it publishes."""

    def __init__(self, graph, tasks=None, *interaction, background=()):
        self.graph = graph
        self.background_options = background
        if tasks is not None:
            (graph.folder / "script.yaml").write_text(yaml.safe_dump({"tasks": tasks}))
            self.background_options = (f"scripted.script:={graph.folder / 'script.yaml'}", *background)
        self.background = graph.start_background(*self.background_options)
        graph.start_interaction(*interaction)
        self.speech = graph.collect(SpeechChunk, "speech", OUTPUT_QOS["speech"])
        self.intents = graph.collect(ActionIntent, "action_intent", OUTPUT_QOS["action_intent"])
        self.states = graph.collect(SessionState, "session_state", OUTPUT_QOS["session_state"])
        self.transcripts = graph.collect(Transcript, "transcript", OUTPUT_QOS["transcript"])
        self.diagnostics = graph.collect(DiagnosticArray, "/diagnostics")
        self._text = graph.client.create_publisher(String, "text/in", 10)
        graph.wait(lambda: self._text.get_subscription_count() > 0, "a subscriber to text/in")
        self.microphone = Microphone(graph)
        self.hear(lambda: bool(self.states), "a session")

    def type(self, words: str) -> None:
        self._text.publish(String(data=words))

    def hear(self, condition, what: str, timeout_s: float = 20.0) -> float:
        """Wait for something; return how long it took."""
        began = time.monotonic()
        self.graph.wait(condition, f"{what}; said: {self.said()}", timeout_s=timeout_s)
        return time.monotonic() - began

    def said(self, kind: int | None = None) -> list[str]:
        """The utterances so far, in order."""
        words: dict[tuple[str, int], str] = {}
        for chunk in self.speech:
            if kind is None or chunk.kind == kind:
                key = (chunk.session_id, chunk.utterance_id)
                words[key] = f"{words.get(key, '')} {chunk.text}".strip()
        return list(words.values())

    def has_said(self, words: str):
        return lambda: any(words in text for text in self.said())

    def running(self) -> str:
        """How many tasks the background node works on, by its newest diagnostics."""
        for message in reversed(self.diagnostics):
            for status in message.status:
                if status.name.startswith("background"):
                    return {pair.key: pair.value for pair in status.values}.get("running", "?")
        return "?"

    @property
    def open_tasks(self) -> list[str]:
        return list(self.states[-1].active_delegations)


@pytest.fixture
def talk(graph):
    made = []

    def start(*args, **options):
        made.append(Talk(graph, *args, **options))
        return made[-1]

    yield start
    for one in made:
        one.microphone.close()


def stamp_s(stamp) -> float:
    return stamp.sec + stamp.nanosec / 1e9


def test_robot_corrects_itself_and_takes_its_proposal_back_when_a_result_contradicts_it(talk):
    result = {"report": "There is no cup in the lab.", "contradicts": [1]}
    robot = talk([{"match": "really", "updates": [{"after_s": 1.0, "result": result}]}])
    robot.type("bring me the cup")
    robot.hear(lambda: bool(robot.intents), "the proposal")
    robot.type("is there really a cup")
    robot.hear(robot.has_said("Correction: There is no cup in the lab."), "the correction")
    (correction,) = {c.utterance_id: c for c in robot.speech if c.kind == SpeechChunk.CORRECTION}.values()
    reply = next(c for c in robot.speech if c.kind == SpeechChunk.REPLY)
    assert correction.revises == reply.utterance_id == 1
    first, withdrawn = robot.intents
    assert withdrawn.intent_id == first.intent_id
    assert stamp_s(withdrawn.expires_at) <= stamp_s(withdrawn.header.stamp) < stamp_s(first.expires_at)


def test_nothing_comes_of_a_task_when_the_person_withdraws_it(talk):
    result = {"report": "I would bring it.", "intents": [BRING]}
    robot = talk([{"match": "order", "updates": [{"after_s": 3.0, "result": result}]}])
    robot.type("order some gloves")
    robot.hear(lambda: len(robot.open_tasks) == 1, "the task to be open")
    robot.hear(lambda: robot.running() == "1", "the background node to work on it")
    robot.microphone.say("never mind")
    robot.hear(lambda: robot.open_tasks == [], "the task to be withdrawn")
    robot.hear(lambda: robot.running() == "0", "the background node to stop", timeout_s=3.0)
    robot.graph.spin(3.0)
    assert "I would bring it." not in robot.said()
    assert robot.intents == []


def test_result_is_dropped_when_a_new_session_has_begun(talk):
    robot = talk([{"match": "order", "updates": [{"after_s": 2.0, "result": {"report": "Too late."}}]}])
    robot.type("order some gloves")
    robot.hear(lambda: len(robot.open_tasks) == 1, "the task to be open")
    old = robot.states[-1].session_id
    robot.graph.call(Trigger, "interaction/reset", Trigger.Request())
    robot.hear(lambda: robot.states[-1].session_id != old, "the new session")
    assert robot.open_tasks == []
    robot.graph.spin(3.5)
    assert "Too late." not in robot.said()
    robot.type("what is your name")
    robot.hear(robot.has_said("I am a robot."), "the new session to answer")


def test_task_is_cancelled_and_another_begun_when_the_person_cuts_in_with_another_request(talk):
    long = "I am looking through all of the plans of the building, one floor after the other, please be patient."
    tasks = [
        {"match": "shower", "updates": [{"progress": {"stage": "search", "status_text": long}}, {"hang": True}]},
        {"match": "extinguisher", "updates": [{"after_s": 0.3, "result": {"report": "It is by the door."}}]},
    ]
    robot = talk(tasks, "delegation.filler_after_s:=0.5")
    robot.microphone.say("where is the safety shower")
    robot.hear(lambda: bool(robot.said(SpeechChunk.FILLER)), "the filler")
    first = robot.open_tasks
    robot.graph.spin(0.5)
    robot.microphone.say("where is the fire extinguisher")
    robot.hear(lambda: robot.states[-1].floor == "yield", "the robot to stop talking", timeout_s=5.0)
    robot.hear(robot.has_said("It is by the door."), "the answer to the other question", timeout_s=8.0)
    assert not set(first) & set(robot.open_tasks)
    robot.hear(lambda: robot.running() == "0", "the first task to be cancelled", timeout_s=3.0)


def test_robot_goes_on_talking_and_listening_when_a_task_hangs(talk):
    robot = talk([{"updates": [{"hang": True}]}], "delegation.budget_s:=6.0", "delegation.filler_after_s:=30.0")
    robot.type("order some gloves")
    robot.hear(lambda: len(robot.open_tasks) == 1, "the task to be open")
    robot.microphone.say("turn left")
    assert robot.hear(robot.has_said("Turning left."), "the reply") < 4.0
    robot.hear(lambda: bool(robot.intents), "the proposal", timeout_s=1.0)
    robot.hear(robot.has_said("took me too long"), "the end of the task", timeout_s=10.0)


def test_robot_says_so_when_the_background_node_is_killed_and_asks_it_again_when_it_is_back(talk):
    tasks = [
        {"match": "order", "updates": [{"hang": True}]},
        {"match": "where", "updates": [{"result": {"report": "It is there."}}]},
    ]
    robot = talk(tasks, "delegation.filler_after_s:=60.0")
    robot.type("order some gloves")
    robot.hear(lambda: robot.running() == "1", "the background node to work on it")
    os.killpg(robot.background.pid, signal.SIGKILL)
    took_s = robot.hear(robot.has_said("stopped working"), "the robot to say so")
    assert took_s < 3.0 + 2.0  # it knows after 3 s without a sign of life
    robot.type("where are they")
    robot.hear(lambda: robot.states[-1].active_delegations == [] and len(robot.said()) > 1, "the robot to say so again")
    robot.graph.start_background(*robot.background_options, log="background2.log")
    robot.type("where are they")
    robot.hear(robot.has_said("It is there."), "the answer of the restarted node")


def test_robot_says_so_when_there_is_no_background_node(graph, talk):
    robot = talk([])
    robot.graph.stop(robot.background)
    robot.type("order some gloves")
    assert robot.hear(robot.has_said("I have nobody to ask at the moment."), "the robot to say so") < 1.0 + 2.0


def test_lab_questions_are_answered_when_they_are_spoken(talk):
    offline = ("backend:=offline", "documents:=config/lab/documents", "skills_file:=config/lab/skills.yaml")
    robot = talk(background=offline)
    ended_s = robot.microphone.say("where is the eye wash station?")
    robot.hear(robot.has_said("eye wash station is"), "the answer")
    heard_s = time.time() - ended_s
    answer = next(c for c in robot.speech if c.kind == SpeechChunk.BACKGROUND)
    print(f"answered {heard_s:.2f} s after the question, by the stamp {stamp_s(answer.header.stamp) - ended_s:.2f} s")
    assert heard_s < 1.5
    robot.hear(lambda: "lab map" in " ".join(robot.said()), "the source")
    robot.hear(lambda: robot.states[-1].agent_state == SessionState.AGENT_LISTENING, "the robot to end")
    robot.microphone.say("prepare station two for titration")
    robot.hear(lambda: len(robot.intents) >= 4, "the plan")
    plan = [(intent.intent, json.loads(intent.data)) for intent in robot.intents]
    assert plan[0] == ("__intent_bring_object__", {"object": "goggles", "recipient": "speaker"})
    assert ("__intent_place_object__", {"object": "burette", "recipient": "station two"}) in plan
    ends = [stamp_s(intent.expires_at) for intent in robot.intents]
    assert ends == sorted(ends)
    assert all(intent.requires_confirmation for intent in robot.intents)
