"""Short spectra of what is heard, turn by turn, without a seam between turns. It knows no sounds by name."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tml_ros.records import SAMPLE_RATE_HZ

__all__ = ["BIN_HZ", "FRAME", "HOP", "HOP_S", "Peak", "Spectra", "find_peak"]

FRAME, HOP = 512, 256
"""Samples in a frame, and from one to the next: 32 and 16 ms."""
HOP_S = HOP / SAMPLE_RATE_HZ
BIN_HZ = SAMPLE_RATE_HZ / FRAME
_WINDOW = np.hanning(FRAME).astype(np.float32)
_SCALE = float((_WINDOW**2).sum()) * FRAME / 2.0
_LOBE = 2  # bins on both sides of a line that a Hann window spreads it over
_WIDE = 5

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Peak:
    """The strongest line of a spectrum. level_db: of full scale. share: of all power that is in it; wide_share: that is
    in it or near, where a line lies that moves within a frame.
    """

    hz: float
    share: float
    wide_share: float
    level_db: float


class Spectra:
    """Cuts sound into frames that overlap.

    Thread: one caller at a time.
    """

    def __init__(self) -> None:
        self._rest = np.zeros(0, np.float32)

    def add(self, audio: Floats) -> Floats:
        """Take in samples and return [N, 257] float32, power per bin, of the frames that are complete. audio: [M]."""
        samples = np.concatenate([self._rest, audio])
        count = max(0, (len(samples) - FRAME) // HOP + 1)
        self._rest = samples[count * HOP :]
        if not count:
            return np.zeros((0, FRAME // 2 + 1), np.float32)
        frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[: (count - 1) * HOP + 1 : HOP]
        power: Floats = (np.abs(np.fft.rfft(frames * _WINDOW, axis=1)) ** 2 / _SCALE).astype(np.float32)
        return power


def find_peak(power: Floats, low_hz: float, high_hz: float) -> Peak:
    """Return the strongest line of one spectrum [257] between two frequencies."""
    first, last = max(_LOBE, round(low_hz / BIN_HZ)), min(len(power) - 1 - _LOBE, round(high_hz / BIN_HZ))
    top = first + int(np.argmax(power[first : last + 1]))
    left, middle, right = (float(np.log(power[top + step] + 1e-20)) for step in (-1, 0, 1))
    bend = left - 2.0 * middle + right
    shift = 0.5 * (left - right) / bend if bend < 0.0 else 0.0
    line = float(power[top - _LOBE : top + _LOBE + 1].sum())
    total = float(power[_LOBE:].sum())
    wide = float(power[max(_LOBE, top - _WIDE) : top + _WIDE + 1].sum())
    return Peak(
        (top + shift) * BIN_HZ, line / (total + 1e-20), wide / (total + 1e-20), 10.0 * float(np.log10(line + 1e-12))
    )
