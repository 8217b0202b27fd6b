"""Hear alarms: beepers and sounders that hold one pitch, sirens whose pitch glides.

An alarm is a line that nothing within an octave goes with, and either keeps its pitch as no voice does or glides evenly
and far. A note of music is such a line, too, but has an octave above it, as sounders mostly do not. Where it has, it
must last longer; and where other notes were heard lately it must be louder than they were, last as no note does, or
come in pulses that are all alike. It knows no words and no rules; a whistled note is taken for an alarm.

Source: ISO 7731 (danger signals for work places, 300 to 3000 Hz, louder than what else there is), ISO 8201 (three
pulses), EN 54-3 (sounders); patterns pause up to 1.5 s.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tml_ros.config import param
from tml_ros.safety.lines import MEMORY, Ear, Glide, Pitch, gap_of, glide_of, pitch_of
from tml_ros.safety.spectrum import BIN_HZ, BINS, HOP_S
from tml_ros.safety.watcher import Reading, SafetyTurn, Surroundings

__all__ = ["AlarmTone", "AlarmToneConfig"]

_VALID = 0.5
_ALONE_DB = 6.0
_SHARE = 0.3
_STEADY, _LONG_STEADY = 0.002, 0.005  # median distance of a held pitch from its middle, share; noise moves it
_FLAT_DB = 3.5
_PURE_DB = -20.0
_HALF_DB = -6.0  # what has a line an octave below it is the second of a note
_HIGH_HZ = 1500.0  # where beepers are, and little music
_NOTE_S, _NOTE_DRIFT, _NOTE_SHARE = 0.11, 0.006, 0.1
_NOTES, _MULTIPLES = 2, (0.25, 1 / 3, 0.5, 2 / 3, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0)
_LIKE, _SEMITONE = 0.02, 0.03
_ALIKE, _ALIKE_FRAMES = 0.2, 3
_PERIOD_S, _PULSES_HALF_DB = 1.6, -15.0
_GAP_DB = -12.0  # what beats between two notes is not as soft as that for as long
# Seconds, how far in that time, log, and how far above what goes with it.
_SPANS, _MUSIC_SPAN = ((0.5, 0.12, 6.0), (1.4, 0.1, 6.0)), (1.4, 0.16, 10.0)
_LEAST_RANGE = 0.03
_SHORTEST = 6  # frames of a piece of a glide
_COVERED = 0.8
_EVEN = 0.5  # of a glide's steps, how far they may be from one another, and what the largest may make of all
_LARGEST = 3


@dataclass(frozen=True, slots=True)
class AlarmToneConfig:
    """What sounds like an alarm."""

    low_hz: float = param(380.0, "Lowest pitch of an alarm", unit="Hz", minimum=100.0, maximum=7000.0)
    high_hz: float = param(4600.0, "Highest pitch of an alarm", unit="Hz", minimum=200.0, maximum=7500.0)
    level_db: float = param(-55.0, "Softest alarm, of full scale", unit="dB", minimum=-100.0, maximum=0.0)
    tone_s: float = param(
        0.22, "Time that a pitch must be held within a second, pulses added up", unit="s", minimum=0.05, maximum=1.0
    )
    note_s: float = param(
        0.8, "The same for what could be a note of music, within two seconds", unit="s", minimum=0.05, maximum=2.0
    )
    longest_note_s: float = param(
        2.0, "Time that it must be held in one piece where music is heard", unit="s", minimum=0.1, maximum=4.0
    )
    above_music_db: float = param(
        9.0, "Or how much louder than the notes before it must be", unit="dB", minimum=0.0, maximum=60.0
    )
    pulses: int = param(3, "Or how many pulses, all alike, there must be", minimum=2, maximum=10)
    hold_s: float = param(
        2.0, "Silence that ends an alarm; pulses pause up to 1.5 s", unit="s", minimum=0.0, maximum=60.0
    )


@dataclass(frozen=True, slots=True)
class _Note:
    """Something with a pitch, and the frame in which it was heard."""

    frame: int
    hz: float
    level_db: float


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
        self._ear = Ear(config.low_hz, config.high_hz, config.level_db)
        self._notes: deque[_Note] = deque()
        self._frame = 0
        self._keep = np.zeros(BINS, np.bool_)
        self._heard_ns: int | None = None
        self._hz = 0.0

    def step(self, turn: SafetyTurn) -> Reading:
        """Take in the next turn."""
        is_heard = turn.audio_valid >= _VALID  # what a lost microphone leaves out is no silence to get used to
        newest = self._ear.add(turn.audio, self._keep) if is_heard else 0
        self._frame += newest
        tones = self._tones(newest)
        glide = self._glide() if newest and not tones else None
        if tones or glide:
            self._heard_ns = turn.end_ns
            self._hz = tones[0].hz if tones else glide.hz if glide else 0.0
        self._keep = _around([tone.hz for tone in tones])
        sounds = self._heard_ns is not None and turn.end_ns - self._heard_ns <= self._config.hold_s * 1e9
        return Reading(
            {
                "alarm": float(sounds),
                "tone": float(bool(tones)),
                "siren": float(glide is not None),
                "hz": round(self._hz),
            }
        )

    def _tones(self, newest: int) -> list[Pitch]:
        """Return the pitches among the newest that are alarms, the loudest first."""
        if not newest:
            return []
        found = (pitch_of(self._ear, hz) for hz in self._ear.pitches(newest))
        pitches = [pitch for pitch in found if pitch is not None]
        tones = [pitch for pitch in pitches if self._is_alarm(pitch)]
        while self._notes and self._notes[0].frame < self._frame - MEMORY:
            self._notes.popleft()
        self._notes.extend(_Note(self._frame, one.hz, one.level_db) for one in pitches if _is_note(one))
        return tones

    def _is_alarm(self, pitch: Pitch) -> bool:
        """Tell whether a pitch is held as sounders do it, and longer where it could be a note."""
        config = self._config
        if pitch.alone_db < _ALONE_DB or pitch.half_db > _HALF_DB or pitch.fades_db > _FLAT_DB:
            return False
        is_long = pitch.long_s >= config.note_s
        if pitch.share < _SHARE or pitch.drift > (_LONG_STEADY if is_long else _STEADY):
            return False
        if pitch.half_db <= _PULSES_HALF_DB and self._pulses(pitch):
            return True
        is_pure = pitch.octave_db < _PURE_DB
        others = self._others(pitch)
        if len(_distinct(others)) < _NOTES or (is_pure and pitch.hz >= _HIGH_HZ):
            return is_long or (is_pure and pitch.lately_s >= config.tone_s)
        longest_s = max(((first - last + 1) * HOP_S for first, last in pitch.pulses), default=0.0)
        is_louder = pitch.level_db >= max(note.level_db for note in others) + config.above_music_db
        return longest_s >= config.longest_note_s or (is_louder and pitch.lately_s >= config.tone_s)

    def _pulses(self, pitch: Pitch) -> bool:
        """Tell whether a pitch comes in pulses that are all alike, with gaps between them."""
        newest = pitch.pulses[-self._config.pulses :]
        return len(newest) == self._config.pulses and _are_alike(newest) and gap_of(self._ear, pitch, newest) < _GAP_DB

    def _others(self, pitch: Pitch) -> list[_Note]:
        """Return the notes that were heard lately and do not belong to a pitch."""
        parts = [pitch.hz * multiple for multiple in _MULTIPLES]
        return [note for note in self._notes if all(abs(note.hz / part - 1.0) > _LIKE for part in parts)]

    def _glide(self) -> Glide | None:
        """Return a line that glides evenly and far, if there is one, farther where music is heard."""
        is_music = len(_distinct(list(self._notes))) >= _NOTES
        for span_s, least, alone_db in (_MUSIC_SPAN,) if is_music else _SPANS:
            glide = glide_of(self._ear, round(span_s / HOP_S))
            if glide is None or glide.covered < _COVERED or glide.share < _SHARE or glide.alone_db < alone_db:
                continue
            pieces = [piece for piece in glide.spans if len(piece) >= _SHORTEST]
            ranges = [float(np.ptp(piece)) for piece in pieces]
            is_whole = sum(len(piece) for piece in pieces) * HOP_S >= _COVERED * span_s
            if is_whole and max(ranges) >= least and min(ranges) >= _LEAST_RANGE and all(map(_is_smooth, pieces)):
                return glide
        return None


def _is_note(pitch: Pitch) -> bool:
    is_heard = pitch.lately_s >= _NOTE_S and pitch.share >= _NOTE_SHARE
    return is_heard and pitch.alone_db >= _ALONE_DB and pitch.drift <= _NOTE_DRIFT


def _distinct(notes: list[_Note]) -> list[float]:
    """Return the pitches of notes, those within a semitone or so once."""
    pitches: list[float] = []
    for hz in sorted(note.hz for note in notes):
        if not pitches or hz > pitches[-1] * (1.0 + _SEMITONE):
            pitches.append(hz)
    return pitches


def _are_alike(pulses: tuple[tuple[int, int], ...]) -> bool:
    """Tell whether pulses are of one length, and follow one another in one time."""
    lengths = np.array([first - last for first, last in pulses])
    whole = lengths[:-1] if pulses[-1][1] == 0 else lengths  # the newest may go on
    steps = -np.diff(np.array([first for first, _ in pulses]))
    return float(steps.max()) * HOP_S <= _PERIOD_S and _is_one(whole) and _is_one(steps)


def _is_one(values: NDArray[np.int_]) -> bool:
    return float(np.ptp(values)) <= max(_ALIKE_FRAMES, _ALIKE * float(np.mean(values)))


def _is_smooth(pitches: NDArray[np.float64]) -> bool:
    """Tell whether a pitch moves evenly: small second differences, and no few steps that make it up.

    It may turn around.
    """
    steps = np.diff(np.convolve(pitches, np.full(3, 1.0 / 3.0), "valid"))
    sizes = np.sort(np.abs(steps))
    bends = np.abs(np.diff(steps))
    is_even = float(sizes[-_LARGEST:].sum()) < _EVEN * float(sizes.sum())
    is_even &= float(np.median(sizes)) > _EVEN * float(np.mean(sizes))  # a melody mostly stands still
    return is_even and float(np.median(bends)) < _EVEN * float(np.median(sizes)) + 1e-3


def _around(pitches: list[float]) -> NDArray[np.bool_]:
    """Return the bins [257] of pitches and their multiples."""
    bins = np.arange(BINS)
    keep = np.zeros(BINS, np.bool_)
    for hz in pitches:
        away = np.abs(bins - hz / BIN_HZ * np.maximum(1.0, np.round(bins * BIN_HZ / hz)))
        keep |= away <= 3.0
    return keep
