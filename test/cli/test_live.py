"""Scenarios through real nodes at the speed of life."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: run `make setup`")

LIVE = (sys.executable, "-m", "tml_ros.cli.main", "live")


def run(*arguments: str, out: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*LIVE, *arguments, "--out", str(out)], capture_output=True, text=True, timeout=120, check=False
    )


def test_question_is_answered_in_time_when_it_is_asked_of_a_running_node(tmp_path):
    done = run("timespeak", "--only", "clock_typed", out=tmp_path)
    assert done.returncode == 0, done.stderr
    line = json.loads(done.stdout.splitlines()[-1])
    assert (line["passed"], line["of"], line["measures"]["time_accuracy"]) == (1, 1, 1.0)
    assert (tmp_path / "clock_typed.log").is_file()


def test_scenario_is_refused_when_it_cannot_be_brought_about_from_outside(tmp_path):
    done = run("timespeak", "--only", "model_breaks_typed", out=tmp_path)
    assert done.returncode != 0 and "no scenario 'model_breaks_typed' of timespeak can be run live" in done.stderr
