"""The folder of an evaluation: it can go on after it was killed, and leaves what is not its own alone."""

import json

import numpy as np
import pytest
import soundfile

from tml_ros.errors import ConfigError, InputError
from tml_ros.evaluation.results import Check, Observation, ScenarioResult, Verdict
from tml_ros.evaluation.runner import ModelSpec, ScenarioRun
from tml_ros.evaluation.store import Store, read_results
from tml_ros.evaluation.workers import Finished, Job

ASKED = {"models": {"parrot": {}}, "suites": {"typed": 1}}


def result_of(scenario: str, model: str = "parrot", verdict: Verdict = Verdict.PASSED) -> ScenarioResult:
    checks = (Check("said", verdict is Verdict.PASSED, "…", 0.5),)
    return ScenarioResult("typed", scenario, model, verdict, checks, (Observation("pause_tor", 1.0),), 1.6, "00ff")


def finished(result: ScenarioResult, samples: int = 0) -> Finished:
    heard, said = np.full(samples, 0.25, np.float32), np.full(samples // 2, -0.5, np.float32)
    frames = ({"index": 0, "wall_ns": 5, "inference_ms": 1.5},)
    job = Job(ModelSpec(result.model, result.model), None)
    return Finished(job, ScenarioRun(result, frames, heard, said), 0.1)


def test_run_goes_on_after_its_last_whole_line_when_it_was_killed(tmp_path):
    store = Store(tmp_path, ASKED)
    store.add(finished(result_of("one")))
    store.add(finished(result_of("two")))
    progress = tmp_path / "progress.jsonl"
    progress.write_text(progress.read_text()[:-20])
    store = Store(tmp_path, ASKED, resume=True)
    assert list(store.done) == [("typed", "one", "parrot")]
    store.add(finished(result_of("two")))
    assert [json.loads(line)["result"]["scenario"] for line in progress.read_text().splitlines()] == ["one", "two"]


def test_verdicts_are_the_same_bytes_when_scenarios_end_in_another_order(tmp_path):
    results = [result_of("b"), result_of("a", "silence"), result_of("a")]
    for number, order in enumerate((results, results[::-1])):
        store = Store(tmp_path / str(number), ASKED)
        for one in order:
            store.add(finished(one))
        assert [(one.scenario, one.model) for one in store.finish()] == [
            ("a", "parrot"),
            ("a", "silence"),
            ("b", "parrot"),
        ]
    first, second = ((tmp_path / name / "verdicts.jsonl").read_bytes() for name in "01")
    assert first == second
    assert read_results(tmp_path / "0") == sorted(results, key=lambda one: (one.scenario, one.model))


def test_run_is_refused_when_it_is_to_go_on_with_other_questions(tmp_path):
    Store(tmp_path, ASKED)
    with pytest.raises(ConfigError, match="suites changed"):
        Store(tmp_path, ASKED | {"suites": {"typed": 2}}, resume=True)


def test_earlier_run_is_replaced_when_it_is_not_to_go_on(tmp_path):
    store = Store(tmp_path, ASKED)
    store.add(finished(result_of("old", verdict=Verdict.FAILED), samples=16))
    store.finish()
    store = Store(tmp_path, ASKED)
    assert not store.done
    assert sorted(path.name for path in tmp_path.iterdir()) == ["progress.jsonl", "run.json"]


def test_folder_of_others_is_left_alone_when_it_is_named(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match="holds no evaluation"):
        Store(tmp_path, ASKED)
    assert (tmp_path / "thesis.tex").exists()


def test_files_stay_in_the_folder_when_names_are_strange(tmp_path):
    store = Store(tmp_path / "run", ASKED)
    names = ["../../up", "a/b", "a_b", ".hidden", "ä" * 200, ""]
    for name in names:
        store.add(finished(result_of(name)))
    paths = {store.path("frames", result_of(name), ".jsonl").resolve() for name in names}
    assert len(paths) == len(names)
    assert all(path.is_relative_to(tmp_path / "run" / "frames" / "typed") and path.is_file() for path in paths)
    assert store.frames(result_of("a/b")) == [{"index": 0, "wall_ns": 5, "inference_ms": 1.5}]


def test_sound_is_kept_left_heard_and_right_said_when_there_is_some(tmp_path):
    store = Store(tmp_path, ASKED)
    store.add(finished(result_of("one"), samples=320))
    assert store.sound(result_of("two")) is None
    sound, rate_hz = soundfile.read(store.sound(result_of("one")), dtype="float32")
    assert rate_hz == 16_000 and sound.shape == (320, 2)
    assert sound[0].tolist() == [0.25, -0.5] and sound[-1].tolist() == [0.25, 0.0]


def test_error_names_the_folder_when_it_has_no_verdicts(tmp_path):
    with pytest.raises(InputError, match="expected the folder of a finished"):
        read_results(tmp_path / "nowhere")
    (tmp_path / "verdicts.jsonl").write_text('{"suite": "half')
    with pytest.raises(InputError, match="no verdicts in"):
        read_results(tmp_path)
