"""The incident recorder over real DDS: an alert becomes a bag, off means off, a latched alert is not missed."""

import signal

from tml_ros.bags import BagReader
from tml_ros.safety.incidents import read_summary


def start(graph, *parameters: str):
    given = [word for parameter in parameters for word in ("-p", parameter)]
    process = graph.start("-m", "tml_ros.nodes.incident_recorder", "--ros-args", "-r", "__ns:=/tml", *given)
    graph.wait(lambda: process.poll() is not None or graph.state("incident_recorder") == "active", "the node")
    assert process.poll() is None, graph.log_text()
    return process


def test_alerts_are_a_bag_when_one_came_before_the_recorder_was_there(graph, tmp_path):
    from sensor_msgs.msg import Image

    from tml_interfaces.msg import AudioChunk, SafetyAlert
    from tml_ros.nodes.qos import OUTPUT_QOS

    alerts = graph.client.create_publisher(SafetyAlert, "safety_alert", OUTPUT_QOS["safety_alert"])
    sounds = graph.client.create_publisher(AudioChunk, "audio/in", 10)
    pictures = graph.client.create_publisher(Image, "image", 5)
    alerts.publish(SafetyAlert(alert_id="a1", rule="spill", severity=2, description="Something was spilled."))
    folder = tmp_path / "incidents"
    process = start(graph, "enabled:=true", f"folder:={folder}", "after_s:=2.0", "disk.reserve_mb:=0.0")
    picture = Image(height=480, width=640, step=1920, encoding="rgb8", data=bytes(640 * 480 * 3))
    sound = AudioChunk(sample_rate=16_000, channels=1, encoding="S16LE", stream_id="m", data=bytes(640))
    graph.wait(lambda: bool(list(folder.glob(".open/*.json"))), "the latched alert to be noted")
    alerts.publish(SafetyAlert(alert_id="a2", rule="flame", severity=3))

    def whole() -> list:
        pictures.publish(picture)
        sounds.publish(sound)
        return [path for path in folder.iterdir() if path.name[0] != "."]

    graph.wait(lambda: bool(whole()), "the incident to be on disk", 30.0)
    (incident,) = whole()
    with BagReader(incident) as bag:
        counts = {name: topic.message_count for name, topic in bag.info.topics.items()}
        assert len(list(bag.messages())) == bag.info.message_count
    assert counts["/tml/safety_alert"] == 2 and counts["/tml/audio/in"] > 5 and counts["/tml/image/compressed"] > 5
    assert read_summary(incident)["rules"] == ["flame", "spill"]
    assert graph.stop(process, signal.SIGTERM) == 0


def test_nothing_is_heard_or_written_when_recording_is_not_switched_on(graph, tmp_path):
    process = start(graph, f"folder:={tmp_path / 'incidents'}")
    subscribed = [graph.client.count_subscribers(f"/tml/{topic}") for topic in ("image", "audio/in", "safety_alert")]
    assert subscribed == [0, 0, 0] and not (tmp_path / "incidents").exists()
    assert graph.stop(process) == 0
