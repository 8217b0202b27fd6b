"""Hear alarms: beepers and sounders that hold one pitch, sirens whose pitch glides.

An alarm is a single line that has most of the power, far above what is usually heard there, and either keeps its pitch
as no voice does or glides evenly and far. Speech has its power in many lines. A note of music is one line at times:
where a line has an octave above it, as notes do and sounders mostly do not, it must last longer, and where several
pitches follow one another it is a melody. It knows no words and no rules; a whistled note is taken for an alarm.

Source: ISO 7731 (danger signals for work places, 300 to 3000 Hz), ISO 8201 (three pulses), EN 54-3 (sounders); patterns
pause up to 1.5 s.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tml_ros.config import param
from tml_ros.safety.spectrum import BIN_HZ, HOP_S, Spectra, find_peak
from tml_ros.safety.watcher import Reading, SafetyTurn, Surroundings

__all__ = ["AlarmTone", "AlarmToneConfig"]

_STEP = 0.2  # largest change of pitch from one frame to the next, share: a fast siren
_STEADY = 0.01  # how far a held pitch may be from itself, share
_TONE_WITHIN_S = 1.0
_GLIDE = 0.12
_LOW_HZ, _LOW_SHARE = 900.0, 0.75  # a sung vowel has one strong line, too
_WIDE_SHARE = 0.7
_EVEN = 0.5  # of a glide's steps, how far they may be from one another, and what the largest may make of all
_LARGEST = 3
_GAP_FRAMES = 2
_RISE = np.float32(0.02)
_HIGH_HZ = 1500.0  # where beepers are, and little music
_OCTAVE_SHARE = 0.03  # of the power of a line: less an octave above it is none
_PURE_SHARE = 0.7
_FLAT_DB = 3.0
_MELODY_S, _NOTE_S, _NOTES, _NOTE_STEP = 2.5, 0.1, 3, 0.03


@dataclass(frozen=True, slots=True)
class AlarmToneConfig:
    """What sounds like an alarm."""

    low_hz: float = param(380.0, "Lowest pitch of an alarm", unit="Hz", minimum=100.0, maximum=7000.0)
    high_hz: float = param(4600.0, "Highest pitch of an alarm", unit="Hz", minimum=200.0, maximum=7500.0)
    share: float = param(0.6, "Share of the power, above what is usual, in one line", minimum=0.1, maximum=1.0)
    level_db: float = param(-55.0, "Softest alarm, of full scale", unit="dB", minimum=-100.0, maximum=0.0)
    tone_s: float = param(
        0.22, "Time that a pitch must be held within a second, pulses added up", unit="s", minimum=0.05, maximum=1.0
    )
    note_s: float = param(
        0.8, "The same for what could be a note of music, within two seconds", unit="s", minimum=0.05, maximum=2.0
    )
    glide_s: float = param(0.5, "Time that a pitch must glide", unit="s", minimum=0.1, maximum=10.0)
    hold_s: float = param(
        2.0, "Silence that ends an alarm; pulses pause up to 1.5 s", unit="s", minimum=0.0, maximum=60.0
    )


@dataclass(frozen=True, slots=True)
class _Heard:
    """One frame of sound. hz: of its line, 0 for none. is_pure: no octave above it."""

    hz: float
    level_db: float = 0.0
    is_pure: bool = False


class AlarmTone:
    """The kind ``alarm_tone``."""

    config_type: ClassVar[type[Any]] = AlarmToneConfig
    values: ClassVar[Mapping[str, str]] = {
        "alarm": "1 while an alarm sounds or pauses, otherwise 0",
        "tone": "1 while a pitch is held, otherwise 0",
        "siren": "1 while a pitch glides, otherwise 0",
        "hz": "pitch that was heard last, 0 for none yet",
    }

    def __init__(self, config: AlarmToneConfig, surroundings: Surroundings) -> None:
        self._config = config
        self._spectra = Spectra()
        self._usual: NDArray[np.float32] | None = None
        self._line: deque[float] = deque(maxlen=round(2.0 / HOP_S))
        self._heard: deque[_Heard] = deque(maxlen=round(_MELODY_S / HOP_S))
        self._missed = 0
        self._heard_ns: int | None = None
        self._hz = 0.0

    def step(self, turn: SafetyTurn) -> Reading:
        """Take in the next turn."""
        is_tone = is_siren = False
        for power in self._spectra.add(turn.audio):
            self._follow(power)
            is_tone |= self._is_held()
            is_siren |= self._is_gliding()
        if is_tone or is_siren:
            self._heard_ns = turn.end_ns
        sounds = self._heard_ns is not None and turn.end_ns - self._heard_ns <= self._config.hold_s * 1e9
        return Reading(
            {"alarm": float(sounds), "tone": float(is_tone), "siren": float(is_siren), "hz": round(self._hz)}
        )

    def _follow(self, power: NDArray[np.float32]) -> None:
        """Go on with the line, or begin another one."""
        if self._usual is None:
            self._usual = power.copy()
        peak = find_peak(np.maximum(power - 3.0 * self._usual, 0.0), self._config.low_hz, self._config.high_hz)
        is_loud = peak.level_db >= self._config.level_db
        share = self._config.share if peak.hz >= _LOW_HZ else max(self._config.share, _LOW_SHARE)
        is_line = is_loud and peak.share >= share
        self._heard.append(_Heard(peak.hz, peak.level_db, _is_pure(power, peak.hz)) if is_line else _Heard(0.0))
        if is_line:
            self._hz = peak.hz
        if not (is_loud and peak.wide_share >= _WIDE_SHARE):
            self._missed += 1
            if self._missed > _GAP_FRAMES:
                self._line.clear()
            if not is_line:  # what lasts becomes usual, quickly when it grows softer
                self._usual += np.where(power > self._usual, _RISE, np.float32(0.2)) * (power - self._usual)
            return
        if self._line and abs(peak.hz / self._line[-1] - 1.0) > _STEP * (1 + self._missed):
            self._line.clear()
        self._missed, self._hz = 0, peak.hz
        self._line.append(peak.hz)

    def _is_held(self) -> bool:
        """Tell whether the newest pitch has been there for long enough, longer where it could be a note."""
        newest = self._heard[-1].hz
        if not newest:
            return False
        same = [(n, one) for n, one in enumerate(reversed(self._heard)) if abs(one.hz / newest - 1.0) < _STEADY]
        in_time = [one for n, one in same if n * HOP_S < _TONE_WITHIN_S]
        is_pure = sum(one.is_pure for one in in_time) >= _PURE_SHARE * len(in_time)
        if len(in_time) * HOP_S >= self._config.tone_s and (newest >= _HIGH_HZ or (is_pure and _is_flat(in_time))):
            return not self._is_melody()
        lately = [one for n, one in same if n * HOP_S < 2.0 * _TONE_WITHIN_S]
        return len(lately) * HOP_S >= self._config.note_s and _is_flat(lately) and not self._is_melody()

    def _is_melody(self) -> bool:
        """Tell whether several pitches have been held lately."""
        pitches = np.sort(np.array([one.hz for one in self._heard if one.hz]))
        groups = np.split(pitches, np.flatnonzero(np.diff(pitches) > _NOTE_STEP * pitches[:-1]) + 1)
        return sum(len(group) * HOP_S >= _NOTE_S for group in groups) >= _NOTES

    def _is_gliding(self) -> bool:
        count = round(self._config.glide_s / HOP_S)
        if len(self._line) < count:
            return False
        pitches = np.log(np.array(self._line))
        return float(np.ptp(pitches)) >= _GLIDE and _is_smooth(pitches)


def _is_pure(power: NDArray[np.float32], hz: float) -> bool:
    """Tell whether there is next to nothing an octave above a line."""
    line, octave = round(hz / BIN_HZ), round(2.0 * hz / BIN_HZ)
    if octave + 2 >= len(power):
        return True
    return bool(power[octave - 2 : octave + 3].sum() < _OCTAVE_SHARE * power[line - 2 : line + 3].sum())


def _is_flat(heard: list[_Heard]) -> bool:
    """Tell whether a line is as loud all the time; what is plucked or struck fades."""
    levels = np.array([one.level_db for one in heard])
    return float(np.quantile(levels, 0.9) - np.quantile(levels, 0.2)) < _FLAT_DB


def _is_smooth(pitches: NDArray[np.float64]) -> bool:
    """Tell whether a pitch moves evenly: small second differences, and no few steps that make it up.

    It may turn around.
    """
    steps = np.diff(pitches)
    sizes = np.sort(np.abs(steps))
    bends = np.abs(np.diff(steps))
    is_even = float(sizes[-_LARGEST:].sum()) < _EVEN * float(sizes.sum())
    return is_even and float(np.median(bends)) < _EVEN * float(np.median(sizes)) + 1e-3
