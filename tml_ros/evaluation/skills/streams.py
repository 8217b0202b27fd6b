"""Long streams of sound: words every few seconds in real noise, talk without a command, sentences one after the other.

The same arguments give the same samples. It knows what was said when, and no model.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tml_ros.errors import InputError
from tml_ros.evaluation.clips import sound_span
from tml_ros.evaluation.skills.material import Material, Row, voice_of
from tml_ros.records import MICRO_TURN_SAMPLES, SAMPLE_RATE_HZ
from tml_ros.training.overlap_recordings import read

__all__ = ["Placed", "Stream", "chunks", "need", "placed_stream", "recorded", "talk_stream"]

Sound = NDArray[np.float32]
SPEECH_DBFS = -26.0
_SPREAD_DB = 4.0
_LEAD_S = 1.0
_TALK_DBFS = (-32.0, -22.0)


@dataclass(frozen=True, slots=True)
class Placed:
    """Something said in a stream. start_s, end_s: of its voice."""

    text: str
    source: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Stream:
    """audio: [N] float32 at 16 kHz, whole micro-turns. placed: what is said in it, in order."""

    audio: Sound
    placed: tuple[Placed, ...] = ()

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.audio) / SAMPLE_RATE_HZ


def chunks(rows: Sequence[Row], size: int, seed: int) -> list[list[Row]]:
    """Return rows in a drawn order, in parts of a size."""
    drawn = [rows[place] for place in np.random.default_rng(seed).permutation(len(rows))]
    return [drawn[first : first + size] for first in range(0, len(drawn), size)]


def placed_stream(
    said: Sequence[tuple[str, str, Sound]], noise: Sequence[Row], gap_s: tuple[float, float], snr_db: float, seed: int
) -> Stream:
    """Place sounds into noise.

    Args:
        said: text, source and sound of each; every one is brought to the same level, that of its voice.
        noise: recordings that go round; without any it is white noise.
        gap_s: shortest and longest time from the end of one voice to the beginning of the next.
        snr_db: level of the voices over that of the noise, root mean square of both.
        seed: draws level, gaps and noise.
    """
    rng = np.random.default_rng([seed, 1])
    level_db = SPEECH_DBFS + rng.uniform(-_SPREAD_DB, _SPREAD_DB)
    place, found, sounds = round(_LEAD_S * SAMPLE_RATE_HZ), [], []
    for text, source, sound in said:
        start, stop = sound_span(sound)
        place += round(rng.uniform(*gap_s) * SAMPLE_RATE_HZ)
        found.append(Placed(text, source, place / SAMPLE_RATE_HZ, (place + stop - start) / SAMPLE_RATE_HZ))
        sounds.append((place - start, _at_level(sound, sound[start:stop], level_db)))
        place += stop - start
    audio = _bed(noise, _whole(place + round(gap_s[1] * SAMPLE_RATE_HZ)), level_db - snr_db, rng)
    for begin, sound in sounds:
        first = max(0, -begin)
        stretch = audio[begin + first : begin + len(sound)]
        stretch += sound[first : first + len(stretch)]
    return Stream(np.clip(audio, -1.0, 1.0), tuple(found))


def talk_stream(rows: Sequence[Row], noise: Sequence[Row], snr_db: float | None, seed: int) -> Stream:
    """Return recordings one after the other, each at a drawn level; with an SNR, noise under them."""
    rng = np.random.default_rng([seed, 2])
    parts: list[Sound] = [np.zeros(int(rng.integers(MICRO_TURN_SAMPLES)), np.float32)]
    for row in rows:
        sound = read(row.path)
        parts += [_at_level(sound, sound, rng.uniform(*_TALK_DBFS)), np.zeros(SAMPLE_RATE_HZ // 2, np.float32)]
    audio = np.concatenate(parts)
    audio = np.pad(audio, (0, _whole(len(audio)) - len(audio)))
    if snr_db is not None:
        audio = audio + _bed(noise, len(audio), sum(_TALK_DBFS) / 2 - snr_db, rng)
    return Stream(np.clip(audio, -1.0, 1.0))


def _whole(samples: int) -> int:
    return -(-samples // MICRO_TURN_SAMPLES) * MICRO_TURN_SAMPLES


def _at_level(sound: Sound, loud: Sound, dbfs: float) -> Sound:
    """Bring a sound to the level at which its loud part has that root mean square."""
    power = float(np.sqrt(np.mean(np.square(loud, dtype=np.float64))))
    return np.asarray(sound * np.float32(10.0 ** (dbfs / 20.0) / max(power, 1e-6)), np.float32)


def _bed(noise: Sequence[Row], samples: int, dbfs: float, rng: np.random.Generator) -> Sound:
    """Return noise that goes round through the recordings from a drawn place, each at the same level."""
    if not noise:
        white = rng.standard_normal(samples).astype(np.float32)
        return _at_level(white, white, dbfs)
    parts: list[Sound] = []
    for row in _round(noise, int(rng.integers(len(noise)))):
        sound = read(row.path)
        begin = 0 if parts else int(rng.integers(len(sound) // 2))
        parts.append(_at_level(sound, sound, dbfs)[begin:])
        if sum(map(len, parts)) >= samples:
            break
    return np.concatenate(parts)[:samples]


def _round(rows: Sequence[Row], first: int) -> Iterator[Row]:
    return itertools.islice(itertools.cycle(rows), first, None)


def recorded(rows: Sequence[Row]) -> list[tuple[str, str, Sound]]:
    """Return text, data set and sound of recorded words."""
    return [(row.text, row.data, voice_of(row.path)) for row in rows]


def need(rows: Sequence[Row], what: str, material: Material) -> None:
    """Refuse to measure on nothing.

    Raises:
        InputError: there are no rows.
    """
    if not rows:
        raise InputError(f"no {what} in the split {material.split!r} of {material.speech}; look at its labels.csv")
