"""Timers that were set: each comes back as a text of its micro-turn, never more than one micro-turn late.

One that repeats goes on from when it was due, and leaves out what a gap in the micro-turns made it miss. It looks at no
clock but the times that it is given.
"""

import heapq
from collections import Counter
from dataclasses import dataclass, replace

from tml_ros.records import TextInput, TextSource, TimerDraft

__all__ = ["Timer", "Timers"]

_MOST_TIMERS = 100  # more is no wish but a model that has lost its way


@dataclass(frozen=True, slots=True, order=True)
class Timer:
    """Something that is due. name: what it is about; empty: it only says that the time is up."""

    due_ns: int
    number: int
    text: str
    repeat_ns: int = 0
    name: str = ""
    until_stop: bool = False


class Timers:
    """Waiting timers, on the time of the micro-turns.

    Thread: one caller at a time.
    """

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self._waiting: list[Timer] = []
        self._number = 0

    @property
    def waiting(self) -> list[Timer]:
        """Return what waits, the next one first."""
        return sorted(self._waiting)

    def add(self, drafts: tuple[TimerDraft, ...], now_ns: int, name: str = "", *, until_stop: bool = False) -> None:
        """Start timers at ``now_ns``; those beyond 100 that wait are dropped and counted.

        name: what they are about. until_stop: they end when somebody says stop.
        """
        for draft in drafts:
            if len(self._waiting) >= _MOST_TIMERS:
                self.counters["dropped_timers"] += 1
                continue
            self._number += 1
            due_ns = now_ns + round(draft.after_s * 1e9)
            repeat_ns = max(1, round(draft.repeat_s * 1e9)) if draft.repeat_s > 0 else 0
            heapq.heappush(self._waiting, Timer(due_ns, self._number, draft.text, repeat_ns, name, until_stop))

    def due(self, end_ns: int) -> tuple[TextInput, ...]:
        """Return what is due before ``end_ns``, in order."""
        texts = []
        while self._waiting and self._waiting[0].due_ns < end_ns:
            one = heapq.heappop(self._waiting)
            texts.append(TextInput(one.due_ns, one.text, TextSource.TIMER))
            if one.repeat_ns:
                rounds = (end_ns - one.due_ns - 1) // one.repeat_ns + 1
                self.counters["missed_reminders"] += rounds - 1
                heapq.heappush(self._waiting, replace(one, due_ns=one.due_ns + rounds * one.repeat_ns))
        return tuple(texts)

    def cancel(self, gone: list[Timer]) -> None:
        """Forget these."""
        numbers = {one.number for one in gone}
        self._waiting = [one for one in self._waiting if one.number not in numbers]
        heapq.heapify(self._waiting)

    def move(self, by_ns: int) -> None:
        """Take note that the clock was set: what is left of every timer stays what it was."""
        self._waiting = [replace(one, due_ns=one.due_ns + by_ns) for one in self._waiting]
        heapq.heapify(self._waiting)
