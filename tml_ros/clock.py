"""Where the time comes from: a real clock for robots, a manual one for replay and tests.

``now_ns`` is the time of the data (ROS time, wall time or the bag's time); ``monotonic_ns`` measures latency only.
"""

import time
from typing import Protocol

__all__ = ["BagClock", "Clock", "ManualClock", "SystemClock"]


class Clock(Protocol):
    """A source of time in nanoseconds."""

    def now_ns(self) -> int:
        """Return the time of the data."""

    def monotonic_ns(self) -> int:
        """Return a time that never jumps, for latencies."""


class SystemClock:
    """Wall time and the monotonic clock of this machine."""

    def now_ns(self) -> int:
        """Return nanoseconds since the epoch."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """Return nanoseconds of the monotonic clock."""
        return time.monotonic_ns()


class ManualClock:
    """Time that stands still until it is set; latencies are then exactly what the test or the bag says."""

    def __init__(self, now_ns: int = 0) -> None:
        self._now_ns = now_ns

    def now_ns(self) -> int:
        """Return the time that was set last."""
        return self._now_ns

    def monotonic_ns(self) -> int:
        """Return the time that was set last."""
        return self._now_ns

    def set_ns(self, now_ns: int) -> None:
        """Set the time, forwards or backwards."""
        self._now_ns = now_ns

    def advance_ns(self, delta_ns: int) -> None:
        """Move the time by ``delta_ns``."""
        self._now_ns += delta_ns


class BagClock(ManualClock):
    """The bag's time for the data, the real monotonic clock for latencies."""

    def monotonic_ns(self) -> int:
        """Return nanoseconds of the monotonic clock."""
        return time.monotonic_ns()
