"""Whether two runs differ by more than chance: paired trials, exact where that is cheap, seeded where it is not.

Who calls it decides what belongs together: trials of the same scenario. It knows no scenarios and no files.

Source: McNemar's test in its exact binomial form (McNemar 1947; Edwards 1948), the paired permutation test on the mean
difference (Fisher 1935; with (k + 1) / (n + 1) for a sample of permutations, Phipson and Smyth 2010), and Holm's step
down for several measures at once (Holm 1979). All two-sided.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import comb, isfinite
from statistics import fmean

import numpy as np

from tml_ros.errors import InputError
from tml_ros.evaluation.results import Measure

__all__ = ["ALPHA", "Direction", "PairedTest", "compare_paired", "holm", "mcnemar_p", "permutation_p"]

ALPHA = 0.05
"""Below it a difference is taken for more than chance."""

_EXACT_PAIRS = 16
_PERMUTATIONS = 20_000
_BATCH = 1_000
_TIE = 1e-9


class Direction(StrEnum):
    """What became of a measure, by the sign of the mean difference and by which way is better."""

    BETTER = "better"
    WORSE = "worse"
    SAME = "same"


@dataclass(frozen=True, slots=True)
class PairedTest:
    """What became of a measure.

    Attributes:
        difference: mean over the pairs of after minus before; 0 without pairs.
        p: probability of a difference at least as large if the runs were alike; 1 without pairs.
        test: ``mcnemar`` where every value is 0 or 1, else ``permutation``.
    """

    direction: Direction
    difference: float
    p: float
    test: str
    pairs: int

    @property
    def is_significant(self) -> bool:
        """Whether it is more than chance, for this measure alone."""
        return self.direction is not Direction.SAME and self.p < ALPHA


def compare_paired(measure: Measure, before: Sequence[float], after: Sequence[float]) -> PairedTest:
    """Compare the trials of a measure that two runs have in common, in the same order.

    Raises:
        InputError: there are more of the one than of the other, or one is not a finite number.
    """
    if len(before) != len(after):
        raise InputError(f"trials must come in pairs, got {len(before)} before and {len(after)} after")
    if not all(map(isfinite, (*before, *after))):
        raise InputError(f"trials of {measure.name} must be finite numbers; leave out those without a value")
    differences = [new - old for old, new in zip(before, after, strict=True)]
    if {*before, *after} <= {0.0, 1.0}:
        test, p = "mcnemar", mcnemar_p(differences.count(1.0), differences.count(-1.0))
    else:
        test, p = "permutation", permutation_p(differences)
    mean = fmean(differences) if differences else 0.0
    return PairedTest(_direction(measure, mean), mean, p, test, len(differences))


def mcnemar_p(gained: int, lost: int) -> float:
    """Return the exact two-sided probability that trials which changed did so as unevenly, either way being as likely.

    gained, lost: trials that missed before and hit after, and the reverse; those that did not change tell nothing.

    Raises:
        InputError: one of them is negative.
    """
    if min(gained, lost) < 0:
        raise InputError(f"numbers of changed trials must not be negative, got {gained} and {lost}")
    changed = gained + lost
    tail = sum(comb(changed, hits) for hits in range(min(gained, lost) + 1))
    return min(1.0, 2 * tail / (1 << changed))


def permutation_p(differences: Sequence[float], seed: int = 0) -> float:
    """Return how often the mean difference is as large with the runs of each pair swapped or not.

    Over all ways to swap up to 16 differences that are not 0, over 20,000 drawn with the seed otherwise.
    """
    values = np.abs(np.array([one for one in differences if one], np.float64))
    if not len(values):
        return 1.0
    observed = abs(sum(differences)) - _TIE * values.sum()
    if len(values) <= _EXACT_PAIRS:
        sums = np.zeros(1)
        for value in values:
            sums = np.concatenate([sums - value, sums + value])
        return float(np.mean(np.abs(sums) >= observed))
    rng = np.random.default_rng(seed)
    as_large = sum(
        int(np.count_nonzero(np.abs((rng.integers(0, 2, (_BATCH, len(values))) * 2 - 1) @ values) >= observed))
        for _ in range(_PERMUTATIONS // _BATCH)
    )
    return (as_large + 1) / (_PERMUTATIONS + 1)


def holm(ps: Mapping[str, float]) -> dict[str, float]:
    """Return the probabilities corrected for how many of them there are, under the same names."""
    corrected: dict[str, float] = {}
    largest = 0.0
    for rank, name in enumerate(sorted(ps, key=lambda one: (ps[one], one))):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[name]))
        corrected[name] = largest
    return {name: corrected[name] for name in ps}


def _direction(measure: Measure, difference: float) -> Direction:
    if difference == 0.0:
        return Direction.SAME
    return Direction.BETTER if (difference > 0.0) == (measure.better == "high") else Direction.WORSE
