"""Sounds that are no bid for the floor, made from pulses and shaped noise: hums, coughs, laughs, claps, knocks.

Every sound is drawn anew from the generator it gets: pitch, vocal tract, lengths, pauses, roughness. It knows neither
files nor rooms.

Source: three phases of a cough (explosive, intermediate, voiced), Korpas, Sadlonova and Vrabec 1996; source-filter
model and nasal formants, Fant 1960, Acoustic Theory of Speech Production.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tml_ros.records import SAMPLE_RATE_HZ

__all__ = ["COUGHS", "KNOCKS", "cough", "hum", "hum_from", "knock"]

Sound = NDArray[np.float32]
Resonance = tuple[float, float, float]
"""Frequency and bandwidth in Hz, gain in dB."""

_TILT_HZ = 100.0
_NASAL_ZERO_HZ = 800.0


# ------------------------------------------------------------------------------------------------------------ tools


def _samples(seconds: float) -> int:
    return max(1, round(seconds * SAMPLE_RATE_HZ))


def _noise(rng: Generator, seconds: float) -> Sound:
    return rng.standard_normal(_samples(seconds)).astype(np.float32)


def _filter(sound: Sound, gain: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Sound:
    """Multiply the spectrum by gain(Hz)."""
    size = 1 << (len(sound) + 512).bit_length()
    hz = np.asarray(np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ), np.float64)
    filtered = np.fft.irfft(np.fft.rfft(sound, size) * gain(hz), size)[: len(sound)]
    return filtered.astype(np.float32)


def _tract(
    resonances: Sequence[Resonance], floor_db: float = -60.0
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    def gain(hz: NDArray[np.float64]) -> NDArray[np.float64]:
        total = np.full_like(hz, 10 ** (floor_db / 20))
        for centre, width, level_db in resonances:
            total += 10 ** (level_db / 20) / np.sqrt(1 + ((hz - centre) / (width / 2)) ** 2)
        return total

    return gain


def _voice(rng: Generator, pitch_hz: NDArray[np.float64], jitter: float) -> Sound:
    """Return glottal pulses, one for each turn of the phase. pitch_hz: [N]."""
    slow = np.repeat(rng.standard_normal(len(pitch_hz) // 80 + 1), 80)[: len(pitch_hz)]
    phase = np.cumsum(pitch_hz * (1 + jitter * slow) / SAMPLE_RATE_HZ)
    starts = np.flatnonzero(np.diff(np.floor(phase)) > 0)
    pulses = np.zeros(len(pitch_hz), np.float32)
    pulses[starts] = 1 + 3 * jitter * rng.standard_normal(len(starts))
    return _filter(pulses, lambda hz: 1 / (1 + (hz / _TILT_HZ) ** 2) ** 0.5 / (1 + (hz / 2000) ** 2) ** 0.5)


def _envelope(rng: Generator, count: int, rise_s: float, fall_s: float) -> NDArray[np.float32]:
    """Return a smooth swell with some unsteadiness, [count]."""
    time = np.arange(count) / SAMPLE_RATE_HZ
    rise = np.minimum(1.0, time / rise_s)
    fall = np.minimum(1.0, time[::-1] / fall_s)
    wave = 1 + 0.15 * np.sin(2 * np.pi * rng.uniform(2, 7) * time + rng.uniform(0, 6.28))
    return (np.sin(rise * np.pi / 2) * np.sin(fall * np.pi / 2) * wave).astype(np.float32)


def _decay(count: int, rise_s: float, decay_s: float) -> NDArray[np.float32]:
    time = np.arange(count) / SAMPLE_RATE_HZ
    return (np.minimum(1.0, time / rise_s) * np.exp(-np.maximum(0, time - rise_s) / decay_s)).astype(np.float32)


def _glide(rng: Generator, count: int, base_hz: float, spread: float) -> NDArray[np.float64]:
    """Return a pitch that bends once or twice, [count] Hz."""
    points = base_hz * 2 ** rng.uniform(-spread, spread, 3)
    return np.interp(np.linspace(0, 1, count), [0, rng.uniform(0.3, 0.7), 1], points)


def _level(sound: Sound, level: float = 0.1) -> Sound:
    return (sound * (level / max(1e-9, float(np.sqrt(np.mean(sound**2)))))).astype(np.float32)


def _fit(rng: Generator, values: Sequence[float], spread: float) -> list[float]:
    scale = rng.uniform(1 - spread, 1 + spread)
    return [value * scale * rng.uniform(1 - spread / 2, 1 + spread / 2) for value in values]


# ------------------------------------------------------------------------------------------------------------- hums


def _nasal(rng: Generator) -> list[Resonance]:
    first, second, third = _fit(rng, (270, 1050, 2250), 0.15)
    weak = rng.uniform(-34, -16)
    return [(first, rng.uniform(50, 120), 0), (second, 180, weak), (third, 250, weak - rng.uniform(0, 10))]


def _vowel(rng: Generator) -> list[Resonance]:
    shapes = ((620, 1200, 2500), (500, 1500, 2500), (730, 1150, 2500), (560, 920, 2500))
    first, second, third = _fit(rng, shapes[rng.integers(len(shapes))], 0.12)
    return [(first, 90, 0), (second, 120, rng.uniform(-12, -4)), (third, 180, rng.uniform(-24, -12)), (3500, 300, -26)]


def _base_pitch(rng: Generator) -> float:
    return float(85 * 3.2 ** rng.random())


def _lobe(rng: Generator, seconds: float, base_hz: float, tract: list[Resonance]) -> Sound:
    count = _samples(seconds)
    voiced = _voice(rng, _glide(rng, count, base_hz, 0.25), rng.uniform(0.002, 0.03))
    breath = _noise(rng, seconds) * np.float32(10 ** (rng.uniform(-50, -25) / 20))
    return _level(_filter(voiced + breath, _tract(tract))) * _envelope(
        rng, count, rng.uniform(0.01, 0.06), rng.uniform(0.03, 0.12)
    )


def _breath(rng: Generator, seconds: float, tract: list[Resonance]) -> Sound:
    sound = _level(_filter(_noise(rng, seconds), _tract([*tract, (2500, 2500, -12)], -30)), 0.1)
    return sound * _envelope(rng, len(sound), 0.02, 0.02) * np.float32(10 ** (rng.uniform(-30, -10) / 20))


def _two_lobes(rng: Generator, base_hz: float, tract: list[Resonance]) -> Sound:
    step = 2 ** rng.choice([-0.4, -0.2, 0.2, 0.35, 0.5])
    first = _lobe(rng, rng.uniform(0.08, 0.24), base_hz, tract) * np.float32(rng.uniform(0.5, 1.0))
    second = _lobe(rng, rng.uniform(0.12, 0.36), base_hz * step, tract)
    return np.concatenate([first, _breath(rng, rng.uniform(0.02, 0.11), tract), second])


def hum(rng: Generator) -> Sound:
    """Return an mm-hm, a long hm, an uh-huh, an aha, sometimes twice. [N] float32 at 16 kHz, about 0.1 RMS."""
    base_hz, tract = _base_pitch(rng), _nasal(rng) if rng.random() < 0.65 else _vowel(rng)
    form = rng.random()
    if form < 0.6:
        sound = _two_lobes(rng, base_hz, tract)
    elif form < 0.85:
        sound = _lobe(rng, rng.uniform(0.18, 0.7), base_hz, tract)
    else:
        sound = np.concatenate(
            [_breath(rng, rng.uniform(0.04, 0.1), tract), _lobe(rng, rng.uniform(0.15, 0.4), base_hz, tract)]
        )
    if rng.random() < 0.12:
        sound = np.concatenate(
            [sound, np.zeros(_samples(rng.uniform(0.05, 0.25)), np.float32), _two_lobes(rng, base_hz, tract)]
        )
    return _level(sound)


def hum_from(rng: Generator, speech: Sound) -> Sound:
    """Return a hum or uh-huh in the voice of somebody who really spoke: his pulses, another vocal tract.

    Args:
        rng: draws the form.
        speech: [N] float32 at 16 kHz, at least half a second, mostly voiced.
    """
    tract = _nasal(rng) if rng.random() < 0.7 else _vowel(rng)
    whole = _recolour(speech, tract)
    if rng.random() < 0.3:
        piece = whole[: _samples(rng.uniform(0.2, 0.6))]
        return _level(piece * _envelope(rng, len(piece), rng.uniform(0.01, 0.06), rng.uniform(0.03, 0.15)))
    cut, gap = _samples(rng.uniform(0.08, 0.24)), rng.uniform(0.02, 0.11)
    first, second = whole[:cut], whole[cut : cut + _samples(rng.uniform(0.12, 0.36))]
    first = _level(first * _envelope(rng, len(first), 0.02, 0.04)) * np.float32(rng.uniform(0.5, 1.0))
    second = _level(second * _envelope(rng, len(second), 0.03, 0.1))
    return _level(np.concatenate([first, _breath(rng, gap, tract), second]))


def _recolour(speech: Sound, tract: list[Resonance]) -> Sound:
    """Replace the spectral envelope (cepstrum below 1.9 ms) of every 32 ms, keeping the fine structure."""
    size, hop = 512, 128
    padded = np.concatenate([speech, np.zeros(size, np.float32)])
    window = np.hanning(size + 1)[:-1]
    hz = np.asarray(np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ), np.float64)
    nasal = _tract(tract)(hz) / (1 + (hz / _TILT_HZ) ** 2) ** 0.25
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop] * window
    spectra = np.fft.rfft(frames, axis=1)
    cepstra = np.fft.irfft(np.log(np.abs(spectra) + 1e-5), axis=1)
    cepstra[:, 30:-29] = 0
    flat = spectra / np.exp(np.fft.rfft(cepstra, axis=1).real)
    pieces = np.fft.irfft(flat * nasal, axis=1) * window
    out = np.zeros(len(padded) + size)
    for row, piece in enumerate(pieces):
        out[row * hop : row * hop + size] += piece
    return _level(out[: len(speech)].astype(np.float32))


# ------------------------------------------------------------------------------------------------------------ coughs


def _cough_once(rng: Generator) -> Sound:
    tract = [(f, rng.uniform(150, 500), -3.0 * i) for i, f in enumerate(_fit(rng, (550, 1500, 2500, 3700), 0.25))]
    burst_s, rest_s = rng.uniform(0.02, 0.07), rng.uniform(0.08, 0.3)
    noise = _filter(_noise(rng, burst_s + rest_s), _tract(tract, rng.uniform(-30, -12)))
    shape = _decay(len(noise), rng.uniform(0.001, 0.012), rng.uniform(0.02, 0.06))
    sound = _level(noise) * (shape + rng.uniform(0.05, 0.4) * _envelope(rng, len(noise), 0.03, 0.08))
    if rng.random() < 0.5:
        seconds = rng.uniform(0.05, 0.2)
        pitch = np.linspace(rng.uniform(180, 450), rng.uniform(90, 250), _samples(seconds))
        voiced = _level(_filter(_voice(rng, pitch, rng.uniform(0.02, 0.15)), _tract(tract)))
        voiced = (voiced + 0.5 * _level(_noise(rng, seconds))) * _envelope(rng, len(voiced), 0.02, 0.05)
        begin = max(0, len(sound) - _samples(rng.uniform(0.02, 0.1)))
        sound = np.concatenate([sound[:begin], voiced * np.float32(rng.uniform(0.1, 0.6))])
    return sound.astype(np.float32)


def _coughs(rng: Generator) -> Sound:
    pieces: list[Sound] = []
    for number in range(rng.choice([1, 1, 2, 2, 3, 4])):
        pause = np.zeros(_samples(rng.uniform(0.03, 0.25)), np.float32)
        pieces += [_cough_once(rng) * np.float32(rng.uniform(0.6, 1) * 0.85**number), pause]
    return np.concatenate(pieces)


def _throat(rng: Generator) -> Sound:
    """Rough pulses of 40 to 110 Hz and noise, once to three times, sometimes a hum at the end."""
    tract = _vowel(rng) if rng.random() < 0.6 else _nasal(rng)
    pieces: list[Sound] = []
    for _ in range(rng.choice([1, 2, 2, 3])):
        seconds = rng.uniform(0.1, 0.4)
        pitch = _glide(rng, _samples(seconds), rng.uniform(40, 110), 0.3)
        rough = _level(_filter(_voice(rng, pitch, rng.uniform(0.1, 0.4)), _tract(tract)))
        noise = _level(_filter(_noise(rng, seconds), _tract([*tract, (2500, 2000, -8)], -25)))
        mixed = rough + np.float32(rng.uniform(0.3, 1.5)) * noise
        pieces += [
            mixed * _envelope(rng, len(mixed), rng.uniform(0.005, 0.05), 0.05),
            np.zeros(_samples(rng.uniform(0.01, 0.12)), np.float32),
        ]
    if rng.random() < 0.3:
        pieces.append(_lobe(rng, rng.uniform(0.1, 0.25), _base_pitch(rng), _nasal(rng)))
    return np.concatenate(pieces)


def _sneeze(rng: Generator) -> Sound:
    tract = _vowel(rng)
    pieces: list[Sound] = []
    if rng.random() < 0.6:
        inhale = _breath(rng, rng.uniform(0.15, 0.45), tract) * 4
        pieces += [
            inhale,
            _lobe(rng, rng.uniform(0.05, 0.2), _base_pitch(rng) * 1.3, tract) * np.float32(rng.uniform(0, 0.7)),
        ]
    seconds = rng.uniform(0.15, 0.4)
    high = [
        (rng.uniform(2000, 4500), rng.uniform(800, 2500), 0.0),
        (rng.uniform(4500, 7000), 2000, -6),
        (1500, 400, -12),
    ]
    burst = _level(_filter(_noise(rng, seconds), _tract(high, -30)), 0.15)
    return np.concatenate([*pieces, burst * _decay(len(burst), rng.uniform(0.002, 0.02), rng.uniform(0.05, 0.15))])


def _laugh(rng: Generator) -> Sound:
    tract, base_hz = _vowel(rng), _base_pitch(rng) * rng.uniform(1.2, 1.9)
    breathy, pieces = rng.random() < 0.3, []
    for number in range(rng.integers(2, 8)):
        aspiration = _breath(rng, rng.uniform(0.04, 0.11), tract) * np.float32(rng.uniform(1.5, 5))
        seconds = rng.uniform(0.05, 0.13)
        vowel = _lobe(rng, seconds, base_hz * 0.95**number, tract)
        vowel = _breath(rng, seconds, tract) * 5 if breathy else vowel
        pieces += [aspiration, vowel * np.float32(0.9**number)]
    return np.concatenate(pieces)


def _sniff_or_sigh(rng: Generator) -> Sound:
    seconds = rng.uniform(0.12, 0.8)
    centre = rng.uniform(700, 5500)
    noise = _filter(
        _noise(rng, seconds),
        _tract([(centre, centre * rng.uniform(0.2, 0.9), 0), (rng.uniform(300, 1500), 300, -10)], -25),
    )
    return noise * _envelope(rng, len(noise), rng.uniform(0.02, 0.1), rng.uniform(0.04, 0.2))


COUGHS: dict[str, Callable[[Generator], Sound]] = {
    "cough": _coughs,
    "throat": _throat,
    "sneeze": _sneeze,
    "laugh": _laugh,
    "breath": _sniff_or_sigh,
}


def cough(rng: Generator) -> Sound:
    """Return a cough, cleared throat, sneeze, laugh, sniff or sigh, about 0.1 RMS."""
    name = rng.choice(list(COUGHS), p=[0.4, 0.22, 0.13, 0.15, 0.1])
    return _level(COUGHS[name](rng))


# ------------------------------------------------------------------------------------------------------------ knocks


def _modes(rng: Generator, low_hz: float, high_hz: float, decay_s: float, count: int) -> Sound:
    """Return damped oscillations that are struck once."""
    seconds = min(0.8, decay_s * 6)
    time = np.arange(_samples(seconds)) / SAMPLE_RATE_HZ
    sound = np.zeros_like(time)
    for hz in low_hz * (high_hz / low_hz) ** rng.random(count):
        sound += (
            rng.uniform(0.2, 1)
            * np.sin(2 * np.pi * hz * time + rng.uniform(0, 6.28))
            * np.exp(-time / (decay_s * rng.uniform(0.5, 1.5)))
        )
    click = _noise(rng, seconds) * _decay(len(time), 0.0005, rng.uniform(0.001, 0.01)) * np.float32(rng.uniform(0.1, 2))
    return (sound + click).astype(np.float32)


def _clap(rng: Generator) -> Sound:
    seconds = rng.uniform(0.03, 0.12)
    centre = rng.uniform(700, 3000)
    noise = _filter(_noise(rng, seconds), _tract([(centre, centre, 0.0)], -18))
    return noise * _decay(len(noise), 0.001, rng.uniform(0.004, 0.025))


def _slam(rng: Generator) -> Sound:
    thud = _modes(rng, 40, 250, rng.uniform(0.05, 0.15), 6)
    rattle = _filter(_noise(rng, rng.uniform(0.1, 0.4)), _tract([(rng.uniform(300, 2000), 1500, 0)], -30))
    rattle *= _decay(len(rattle), 0.002, rng.uniform(0.02, 0.1))
    both = np.zeros(max(len(thud), len(rattle)), np.float32)
    both[: len(thud)] += _level(thud)
    both[: len(rattle)] += _level(rattle) * np.float32(rng.uniform(0.1, 1))
    return both


def _scrape(rng: Generator) -> Sound:
    seconds = rng.uniform(0.2, 0.9)
    pulses = _voice(rng, _glide(rng, _samples(seconds), rng.uniform(20, 90), 0.6), rng.uniform(0.3, 0.8))
    sound = _level(_filter(pulses, _tract([(f, 200, 0) for f in rng.uniform(200, 4500, 5)], -30))) + 0.3 * _level(
        _noise(rng, seconds)
    )
    return sound * _envelope(rng, len(sound), 0.03, 0.05)


def _beep(rng: Generator) -> Sound:
    time = np.arange(_samples(rng.uniform(0.08, 0.6))) / SAMPLE_RATE_HZ
    hz = rng.uniform(400, 3500)
    sound = sum(np.sin(2 * np.pi * hz * k * time) / k ** rng.uniform(1, 3) for k in (1, 2, 3) if hz * k < 7500)
    return np.asarray(sound, np.float32) * _envelope(rng, len(time), 0.005, 0.01)


def _struck(rng: Generator) -> Sound:
    """Wood, plastic, glass or metal."""
    low, high, decay = ((80, 700, 0.03), (300, 2500, 0.02), (1500, 7000, 0.1), (400, 5000, 0.15))[rng.integers(4)]
    return _modes(rng, low, high, decay * rng.uniform(0.5, 1.5), int(rng.integers(3, 9)))


def _repeated(rng: Generator, make: Callable[[Generator], Sound]) -> Sound:
    state = int(rng.integers(1 << 32))
    period = _samples(rng.uniform(0.09, 0.45))
    count = int(rng.integers(1, 6))
    out = np.zeros(period * count + _samples(1.0), np.float32)
    for number in range(count):
        one = make(np.random.default_rng(state)) * np.float32(rng.uniform(0.5, 1))
        begin = max(0, number * period + int(rng.normal(0, 200)))
        out[begin : begin + len(one)] += one[: len(out) - begin]
    last = np.flatnonzero(np.abs(out) > 1e-3 * np.abs(out).max())[-1]
    return out[: last + 1]


KNOCKS: dict[str, Callable[[Generator], Sound]] = {
    "clap": lambda rng: _repeated(rng, _clap),
    "knock": lambda rng: _repeated(rng, _struck),
    "slam": _slam,
    "scrape": _scrape,
    "beep": lambda rng: _repeated(rng, _beep),
}


def knock(rng: Generator) -> Sound:
    """Return claps, knocks, a slammed door, a scraped chair or beeps, about 0.1 RMS."""
    name = rng.choice(list(KNOCKS), p=[0.25, 0.35, 0.15, 0.15, 0.1])
    return _level(KNOCKS[name](rng))
