"""The main job from end to end: scene, bag, node, DDS, timeline, recording, report."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: run `make setup`")

from tml_ros.bags import BagReader
from tml_ros.records import SpeechCommand


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess]:
    folder = tmp_path_factory.mktemp("demo")
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    environment = {k: v for k, v in os.environ.items() if k != "ROS_DOMAIN_ID"} | {"PYTHONPATH": path}
    command = [sys.executable, "-m", "tml_ros.cli.main", "demo", "--out", str(folder / "out"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "out", done


@pytest.mark.timeout(150)
def test_replies_follow_the_right_words_when_the_demo_runs(demo):
    result = json.loads(demo[1].stdout.splitlines()[-1])
    heard = [t["text"] for t in result["transcript"]]
    for words in ("hello robot", "what can you do", "what do you see", "turn left"):
        assert words in heard
    replies = {}
    for said in result["utterances"]:
        before = [t for t in result["transcript"] if t["end_s"] <= said["start_s"]]
        if before:
            replies.setdefault(before[-1]["text"], (said["text"], said["start_s"] - before[-1]["end_s"]))
    assert replies["hello robot"][0] == "Hello."
    assert "left" in replies["turn left"][0]
    assert all(0.0 <= delay <= 2.0 for text, delay in replies.values() if text)
    assert "__intent_turn_by__" in [i["intent"] for i in result["intents"]]
    assert result["missing_samples"] == 0


def test_speech_is_cut_when_the_person_interrupts_in_the_demo(demo):
    with BagReader(demo[0] / "recording") as reader:
        controls = list(reader.messages(["/tml/speech/control"]))
    commands = [m.message.command for m in controls if m.message.command != SpeechCommand.PAUSE]  # a doubt before it
    assert commands[:1] == [SpeechCommand.FLUSH]


def test_recording_holds_inputs_and_outputs_when_the_demo_is_over(demo):
    with BagReader(demo[0] / "recording") as reader:
        topics = {name: topic.message_count for name, topic in reader.info.topics.items()}
    assert reader.info.storage == "mcap"
    assert topics["/tml/audio/in"] == 1250
    assert topics["/tml/image/compressed"] >= 240
    assert topics["/tml/micro_turn"] >= 120
    assert topics["/tml/speech"] > 10


def test_report_is_one_file_with_the_words_when_the_demo_is_over(demo):
    page = (demo[0] / "report.html").read_text()
    assert "turn left" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
