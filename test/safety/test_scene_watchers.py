"""The watchers together on rendered scenes and made sounds: one that is broken fails here, whatever its parts say."""

import json

import pytest

from tml_ros.cli.main import main
from tml_ros.evaluation.safety_scenes import alerts_of, score
from tml_ros.evaluation.safety_sounds import make_sound, score_sounds
from tml_ros.sights import make_scene


@pytest.mark.parametrize(
    ("seed", "index", "theme", "kinds"),
    [
        (1235, 7, "hazards", {"spill"}),
        (1234, 5, "hazards", {"flame"}),
        (1234, 16, "faults", {"lens_covered"}),
        (1234, 0, "hands", {"hand_in_zone"}),
    ],
)
def test_events_are_found_and_nothing_else_when_a_scene_is_watched(seed, index, theme, kinds):
    scene = make_scene(seed, index, theme)
    truth = scene.truth()
    scores = {}
    assert score(alerts_of(scene, truth), truth, scores, has_zone=bool(scene.zone)) == []
    assert kinds <= {kind for kind, one in scores.items() if one.found}


def test_nothing_is_found_when_nothing_happens():
    scene = make_scene(1234, 7, "quiet", duration_s=10.0)
    assert alerts_of(scene, ()) == []


def test_alarms_are_heard_and_music_is_none_when_sounds_are_made():
    scores = {}
    wrong = score_sounds([make_sound(11, index, []) for index in (0, 3, 4, 9, 14, 22)], scores)
    assert wrong == []
    assert scores["all"].events >= 4


def test_table_and_json_are_printed_when_the_command_scores_scenes(capsys):
    assert main(["safety", "scenes", "--seed", "1234", "--number", "1", "--theme", "hazards"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("| kind | events")
    figures = json.loads(lines[-1])
    assert set(figures["kinds"]) >= {"flame", "spill", "frozen", "lens_covered"}
    assert figures["turn_p50_ms"] > 0
