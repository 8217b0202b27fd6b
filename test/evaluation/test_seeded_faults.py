"""A fault in the robot is found by the suite that is there for it, and by no other.

One scenario of each suite that has such a fault; docs/scenarios.md has the figures of all of them, which take minutes.
"""

import pytest

from tml_ros.evaluation.catalogue import MEASURES
from tml_ros.evaluation.results import figure
from tml_ros.evaluation.runner import ModelSpec, Runner
from tml_ros.evaluation.scenario import find_suite, load_suite

SAMPLE = {
    "turn_taking": "can_you_hear_me",
    "barge_in": "what_is_your_name",
    "time": "go_forward",
    "safety": "there_is_a_fire",
}
FOUND_BY = {
    "reply late": "turn_taking",
    "barge-in ignored": "barge_in",
    "number off by two": "time",
    "alert swallowed": "safety",
}
DECIDES = {
    "turn_taking": {"turn_taking_tor", "turn_taking_latency_s", "turn_taking_latency_mean_s"},
    "barge_in": {"stopped", "stop_latency_s"},
    "time": {"slot_accuracy"},
    "safety": {"alert_recall", "alert_delay_s", "false_alerts_per_hour"},
}
"""The thresholds that one scenario can tell of."""


@pytest.fixture(scope="module")
def suites():
    return {name: load_suite(find_suite(name)) for name in SAMPLE}


@pytest.fixture(scope="module")
def faults(helpers):
    return {"none": None, **helpers("test/evaluation/seeded_faults.py").FAULTS}


def misses(runner, suite) -> bool:
    """Tell whether a model misses a threshold of a suite on its sample."""
    scenario = next(one for one in suite.scenarios if SAMPLE[suite.name] in one.name)
    observations = runner.run(scenario).result.observations
    wanted = [one for one in suite.thresholds if one.measure in DECIDES[suite.name]]
    return not all(one.is_met(figure(MEASURES[one.measure], observations).value) for one in wanted)


@pytest.mark.parametrize("fault", ["none", *FOUND_BY])
def test_fault_is_found_by_its_suite_and_by_no_other(suites, faults, fault):
    runner = Runner(ModelSpec("cascade", "cascade"), faults[fault])
    found = {name for name, suite in suites.items() if misses(runner, suite)}
    runner.close()
    assert found == ({FOUND_BY[fault]} if fault in FOUND_BY else set())
