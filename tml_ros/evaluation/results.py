"""What an evaluation finds: observations of measures, checks of expectations, and the result of one scenario.

Plain records that every part of the evaluation shares: runner, workers, reports, comparisons. A result goes to JSON and
back without loss, and nothing of the wall clock is in it: the same scenario, model and seed give the same bytes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from statistics import fmean, median
from typing import Any

from tml_ros.errors import InputError

__all__ = ["Aggregate", "Check", "Figure", "Measure", "Observation", "ScenarioResult", "Verdict", "figure"]


class Verdict(StrEnum):
    """What came of a scenario. ERROR: the model or the scenario could not be run to its end."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"


class Aggregate(StrEnum):
    """How the observations of a measure become one figure.

    RATE: share of observations that are 1. MEDIAN, MEAN: of the values. PER_HOUR: sum of the values over the sum of the
    weights, which are hours. MACRO: mean over the groups of their means.
    """

    RATE = "rate"
    MEDIAN = "median"
    MEAN = "mean"
    PER_HOUR = "per_hour"
    MACRO = "macro"


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure by name. unit: such as ``s`` or ``1``. better: ``low`` or ``high``. source: whose definition it is."""

    name: str
    title: str
    unit: str
    aggregate: Aggregate
    better: str
    source: str


@dataclass(frozen=True, slots=True)
class Observation:
    """One trial of a measure. value: 0 or 1 of a rate. weight: hours of a PER_HOUR measure. group: of a MACRO one."""

    measure: str
    value: float
    weight: float = 1.0
    group: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """What a measure is over many trials. value: None without trials. hits: None where nothing can hit."""

    value: float | None
    hits: int | None
    trials: int


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation held against what happened. at_s: when what decided it happened, since the scenario's start."""

    name: str
    passed: bool
    detail: str
    at_s: float | None = None


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """What came of one scenario with one model.

    Attributes:
        model: label of the model in the run.
        error: why it could not be run, in one line; empty otherwise.
        seconds: length of its time line.
        digest: of everything that was published, in hexadecimal.
    """

    suite: str
    scenario: str
    model: str
    verdict: Verdict
    checks: tuple[Check, ...] = ()
    observations: tuple[Observation, ...] = ()
    seconds: float = 0.0
    digest: str = ""
    error: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self) | {"verdict": self.verdict.value}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "ScenarioResult":
        """Read what ``to_json`` gave.

        Raises:
            InputError: it is something else.
        """
        try:
            return cls(
                **{
                    **values,
                    "verdict": Verdict(values["verdict"]),
                    "checks": tuple(Check(**one) for one in values["checks"]),
                    "observations": tuple(Observation(**one) for one in values["observations"]),
                }
            )
        except (KeyError, TypeError, ValueError) as err:
            raise InputError(f"no result of a scenario: {err!r}; expected a line of an evaluation's results") from err


def figure(measure: Measure, observations: Iterable[Observation]) -> Figure:
    """Return what the observations of a measure come to; those of others are left out."""
    found = [one for one in observations if one.measure == measure.name]
    if not found:
        return Figure(None, None, 0)
    values = [one.value for one in found]
    match measure.aggregate:
        case Aggregate.RATE:
            hits = sum(value == 1.0 for value in values)
            return Figure(hits / len(values), hits, len(values))
        case Aggregate.MEDIAN:
            return Figure(median(values), None, len(values))
        case Aggregate.MEAN:
            return Figure(fmean(values), None, len(values))
        case Aggregate.PER_HOUR:
            hours = sum(one.weight for one in found)
            return Figure(sum(values) / hours if hours else None, round(sum(values)), len(values))
    return Figure(_macro(found), sum(value == 1.0 for value in values), len(values))


def _macro(found: Sequence[Observation]) -> float:
    groups: dict[str, list[float]] = {}
    for one in found:
        groups.setdefault(one.group, []).append(one.value)
    return fmean(fmean(values) for values in groups.values())
