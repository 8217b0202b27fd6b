"""A thread that works on what is submitted, one after the other, behind a bounded queue.

It knows neither windows nor models; what its work raises, the work itself has to catch.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Worker"]

T = TypeVar("T")
_STOP_S = 10.0


class Worker(Generic[T]):
    """One thread and what waits for it. thread: None while it does not run. waiting: items that are not urgent.

    Thread: any.
    """

    def __init__(self, name: str, most_waiting: int) -> None:
        self.thread: threading.Thread | None = None
        self.is_stopping = False
        self._name = name
        self._most_waiting = most_waiting
        self._urgent: deque[T] = deque()
        self.waiting: deque[T] = deque()
        self._changed = threading.Condition()

    def start(self, work: Callable[[T, int], None]) -> None:
        """Begin; ``work`` is called in the thread with each item and the number of those that wait behind it."""
        self.is_stopping = False
        self.thread = threading.Thread(target=self._run, args=(work,), name=self._name, daemon=True)
        self.thread.start()

    def submit(self, item: T) -> bool:
        """Queue an item and return at once, whether the oldest was given up for it."""
        with self._changed:
            is_full = len(self.waiting) >= self._most_waiting
            if is_full:
                self.waiting.popleft()
            self.waiting.append(item)
            self._changed.notify()
        return is_full

    def submit_urgent(self, item: T) -> None:
        """Queue an item before all that are not urgent, whatever their number; returns at once."""
        with self._changed:
            self._urgent.append(item)
            self._changed.notify()

    def stop(self) -> None:
        """Finish the item at work and leave the others."""
        with self._changed:
            self.is_stopping = True
            self._changed.notify()
        if self.thread is not None:
            self.thread.join(timeout=_STOP_S)
            self.thread = None
        self.waiting.clear()

    def _run(self, work: Callable[[T, int], None]) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._urgent or self.waiting or self.is_stopping)
                if self.is_stopping:
                    return
                item = (self._urgent or self.waiting).popleft()
                behind = len(self.waiting)
            work(item, behind)
