"""Sound in the messages of other projects over real DDS, and sound sent on for Foxglove."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: run `make setup`")
pytest.importorskip("tml_test_interfaces", reason="the messages for tests are not generated: run `make setup`")

import tml_test_interfaces.msg
from diagnostic_msgs.msg import DiagnosticArray

from tml_interfaces.msg import AudioChunk, Transcript
from tml_ros.errors import AudioFormatError
from tml_ros.nodes.audio_messages import check_type
from tml_ros.nodes.foxglove import FoxgloveAudio
from tml_ros.nodes.messages import message_type
from tml_ros.nodes.qos import OUTPUT_QOS
from tml_ros.records import MicroTurn, SpeechKind, SpeechPiece
from tml_ros.session import TurnRecords
from tml_ros.speech import create_synthesiser

COMMAND = "go forward ten meters"


def spoken() -> np.ndarray:
    """The command with a moment of a quiet room around it. [N] int16 at 16 kHz."""
    sound = np.random.default_rng(0).normal(0.0, 20.0, 16_000 * 4)
    voice = create_synthesiser("flite", "slt").synthesise(COMMAND) * 32_767
    sound[4_800 : 4_800 + len(voice)] += voice
    return sound[: 4_800 + len(voice) + 14_400].astype(np.int16)


def test_command_is_heard_when_it_comes_in_messages_of_other_projects(graph):
    np.save(graph.folder / "sound.npy", spoken())
    graph.start_interaction()
    transcripts = graph.collect(Transcript, "transcript", OUTPUT_QOS["transcript"])
    statuses = graph.collect(DiagnosticArray, "/diagnostics", 10)
    script = Path(__file__).with_name("foreign_microphone.py")
    kinds = ("floats", "bytes", "typed", "array")
    graph.start(str(script), str(graph.folder / "sound.npy"), *kinds, log="driver.log")

    def heard() -> list[str]:
        return [one.text for one in transcripts if one.final and one.speaker == "user"]

    graph.wait(lambda: len(heard()) == 3, "three commands", timeout_s=30.0)
    assert heard() == [COMMAND] * 3
    graph.client.create_publisher(AudioChunk, "audio/in", 10)
    graph.wait(lambda: "only tml_interfaces/msg/AudioChunk is heard" in graph.log_text(), "the warning", 10.0)
    assert "carries std_msgs/msg/Float32MultiArray, which is not read" in graph.log_text()
    values = {pair.key: pair.value for pair in statuses[-1].status[0].values}
    assert values["refused_audio_in"] == "1"


@pytest.mark.parametrize(
    ("type_name", "words"),
    [
        ("absent_msgs/msg/AudioStamped", "cannot be imported here .*source the workspace"),
        ("tml_interfaces/msg/AudioStamped", "cannot be imported here .*the one that the driver belongs to"),
        ("audio_common_msgs/msg/AudioData", r"not read; take the driver's stamped topic \(audio_stamped\)"),
        ("sensor_msgs/msg/Image", "expected AudioChunk of tml_interfaces, AudioDataStamped of ros-drivers"),
    ],
)
def test_type_is_refused_with_the_remedy_when_it_cannot_be_read(type_name, words):
    with pytest.raises(AudioFormatError, match=f"/audio carries {type_name}.*{words}"):
        check_type("/audio", type_name)


@pytest.fixture
def foxglove_msgs(monkeypatch):
    """The package by its real name, as far as it is needed."""
    monkeypatch.setitem(sys.modules, "foxglove_msgs", SimpleNamespace(msg=tml_test_interfaces.msg))
    monkeypatch.setitem(sys.modules, "foxglove_msgs.msg", tml_test_interfaces.msg)
    yield
    message_type.cache_clear()


def test_sound_is_sent_on_when_foxglove_is_there(graph, foxglove_msgs):
    forwarder = FoxgloveAudio(graph.client)
    raw_audio = tml_test_interfaces.msg.RawAudio
    heard, said = (graph.collect(raw_audio, f"foxglove/{name}") for name in ("heard", "said"))
    samples = np.linspace(-1.0, 0.5, 3_200, dtype=np.float32)
    turn = MicroTurn(5, 1_200_000_000, 1_400_000_000, samples, 1.0)
    piece = SpeechPiece(1_500_000_000, "s", 5, 1, 0, SpeechKind.REPLY, "yes", samples[:100])
    graph.wait(lambda: all(one.get_subscription_count() for one in forwarder._publishers), "the subscriptions")
    forwarder.publish(TurnRecords(turn, (piece,)))
    graph.wait(lambda: bool(heard) and bool(said), "sound")
    assert np.abs(np.frombuffer(heard[0].data, "<i2") / 32_768 - samples).max() < 1e-4
    assert (heard[0].format, heard[0].sample_rate, heard[0].number_of_channels) == ("pcm-s16", 16_000, 1)
    assert (heard[0].timestamp.sec, heard[0].timestamp.nanosec) == (1, 200_000_000)
    assert (said[0].timestamp.nanosec, len(said[0].data)) == (500_000_000, 200)
    forwarder.close()


def test_nothing_is_sent_on_and_it_is_said_when_foxglove_is_not_there(graph, capfd):
    forwarder = FoxgloveAudio(graph.client)
    forwarder.publish(TurnRecords(MicroTurn(0, 0, 1, np.ones(1, np.float32), 1.0), ()))
    assert "install or source foxglove_msgs" in capfd.readouterr().err
