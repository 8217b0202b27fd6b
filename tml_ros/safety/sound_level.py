"""Measure how loud it is, and hear bangs: sudden, loud, over at once, and of all pitches.

Levels are of full scale; a microphone that is not calibrated knows no dB(A). The robot's own voice is no bang: what the
loudspeaker plays at least as loud at that moment does not count. It knows no rules.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tml_ros.config import param
from tml_ros.records import SAMPLE_RATE_HZ
from tml_ros.safety.watcher import Reading, SafetyTurn, Surroundings

__all__ = ["SoundLevel", "SoundLevelConfig", "level_db"]

_PART = SAMPLE_RATE_HZ // 200  # 5 ms
_PER_SECOND = SAMPLE_RATE_HZ // _PART
_ECHO_PARTS = _PER_SECOND // 2  # echoes of the own voice come within half a second
_RISE_PARTS = 3


@dataclass(frozen=True, slots=True)
class SoundLevelConfig:
    """What is loud, and what is a bang."""

    loud_db: float = param(-20.0, "Level that is loud, of full scale", unit="dB", minimum=-90.0, maximum=0.0)
    bang_db: float = param(-22.0, "Softest bang, of full scale", unit="dB", minimum=-90.0, maximum=0.0)
    bang_rise_db: float = param(
        24.0, "How far a bang is above what was heard before", unit="dB", minimum=6.0, maximum=90.0
    )
    bang_flatness: float = param(
        0.06,
        "Least flatness of a bang's spectrum; a click of the tongue and a vowel have less",
        minimum=0.0,
        maximum=1.0,
    )


class SoundLevel:
    """The kind ``sound_level``."""

    config_type: ClassVar[type[Any]] = SoundLevelConfig
    values: ClassVar[Mapping[str, str]] = {
        "level_db": "mean level of the last second, of full scale",
        "loud_s": "for how long it has been loud, seconds",
        "bang": "1 in the turn of a bang, otherwise 0",
        "bang_db": "level of the last bang, of full scale; not known before one",
        "missing_s": "seconds since the last sound came from the microphone",
    }

    def __init__(self, config: SoundLevelConfig, surroundings: Surroundings) -> None:
        self._config = config
        self._past = np.full(_PER_SECOND, -60.0, np.float32)
        self._own = np.full(_ECHO_PARTS, -120.0, np.float32)
        self._loud_since_ns: int | None = None
        self._came_ns: int | None = None
        self._bang_db: float | None = None

    def step(self, turn: SafetyTurn) -> Reading:
        """Take in the next turn."""
        if turn.audio_valid > 0.0 or self._came_ns is None:
            self._came_ns = turn.end_ns if turn.audio_valid > 0.0 else turn.start_ns
        levels = _levels(turn.audio)
        own = _levels(turn.reference) if turn.reference is not None else np.full(len(levels), -120.0, np.float32)
        known = np.concatenate([self._past, levels])
        spoken = np.concatenate([self._own, own])
        bang = None if turn.audio_valid < 0.5 else self._find_bang(turn.audio, known, spoken)
        if bang is not None:
            self._bang_db = bang
        self._past, self._own = known[-_PER_SECOND:], spoken[-_ECHO_PARTS:]
        level = 10.0 * float(np.log10(np.mean(10.0 ** (self._past / 10.0))))
        is_loud = 10.0 * float(np.log10(np.mean(10.0 ** (levels / 10.0)))) >= self._config.loud_db
        self._loud_since_ns = (self._loud_since_ns or turn.start_ns) if is_loud else None
        loud_ns = turn.end_ns - self._loud_since_ns if self._loud_since_ns is not None else 0
        missing_s = max(0, turn.end_ns - self._came_ns) / 1e9
        values = {"level_db": level, "loud_s": loud_ns / 1e9, "bang": float(bang is not None), "bang_db": self._bang_db}
        return Reading({**values, "missing_s": missing_s})

    def _find_bang(
        self, audio: NDArray[np.float32], known: NDArray[np.float32], spoken: NDArray[np.float32]
    ) -> float | None:
        """Return the level of a bang in the newest turn. known, spoken: levels up to its end."""
        count = len(audio) // _PART
        for part in np.flatnonzero(known[-count:] >= self._config.bang_db).tolist():
            at = len(known) - count + part
            before = float(np.median(known[max(0, at - _PER_SECOND // 2 - _RISE_PARTS) : at - _RISE_PARTS]))
            if known[at] - max(before, float(known[at - _RISE_PARTS])) < self._config.bang_rise_db:
                continue
            own_at = len(spoken) - count + part
            if spoken[max(0, own_at - _ECHO_PARTS) : own_at + 1].max() >= known[at]:
                continue
            if _flatness(audio[max(0, part - 1) * _PART : (part + 3) * _PART]) >= self._config.bang_flatness:
                return float(known[at])
        return None


def level_db(audio: NDArray[np.float32]) -> float:
    """Return the level of samples [N], of full scale."""
    return 10.0 * float(np.log10(np.mean(np.square(audio, dtype=np.float64)) + 1e-12))


def _levels(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return [N / 80] levels of 5 ms each."""
    parts = audio[: len(audio) // _PART * _PART].reshape(-1, _PART)
    levels: NDArray[np.float32] = (10.0 * np.log10(np.mean(parts**2, axis=1) + 1e-12)).astype(np.float32)
    return levels


def _flatness(audio: NDArray[np.float32]) -> float:
    """Return geometric over arithmetic mean of the power spectrum between 200 and 7000 Hz, from 0 to 1."""
    power = np.abs(np.fft.rfft(audio * np.hanning(len(audio)), 512)) ** 2 + 1e-12
    band = power[6:224]
    return float(np.exp(np.mean(np.log(band))) / np.mean(band))
