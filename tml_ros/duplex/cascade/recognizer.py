"""What hears words for the cascade, by name: one utterance at a time, in pieces of a micro-turn.

PocketSphinx needs no files of the user; the others want a folder with a model. Nothing here downloads anything, and
nothing here knows what words mean beyond the grammar's answer.
"""

import importlib
from collections import Counter
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tml_ros.duplex.cascade.config import CascadeConfig
from tml_ros.intents.grammar import Grammar, Meaning

__all__ = ["Heard", "Recognizer", "RecognizerPool", "UtteranceRecognizer"]

_POOLS = {
    "faster-whisper": "tml_ros.duplex.cascade.recognizers.whisper:WhisperPool",
    "pocketsphinx": "tml_ros.duplex.cascade.recognizers.sphinx:SphinxPool",
    "sherpa-onnx": "tml_ros.duplex.cascade.recognizers.sherpa:SherpaPool",
}


@dataclass(frozen=True, slots=True)
class Heard:
    """What an utterance was. meaning is None when it is no command. confidence: 0 to 1."""

    text: str
    meaning: Meaning | None
    confidence: float


class UtteranceRecognizer(Protocol):
    """Hears one utterance after the other: ``begin``, ``feed`` and questions, then ``finish`` or ``abandon``.

    The same pieces give the same answers in every process. Thread: one caller at a time.
    """

    counters: Counter[str]

    def reset(self) -> None:
        """Forget the sessions before, as if it were new."""

    def begin(self) -> None:
        """Begin an utterance."""

    def feed(self, audio: NDArray[np.float32]) -> None:
        """Hear more of the utterance. audio: [N] float32 at 16 kHz."""

    def partial(self) -> str:
        """Return the words so far; they may lag behind the sound."""

    def command(self) -> str:
        """Return, in a pause of ``command_silence_ms`` at least, the words so far as a command's, whole or not."""

    def finish(self, speech_s: float) -> Heard:
        """End the utterance. speech_s: how long it was, without silence around it."""

    def abandon(self) -> None:
        """End an utterance without asking what it was; without one, do nothing."""


class RecognizerPool(Protocol):
    """Loads a model once and gives out recognisers, one per session."""

    def open(self) -> UtteranceRecognizer:
        """Return a recogniser in its initial state; give it back with ``close``."""

    def close(self, recognizer: UtteranceRecognizer) -> None:
        """Take a recogniser back."""


class Recognizer:
    """The pool that ``cascade.recognizer`` names.

    Raises:
        ConfigError: the grammar has a word that it cannot hear, or the model is of another kind or damaged.
        MissingDependencyError: its package or a file of its model is not there.
    """

    def __init__(self, grammar: Grammar, config: CascadeConfig) -> None:
        module, _, name = _POOLS[config.recognizer].partition(":")
        self._pool: RecognizerPool = getattr(importlib.import_module(module), name)(grammar, config)

    def open(self) -> UtteranceRecognizer:
        """Return a recogniser in its initial state; give it back with ``close``."""
        return self._pool.open()

    def close(self, recognizer: UtteranceRecognizer) -> None:
        """Take a recogniser back."""
        self._pool.close(recognizer)
