"""Hand the words of a reply on as partial updates: the first at once, then about ten a second at most.

Knows the loop it runs in, and nothing of endpoints.
"""

import asyncio
import time
from collections.abc import Callable

from tml_ros.background.openai.words import SpeakableWords
from tml_ros.background.protocol import Partial, Progress, Update

__all__ = ["Relay"]

_PARTIAL_EVERY_S = 0.1
_THOUGHT_EVERY_S = 2.0


class Relay:
    """What a task has said so far.

    Thread: the loop's.
    """

    def __init__(self, give: Callable[[Update], None]) -> None:
        self.report = ""
        self._give = give
        self._words = SpeakableWords()
        self._waiting = ""
        self._timer: asyncio.TimerHandle | None = None
        self._next_thought = 0.0

    def content(self, piece: str) -> None:
        """Take a piece of a reply."""
        self._add(self._words.feed(piece))
        if self._words.is_thinking:
            self.thought()

    def thought(self) -> None:
        """Tell that the model thinks; what it thinks is nobody's business."""
        if time.monotonic() >= self._next_thought:
            self._next_thought = time.monotonic() + _THOUGHT_EVERY_S
            self._give(Progress("thinking"))

    def end_of_reply(self) -> None:
        """Hand on what waits; another reply may follow."""
        self._add(self._words.end())
        self.close()

    def close(self) -> None:
        """Hand on what waits and stop the clock."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._flush()

    def _add(self, words: str) -> None:
        self._waiting += words
        if self._timer is None:
            self._tick()

    def _tick(self) -> None:
        self._timer = None
        if self._flush():
            self._timer = asyncio.get_running_loop().call_later(_PARTIAL_EVERY_S, self._tick)

    def _flush(self) -> bool:
        words, self._waiting = self._waiting, ""
        if not words:
            return False
        self.report += words
        self._give(Partial(words))
        return True
