"""How much echo the canceller takes away and how late the echo comes, from the samples alone.

It looks at what was heard, what was played and what is left, and knows no canceller. Both figures hold for echo without
a person's voice: seconds in which most of what was heard is coherent with what was played.

Source: ITU-T G.168 (echo return loss enhancement); Knapp and Carter, "The generalized correlation method for
estimation of time delay", 1976 (PHAT weighting); Bendat and Piersol, "Random Data" (coherent output power).
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from tml_ros.records import MICRO_TURN_SAMPLES, SAMPLE_RATE_HZ

__all__ = ["EchoMeter"]

_Sound = NDArray[np.float32]

_ACTIVE = 1e-5  # mean square of -50 dBFS: softer speech from the loudspeaker leaves no echo worth measuring
_COHERENT = 0.5  # share of what was heard that must come from the loudspeaker
_ERLE_WINDOWS = 15  # 3 s of echo
_LEAST_WINDOWS = 5
_MOST_DB = 60.0

_BLOCK = 512  # 32 ms, the early part of a room's response
_MIC_WINDOWS, _REFERENCE_WINDOWS = 6, 9  # 1 s of sound, and what was played from 0.6 s before to 0.2 s after it
_LATEST = (_REFERENCE_WINDOWS - _MIC_WINDOWS) * MICRO_TURN_SAMPLES
_EARLIEST = -MICRO_TURN_SAMPLES
_EVERY_WINDOWS = 5
_FORGETTING = 0.5
_PEAK = 10.0  # of a peak over the median: unrelated sound reaches 6 to 8
_BAND_HZ = (300, 3500)


class EchoMeter:
    """Measures one session; figures are 0 as long as there was no echo to speak of."""

    def __init__(self) -> None:
        self.erle_db = 0.0
        self.delay_sec = 0.0
        self.delay_samples: int | None = None
        self._heard: deque[_Sound] = deque(maxlen=_MIC_WINDOWS)
        self._played: deque[_Sound] = deque(maxlen=_REFERENCE_WINDOWS)
        self._energies: deque[tuple[float, float]] = deque(maxlen=_ERLE_WINDOWS)
        self._correlation = np.zeros(_LATEST - _EARLIEST + 1)
        self._count = 0

    def add(self, heard: _Sound, played: _Sound, left: _Sound) -> None:
        """Take in a window: microphone, reference and what the canceller leaves, [3200] float32 each."""
        self._heard.append(heard)
        self._played.append(played)
        self._count += 1
        if len(self._played) < _REFERENCE_WINDOWS:
            return
        if self._count % _EVERY_WINDOWS == 0:
            self._find_delay()
        if self._is_echo_alone(heard):
            self._energies.append((_energy(heard), _energy(left)))
            self._rate()

    def _rate(self) -> None:
        if len(self._energies) < _LEAST_WINDOWS:
            return
        before, after = (sum(column) for column in zip(*self._energies, strict=True))
        ratio_db = 10.0 * np.log10(before / max(after, 1e-12))
        self.erle_db = float(np.float32(round(float(np.clip(ratio_db, -_MOST_DB, _MOST_DB)), 1)))

    def _is_echo_alone(self, heard: _Sound) -> bool:
        """Tell whether most of what was heard is a linear image of what was played."""
        if self.delay_samples is None:
            return False
        history = np.concatenate(self._played)
        start = len(history) - MICRO_TURN_SAMPLES - self.delay_samples
        start = min(max(0, start), len(history) - MICRO_TURN_SAMPLES)
        played = history[start : start + MICRO_TURN_SAMPLES]
        if _energy(played) < _ACTIVE * MICRO_TURN_SAMPLES or not heard.any():
            return False
        return coherent_share(heard, played) >= _COHERENT

    def _find_delay(self) -> None:
        """Correlate a second of sound, whitened, with what was played around it."""
        played = np.concatenate(self._played)
        heard = np.concatenate(list(self._heard)[:-1])
        size = len(played)
        if _energy(played) < _ACTIVE * size / 4 or not heard.any():
            return
        cross = np.fft.rfft(played, size) * np.conj(np.fft.rfft(heard, size))
        low, high = (hz * size // SAMPLE_RATE_HZ for hz in _BAND_HZ)
        cross[:low] = cross[high:] = 0.0
        cross /= np.abs(cross) + 1e-9
        lags = np.fft.irfft(cross, size)[: len(self._correlation)]
        self._correlation = _FORGETTING * self._correlation + lags
        strength = np.abs(self._correlation)
        peak = int(np.argmax(strength))
        if strength[peak] >= _PEAK * float(np.median(strength)):
            self.delay_samples = _LATEST - peak
            self.delay_sec = float(np.float32(round(self.delay_samples / SAMPLE_RATE_HZ, 4)))


def coherent_share(heard: _Sound, played: _Sound) -> float:
    """Return the share of the energy of ``heard`` that a linear filter makes of ``played``, 0 to 1. Both [N]."""
    x, y = (_spectra(sound) for sound in (played, heard))
    cross = np.abs(np.sum(y * np.conj(x), axis=0)) ** 2
    power = np.sum(np.abs(x) ** 2, axis=0) + 1e-12
    total = float(np.sum(np.abs(y) ** 2)) + 1e-12
    return float(np.sum(cross / power)) / total


def _spectra(sound: _Sound) -> NDArray[np.complex128]:
    blocks = np.lib.stride_tricks.sliding_window_view(sound, _BLOCK)[:: _BLOCK // 2]
    return np.fft.rfft(blocks * np.hanning(_BLOCK), axis=1)


def _energy(sound: _Sound) -> float:
    return float(np.sum(sound.astype(np.float64) ** 2))
