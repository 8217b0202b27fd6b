"""Bags through models offline: the same answers every time, faults told apart."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tml_ros.background.inline import InlineBackground
from tml_ros.background.scripted import ScriptedModel
from tml_ros.bags import BagReader, BagWriter
from tml_ros.errors import BagError, ConfigError, ModelError
from tml_ros.replay import ReplayOptions, load_scene, make_bag, replay

SCENE = """\
duration_s: 7
seed: 5
audio:
  - {at_s: 1.0, say: "go forward ten meters", voice: slt}
  - {at_s: 0.0, noise: white, gain_db: -60, until_s: 7}
video:
  - {at_s: 0.0, render: bench, rate_hz: 5}
text:
  - {at_s: 5.0, text: "what do you see?"}
"""
T0 = 1_700_000_000_000_000_000


@pytest.fixture(scope="module")
def bag(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bag")
    (folder / "scene.yaml").write_text(SCENE)
    make_bag(load_scene(folder / "scene.yaml"), folder / "bag")
    return folder / "bag"


def cli(*arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "tml_ros.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, cwd=Path(__file__).parents[2])


def test_reply_and_intent_follow_the_words_when_a_command_is_spoken(bag):
    result = replay(bag, ReplayOptions()).as_dict()
    assert [t["text"] for t in result["transcript"]] == ["go forward ten meters"]
    assert result["intents"][0]["data"]["other_data"] or result["intents"][0]["data"]
    heard, said = result["transcript"][0], result["utterances"][0]
    assert 0.0 <= said["start_s"] - heard["end_s"] <= 1.5
    assert said["end_s"] > said["start_s"]
    assert "forward" in said["text"].lower()
    assert len(result["utterances"]) == 2
    assert result["utterances"][1]["start_s"] >= 5.0
    assert (result["windows"], result["missing_samples"], result["late_messages"]) == (35, 0, 0)


def test_digest_is_the_same_when_two_processes_replay_the_same_bag(bag, tmp_path):
    lines = []
    for _ in range(2):
        done = cli("replay", str(bag), "--json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        lines.append(json.loads(done.stdout.splitlines()[-1]))
    keys = {
        "alerts",
        "deadline_missed",
        "digest",
        "echo",
        "frames",
        "intents",
        "late_messages",
        "missing_samples",
        "model",
        "realtime_factor",
        "tasks",
        "transcript",
        "utterances",
        "windows",
    }
    assert set(lines[0]) == keys
    assert lines[0]["digest"] == lines[1]["digest"]
    for line in lines:
        del line["realtime_factor"], line["deadline_missed"]
    assert lines[0] == lines[1]


def test_digest_differs_when_one_sample_or_the_seed_differs(bag, tmp_path, audio_bag):
    quiet = audio_bag(tmp_path / "quiet", [{}] * 50)
    loud = audio_bag(tmp_path / "gap", [{}] * 20 + [{"first_sample": 20 * 320 + 5}] + [{}] * 29)
    options = ReplayOptions(values={"model": "silence"})
    assert replay(quiet, options).digest != replay(loud, options).digest
    seeded = ReplayOptions(values={"model": "silence", "seed": 7})
    assert replay(quiet, options).digest != replay(quiet, seeded).digest
    assert replay(quiet, options).digest == replay(quiet, options).digest


def test_published_records_are_in_the_bag_when_out_is_given(bag, tmp_path):
    out = tmp_path / "out"
    done = cli("replay", str(bag), "--out", str(out), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads((out / "result.json").read_text())
    assert json.loads(done.stdout.splitlines()[-1])["digest"] == result["digest"]
    assert "go forward ten meters" in (out / "report.html").read_text()
    with BagReader(out / "bag") as reader:
        messages = list(reader.messages())
    by_topic = {
        topic: [m.message for m in messages if m.topic == f"/tml/{topic}"] for topic in ("speech", "micro_turn")
    }
    assert len(by_topic["micro_turn"]) == result["windows"]
    assert sum(len(m.audio.data) for m in by_topic["speech"]) > 32_000


def test_answers_are_later_by_the_compute_when_paced(bag, tmp_path):
    short = tmp_path / "short"
    (tmp_path / "s.yaml").write_text("duration_s: 3\naudio:\n  - {at_s: 0.3, say: 'hello robot', voice: slt}\n")
    make_bag(load_scene(tmp_path / "s.yaml"), short)
    fast, paced = replay(short, ReplayOptions()), replay(short, ReplayOptions(paced=True))
    assert fast.digest == paced.digest
    assert 2.5 <= paced.wall_seconds <= 6.0
    assert paced.log.utterances[0].start_s > fast.log.utterances[0].start_s + 0.05


def test_bag_is_refused_with_its_topics_when_it_holds_neither_sound_nor_pictures(tmp_path):
    with BagWriter(tmp_path / "text") as writer:
        writer.write("/chatter", "std_msgs/msg/String", {"data": "hi"}, T0)
    with pytest.raises(BagError, match=r"neither sound .* nor pictures .*/chatter \(std_msgs/msg/String\)"):
        replay(tmp_path / "text", ReplayOptions(values={"model": "silence"}))


@pytest.mark.parametrize("fault", ["missing", "truncated", "not a bag", "folder"])
def test_command_ends_with_one_line_when_the_bag_cannot_be_read(fault, tmp_path, audio_bag):
    path = tmp_path / "bag"
    if fault == "truncated":
        audio_bag(path, [{}] * 200)
        file = next(path.glob("*.mcap"))
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    elif fault == "not a bag":
        path.write_bytes(b"hello")
    elif fault == "folder":
        path.mkdir()
    done = cli("replay", str(path), "--model", "silence", "--json", cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert str(path) in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_topic_can_be_chosen_and_a_wrong_one_is_named_when_it_is_not_there(tmp_path, audio_bag):
    bag = audio_bag(tmp_path / "bag", [{}] * 50)
    options = ReplayOptions(values={"model": "silence"}, topics={"audio/in": "/tml/audio/in"})
    assert len(replay(bag, options).log.turns) == 5
    with pytest.raises(BagError, match=r"did you mean '/tml/audio/in'"):
        replay(bag, ReplayOptions(values={"model": "silence"}, topics={"audio/in": "/tml/audio/inn"}))


def test_bad_messages_are_counted_and_the_rest_is_used_when_a_bag_holds_some(tmp_path, audio_bag):
    nan = np.full(320, np.nan, "<f4").tobytes()
    chunks: list[dict] = [{}] * 100
    for number, fields in enumerate(
        [
            {"encoding": "OPUS"},
            {"sample_rate": 0},
            {"sample_rate": 2**32 - 1},
            {"data": b""},
            {"channels": 0},
            {"encoding": "F32LE", "data": nan},
        ]
    ):
        chunks[20 + 10 * number] = fields
    log = replay(audio_bag(tmp_path / "bag", chunks), ReplayOptions(values={"model": "silence"})).log
    assert log.counters["refused_audio_in"] == 5
    assert log.counters["nonfinite_samples"] == 320
    assert sum(turn.missing_samples for turn in log.turns) == 5 * 320


def test_unknown_model_is_named_with_the_nearest_when_it_is_asked_for(bag):
    with pytest.raises(ModelError, match="did you mean 'cascade'"):
        replay(bag, ReplayOptions(values={"model": "cascde"}))


def test_genuine_bag_without_our_streams_is_refused_when_replayed(shared_data):
    with pytest.raises(BagError, match="neither sound"):
        replay(shared_data / "bags/rosbag2_py/sqlite3/talker", ReplayOptions(values={"model": "silence"}))


@pytest.fixture(scope="module")
def question_bag(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("question")
    text = "where is the eye wash station?"
    (folder / "scene.yaml").write_text(
        f"duration_s: 5\naudio:\n  - {{at_s: 0.0, noise: white, gain_db: -60, until_s: 5}}\n"
        f'text:\n  - {{at_s: 1.0, text: "{text}"}}\n'
    )
    make_bag(load_scene(folder / "scene.yaml"), folder / "bag")
    return folder / "bag"


def test_question_is_answered_from_the_documents_and_the_same_twice_when_a_bag_asks_it(question_bag):
    first, second = (replay(question_bag, ReplayOptions()) for _ in range(2))
    assert first.digest == second.digest
    (answer,) = first.log.utterances
    assert answer.text.startswith("The eye wash station is") and answer.kind == "BACKGROUND"


@pytest.mark.parametrize(
    ("background", "words"),
    [
        ("none", "I have nobody to ask at the moment."),
        (InlineBackground(ScriptedModel.of({"match": "eye", "updates": [{"result": {"report": "There."}}]})), "There."),
    ],
    ids=["none", "own"],
)
def test_somebody_else_is_asked_when_the_options_say_so(question_bag, background, words):
    result = replay(question_bag, ReplayOptions(background=background))
    assert [said.text for said in result.log.utterances] == [words]


def test_error_names_what_is_possible_when_a_replay_cannot_use_a_background_model(question_bag):
    with pytest.raises(ConfigError, match="offline or none in a replay, got 'openai'"):
        replay(question_bag, ReplayOptions(background="openai"))


UPDATES = [
    {"after_s": 0.5, "progress": {"stage": "search", "status_text": "I look."}},
    {"after_s": 0.5, "partial": "It is here. And"},
    {"after_s": 0.7, "partial": " there."},
    {
        "after_s": 0.1,
        "result": {
            "report": "It is here. And there.",
            "data": {"a": 1},
            "intents": [{"intent": "__intent_turn_by__", "data": {"goal": "left"}}],
            "timers": [{"text": "Go.", "after_s": 0.4}],
            "contradicts": [7],
        },
    },
]


def test_same_is_published_when_a_recorded_talk_is_replayed_without_its_model(question_bag, tmp_path):
    model = ScriptedModel.of({"match": "eye", "updates": UPDATES})
    live = replay(question_bag, ReplayOptions(background=InlineBackground(model), out=tmp_path / "live"))
    assert [i.intent for i in live.log.intents] == ["__intent_turn_by__"]
    recorded = BagWriter(tmp_path / "recorded")
    with BagReader(question_bag) as sounds, BagReader(tmp_path / "live" / "bag") as outputs, recorded as writer:
        for reader in (sounds, outputs):
            for message in reader.messages(raw=True):
                writer.write_raw(message.topic, message.type, message.message, message.log_ns)
    again = replay(tmp_path / "recorded", ReplayOptions())
    assert again.digest == live.digest
    assert replay(tmp_path / "recorded", ReplayOptions(background="offline")).digest != live.digest


def test_robot_says_so_when_the_recording_has_no_such_task(question_bag):
    result = replay(question_bag, ReplayOptions(background="recorded"))
    assert [said.text for said in result.log.utterances] == ["I have nobody to ask at the moment."]


def test_robot_with_intents_of_its_own_can_be_replayed_when_the_plans_of_the_lab_are_not_allowed(
    question_bag, tmp_path
):
    own = tmp_path / "intents.yaml"
    shipped = (Path(__file__).parents[2] / "config/intents.yaml").read_text()
    own.write_text(shipped.replace("goggles: [goggles]", ""))
    result = replay(question_bag, ReplayOptions(values={"intents_file": str(own)}))
    assert result.log.utterances[0].text.startswith("The eye wash station is")
