"""Somebody who talks to a robot: a microphone that runs, typed text, and everything that the robot publishes."""

import threading
import time
from itertools import count

import numpy as np
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from std_msgs.msg import String

from tml_interfaces.msg import ActionIntent, AudioChunk, DelegationEvent, SessionState, SpeechChunk, Transcript
from tml_ros.nodes.messages import fill
from tml_ros.nodes.qos import OUTPUT_QOS
from tml_ros.speech import create_synthesiser

CHUNK = 320


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
        self.delegations = graph.collect(DelegationEvent, "delegation", OUTPUT_QOS["delegation"])
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
