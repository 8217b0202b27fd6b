"""Counting what somebody does before the camera, and what is said of it.

Of numbers that come faster than they can be said only the newest is. It knows how to count no more than what its
counter does.
"""

from collections.abc import Sequence

from tml_ros.intents.numbers import MAX_NUMBER, number_to_words
from tml_ros.media.repetition import RepetitionCounter
from tml_ros.records import CountDraft, Frame

__all__ = ["Counting"]

_NOT_COUNTING = "I am not counting."
_NO_PICTURE = "I have not seen a picture, so I could not count."


class Counting:
    """What is being counted, if anything is.

    Thread: one caller at a time.
    """

    def __init__(self, region: Sequence[float] = (0.0, 0.0, 1.0, 1.0)) -> None:
        """Prepare. region: part of the picture, left, top, right, bottom as shares of it.

        Raises:
            ConfigError: the region is none.
        """
        self._region = region
        self._counter = RepetitionCounter(region)
        self._what = ""
        self._has_seen = False
        self._said = 0

    def start(self, what: str) -> str:
        """Begin at zero; return what to say. what: in the plural, such as ``push ups``."""
        self._counter, self._what = RepetitionCounter(self._region), what or "repetitions"
        self._has_seen, self._said = False, 0
        return "Okay, I count."

    def stop(self) -> str:
        """End; return what to say."""
        answer = f"{self._total()}." if self._what and self._has_seen else self.so_far()
        self._what = ""
        return answer

    def so_far(self) -> str:
        """Return what to say to somebody who asks."""
        if not self._what:
            return _NOT_COUNTING
        return f"{self._total()} so far." if self._has_seen else _NO_PICTURE

    @property
    def is_on(self) -> bool:
        """Whether something is being counted."""
        return bool(self._what)

    def look(self, frames: Sequence[Frame]) -> tuple[CountDraft, ...]:
        """Take in pictures and return the count where it has changed."""
        if not self._what:
            return ()
        before = self._counter.count
        for frame in frames:
            self._has_seen = True
            self._counter.look(frame.rgb, frame.stamp_ns)
        count = self._counter.count
        if count < before:  # it was something else
            self._said = 0
        return (CountDraft(self._what, count),) if count != before else ()

    def number_to_say(self) -> str:
        """Return the newest number once; empty where there is no new one. Call it when it can be said at once."""
        count = self._counter.count
        if not self._what or count <= self._said:
            return ""
        self._said = count
        return f"{_number(count).capitalize()}."

    def _total(self) -> str:
        count = self._counter.count
        return f"{_number(count).capitalize()} {self._what.removesuffix('s') if count == 1 else self._what}"


def _number(count: int) -> str:
    return number_to_words(count) if count <= MAX_NUMBER else str(count)
