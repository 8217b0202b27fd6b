"""Jobs on worker processes: a model that crashes, a process that dies or hangs, a model that cannot be loaded."""

import numpy as np
import pytest

from tml_ros.evaluation.results import Verdict
from tml_ros.evaluation.runner import ModelSpec
from tml_ros.evaluation.scenario import load_suite
from tml_ros.evaluation.workers import Job, LocalEngine, Workbench

FAULTY = "test/evaluation/faulty_models.py"


@pytest.fixture
def jobs(tmp_path, monkeypatch, helpers):
    """Return ``make(texts, model)``: a job for each name and typed line."""
    faulty = helpers(FAULTY)
    monkeypatch.syspath_prepend(faulty.install(tmp_path))

    def make(texts: dict[str, str], model: str = "parrot", wanted: str = ".") -> list[Job]:
        spec = ModelSpec(model, model, {"parrot.marker": str(tmp_path / "killed")})
        suite = load_suite(faulty.write_suite(tmp_path / "suite.yaml", texts, wanted))
        return [Job(spec, scenario) for scenario in suite.scenarios]

    return make


def test_every_job_is_done_once_when_processes_die(jobs):
    texts = {"bad": "die", "unlucky": "die once", "last": "good bye"}
    found = list(LocalEngine(2).run(jobs(texts)))
    results = {one.run.result.scenario: one.run.result for one in found}
    assert len(found) == len(texts)
    assert {name: one.verdict for name, one in results.items()} == {
        "bad": Verdict.ERROR,
        "unlucky": Verdict.PASSED,
        "last": Verdict.PASSED,
    }
    assert results["bad"].error == "its worker ended with exit code -9, twice; run it alone with --workers 1"
    assert results["bad"].seconds == 1.6


def test_scenario_is_an_error_when_it_takes_too_long(jobs):
    (found,) = LocalEngine(1, patience_s=0.0).run(jobs({"slow": "hello"}))
    assert found.run.result.verdict is Verdict.ERROR
    assert found.run.result.error.startswith("its worker did not finish within 0 s, twice")


def test_processes_end_when_nobody_wants_the_rest(jobs):
    engine = LocalEngine(1)
    running = engine.run(jobs({"one": "hello", "two": "hello", "three": "hello"}))
    next(running)
    running.close()
    assert list(running) == []


def test_rest_goes_on_when_the_model_crashes_in_a_scenario(jobs):
    bench = Workbench()
    first, bad, last = (bench.run(job).run.result for job in jobs({"first": "hello", "bad": "crash", "last": "bye"}))
    bench.close()
    assert [first.verdict, bad.verdict, last.verdict] == [Verdict.PASSED, Verdict.ERROR, Verdict.PASSED]
    assert bad.error == "ValueError: the parrot is <b>ill</b>"


def test_every_scenario_says_why_when_the_model_cannot_be_loaded(jobs):
    bench = Workbench()
    results = [bench.run(job).run.result for job in jobs({"one": "a", "two": "b"}, model="unloadable")]
    assert {one.verdict for one in results} == {Verdict.ERROR}
    assert {one.error for one in results} == {"model 'unloadable' could not be loaded: OSError: no such weights"}


@pytest.mark.parametrize(("wanted", "is_kept"), [("hello", False), ("never", True)])
def test_sound_is_handed_back_only_when_a_scenario_does_not_pass(jobs, wanted, is_kept):
    bench = Workbench()
    run = bench.run(jobs({"one": "hello"}, wanted=wanted)[0]).run
    bench.close()
    assert len(run.heard) == len(run.said) == (8 * 3200 if is_kept else 0)
    assert run.heard.dtype == np.float32
    assert [frame["index"] for frame in run.frames] == list(range(8))
