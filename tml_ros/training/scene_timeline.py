"""A scene while it is made: sounds, speech, words and outputs are put at their places, then it becomes a Conversation.

Positions are samples from the beginning of the scene. What a target may know: a word is heard 60 ms after its end, a
turn is over 110 ms after its last word, both in the micro-turn in which that lies, so that an answer comes 0.11 to
0.31 s after the end, computing aside. It knows neither parts nor skills.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tml_ros.duplex.native.markup import Record
from tml_ros.records import MICRO_TURN_SAMPLES, SAMPLE_RATE_HZ, Floor, TextSource, TranscriptEvent
from tml_ros.training.conversation import UNKNOWN, Conversation, Target

__all__ = ["HEARD_AFTER", "OVER_AFTER", "Timeline", "turn_of"]

Sound = NDArray[np.float32]
OVER_AFTER = 110 * SAMPLE_RATE_HZ // 1000
HEARD_AFTER = 60 * SAMPLE_RATE_HZ // 1000
_CLEARLY, _HARDLY = 60 * SAMPLE_RATE_HZ // 1000, 8 * SAMPLE_RATE_HZ // 1000
"""Samples of speech in a micro-turn from which on it counts, and up to which it does not; between them is unknown."""


def turn_of(sample: int) -> int:
    """Return the micro-turn in which a sample lies."""
    return sample // MICRO_TURN_SAMPLES


class Timeline:
    """What has been put into the scene so far; it ends where the last of it does."""

    def __init__(self, skill: str) -> None:
        self.skill = skill
        self.end = 0
        self._sounds: list[tuple[int, Sound]] = []
        self._played: list[tuple[int, Sound]] = []
        self._speech: dict[str, list[tuple[int, int]]] = {"user": [], "other": [], "unclear": []}
        self._turns: list[tuple[int, int | None]] = []
        self._heard: list[tuple[int, str]] = []
        self._records: dict[int, list[Record]] = {}
        self._floors: dict[int, Floor] = {}
        self._texts: dict[int, tuple[tuple[TextSource, str], ...]] = {}

    def extend(self, end: int) -> None:
        """Let the scene last to a sample at least."""
        self.end = max(self.end, end)

    def sound(self, sound: Sound, at: int) -> None:
        """Add what the microphone hears."""
        self._sounds.append((at, sound))
        self.extend(at + len(sound))

    def speech(self, whose: str, begin: int, end: int) -> None:
        """Mark speech of the ``user``, of an ``other``, or ``unclear``: what may count as speech or not."""
        self._speech[whose].append((begin, end))

    def turn(self, begin: int, end: int | None) -> int:
        """Mark a turn of the person's, and return the micro-turn in which it is over. end None: it goes on."""
        self._turns.append((begin, end))
        over = turn_of((end or begin) + OVER_AFTER)
        self.extend((over + 1) * MICRO_TURN_SAMPLES)
        return over

    def heard(self, word: str, end: int, latest: int | None = None) -> None:
        """Let a word be recognised, in micro-turn ``latest`` at the latest."""
        at = turn_of(end + HEARD_AFTER)
        self._heard.append((at if latest is None else min(at, latest), word))

    def put(self, turn: int, *records: Record) -> None:
        """Let outputs begin in a micro-turn, behind what is there and behind the words heard."""
        self._records.setdefault(turn, []).extend(records)
        self.extend((turn + 1) * MICRO_TURN_SAMPLES)

    def floor(self, first: int, last: int, floor: Floor) -> None:
        """Set who has the floor in the micro-turns [first, last]; elsewhere the robot listens."""
        self._floors.update(dict.fromkeys(range(first, last + 1), floor))

    def play(self, sound: Sound, at: int) -> int:
        """Let the loudspeaker play, and return the last micro-turn at whose end it still does."""
        self._played.append((at, sound))
        self.extend(at + len(sound))
        return turn_of(at + len(sound)) - 1

    def text(self, turn: int, source: TextSource, text: str) -> None:
        """Let a line come in."""
        self._texts[turn] = (*self._texts.get(turn, ()), (source, text))
        self.extend((turn + 1) * MICRO_TURN_SAMPLES)

    @property
    def turns(self) -> int:
        """Number of micro-turns so far."""
        return -(-self.end // MICRO_TURN_SAMPLES)

    def microphone(self) -> Sound:
        """Return what the microphone hears so far, [T * 3200]."""
        return _mixed(self._sounds, self.turns * MICRO_TURN_SAMPLES)

    def loudspeaker(self) -> Sound | None:
        """Return what is played, [T * 3200]; None when nothing is."""
        return _mixed(self._played, self.turns * MICRO_TURN_SAMPLES) if self._played else None

    def finish(self, audio: Sound, reference: Sound | None, *, is_playback_known: bool = True) -> Conversation:
        """Return the scene with its sound as it is after all that happens to it on the way, [T * 3200] each."""
        turns, playing = self.turns, np.zeros(self.turns, np.bool_)
        for at, sound in self._played if is_playback_known else ():
            playing[turn_of(at) : turn_of(at + len(sound))] = True
        targets = self._targets(turns)
        return Conversation(self.skill, audio, targets, reference, playing, texts=dict(self._texts))

    def _targets(self, turns: int) -> tuple[Target, ...]:
        user = _share(self._speech["user"], turns)
        unclear = _share(self._speech["unclear"], turns)
        there = _share([*self._speech["user"], *self._speech["other"]], turns)
        # Who is only heard in the background may as well be a person who talks to the robot from afar.
        speaking = _labels(user, np.maximum(unclear, there - user))
        present, over = _labels(there, unclear), self._over(turns)
        records = self._all_records()
        return tuple(
            Target(self._floors.get(t, Floor.LISTEN), tuple(records.get(t, ())), speaking[t], over[t], present[t])
            for t in range(turns)
        )

    def _all_records(self) -> Mapping[int, list[Record]]:
        """Return what begins in each micro-turn: the words heard, as one record, then the rest."""
        words: dict[int, list[str]] = {}
        for turn, word in self._heard:
            words.setdefault(turn, []).append(word)
        heard: dict[int, list[Record]] = {
            turn: [TranscriptEvent("user", " ".join(said), True, 1.0, 0, 0)] for turn, said in words.items()
        }
        return {turn: [*heard.get(turn, ()), *self._records.get(turn, ())] for turn in {*heard, *self._records}}

    def _over(self, turns: int) -> list[float]:
        """Return whether the last turn is over, for each micro-turn; unknown before the first one."""
        labels = [UNKNOWN] * turns
        for begin, end in sorted(self._turns, key=lambda turn: turn[0]):
            first = turn_of(begin + _CLEARLY)
            over = turns if end is None else turn_of(end + OVER_AFTER)
            labels[first:over] = [0.0] * (min(over, turns) - first)
            labels[over:] = [1.0] * max(0, turns - over)
        return labels[:turns]


def _mixed(sounds: list[tuple[int, Sound]], size: int) -> Sound:
    out = np.zeros(size, np.float32)
    for at, sound in sounds:
        out[at : at + len(sound)] += sound[: size - at]
    return out


def _share(intervals: list[tuple[int, int]], turns: int) -> NDArray[np.int64]:
    """Return the samples of each micro-turn that lie in intervals, [T]; overlaps count once."""
    is_in = np.zeros(turns * MICRO_TURN_SAMPLES, np.bool_)
    for begin, end in intervals:
        is_in[max(0, begin) : end] = True
    counted: NDArray[np.int64] = is_in.reshape(turns, MICRO_TURN_SAMPLES).sum(1)
    return counted


def _labels(counts: NDArray[np.int64], doubt: NDArray[np.int64]) -> list[float]:
    known = np.where(counts >= _CLEARLY, 1.0, np.where((counts <= _HARDLY) & (doubt <= _HARDLY), 0.0, UNKNOWN))
    values: list[float] = known.tolist()
    return values
