"""News that come at set times of a conversation: the receiving half of the ports that play on the time of a bag."""

import bisect

from tml_ros.background.port import DelegationUpdate

__all__ = ["Schedule"]


class Schedule:
    """Implements ``cancel`` and ``updates`` of a port; ``start`` is left to who knows what comes.

    Thread: one caller at a time.
    """

    def __init__(self) -> None:
        self._waiting: list[DelegationUpdate] = []

    def cancel(self, delegation_id: str) -> None:
        """Leave out what has not come yet."""
        self._waiting = [news for news in self._waiting if news.delegation_id != delegation_id]

    def updates(self, now_ns: int) -> tuple[DelegationUpdate, ...]:
        """Return what has come by then."""
        due = tuple(news for news in self._waiting if news.stamp_ns <= now_ns)
        self._waiting = self._waiting[len(due) :]
        return due

    def add(self, news: DelegationUpdate) -> None:
        """Let news come at their stamp; those of the same stamp in the order in which they were added."""
        bisect.insort(self._waiting, news, key=lambda one: one.stamp_ns)
