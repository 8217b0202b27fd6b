"""When to look again, for what is too dear to be done with every picture. Time is that of the pictures."""

__all__ = ["Pace"]

_EARLY_NS = 1_000_000  # stamps of a camera come a little early or late


class Pace:
    """Says when a time has passed since it last said so.

    Thread: one caller at a time.
    """

    def __init__(self, every_s: float) -> None:
        self._every_ns = round(every_s * 1e9)
        self._last_ns: int | None = None

    def is_due(self, stamp_ns: int) -> bool:
        """Return whether it is time, and take it as done."""
        if self._last_ns is not None and stamp_ns - self._last_ns < self._every_ns - _EARLY_NS:
            return False
        self._last_ns = stamp_ns
        return True
