"""sherpa-onnx: streaming recognition with a model of the user's, greedy, word by word as the sound comes.

A micro-turn costs what the model needs for 200 ms of sound, the end of an utterance what it needs for one second more:
both are bounded. The words of the last chunk (a third of a second with most models) appear with the next one.

Source: sherpa-onnx 2.0.1 (https://github.com/k2-fsa/sherpa-onnx), its Python interface.
"""

import importlib
import math
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tml_ros.duplex.cascade.config import CascadeConfig
from tml_ros.duplex.cascade.recognizer import Heard, UtteranceRecognizer
from tml_ros.duplex.cascade.recognizers.sherpa_files import find_model, try_model
from tml_ros.duplex.cascade.recognizers.words import spoken_words
from tml_ros.errors import MissingDependencyError
from tml_ros.intents.grammar import Grammar
from tml_ros.records import SAMPLE_RATE_HZ

__all__ = ["SherpaPool"]

_FLUSH = np.zeros(SAMPLE_RATE_HZ, np.float32)  # pushes the last words through the chunks of every published model
_UNSURE = 0.6  # of models that give no probabilities


class SherpaPool:
    """Loads the model once; sessions share it.

    Raises:
        ConfigError: the model is of another kind or damaged.
        MissingDependencyError: sherpa-onnx or a file of the model is not there.
    """

    def __init__(self, grammar: Grammar, config: CascadeConfig) -> None:
        try:
            library = importlib.import_module("sherpa_onnx")
        except ImportError as err:
            raise MissingDependencyError(
                f"cascade.recognizer is sherpa-onnx and its package cannot be imported ({err}); "
                "run: pip install sherpa-onnx"
            ) from err
        model = find_model(config.recognizer_model, wants_int8=config.recognizer_int8)
        try_model(model, config.recognizer_threads)
        make = getattr(library.OnlineRecognizer, model.factory)
        self._grammar = grammar
        self._model: Any = make(**model.files, num_threads=config.recognizer_threads)

    def open(self) -> "SherpaRecognizer":
        """Return a recogniser in its initial state."""
        return SherpaRecognizer(self._grammar, self._model)

    def close(self, recognizer: UtteranceRecognizer) -> None:
        """Take a recogniser back."""
        recognizer.abandon()


class SherpaRecognizer:
    """One stream per utterance: nothing is carried from one to the next. Thread: one caller at a time."""

    def __init__(self, grammar: Grammar, model: Any) -> None:
        self.counters: Counter[str] = Counter()
        self._grammar = grammar
        self._model = model
        self._stream: Any = None

    def reset(self) -> None:
        """Forget the sessions before."""
        self.abandon()
        self.counters.clear()

    def begin(self) -> None:
        """Begin an utterance."""
        self._stream = self._model.create_stream()

    def feed(self, audio: NDArray[np.float32]) -> None:
        """Hear more of the utterance. audio: [N] float32 at 16 kHz."""
        self._stream.accept_waveform(SAMPLE_RATE_HZ, audio)
        while self._model.is_ready(self._stream):
            self._model.decode_stream(self._stream)

    def partial(self) -> str:
        """Return the words so far."""
        return spoken_words(self._model.get_result(self._stream))

    def command(self) -> str:
        """Return the words so far: here is no grammar that bends them."""
        return self.partial()

    def finish(self, speech_s: float) -> Heard:
        """End the utterance. speech_s is not needed: there is no grammar that bends words."""
        self.feed(_FLUSH)
        self._stream.input_finished()
        self.feed(_FLUSH[:0])
        result = self._model.get_result_all(self._stream)
        self._stream = None
        words = spoken_words(result.text)
        return Heard(words, self._grammar.parse(words), _confidence(result.ys_probs))

    def abandon(self) -> None:
        """End an utterance without asking what it was."""
        self._stream = None


def _confidence(log_probabilities: list[float]) -> float:
    """Return the geometric mean of the symbols' probabilities; CTC models give none."""
    if not log_probabilities:
        return _UNSURE
    return min(1.0, math.exp(sum(log_probabilities) / len(log_probabilities)))
