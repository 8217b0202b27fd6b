"""The last seconds in memory, within a number of bytes. Knows no bag and no alert.

Pictures have room of their own, so that they cannot push out the sound.
"""

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from tml_ros.safety.incidents.message import IMAGE_TYPES

__all__ = ["Entry", "Ring"]

_OVERHEAD = 250  # bytes of memory that an entry takes beside its data
_PICTURE_SHARE = 0.75


@dataclass(frozen=True, slots=True)
class Entry:
    """A message as it will be written. at_ns: steady time."""

    at_ns: int
    topic: str
    type: str
    data: bytes


class _Lane:
    def __init__(self, limit: int) -> None:
        self.entries: deque[Entry] = deque()
        self.bytes = 0
        self._limit = limit

    def add(self, entry: Entry, oldest_ns: int) -> int:
        """Append and let go what is too old; return how many entries had to go although they were not."""
        self.entries.append(entry)
        self.bytes += len(entry.data) + _OVERHEAD
        self._drop_before(oldest_ns)
        pushed = 0
        while self.bytes > self._limit and len(self.entries) > 1:
            self._drop()
            pushed += 1
        return pushed

    def _drop_before(self, oldest_ns: int) -> None:
        while self.entries and self.entries[0].at_ns < oldest_ns:
            self._drop()

    def _drop(self) -> None:
        self.bytes -= len(self.entries.popleft().data) + _OVERHEAD


class Ring:
    """Messages of the last seconds. Thread: one at a time."""

    def __init__(self, seconds: float, megabytes: float) -> None:
        limit = round(megabytes * 1e6)
        self.pushed_out = 0
        self._span_ns = round(seconds * 1e9)
        self._pictures = _Lane(round(limit * _PICTURE_SHARE))
        self._others = _Lane(limit - round(limit * _PICTURE_SHARE))

    @property
    def bytes(self) -> int:
        """Memory that is used."""
        return self._pictures.bytes + self._others.bytes

    def add(self, entry: Entry) -> None:
        """Take in the newest message; the oldest give way."""
        lane = self._pictures if entry.type in IMAGE_TYPES else self._others
        self.pushed_out += lane.add(entry, entry.at_ns - self._span_ns)

    def newest(self, now_ns: int) -> Iterator[Entry]:
        """Iterate over what is not too old at a time, by time."""
        oldest_ns = now_ns - self._span_ns
        lanes = ([one for one in lane.entries if one.at_ns >= oldest_ns] for lane in (self._others, self._pictures))
        return heapq.merge(*lanes, key=lambda entry: entry.at_ns)
