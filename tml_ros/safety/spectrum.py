"""Short spectra of what is heard, turn by turn, without a seam between turns. It knows no sounds by name."""

import numpy as np
from numpy.typing import NDArray

from tml_ros.records import SAMPLE_RATE_HZ

__all__ = ["BINS", "BIN_HZ", "FRAME", "HOP", "HOP_S", "LOBE", "Spectra"]

FRAME, HOP = 512, 256
"""Samples in a frame, and from one to the next: 32 and 16 ms."""
HOP_S = HOP / SAMPLE_RATE_HZ
BIN_HZ = SAMPLE_RATE_HZ / FRAME
BINS = FRAME // 2 + 1
LOBE = 2
"""Bins on both sides of a line that a Hann window spreads it over."""
_WINDOW = np.hanning(FRAME).astype(np.float32)
_SCALE = float((_WINDOW**2).sum()) * FRAME / 2.0

Floats = NDArray[np.float32]


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
            return np.zeros((0, BINS), np.float32)
        frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[: (count - 1) * HOP + 1 : HOP]
        power: Floats = (np.abs(np.fft.rfft(frames * _WINDOW, axis=1)) ** 2 / _SCALE).astype(np.float32)
        return power
