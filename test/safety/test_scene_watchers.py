"""The watchers together on rendered scenes and made sounds: one that is broken fails here, whatever its parts say."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile

from tml_ros.bags import BagReader
from tml_ros.cli.main import main
from tml_ros.evaluation.film_bags import TOPIC
from tml_ros.evaluation.safety_scenes import alerts_of, score
from tml_ros.evaluation.safety_sounds import make_sound, score_sounds
from tml_ros.sights import SightKind, make_scene

sys.path.insert(0, str(Path(__file__).parent))
from safety_scenes import noisy, room


@pytest.mark.parametrize(
    ("seed", "index", "theme", "kind"),
    [
        (1235, 4, "hazards", "spill"),
        (1235, 3, "hazards", "flame"),
        (1234, 4, "faults", "lens_covered"),
        (1234, 0, "hands", "hand_in_zone"),
    ],
)
def test_events_are_found_and_nothing_else_when_a_scene_is_watched(seed, index, theme, kind):
    scene = make_scene(seed, index, theme, duration_s=8.0)
    truth = [event for event in scene.truth() if event.kind is not SightKind.OBJECT_AWAY]
    scores = {}
    assert score(alerts_of(scene, truth), truth, scores, has_zone=bool(scene.zone)) == []
    assert scores[kind].found == 1


def test_alarms_are_heard_and_music_is_none_when_sounds_are_made():
    scores = {}
    wrong = score_sounds([make_sound(11, index, []) for index in (0, 9, 14, 27)], scores)
    assert wrong == []
    assert scores["all"].events == 4


def test_table_and_json_are_printed_when_the_command_scores_sounds(tmp_path, capsys):
    soundfile.write(tmp_path / "talk.wav", np.random.default_rng(0).normal(0.0, 0.05, 32_000), 16_000)
    assert main(["safety", "sounds", "--seed", "11", "--number", "1", "--talk", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("| kind | events")
    figures = json.loads(lines[-1])
    assert figures["kinds"]["all"]["found"] == figures["kinds"]["all"]["events"] == 1


def test_events_of_films_are_found_in_the_bags_when_bags_are_made_of_them(tmp_path, capsys):
    writer = cv2.VideoWriter(str(tmp_path / "desk.avi"), cv2.VideoWriter.fourcc(*"FFV1"), 10.0, (160, 120))
    for number in range(40):
        picture = noisy(room(), number)
        if number >= 20:
            picture[40:110, 20:60] = (60, 40, 150)
        writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    writer.release()
    event = {"kind": "hand_in_zone", "begin_s": 2.0, "end_s": 4.0}
    labels = {"desk.avi": {"zone": [[0, 0], [1, 0], [1, 1], [0, 1]], "truth": [event]}}
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    command = ["safety", "films", str(tmp_path), "--bags", str(tmp_path / "bags")]
    for _ in range(2):  # the bags are there already
        assert main(command) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[2].startswith("| desk.avi | hand_in_zone | 2.0 to 4.0 s | 2.")
        kinds = json.loads(lines[-1])["kinds"]
        assert {kind: (one["found"], one["false"]) for kind, one in kinds.items() if one["events"] or one["false"]} == {
            "hand_in_zone": (1, 0)
        }
    with BagReader(tmp_path / "bags" / "desk_10hz") as bag:
        assert bag.info.topics[TOPIC].message_count == 40


def test_films_are_refused_when_the_folder_has_no_labels(tmp_path, capsys):
    assert main(["safety", "films", str(tmp_path)]) == 1
    assert "labels.json" in capsys.readouterr().err
