"""What people say and what else is heard beside a robot: bids for the floor, and sounds that are none.

Bids: command words and read sentences of real people, and sentences of voices that are not the robot's. Others:
back-channels, coughs, a throat cleared, knocks, laughter; and nothing at all: just the echo.
Made for measuring: independent of the sounds that the product was tuned with. All is [N] float32 at 48 kHz, begins with
its first audible sample, of recordings with the first that is speech (a breath or a click of the microphone is no bid),
and has a speech level of about -24 dBFS; a seed gives the same list on every run.
"""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.random import Generator
from numpy.typing import NDArray

from tml_ros.duplex.cascade.vad import FRAME_SAMPLES, SileroVad
from tml_ros.speech import EspeakSynthesiser, FliteSynthesiser

Sound = NDArray[np.float32]
RATE_HZ = 48_000
LEVEL_DBFS = -24.0
SPREAD_DB = 3.0
# The robot is flite's slt: nobody else is.
VOICES = (
    FliteSynthesiser("rms"),
    EspeakSynthesiser("en-us+f3"),
    FliteSynthesiser("awb"),
    EspeakSynthesiser("en-gb+m3"),
    FliteSynthesiser("kal16"),
    EspeakSynthesiser("en-us+f4", speed=1.1),
)
SENTENCES = (
    "wait a moment",
    "stop please",
    "excuse me",
    "no I meant the other one",
    "hold on a second",
    "turn around",
    "can you bring me the cup",
    "that is enough thank you",
    "be quiet please",
    "go forward ten meters",
)
COMMANDS = ("stop", "go", "left", "up", "down", "off", "no")
BACKCHANNELS = ("mm-hm", "uh-huh", "yeah", "hmm", "okay", "I see", "mhm", "oh", "aha")


@dataclass(frozen=True, slots=True)
class Clip:
    """A sound and what it is."""

    kind: str
    name: str
    sound: Sound


def bids(number: int, speech: Path | None, seed: int = 0) -> list[Clip]:
    """Return sounds with which somebody takes the floor.

    speech: folder of recorded speech, None: synthesised voices only.
    """
    rng = np.random.default_rng(seed)
    makers = [_said(SENTENCES, rng)]
    if speech is not None:
        makers += [_recorded(speech / "gsc_v001_subset", COMMANDS, 1.0, rng)]
        makers += [_recorded(speech / "librispeech_snips", (), 2.5, rng)]
    return [_level(next(maker), rng) for maker in islice(cycle(makers), number)]


def others(number: int, seed: int = 0) -> list[Clip]:
    """Return sounds with which nobody takes the floor; every fourth is silence."""
    rng = np.random.default_rng(1_000 + seed)
    noises: tuple[Callable[[Generator], Sound], ...] = (_cough, _throat, _knocks, _laughter)
    said, noise, found = _said(BACKCHANNELS, rng), cycle(noises), []
    for position in range(number):
        if position % 4 == 3:
            found.append(Clip("echo", "nothing but the echo", np.zeros(RATE_HZ, np.float32)))
        elif position % 4 == 1:
            made = next(noise)
            found.append(_level(Clip("noise", made.__name__.strip("_"), made(rng)), rng))
        else:
            clip = next(said)
            found.append(_level(Clip("backchannel", clip.name, clip.sound), rng))
    return found


def spoken(words: str, voice: int = 0) -> Sound:
    """Return words in one of the voices."""
    rng = np.random.default_rng(0)
    return _level(Clip("", words, _synthesised(words, voice)), rng, spread_db=0.0).sound


# ------------------------------------------------------------------------------------------------------------- speech


def _said(texts: tuple[str, ...], rng: Generator):
    texts = tuple(rng.permutation(texts))
    for position, text in enumerate(cycle(texts)):
        voice = position % len(VOICES)
        yield Clip("voice", f"{text} ({VOICES[voice].name})", _synthesised(text, voice))


@cache
def _synthesised(text: str, voice: int) -> Sound:
    return _resampled(VOICES[voice].synthesise(text), 16_000)


def _recorded(folder: Path, words: tuple[str, ...], longest_s: float, rng: Generator):
    with (folder / "labels.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "dev"]
    by_word = [[row for row in rows if row["transcript"] == word] for word in words] or [rows]
    vad = SileroVad()
    for group in cycle(group for group in by_word if group):
        row = group[rng.integers(len(group))]
        sound, rate_hz = soundfile.read(folder / row["path"], dtype="float32", always_2d=True)
        sound = _from_speech(_trimmed(sound[:, 0], rate_hz), rate_hz, vad)
        if len(sound):
            sound = _resampled(sound, rate_hz)[: round(longest_s * RATE_HZ)]
            yield Clip("word" if words else "reading", row["path"], sound)


def _from_speech(sound: Sound, rate_hz: int, vad: SileroVad) -> Sound:
    """Cut what comes more than 100 ms before speech begins; nothing is left of a sound without speech."""
    lead = 3 * FRAME_SAMPLES
    heard = soxr.resample(sound, rate_hz, 16_000)
    frames = vad.open().push(np.concatenate([np.zeros(lead, np.float32), heard, np.zeros(FRAME_SAMPLES, np.float32)]))
    speech = np.flatnonzero(np.array(frames) >= 0.5)
    if not speech.size:
        return sound[:0]
    first_s = (speech[0] * FRAME_SAMPLES - lead) / 16_000
    return sound if first_s <= 0.1 else sound[round((first_s - 0.05) * rate_hz) :]


def _trimmed(sound: Sound, rate_hz: int) -> Sound:
    """Cut what lies before the first and after the last frame within 25 dB of the loudest (of 10 ms)."""
    size = rate_hz // 100
    power = np.mean(sound[: len(sound) // size * size].reshape(-1, size) ** 2, axis=1)
    loud = np.flatnonzero(power > power.max() * 10.0**-2.5)
    return sound[loud[0] * size : (loud[-1] + 1) * size]


def _resampled(sound: Sound, rate_hz: int) -> Sound:
    found = sound if rate_hz == RATE_HZ else soxr.resample(sound, rate_hz, RATE_HZ)
    return np.asarray(found, np.float32)


def _level(clip: Clip, rng: Generator, spread_db: float = SPREAD_DB) -> Clip:
    """Cut the silence in front and bring the louder part of a clip to the speech level, give or take the spread."""
    if not clip.sound.any():
        return clip
    sound = _trimmed(clip.sound, RATE_HZ)
    size = RATE_HZ // 100
    power = np.mean(sound[: len(sound) // size * size].reshape(-1, size) ** 2, axis=1)
    active = float(np.mean(power[power > power.max() * 10.0**-2.5]))
    wanted = LEVEL_DBFS + rng.uniform(-spread_db, spread_db)
    gain = 10.0 ** (wanted / 20.0) / np.sqrt(active)
    return Clip(clip.kind, clip.name, np.clip(sound * gain, -0.95, 0.95).astype(np.float32))


# ------------------------------------------------------------------------------------------------------------- noises


def _shaped(rng: Generator, seconds: float, low_hz: float, high_hz: float) -> NDArray[np.float64]:
    """Return noise with sloping sides of a band."""
    size = round(seconds * RATE_HZ)
    frequency = np.fft.rfftfreq(size, 1.0 / RATE_HZ) + 1.0
    gain = 1.0 / (1.0 + (low_hz / frequency) ** 4) / (1.0 + (frequency / high_hz) ** 3)
    return np.fft.irfft(np.fft.rfft(rng.normal(size=size)) * gain, size)


def _faded(sound: NDArray[np.float64], rise_s: float, fall_s: float) -> NDArray[np.float64]:
    time = np.arange(len(sound)) / RATE_HZ
    return sound * (1.0 - np.exp(-time / rise_s)) * np.exp(-time / fall_s)


def _joined(parts: list[NDArray[np.float64]], gaps_s: list[float]) -> Sound:
    pieces = [np.concatenate([part, np.zeros(round(gap * RATE_HZ))]) for part, gap in zip(parts, gaps_s, strict=True)]
    return np.concatenate(pieces).astype(np.float32)


def _cough(rng: Generator) -> Sound:
    """One to three coughs: a burst of air, a quieter breath, 0.3 s each."""
    coughs = []
    for _ in range(rng.integers(1, 4)):
        burst = _faded(_shaped(rng, 0.12, rng.uniform(250, 450), 3_500), 0.002, 0.05)
        breath = _faded(_shaped(rng, 0.2, 500, 2_000), 0.02, 0.07) * 0.35
        coughs.append(np.concatenate([burst / np.abs(burst).max(), breath / np.abs(breath).max() * 0.35]))
    return _joined(coughs, [float(gap) for gap in rng.uniform(0.05, 0.2, len(coughs))])


def _throat(rng: Generator) -> Sound:
    """Half a second of rough pulses at 60 to 90 Hz."""
    size = round(rng.uniform(0.35, 0.6) * RATE_HZ)
    period = RATE_HZ / rng.uniform(60.0, 90.0) * (1.0 + 0.12 * rng.normal(size=size // 300))
    pulses = np.zeros(size)
    places = np.cumsum(period).astype(int)
    pulses[places[places < size]] = 1.0
    kernel = _faded(_shaped(rng, 0.02, 200, 1_800), 0.0005, 0.004)
    return (np.convolve(pulses, kernel)[:size] * np.hanning(size)).astype(np.float32)


def _knocks(rng: Generator) -> Sound:
    """Two to four knocks on wood."""
    time = np.arange(round(0.08 * RATE_HZ)) / RATE_HZ
    knocks = []
    for _ in range(rng.integers(2, 5)):
        ring = np.sin(2.0 * np.pi * rng.uniform(180.0, 320.0) * time) * np.exp(-time / 0.012)
        click = rng.normal(size=len(time)) * np.exp(-time / 0.0015)
        knocks.append(ring + 0.5 * click)
    return _joined(knocks, [float(gap) for gap in rng.uniform(0.1, 0.2, len(knocks))])


def _laughter(rng: Generator) -> Sound:
    """Three to five breathy pulses, five a second."""
    breaths = [_faded(_shaped(rng, 0.11, 350, 2_500), 0.012, 0.035) for _ in range(rng.integers(3, 6))]
    return _joined(breaths, [0.09] * len(breaths))
