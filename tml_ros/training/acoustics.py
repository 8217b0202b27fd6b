"""What happens to a sound on its way into a microphone, drawn anew each time: rooms, bands, levels, noise, clipping.

It knows neither who speaks nor what is said, and needs numpy only.

Source: rooms as noise that decays exponentially, Moorer 1979, About this reverberation business.
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tml_ros.records import SAMPLE_RATE_HZ

__all__ = ["amplitude", "banded", "clipped", "coloured", "in_room", "looped", "music", "residual", "resized", "room"]

Sound = NDArray[np.float32]
_LOUDNESS = 0.1  # RMS of the louder half of a part, -20 dB of full scale


def amplitude(level_db: float) -> np.float32:
    """Return the factor of a level in dB."""
    return np.float32(10 ** (level_db / 20))


def resized(sound: Sound, factor: float) -> Sound:
    """Make a sound ``factor`` times as long, and its speaker as much larger, band-limited."""
    length, count = round(len(sound) * factor), len(sound) // 2 + 1
    spectrum = np.fft.rfft(sound)
    kept = np.zeros(length // 2 + 1, spectrum.dtype)
    kept[: min(count, len(kept))] = spectrum[: min(count, len(kept))]
    return np.asarray(np.fft.irfft(kept, length) * factor, np.float32)


def coloured(count: int, rng: Generator) -> Sound:
    """Return noise whose power falls with frequency to some power, its level wandering in some cases, 0.1 RMS."""
    size = 1 << 16
    falls = np.arange(1, size // 2 + 1) ** -rng.uniform(0, 1.1)
    spectrum = np.concatenate([[0], falls * np.exp(2j * np.pi * rng.random(size // 2))])
    period = np.fft.irfft(spectrum, size)
    sound = looped((period * (_LOUDNESS / np.sqrt(np.mean(period**2)))).astype(np.float32), count, rng)
    return _wandering(sound, rng, 6.0) if rng.random() < 0.4 else sound


def looped(sound: Sound, count: int, rng: Generator) -> Sound:
    """Return ``count`` samples from a random place on, over and over again."""
    begin = int(rng.integers(len(sound)))
    return np.resize(np.concatenate([sound[begin:], sound[:begin]]), count)


def music(count: int, rng: Generator) -> Sound:
    """Return chords of plucked or held tones, or beeps, about 0.1 RMS."""
    out = np.zeros(count, np.float32)
    beat = round(rng.uniform(0.12, 0.7) * SAMPLE_RATE_HZ)
    scale = 110 * 2 ** (np.array([0, 2, 4, 7, 9, 12, 14, 16, 19, 24]) / 12 + rng.uniform(0, 1.5))
    decay, harmonics = rng.uniform(0.5, 8), int(rng.integers(1, 7))
    time = np.arange(beat) / SAMPLE_RATE_HZ
    envelope = np.minimum(1, time / 0.01) * np.exp(-decay * time) * np.minimum(1, time[::-1] / 0.01)
    for begin in range(0, count, beat):
        tones = rng.choice(scale, int(rng.integers(1, 4)))
        partials = [(hz * k, k) for hz in tones for k in range(1, harmonics + 1) if hz * k < 7600]
        wave = np.sum([np.sin(2 * np.pi * hz * time) / k for hz, k in partials], axis=0)
        out[begin : begin + beat] = (envelope * wave)[: count - begin]
    return (out * (_LOUDNESS / max(1e-6, float(np.sqrt(np.mean(out**2)))))).astype(np.float32)


def residual(played: Sound, rng: Generator) -> Sound:
    """Return what an echo canceller leaves of the robot's own voice: weak, coloured, now more and now less."""
    echo = in_room(banded(played, rng), rng)[: len(played)] * amplitude(rng.uniform(-48, -16))
    delay = round(rng.uniform(0.01, 0.2) * SAMPLE_RATE_HZ)
    late = np.concatenate([np.zeros(delay, np.float32), echo])[: len(echo)]
    return _wandering(late, rng, 8.0)


def clipped(sound: Sound, rng: Generator) -> Sound:
    """Drive a sound into the limits of the converter."""
    return np.asarray(np.clip(sound * amplitude(rng.uniform(6, 18)), -1, 1), np.float32)


def _wandering(sound: Sound, rng: Generator, spread_db: float) -> Sound:
    """Let the level wander by some dB within half-seconds."""
    points = rng.normal(0, spread_db / 2, len(sound) // 8000 + 2)
    levels = np.interp(np.arange(len(sound)) / 8000, np.arange(len(points)), points)
    return (sound * 10 ** (levels / 20)).astype(np.float32)


def banded(sound: Sound, rng: Generator) -> Sound:
    """Tilt the spectrum and cut its ends, as microphones and mouths' distance do."""
    size = 1 << (len(sound) + 256).bit_length()
    hz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ)
    gain = ((hz + 100) / 1000) ** (rng.uniform(-4, 4) / 6.02)
    if rng.random() < 0.5:
        gain /= np.sqrt(1 + (hz / rng.uniform(3000, 8000)) ** 6)
    if rng.random() < 0.5:
        gain *= hz**2 / (hz**2 + rng.uniform(50, 250) ** 2)
    shaped = np.fft.irfft(np.fft.rfft(sound, size) * gain, size)[: len(sound)]
    loss = np.sqrt(np.mean(sound**2)) / max(1e-6, float(np.sqrt(np.mean(shaped**2))))
    return np.asarray(shaped * loss, np.float32)


def room(rng: Generator) -> Sound:
    """Return an impulse response whose first sample is the direct sound."""
    time = np.arange(round(0.35 * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    tail = rng.standard_normal(len(time)) * np.exp(-6.9 * time / rng.uniform(0.08, 0.6))
    tail[: rng.integers(16, 80)] = 0
    tail *= 10 ** (-rng.uniform(5, 22) / 20) / np.sqrt(np.sum(tail**2))
    tail[0] = 1
    return tail.astype(np.float32)


def in_room(sound: Sound, rng: Generator) -> Sound:
    if rng.random() < 0.4:
        return sound
    response = room(rng)
    length = len(sound) + len(response)
    size = 1 << length.bit_length()
    sounding = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(response, size), size)
    return np.asarray(sounding[:length], np.float32)
