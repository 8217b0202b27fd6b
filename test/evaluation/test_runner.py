"""Scenarios run in a closed loop, each on its own: order, processes and broken models change nothing."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from tml_ros.evaluation.results import ScenarioResult, Verdict
from tml_ros.evaluation.runner import ModelSpec, Runner
from tml_ros.evaluation.scenario import load_suite
from tml_ros.records import Floor, MicroTurnOutput, SpeechText

SUITE = """\
version: 1
suite: loop
title: A closed loop
scenarios:
  - name: closed
    duration_s: 6
    input:
      - {name: hum, at_s: 0.0, until_s: 2.0, noise: pink}
      - {name: bid, say: stop, send_after: {event: robot_speaks, delay_s: 1.03}}
      - {name: late, text: hello, send_after: {event: bid.end, delay_s: 0.5}}
      - {name: never, text: hello, send_after: {event: alert}}
    expect:
      - {speaks: true, within_ms: 600}
      - {voice: true, after: bid.start, within_ms: 200}
      - {speaks: true, after: never, absent: true}
  - name: other
    duration_s: 3
    seed: 7
    input: [{name: line, text: hello, at_s: 0.5}]
    video: [{at_s: 0.0, render: bench, size: [64, 48], rate_hz: 10, events: [{at_s: 0.5, until_s: 2.0, what: hand}]}]
    expect: [{speaks: true}]
  - name: faulty
    duration_s: 6
    input: [{name: line, text: hello, at_s: 0.5}]
    faults:
      - {at_s: 0.4, until_s: 1.0, lose: 0.5}
      - {at_s: 1.0, until_s: 1.6, late_ms: 300}
      - {at_s: 2.0, stall_s: 0.8}
      - {at_s: 3.0, crash: true}
      - {at_s: 3.4, restart: true}
      - {at_s: 4.0, clock_jump_s: -100}
      - {at_s: 5.0, until_s: 5.4, mute: true}
    expect:
      - {counter: {name: missing_samples, at_least: 320}}
      - {counter: {name: late_messages, at_least: 1}}
      - {counter: {name: model_errors, at_least: 1}}
      - {counter: {name: clock_jumps, at_least: 1}}
      - {counter: {name: muted_windows, at_least: 1}}
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("suite") / "loop.yaml"
    path.write_text(SUITE)
    return path


@pytest.fixture(scope="module")
def scenarios(path):
    return {one.name: one for one in load_suite(path).scenarios}


@pytest.fixture(scope="module")
def runner():
    runner = Runner(ModelSpec("talks", "always_talk"))
    yield runner
    runner.close()


class BrokenModel:
    """Talks, and raises in the given call: ``open``, ``step``, or ``close`` of its stream."""

    name = "broken"

    def __init__(self, call: str) -> None:
        self._call = call

    def _enter(self, call: str) -> None:
        if call == self._call:
            raise ValueError(f"broken in {call}\nfor good")

    def open(self, info):
        self._enter("open")
        return self

    def step(self, turn):
        self._enter("step")
        return MicroTurnOutput(floor=Floor.SPEAK, speech=(SpeechText("hello"),) if turn.index == 2 else ())

    def counters(self):
        return {}

    def close(self):
        return


def wall_clock_free(run) -> list:
    return [
        {name: value for name, value in frame.items() if name not in ("wall_ns", "inference_ms")}
        for frame in run.frames
    ]


def test_input_follows_what_the_robot_did(runner, scenarios):
    run = runner.run(scenarios["closed"])
    checks = {one.name: one for one in run.result.checks}
    assert [one.passed for one in run.result.checks] == [True, True, False]
    begins_s = checks["1. speaks after start"].at_s
    onset_s = np.flatnonzero(np.abs(run.heard - run.heard.mean()) > 0)[0] / 16_000
    assert onset_s < begins_s < 0.6
    assert checks["2. voice after bid.start"].at_s == pytest.approx(begins_s + 1.03, abs=1e-6)
    assert "never came" in checks["3. no speaks after never.end"].detail
    assert run.result.verdict is Verdict.FAILED


def test_both_sides_and_every_micro_turn_are_there_with_the_wall_clock_last(runner, scenarios):
    run = runner.run(scenarios["other"])
    assert len(run.frames) == 15
    assert len(run.heard) == len(run.said) == 15 * 3200
    assert run.heard.dtype == run.said.dtype == np.float32
    assert np.abs(run.said).max() > 0.05
    assert [frame["index"] for frame in run.frames] == [*range(15)]
    assert [*run.frames[0]][-2:] == ["wall_ns", "inference_ms"]
    assert json.loads(json.dumps(run.frames)) == [*run.frames]
    assert run.frames[3]["frames"] == 2  # pictures of 10 a second


def test_result_is_the_same_in_any_order_and_again(runner, scenarios):
    first = {name: runner.run(one) for name, one in scenarios.items()}
    again = {name: runner.run(scenarios[name]) for name in reversed([*scenarios])}
    for name, run in first.items():
        assert run.result == again[name].result
        assert wall_clock_free(run) == wall_clock_free(again[name])
        assert np.array_equal(run.heard, again[name].heard) and np.array_equal(run.said, again[name].said)


def test_result_is_the_same_in_another_process(runner, scenarios, path):
    code = (
        "import json, sys; from pathlib import Path\n"
        "from tml_ros.evaluation.runner import ModelSpec, Runner\n"
        "from tml_ros.evaluation.scenario import load_suite\n"
        "runner = Runner(ModelSpec('talks', 'always_talk'))\n"
        "for one in load_suite(Path(sys.argv[1])).scenarios[::-1]:\n"
        "    print(json.dumps(runner.run(one).result.to_json()))\n"
    )
    command = [sys.executable, "-c", code, str(path)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    results = [ScenarioResult.from_json(json.loads(line)) for line in lines]
    assert results == [runner.run(one).result for one in [*scenarios.values()][::-1]]


def test_faults_reach_the_engine_and_are_counted(runner, scenarios):
    result = runner.run(scenarios["faulty"]).result
    assert (result.verdict, result.error) == (Verdict.PASSED, "")


def test_no_frame_is_lost_when_the_model_stalls(runner, scenarios):
    assert len(runner.run(scenarios["faulty"]).frames) >= 29  # the last window may still be waiting for its sound


@pytest.mark.parametrize("call", ["open", "step"])
def test_model_that_breaks_is_an_error_of_the_scenario_in_one_line(scenarios, call):
    runner = Runner(ModelSpec("broken", "silence"), wrap=lambda model: BrokenModel(call))
    run = runner.run(scenarios["closed"])
    assert run.result.verdict is Verdict.ERROR
    assert run.result.error == f"ValueError: broken in {call} for good"
    assert run.result.checks == () and run.result.observations == ()
    runner.close()


def test_scenario_whose_recording_is_broken_is_an_error_and_the_next_one_runs(runner, scenarios, tmp_path):
    text = tmp_path / "noise.wav"
    text.write_text("this is no sound")
    own = tmp_path / "own.yaml"
    own.write_text(SUITE.replace("text: hello, at_s: 0.5}]\n    video", "file: noise.wav, at_s: 0.5}]\n    video"))
    broken = next(one for one in load_suite(own).scenarios if one.name == "other")
    assert runner.run(broken).result.verdict is Verdict.ERROR
    assert runner.run(scenarios["other"]).result.verdict is Verdict.PASSED


def test_seed_changes_the_noise_and_nothing_else_about_the_time_line(runner, scenarios):
    one, other = (runner.run(replace(scenarios["closed"], seed=seed)) for seed in (1, 2))
    assert not np.array_equal(one.heard, other.heard)
    assert len(one.heard) == len(other.heard)
