"""Golden files: written, held against a replay, and told apart in words."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tml_ros.cli.main import main
from tml_ros.errors import ConfigError, InputError
from tml_ros.replay import ReplayOptions, load_scene, make_bag
from tml_ros.replay.golden import FIELDS, Golden, compare, golden_path, make_golden, read_golden

TALK = ReplayOptions(values={"model": "always_talk"})
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bag(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("golden")
    (folder / "scene.yaml").write_text(
        "duration_s: 2\naudio:\n  - {at_s: 0.0, noise: white, gain_db: -60, until_s: 2}\n"
        'text:\n  - {at_s: 0.5, text: "go forward two meters"}\n'
    )
    make_bag(load_scene(folder / "scene.yaml"), folder / "bag")
    return folder / "bag"


@pytest.fixture(scope="module")
def golden(bag) -> Golden:
    return make_golden(bag, TALK)[0]


def edited(golden: Golden, number: int, **fields: object) -> Golden:
    turns = list(golden.turns)
    turns[number] = dict(turns[number]) | fields
    return replace(golden, turns=tuple(turns))


def test_every_micro_turn_has_a_line_without_wall_clock_when_a_bag_is_played(golden, bag, tmp_path):
    golden.write(tmp_path / "a.jsonl")
    make_golden(bag, TALK)[0].write(tmp_path / "b.jsonl")
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    assert read_golden(tmp_path / "a.jsonl") == golden
    assert [turn["turn"] for turn in golden.turns] == list(range(10))
    assert all(set(turn) == set(FIELDS) for turn in golden.turns)
    assert golden.turns[0]["said"].startswith("I am talking") and golden.turns[0]["sound"]


def test_nothing_differs_when_nothing_has_changed(golden):
    assert compare(golden.turns, golden.turns) is None


def test_only_the_digest_differs_when_what_changed_is_shown_nowhere_else(golden, bag):
    seeded, _ = make_golden(bag, ReplayOptions(values={"model": "always_talk", "seed": 7}))  # other names of sessions
    assert [name for name, *_ in compare(golden.turns, seeded.turns).fields] == ["digest"]
    assert compare(golden.turns, seeded.turns, ["digest"]) is None


def test_first_difference_is_told_with_both_values_when_two_micro_turns_differ(golden):
    changed = edited(edited(golden, 4, said="I turn left.", intents=["a", "b"]), 7, floor="yield")
    difference = compare(golden.turns, edited(changed, 2, heard="hello").turns, ignore=["heard"])
    assert (difference.turn, difference.at_s, difference.differing, difference.of) == (4, 0.8, 2, 10)
    assert difference.fields == (("said", "", "I turn left."), ("intents", [], ["a", "b"]))
    assert str(difference).splitlines() == [
        "micro-turn 4 (0.8 to 1.0 s) is the first of 2 that differ, of 10",
        "  said    - nothing",
        "          + I turn left.",
        "  intents - nothing",
        "          + a; b",
    ]


def test_hashes_are_explained_and_can_be_ignored_when_only_they_differ(golden):
    changed = edited(golden, 0, sound="0" * 16, digest="1" * 16).turns
    text = str(compare(golden.turns, changed))
    assert "--ignore sound" in text and "0000" not in text
    assert compare(golden.turns, changed, ["sound", "digest"]) is None


@pytest.mark.parametrize("shorter", ["expected", "got"])
def test_missing_micro_turns_are_a_difference_when_one_side_ends_early(golden, shorter):
    sides = (golden.turns[:-2], golden.turns) if shorter == "expected" else (golden.turns, golden.turns[:-2])
    difference = compare(*sides)
    assert (difference.turn, difference.differing) == (8, 2)
    assert difference.fields == (("micro-turns", len(sides[0]), len(sides[1])),)


def test_field_is_refused_with_the_nearest_when_there_is_none_to_ignore(golden):
    with pytest.raises(ConfigError, match="did you mean 'sound'"):
        compare(golden.turns, golden.turns, ["sounds"])


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "golden.jsonl:1: no JSON"),
        (["[]"], "golden.jsonl:1: expected an object"),
        (['{"tml_golden": 9}'], "golden.jsonl:1: expected a golden file of version 1, got 9"),
        (['{"tml_golden": 1, "values": 3, "topics": {}}'], "golden.jsonl:1: values must be an object, got 3"),
        (['{"tml_golden": 1, "values": {}, "topics": {}}', '{"turn": 0}'], "golden.jsonl:2: missing or unknown: agent"),
        (['{"tml_golden": 1, "values": {}, "topics": {}}', "{"], "golden.jsonl:2: no JSON"),
    ],
)
def test_line_is_named_when_a_golden_file_is_damaged(lines, said, tmp_path):
    path = tmp_path / "golden.jsonl"
    path.write_text("\n".join(lines))
    with pytest.raises(InputError) as error:
        read_golden(path)
    assert said in str(error.value)


def test_file_of_others_is_left_alone_when_it_is_where_the_golden_file_should_go(golden, tmp_path):
    path = tmp_path / "thesis.jsonl"
    path.write_text("years of work")
    with pytest.raises(ConfigError, match="is there and no golden file"):
        golden.write(path)
    assert path.read_text() == "years of work"


def test_command_ends_with_zero_only_when_the_bag_gives_what_is_expected(bag, tmp_path, capsys):
    path = tmp_path / "out.jsonl"
    assert main(["golden", str(bag), "--model", "always_talk", "--out", str(path)]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["micro_turns"] == 10
    assert main(["replay", str(bag), "--expect", str(path), "--json"]) == 0  # the model is the file's
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (line["expectation"], line["model"]) == ({"met": True, "first": None}, "always_talk")
    edited(read_golden(path), 3, said="I turn left.").write(path)
    assert main(["replay", str(bag), "--expect", str(path)]) == 1
    shown = capsys.readouterr().out.splitlines()
    assert "micro-turn 3 (0.6 to 0.8 s) is the first of 1 that differ, of 10" in shown
    assert json.loads(shown[-1])["expectation"]["first"]["fields"]["said"] == {"expected": "I turn left.", "got": ""}
    assert main(["replay", str(bag), "--expect", str(path), "--model", "silence", "--json"]) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--expect", "nowhere.jsonl"], "cannot read golden file nowhere.jsonl"),
        (["--ignore", "sound"], "give --expect GOLDEN"),
    ],
)
def test_command_says_what_is_wrong_when_it_cannot_compare(bag, arguments, said, capsys):
    assert main(["replay", str(bag), *arguments]) == 1
    assert said in capsys.readouterr().err


TESTS = """
def test_greeting(tml_bag):
    tml_bag("bag")

def test_answer(tml_bag):
    assert tml_bag("bag", "other.jsonl", model="silence").model == "silence"

def test_new(tml_bag):
    tml_bag("bag", "new.jsonl", params="robot.yaml")
"""


def test_robot_team_has_its_bags_in_its_tests_when_the_plugin_is_installed(bag, golden, tmp_path):
    def run(*arguments: str) -> str:
        environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "pytest", "-q", "-p", "tml_ros.pytest_plugin", "-p", "no:cacheprovider"]
        done = subprocess.run([*command, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True)
        return done.stdout

    (tmp_path / "bag").symlink_to(bag)
    (tmp_path / "robot.yaml").write_text("/**:\n  ros__parameters: {model: silence, autostart: true}\n")
    (tmp_path / "test_robot.py").write_text(TESTS)
    edited(golden, 3, said="I turn left.").write(golden_path((tmp_path / "bag").absolute()))
    make_golden(bag, ReplayOptions(values={"model": "silence"}))[0].write(tmp_path / "other.jsonl")
    shown = run()
    assert "2 failed, 1 passed" in shown and "Traceback" not in shown and "exception" not in shown
    assert "bag does not give what was expected: micro-turn 3 (0.6 to 0.8 s)" in shown
    assert "  said - I turn left." in shown and "bag: cannot read golden file" in shown
    assert "3 passed" in run("--tml-update")
    assert read_golden(golden_path(tmp_path / "bag")) == golden
    assert read_golden(tmp_path / "new.jsonl").values == {"model": "silence"}
