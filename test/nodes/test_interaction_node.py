"""The interaction node over real DDS: lifecycle, parameters, services, bad input, a spoken command."""

import array
import json
import signal

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: run `make setup`")

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import DescribeParameters, SetParameters
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger

from tml_interfaces.msg import ActionIntent, AudioChunk, MicroTurnMetrics, SessionState, SpeechChunk, Transcript
from tml_ros.nodes.messages import fill
from tml_ros.nodes.qos import OUTPUT_QOS
from tml_ros.replay import load_scene, make_bag

T0_S = 1_000_000


def audio(number: int, *, samples: np.ndarray | None = None, **fields) -> AudioChunk:
    """The number-th chunk of 20 ms of a 16 kHz stream that began at T0_S."""
    samples = np.zeros(320, np.int16) if samples is None else samples
    nanoseconds = number * 20_000_000
    tree = {
        "header": {"stamp": {"sec": T0_S + nanoseconds // 10**9, "nanosec": nanoseconds % 10**9}},
        "stream_id": "mic",
        "first_sample": number * 320,
        "sample_rate": 16_000,
        "channels": 1,
        "encoding": "S16LE",
        "data": samples.astype("<i2").tobytes(),
    }
    return fill(AudioChunk(), tree | fields)


def counters(status) -> dict[str, str]:
    return {pair.key: pair.value for pair in status.values}


def publish_all(graph, publisher, messages, *, every_s: float = 0.0) -> None:
    graph.wait(lambda: publisher.get_subscription_count() > 0, "a subscriber")
    for message in messages:
        publisher.publish(message)
        graph.spin(every_s)


def test_lifecycle_is_walked_through_when_a_manager_drives_it(graph):
    process = graph.start_interaction("model:=silence", "autostart:=false", active=False)
    for transition, state in [
        (Transition.TRANSITION_CONFIGURE, "inactive"),
        (Transition.TRANSITION_ACTIVATE, "active"),
        (Transition.TRANSITION_DEACTIVATE, "inactive"),
        (Transition.TRANSITION_ACTIVATE, "active"),
        (Transition.TRANSITION_DEACTIVATE, "inactive"),
        (Transition.TRANSITION_CLEANUP, "unconfigured"),
        (Transition.TRANSITION_CONFIGURE, "inactive"),
    ]:
        assert graph.change_state(transition)
        assert graph.state() == state
    assert graph.stop(process) == 0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_node_ends_cleanly_when_it_is_told_to_stop(graph, how):
    process = graph.start_interaction("model:=silence")
    assert graph.stop(process, how) == 0
    assert "Traceback" not in graph.log_text()


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ("window.latenes_ms:=20", "did you mean 'window.lateness_ms'"),
        ("window.lateness_ms:=-5", "window.lateness_ms"),
        ("model:=cascad", "did you mean 'cascade'"),
        ("speech.synthesiser:=festival", "speech.synthesiser must be one of"),
        ("intents_file:=/nowhere.yaml", "/nowhere.yaml"),
    ],
)
def test_node_says_what_is_wrong_and_ends_when_a_parameter_is_bad(graph, parameter, message):
    process = graph.start("-m", "tml_ros.nodes.interaction", "--ros-args", "-p", "model:=silence", "-p", parameter)
    assert process.wait(60.0) == 1
    assert message in graph.log_text()
    assert "Traceback" not in graph.log_text()


def test_parameters_are_described_and_guarded_when_they_are_set_at_run_time(graph):
    graph.start_interaction("model:=silence")
    described = graph.call(
        DescribeParameters, "interaction/describe_parameters", DescribeParameters.Request(names=["window.lateness_ms"])
    )
    descriptor = described.descriptors[0]
    assert "[ms]" in descriptor.description
    assert (descriptor.integer_range[0].from_value, descriptor.integer_range[0].to_value) == (0, 2000)
    value = ParameterValue(type=ParameterType.PARAMETER_INTEGER, integer_value=99_999)
    request = SetParameters.Request(parameters=[Parameter(name="window.lateness_ms", value=value)])
    assert not graph.call(SetParameters, "interaction/set_parameters", request).results[0].successful


def test_every_sample_arrives_when_sound_is_published(graph):
    graph.start_interaction("model:=silence")
    metrics = graph.collect(MicroTurnMetrics, "micro_turn", OUTPUT_QOS["micro_turn"])
    states = graph.collect(SessionState, "session_state", OUTPUT_QOS["session_state"])
    publisher = graph.client.create_publisher(AudioChunk, "audio/in", 64)
    publish_all(graph, publisher, [audio(n) for n in range(200)], every_s=0.005)
    graph.wait(lambda: len(metrics) >= 18, "18 micro-turns")
    assert [m.window_seq for m in metrics] == list(range(len(metrics)))
    assert [m.missing_samples for m in metrics] == [0] * len(metrics)
    assert len({m.session_id for m in metrics}) == 1
    assert states[-1].session_id == metrics[0].session_id
    first = metrics[0].header.stamp
    assert (first.sec, first.nanosec) == (T0_S, 200_000_000)


def test_native_model_runs_in_the_node_when_it_is_chosen(graph):
    graph.start_interaction("model:=native", "native.temperature:=1.0")
    metrics = graph.collect(MicroTurnMetrics, "micro_turn", OUTPUT_QOS["micro_turn"])
    publisher = graph.client.create_publisher(AudioChunk, "audio/in", 64)
    publish_all(graph, publisher, [audio(n) for n in range(120)], every_s=0.01)
    graph.wait(lambda: len(metrics) >= 10, "10 micro-turns")
    assert [m.window_seq for m in metrics] == list(range(len(metrics)))
    counters = {counter.key: int(counter.value) for counter in metrics[-1].counters}
    assert counters["model_text_tokens"] >= 10 and "model_errors" not in counters
    assert "tiny is not trained" in graph.log_text()


def test_bad_messages_are_refused_counted_and_survived_when_they_come(graph):
    process = graph.start_interaction("model:=silence")
    statuses = graph.collect(DiagnosticArray, "/diagnostics", 10)
    metrics = graph.collect(MicroTurnMetrics, "micro_turn", OUTPUT_QOS["micro_turn"])
    nan = np.full(320, np.nan, "<f4").tobytes()
    bad_audio = [
        audio(0, encoding="MP3"),
        audio(0, sample_rate=0),
        audio(0, sample_rate=4_000_000_000),
        audio(0, channels=0),
        audio(0, data=b""),
        audio(0, data=b"\0" * 641),
    ]
    sound = graph.client.create_publisher(AudioChunk, "audio/in", 64)
    pictures = graph.client.create_publisher(Image, "image", 5)
    compressed = graph.client.create_publisher(CompressedImage, "image/compressed", 5)
    text = graph.client.create_publisher(String, "text/in", 10)
    publish_all(
        graph,
        sound,
        [*bad_audio, audio(0, encoding="F32LE", data=nan), *(audio(n) for n in range(1, 60))],
        every_s=0.002,
    )
    stamp = {"stamp": {"sec": T0_S + 1}}
    truncated = fill(Image(), {"header": stamp, "width": 640, "height": 480, "step": 1920, "encoding": "bgr8"})
    truncated.data = array.array("B", b"\0" * 1000)
    publish_all(graph, pictures, [truncated, fill(Image(), {"header": stamp, "encoding": "rgb9"})])
    publish_all(
        graph, compressed, [fill(CompressedImage(), {"header": stamp, "format": "jpeg", "data": b"\xff\xd8\xff"})]
    )
    publish_all(graph, text, [String(data="  ")])
    publish_all(graph, sound, [audio(n) for n in range(60, 200)], every_s=0.005)
    graph.wait(lambda: len(metrics) >= 15, "micro-turns after the bad messages")
    statuses.clear()
    graph.wait(lambda: any(s.status[0].name.startswith("interaction") for s in statuses), "a diagnostic")
    status = statuses[-1].status[0]
    seen = counters(status)
    assert status.level == b"\x01"
    assert seen["refused_audio_in"] == "6"
    assert seen["nonfinite_samples"] == "320"
    assert int(seen["refused_image"]) == 2
    assert int(seen.get("refused_image_compressed", 0)) + int(seen.get("bad_images", 0)) == 1
    assert seen["refused_text_in"] == "1"
    assert "MP3" in graph.log_text() and "S16LE" in graph.log_text()
    assert process.poll() is None
    assert sum(m.missing_samples for m in metrics[:15]) == 0


def test_new_session_begins_when_it_is_reset_or_the_clock_jumps_back(graph):
    graph.start_interaction("model:=silence")
    metrics = graph.collect(MicroTurnMetrics, "micro_turn", OUTPUT_QOS["micro_turn"])
    publisher = graph.client.create_publisher(AudioChunk, "audio/in", 64)
    publish_all(graph, publisher, [audio(n) for n in range(250, 350)], every_s=0.003)
    graph.wait(lambda: len(metrics) >= 8, "the first session")
    assert graph.call(Trigger, "interaction/reset", Trigger.Request()).success
    publish_all(graph, publisher, [audio(n) for n in range(350, 450)], every_s=0.003)
    graph.wait(lambda: len({m.session_id for m in metrics}) == 2, "the second session")
    publish_all(graph, publisher, [audio(n) for n in range(100)], every_s=0.003)
    graph.wait(lambda: len({m.session_id for m in metrics}) == 3, "the third session")


def test_muted_microphone_hears_nothing_and_says_so_when_it_is_muted(graph):
    graph.start_interaction("model:=silence")
    states = graph.collect(SessionState, "session_state", OUTPUT_QOS["session_state"])
    assert graph.call(SetBool, "interaction/mute", SetBool.Request(data=True)).success
    publisher = graph.client.create_publisher(AudioChunk, "audio/in", 64)
    publish_all(graph, publisher, [audio(n) for n in range(50)], every_s=0.003)
    graph.wait(lambda: bool(states) and states[-1].mic_muted, "the muted state")


def test_best_effort_microphone_is_heard_when_the_driver_offers_no_more(graph):
    from rclpy.qos import QoSProfile, ReliabilityPolicy

    graph.start_interaction("model:=silence")
    metrics = graph.collect(MicroTurnMetrics, "micro_turn", OUTPUT_QOS["micro_turn"])
    sensor = QoSProfile(depth=64, reliability=ReliabilityPolicy.BEST_EFFORT)
    publisher = graph.client.create_publisher(AudioChunk, "audio/in", sensor)
    publish_all(graph, publisher, [audio(n) for n in range(150)], every_s=0.005)
    graph.wait(lambda: len(metrics) >= 10, "micro-turns")


def test_spoken_command_becomes_speech_and_an_intent_when_a_bag_is_played(graph):
    scene = graph.folder / "scene.yaml"
    scene.write_text(
        "duration_s: 6\naudio:\n  - {at_s: 1.0, say: 'go forward ten meters', voice: slt}\n"
        "  - {at_s: 0.0, noise: white, gain_db: -60, until_s: 6}\n"
        "video:\n  - {at_s: 0.0, render: bench, rate_hz: 10}\n"
    )
    make_bag(load_scene(scene), graph.folder / "bag")
    graph.start_interaction("use_sim_time:=true")
    transcripts = graph.collect(Transcript, "transcript", OUTPUT_QOS["transcript"])
    speech = graph.collect(SpeechChunk, "speech", OUTPUT_QOS["speech"])
    intents = graph.collect(ActionIntent, "action_intent", OUTPUT_QOS["action_intent"])
    metrics = graph.collect(MicroTurnMetrics, "micro_turn", OUTPUT_QOS["micro_turn"])
    player = graph.start(
        "-m", "tml_ros.cli.main", "bag", "play", str(graph.folder / "bag"), "--wait-for", "10", log="p.log"
    )
    graph.wait(lambda: player.poll() is not None, "the end of the bag")
    graph.spin(1.0)
    assert player.returncode == 0, graph.log_text("p.log")
    heard = [t for t in transcripts if t.final and t.speaker == "user"]
    assert [t.text for t in heard] == ["go forward ten meters"]
    assert len(intents) == 1
    assert json.loads(intents[0].data)["other_data"] or intents[0].data
    assert intents[0].expires_at.sec >= intents[0].header.stamp.sec
    assert speech, "the robot said nothing"
    end = heard[0].end.sec + heard[0].end.nanosec * 1e-9
    began = speech[0].header.stamp.sec + speech[0].header.stamp.nanosec * 1e-9
    assert 0.0 <= began - end <= 2.0
    assert sum(len(piece.audio.data) for piece in speech) > 16_000
    assert speech[-1].last
    assert sum(m.missing_samples for m in metrics[2:]) == 0
    assert max(m.frames for m in metrics) >= 1
