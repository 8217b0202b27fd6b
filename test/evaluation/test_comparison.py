"""An earlier run against this one: what changed, which way, and whether it may be chance."""

from tml_ros.evaluation.comparison import compare_runs
from tml_ros.evaluation.results import Observation, ScenarioResult, Verdict
from tml_ros.evaluation.significance import Direction


def run(
    latencies: list[float | None], passed: list[bool] | None = None, model: str = "cascade"
) -> list[ScenarioResult]:
    """Return one result a latency; None: it did not take the turn."""
    verdicts = passed or [True] * len(latencies)
    return [
        ScenarioResult(
            "turns",
            f"scenario {number}",
            model,
            Verdict.PASSED if verdicts[number] else Verdict.FAILED,
            observations=(
                Observation("turn_taking_tor", float(latency is not None)),
                *([] if latency is None else [Observation("turn_taking_latency_s", latency)]),
            ),
        )
        for number, latency in enumerate(latencies)
    ]


def change(before, after, name: str):
    comparison = compare_runs(before, after, ["cascade"])
    return next(one for one in comparison.changes if one.measure.name == name)


def test_latency_is_worse_and_no_chance_when_every_answer_came_later():
    found = change(
        run([0.5 + n / 100 for n in range(12)]), run([0.9 + n / 100 for n in range(12)]), "turn_taking_latency_s"
    )
    assert found.direction is Direction.WORSE and found.is_significant
    assert found.pairs == 12
    assert found.p == 2 / 2**12
    assert found.p < found.corrected_p < 0.05
    assert round(found.after.value - found.before.value, 6) == 0.4


def test_rate_is_better_but_may_be_chance_when_one_scenario_changed():
    found = change(run([None, 0.5, 0.5]), run([0.5, 0.5, 0.5]), "turn_taking_tor")
    assert found.direction is Direction.BETTER and not found.is_significant
    assert found.p == 1.0


def test_nothing_has_changed_when_both_runs_are_alike():
    comparison = compare_runs(run([0.5, None]), run([0.5, None]), ["cascade"])
    assert not any(one.is_change for one in comparison.changes)
    assert comparison.as_dict() == {"changes": [], "mended": [], "broken": [], "only_before": 0, "only_after": 0}


def test_latency_is_paired_only_when_both_runs_have_one():
    found = change(run([0.5, None, 0.5]), run([0.6, 0.7, None]), "turn_taking_latency_s")
    assert found.pairs == 1


def test_scenarios_are_named_when_they_fail_now_or_pass_now():
    comparison = compare_runs(run([0.5] * 3, [True, False, True]), run([0.5] * 3, [False, True, True]), ["cascade"])
    assert comparison.broken == (("turns", "scenario 0", "cascade"),)
    assert comparison.mended == (("turns", "scenario 1", "cascade"),)


def test_scenarios_are_counted_and_left_out_when_only_one_run_has_them():
    before, after = run([0.5, 0.5]), [*run([0.5]), *run([0.1], model="native")]
    comparison = compare_runs(before, after, ["cascade", "native"])
    assert (comparison.only_before, comparison.only_after) == (1, 1)
    assert {one.model for one in comparison.changes} == {"cascade"}
