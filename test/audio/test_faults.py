"""Devices that are absent, unplugged in the middle of a sentence, held by others or changed: both nodes stay up.

Everything over real DDS and a sound server whose sinks come and go; what is heard is read from the sinks.
"""

import itertools
import threading
import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: run `make setup`")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from tml_interfaces.msg import AudioChunk, PlaybackStatus, SpeechChunk
from tml_ros.nodes.messages import fill
from tml_ros.nodes.qos import OUTPUT_QOS

RATE_HZ = 16_000
PIECE = RATE_HZ // 5
NODES = {"audio_capture": "microphone", "speech_player": "loudspeaker"}
LOST_S = 6.0  # for a node to notice that a device is gone, to look for it, and to say so


class Mouth:
    """Says a tone of 440 Hz in pieces of 200 ms, one ahead of the time, as one utterance."""

    _numbers = itertools.count(1)

    def __init__(self, graph) -> None:
        self._publisher = graph.client.create_publisher(SpeechChunk, "speech", OUTPUT_QOS["speech"])
        graph.wait(lambda: self._publisher.get_subscription_count() > 0, "a player")
        self._is_over = threading.Event()
        self._utterance = next(self._numbers)

    def __enter__(self) -> "Mouth":
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        began, number, is_last = time.monotonic(), 0, False
        while not is_last:
            is_last = self._is_over.wait(max(0.0, began + (number - 1) * 0.2 - time.monotonic()))
            tone = 0.3 * np.sin(2 * np.pi * 440 * (np.arange(PIECE) + number * PIECE) / RATE_HZ)
            tree = {
                "session_id": "faults",
                "utterance_id": self._utterance,
                "seq": number,
                "text": "a",
                "priority": 128,
                "interruptible": True,
                "last": is_last,
                "audio": {
                    "sample_rate": RATE_HZ,
                    "channels": 1,
                    "encoding": "S16LE",
                    "data": (tone * 32_767).astype("<i2").tobytes(),
                },
            }
            self._publisher.publish(fill(SpeechChunk(), tree))
            number += 1


class Watch:
    """Both device nodes, and what they publish."""

    def __init__(self, graph) -> None:
        self.graph = graph
        self.health = graph.collect(DiagnosticArray, "/diagnostics", 50)
        self.heard = graph.collect(AudioChunk, "audio/in", 100)
        self.played = graph.collect(AudioChunk, "audio/reference", 100)
        self.reports = graph.collect(PlaybackStatus, "playback", 100)
        self.processes = {
            node: graph.start(
                *("-m", f"tml_ros.nodes.{node}", "--ros-args", "-r", "__ns:=/tml", "-p", f"device:={device}"),
                log=f"{node}.log",
            )
            for node, device in NODES.items()
        }
        for node in NODES:
            graph.wait(lambda node=node: graph.state(node) == "active", f"{node} to be active")

    def newest(self, node: str) -> DiagnosticStatus:
        for message in reversed(self.health):
            for status in message.status:
                if status.name.startswith(node):
                    return status
        return DiagnosticStatus()

    def wait_for(self, node: str, is_well: bool) -> tuple[float, str]:
        """Wait until a node says that it is well, or that it is not; return how long that took, and its words."""
        began, before = time.monotonic(), len(self.health)

        def is_so() -> bool:
            if len(self.health) == before:
                return False
            return (self.newest(node).level == DiagnosticStatus.ERROR) != is_well

        self.graph.wait(is_so, f"{node} to be {'well' if is_well else 'in trouble'}", timeout_s=LOST_S)
        assert self.processes[node].poll() is None, self.graph.log_text(f"{node}.log")
        return time.monotonic() - began, self.newest(node).message

    def wait_for_more(self, received: list, number: int, what: str) -> float:
        began, wanted = time.monotonic(), len(received) + number
        self.graph.wait(lambda: len(received) >= wanted, what, timeout_s=LOST_S)
        return time.monotonic() - began


@pytest.fixture(scope="module")
def watch(graph, server):
    own = server.environment()
    graph.environment |= {name: own[name] for name in own if name.startswith(("PULSE_", "ALSA_", "XDG_RUNTIME_DIR"))}
    server.set_devices({})
    yield Watch(graph)
    for node in NODES:
        print(f"--- {node}\n{graph.log_text(f'{node}.log')}")


def is_tone(sound: np.ndarray) -> bool:
    """Tell whether the louder half of a recording at 48 kHz is the tone."""
    loud = sound[np.abs(sound) > 0.02]
    if len(loud) < len(sound) // 4:
        return False
    spectrum = np.abs(np.fft.rfft(sound))
    return abs(float(np.argmax(spectrum)) * 48_000 / len(sound) - 440.0) < 10.0


def test_nodes_wait_and_say_so_when_there_is_no_device_at_all(watch):
    told = {node: watch.wait_for(node, is_well=False) for node in NODES}
    print(f"no device: {[words for _, words in told.values()]}")
    assert all(node in NODES and len(words) > 20 for node, (_, words) in told.items())
    assert watch.heard == watch.played == []


def test_speech_is_heard_when_the_loudspeaker_is_plugged_in_later(watch, server, audio):
    server.set_devices({"microphone": "robot_room.monitor", "loudspeaker": "robot_speaker"})
    server.add_sink("robot_speaker")
    took_s, _ = watch.wait_for("speech_player", is_well=True)
    with Mouth(watch.graph):
        watch.graph.spin(0.6)
        assert is_tone(audio("pulse").record("robot_speaker.monitor", 0.5, server))
    print(f"loudspeaker plugged in: well after {took_s:.1f} s")


def test_speech_is_heard_again_when_the_loudspeaker_goes_in_the_middle_of_a_sentence(watch, server, audio):
    # There is no other sink: the server would move the stream there, and the player would not notice.
    streams = {chunk.stream_id for chunk in watch.played}
    with Mouth(watch.graph):
        watch.graph.spin(0.6)
        server.remove_sink("robot_speaker")
        gone_s, words = watch.wait_for("speech_player", is_well=False)
        server.add_sink("robot_speaker")
        back_s, _ = watch.wait_for("speech_player", is_well=True)
    with Mouth(watch.graph):
        watch.graph.spin(0.6)
        assert is_tone(audio("pulse").record("robot_speaker.monitor", 0.5, server))
    print(f"loudspeaker unplugged: said after {gone_s:.1f} s {words!r}, well {back_s:.1f} s after its return")
    assert {chunk.stream_id for chunk in watch.played} > streams


def test_sound_comes_when_the_microphone_is_plugged_in_later(watch, server):
    server.add_sink("robot_room")
    took_s, _ = watch.wait_for("audio_capture", is_well=True)
    watch.wait_for_more(watch.heard, 10, "sound from the microphone")
    print(f"microphone plugged in: well after {took_s:.1f} s")


def test_microphone_begins_a_new_stream_when_it_was_unplugged(watch, server):
    watch.wait_for_more(watch.heard, 5, "sound from the microphone")
    before = watch.heard[-1].stream_id
    server.remove_sink("robot_room")
    gone_s, words = watch.wait_for("audio_capture", is_well=False)
    server.add_sink("robot_room", rate_hz=8_000)  # not the same one: this one has another rate
    began = time.monotonic()
    watch.graph.wait(lambda: watch.heard[-1].stream_id != before, "the new stream", timeout_s=LOST_S)
    back_s = time.monotonic() - began
    print(f"microphone unplugged: said after {gone_s:.1f} s {words!r}, hears {back_s:.1f} s after its return")
    fresh = [chunk for chunk in watch.heard if chunk.stream_id != before]
    assert any(chunk.first_sample == 0 for chunk in fresh)


def test_nodes_recover_when_another_program_holds_the_devices(watch, server):
    server.suspend("robot_speaker")
    server.suspend("robot_room")
    told = {node: watch.wait_for(node, is_well=False) for node in NODES}
    server.suspend("robot_speaker", False)
    server.suspend("robot_room", False)
    took = [watch.wait_for(node, is_well=True)[0] for node in NODES]
    watch.wait_for_more(watch.heard, 10, "sound from the microphone")
    watch.wait_for_more(watch.played, 10, "what is played")
    print(f"held by others: {[words for _, words in told.values()]}, well after {took[0]:.1f} and {took[1]:.1f} s")


def test_nodes_recover_when_the_sound_server_crashes(watch, server):
    server.stop()
    told = {node: watch.wait_for(node, is_well=False) for node in NODES}
    server.start()
    server.add_sink("robot_room")
    server.add_sink("robot_speaker")
    took = [watch.wait_for(node, is_well=True)[0] for node in NODES]
    watch.wait_for_more(watch.heard, 10, "sound from the microphone")
    watch.wait_for_more(watch.played, 10, "what is played")
    print(f"server crashed: {[words for _, words in told.values()]}, well after {took[0]:.1f} and {took[1]:.1f} s")
