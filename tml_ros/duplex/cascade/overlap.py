"""Does a sound over the robot's speech ask for the floor? A small network over the first second of it.

It answers from 100 ms after the onset on and gets surer with every micro-turn. It hears sound only: no words, no echo
reference. The same sound gives the same probability in every process. Weights: models/overlap, which is trained by
tml_ros.training.overlap.

Source: dilated causal convolutions, van den Oord et al. 2016 (arXiv 1609.03499); mel scale, O'Shaughnessy 1987.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tml_ros.errors import ModelError
from tml_ros.records import SAMPLE_RATE_HZ

__all__ = [
    "BANDS",
    "DILATIONS",
    "HOP_SAMPLES",
    "INPUTS",
    "STACK",
    "TAPS",
    "WIDTH",
    "OverlapClassifier",
    "log_mel",
    "normalise",
]

HOP_SAMPLES = SAMPLE_RATE_HZ // 100
BANDS = 40
STACK = 2
"""Frames that are taken together, 20 ms; what is left over at the end waits."""
INPUTS = STACK * (BANDS + 1)
WIDTH = 96
TAPS = 3
DILATIONS = (1, 1, 2, 4, 8)
"""Of the layers, each of which sees three moments; they reach back 640 ms."""

_WINDOW_SAMPLES = 400
_FFT_SAMPLES = 512
_LOW_HZ, _HIGH_HZ = 60.0, 7800.0
_LEAST_SAMPLES = SAMPLE_RATE_HZ // 10
_MOST_SAMPLES = SAMPLE_RATE_HZ * 6 // 5
_LEAST_LOG = float(np.log(1e-8))  # power of a band that is no sound: about -65 dBFS over all of them
_LEAST_PEAK = float(np.log(1e-5))  # sounds below -50 dBFS stay soft, for residues of echo are
_LOG_SCALE = 0.25  # brings 40 dB to about 2.3

_MOST_PRODUCTS = 1 << 18  # up to which OpenBLAS stays in one thread

_Float = TypeVar("_Float", np.float32, np.float64)

_SHAPES: dict[str, tuple[int, ...]] = {
    **{f"layer{number}.weight": (TAPS * (WIDTH if number else INPUTS), WIDTH) for number in range(len(DILATIONS))},
    **{f"layer{number}.bias": (WIDTH,) for number in range(len(DILATIONS))},
    "hidden.weight": (3 * WIDTH, WIDTH),
    "hidden.bias": (WIDTH,),
    "last.weight": (WIDTH, 1),
    "last.bias": (1,),
}


class OverlapClassifier:
    """The network; stateless, so every session can share it.

    Thread: any.
    """

    def __init__(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Take weights whose names, shapes and type are those of ``_SHAPES``.

        Raises:
            ModelError: they are not.
        """
        _check(weights, "these weights")
        self._weights = {name: np.ascontiguousarray(array) for name, array in weights.items()}

    @classmethod
    def load(cls, path: str | Path) -> "OverlapClassifier":
        """Read weights.npz, or the folder that holds it.

        Raises:
            ModelError: the file is missing, damaged, or of another network.
        """
        file = Path(path) / "weights.npz" if Path(path).is_dir() else Path(path)
        try:
            with np.load(file, allow_pickle=False) as stored:
                weights = {name: stored[name] for name in stored.files}
        except FileNotFoundError as err:
            raise ModelError(f"no weights of the overlap classifier at {file}; check the path or reinstall") from err
        except (OSError, ValueError, EOFError, KeyError, AttributeError, zipfile.BadZipFile) as err:
            raise ModelError(f"{file} is no readable .npz ({' '.join(str(err).split())}); fetch it again") from err
        _check(weights, str(file))
        return cls(weights)

    def probability(self, audio: NDArray[np.float32]) -> float:
        """Return how likely it is that somebody wants the floor, 0 to 1.

        Args:
            audio: [N] float32 at 16 kHz from about 64 ms before the onset up to now; less than 0.1 s gives 0, of more
                than 1.2 s the end counts.
        """
        if len(audio) < _LEAST_SAMPLES:
            return 0.0
        sound = np.clip(np.nan_to_num(audio[-_MOST_SAMPLES:], nan=0.0, posinf=1.0, neginf=-1.0), -1.0, 1.0)
        logit = self._logit(normalise(log_mel(sound)))
        return float(1.0 / (1.0 + np.exp(-np.float64(logit))))

    def _logit(self, features: NDArray[np.float32]) -> float:
        """features: [T, 82] -> the last moment's logit."""
        hidden = self._layer(0, features)
        for number in range(1, len(DILATIONS)):
            hidden = hidden + self._layer(number, hidden)
        summary = np.concatenate([hidden[-1], hidden.mean(axis=0), hidden.max(axis=0)])
        dense = np.maximum(summary @ self._weights["hidden.weight"] + self._weights["hidden.bias"], 0)
        return float((dense @ self._weights["last.weight"] + self._weights["last.bias"])[0])

    def _layer(self, number: int, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Convolve with the past only. inputs: [T, C] -> [T, W]."""
        dilation, weights = DILATIONS[number], self._weights
        padded = np.concatenate([np.zeros(((TAPS - 1) * dilation, inputs.shape[1]), np.float32), inputs])
        columns = [padded[tap * dilation : tap * dilation + len(inputs)] for tap in range(TAPS)]
        outputs = _product(np.concatenate(columns, axis=1), weights[f"layer{number}.weight"])
        return np.maximum(outputs + weights[f"layer{number}.bias"], 0)


def log_mel(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the logarithm of the power in mel bands every 10 ms. audio: [N] at 16 kHz, N >= 400 -> [T, 40]."""
    frames = np.lib.stride_tricks.sliding_window_view(audio.astype(np.float64), _WINDOW_SAMPLES)[::HOP_SAMPLES]
    spectra = np.fft.rfft(frames * _WINDOW, _FFT_SAMPLES, axis=1)
    power = _product(spectra.real**2 + spectra.imag**2, _MEL)
    return np.log(power + 1e-12).astype(np.float32)


def normalise(log_power: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the network's input: every band relative to the loudest frame so far, and the frame's own level.

    Args:
        log_power: [T, 40] of ``log_mel``.

    Returns:
        [T // 2, 82] float32: two frames side by side.
    """
    floored = np.logaddexp(log_power, np.float32(_LEAST_LOG))
    level = np.logaddexp.reduce(floored, axis=1, keepdims=True)
    peak = np.maximum(np.maximum.accumulate(level, axis=0), np.float32(_LEAST_PEAK))
    frames = np.concatenate([floored - peak + 4, level - peak], axis=1) * np.float32(_LOG_SCALE)
    return frames[: len(frames) // STACK * STACK].reshape(-1, INPUTS)


def _product(rows: NDArray[_Float], columns: NDArray[_Float]) -> NDArray[_Float]:
    """Multiply matrices in pieces that one thread works on, so that cores and their load change no bit and no time."""
    most = _MOST_PRODUCTS // columns.size
    return np.concatenate([rows[first : first + most] @ columns for first in range(0, len(rows), most)])


def _check(weights: Mapping[str, NDArray[np.float32]], name: str) -> None:
    found = {key: (array.shape, str(array.dtype)) for key, array in weights.items()}
    for key, shape in _SHAPES.items():
        if found.get(key) != (shape, "float32"):
            raise ModelError(
                f"{name} hold for {key} {found.get(key, 'nothing')}, expected {(shape, 'float32')}; "
                "they are of another version, train again with python -m tml_ros.training.overlap"
            )
        if not np.isfinite(weights[key]).all():
            raise ModelError(f"{name} hold values in {key} that are no numbers; fetch them again")
    if len(found) > len(_SHAPES):
        raise ModelError(f"{name} hold more than this network has: {', '.join(sorted(set(found) - set(_SHAPES)))}")


def _mel_bands() -> NDArray[np.float64]:
    """Return triangles over the spectrum whose input noise of full scale gives bands that add up to 1, [257, 40]."""
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (_LOW_HZ, _HIGH_HZ))
    corners = 700 * (10 ** (np.linspace(low, high, BANDS + 2) / 2595) - 1)
    hz = np.arange(_FFT_SAMPLES // 2 + 1)[:, None] * SAMPLE_RATE_HZ / _FFT_SAMPLES
    rise, fall = (hz - corners[:-2]) / np.diff(corners)[:-1], (corners[2:] - hz) / np.diff(corners)[1:]
    bands: NDArray[np.float64] = np.maximum(0, np.minimum(rise, fall))
    return bands * 2 / (_FFT_SAMPLES * np.sum(_WINDOW**2))


_WINDOW = np.hanning(_WINDOW_SAMPLES + 1)[:-1]
_MEL = _mel_bands()
