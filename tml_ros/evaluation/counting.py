"""Repetitions counted against the true number, at the end and while they happen. It sees no picture.

Source: the RepCount-A protocol (Hu et al., TransRAC, CVPR 2022, arXiv 2204.01018): off by one, mean absolute error over
the true count plus 0.1. Online as Thinking Machines (May 2026) has it: the last number said after the second-to-last
true repetition, within one.
"""

from collections.abc import Iterable, Sequence

from tml_ros.errors import InputError
from tml_ros.evaluation.fdb import Word
from tml_ros.evaluation.results import Observation
from tml_ros.evaluation.words import spelled
from tml_ros.intents.numbers import words_to_number

__all__ = ["count_error", "count_online", "is_off_by_one", "observe_count", "said_numbers"]

_OFF_BY = 1
_MAE_OFFSET = 0.1
_MOST_WORDS = 2  # of a number up to one hundred


def is_off_by_one(counted: float, true: int) -> bool:
    """Tell whether a count is off by at most one (OBO)."""
    return abs(counted - true) <= _OFF_BY


def count_error(counted: float, true: int) -> float:
    """Return the error over the true count plus 0.1, of which MAE is the mean.

    Raises:
        InputError: the true count is negative.
    """
    if true < 0:
        raise InputError(f"a true count must not be negative, got {true}")
    return abs(counted - true) / (true + _MAE_OFFSET)


def count_online(said: Iterable[tuple[float, int]], repetitions_s: Sequence[float]) -> bool:
    """Tell whether the last number said is right within one, and was said after the second-to-last repetition.

    Args:
        said: (time, number) of every number that the robot said.
        repetitions_s: end of every true repetition; with one or none of them a number may be said at any time.
    """
    ends = sorted(repetitions_s)
    after_s = ends[-2] if len(ends) > 1 else float("-inf")
    late = [(at_s, number) for at_s, number in said if at_s > after_s]
    return bool(late) and is_off_by_one(max(late, key=lambda one: one[0])[1], len(ends))


def observe_count(said: Sequence[tuple[float, int]], repetitions_s: Sequence[float]) -> list[Observation]:
    """Return all three measures of a clip; the offline count is the last number said, 0 if there is none."""
    counted = max(said, key=lambda one: one[0])[1] if said else 0
    true = len(repetitions_s)
    return [
        Observation("count_obo", float(is_off_by_one(counted, true))),
        Observation("count_mae", count_error(counted, true)),
        Observation("count_online", float(count_online(said, repetitions_s))),
    ]


def said_numbers(words: Iterable[Word]) -> list[tuple[float, int]]:
    """Return the numbers from 0 to 100 in what was said, each with the time at which its first word began.

    Every number word counts, also that of "one moment": leave out what is not about the count.
    """
    parts = [(word.start_s, part) for word in words for part in spelled(word.text)]
    found: list[tuple[float, int]] = []
    place = 0
    while place < len(parts):
        for size in range(_MOST_WORDS, 0, -1):
            number = words_to_number(" ".join(part for _, part in parts[place : place + size]))
            if number is not None and len(parts) >= place + size:
                found.append((parts[place][0], number))
                place += size - 1
                break
        place += 1
    return found
