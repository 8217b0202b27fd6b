"""The incident recorder over real DDS: an alert becomes a bag, off means off, a latched alert is not missed."""

import signal

import numpy as np

from tml_ros.bags import BagReader
from tml_ros.safety.incidents import read_summary


def start(graph, *parameters: str):
    given = [word for parameter in parameters for word in ("-p", parameter)]
    process = graph.start("-m", "tml_ros.nodes.incident_recorder", "--ros-args", "-r", "__ns:=/tml", *given)
    graph.wait(lambda: process.poll() is not None or graph.state("incident_recorder") == "active", "the node")
    assert process.poll() is None, graph.log_text()
    return process


def test_alert_is_a_bag_when_it_came_before_the_recorder_was_there(graph, tmp_path):
    from sensor_msgs.msg import Image

    from tml_interfaces.msg import AudioChunk, SafetyAlert
    from tml_ros.nodes.qos import OUTPUT_QOS

    alerts = graph.client.create_publisher(SafetyAlert, "safety_alert", OUTPUT_QOS["safety_alert"])
    sounds = graph.client.create_publisher(AudioChunk, "audio/in", 10)
    pictures = graph.client.create_publisher(Image, "image", 5)
    folder = tmp_path / "incidents"
    process = start(graph, "enabled:=true", f"folder:={folder}", "after_s:=1.5", "disk.reserve_mb:=0.0")
    rgb = np.zeros((480, 640, 3), np.uint8)
    picture = Image(height=480, width=640, step=1920, encoding="rgb8", data=rgb.tobytes())
    sound = AudioChunk(sample_rate=16_000, channels=1, encoding="S16LE", stream_id="m", data=bytes(640))
    graph.wait(lambda: pictures.get_subscription_count() and sounds.get_subscription_count(), "the recorder to listen")
    for number in range(60):
        pictures.publish(picture)
        sounds.publish(sound)
        graph.spin(0.03)
        if number == 20:
            alerts.publish(SafetyAlert(alert_id="a1", rule="spill", severity=2, description="Something was spilled."))
    whole = lambda: [path for path in folder.iterdir() if path.name[0] != "."]  # noqa: E731
    graph.wait(whole, "the incident to be on disk", 20.0)
    (incident,) = whole()
    with BagReader(incident) as bag:
        topics = {name: topic.message_count for name, topic in bag.info.topics.items()}
        assert len(list(bag.messages())) == bag.info.message_count
    assert topics["/tml/safety_alert"] == 1 and topics["/tml/audio/in"] > 30 and topics["/tml/image/compressed"] > 8
    assert read_summary(incident)["rules"] == ["spill"]
    assert graph.stop(process, signal.SIGTERM) == 0
    # the alert is latched: a recorder that starts again knows it, one with another folder records it
    other = tmp_path / "other"
    process = start(graph, "enabled:=true", f"folder:={other}", "after_s:=0.5", "disk.reserve_mb:=0.0")
    graph.wait(lambda: other.is_dir() and any(path.name[0] != "." for path in other.iterdir()), "the latched alert")
    graph.stop(process)


def test_nothing_is_heard_or_written_when_recording_is_not_switched_on(graph, tmp_path):
    process = start(graph, f"folder:={tmp_path / 'incidents'}")
    subscribed = [graph.client.count_subscribers(f"/tml/{topic}") for topic in ("image", "audio/in", "safety_alert")]
    assert subscribed == [0, 0, 0] and not (tmp_path / "incidents").exists()
    assert graph.stop(process) == 0
