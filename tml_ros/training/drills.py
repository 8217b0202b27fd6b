"""Drills: words and sentences of all voices one after the other, hardly a pause between them, to be spelled.

What a scene asks of a model is thin: a word every second or two, and all the machinery of a session around it. How
letters sound is learned many times faster from the sound alone, in rows that are full of speech; scenes come after.
Row r of step s is a function of the seed, s and r. It knows no session.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tml_ros.duplex.native.inputs import ABSENT
from tml_ros.duplex.native.shape import FRAMES_PER_TURN, NativeShape
from tml_ros.duplex.native.tokens import FLOOR_MARKERS
from tml_ros.records import Floor
from tml_ros.training.corpus import LESSON, Part
from tml_ros.training.corpus_texts import COMMAND_WORDS
from tml_ros.training.encoding import Arrays, spelled
from tml_ros.training.settings import Stage
from tml_ros.training.spectra import Spectra, Spectrum, added, dressed, quantised, shifted

__all__ = ["SHARES", "Drills", "open_drills"]

SHARES: Mapping[str, float] = {"command": 0.4, "word": 0.2, "talk": 0.1, "sound": 0.05, "sentence": 0.25}
"""What there is to spell, and how often it comes where a stage does not say: command words, any words, talk, coughs and
knocks, sentences."""
_PAUSED = 0.25  # of sentences
_REAL = 0.7
_PROGRAMS: Mapping[str, float] = {"espeak": 0.4, "flite": 0.45, "festival": 0.15}
"""How often a synthesiser speaks a sentence; its voices count alike. The others together, as one of these at most."""
_SNR_DB = (3.0, 30.0)
_TALK_SNR_DB = (5.0, 20.0)
_LEVEL_DB = (-20.0, 6.0)
_LATE_FRAMES = 6
"""So long after it sounded a letter is asked for."""
_LISTEN = next(int(marker) for marker, floor in FLOOR_MARKERS.items() if floor is Floor.LISTEN)


@dataclass(frozen=True, slots=True)
class _Splits:
    made: str
    real: str


class Drills:
    """Makes batches.

    Thread: any; nothing that matters changes after construction.
    """

    def __init__(self, corpus: Path, shape: NativeShape) -> None:
        """Open a corpus. Raises InputError: there is none."""
        self.spectra, self._shape = Spectra(corpus, shape.mel_channels), shape
        self._said = functools.lru_cache(maxsize=None)(self._whose)
        self._by_program = functools.lru_cache(maxsize=None)(self._programs_of)

    def arrays(self, stage: Stage, seed: int, rows: Sequence[int], turns: int, *, held: bool = False) -> Arrays:
        """Return rows as ``Encoder.arrays`` does, without anything to be put out.

        Args:
            stage: its SNR is taken where it has one.
            seed: of the run.
            rows: their numbers.
            turns: of each row.
            held: of voices and people that are never trained on.
        """
        size = (turns, FRAMES_PER_TURN, self._shape.mel_channels)
        made = [self._row(stage, np.random.default_rng([seed, row, 5]), turns, held=held) for row in rows]
        per_turn = self._shape.audio_tokens
        there = np.ones((len(made), turns), np.bool_)
        return {
            "levels": np.stack([quantised(row.frames, self._shape).reshape(size) for row in made]),
            "audio_present": there,
            "playing": ~there,
            "skill": np.zeros((len(made), turns), np.int64),
            "wanted.floor": np.full((len(made), turns), _LISTEN, np.int64),
            "wanted.text": np.full((len(made), turns, self._shape.text_out_tokens), ABSENT, np.int64),
            "spelled": spelled([" ".join(row.words) for row in made]),
            "aligned": np.stack([_late(row.letters, self._shape.mel_group).reshape(turns, per_turn) for row in made]),
        }

    def _row(self, stage: Stage, rng: Generator, turns: int, *, held: bool) -> "_Row":
        splits = _Splits("held", "dev") if held else _Splits("train", "train")
        row = _Row.empty(turns * FRAMES_PER_TURN, self._shape)
        level_db, at = rng.uniform(*_LEVEL_DB), int(rng.integers(0, 30))
        kinds, chances = _shares(tuple(stage.skills.items()) if stage.part == "sound" else ())
        while at < len(row.frames):
            part = self._draw(kinds[int(rng.choice(len(kinds), p=chances))], rng, splits)
            voice = self.spectra.of(part)
            voice = shifted(voice if held else dressed(voice, self.spectra.hz, rng), level_db)
            taken = row.say(part, voice, at)
            if not taken:
                break
            at += taken + (int(rng.integers(2, 12)) if rng.random() < 0.8 else int(rng.integers(12, 60)))
        row.frames = self._in_noise(row.frames, stage, level_db, rng, splits)
        return row

    def _draw(self, kind: str, rng: Generator, splits: _Splits) -> Part:
        corpus = self.spectra.corpus
        if kind == "sound":
            return _pick(corpus.all("cough" if rng.random() < 0.5 else "knock", splits.made), rng)
        if kind == LESSON:  # a text first, so that rare ones are practised as often
            real, made = self._said(LESSON, str(rng.choice(corpus.texts(LESSON, splits.made))), splits)
            return _pick(real if real and (not made or rng.random() < _REAL) else made, rng)
        text = str(rng.choice(COMMAND_WORDS)) if kind == "command" else ""
        if kind in ("command", "word"):
            real, made = self._said("word", text, splits)
            return _pick(real if real and (not made or rng.random() < _REAL) else made, rng)
        if kind == "sentence" and rng.random() < _PAUSED:
            kind = "paused"
        return _pick(self._of_program(kind, rng, splits), rng)

    def _whose(self, kind: str, text: str, splits: _Splits) -> tuple[list[Part], list[Part]]:
        """Return who says something that can be written down, a text if one is given: people, and synthesisers."""
        corpus = self.spectra.corpus
        real, made = (
            corpus.saying(kind, text, split) if text else [part for part in corpus.all(kind, split) if part.text]
            for split in (splits.real, splits.made)
        )
        return [part for part in real if part.real], [part for part in made if not part.real]

    def _of_program(self, kind: str, rng: Generator, splits: _Splits) -> list[Part]:
        """Return what one synthesiser says of a kind: the programs with few voices come more often than they would."""
        made = self._by_program(kind, splits)
        shares = np.array([_PROGRAMS.get(program, 1.0) for program in made])
        return list(made.values())[int(rng.choice(len(made), p=shares / shares.sum()))]

    def _programs_of(self, kind: str, splits: _Splits) -> dict[str, list[Part]]:
        found: dict[str, list[Part]] = {}
        for part in self._said(kind, "", splits)[1]:
            found.setdefault(part.voice.partition(":")[0], []).append(part)
        return found

    def _in_noise(self, row: Spectrum, stage: Stage, level_db: float, rng: Generator, splits: _Splits) -> Spectrum:
        snr_db = rng.uniform(*(stage.snr_db or _SNR_DB))
        if rng.random() < 0.2 and (talks := [part for part in self.spectra.corpus.all("talk", splits.real)]):
            talk = np.resize(self.spectra.of(_pick(talks, rng)), row.shape)
            row = added(row, shifted(talk, level_db - rng.uniform(*_TALK_SNR_DB)))
        if rng.random() < 0.9:
            row = added(row, shifted(self.spectra.noise(len(row), rng, splits.real), level_db - snr_db))
        return row


@functools.lru_cache(maxsize=16)
def _shares(skills: tuple[tuple[str, float], ...]) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Return what is practised, and how often; ``drill`` or nothing stands for the usual."""
    given = {name: share for name, share in skills if name in (*SHARES, LESSON)} or SHARES
    return tuple(given), np.array(list(given.values())) / sum(given.values())


def _pick(parts: list[Part], rng: Generator) -> Part:
    return parts[int(rng.integers(len(parts)))]


@dataclass(slots=True)
class _Row:
    """frames: [F, M] spectrum. letters: [F], about which letter sounds, 0: none. words: in order."""

    frames: Spectrum
    letters: NDArray[np.int64]
    words: list[str]

    @classmethod
    def empty(cls, frames: int, shape: NativeShape) -> "_Row":
        silence = np.full((frames, shape.mel_channels), shape.mel_low - 2, np.float32)
        return cls(silence, np.zeros(frames, np.int64), [])

    def say(self, part: Part, voice: Spectrum, at: int) -> int:
        """Add a voice from a frame on, up to the last word for which there is room; letters share their word's time.

        Returns the frames that it took, 0 when nothing of it had room.
        """
        words, room = part.text.split(), len(self.frames) - at
        ends = [round(end / part.length * len(voice)) for end in part.word_ends]
        first = at + round((part.speech[0][0] if part.speech else 0) / part.length * len(voice))
        if len(voice) > room:
            ends = [end for end in ends if end <= room]
            words, voice = words[: len(ends)], voice[: max(ends, default=0)]
        self.frames[at : at + len(voice)] = voice
        self.words += words
        for word, end in zip(words, ends, strict=False):
            letters, last = spelled([word])[0], at + end
            self.letters[first:last] = letters[np.arange(max(0, last - first)) * len(letters) // max(1, last - first)]
            first = last
        return len(voice)


def _late(letters: NDArray[np.int64], group: int) -> NDArray[np.int64]:
    """Return [F] by frame as [F / group] by token, each as it was some frames before the token's end."""
    places = np.arange(group - 1, len(letters), group) - _LATE_FRAMES
    return np.where(places < 0, 0, letters[np.maximum(places, 0)])


@functools.lru_cache(maxsize=1)
def open_drills(corpus: str, shape: NativeShape) -> Drills:
    """Return the drills of a corpus, opened once. Raises: as ``Drills``."""
    return Drills(Path(corpus), shape)
