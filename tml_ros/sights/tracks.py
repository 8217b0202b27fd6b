"""Values that change over time: numbers between key moments, and motion that repeats. It knows no pictures."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Repetitions", "Track", "ease", "pulse"]


def ease(share: float) -> float:
    """Return the smooth step from 0 to 1."""
    share = min(1.0, max(0.0, share))
    return share * share * (3.0 - 2.0 * share)


@dataclass(frozen=True, slots=True)
class Track:
    """A number over time: it eases from one key to the next, and stays as it is before the first and after the last."""

    times_s: tuple[float, ...]
    values: tuple[float, ...]

    @classmethod
    def of(cls, *keys: tuple[float, float]) -> "Track":
        """Make a track from (time, value) in order of time."""
        return cls(tuple(time for time, _ in keys), tuple(value for _, value in keys))

    def at(self, time_s: float) -> float:
        """Return the value at a time."""
        after = bisect_right(self.times_s, time_s)
        if after == 0:
            return self.values[0]
        if after == len(self.times_s):
            return self.values[-1]
        begin, end = self.times_s[after - 1], self.times_s[after]
        low, high = self.values[after - 1], self.values[after]
        return low + (high - low) * ease((time_s - begin) / (end - begin))


def pulse(begin_s: float, end_s: float, ramp_s: float = 0.4) -> Track:
    """Return a track that is 1 between two times, with ramps inside of them, and 0 elsewhere."""
    ramp_s = min(ramp_s, 0.49 * (end_s - begin_s))
    return Track.of((begin_s, 0.0), (begin_s + ramp_s, 1.0), (end_s - ramp_s, 1.0), (end_s, 0.0))


@dataclass(frozen=True, slots=True)
class Repetitions:
    """Motion from rest to its turning point and back, over and over.

    marks_s: n + 1 times; repetition k lasts from marks_s[k] to marks_s[k + 1] and is complete at its end.
    """

    what: str
    marks_s: Sequence[float]
    hold: float = 0.0  # share of a repetition that is rest, at its end

    def depth(self, time_s: float) -> float:
        """Return 0 at rest, 1 at the turning point."""
        number = bisect_right(self.marks_s, time_s)
        if number == 0 or number == len(self.marks_s):
            return 0.0
        begin, end = self.marks_s[number - 1], self.marks_s[number]
        share = (time_s - begin) / ((end - begin) * (1.0 - self.hold))
        return 0.5 - 0.5 * math.cos(2.0 * math.pi * min(1.0, share))
