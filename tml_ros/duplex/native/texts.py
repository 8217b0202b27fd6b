"""Text on its way into the model: what people type goes first, and no source can fill the queue of another.

A micro-turn takes in a few tokens, so that a long report takes seconds. Texts are never mixed: the next one begins when
the one before it is through. It knows no words, only ids.
"""

from collections import Counter, deque

__all__ = ["TextQueue"]

_MOST_TOKENS = 2048  # that wait, of people and of all others each


class TextQueue:
    """Texts as lists of ids, those of people before those of others."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self._urgent: deque[list[int]] = deque()
        self._others: deque[list[int]] = deque()
        self._current: deque[int] = deque()

    def add(self, ids: list[int], *, is_urgent: bool) -> None:
        """Queue a text; one that waits already, or for which there is no room, is dropped and counted."""
        waiting = self._urgent if is_urgent else self._others
        if not is_urgent and ids in waiting:
            self.counters["repeated_texts"] += 1
        elif sum(map(len, waiting)) + len(ids) > _MOST_TOKENS:
            self.counters["dropped_texts"] += 1
        else:
            waiting.append(ids)

    def take(self, most: int) -> list[int]:
        """Return the next ids, at most so many."""
        taken: list[int] = []
        while len(taken) < most and self._has_more():
            taken.append(self._current.popleft())
        return taken

    def _has_more(self) -> bool:
        if not self._current:
            for waiting in (self._urgent, self._others):
                if waiting:
                    self._current.extend(waiting.popleft())
                    break
        return bool(self._current)
