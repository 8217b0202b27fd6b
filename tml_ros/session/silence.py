"""Tell by the clock for how long no micro-turn has closed: every sensor is silent.

It counts steps of the clock, each bounded, so that a clock that is set makes up no silence, and one that stands still
makes none. It knows neither sensors nor threads.
"""

__all__ = ["Silence"]

_PATIENCE_NS = 500_000_000
_START_PATIENCE_NS = 5_000_000_000  # until drivers are found
_LONGEST_STEP_NS = 2_000_000_000


class Silence:
    """Thread: one caller at a time."""

    def __init__(self) -> None:
        self._is_fed = False
        self._ticked_ns: int | None = None
        self._silent_ns = 0
        self._patience_ns = _START_PATIENCE_NS

    def feed(self) -> None:
        """Take note that a micro-turn has closed."""
        self._is_fed = True

    def tick(self, now_ns: int) -> int:
        """Take note of the clock, a few times a second; return how long nothing came, 0 as long as that is usual."""
        step_ns = 0 if self._ticked_ns is None else now_ns - self._ticked_ns
        self._ticked_ns = now_ns
        self._silent_ns += min(max(0, step_ns), _LONGEST_STEP_NS)
        if self._is_fed:
            self._silent_ns, self._patience_ns = 0, _PATIENCE_NS
        self._is_fed = False
        return self._silent_ns if self._silent_ns >= self._patience_ns else 0
