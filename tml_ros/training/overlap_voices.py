"""Spoken bids and back-channels for the overlap classifier, by espeak-ng, flite and, where installed, festival.

Voices are set aside whole: each is either learnt from or measured on. It knows no rooms and no echo.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.random import Generator

from tml_ros.errors import SynthesisError
from tml_ros.resources import find
from tml_ros.speech.synthesis import EspeakSynthesiser, FliteSynthesiser, Synthesiser
from tml_ros.training.overlap_clips import LONGEST, MS, Clip, Counts, Sound, trim
from tml_ros.training.overlap_recordings import read
from tml_ros.training.overlap_texts import BACK_CHANNELS, HUM_PHONEMES, HUMS, ROBOT_LINES, SPELLED, draw_bid

__all__ = ["LANGUAGES", "Festival", "common_words", "draw_voice", "robot_lines", "spoken"]

LANGUAGES = (
    "en-us", "en-us-nyc", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029",
)  # fmt: skip
_VARIANTS = (
    "m1", "m2", "m3", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f5", "klatt", "klatt2", "klatt4", "Alex", "Alicia",
    "Andy", "Annie", "belinda", "benjamin", "caleb", "david", "ed", "edward", "Gene", "grandma", "grandpa", "Hugo",
    "iven", "john", "kaukovalta", "Lee", "linda", "max", "Mike", "paul", "pedro", "quincy", "rob", "robert", "steph2",
    "Storm", "travis", "zac",
)  # fmt: skip
_HELD_VARIANTS = ("m4", "f4", "Andrea", "klatt3", "michel", "steph", "Denis", "aunty", "norbert")
_FLITE = ("slt", "rms", "kal")
_HELD_FLITE = ("awb",)
_FESTIVAL = ("cmu_us_slt_arctic_hts", "kal_diphone")
_HELD_FESTIVAL = ("ked_diphone",)
_LEARNT_TOO, _LEARNT_TOO_SHARE = "awb", 0.12
"""A voice kept aside elsewhere that this classifier learns from: half of the false stops were its back-channels."""


def spoken(counts: Counts, rng: Generator) -> Iterator[Clip]:
    """Yield bids, back-channels, and back-channels after which the speaker goes on."""
    words = common_words()
    for held in (False, True):
        part = 5 if held else 1
        for _ in range(counts.bids // part):
            name, voice = _draw(rng, held)
            sound = _say(voice, draw_bid(rng, words))
            yield Clip("bid", name, sound[:LONGEST], 0, held)
        for _ in range(counts.back_channels // part):
            yield _back_channel(rng, held)
        for _ in range(counts.compounds // part):
            yield _compound(rng, held, words)


def robot_lines(held: bool) -> Iterator[Sound]:
    """Yield what the robot says, in voices that may also be a person's."""
    voices: tuple[Synthesiser, ...] = (
        FliteSynthesiser("slt"),
        FliteSynthesiser("rms"),
        EspeakSynthesiser("en-us"),
        EspeakSynthesiser("en-gb+f2"),
    )
    lines = ROBOT_LINES[-3:] if held else ROBOT_LINES[:-3]
    for voice in voices:
        yield from map(voice.synthesise, lines)


def common_words() -> list[str]:
    """Return ordinary English words, those of back-channels left out."""
    lines = (line.split() for line in find("models/words.txt").read_text(encoding="utf-8").splitlines())
    words = [line[1].lower() for line in lines if len(line) == 2 and line[1].isalpha()]
    taken = {word for text in (*BACK_CHANNELS, *HUMS) for word in text.split()} | {"and", "so", "well"}
    return [word for word in words[:1500] if word not in taken and len(word) > 2]


class _Phonemes:
    """espeak-ng with its own phonemes in place of text."""

    def __init__(self, voice: str, speed: float, pitch: int) -> None:
        self._command = ["espeak-ng", "-v", voice, "-s", str(round(175 * speed)), "-p", str(pitch)]

    def synthesise(self, text: str) -> Sound:
        with tempfile.TemporaryDirectory(prefix="tml_overlap_") as folder:
            path = Path(folder, "a.wav")
            subprocess.run(
                [*self._command, "-w", str(path), f"[[{text}]]"], check=True, capture_output=True, timeout=20
            )
            return read(path)


class Festival:
    """Speech by festival."""

    def __init__(self, voice: str) -> None:
        self._voice = voice

    def synthesise(self, text: str) -> Sound:
        with tempfile.TemporaryDirectory(prefix="tml_overlap_") as folder:
            path = Path(folder, "a.wav")
            command = ["text2wave", "-eval", f"(voice_{self._voice})", "-o", str(path)]
            subprocess.run(command, input=text.encode(), check=True, capture_output=True, timeout=20)
            return read(path)


def draw_voice(rng: Generator, held: bool) -> tuple[str, Synthesiser | Festival]:
    """Return a voice and its name, of those that are kept aside where held."""
    kind = rng.random()
    if kind < 0.68:
        variants = _HELD_VARIANTS if held else _VARIANTS
        voice = f"{rng.choice(LANGUAGES)}+{rng.choice(variants)}"
        return f"espeak:{voice}", EspeakSynthesiser(voice, float(rng.uniform(0.8, 1.35)), int(rng.integers(15, 90)))
    if kind < 0.98 or not shutil.which("text2wave"):
        name = str(rng.choice(_HELD_FLITE if held else _FLITE))
        return f"flite:{name}", FliteSynthesiser(name, float(rng.uniform(0.85, 1.3)))
    name = str(rng.choice(_HELD_FESTIVAL if held else _FESTIVAL))
    return f"festival:{name}", Festival(name)


def _draw(rng: Generator, held: bool) -> tuple[str, Synthesiser | Festival]:
    """Return a voice for this classifier: the one that it learns from as well is not measured on."""
    learnt_too = f"flite:{_LEARNT_TOO}"
    if not held and rng.random() < _LEARNT_TOO_SHARE:
        return learnt_too, FliteSynthesiser(_LEARNT_TOO, float(rng.uniform(0.85, 1.3)))
    while True:
        name, voice = draw_voice(rng, held)
        if not held or name != learnt_too:
            return name, voice


def _say(voice: Synthesiser | Festival | _Phonemes, text: str) -> Sound:
    """Return trimmed speech."""
    try:
        sound = voice.synthesise(text)
    except SynthesisError:  # a voice that cannot say a hum
        return np.zeros(0, np.float32)
    return trim(sound) if len(sound) > 30 * MS and np.abs(sound).max() > 1e-3 else np.zeros(0, np.float32)


def _back_channel(rng: Generator, held: bool) -> Clip:
    form = rng.random()
    if form < 0.15:
        language = rng.choice(("en-us", "en-gb"))
        variant = rng.choice(_HELD_VARIANTS if held else _VARIANTS)
        phonemes = _Phonemes(f"{language}+{variant}", rng.uniform(0.6, 1.2), int(rng.integers(10, 90)))
        return Clip("hum", f"espeak:{language}+{variant}", _say(phonemes, str(rng.choice(HUM_PHONEMES))), -1, held)
    name, voice = _draw(rng, held)
    if form < 0.35:
        return Clip("hum", name, _say(voice, str(rng.choice(HUMS))), -1, held)
    if form < 0.55:
        return Clip("word", name, _say(voice, str(rng.choice(SPELLED))), -1, held)
    common = form < 0.88
    return Clip("word", name, _say(voice, str(rng.choice(BACK_CHANNELS[:9] if common else BACK_CHANNELS))), -1, held)


def _compound(rng: Generator, held: bool, words: list[str]) -> Clip:
    """A back-channel after which the same voice goes on."""
    name, voice = _draw(rng, held)
    first = _say(voice, str(rng.choice(HUMS if rng.random() < 0.2 else BACK_CHANNELS[:9])))
    gap = np.zeros(round(rng.uniform(0, 300) * MS), np.float32)
    link = "but " if rng.random() < 0.3 else ""
    rest = _say(voice, link + draw_bid(rng, words))
    return Clip("bid", f"{name}/goes on", np.concatenate([first, gap, rest])[:LONGEST], len(first) + len(gap), held)
