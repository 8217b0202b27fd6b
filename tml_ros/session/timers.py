"""Timers that the model set: each comes back as a text of its micro-turn, never more than one micro-turn late."""

import heapq
from collections import Counter

from tml_ros.records import TextInput, TextSource, TimerDraft

__all__ = ["Timers"]

_MOST_TIMERS = 100  # more is no wish but a model that has lost its way


class Timers:
    """Waiting timers, on the time of the micro-turns.

    Thread: one caller at a time.
    """

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self._waiting: list[tuple[int, int, TimerDraft]] = []
        self._number = 0

    def add(self, drafts: tuple[TimerDraft, ...], now_ns: int) -> None:
        """Start timers at ``now_ns``; those beyond 100 that wait are dropped and counted."""
        for draft in drafts:
            if len(self._waiting) >= _MOST_TIMERS:
                self.counters["dropped_timers"] += 1
                continue
            self._push(now_ns + round(draft.after_s * 1e9), draft)

    def due(self, end_ns: int) -> tuple[TextInput, ...]:
        """Return what is due before ``end_ns``, in order; repeating timers go on from when they were due."""
        texts = []
        while self._waiting and self._waiting[0][0] < end_ns:
            due_ns, _, draft = heapq.heappop(self._waiting)
            texts.append(TextInput(due_ns, draft.text, TextSource.TIMER))
            if draft.repeat_s > 0:
                self._push(due_ns + max(1, round(draft.repeat_s * 1e9)), draft)
        return tuple(texts)

    def _push(self, due_ns: int, draft: TimerDraft) -> None:
        self._number += 1
        heapq.heappush(self._waiting, (due_ns, self._number, draft))
