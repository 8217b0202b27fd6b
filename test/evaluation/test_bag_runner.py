"""Bags beside scenarios: what they gave before is given again, and whatever is not so is named."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tml_ros.cli.main import main
from tml_ros.errors import SceneError
from tml_ros.evaluation.campaign import Campaign
from tml_ros.evaluation.results import Observation, Verdict
from tml_ros.evaluation.runner import ModelSpec
from tml_ros.evaluation.scenario import load_suite
from tml_ros.evaluation.workers import Job, LocalEngine, Workbench
from tml_ros.replay import ReplayOptions, load_scene, make_bag
from tml_ros.replay.golden import make_golden, read_golden

TALK = ModelSpec("always_talk", "always_talk")
SUITE = """\
version: 1
suite: robot
title: bags of a robot
thresholds:
  - {measure: golden_match, at_least: 1.0}
bags:
  - {bag: greeting, golden: greeting.golden.jsonl}
  - bag: greeting
    golden: changed.jsonl
    name: other
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with a bag, its golden file and one in which a micro-turn is changed."""
    folder = tmp_path_factory.mktemp("bags")
    (folder / "scene.yaml").write_text(
        "duration_s: 2\naudio:\n  - {at_s: 0.0, noise: white, gain_db: -60, until_s: 2}\n"
        'text:\n  - {at_s: 0.5, text: "go forward two meters"}\n'
    )
    make_bag(load_scene(folder / "scene.yaml"), folder / "greeting")
    golden, _ = make_golden(folder / "greeting", ReplayOptions(values={"model": "always_talk", "seed": 7}))
    golden.write(folder / "greeting.golden.jsonl")
    turns = list(golden.turns)
    turns[3] = dict(turns[3]) | {"said": "I turn left."}
    replace(golden, turns=tuple(turns)).write(folder / "changed.jsonl")
    return folder


@pytest.fixture
def folder(made, tmp_path) -> Path:
    """A suite beside links to them, so that each test may damage its own."""
    for path in made.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "robot.yaml").write_text(SUITE)
    return tmp_path


def jobs(folder: Path, spec: ModelSpec = TALK) -> list[Job]:
    return [Job(spec, one) for one in load_suite(folder / "robot.yaml").scenarios]


def test_bag_passes_when_it_gives_what_its_golden_file_says(folder):
    job = jobs(folder)[0]
    run = Workbench().run(job).run
    assert (job.key, job.scenario.duration_s) == (("robot", "greeting", "always_talk"), 2.0)
    assert (run.result.verdict, run.result.seconds) == (Verdict.PASSED, 2.0)  # with the golden file's seed
    assert [(one.name, one.passed) for one in run.result.checks] == [("as before", True)]
    assert run.result.observations == (Observation("golden_match", 1.0),)
    assert len(run.frames) == 10 and len(run.heard) == 0


def test_bag_fails_with_the_first_difference_when_the_golden_file_says_something_else(folder):
    (check,) = (result := Workbench().run(jobs(folder)[1]).run.result).checks
    assert (result.verdict, check.passed, check.at_s) == (Verdict.FAILED, False, 0.6)
    assert check.detail == (
        "micro-turn 3 (0.6 to 0.8 s): said '', expected 'I turn left.'; the first of 1 that differ, of 10"
    )
    assert result.observations == (Observation("golden_match", 0.0),)


def test_parameters_of_the_evaluation_come_before_those_of_the_golden_file(folder):
    (check,) = Workbench().run(jobs(folder, ModelSpec("always_talk", "always_talk", {"seed": 8}))[0]).run.result.checks
    assert "micro-turn 0 (0.0 to 0.2 s): digest" in check.detail
    assert Workbench().run(jobs(folder, ModelSpec("silence", "silence"))[0]).run.result.verdict is Verdict.FAILED


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("greeting.golden.jsonl", "{", "InputError: {folder}/greeting.golden.jsonl:1: no JSON"),
        ("greeting.golden.jsonl", None, "InputError: cannot read golden file"),
        ("greeting", "no bag", "BagError: "),
        ("greeting", None, "BagError: "),
    ],
)
def test_bag_is_an_error_when_it_or_its_golden_file_is_damaged_or_gone(folder, made, name, text, says):
    (folder / name).unlink()
    (folder / name).write_text(text or "")
    job = jobs(folder)[0]
    if text is None:
        (folder / name).unlink()
    result = Workbench().run(job).run.result
    assert (result.verdict, result.checks, result.observations) == (Verdict.ERROR, (), ())
    assert result.error.startswith(says.format(folder=folder)) and "\n" not in result.error


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "says"),
    [
        ("golden: changed", "goldn: changed", 9, "bags[1].goldn", "did you mean 'golden'"),
        ("    golden: changed.jsonl\n", "", 8, "bags[1]", "expected the key 'golden'"),
        ("golden: changed", "golden: chagned", 9, "bags[1].golden", "no file 'chagned.jsonl' in"),
        ("- bag: greeting", "- bag: meeting", 8, "bags[1].bag", "no file 'meeting' in"),
        ("name: other", "name: greeting", 10, "bags[1].name", "'greeting' is taken"),
    ],
)
def test_error_names_file_line_and_key_when_an_entry_is_wrong(folder, old, new, line, key, says):
    path = folder / "robot.yaml"
    path.write_text(SUITE.replace(old, new))
    with pytest.raises(SceneError) as caught:
        load_suite(path)
    assert str(caught.value).startswith(f"{path}:{line}: {key}: ") and says in str(caught.value)


def test_another_run_is_asked_for_when_a_golden_file_has_changed(folder):
    before = Campaign((load_suite(folder / "robot.yaml"),), (TALK,)).asked()
    assert Campaign((load_suite(folder / "robot.yaml"),), (TALK,)).asked() == before
    (folder / "changed.jsonl").unlink()
    read_golden(folder / "greeting.golden.jsonl").write(folder / "changed.jsonl")
    assert Campaign((load_suite(folder / "robot.yaml"),), (TALK,)).asked() != before


def test_results_are_those_of_one_process_when_two_workers_share_the_bags(folder):
    bench = Workbench()
    alone = [json.dumps(bench.run(one).run.result.to_json()) for one in jobs(folder)]
    shared = [json.dumps(one.run.result.to_json()) for one in LocalEngine(2).run(jobs(folder))]
    assert sorted(shared) == sorted(alone)


def test_command_names_the_difference_and_misses_the_threshold_when_a_bag_differs(folder, capsys):
    command = ["eval", str(folder / "robot.yaml"), "--model", "always_talk", "--no-baselines", "--workers", "1"]
    assert main([*command, "--out", str(folder / "out")]) == 1
    shown = capsys.readouterr().out
    assert "robot/other always_talk: as before: micro-turn 3" in " ".join(shown.split())
    figures = json.loads(shown.splitlines()[-1])["models"]["always_talk"]
    assert figures["golden_match"] == {"figure": 0.5, "hits": 1, "trials": 2}
    assert "as before" in (folder / "out" / "report.html").read_text(encoding="utf-8")
