"""faster-whisper: a Whisper model of the user's on the processor, greedy, 8 bits; it looks at an utterance as a whole.

Whisper always encodes 30 s, so one look costs the same for a word and a long sentence; docs/recognition.md has figures.
It looks once when the person pauses, and while speech goes on no more often than ``recognizer_every_ms`` allows. The
length of its answer is bounded by that of the sound. Nothing is downloaded: the model comes from a folder.

Source: faster-whisper 1.2.1 (https://github.com/SYSTRAN/faster-whisper); Radford et al. 2022 for Whisper.
"""

import importlib
import math
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tml_ros.duplex.cascade.config import CascadeConfig
from tml_ros.duplex.cascade.recognizer import Heard, UtteranceRecognizer
from tml_ros.duplex.cascade.recognizers.whisper_files import PARAMETER, WHERE, check_model
from tml_ros.duplex.cascade.recognizers.words import spoken_words
from tml_ros.errors import ConfigError, MissingDependencyError
from tml_ros.intents.grammar import Grammar
from tml_ros.records import SAMPLE_RATE_HZ

__all__ = ["WhisperPool"]

_TAIL_MS = 100  # sound after the last frame of speech that belongs to it: soft final consonants
_TOKENS_PER_S = 10  # people speak 3 to 5 words a second
_LEAST_TOKENS = 16
_MOST_TOKENS = 224  # half of Whisper's context, its own limit


class WhisperPool:
    """Loads the model once; sessions share it.

    Raises:
        ConfigError: the model is of another kind or damaged, or knows no such language.
        MissingDependencyError: faster-whisper or a file of the model is not there.
    """

    def __init__(self, grammar: Grammar, config: CascadeConfig) -> None:
        self._grammar = grammar
        self._config = config
        self._model = _load(config)
        try:
            self.open().try_out()
        except Exception as err:  # the libraries raise RuntimeError, ValueError and what NumPy does
            raise ConfigError(
                f"{PARAMETER}: the model in {config.recognizer_model} cannot be used: {_line(err)}; {WHERE}"
            ) from err

    def open(self) -> "WhisperRecognizer":
        """Return a recogniser in its initial state."""
        return WhisperRecognizer(self._grammar, self._model, self._config)

    def close(self, recognizer: UtteranceRecognizer) -> None:
        """Take a recogniser back."""
        recognizer.abandon()


class WhisperRecognizer:
    """Keeps the sound of one utterance. Thread: one caller at a time."""

    def __init__(self, grammar: Grammar, model: Any, config: CascadeConfig) -> None:
        self.counters: Counter[str] = Counter()
        self._grammar = grammar
        self._model = model
        self._config = config
        self.begin()

    def reset(self) -> None:
        """Forget the sessions before."""
        self.abandon()
        self.counters.clear()

    def begin(self) -> None:
        """Begin an utterance."""
        self._pieces: list[NDArray[np.float32]] = []
        self._samples = 0
        self._read = 0  # samples that the last look has seen
        self._words, self._confidence = "", 0.0

    def feed(self, audio: NDArray[np.float32]) -> None:
        """Hear more of the utterance. audio: [N] float32 at 16 kHz."""
        self._pieces.append(audio.astype(np.float32, copy=True))
        self._samples += len(audio)

    def partial(self) -> str:
        """Return the words at the last look, which may be none yet."""
        every_ms = self._config.recognizer_every_ms
        if every_ms and self._unread_ms() >= every_ms:
            self._look()
        return self._words

    def command(self) -> str:
        """Look, unless the last look has already seen all that was said before this pause; return the words."""
        if self._unread_ms() > max(0, self._config.command_silence_ms - _TAIL_MS) or not self._read:
            self._look()
        return self._words

    def finish(self, speech_s: float) -> Heard:
        """End the utterance; look once more if the last look has not seen ``speech_s`` and the sound before it."""
        spoken_ms = self._config.pre_roll_ms + 1000 * speech_s + _TAIL_MS
        if self._unread_ms() and self._read * 1000 / SAMPLE_RATE_HZ < spoken_ms:
            self._look()
        heard = Heard(self._words, self._grammar.parse(self._words), self._confidence)
        self.begin()
        return heard

    def abandon(self) -> None:
        """End an utterance without asking what it was."""
        self.begin()

    def try_out(self) -> None:
        """Look at a second of silence, so that a model that cannot be used shows it now."""
        self.feed(np.zeros(SAMPLE_RATE_HZ, np.float32))
        self._look()

    def _unread_ms(self) -> float:
        return (self._samples - self._read) * 1000 / SAMPLE_RATE_HZ

    def _look(self) -> None:
        sound = np.concatenate(self._pieces) if self._pieces else np.zeros(0, np.float32)
        self._pieces, self._read = [sound], self._samples
        self.counters["looks"] += 1
        tokens = _LEAST_TOKENS + _TOKENS_PER_S * len(sound) // SAMPLE_RATE_HZ
        segments, _ = self._model.transcribe(
            sound,
            language=self._config.recognizer_language,
            beam_size=1,
            temperature=0.0,
            condition_on_previous_text=False,
            without_timestamps=True,
            max_new_tokens=min(_MOST_TOKENS, tokens),
        )
        found = list(segments)
        self._words = spoken_words(" ".join(segment.text for segment in found))
        worst = min((segment.avg_logprob for segment in found), default=-math.inf)
        self._confidence = min(1.0, math.exp(worst))


def _load(config: CascadeConfig) -> Any:
    try:
        library = importlib.import_module("faster_whisper")
    except ImportError as err:
        raise MissingDependencyError(
            f"cascade.recognizer is faster-whisper and its package cannot be imported ({err}); "
            "run: pip install faster-whisper"
        ) from err
    compute = "int8" if config.recognizer_int8 else "float32"
    folder = check_model(config.recognizer_model, compute, config.recognizer_threads)
    try:
        model = library.WhisperModel(
            str(folder), "cpu", compute_type=compute, cpu_threads=config.recognizer_threads, local_files_only=True
        )
    except Exception as err:  # the libraries raise RuntimeError, ValueError and what a broken tokenizer.json gives
        raise ConfigError(f"{PARAMETER}: {folder} holds no whole Whisper model ({_line(err)}); {WHERE}") from err
    if config.recognizer_language not in model.supported_languages:
        known = ", ".join(model.supported_languages[:8])
        raise ConfigError(
            f"cascade.recognizer_language: the model in {folder} knows no language "
            f"{config.recognizer_language!r}; it knows {known}{' ...' if model.model.is_multilingual else ''}"
        )
    return model


def _line(err: Exception) -> str:
    return (str(err).strip().splitlines() or [type(err).__name__])[0][:200]
