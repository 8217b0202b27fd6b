"""Two runs side by side: which measures and scenarios got better and worse, and whether that may be chance.

Scenarios are paired by suite, name and model: what only one of the runs has is counted and left out. A scenario is one
trial, whatever it observed, so that its many observations are not taken for independent ones. As many measures are
looked at, a difference counts as more than chance only after Holm's correction for them. It knows no files.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tml_ros.evaluation.campaign import PASSED
from tml_ros.evaluation.catalogue import MEASURES
from tml_ros.evaluation.results import Aggregate, Figure, Measure, Observation, ScenarioResult, Verdict, figure
from tml_ros.evaluation.significance import ALPHA, Direction, PairedTest, compare_paired, holm

__all__ = ["Change", "RunComparison", "compare_runs"]

Key = tuple[str, str, str]
Results = Mapping[Key, ScenarioResult]


@dataclass(frozen=True, slots=True)
class Change:
    """A measure of a model in both runs, over the scenarios that both have.

    direction: by the mean difference of the pairs. p: that chance alone does as much. corrected_p: the same, for all
    measures of the model together.
    """

    model: str
    measure: Measure
    before: Figure
    after: Figure
    direction: Direction
    pairs: int
    p: float
    corrected_p: float

    @property
    def is_significant(self) -> bool:
        """Whether chance alone would seldom do this."""
        return self.direction is not Direction.SAME and self.corrected_p < ALPHA

    @property
    def is_change(self) -> bool:
        """Whether there is anything to tell."""
        return self.direction is not Direction.SAME or self.before != self.after

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "model": self.model,
            "measure": self.measure.name,
            "before": self.before.value,
            "after": self.after.value,
            "direction": self.direction.value,
            "pairs": self.pairs,
            "p": self.p,
            "corrected_p": self.corrected_p,
            "significant": self.is_significant,
        }


@dataclass(frozen=True, slots=True)
class RunComparison:
    """An earlier run against this one.

    mended, broken: scenarios that passed in this run only, and in the earlier one only. only_before, only_after: how
    many results the other run has not.
    """

    changes: tuple[Change, ...]
    mended: tuple[Key, ...]
    broken: tuple[Key, ...]
    only_before: int
    only_after: int

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "changes": [one.as_dict() for one in self.changes if one.is_change],
            "mended": ["/".join(key) for key in self.mended],
            "broken": ["/".join(key) for key in self.broken],
            "only_before": self.only_before,
            "only_after": self.only_after,
        }


def compare_runs(
    before: Iterable[ScenarioResult], after: Iterable[ScenarioResult], models: Sequence[str]
) -> RunComparison:
    """Compare two runs.

    Args:
        before: the results of the earlier run.
        after: those of this one.
        models: the labels that are compared, in the order of the tables.
    """
    old, new = ({_key(one): one for one in run if one.model in models} for run in (before, after))
    common = sorted(old.keys() & new.keys())
    passed = {key: (_passed(old[key]), _passed(new[key])) for key in common}
    changes = [change for model in models for change in _changes(model, old, new, common)]
    return RunComparison(
        changes=tuple(changes),
        mended=tuple(key for key in common if passed[key] == (0.0, 1.0)),
        broken=tuple(key for key in common if passed[key] == (1.0, 0.0)),
        only_before=len(old.keys() - new.keys()),
        only_after=len(new.keys() - old.keys()),
    )


def _changes(model: str, old: Results, new: Results, common: Sequence[Key]) -> list[Change]:
    """Return every measure that one of the runs has trials of."""
    pairs = [(old[key], new[key]) for key in common if key[2] == model]
    measures = [
        one for one in (PASSED, *MEASURES.values()) if any(_observations(one, run) for pair in pairs for run in pair)
    ]
    tests = {one.name: _test(one, pairs) for one in measures}
    corrected = holm({name: test.p for name, test in tests.items()})
    changes = []
    for one in measures:
        before, after = (
            figure(one, [o for run in side for o in _observations(one, run)]) for side in zip(*pairs, strict=True)
        )
        test = tests[one.name]
        changes.append(Change(model, one, before, after, test.direction, test.pairs, test.p, corrected[one.name]))
    return changes


def _test(measure: Measure, pairs: Sequence[tuple[ScenarioResult, ScenarioResult]]) -> PairedTest:
    """Compare a measure over the scenarios that gave it a value in both runs."""
    values = [(_value(measure, before), _value(measure, after)) for before, after in pairs]
    both = [(before, after) for before, after in values if before is not None and after is not None]
    return compare_paired(measure, [before for before, _ in both], [after for _, after in both])


def _value(measure: Measure, result: ScenarioResult) -> float | None:
    """Return one value for a scenario, None where it has none."""
    found = _observations(measure, result)
    weight = sum(one.weight for one in found)
    if not found or not weight:
        return None
    if measure.aggregate is Aggregate.PER_HOUR:
        return sum(one.value for one in found) / weight
    return sum(one.value * one.weight for one in found) / weight


def _observations(measure: Measure, result: ScenarioResult) -> list[Observation]:
    if measure is PASSED:
        return [Observation(PASSED.name, _passed(result))]
    return [one for one in result.observations if one.measure == measure.name]


def _key(result: ScenarioResult) -> Key:
    return result.suite, result.scenario, result.model


def _passed(result: ScenarioResult) -> float:
    return float(result.verdict is Verdict.PASSED)
