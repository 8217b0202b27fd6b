"""``tml label`` and ``tml train --bags`` as a person calls them: what was heard as a table, and refusals that help."""

import json
from pathlib import Path

import pytest

from tml_ros.cli.main import main
from tml_ros.errors import InputError
from tml_ros.intents.labels import Label, read_labels, write_labels
from tml_ros.replay import load_scene, make_bag

SCENE = """
duration_s: 5
audio:
  - {at_s: 0.0, noise: white, gain_db: -60}
  - {at_s: 0.6, say: "turn left", voice: "flite:slt"}
  - {at_s: 2.6, say: "turn around", voice: "flite:slt"}
"""


@pytest.fixture(scope="module")
def bag(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bags")
    (folder / "scene.yaml").write_text(SCENE)
    make_bag(load_scene(folder / "scene.yaml"), folder / "talk")
    return folder / "talk"


def test_turns_are_found_with_what_the_cascade_heard_when_a_bag_is_labelled(bag, capsys):
    assert main(["label", str(bag), "--json"]) == 0
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    table = bag.with_name("talk.labels.csv")
    assert line == {"labels": str(table), "turns": 2, "with_words": 2}
    first, second = read_labels(table)
    assert 0.5 < first.start_s < 0.8 < first.end_s < 1.6 and 2.5 < second.start_s < 2.8
    assert (first.said, first.intent, first.data) == ("turn left", "__intent_turn_by__", {"goal": "left"})
    assert (second.said, second.intent, second.reply) == (
        "turn around",
        "__intent_turn_by__",
        "Turning around.",
    )
    assert main(["label", str(bag)]) == 1 and "--force" in capsys.readouterr().err


def test_words_and_meaning_are_those_that_are_given_when_every_turn_says_the_same(bag, tmp_path, capsys):
    out = tmp_path / "out.csv"
    assert main(["label", str(bag), "--said", "go home", "--model", "silence", "--out", str(out), "--json"]) == 0
    assert [(one.said, one.intent) for one in read_labels(out)] == [("go home", "__intent_move_to__")] * 2


def test_table_comes_back_when_it_is_written(tmp_path):
    labels = [Label(0.5, 1.25, "bring it, now", "__intent_x__", {"goal": "left", "n": 2}, "Yes, sir.", ""), Label(2, 3)]
    write_labels(tmp_path / "labels.csv", labels)
    assert read_labels(tmp_path / "labels.csv") == labels


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("2.0,1.0,go,,,,", r"csv:2: expected 0 <= start_s < end_s, got 2 and 1"),
        ("a,1.0,go,,,,", "csv:2: could not convert"),
        ("0,1.0,go,x,[1],,", "data must be a JSON object"),
    ],
)
def test_line_is_named_when_it_is_wrong(tmp_path, line, reason):
    path = tmp_path / "labels.csv"
    path.write_text(f"start_s,end_s,said,intent,data,reply,task\n{line}\n")
    with pytest.raises(InputError, match=reason):
        read_labels(path)


def test_reason_is_told_when_nothing_is_labelled_or_an_option_is_missing(tmp_path, capsys):
    assert main(["train", "--bags", str(tmp_path)]) == 1
    assert "--from CHECKPOINT" in capsys.readouterr().err
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "parts.json").write_text('{"format": 1, "parts": []}')
    (tmp_path / "corpus" / "sound.i16").write_bytes(b"\0\0")
    command = ["train", "--from", "tiny", "--bags", str(tmp_path), "--corpus", str(tmp_path / "corpus")]
    assert main(command) == 1
    assert "tml label BAG" in capsys.readouterr().err
