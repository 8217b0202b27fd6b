"""The report of a shift: alerts, latencies, gaps, stills, from a bag whose truth is known."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from tml_ros.bags import BagWriter
from tml_ros.cli.main import main
from tml_ros.errors import BagError
from tml_ros.evaluation.shift import read_shift
from tml_ros.evaluation.shift_report import render_shift
from tml_ros.records import (
    AgentState,
    AlertState,
    Floor,
    SafetyAlert,
    SessionState,
    SpeechKind,
    SpeechPiece,
    TurnMetrics,
    UserState,
)
from tml_ros.wire import to_tree

S, MS = 1_000_000_000, 1_000_000
START = 1_760_000_000 * S
ALERT = SafetyAlert(
    0, "a1", AlertState.RAISED, 2, "spill", "liquid", "Something was spilled.", 0.9, 0, 0, "Wipe it up."
)
HOSTILE = '</td><script>alert(1)</script>"\u202e\x1b[31m'


class Recording:
    """A bag of 20 s: pictures at 5 Hz, sound in chunks of 100 ms, micro-turns; what a test adds comes in between."""

    def __init__(self, path, *, dark=(9.0, 13.0), deaf=(4.0, 6.0), down=(15.0, 18.0), shade=True):
        self.path = path
        self.items = []
        for tick in range(100):
            at_s = tick * 0.2
            if not dark[0] <= at_s < dark[1]:
                self.see(at_s, 2 * tick if shade else 0)
            if not deaf[0] <= at_s < deaf[1]:
                self.hear(at_s)
            if not down[0] <= at_s < down[1]:
                metrics = TurnMetrics(ns(at_s), "s1", tick, 0.2, 1, 160 if tick == 3 else 0, 1 if tick == 7 else 0, 0.0)
                self.publish(at_s, metrics)

    def add(self, at_s, topic, kind, tree):
        self.items.append((ns(at_s), f"/tml/{topic}", kind, tree))

    def publish(self, at_s, record, **more):
        topic, kind, tree = to_tree(record)
        self.add(at_s, topic, kind, tree | more)

    def see(self, at_s, shade):
        rgb = np.full((48, 64, 3), shade, np.uint8)
        tree = {
            "header": header(at_s),
            "height": 48,
            "width": 64,
            "step": 192,
            "encoding": "rgb8",
            "data": rgb.tobytes(),
        }
        self.add(at_s, "image", "sensor_msgs/msg/Image", tree)

    def hear(self, at_s):
        tree = {"header": header(at_s), "sample_rate": 16_000, "channels": 1, "encoding": "S16LE", "data": bytes(6400)}
        self.add(at_s, "audio/in", "tml_interfaces/msg/AudioChunk", tree)

    def alert(self, at_s, state=AlertState.RAISED, seen_s=None, evidence=(), **values):
        seen_ns = ns(at_s if seen_s is None else seen_s)
        record = replace(
            ALERT, stamp_ns=ns(at_s), state=state, observed_start_ns=seen_ns, observed_end_ns=seen_ns, **values
        )
        self.publish(at_s, record, evidence=[{"format": "jpeg", "data": one} for one in evidence])

    def say(self, at_s, ident, text, kind=SpeechKind.ALERT):
        self.publish(at_s, SpeechPiece(ns(at_s), "s1", 0, ident, 0, kind, text, np.zeros(3200, np.float32), last=True))

    def play(self, at_s, ident, samples):
        tree = {"header": header(at_s), "utterance_id": ident, "state": 1, "samples_played": samples}
        self.add(at_s, "playback", "tml_interfaces/msg/PlaybackStatus", tree)

    def write(self):
        with BagWriter(self.path) as writer:
            for at_ns, topic, kind, tree in sorted(self.items, key=lambda item: item[0]):
                writer.write(topic, kind, tree, at_ns)
        return self.path


def ns(at_s: float) -> int:
    return START + round(at_s * S)


def header(at_s: float) -> dict:
    return {"stamp": {"sec": ns(at_s) // S, "nanosec": ns(at_s) % S}, "frame_id": "bench"}


def colour(jpeg: bytes) -> float:
    return float(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).mean())


@pytest.fixture
def recording(tmp_path):
    return Recording(tmp_path / "shift")


def test_latencies_are_those_of_the_truth_when_alerts_are_spoken(recording):
    recording.alert(2.5, seen_s=2.2)
    recording.say(2.6, 7, "Careful: something was spilled. Wipe it up.")
    recording.play(2.8, 7, 1600)  # 0.1 s of it have left
    recording.alert(3.5, AlertState.ACKNOWLEDGED)
    recording.alert(8.5, AlertState.CLEARED)
    recording.alert(10.0, seen_s=9.5, alert_id="a2", rule="flame", severity=3, description="I see a flame.")
    recording.say(10.1, 8, "Hello there", SpeechKind.REPLY)
    first, second = read_shift(recording.write()).stories
    assert (first.to_topic_s, first.to_sound_s) == pytest.approx((0.3, 0.2))
    assert first.spoken.is_measured
    assert (first.after_s(AlertState.ACKNOWLEDGED), first.after_s(AlertState.CLEARED)) == (1.0, 6.0)
    assert (second.to_topic_s, second.to_sound_s, second.end_ns, second.severity) == (0.5, None, None, 3)


def test_earliest_time_of_speech_counts_when_no_playback_was_recorded(recording):
    recording.alert(2.5)
    recording.say(2.75, 7, "something was spilled")
    (story,) = read_shift(recording.write()).stories
    assert story.to_sound_s == pytest.approx(0.25) and not story.spoken.is_measured


def test_sound_goes_to_the_alert_whose_words_it_has_when_two_are_close(recording):
    recording.alert(2.0)
    recording.alert(2.1, alert_id="a2", rule="flame", description="I see a flame.")
    recording.say(2.3, 7, "I see a flame!")
    recording.say(4.0, 8, "Something was spilled")
    recording.say(4.5, 9, "in other words entirely")
    recording.alert(3.9, alert_id="a3", rule="door", description="The door stands open.")
    spoken = {story.first.alert.rule: story.spoken.text for story in read_shift(recording.write()).stories}
    assert spoken == {"flame": "I see a flame!", "spill": "Something was spilled", "door": "in other words entirely"}


def test_alert_is_two_when_it_is_raised_again_after_it_was_cleared(recording):
    for at_s, state in (
        (1, AlertState.RAISED),
        (2, AlertState.CLEARED),
        (3, AlertState.RAISED),
        (4, AlertState.UPDATED),
    ):
        recording.alert(float(at_s), state)
    stories = read_shift(recording.write()).stories
    assert [[event.alert.state.name for event in story.events] for story in stories] == [
        ["RAISED", "CLEARED"], ["RAISED", "UPDATED"],
    ]  # fmt: skip


def test_gaps_are_found_when_robot_eyes_and_ears_were_away(recording):
    shift = read_shift(recording.write())
    gaps = {
        one.name: [(round(shift.seconds(start), 1), round(shift.seconds(end), 1)) for start, end in one.gaps]
        for one in (shift.robot, shift.sight, shift.hearing)
    }
    assert gaps == {"robot": [(14.8, 18.0)], "sight": [(8.8, 13.0)], "hearing": [(3.8, 6.0)]}
    assert shift.sight.share(shift.duration_s) == pytest.approx(1 - 4.2 / 19.8)
    assert (shift.missing_s, shift.late_messages, shift.sessions) == (0.01, 1, 1)


def test_gap_reaches_the_end_when_a_camera_never_comes_back(tmp_path):
    recording = Recording(tmp_path / "shift", dark=(12.0, 99.0), deaf=(0, 0), down=(0, 0))
    shift = read_shift(recording.write())
    assert [(round(shift.seconds(a), 1), round(shift.seconds(b), 1)) for a, b in shift.sight.gaps] == [(11.8, 19.8)]


def test_no_gap_is_found_when_the_clock_goes_back(recording):
    recording.items = [
        (at_ns if at_ns < ns(10) else at_ns - 3600 * S, *rest) for at_ns, *rest in Recording(
            recording.path, dark=(0, 0), deaf=(0, 0), down=(0, 0)
        ).items
    ]  # fmt: skip
    shift = read_shift(recording.write())
    assert [len(one.gaps) for one in (shift.robot, shift.sight, shift.hearing)] == [1, 1, 1]  # the hour between


def test_degraded_time_is_added_up_when_the_robot_says_so(recording):
    state = SessionState(0, "s1", AgentState.LISTENING, UserState.SILENT, Floor.LISTEN, False, 0, 0, 0)
    for at_s, degraded in ((2.0, True), (3.0, True), (5.0, False), (19.0, True)):
        recording.publish(at_s, replace(state, degraded=degraded))
    assert read_shift(recording.write()).degraded_s == pytest.approx(3.0 + 0.8)


def test_still_is_the_evidence_or_the_nearest_picture_when_an_alert_has_one(recording):
    white = cv2.imencode(".jpg", np.full((48, 64, 3), 250, np.uint8))[1].tobytes()
    recording.alert(2.5, seen_s=2.39)
    recording.alert(5.0, alert_id="a2", evidence=[white])
    recording.alert(10.0, alert_id="a3", seen_s=10.9)  # it is dark from 8.8 to 13.0: that is equally far
    recording.alert(11.0, alert_id="a4", seen_s=11.0)
    recording.alert(12.0, alert_id="a5", seen_s=30.0)
    recording.alert(12.5, alert_id="a6", evidence=[b"no picture"], seen_s=1.0)
    stories = read_shift(recording.write()).stories
    assert [round(colour(story.still)) for story in stories] == pytest.approx([24, 250, 88, 130, 198, 10], abs=3)
    assert [story.still_is_evidence for story in stories] == [False, True, False, False, False, False]


# -------------------------------------------------------------------------------------------------------------- page


class Page(HTMLParser):
    """Complains when elements do not nest."""

    def __init__(self, text):
        super().__init__()
        self.open, self.names = [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_is_whole_and_harmless_when_texts_are_hostile(recording):
    recording.alert(2.5, rule=HOSTILE, description=HOSTILE, alert_id=HOSTILE)
    recording.say(2.6, 1, HOSTILE)
    text = render_shift(read_shift(recording.write()))
    page = Page(text)
    assert "script" not in page.names and "\u202e" not in text and "\x1b" not in text
    assert not re.search(r"https?://|url\(|@import", text)
    assert "advisory, not a safety function" in text
    assert page.names.count("img") == 1 and page.names.count("svg") == 1
    assert text == render_shift(read_shift(recording.path))


def test_page_is_whole_when_there_is_nothing_but_one_message(tmp_path):
    with BagWriter(tmp_path / "one") as writer:
        topic, kind, tree = to_tree(replace(ALERT, stamp_ns=5))
        writer.write(f"/{topic}", kind, tree, 5)
    text = render_shift(read_shift(tmp_path / "one"))
    Page(text)
    assert "Not recorded" in text


def test_command_writes_page_and_figures_when_it_is_called(recording, capsys):
    recording.alert(2.5, seen_s=2.2)
    path = recording.write()
    assert main(["report", str(path)]) == 0
    shown = capsys.readouterr().out.splitlines()
    figures = json.loads(shown[-1])
    assert "advisory, not a safety function" in "\n".join(shown[:-1])
    assert figures["out"] == str(path.with_name("shift.html")) and path.with_name("shift.html").is_file()
    assert figures["latency_ms"]["evidence to alert"] == {"n": 1, "p50": 300.0, "p95": 300.0, "max": 300.0}
    assert figures["alerts"][0]["states"] == ["RAISED"]
    assert main(["report", str(path), "--out", str(path / "x" / "page.html"), "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_bag_is_refused_when_it_has_nothing_of_a_robot(tmp_path):
    with BagWriter(tmp_path / "other") as writer:
        writer.write("/joints", "sensor_msgs/msg/JointState", {}, 1)
    with pytest.raises(BagError, match="nothing that a robot of this package"):
        read_shift(tmp_path / "other")


def test_incident_is_reported_when_it_has_a_bag_and_named_when_it_has_none(tmp_path, helpers, capsys):
    tools = helpers("test/safety/incidents/bench.py")
    bench = tools.Bench(tmp_path / "incidents", replace(tools.CONFIG, max_per_hour=1))
    bench.run(3.0)
    for ident in ("a1", "a2"):
        bench.alert(ident, observed_start_ns=bench.ros_ns - 200 * MS)
        bench.run(4.0)
    bench.store.close()
    whole, summary_only = (bench.folder / name for name in bench.names)
    assert main(["report", str(whole), "--out", str(tmp_path / "page.html")]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (figures["duration_s"], figures["alerts"][0]["to_topic_s"]) == (pytest.approx(4.9), 0.2)
    assert "incident ended" in (tmp_path / "page.html").read_text()
    assert main(["report", str(summary_only)]) == 1
    assert "has no bag (1 bags were begun within an hour" in capsys.readouterr().err
