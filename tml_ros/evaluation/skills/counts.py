"""Hits of trials, and what a threshold on confidence costs. Numbers only."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

__all__ = ["PER_MINUTES", "Trial", "counted", "curve", "grouped", "middle", "operating_points", "point"]

_MOST_POINTS = 60
PER_MINUTES = 10.0


@dataclass(frozen=True, slots=True)
class Trial:
    """One thing that was to be understood. right, wrong: confidences of what was suggested for it.

    group: what it is counted under. late_s: from its end to the first right one.
    """

    group: str
    right: tuple[float, ...]
    wrong: tuple[float, ...] = ()
    late_s: float | None = None

    def is_hit(self, threshold: float = 0.0) -> bool:
        """Whether the right thing was suggested and nothing wrong, as far as the threshold lets through."""
        return max(self.right, default=-1.0) >= threshold > max(self.wrong, default=-1.0)


def counted(hits: int, trials: int) -> dict[str, Any]:
    """Return hits, trials and their share; None of no trials."""
    return {"hits": hits, "trials": trials, "figure": round(hits / trials, 4) if trials else None}


def grouped(trials: Sequence[Trial], threshold: float = 0.0) -> dict[str, Any]:
    """Return the count of every group."""
    names = sorted({one.group for one in trials})
    parts = {name: [one.is_hit(threshold) for one in trials if one.group == name] for name in names}
    return {name: counted(sum(hits), len(hits)) for name, hits in parts.items()}


def middle(values: Iterable[float | None]) -> float | None:
    """Return the median of those that are known."""
    known = [value for value in values if value is not None]
    return round(median(known), 3) if known else None


def curve(trials: Sequence[Trial], false: Sequence[float], minutes: float) -> list[dict[str, Any]]:
    """Return hits and false ones for thresholds from the lowest confidence up, at most 60 of them.

    Args:
        false: confidences of what nobody asked for, in so many minutes.
    """
    seen = sorted({0.0, *false, *(value for one in trials for value in (*one.right, *one.wrong))})
    step = max(1.0, (len(seen) - 1) / (_MOST_POINTS - 1))
    places = sorted({min(len(seen) - 1, round(number * step)) for number in range(min(len(seen), _MOST_POINTS))})
    return [point(trials, false, minutes, seen[place]) for place in places]


def point(trials: Sequence[Trial], false: Sequence[float], minutes: float, threshold: float) -> dict[str, Any]:
    """Return hits and false ones at a threshold. false: as for ``curve``."""
    kept = sum(value >= threshold for value in false)
    hits = sum(one.is_hit(threshold) for one in trials)
    per = round(kept / minutes * PER_MINUTES, 3) if minutes else None
    return {"threshold": threshold, **counted(hits, len(trials)), "false": kept, "false_per_10_min": per}


def operating_points(points: Sequence[dict[str, Any]], limits: Sequence[float]) -> list[dict[str, Any] | None]:
    """Return for each limit on false ones the point with the most hits, and of these the fewest false ones."""
    chosen: list[dict[str, Any] | None] = []
    for limit in limits:
        fitting = [one for one in points if one["false_per_10_min"] is not None and one["false_per_10_min"] <= limit]
        chosen.append(max(fitting, key=lambda one: (one["hits"], -one["false"]), default=None))
    return chosen
