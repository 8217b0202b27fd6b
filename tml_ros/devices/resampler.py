"""Speech at 16 kHz to a device's rate, block by block, with a delay that is short and never changes.

A windowed sinc in as many phases as the ratio of the rates has. soxr's streams are better filters, but hand out what
they hold back in lumps: up to 58 ms for 10 ms blocks at 44.1 or 48 kHz, which is more than a robot may wait to speak.

Source: Smith, Digital Audio Resampling Home Page (CCRMA, 2002), windowed-sinc interpolation with a Kaiser window.
"""

from math import gcd

import numpy as np
from numpy.typing import NDArray

__all__ = ["Resampler"]

_TAPS = 48  # 1.5 ms of delay at 16 kHz; what lies above 8 kHz is 60 dB down from 8.7 kHz on
_CUTOFF = 0.96  # of the lower Nyquist frequency: half of the transition below it, half above
_KAISER_BETA = 6.5


class Resampler:
    """One stream.

    Args:
        rate_in: Hz.
        rate_out: Hz; the same rate passes untouched and without delay.
    """

    def __init__(self, rate_in: int, rate_out: int) -> None:
        divisor = gcd(rate_in, rate_out)
        self._up, self._down = rate_out // divisor, rate_in // divisor
        squeeze = min(1.0, rate_out / rate_in)
        self._taps = 2 * round(_TAPS / 2 / squeeze) if rate_in != rate_out else 0
        self._filters = _filters(self._up, self._taps, squeeze * _CUTOFF)
        self._held = np.zeros(self._taps, np.float32)
        self._phase = 0

    @property
    def delay(self) -> float:
        """By how many input samples the output is late."""
        return self._taps / 2 + 1 if self._taps else 0.0

    def needed(self, count: int) -> int:
        """Return how many input samples the next ``count`` output samples take."""
        return (self._phase + count * self._down) // self._up

    def process(self, samples: NDArray[np.float32], count: int) -> NDArray[np.float32]:
        """Return the next ``count`` output samples. samples: as many as ``needed`` says."""
        if not self._taps:
            return samples
        steps = self._phase + np.arange(count) * self._down
        self._phase = (self._phase + count * self._down) % self._up
        held = np.concatenate([self._held, samples])
        self._held = held[len(samples) :]
        if not held.any():
            return np.zeros(count, np.float32)  # a robot is silent most of the time
        windows = np.lib.stride_tricks.sliding_window_view(held, self._taps)
        filters: NDArray[np.float32] = self._filters[steps % self._up]
        resampled: NDArray[np.float32] = np.einsum("nk,nk->n", windows[steps // self._up], filters)
        return resampled


def _filters(phases: int, taps: int, cutoff: float) -> NDArray[np.float32]:
    """Return [phases, taps] float32, oldest sample first, each with a sum of 1."""
    if not taps:
        return np.zeros((1, 0), np.float32)
    away = np.arange(taps) - (taps / 2 - 1) - np.arange(phases)[:, None] / phases
    window = np.i0(_KAISER_BETA * np.sqrt(np.clip(1 - (away / (taps / 2)) ** 2, 0, 1)))
    filters = np.sinc(cutoff * away) * window
    normal: NDArray[np.float32] = (filters / filters.sum(axis=1, keepdims=True)).astype(np.float32)
    return normal
