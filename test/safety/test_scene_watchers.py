"""The watchers together on rendered scenes and made sounds: one that is broken fails here, whatever its parts say."""

import json

import numpy as np
import pytest
import soundfile

from tml_ros.cli.main import main
from tml_ros.evaluation.safety_scenes import alerts_of, score
from tml_ros.evaluation.safety_sounds import make_sound, score_sounds
from tml_ros.sights import SightKind, make_scene


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


def test_films_are_refused_when_the_folder_has_no_labels(tmp_path, capsys):
    assert main(["safety", "films", str(tmp_path)]) == 1
    assert "labels.json" in capsys.readouterr().err
