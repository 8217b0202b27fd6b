"""Is what the microphone hears the robot's own voice? A guard, not a canceller.

While the loudspeaker plays, sound that correlates with it is not taken for a person. A person who speaks over the robot
lowers the correlation and is heard. It cannot tell a person apart from a much louder echo.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["EchoGuard"]

_QUIET = 1e-4  # mean square of about -40 dBFS: too quiet to be an echo worth a look


class EchoGuard:
    """Keeps the reference of the last micro-turn, for an echo comes up to one micro-turn late."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._before: NDArray[np.float32] | None = None

    def is_echo(self, audio: NDArray[np.float32], reference: NDArray[np.float32] | None) -> bool:
        """Tell whether a micro-turn is echo. audio, reference: [3200] float32; reference None: nothing is played."""
        before, self._before = self._before, reference
        if reference is None or float(np.mean(reference**2)) < _QUIET:
            return False
        played = np.concatenate([np.zeros_like(audio) if before is None else before, reference])
        return self._correlation(audio, played) >= self._threshold

    @staticmethod
    def _correlation(audio: NDArray[np.float32], played: NDArray[np.float32]) -> float:
        """Return the largest normalised cross-correlation over delays of 0 to 200 ms."""
        size = len(played) + len(audio)
        spectrum = np.fft.rfft(played, size) * np.conj(np.fft.rfft(audio, size))
        products = np.fft.irfft(spectrum, size)[: len(audio) + 1]
        energies = np.concatenate([[0.0], np.cumsum(played.astype(np.float64) ** 2)])
        spans = energies[len(audio) :] - energies[: len(audio) + 1]
        spans = np.maximum(spans, spans.max() / 2)  # a short overlap with sound correlates with anything
        scale = np.sqrt(spans * float(np.sum(audio.astype(np.float64) ** 2))) + 1e-9
        return float(np.max(np.abs(products) / scale))
