"""Spans of time in seconds: merged, intersected, compared. Half-open, in any order, of length 0 they count for nothing.

Source of the measure: temporal intersection over union, as in ActivityNet (Caba Heilbron et al., CVPR 2015).
"""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from tml_ros.errors import InputError

__all__ = ["Interval", "intersection", "interval_iou", "length_s", "merged", "said_intervals"]

Interval: TypeAlias = tuple[float, float]
_ROUNDING_S = 1e-9  # 3.1 - 2.5 is more than 0.6


def merged(intervals: Iterable[Interval], gap_s: float = 0.0) -> list[Interval]:
    """Return them in order, those no more than ``gap_s`` apart as one.

    Raises:
        InputError: one of them ends before it starts.
    """
    found: list[Interval] = []
    for start, end in sorted(intervals):
        if not start <= end:
            raise InputError(f"an interval must not end before it starts, got ({start}, {end}) s; swap its times")
        if found and start - found[-1][1] <= gap_s + _ROUNDING_S:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def intersection(first: Iterable[Interval], second: Iterable[Interval]) -> list[Interval]:
    """Return what lies in both."""
    seconds = merged(second)
    pairs = ((max(a, c), min(b, d)) for a, b in merged(first) for c, d in seconds)
    return [(start, end) for start, end in pairs if start < end]


def length_s(intervals: Iterable[Interval]) -> float:
    """Return how long they are together; what lies in several counts once."""
    return sum(end - start for start, end in merged(intervals))


def interval_iou(said: Iterable[Interval], true: Iterable[Interval]) -> float:
    """Return the length of what lies in both over what lies in either: 0 to 1; 1 if there is nothing in both."""
    said, true = list(said), list(true)
    either = length_s([*said, *true])
    return length_s(intersection(said, true)) / either if either else 1.0


def said_intervals(starts_s: Sequence[float], stops_s: Sequence[float], end_s: float) -> list[Interval]:
    """Return the intervals that a robot told of by saying "start" and "stop".

    A second "start" before a "stop" and a "stop" before any "start" change nothing; one without a "stop" lasts until
    ``end_s``, the end of the clip.
    """
    found: list[Interval] = []
    begun: float | None = None
    for at_s, is_start in sorted([*((at, True) for at in starts_s), *((at, False) for at in stops_s)]):
        if is_start and begun is None:
            begun = at_s
        elif not is_start and begun is not None:
            found.append((begun, at_s))
            begun = None
    return found if begun is None else [*found, (begun, max(begun, end_s))]
