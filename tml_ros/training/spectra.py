"""Log-mel spectra of a whole corpus, and what happens to a voice on its way, done to spectra instead of to sound.

A voice is made larger, faster, hollow, dull or noisy by moving and adding numbers of its spectrum, some thousand times
faster than real time; phases are not known, so two sounds add up by their powers. Good enough to learn how letters
sound; scenes are made of samples. It knows no words.

Source: vocal tract length perturbation, Jaitly and Hinton 2013; masks, Park et al. 2019 (arXiv 1904.08779).
"""

import itertools
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from tml_ros.duplex.native.dmel import LogMel, mel_centres
from tml_ros.duplex.native.shape import FRAMES_PER_TURN, NativeShape
from tml_ros.records import MICRO_TURN_SAMPLES
from tml_ros.training import acoustics
from tml_ros.training.corpus import Corpus, Part

__all__ = [
    "SILENT", "Spectra", "Spectrum", "added", "banded", "bent", "dressed", "quantised", "repeated", "shifted", "warped",
]  # fmt: skip

Spectrum = NDArray[np.float32]
SILENT = -16.2
"""A log-mel of no sound."""
_FILE = "mel.f16"
_FRAME = MICRO_TURN_SAMPLES // FRAMES_PER_TURN
_DB = np.log(10) / 10
_TAIL_FRAMES = (1, 2, 3, 5, 8, 13, 20, 30, 45, 65)
"""Bounds of the pieces of which a room's tail is made."""
_BENDS, _UNEVEN, _MOVED_CHANNELS = 5, 0.25, 1.0
"""Into how many pieces a voice is cut either way, how much longer one is, and how far their bounds move."""
_MADE_NOISES, _NOISE_TURNS = 48, 50


class Spectra:
    """The spectrum of every part of a corpus, and noises.

    Thread: any; nothing changes after construction.
    """

    def __init__(self, folder: Path, channels: int) -> None:
        """Open a corpus. Its spectra of so many channels are measured when that has not been done yet, and kept.

        Raises:
            InputError: there is no corpus.
        """
        self.corpus = Corpus.load(folder)
        self._measure = LogMel(channels, torch.float32)
        counts = [-(-part.length // _FRAME) for part in self.corpus.parts]
        self._begins = dict(zip(map(_key, self.corpus.parts), np.cumsum([0, *counts[:-1]]).tolist(), strict=True))
        size, path = (sum(counts), channels), folder / _FILE
        if not path.is_file() or path.stat().st_size != 2 * size[0] * size[1]:
            self._write(path)
        self._frames = np.memmap(path, np.float16, "r", shape=size)
        self.hz = np.asarray(mel_centres(channels))
        self._made = [self.of_sound(_noise(np.random.default_rng([number, 17]))) for number in range(_MADE_NOISES)]

    def of(self, part: Part) -> Spectrum:
        """Return the spectrum of a part, [F, M]."""
        begin = self._begins[_key(part)]
        return np.asarray(self._frames[begin : begin + -(-part.length // _FRAME)], np.float32)

    def noise(self, frames: int, rng: Generator, split: str) -> Spectrum:
        """Return so many frames of a noise at 0.1 RMS, recorded or made."""
        recorded = self.corpus.all("noise", split)
        if rng.random() < 0.5 and recorded:
            noise = self.of(recorded[int(rng.integers(len(recorded)))])
        else:
            noise = self._made[int(rng.integers(len(self._made)))]
        return repeated(noise, frames, rng)

    def of_sound(self, sound: NDArray[np.float32]) -> Spectrum:
        """Measure a sound, [N] to [F, M]."""
        frames = -(-len(sound) // _FRAME)
        turns = -(-frames // FRAMES_PER_TURN)
        padded = np.zeros(turns * MICRO_TURN_SAMPLES, np.float32)
        padded[: len(sound)] = sound
        audio = torch.from_numpy(padded).view(1, turns, -1)
        found = self._measure(audio, torch.ones(1, turns, dtype=torch.bool))
        return np.asarray(found.flatten(0, 2)[:frames].numpy(), np.float32)

    def _write(self, path: Path) -> None:
        unfinished = path.with_suffix(".part")
        with unfinished.open("wb") as file:
            for part in self.corpus.parts:
                file.write(self.of_sound(self.corpus.sound(part)).astype(np.float16).tobytes())
        unfinished.rename(path)


def dressed(voice: Spectrum, hz: NDArray[np.float64], rng: Generator) -> Spectrum:
    """Return a voice of another size and pace, in a room, through a microphone, some of it missing. hz: of channels."""
    size, pace = rng.uniform(0.84, 1.2), rng.uniform(0.9, 1.25)
    voice = _stretched(voice, max(2, round(len(voice) * size * pace)))
    if rng.random() < 0.7:
        voice = warped(voice, hz, size)
    if rng.random() < 0.5:
        voice = _in_room(voice, rng)
    voice = banded(voice, hz, rng) if rng.random() < 0.6 else voice
    return _masked(voice, rng) if rng.random() < 0.4 else voice


def bent(voice: Spectrum, rng: Generator) -> Spectrum:
    """Return a voice that dwells on other parts of what it says and has other vowels: uneven both ways."""
    length, channels = voice.shape
    paces = np.exp(rng.normal(0, _UNEVEN, _BENDS))
    knots = np.concatenate([[0.0], np.cumsum(paces)]) / paces.sum() * (length - 1)
    frames = np.interp(np.linspace(0, _BENDS, length), np.arange(_BENDS + 1), knots)
    moved = np.concatenate([[0.0], rng.normal(0, _MOVED_CHANNELS, _BENDS - 1), [0.0]])
    places = np.arange(channels) + np.interp(np.linspace(0, _BENDS, channels), np.arange(_BENDS + 1), moved)
    return _at(_at(voice, frames).T, np.clip(places, 0, channels - 1)).T


def added(one: Spectrum, other: Spectrum) -> Spectrum:
    """Return the spectrum of two sounds at once."""
    most = np.maximum(one, other)
    lesser = np.exp(np.minimum(one, other) - most)
    return np.asarray(most + np.log(1 + lesser), np.float32)  # twice as fast as logaddexp


def repeated(sound: Spectrum, frames: int, rng: Generator) -> Spectrum:
    """Return so many frames of a sound that begins anywhere, again and again."""
    return np.resize(np.roll(sound, int(rng.integers(len(sound))), 0), (frames, sound.shape[1]))


def shifted(voice: Spectrum, level_db: float) -> Spectrum:
    """Return a voice at another level."""
    return np.asarray(voice + np.float32(level_db * _DB), np.float32)


def warped(voice: Spectrum, hz: NDArray[np.float64], size: float) -> Spectrum:
    """Return the voice of somebody whose mouth and throat are ``size`` times as long."""
    return _at(voice.T, np.interp(hz * size, hz, np.arange(len(hz)))).T


def banded(voice: Spectrum, hz: NDArray[np.float64], rng: Generator) -> Spectrum:
    """Return a voice through another microphone."""
    return voice + _band(hz, rng)


def quantised(voice: Spectrum, shape: NativeShape) -> NDArray[np.uint8]:
    """Return the levels that the model hears, see ``dmel.quantise``."""
    steps = (voice - shape.mel_low) * ((shape.mel_levels - 1) / (shape.mel_high - shape.mel_low))
    return np.clip(np.round(steps), 0, shape.mel_levels - 1).astype(np.uint8)


def _stretched(voice: Spectrum, count: int) -> Spectrum:
    return _at(voice, np.linspace(0, len(voice) - 1, count))


def _at(voice: Spectrum, places: NDArray[np.float64]) -> Spectrum:
    """Return rows between the rows."""
    low = np.maximum(np.minimum(places.astype(np.int64), len(voice) - 2), 0)
    share = (places - low).astype(np.float32)[:, None]
    return np.asarray(voice[low] * (1 - share) + voice[np.minimum(low + 1, len(voice) - 1)] * share, np.float32)


def _in_room(voice: Spectrum, rng: Generator) -> Spectrum:
    """Let every frame die away in those after it."""
    kept = np.exp(-13.8 * 0.01 / rng.uniform(0.08, 0.6))
    share = 10 ** (-rng.uniform(5, 22) / 10)
    power = np.exp(voice)
    made = power.copy()
    for first, last in itertools.pairwise(_TAIL_FRAMES):
        if first < len(power):
            made[first:] += np.float32(share * (kept ** (first - 1) - kept ** (last - 1))) * power[:-first]
    return np.log(made)


def _band(hz: NDArray[np.float64], rng: Generator) -> Spectrum:
    """Return how a microphone changes the channels, [M]."""
    gain_db = rng.uniform(-4, 4) * np.log2((hz + 100) / 1000)
    if rng.random() < 0.5:
        gain_db -= 10 * np.log10(1 + (hz / rng.uniform(3000, 8000)) ** 6)
    if rng.random() < 0.5:
        gain_db += 20 * np.log10(hz**2 / (hz**2 + rng.uniform(50, 250) ** 2))
    return np.asarray(gain_db * _DB, np.float32)


def _masked(voice: Spectrum, rng: Generator) -> Spectrum:
    """Return a voice without a few frames and a band of channels."""
    voice = voice.copy()
    for _ in range(1 + len(voice) // 60):
        begin = int(rng.integers(len(voice)))
        voice[begin : begin + int(rng.integers(1, 7))] = SILENT
    begin = int(rng.integers(voice.shape[1]))
    voice[:, begin : begin + int(rng.integers(1, 10))] = SILENT
    return voice


def _noise(rng: Generator) -> NDArray[np.float32]:
    count = _NOISE_TURNS * MICRO_TURN_SAMPLES
    return acoustics.music(count, rng) if rng.random() < 0.2 else acoustics.coloured(count, rng)


def _key(part: Part) -> tuple[int, int]:
    return part.begin, part.length
