"""``tml eval`` as a person calls it: the same verdicts every time, exit codes, the last line, a run that was killed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tml_ros.cli.main import main

TEXTS = {"first": "hello", "bad": "crash", "second": "good bye", "third": "one two", "fourth": "three"}


@pytest.fixture(scope="module")
def faulty(helpers):
    """The models that fail when they are told to."""
    return helpers("test/evaluation/faulty_models.py")


@pytest.fixture
def plugins(faulty, tmp_path, monkeypatch) -> Path:
    """A folder on the path with these models, and with the working directory in it."""
    monkeypatch.syspath_prepend(faulty.install(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def last_line(capsys) -> dict:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_verdicts_are_the_same_bytes_when_the_number_of_workers_differs(plugins, faulty, capsys):
    faulty.write_suite(plugins / "typed.yaml", TEXTS)
    found = set()
    for run, workers in enumerate(("1", "2", "4")):
        command = [
            "eval",
            "typed.yaml",
            "--model",
            "parrot",
            "--no-baselines",
            "--workers",
            workers,
            "--out",
            f"run{run}",
        ]
        assert main([*command, "--json"]) == 1  # one scenario is an error
        found.add((plugins / f"run{run}" / "verdicts.jsonl").read_bytes())
    (verdicts,) = found
    results = {one["scenario"]: one for one in map(json.loads, verdicts.splitlines())}
    assert list(results) == sorted(TEXTS)
    assert results["bad"]["verdict"] == "error" and "ill" in results["bad"]["error"]
    assert {one["verdict"] for name, one in results.items() if name != "bad"} == {"passed"}


def test_last_line_has_figure_hits_and_trials_and_baselines_stand_beside_when_a_run_ends(plugins, faulty, capsys):
    faulty.write_suite(plugins / "typed.yaml", {"first": "hello"})
    assert main(["eval", "typed.yaml", "--model", "parrot"]) == 0
    line = last_line(capsys)
    assert list(line["models"]) == ["always_talk", "echo", "parrot", "silence"]
    assert line["models"]["parrot"]["turn_taking_tor"] == {"figure": 1.0, "hits": 1, "trials": 1}
    assert line["models"]["silence"]["turn_taking_tor"] == {"figure": 0.0, "hits": 0, "trials": 1}
    assert line["good"] and line["missed"] == [] and line["errors"] == 0
    assert line == json.loads((plugins / "tml_eval" / "summary.json").read_text())
    assert (plugins / "tml_eval" / "report.html").stat().st_size > 10_000
    frames = (plugins / "tml_eval/frames/typed/first/parrot.jsonl").read_text().splitlines()
    assert len(frames) == 8
    assert {"stamp_ns", "wall_ns"} <= json.loads(frames[0]).keys()


def test_exit_code_is_1_and_it_is_said_what_got_worse_when_a_threshold_is_missed(plugins, faulty, capsys):
    faulty.write_suite(plugins / "typed.yaml", {"first": "hello", "second": "bye"})
    command = ["eval", "typed.yaml", "--model", "parrot", "--no-baselines", "--workers", "1"]
    assert main([*command, "--out", "old"]) == 0
    faulty.write_suite(plugins / "typed.yaml", {"first": "hello", "second": "bye"}, wanted="never said")
    assert main([*command, "--out", "new", "--against", "old", "--markdown", "results.md"]) == 1
    line = last_line(capsys)
    assert [(one["measure"], one["limit"]) for one in line["missed"]] == [("turn_taking_tor", "at least 0.7")]
    assert line["against"]["broken"] == ["typed/first/parrot", "typed/second/parrot"]
    changed = {one["measure"]: one["direction"] for one in line["against"]["changes"]}
    assert changed["turn_taking_tor"] == changed["passed"] == "worse"
    assert "tml eval typed.yaml --model parrot --no-baselines --markdown results.md" in Path("results.md").read_text()


def test_run_goes_on_to_the_same_verdicts_when_it_was_killed(plugins, faulty):
    texts = {"first": "hello", "killer": "kill the run", "last": "good bye"}
    faulty.write_suite(plugins / "typed.yaml", texts)

    def run(out: str, *more: str) -> int:
        root = Path(__file__).resolve().parents[2]
        path = os.pathsep.join((str(root), str(plugins), os.environ.get("PYTHONPATH", "")))
        command = [
            sys.executable,
            "-m",
            "tml_ros.cli.main",
            "eval",
            "typed.yaml",
            "--model",
            "parrot",
            "--workers",
            "1",
        ]
        command += ["--set", f"parrot.marker={plugins / 'killed'}", "--no-baselines", "--out", out, *more]
        return subprocess.run(
            command, capture_output=True, timeout=110, env=os.environ | {"PYTHONPATH": path}
        ).returncode

    assert run("out") == -signal.SIGKILL
    done = (plugins / "out" / "progress.jsonl").read_text().splitlines()
    assert len(done) == 1 and not (plugins / "out" / "verdicts.jsonl").exists()
    assert run("out", "--resume") == 0
    assert (plugins / "out" / "progress.jsonl").read_text().splitlines()[:1] == done
    assert run("whole") == 0
    resumed, whole = ((plugins / out / "verdicts.jsonl").read_bytes() for out in ("out", "whole"))
    assert resumed == whole and len(whole.splitlines()) == len(texts)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "'nowhere' is neither a suite of this package nor a file"),
        (["turn_takin"], "did you mean 'turn_taking'"),
        (["bad.yaml"], "bad.yaml:5: thresholds[0].measure: no measure 'pause_tour'; did you mean 'pause_tor'"),
        (["good.yaml", "--model", "cascad"], "did you mean 'cascade'"),
        (["good.yaml", "--set", "cascade.vad_onn=1"], "did you mean 'cascade.vad_on'"),
        (["good.yaml", "--set", "loud"], "must be NAME=VALUE"),
        (["good.yaml", "--workers", "0"], "--workers must be at least 1"),
        (["good.yaml", "--against", "nowhere"], "no verdicts in nowhere"),
        (["good.yaml", "--out", "."], "holds no evaluation and is not empty"),
    ],
)
def test_error_is_one_line_when_arguments_are_wrong(plugins, faulty, capsys, arguments, said):
    suite = faulty.write_suite(plugins / "good.yaml", {"first": "hello"})
    (plugins / "bad.yaml").write_text(suite.read_text().replace("turn_taking_tor, at_least", "pause_tour, at_least", 1))
    assert main(["eval", *arguments]) == 1
    error = capsys.readouterr().err
    assert said in error and len(error.strip().splitlines()) == 1
