"""The microphone node over real DDS, on a private PulseAudio whose microphone comes and goes."""

import signal

import numpy as np
import pytest

ACTIVATE, DEACTIVATE = 3, 4  # lifecycle_msgs/Transition


@pytest.fixture
def server(helpers, graph):
    """A sound server that the nodes of the graph see; its microphone is the monitor of ``robot_room``."""
    pulse = helpers("test/audio/pulse.py")
    if missing := pulse.missing_packages():
        pytest.skip(f"run: apt-get install {' '.join(missing)}")
    with pulse.PulseServer() as running:
        own = running.environment()
        graph.environment |= {name: own[name] for name in own if name.startswith(("PULSE_", "ALSA_", "XDG_RUNTIME"))}
        yield running


def start(graph, *parameters: str):
    given = [word for parameter in parameters for word in ("-p", parameter)]
    process = graph.start("-m", "tml_ros.nodes.audio_capture", "--ros-args", "-r", "__ns:=/tml", *given)
    graph.wait(lambda: process.poll() is not None or graph.state("audio_capture") == "active", "the node to be active")
    assert process.poll() is None, graph.log_text()
    return process


def test_microphone_is_published_and_waited_for_when_it_comes_and_goes(graph, server):
    from diagnostic_msgs.msg import DiagnosticArray

    from tml_interfaces.msg import AudioChunk

    chunks, health = graph.collect(AudioChunk, "audio/in", 64), graph.collect(DiagnosticArray, "/diagnostics")
    process = start(graph, "device:=microphone", "rate_hz:=16000", "reopen_s:=0.2", "silent_s:=0.5")

    def newest():
        return health[-1].status[0] if health else None

    def is_level(level: int, word: str) -> bool:
        return newest() is not None and newest().level == bytes([level]) and word in newest().message

    graph.wait(lambda: is_level(2, "cannot be opened"), "a microphone that is absent to be an error")
    assert chunks == []
    server.add_sink("robot_room")
    graph.wait(lambda: len(chunks) >= 50, "sound")
    graph.wait(lambda: is_level(1, "gives no sound"), "silence to be a warning")
    assert {value.key: value.value for value in newest().values}["lost_samples"] == "0"
    server.remove_sink("robot_room")
    graph.wait(lambda: is_level(2, "microphone"), "a microphone that went to be an error")
    assert graph.change_state(DEACTIVATE, "audio_capture")
    server.add_sink("robot_room")
    received = list(chunks)
    assert graph.change_state(ACTIVATE, "audio_capture")
    graph.wait(lambda: len(chunks) > len(received), "sound after it was activated again")
    assert chunks[-1].stream_id != received[0].stream_id
    chunks, first = received, received[0]
    assert [chunk.first_sample for chunk in chunks] == [number * 320 for number in range(len(chunks))]
    assert (first.sample_rate, first.channels, first.encoding, len(first.data)) == (16_000, 1, "S16LE", 640)
    assert first.header.frame_id == "microphone"
    stamps_ms = np.array([chunk.header.stamp.sec % 1000 * 1e3 + chunk.header.stamp.nanosec / 1e6 for chunk in chunks])
    assert np.abs(np.diff(stamps_ms) - 20.0).max() < 8.0
    assert graph.stop(process, signal.SIGTERM) == 0
