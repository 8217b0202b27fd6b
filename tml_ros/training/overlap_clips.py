"""What a clip for the overlap classifier is, and cutting and levelling of sound.

Every clip begins with its first audible sample. It knows neither files nor synthesisers.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tml_ros.records import SAMPLE_RATE_HZ

__all__ = ["LONGEST", "MS", "Clip", "Counts", "Sound", "even", "fade", "levels", "onset", "trim"]

Sound = NDArray[np.float32]
MS = SAMPLE_RATE_HZ // 1000
LONGEST = 1300 * MS
"""Samples of a clip that anybody looks at."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One sound that somebody or something makes while the robot speaks.

    Attributes:
        kind: bid, hum, word, cough, knock or noise; what is judged.
        voice: whose sound it is.
        sound: [N] float32 at 16 kHz.
        bid_at: the sample from which on it asks for the floor; -1: never.
        held: kept for measuring.
        weight: how often it is used.
    """

    kind: str
    voice: str
    sound: Sound
    bid_at: int
    held: bool
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Counts:
    """How many clips of each origin, of those to learn from; a fifth as many are made for measuring."""

    bids: int = 7000
    back_channels: int = 6500
    compounds: int = 500
    hums: int = 1400
    real_hums: int = 1400
    coughs: int = 2200
    knocks: int = 800
    noises: int = 300
    real_words: int = 6000


def onset(sound: Sound) -> int:
    """Return the first sample of what is audible: 10 ms frames within 30 dB of the loudest and well above the noise."""
    level = levels(sound)
    threshold = max(level.max() - 30, np.percentile(level, 5) + 9)
    loud = np.convolve(level > threshold, np.ones(4), "full")[3:] >= 3
    return int(np.argmax(loud)) * 10 * MS if loud.any() else 0


def trim(sound: Sound, longest: int = LONGEST) -> Sound:
    """Cut silence off both ends, and what is beyond ``longest`` samples."""
    begin = onset(sound)
    end = len(sound) - onset(sound[::-1])
    return even(sound[begin : max(end, begin + 60 * MS)][:longest].copy())


def levels(sound: Sound) -> NDArray[np.float64]:
    """Return the level of every 10 ms in dB of full scale."""
    frames = sound[: len(sound) // (10 * MS) * 10 * MS].reshape(-1, 10 * MS).astype(np.float64)
    return 10 * np.log10(np.mean(frames**2, axis=1) + 1e-9) if len(frames) else np.full(1, -90.0)


def even(sound: Sound) -> Sound:
    """Bring the louder half of a sound to -20 dB of full scale."""
    loud = np.sort(sound**2)[-max(1, len(sound) // 2) :]
    return (sound * (0.1 / max(1e-6, float(np.sqrt(loud.mean()))))).astype(np.float32)


def fade(sound: Sound, in_ms: int, out_ms: int) -> Sound:
    """Soften both ends."""
    ramp_in = np.minimum(1, np.arange(len(sound)) / (in_ms * MS))
    ramp_out = np.minimum(1, np.arange(len(sound))[::-1] / (out_ms * MS))
    return (sound * ramp_in * ramp_out).astype(np.float32)
