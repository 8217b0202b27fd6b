"""Who wants the floor: a sound over the robot's own speech, and somebody who talks at length.

Back-channels, coughs and talk aside must not stop the robot; a person who really starts talking must, at once. It is
given what the voice activity detector and the classifier of onsets say and keeps the time; it hears nothing itself.
"""

from collections.abc import Callable
from enum import Enum, auto

import numpy as np
from numpy.typing import NDArray

from tml_ros.duplex.cascade.config import CascadeConfig
from tml_ros.duplex.cascade.vad import FRAME_MS, FRAME_SAMPLES
from tml_ros.records import MICRO_TURN_NS, SAMPLE_RATE_HZ

__all__ = ["BACKCHANNEL_WORDS", "Bid", "Mumbler", "OverlapJudge", "is_backchannel"]

BACKCHANNEL_WORDS = frozenset(
    "ah aha hm hmm huh m mhm mm mmm oh okay ok really right i see sure uh uhuh um wow yeah yep yes".split()  # noqa: SIM905
)
_BEFORE_SAMPLES = 64 * SAMPLE_RATE_HZ // 1000  # sound before the onset that the classifier expects
_MOST_SAMPLES = SAMPLE_RATE_HZ  # the classifier was trained on up to one second
_QUIET_DB = -120.0
_FINE_SAMPLES = SAMPLE_RATE_HZ // 100
_TAKEN_OUT_SAMPLES = 132 * SAMPLE_RATE_HZ // 1000  # half a window, and a frame that begins before it
_SURE = 0.97  # above overlap_first: a first look may still turn out wrong


class Bid(Enum):
    """What a sound over the robot's speech is."""

    NONE = auto()
    OPEN = auto()  # nobody can tell yet
    LIKELY = auto()  # nobody can be sure yet
    FLOOR = auto()


def is_backchannel(words: str) -> bool:
    """Tell whether words only say that somebody listens. No words at all do, too."""
    return all(word in BACKCHANNEL_WORDS for word in words.lower().split())


class OverlapJudge:
    """Follows one sound over the robot's speech after the other.

    probability: of a bid for the floor, given [N] float32 at 16 kHz from just before the onset.
    """

    def __init__(self, config: CascadeConfig, probability: Callable[[NDArray[np.float32]], float]) -> None:
        self._config = config
        self._probability = probability
        self._sound = np.zeros(0, np.float32)
        self._heard = 0
        self._frames_end = 0
        self._onset: int | None = None
        self._last = 0
        self._speech_frames = 0
        self._usual_db: float | None = None
        self._first: NDArray[np.float32] | None = None
        self._past: NDArray[np.float32] | None = None
        self._is_just_over = False
        self._hushed_ms = 0
        self._surest = 0.0

    def hear(self, audio: NDArray[np.float32], frames: list[float], *, attends: bool) -> None:
        """Take in a micro-turn.

        Args:
            audio: [N] float32 at 16 kHz.
            frames: speech probability of the frames of 32 ms that it completed.
            attends: whether the robot speaks, or has just been stopped and it is not clear yet by what.
        """
        self._sound = np.concatenate([self._sound, audio])[-2 * SAMPLE_RATE_HZ :]
        self._heard += len(audio)
        self._is_just_over = False
        if not attends:
            self._onset = self._past = None
        for probability in frames:
            self._frames_end += FRAME_SAMPLES
            if attends:
                self._follow(probability)
        if self._was_taken_out(audio):
            self.forget()
        if self._onset is not None:
            self._event()  # keeps its beginning

    def judge(self) -> Bid:
        """Return what the sound is, by what is known of it now; one that is over is looked at once more."""
        if self._onset is None:
            is_bid = self._is_just_over and not (self.was_false() or self._is_aside() or self._is_faint())
            return Bid.FLOOR if is_bid else Bid.NONE
        age_ms = (self._heard - self._onset) * 1000 // SAMPLE_RATE_HZ
        if self._is_aside() or self._is_faint():
            return Bid.NONE
        if self._speech_frames * FRAME_MS >= self._config.barge_in_ms:
            return Bid.FLOOR
        if age_ms < self._config.overlap_first_ms:
            return Bid.OPEN
        early = age_ms < self._config.overlap_first_ms + 200
        wanted = self._config.overlap_first if early else self._config.overlap_later
        probability = self._probability(self._event())
        self._surest = max(self._surest, probability)
        if probability >= wanted:
            return Bid.FLOOR
        if probability < self._config.overlap_hush or self._hushed_ms >= self._config.overlap_hush_ms:
            return Bid.OPEN
        self._hushed_ms += MICRO_TURN_NS // 1_000_000
        return Bid.LIKELY

    def chance(self) -> float | None:
        """Return how likely the sound is a bid, by what is known of it now; None when there is none.

        One that has just ended is looked at once more.
        """
        event = self._event() if self._onset is not None else self._past if self._is_just_over else None
        return None if event is None else self._probability(event)

    def was_false(self, wanted: float | None = None) -> bool:
        """Tell, once the sound is over, whether the whole of it was no bid after all; wanted: overlap_over if None.

        What sounded surely like one for a moment was one.
        """
        event = self._newest()
        if event is None or self._surest >= _SURE:
            return event is None
        return self._probability(event) < (self._config.overlap_over if wanted is None else wanted)

    def is_unlikely(self) -> bool:
        """Tell, once a sound over the robot's speech is over, that nobody made it: most likely its own voice."""
        is_followed = self._onset is not None or self._past is not None
        return is_followed and (self._is_faint() or self.was_false(self._config.overlap_command))

    def forget(self) -> None:
        """Drop the sound that is followed: it has had its effect."""
        self._onset = self._past = None

    def note_addressed(self, start: int, end: int) -> None:
        """Take in that somebody talked to the robot, from one sample of the session to another: his level is usual."""
        now_db = level_db(self._sound[max(0, len(self._sound) - (self._heard - start)) :][: end - start])
        self._usual_db = now_db if self._usual_db is None else 0.7 * self._usual_db + 0.3 * now_db

    def _was_taken_out(self, audio: NDArray[np.float32]) -> bool:
        """Tell whether a sound began just before a micro-turn without any: the end of it slipped through.

        The echo canceller silences a micro-turn in which it finds that the loudspeaker skipped, and cannot find that at
        the very end of the one before. A microphone has a noise of its own.
        """
        is_new = self._onset is not None and self._heard - len(audio) - self._onset <= _TAKEN_OUT_SAMPLES
        return is_new and not audio.any()

    def _follow(self, probability: float) -> None:
        if self._onset is None:
            if probability >= self._config.overlap_vad:
                self._onset, self._last, self._speech_frames = self._frames_end - FRAME_SAMPLES, self._frames_end, 1
                self._first = None
                self._hushed_ms, self._surest = 0, 0.0
            return
        if probability >= min(self._config.vad_off, self._config.overlap_vad):
            self._last = self._frames_end
            self._speech_frames += 1
        elif (self._frames_end - self._last) * 1000 >= self._config.overlap_gap_ms * SAMPLE_RATE_HZ:
            self._past, self._onset, self._is_just_over = self._event(), None, True

    def _event(self) -> NDArray[np.float32]:
        """Return the sound from just before its onset, at most a second of it."""
        assert self._onset is not None
        if self._first is not None:
            return self._first
        start = max(0, len(self._sound) - (self._heard - self._onset + _BEFORE_SAMPLES))
        event = self._sound[start:][:_MOST_SAMPLES]
        self._first = event if len(event) == _MOST_SAMPLES else None
        return event

    def _is_aside(self) -> bool:
        """Tell whether the sound is much softer than whoever talks to the robot: somebody talks to somebody else."""
        event = self._newest()
        if self._usual_db is None or event is None:
            return False
        return level_db(event) < self._usual_db - self._config.aside_db

    def _is_faint(self) -> bool:
        """Tell whether nothing of the sound is as loud as somebody who is there: it is what is left of an echo."""
        event = self._newest()
        return event is not None and loudest_db(event) < self._config.overlap_least_db

    def _newest(self) -> NDArray[np.float32] | None:
        """Return the sound that is followed, or the last one that was."""
        return self._past if self._onset is None else self._event()


class Mumbler:
    """Decides when the robot says "mm-hm" while somebody talks on."""

    def __init__(self, config: CascadeConfig) -> None:
        self._config = config
        self._last_ns: int | None = None

    def is_due(self, now_ns: int, spoken_ms: int, silence_ms: int) -> bool:
        """Tell whether a short pause of a long turn asks for it; counts it as said then."""
        if not self._config.backchannel or spoken_ms < self._config.backchannel_after_ms:
            return False
        if silence_ms < self._config.backchannel_pause_ms:
            return False
        if self._last_ns is not None and now_ns - self._last_ns < self._config.backchannel_gap_ms * 1_000_000:
            return False
        self._last_ns = now_ns
        return True


def level_db(audio: NDArray[np.float32]) -> float:
    """Return the level of the louder half of a sound in dBFS. audio: [N] float32."""
    powers = np.sort(_powers(audio, _FINE_SAMPLES))
    return _db(float(np.mean(powers[len(powers) // 2 :]))) if len(powers) else _QUIET_DB


def loudest_db(audio: NDArray[np.float32]) -> float:
    """Return the level of the loudest 20 ms of a sound in dBFS. audio: [N] float32."""
    powers = _powers(audio, 2 * _FINE_SAMPLES)
    return _db(float(powers.max())) if len(powers) else _QUIET_DB


def _powers(audio: NDArray[np.float32], size: int) -> NDArray[np.float64]:
    blocks = audio[: len(audio) // size * size].reshape(-1, size).astype(np.float64)
    return np.asarray(np.mean(blocks**2, axis=1), np.float64)


def _db(power: float) -> float:
    return 10 * float(np.log10(power + 1e-12))
