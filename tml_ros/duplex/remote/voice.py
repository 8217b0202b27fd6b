"""What a server says, between its messages and the micro-turns: sound at the server's rate, and words that go with it.

A word is tied to the sound that had come when it came, and goes out with it. Only whole words go out. It knows no
protocol.
"""

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tml_ros.devices.resampler import Resampler
from tml_ros.records import MICRO_TURN_SAMPLES, SAMPLE_RATE_HZ

__all__ = ["BLOCK", "SERVER_RATE_HZ", "Piece", "Voice", "Words"]

SERVER_RATE_HZ = 24_000
_OVER = 64  # utterances that are remembered as over, for what of them comes late
BLOCK = MICRO_TURN_SAMPLES * SERVER_RATE_HZ // SAMPLE_RATE_HZ  # samples of a micro-turn at the server's rate


class Words:
    """Pieces of text, each tied to a position; whole words come out."""

    def __init__(self) -> None:
        self._pieces: deque[tuple[int, str]] = deque()
        self._begun = ""

    def add(self, position: int, text: str) -> None:
        """Take in a piece, such as `` hel`` or ``lo``."""
        self._pieces.append((position, text))

    def take(self, position: int, *, ends: bool = False) -> str:
        """Return the words that are whole by a position. ends: no piece of the last one follows."""
        while self._pieces and self._pieces[0][0] < position:
            self._begun += self._pieces.popleft()[1]
        end = len(self._begun) if ends else self._begun.rfind(" ") + 1
        whole, self._begun = self._begun[:end], self._begun[end:]
        return " ".join(whole.split())


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of an utterance. audio: [N] float32 at 16 kHz, N may be 0. last: nothing follows."""

    key: str
    text: str
    audio: NDArray[np.float32]
    last: bool


@dataclass(slots=True)
class _Utterance:
    key: str
    sound: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    words: Words = field(default_factory=Words)
    resampler: Resampler = field(default_factory=lambda: Resampler(SERVER_RATE_HZ, SAMPLE_RATE_HZ))
    received: int = 0
    handed: int = 0
    due: int = 0
    has_ended: bool = False

    def take(self) -> Piece | None:
        self.due += BLOCK if self.received else 0
        count = min(self.due - self.handed, len(self.sound))
        is_last = self.has_ended and count == len(self.sound)
        if is_last:
            rest = np.zeros(round(self.resampler.delay) + 1, np.float32)  # what the resampler holds back
            self.sound = np.concatenate([self.sound, rest])
            count = len(self.sound)
        out = count * SAMPLE_RATE_HZ // SERVER_RATE_HZ
        count = self.resampler.needed(out)
        sound, self.sound = np.split(self.sound, [count])
        self.handed = min(self.handed + count, self.received)
        audio = self.resampler.process(sound, out)
        text = self.words.take(self.handed + is_last, ends=is_last)
        return Piece(self.key, text, audio, is_last) if out or text or is_last else None


class Voice:
    """Utterances in the order in which they began; keys are the server's names of them."""

    def __init__(self) -> None:
        self._utterances: deque[_Utterance] = deque()
        self._last: _Utterance | None = None
        self._over: deque[str] = deque(maxlen=_OVER)

    def __bool__(self) -> bool:
        """Whether anything is still to be said or to come."""
        return bool(self._utterances)

    @property
    def is_short(self) -> bool:
        """Whether the utterance that is being said has less than a micro-turn of sound here."""
        return bool(self._utterances) and not self._utterances[0].has_ended and len(self._utterances[0].sound) < BLOCK

    def add_sound(self, key: str, sound: NDArray[np.float32]) -> bool:
        """Take in sound; False when its utterance is over or was cut. sound: [N] float32 at SERVER_RATE_HZ."""
        utterance = self._utterance(key)
        if utterance is not None:
            utterance.sound = np.concatenate([utterance.sound, sound])
            utterance.received += len(sound)
        return utterance is not None

    def add_words(self, key: str, text: str) -> bool:
        """Take in a piece of text; False when its utterance is over or was cut."""
        utterance = self._utterance(key)
        if utterance is not None:
            utterance.words.add(utterance.received, text)
        return utterance is not None

    def end(self, key: str | None = None) -> None:
        """Take in that nothing is added to an utterance any more; None: to any."""
        for utterance in self._utterances:
            utterance.has_ended |= key in (None, utterance.key)

    def take(self) -> Piece | None:
        """Return what is to be said in a micro-turn; None: nothing."""
        if not self._utterances:
            return None
        self._last = self._utterances[0]
        piece = self._last.take()
        if piece is not None and piece.last:
            self._over.append(self._utterances.popleft().key)
        return piece

    def cut(self) -> tuple[str, float] | None:
        """Drop everything; return the utterance that was being said and how much of it was taken, in seconds."""
        now = self._utterances[0] if self._utterances else self._last
        self._over.extend(utterance.key for utterance in self._utterances)
        self._utterances.clear()
        self._last = None
        return (now.key, now.handed / SERVER_RATE_HZ) if now is not None else None

    def _utterance(self, key: str) -> _Utterance | None:
        if key in self._over:
            return None
        for utterance in self._utterances:
            if utterance.key == key:
                return utterance
        self._utterances.append(_Utterance(key))
        return self._utterances[-1]
