"""Suites times models: what is left to do, figures, thresholds, and what a run comes to."""

import json
from collections.abc import Iterator, Sequence

import pytest

from tml_ros.errors import ConfigError
from tml_ros.evaluation.campaign import Campaign, execute, pick_models, pick_suites
from tml_ros.evaluation.results import Observation, ScenarioResult, Verdict
from tml_ros.evaluation.runner import ModelSpec, ScenarioRun
from tml_ros.evaluation.scenario import Scenario, Suite, Threshold
from tml_ros.evaluation.store import Store
from tml_ros.evaluation.workers import Finished, Job, failed


class ScriptedEngine:
    """Runs nothing: gives the latency of a model and scenario as a table says; None: an error."""

    def __init__(self, latencies: dict[tuple[str, str], float | None]) -> None:
        self.latencies = latencies
        self.asked: list[tuple[str, str, str]] = []

    def run(self, jobs: Sequence[Job]) -> Iterator[Finished]:
        for job in jobs:
            self.asked.append(job.key)
            latency = self.latencies.get((job.spec.label, job.scenario.name), 0.5)
            if latency is None:
                yield Finished(job, failed(job, "ill"), 0.0)
                continue
            observations = (Observation("turn_taking_tor", 1.0), Observation("turn_taking_latency_s", latency))
            result = ScenarioResult(*job.key, Verdict.PASSED, (), observations, 2.0)
            frames = ({"index": 0, "inference_ms": 10.0}, {"index": 1, "inference_ms": 250.0})
            run = failed(job, "")
            yield Finished(job, ScenarioRun(result, frames, run.heard, run.said), 0.1)


@pytest.fixture
def suite(tmp_path):
    path = tmp_path / "turns.yaml"
    path.write_text("the file of the suite")
    scenarios = tuple(Scenario(name, "turns", 0, 2.0, (), ()) for name in ("b", "a"))
    thresholds = (
        Threshold("turn_taking_latency_s", at_most=0.7),
        Threshold("turn_taking_tor", at_least=0.9, model="cascade*"),
    )
    return Suite("turns", "turn-taking", scenarios, thresholds, path)


def campaign(suite: Suite, *models: str, baselines: Sequence[str] = ()) -> Campaign:
    return Campaign((suite,), tuple(ModelSpec(one, one) for one in models), tuple(ModelSpec(b, b) for b in baselines))


def outcome_of(suite, tmp_path, latencies, *models, baselines=()):
    asked = campaign(suite, *models, baselines=baselines)
    return execute(asked, ScriptedEngine(latencies), Store(tmp_path / "out", asked.asked()))


def test_run_is_good_when_every_threshold_is_met(suite, tmp_path):
    outcome = outcome_of(suite, tmp_path, {}, "cascade", "other")
    assert outcome.is_good
    assert [(one.model, one.measure, one.met) for one in outcome.rulings] == [
        ("cascade", "turn_taking_latency_s", True),
        ("other", "turn_taking_latency_s", True),
        ("cascade", "turn_taking_tor", True),
    ]


def test_run_is_not_good_when_a_threshold_is_missed(suite, tmp_path):
    outcome = outcome_of(suite, tmp_path, {("other", "a"): 1.1}, "cascade", "other")
    line = outcome.as_dict()
    assert not outcome.is_good
    assert line["missed"] == [
        {"suite": "turns", "model": "other", "measure": "turn_taking_latency_s", "limit": "at most 0.7"}
    ]
    assert line["models"]["other"]["turn_taking_latency_s"] == {"figure": 0.8, "hits": None, "trials": 2}
    assert line["suites"]["turns"]["other"]["turn_taking_tor"] == {"figure": 1.0, "hits": 2, "trials": 2}


def test_run_is_not_good_when_a_scenario_could_not_be_run(suite, tmp_path):
    outcome = outcome_of(suite, tmp_path, {("cascade", "a"): None}, "cascade")
    assert all(one.met for one in outcome.rulings)
    assert [one.scenario for one in outcome.errors] == ["a"]
    assert not outcome.is_good


def test_errors_in_the_same_words_are_told_once_when_a_model_has_many(suite, tmp_path):
    outcome = outcome_of(
        suite, tmp_path, {("ill", "a"): None, ("ill", "b"): None, ("cascade", "a"): None}, "cascade", "ill"
    )
    assert [(one.model, one.scenario, more) for one, more in outcome.failures()] == [
        ("cascade", "a", 0),
        ("ill", "a", 1),
    ]


def test_threshold_is_missed_when_there_is_no_trial(suite, tmp_path):
    outcome = outcome_of(suite, tmp_path, {("other", "a"): None, ("other", "b"): None}, "other")
    assert [one.met for one in outcome.rulings] == [False]


def test_baseline_is_not_judged_when_it_only_stands_beside(suite, tmp_path):
    latencies = {("silence", "a"): 9.0, ("silence", "b"): None}
    outcome = outcome_of(suite, tmp_path, latencies, "cascade", baselines=["silence"])
    assert outcome.is_good
    assert outcome.as_dict()["models"]["silence"]["turn_taking_latency_s"]["figure"] == 9.0
    assert not outcome_of(suite, tmp_path, latencies, "cascade", "silence").is_good


def test_real_time_is_measured_but_in_no_verdict_when_a_run_ends(suite, tmp_path):
    outcome = outcome_of(suite, tmp_path, {}, "cascade")
    figures = outcome.figures["turns", "cascade"]
    assert figures["step_p50_ms"].value == 130.0
    assert (figures["deadline_miss"].hits, figures["deadline_miss"].trials) == (2, 4)
    verdicts = [json.loads(line) for line in (tmp_path / "out" / "verdicts.jsonl").read_text().splitlines()]
    names = {one["measure"] for verdict in verdicts for one in verdict["observations"]}
    assert names == {"turn_taking_tor", "turn_taking_latency_s"}


def test_only_the_rest_is_run_when_a_run_goes_on(suite, tmp_path):
    asked = campaign(suite, "cascade", "other")
    engine = ScriptedEngine({})

    def end_after_first(finished: Finished) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(asked, engine, Store(tmp_path / "out", asked.asked()), end_after_first)
    execute(asked, engine, Store(tmp_path / "out", asked.asked(), resume=True))
    assert engine.asked == [
        ("turns", "b", "cascade"),
        ("turns", "a", "cascade"),
        ("turns", "b", "other"),
        ("turns", "a", "other"),
    ]


def test_question_is_another_when_the_file_of_a_suite_changes(suite):
    before = campaign(suite, "cascade").asked()
    suite.path.write_text("another file of the suite")
    assert campaign(suite, "cascade").asked() != before


def test_campaign_is_refused_when_something_is_there_twice(suite):
    with pytest.raises(ConfigError, match="model 'cascade' is there 2 times"):
        campaign(suite, "cascade", "cascade")
    with pytest.raises(ConfigError, match="suite 'turns' is there 2 times"):
        Campaign((suite, suite), ())


def test_names_are_taken_once_and_all_stands_for_every_one_when_picked():
    assert pick_suites(["time", "all"], {"time": 1, "cues": 2}) == ["time", "cues"]
    assert pick_suites(["own.yaml"], {"time": 1}) == ["own.yaml"]
    assert pick_models(["all"], ["silence", "native", "cascade", "echo"]) == ["cascade", "native"]
    assert pick_models(["silence", "all"], ["cascade", "silence"]) == ["silence", "cascade"]
    with pytest.raises(ConfigError, match="did you mean 'cascade'"):
        pick_models(["cascad"], ["cascade", "silence"])
