"""What belongs to an incident, on a clock that the test moves: before, after, joining, jumps, limits, what is kept."""

import gc
from dataclasses import replace

import numpy as np
import pytest

from tml_ros.bags import typestore
from tml_ros.errors import ConfigError
from tml_ros.records import AlertState
from tml_ros.safety.incidents import IncidentConfig, PictureConfig, read_summary
from tml_ros.safety.incidents.message import SteadyTime

S = 1_000_000_000


def span_s(messages) -> float:
    return (messages[-1].log_ns - messages[0].log_ns) / S


def test_nothing_is_written_when_there_is_no_alert(bench):
    bench.run(5.0)
    bench.recorder.close()
    assert bench.names == []


def test_seconds_before_and_after_are_in_the_bag_when_there_is_an_alert(bench):
    bench.run(5.0)
    at_ns = bench.ros_ns
    bench.alert()
    bench.run(5.0)
    (name,) = bench.names
    assert name.startswith("000001_20250615T150645Z_spill")
    messages = bench.messages(name)
    assert messages[0].log_ns == at_ns - 2 * S
    assert at_ns + 2.8 * S < messages[-1].log_ns < at_ns + 3 * S
    counts = {topic: sum(one.topic == topic for one in messages) for topic in {one.topic for one in messages}}
    assert counts == {"/tml/audio/in": 50, "/tml/image/compressed": 25, "/tml/safety_alert": 1}
    summary = read_summary(bench.folder / name)
    assert summary["messages"] == counts
    assert (summary["has_bag"], summary["end"], summary["note"]) == (
        True,
        "complete",
        "advisory, not a safety function",
    )
    assert (summary["start_ns"], summary["end_ns"]) == (at_ns - 2 * S, at_ns + 3 * S)
    (alert,) = summary["alerts"]
    assert (alert["alert_id"], alert["state"], alert["received_ns"]) == ("a1", "RAISED", at_ns)
    assert bench.recorder.name == ""


def test_messages_are_as_they_came_when_they_are_read_back(bench, tools):
    bench.alert()
    sound = tools.audio(bench.ros_ns)
    for message in (sound, tools.picture(bench.ros_ns)):
        bench.clock.advance_ns(1)
        bench.feed(message)
    bench.recorder.close()
    alert, heard, seen = bench.messages(bench.names[0])
    assert bytes(typestore().serialize_cdr(heard.message, heard.type)) == sound[2]
    assert alert.message.description == "Something was spilled."
    assert (seen.type, seen.message.format, seen.message.header.frame_id) == (
        "sensor_msgs/msg/CompressedImage", "jpeg", "bench",
    )  # fmt: skip
    assert seen.message.header.stamp.sec == bench.ros_ns // S


def test_raw_pictures_stay_raw_when_no_quality_is_given(bench, tools):
    bench.config = replace(bench.config, pictures=PictureConfig(max_rate_hz=100, jpeg_quality=0))
    bench.crash()
    bench.open()
    shot = tools.picture(bench.ros_ns)
    bench.feed(shot)
    bench.clock.advance_ns(S)
    bench.alert()
    bench.recorder.close()
    seen = bench.messages(bench.names[0])[0]
    assert (seen.topic, seen.type) == ("/tml/image", "sensor_msgs/msg/Image")
    assert bytes(typestore().serialize_cdr(seen.message, seen.type)) == shot[2]


def test_pictures_are_thinned_when_the_camera_is_faster(bench):
    bench.config = replace(bench.config, pictures=PictureConfig(max_rate_hz=5.0))
    bench.crash()
    bench.open()
    bench.run(3.0, fps=20, chunks=20)
    bench.alert()
    bench.run(4.0, fps=20, chunks=20)
    seen = [one for one in bench.messages(bench.names[0]) if one.topic.endswith("compressed")]
    assert len(seen) == 25


# --------------------------------------------------------------------------------------------------------- joining


def test_alerts_are_one_incident_when_they_overlap(bench):
    bench.alert("a1")
    bench.run(2.0)
    bench.alert("a2", severity=3, rule="flame")
    bench.run(2.0)
    assert bench.recorder.name
    bench.alert("a1", AlertState.CLEARED)
    bench.run(2.0)
    (name,) = bench.names
    summary = read_summary(bench.folder / name)
    assert [(one["alert_id"], one["state"]) for one in summary["alerts"]] == [
        ("a1", "RAISED"), ("a2", "RAISED"), ("a1", "CLEARED"),
    ]  # fmt: skip
    assert (summary["severity"], summary["rules"], summary["duration_s"]) == (3, ["flame", "spill"], 5.0)


def test_next_incident_begins_when_one_has_its_full_length(bench):
    for number in range(6):
        bench.alert(f"a{number}")
        bench.run(2.0)
    bench.run(5.0)
    first, second = (read_summary(bench.folder / name) for name in bench.names)
    assert (first["duration_s"], len(first["alerts"])) == (8.0, 4)
    assert [one["alert_id"] for one in second["alerts"]] == ["a4", "a5"]


def test_no_incident_begins_when_a_known_alert_is_updated_or_ends(bench):
    bench.alert()
    bench.run(4.0)
    for state in (AlertState.UPDATED, AlertState.ACKNOWLEDGED, AlertState.CLEARED):
        bench.alert(state=state)
        bench.run(1.0)
    (name,) = bench.names
    assert [one["state"] for one in read_summary(bench.folder / name)["alerts"]] == [
        "RAISED", "ACKNOWLEDGED", "CLEARED",
    ]  # fmt: skip


def test_incident_begins_when_a_known_alert_becomes_worse(bench):
    bench.alert(severity=1)
    bench.run(4.0)
    bench.alert(state=AlertState.UPDATED, severity=2)
    bench.run(4.0)
    assert len(bench.names) == 2


def test_incident_begins_when_only_the_update_of_an_alert_was_received(bench):
    bench.alert(state=AlertState.UPDATED)
    bench.run(4.0)
    assert len(bench.names) == 1


def test_end_of_an_alert_is_no_incident_when_nobody_knows_the_alert(bench):
    bench.alert(state=AlertState.CLEARED)
    bench.run(4.0)
    assert bench.names == []


def test_alert_is_no_incident_when_it_is_below_the_severity(bench):
    bench.config = replace(bench.config, min_severity=2)
    bench.crash()
    bench.open()
    bench.alert(severity=1)
    bench.run(4.0)
    assert bench.names == []


def test_only_summaries_are_kept_when_there_are_too_many_in_an_hour(bench):
    bench.config = replace(bench.config, max_per_hour=2)
    bench.crash()
    bench.open()
    for number in range(4):
        bench.alert(f"a{number}")
        bench.run(4.0)
    summaries = [read_summary(bench.folder / name) for name in bench.names]
    assert [one["has_bag"] for one in summaries] == [True, True, False, False]
    assert "max_per_hour" in summaries[2]["why_no_bag"]
    assert [one["alerts"][0]["alert_id"] for one in summaries] == ["a0", "a1", "a2", "a3"]
    bench.clock.advance_ns(3600 * S)
    bench.alert("a4")
    bench.run(4.0)
    assert read_summary(bench.folder / bench.names[-1])["has_bag"]


def test_unreadable_alert_is_counted_when_its_bytes_are_foreign(bench, caplog):
    bench.feed(("/tml/safety_alert", "tml_interfaces/msg/SafetyAlert", b"\x00\x01\x00\x00abc"))
    assert bench.recorder.counters["bad_alerts"] == 1
    assert "begins no incident" in caplog.text


# ----------------------------------------------------------------------------------------------------------- clock


@pytest.mark.parametrize("jump_s", [-3600.0, -5.0, 5.0, 86_400.0, -1e12])
@pytest.mark.parametrize("is_simulated", [False, True])
def test_alert_and_its_seconds_are_kept_when_the_clock_jumps(bench, jump_s, is_simulated):
    bench.is_simulated = is_simulated
    bench.crash()
    bench.open()
    bench.run(3.0)
    bench.offset_ns = max(-bench.clock.now_ns(), bench.offset_ns + round(jump_s * S))
    bench.alert("a1")
    bench.run(1.0)
    bench.offset_ns += 7 * S
    bench.alert("a2")
    bench.run(4.0)
    (name,) = bench.names
    messages = bench.messages(name)
    summary = read_summary(bench.folder / name)
    assert [one["alert_id"] for one in summary["alerts"]] == ["a1", "a2"]
    assert summary["lost"] == {"clock_jumps": 1}  # the other came before the incident
    assert len(messages) == 62 + 30  # 6 s of sound and pictures, two alerts
    assert span_s(messages) == pytest.approx(5.9 if jump_s > -1e11 else 3.9)  # no time lies before 0


def test_steady_time_goes_with_the_simulation_when_it_is_faster_or_pauses():
    steady = SteadyTime(is_simulated=True)
    for number in range(101):
        steady.advance(number * S, number * S // 10)
    assert (steady.now_ns, steady.jumps) == (100 * S, 0)
    for number in range(50):
        steady.advance(100 * S, 10 * S + number * S // 10)
    assert 102 * S < steady.now_ns < 104 * S  # 4.9 s passed, 2 s of which it waited


def test_incident_ends_when_nothing_comes_any_more(bench):
    bench.alert()
    for _ in range(40):
        bench.clock.advance_ns(S // 10)
        bench.recorder.tick(bench.ros_ns, bench.clock.now_ns())
    assert len(bench.names) == 1


# ---------------------------------------------------------------------------------------------------------- memory


def test_memory_is_bounded_and_every_incident_on_disk_when_there_is_one_a_minute(bench):
    """Thirty minutes, on a fast clock."""
    objects = []
    for minute in range(30):
        bench.run(3.0, fps=2, chunks=5)
        bench.alert(f"a{minute}")
        bench.run(4.0, fps=2, chunks=5)
        bench.clock.advance_ns(53 * S)
        if minute in (9, 29):
            gc.collect()
            objects.append(len(gc.get_objects()))
    assert [name.partition("_")[0] for name in bench.names] == [f"{number:06d}" for number in range(1, 31)]
    assert all(read_summary(bench.folder / name)["has_bag"] for name in bench.names)
    assert objects[1] - objects[0] < 20 * 10  # of an incident its name, size and alerts are remembered, nothing else


def test_ring_gives_way_when_pictures_are_larger_than_its_memory(bench, tools):
    bench.config = replace(bench.config, ring_mb=1.0, pictures=PictureConfig(max_rate_hz=100, jpeg_quality=0))
    bench.crash()
    bench.open()
    large = np.zeros((240, 320, 3), np.uint8)
    for _ in range(20):
        bench.feed(tools.picture(bench.ros_ns, large))
        bench.feed(tools.audio(bench.ros_ns))
        bench.clock.advance_ns(S // 20)
    assert bench.recorder.ring_bytes < 1_000_000
    bench.alert()
    bench.recorder.close()
    summary = read_summary(bench.folder / bench.names[0])
    assert summary["messages"] == {"/tml/audio/in": 20, "/tml/image": 3, "/tml/safety_alert": 1}


# ------------------------------------------------------------------------------------------------------ parameters


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"enabled": True, "folder": " "}, "folder is empty"),
        ({"after_s": 30.0, "max_s": 20.0}, r"max_s must be at least after_s \(30\), got 20"),
        ({"pictures": PictureConfig(blur_faces=True, jpeg_quality=0)}, "blur_faces needs JPEGs"),
    ],
)
def test_parameters_are_refused_when_they_contradict_each_other(values, words):
    with pytest.raises(ConfigError, match=words):
        IncidentConfig(**values)
