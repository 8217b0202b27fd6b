"""Score the alarm watcher on made sounds with exact truth: alarms of several patterns under talk, music, noise, hums.

Every scene is drawn from (seed, index): a bed, none to two alarms, their pitches, patterns, waveforms and levels. Talk
comes from recordings of people where a folder is given, otherwise from the synthesisers that are installed. The robot's
own voice is in the microphone and in the reference, as its echo is. It knows no ROS.

Source: ISO 7731 and ISO 8201 for patterns; sirens as vehicles and towers have them.
"""

import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import PCG64, Generator
from numpy.typing import NDArray

from tml_ros.errors import InputError, TmlError
from tml_ros.evaluation.safety_scenes import EARLY_S, LATE_S, Score
from tml_ros.media import read_audio_file
from tml_ros.records import MICRO_TURN_NS, MICRO_TURN_SAMPLES, SAMPLE_RATE_HZ, AlertState, MicroTurn
from tml_ros.safety import SafetyMonitor, load_lab
from tml_ros.speech import create_synthesiser

__all__ = ["ALARMS", "BEDS", "SoundScene", "make_sound", "score_sounds", "talk_of"]

Sound = NDArray[np.float32]
BEDS = ("quiet", "talk", "music", "noise", "machine", "robot")
ALARMS = ("held", "beeper", "three_pulses", "two_tone", "siren", "yelp")
SNRS_DB = (0.0, 5.0, 10.0, 20.0)
DURATION_S = 20.0
_START_NS = 1_000_000_000
_BED_DB = -32.0
_VOICES = (("flite", "rms"), ("flite", "slt"), ("espeak", "en-gb"), ("espeak", "en-us+f3"))
_WORDS = (
    "put the flask back on the stirrer and wait until it is clear",
    "we have seen the same number of bottles on the shelf since this morning",
    "could you read me the temperature once more, please",
    "no, I mean the other one, the blue one to the left of the balance",
)
_HEARD = "{value: alarm.alarm, above: 0.5}"
_RULES = f"{{alarm: {{when: {_HEARD}, describe: x}}}}"
_LAB = f"version: 1\nlab: room\nwatchers: {{alarm: {{kind: alarm_tone}}}}\nrules: {_RULES}\n"


@dataclass(frozen=True, slots=True)
class SoundScene:
    """A made sound. audio, reference: [N] float32 at 16 kHz. events: kind, begin and end in seconds, SNR in dB."""

    bed: str
    audio: Sound
    reference: Sound | None
    events: tuple[tuple[str, float, float, float], ...]


def talk_of(folder: Path | None = None, most: int = 40) -> list[Sound]:
    """Return people's or synthesised talk, each at 16 kHz and of one level.

    Args:
        folder: with recordings below it, such as LibriSpeech's; None for synthesised talk.
        most: recordings that are read.

    Raises:
        InputError: there are none, and no synthesiser either.
    """
    if folder is not None:
        paths = sorted(path for path in folder.rglob("*") if path.suffix in (".flac", ".ogg", ".opus", ".wav"))
        if not paths:
            raise InputError(f"no recordings (.flac, .ogg, .opus, .wav) below {folder}; name the folder that has them")
        chosen = [paths[number * len(paths) // most] for number in range(most)] if len(paths) > most else paths
        return [_leveled(_read(path), _BED_DB) for path in chosen]
    spoken = []
    for program, voice in _VOICES:
        try:
            spoken += [_leveled(create_synthesiser(program, voice).synthesise(words), _BED_DB) for words in _WORDS]
        except TmlError:
            continue
    if not spoken:
        raise InputError(
            "no talk: neither flite nor espeak-ng is installed; install one, or name a folder of recordings"
        )
    return spoken


def _read(path: Path) -> Sound:
    samples, rate_hz = read_audio_file(path)
    if rate_hz != SAMPLE_RATE_HZ:
        raise InputError(f"{path} has {rate_hz} Hz, expected {SAMPLE_RATE_HZ}; convert it, or name another folder")
    return samples[:, 0]


def make_sound(seed: int, index: int, talk: Sequence[Sound]) -> SoundScene:
    """Make the scene that seed and index stand for; beds take turns with the index. talk: as ``talk_of`` gives it."""
    rng = Generator(PCG64([seed, index, 7]))
    name = BEDS[index % len(BEDS)]
    bed = _bed(name, rng, talk)
    audio = bed + rng.normal(0.0, 10 ** (-62 / 20), len(bed)).astype(np.float32)
    events = []
    begin_s = float(rng.uniform(1.5, 5.0))
    for _ in range(int(rng.choice([0, 1, 1, 2]))):
        end_s = begin_s + float(rng.uniform(2.5, 5.0))
        kind, snr = str(rng.choice(ALARMS)), float(rng.choice(SNRS_DB))
        at = int(begin_s * SAMPLE_RATE_HZ)
        level = _BED_DB + snr if name != "quiet" else float(rng.uniform(-45.0, -15.0))
        alarm = _leveled(_alarm(kind, rng, end_s - begin_s), level)[: len(audio) - at]
        audio[at : at + len(alarm)] += alarm
        events.append((kind, begin_s, end_s, snr))
        begin_s = end_s + float(rng.uniform(4.5, 6.0))
        if begin_s > DURATION_S - 4.0:
            break
    echo = _echoes(audio, rng)
    return SoundScene(name, np.clip(echo, -1.0, 1.0), bed if name == "robot" else None, tuple(events))


def score_sounds(scenes: Sequence[SoundScene], into: dict[str, Score]) -> list[str]:
    """Add scenes to the scores, by bed and by kind of alarm, and return what went wrong, in words."""
    wrong = []
    for number, scene in enumerate(scenes):
        times = _alerts(scene)
        bed = into.setdefault(f"under {scene.bed}", Score())
        total = into.setdefault("all", Score())
        for kind, begin_s, end_s, snr in scene.events:
            hits = [at_s for at_s in times if begin_s - EARLY_S <= at_s <= end_s + LATE_S]
            level = [into.setdefault(f"at {snr:g} dB", Score())] if scene.bed != "quiet" else []
            for one in (bed, total, into.setdefault(kind, Score()), *level):
                one.events += 1
                one.found += bool(hits)
                one.delays_s += [max(0.0, hits[0] - begin_s)] if hits else []
            if not hits:
                wrong.append(f"{number} {scene.bed}: missed {kind} at {begin_s:.1f} s, {snr:g} dB")
        stray = [t for t in times if not any(b - EARLY_S <= t <= e + LATE_S for _, b, e, _ in scene.events)]
        bed.false += len(stray)
        total.false += len(stray)
        wrong += [f"{number} {scene.bed}: false alarm at {at_s:.1f} s" for at_s in stray]
    return wrong


def _alerts(scene: SoundScene) -> list[float]:
    """Return when an alert was raised, seconds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lab.yaml"
        path.write_text(_LAB, encoding="utf-8")
        monitor = SafetyMonitor(load_lab(path))
    raised = []
    for turn in _turns(scene):
        if any(alert.state is AlertState.RAISED for alert in monitor.step(turn).alerts):
            raised.append((turn.end_ns - _START_NS) / 1e9)
    return raised


def _turns(scene: SoundScene) -> Iterator[MicroTurn]:
    for index in range(len(scene.audio) // MICRO_TURN_SAMPLES):
        part = slice(index * MICRO_TURN_SAMPLES, (index + 1) * MICRO_TURN_SAMPLES)
        start_ns = _START_NS + index * MICRO_TURN_NS
        reference = scene.reference[part] if scene.reference is not None else None
        yield MicroTurn(index, start_ns, start_ns + MICRO_TURN_NS, scene.audio[part], 1.0, reference=reference)


# -------------------------------------------------------------------------------------------------------------- beds


def _bed(name: str, rng: Generator, talk: Sequence[Sound]) -> Sound:
    length = round(DURATION_S * SAMPLE_RATE_HZ)
    if name in ("talk", "robot"):
        return _said(rng, talk, length)
    if name == "music":
        return _leveled(_music(rng, length), _BED_DB)
    if name == "noise":
        return _leveled(_coloured(rng, length, float(rng.uniform(0.0, 1.2))), _BED_DB)
    if name == "machine":
        return _leveled(_machine(rng, length), _BED_DB)
    return np.zeros(length, np.float32)


def _said(rng: Generator, talk: Sequence[Sound], length: int) -> Sound:
    """Return people who talk one after the other, with short pauses."""
    bed, at = np.zeros(length, np.float32), int(rng.uniform(0.0, 1.0) * SAMPLE_RATE_HZ)
    while at < length:
        said = talk[int(rng.integers(len(talk)))][: length - at]
        bed[at : at + len(said)] += said * np.float32(10 ** (rng.uniform(-4.0, 4.0) / 20))
        at += len(said) + int(rng.uniform(0.1, 1.2) * SAMPLE_RATE_HZ)
    return bed


def _music(rng: Generator, length: int) -> Sound:
    """Return a melody over chords, each note with harmonics, an attack and a decay, as plucked or blown."""
    sound = np.zeros(length, np.float64)
    beat_s, root = float(rng.uniform(0.25, 0.6)), float(rng.uniform(110.0, 220.0))
    scale = (0, 2, 4, 5, 7, 9, 11, 12, 14, 16)
    is_blown = bool(rng.random() < 0.4)
    for step, begin in enumerate(range(0, length, int(beat_s * SAMPLE_RATE_HZ))):
        notes = [root * 2 ** ((12 + scale[int(rng.integers(len(scale)))]) / 12)]
        if step % 4 == 0:
            notes += [0.5 * root * 2 ** (scale[(step // 4 * 3 + part) % 7] / 12) for part in (0, 2, 4)]
        for hz in notes:
            time = np.arange(min(int(beat_s * rng.choice([1, 2, 3]) * SAMPLE_RATE_HZ), length - begin)) / SAMPLE_RATE_HZ
            phase = 2 * np.pi * hz * time + 0.0006 * hz * np.sin(2 * np.pi * 5.5 * time) * is_blown
            tones = sum(np.sin(part * phase) / part ** float(rng.uniform(1.0, 1.8)) for part in range(1, 9))
            shape = np.minimum(1.0, time / 0.02) * (
                np.minimum(1.0, (time[-1] - time) / 0.05) if is_blown else np.exp(-4 * time)
            )
            sound[begin : begin + len(time)] += shape * tones
    return sound.astype(np.float32)


def _machine(rng: Generator, length: int) -> Sound:
    """Return a motor: the mains and its harmonics, and a rush."""
    time, hz = np.arange(length) / SAMPLE_RATE_HZ, float(rng.choice([50.0, 60.0])) * float(rng.uniform(0.97, 2.0))
    hum = sum(np.sin(2 * np.pi * hz * part * time + part) * rng.uniform(0.1, 1.0) / part for part in range(1, 20))
    return np.asarray(hum, np.float32) / 2.0 + _coloured(rng, length, 0.7)


def _coloured(rng: Generator, length: int, tilt: float) -> Sound:
    """Return noise whose power falls with the frequency to the tilt."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    spectrum *= np.maximum(np.fft.rfftfreq(length, 1 / SAMPLE_RATE_HZ), 40.0) ** (-tilt / 2)
    noise = np.fft.irfft(spectrum, length)
    return np.asarray(noise / noise.std(), np.float32)


# ------------------------------------------------------------------------------------------------------------- alarms


def _alarm(kind: str, rng: Generator, seconds: float) -> Sound:
    """Return an alarm of a kind, its pitch and pattern drawn anew."""
    time = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    gate = np.ones(len(time))
    pitch = np.full(len(time), float(rng.choice([rng.uniform(450.0, 1500.0), rng.uniform(2000.0, 4000.0)])))
    if kind == "beeper":
        on_s, off_s = float(rng.uniform(0.08, 0.6)), float(rng.uniform(0.08, 0.6))
        gate = (time % (on_s + off_s) < on_s).astype(float)
    elif kind == "three_pulses":
        pitch[:] = float(rng.choice([520.0, 3100.0, rng.uniform(2800.0, 3400.0)]))
        gate = ((time % 4.0 < 3.0) & (time % 1.0 < 0.5)).astype(float)
    elif kind == "two_tone":
        other, half_s = pitch[0] * float(rng.choice([0.75, 0.8, 1.25])), float(rng.uniform(0.25, 0.8))
        pitch = np.where(time % (2 * half_s) < half_s, pitch, other)
    elif kind in ("siren", "yelp"):
        low, rate_hz = (
            float(rng.uniform(450.0, 900.0)),
            float(rng.uniform(0.2, 0.6) if kind == "siren" else rng.uniform(2.0, 4.0)),
        )
        high, turn = low * float(rng.uniform(1.6, 2.4)), (rate_hz * time) % 1.0
        way = {"sine": 0.5 - 0.5 * np.cos(2 * math.pi * turn), "triangle": 1 - np.abs(2 * turn - 1), "saw": turn}
        pitch = low + (high - low) * way[str(rng.choice(list(way)))]
    phase = 2 * math.pi * np.cumsum(pitch) / SAMPLE_RATE_HZ
    tones = {
        "sine": np.sin(phase),
        "square": sum(np.sin(part * phase) * (part * pitch < 7500) / part for part in (1, 3, 5)),
        "horn": sum(
            np.sin(part * phase) * (part * pitch < 7500) * share for part, share in ((1, 1.0), (2, 0.3), (3, 0.2))
        ),
    }
    soft = np.convolve(gate, np.ones(160) / 160, "same")
    return (np.asarray(tones[str(rng.choice(list(tones)))]) * soft).astype(np.float32)


def _echoes(audio: Sound, rng: Generator) -> Sound:
    """Return a sound with what a small room adds to it."""
    length = int(0.15 * SAMPLE_RATE_HZ)
    tail = rng.standard_normal(length) * np.exp(-np.arange(length) / (0.04 * SAMPLE_RATE_HZ)) * 0.02
    tail[0] = 1.0
    size = 1 << (len(audio) + length).bit_length()
    heard = np.fft.irfft(np.fft.rfft(audio, size) * np.fft.rfft(tail, size), size)[: len(audio)]
    return heard.astype(np.float32)


def _leveled(sound: Sound, level_db: float) -> Sound:
    """Return a sound at a level of full scale."""
    power = float(np.mean(np.square(sound, dtype=np.float64)))
    return (sound * (10 ** (level_db / 20) / math.sqrt(power + 1e-12))).astype(np.float32)
