"""Rows of sound for the keyword network: words alone, words in the middle of others, talk, noise, and what to tell.

A row is a function of its seed. Some speakers of the training are kept aside from it for measuring. It knows no
network.
"""

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tml_ros.duplex.native.spotting import CHANNELS, FRAMES_PER_TOKEN, HEARD_FRAMES
from tml_ros.records import SAMPLE_RATE_HZ
from tml_ros.training.corpus import Part
from tml_ros.training.corpus_texts import COMMAND_WORDS
from tml_ros.training.spectra import SILENT, Spectra, Spectrum, added, bent, dressed, repeated, shifted

__all__ = ["UNASKED", "Row", "Rows", "is_kept_aside"]

UNASKED = -1
"""A place where it does not matter what is told."""
_KEPT_ASIDE = 10  # one speaker in so many
_HOP_S = 0.01
_BEFORE_S, _BEHIND_S = 0.35, 0.45
"""A word with so much silence before and behind it is alone,"""
_LEAST_BEFORE_S, _LEAST_BEHIND_S = 0.15, 0.2
"""and one with less than this of either is not."""
_TOLD_S, _OVER_S, _DOUBT_S = 0.24, 0.56, 0.9
"""After its end, so long: from when to when a word is told, and until when it may be."""
_ALONE_S, _TIGHT_S = (0.45, 1.7), (0.02, 0.3)
_ALONE_SHARE = 0.72
_KINDS = {"command": 0.58, "word": 0.2, "sentence": 0.1, "talk": 0.06, "sound": 0.06}
_TALK_ROWS = 0.25
_FEW = 12.0
"""A word that so many people say is theirs in half of the cases; each of them says it as often as the others."""
_BENT_SHARE = 0.6
"""Of voices, so that few people are as many."""
_NARROW_SHARE, _NARROW_HZ = 0.15, (3200.0, 4200.0)
"""Of voices, as of a telephone."""
_SNR_DB, _LEVEL_DB = (0.0, 28.0), (-24.0, 6.0)
_OTHER_TALK_SHARE, _OTHER_TALK_DB = 0.12, (6.0, 20.0)
_HISS_SHARE, _HISS_DBFS, _HISS_S, _HISS_SEED = 0.9, (-90.0, -50.0), 30.0, 31
"""A microphone's own noise, white."""
_TALK_S = (0.8, 5.0)
_LONG = ("talk", "meeting")


def is_kept_aside(part: Part) -> bool:
    """Whether a part is of one of the people of the training from whom nothing is learnt here."""
    return part.real and zlib.crc32(part.voice.encode()) % _KEPT_ASIDE == 0


@dataclass(frozen=True, slots=True)
class Row:
    """frames: [F, 80] spectrum. told: [T] int64 of the answers that it makes, 0 for nothing, word n as n + 1."""

    frames: Spectrum
    told: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Said:
    word: int  # 0: none of the words
    begin: int
    end: int


class Rows:
    """Makes rows.

    Thread: any; nothing changes after construction.
    """

    def __init__(self, corpus: Path) -> None:
        """Open a corpus. Raises InputError: there is none."""
        self._spectra = Spectra(corpus, CHANNELS)
        parts = [part for part in self._spectra.corpus.parts if part.split == "train" and not is_kept_aside(part)]
        self._people: dict[str, dict[str, list[Part]]] = {}
        self._made: dict[str, list[Part]] = {}
        for part in parts:
            if part.kind == "word" and part.real:
                self._people.setdefault(part.text, {}).setdefault(part.voice, []).append(part)
            elif part.kind == "word":
                self._made.setdefault(part.text, []).append(part)
        self._others = sorted((self._people.keys() | self._made.keys()) - set(COMMAND_WORDS))
        self._talk = [part for part in parts if part.kind in _LONG]
        self._real_talk = [part for part in self._talk if part.real]
        self._sentences = [part for part in parts if part.kind == "sentence" and " " in part.text]
        self._sounds = [part for part in parts if part.kind in ("hum", "cough", "knock")]
        hiss = np.random.default_rng(_HISS_SEED).standard_normal(round(_HISS_S * SAMPLE_RATE_HZ))
        self._hiss = self._spectra.of_sound(hiss.astype(np.float32))

    def row(self, frames: int, seed: tuple[int, ...]) -> Row:
        """Return a row of so many frames."""
        rng = np.random.default_rng(seed)
        sound = np.full((frames, CHANNELS), SILENT, np.float32)
        level_db = rng.uniform(*_LEVEL_DB)
        said = self._talked(sound, level_db, rng) if rng.random() < _TALK_ROWS else self._worded(sound, level_db, rng)
        return Row(self._in_noise(sound, level_db, rng), _answers(said, frames))

    def _worded(self, sound: Spectrum, level_db: float, rng: Generator) -> list[_Said]:
        """Say words and other things one after the other, most of them alone."""
        said, at = list[_Said](), int(rng.integers(0, 60))
        kinds, shares = list(_KINDS), np.array(list(_KINDS.values()))
        while at < len(sound):
            word, part = self._drawn(str(rng.choice(kinds, p=shares)), rng)
            voice = self._cut(part, rng)
            if rng.random() < _BENT_SHARE:
                voice = bent(voice, rng)
            voice = dressed(voice, self._spectra.hz, rng)
            if rng.random() < _NARROW_SHARE:
                voice = np.where(self._spectra.hz > rng.uniform(*_NARROW_HZ), SILENT, voice)
            voice = shifted(voice, level_db + rng.uniform(-3, 3))[: len(sound) - at]
            sound[at : at + len(voice)] = added(sound[at : at + len(voice)], voice)
            said.append(_Said(word, at, at + len(voice)))
            gap_s = rng.uniform(*(_ALONE_S if rng.random() < _ALONE_SHARE else _TIGHT_S))
            at += len(voice) + round(gap_s / _HOP_S)
        return said

    def _talked(self, sound: Spectrum, level_db: float, rng: Generator) -> list[_Said]:
        """Let people talk, sometimes two at once."""
        at = 0
        while at < len(sound):
            talks = self._real_talk if rng.random() < 0.75 else self._talk
            whole = self._spectra.of(talks[int(rng.integers(len(talks)))])
            begin = int(rng.integers(max(1, len(whole) - 100)))
            voice = shifted(dressed(whole[begin : begin + len(sound) - at], self._spectra.hz, rng), level_db)
            voice = voice[: len(sound) - at]
            sound[at : at + len(voice)] = added(sound[at : at + len(voice)], voice)
            at += len(voice) + int(rng.integers(0, 80))
        return []

    def _drawn(self, kind: str, rng: Generator) -> tuple[int, Part]:
        if kind == "command":
            word = int(rng.integers(len(COMMAND_WORDS)))
            return word + 1, self._word(COMMAND_WORDS[word], rng)
        if kind == "word":
            return 0, self._word(self._others[int(rng.integers(len(self._others)))], rng)
        parts = {"sentence": self._sentences, "talk": self._real_talk, "sound": self._sounds}[kind]
        return 0, parts[int(rng.integers(len(parts)))]

    def _word(self, text: str, rng: Generator) -> Part:
        people, made = list(self._people.get(text, {}).values()), self._made.get(text, [])
        if people and rng.random() < len(people) / (len(people) + (_FEW if made else 0.0)):
            made = people[int(rng.integers(len(people)))]
        return made[int(rng.integers(len(made)))]

    def _cut(self, part: Part, rng: Generator) -> Spectrum:
        """Return a part, of a long one a piece."""
        whole = self._spectra.of(part)
        longest = round(rng.uniform(*_TALK_S) / _HOP_S)
        if part.kind not in _LONG or len(whole) <= longest:
            return whole
        begin = int(rng.integers(len(whole) - longest))
        return whole[begin : begin + longest]

    def _in_noise(self, sound: Spectrum, level_db: float, rng: Generator) -> Spectrum:
        if rng.random() < _OTHER_TALK_SHARE:
            talk = self._spectra.of(self._real_talk[int(rng.integers(len(self._real_talk)))])
            talk = repeated(talk, len(sound), rng)
            sound = added(sound, shifted(talk, level_db - rng.uniform(*_OTHER_TALK_DB)))
        if rng.random() < 0.93:
            noise = self._spectra.noise(len(sound), rng, "train")
            sound = added(sound, shifted(noise, level_db - rng.uniform(*_SNR_DB)))
        if rng.random() < _HISS_SHARE:
            hiss = repeated(self._hiss, len(sound), rng)
            sound = added(sound, shifted(hiss, rng.uniform(*_HISS_DBFS)))
        return sound


def _answers(said: list[_Said], frames: int) -> NDArray[np.int64]:
    """Return what is to be told at the end of each frame at which there is an answer."""
    told = np.zeros(frames + 1, np.int64)
    for number, one in enumerate(said):
        if not one.word:
            continue
        before_s = (one.begin - said[number - 1].end) * _HOP_S if number else 9.0
        behind_s = (said[number + 1].begin - one.end) * _HOP_S if number + 1 < len(said) else 9.0
        if before_s < _LEAST_BEFORE_S or behind_s < _LEAST_BEHIND_S:
            continue
        begin, end, over, doubt = (one.end + round(s / _HOP_S) for s in (0.0, _TOLD_S, _OVER_S, _DOUBT_S))
        told[(one.begin + one.end) // 2 : doubt] = UNASKED
        if before_s >= _BEFORE_S and behind_s >= _BEHIND_S:
            told[end : min(over, begin + round(behind_s / _HOP_S))] = one.word
    return told[HEARD_FRAMES : frames + 1 : FRAMES_PER_TOKEN]
