"""Batches that are used more than once, each time as another microphone would have heard them.

Scenes cost as much to make as to learn from. Where a batch comes again, its levels are moved: voices grow or shrink,
everything gets louder or softer, duller or brighter, and another noise lies over it. What is to be put out stays. The
batch of a step is a function of the seed and the step alone.

Source: data echoing, Choi et al. 2019 (arXiv 1907.05550), echoing before augmentation.
"""

import functools
from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tml_ros.duplex.native.shape import NativeShape
from tml_ros.training.encoding import Arrays
from tml_ros.training.spectra import Spectra, Spectrum, added, banded, quantised, shifted, warped

__all__ = ["Echoes"]

_APART = 40
"""So many batches lie between two uses of one."""
_WARP, _LEVEL_DB, _SNR_DB = (0.92, 1.09), (-6.0, 6.0), (6.0, 35.0)
_LOUD = 90  # percentile of the power of frames that stands for that of a voice


class Echoes:
    """Makes batches of which each is used several times.

    Thread: one caller at a time.
    """

    def __init__(self, spectra: Spectra, shape: NativeShape, make: Callable[[int], Arrays]) -> None:
        """make: the batch of a number, the same every time."""
        self._spectra, self._shape = spectra, shape
        self._make = functools.lru_cache(maxsize=2 * _APART)(make)

    def arrays(self, step: int, uses: int, seed: int) -> Arrays:
        """Return the batch of a step of those in which each comes ``uses`` times, ``_APART`` steps apart."""
        block, place = divmod(step, uses * _APART)
        use, number = divmod(place, _APART)
        made = self._make(block * _APART + number)
        if not use:
            return made
        rng = np.random.default_rng([seed, step, 11])
        return made | {"levels": np.stack([self._heard_anew(row, rng) for row in made["levels"]])}

    def _heard_anew(self, levels: NDArray[np.uint8], rng: Generator) -> NDArray[np.uint8]:
        """levels: [T, 20, M]."""
        shape, flat = self._shape, levels.reshape(-1, levels.shape[-1])
        step = (shape.mel_high - shape.mel_low) / (shape.mel_levels - 1)
        row: Spectrum = (flat + rng.uniform(-0.5, 0.5, flat.shape).astype(np.float32)) * step + shape.mel_low
        row = np.asarray(row, np.float32)
        if rng.random() < 0.8:
            row = warped(row, self._spectra.hz, rng.uniform(*_WARP))
        row = shifted(banded(row, self._spectra.hz, rng), rng.uniform(*_LEVEL_DB))
        if rng.random() < 0.6:
            loud_db = float(np.percentile(row.mean(1), _LOUD)) * 10 / np.log(10)
            noise = self._spectra.noise(len(row), rng, "train")
            own_db = float(noise.mean()) * 10 / np.log(10)
            row = added(row, shifted(noise, loud_db - own_db - rng.uniform(*_SNR_DB)))
        return quantised(row, shape).reshape(levels.shape)
