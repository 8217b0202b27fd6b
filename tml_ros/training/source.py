"""Who makes the scenes: a protocol, those composed from a corpus, and tones, for tests and for trying out a machine.

A source is a function of the settings, a seed and a number: nothing of it depends on what was made before, so that a
training goes on anywhere, and workers share the work in any way.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tml_ros.errors import ConfigError, nearest_name
from tml_ros.records import MICRO_TURN_SAMPLES, Floor, IntentDraft, SpeechText, TranscriptEvent
from tml_ros.training import scenes
from tml_ros.training.conversation import Conversation, Target
from tml_ros.training.corpus import Corpus
from tml_ros.training.settings import Stage

__all__ = ["Scenes", "Source", "Tones", "open_source"]

_MOST_SCENES = 1 << 10  # of a row


class Source(Protocol):
    """Makes scenes."""

    def batch(self, stage: Stage, seed: int, step: int, rows: int, turns: int) -> list[list[Conversation]]:
        """Return rows of scenes, each of at least ``turns`` micro-turns in all; the same for the same arguments."""


def open_source(options: Mapping[str, Any]) -> Source:
    """Return the source that a training file names.

    Raises:
        ConfigError: there is none by that name, or an option is wrong.
        InputError: what it needs is not there.
    """
    given = dict(options)
    name = given.pop("name")
    makers: dict[str, Callable[..., Source]] = {"scenes": Scenes, "tones": Tones}
    if name not in makers:
        raise ConfigError(f"no source of scenes {name!r}; use one of {', '.join(makers)}")
    try:
        return makers[name](**given)
    except TypeError as err:
        raise ConfigError(f"source {name}: {err}; see docs/training.md for its options") from err


class Scenes:
    """Scenes composed from a corpus, see ``scenes``."""

    def __init__(self, corpus: str) -> None:
        """corpus: its folder. Raises InputError: it is none."""
        self._corpus = Corpus.load(Path(corpus))

    def batch(self, stage: Stage, seed: int, step: int, rows: int, turns: int) -> list[list[Conversation]]:
        """Return rows of scenes as a stage wants them."""
        return self._rows(stage, _how_hard(stage), seed, step * rows, rows, turns)

    def probe(self, stage: Stage, seed: int, step: int, rows: int, turns: int) -> list[list[Conversation]]:
        """Return rows with voices and people that are never trained on."""
        return self._rows(stage, replace(_how_hard(stage), held=True), seed, step * rows, rows, turns)

    def _rows(
        self, stage: Stage, hard: scenes.Stage, seed: int, first: int, rows: int, turns: int
    ) -> list[list[Conversation]]:
        made: list[list[Conversation]] = [[] for _ in range(rows)]
        for number, row in enumerate(made, start=first):
            while sum(scene.turns for scene in row) < turns:
                index = number * _MOST_SCENES + len(row)
                row.append(scenes.compose(self._corpus, stage.skills, seed, index, hard))
        return made


def _how_hard(stage: Stage) -> scenes.Stage:
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in stage.scene.items()
    }
    if stage.snr_db is not None:
        given["snr_db"] = stage.snr_db
    known = [field.name for field in fields(scenes.Stage)]
    for name in given:
        if name not in known:
            raise ConfigError(f"stage {stage.name}: unknown setting scene.{name}{nearest_name(name, known)}")
    return replace(scenes.stage_at(stage.hardness), **given)


class Tones:
    """Words as tones: each has a pitch, lasts for two micro-turns and is answered by an intent in the next one."""

    WORDS: Mapping[str, float] = {"left": 400.0, "right": 900.0, "stop": 2000.0}

    def batch(self, stage: Stage, seed: int, step: int, rows: int, turns: int) -> list[list[Conversation]]:
        """Return rows of one scene each."""
        return [[self._scene(stage, np.random.default_rng((seed, step, row)), turns)] for row in range(rows)]

    def _scene(self, stage: Stage, rng: np.random.Generator, turns: int) -> Conversation:
        low, high = stage.snr_db or (10.0, 40.0)
        noise = 0.2 * 10 ** (-rng.uniform(low, high) / 20)
        audio = (noise * rng.standard_normal(turns * MICRO_TURN_SAMPLES)).astype(np.float32)
        skill = rng.choice(list(stage.skills), p=np.array(list(stage.skills.values())) / sum(stage.skills.values()))
        targets = [Target(Floor.LISTEN, (), 0.0, 0.0, 0.0) for _ in range(turns)]
        turn = int(rng.integers(1, 3))
        while turn + 4 <= turns:
            word = str(rng.choice(list(self.WORDS)))
            time = np.arange(2 * MICRO_TURN_SAMPLES) / 16_000
            begin = turn * MICRO_TURN_SAMPLES
            audio[begin : begin + len(time)] += 0.3 * np.sin(2 * np.pi * self.WORDS[word] * time).astype(np.float32)
            heard = TranscriptEvent("user", word, True, 1.0, 0, 0)
            intent = IntentDraft("__intent_turn_by__", {"goal": word})
            targets[turn] = targets[turn + 1] = Target(Floor.LISTEN, (), 1.0, 0.0, 1.0)
            targets[turn + 2] = Target(Floor.SPEAK, (SpeechText("yes"), intent, heard), 0.0, 1.0, 0.0)
            targets[turn + 3] = Target(Floor.SPEAK, (), 0.0, 1.0, 0.0)
            turn += 4 + int(rng.integers(0, 4))
        return Conversation(str(skill), audio, tuple(targets))
