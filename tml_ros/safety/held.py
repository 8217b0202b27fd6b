"""What is seen, and goes on to count for a while when it is not: a flame behind a hand, smoke that thins out."""

from tml_ros.safety.watcher import Reading
from tml_ros.safety.zones import Box

__all__ = ["Held"]


class Held:
    """Remembers what was seen last.

    Thread: one caller at a time.
    """

    def __init__(self, name: str, hold_s: float) -> None:
        """Begin.

        Args:
            name: of the value that is 1 while it counts; ``area`` is the other.
            hold_s: for how long it counts when it is not seen.
        """
        self._name = name
        self._hold_ns = round(hold_s * 1e9)
        self._seen_ns: int | None = None
        self._area = 0.0
        self._boxes: tuple[Box, ...] = ()
        self._is_known = False

    def look(self) -> None:
        """Take note that one could have seen it."""
        self._is_known = True

    def see(self, stamp_ns: int, area: float, boxes: tuple[Box, ...]) -> None:
        """Take note that it is seen. area: its share of the picture. boxes: where it is."""
        self._seen_ns, self._area, self._boxes = stamp_ns, area, boxes

    def reading(self, now_ns: int) -> Reading:
        """Return both values, None as long as nobody could look."""
        if not self._is_known:
            return Reading({self._name: None, "area": None})
        if self._seen_ns is None or now_ns - self._seen_ns > self._hold_ns:
            return Reading({self._name: 0.0, "area": 0.0})
        return Reading({self._name: 1.0, "area": self._area}, self._boxes)
