"""Turn text into sound with a local synthesiser, by name: flite, espeak-ng, or piper with a voice file of the user's.

All run as child processes without a shell. Same text, voice and speed give the same samples on every run. Knows nothing
of turns, queues or loudspeakers. English only with flite; espeak-ng speaks about a hundred languages, less clearly;
piper speaks what its voice file does.

Source: flite 2.2 (http://cmuflite.org), espeak-ng 1.51 (https://github.com/espeak-ng/espeak-ng), their command lines.
"""

import functools
import logging
import re
import threading
import unicodedata
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tml_ros.errors import ConfigError, SynthesisError, TmlError, nearest_name
from tml_ros.speech.piper import PiperSynthesiser
from tml_ros.speech.programs import (
    check_speed,
    excerpt,
    find_program,
    full_name,
    is_speakable,
    list_program,
    run_program,
    speak,
)

__all__ = [
    "CachedSynthesiser",
    "EspeakSynthesiser",
    "FliteSynthesiser",
    "PiperSynthesiser",
    "Synthesiser",
    "create_synthesiser",
    "espeak_variants",
    "flite_voices",
    "split_clauses",
    "split_sentences",
    "synthesise_ahead",
    "synthesise_or_count",
]

_log = logging.getLogger(__name__)

ESPEAK_WORDS_PER_MINUTE = 175
ASCII_SPELLINGS = str.maketrans(
    {"‘": "'", "’": "'", "“": '"', "”": '"', "–": " - ", "—": " - ", "…": "...", "ß": "ss", "°": " degrees ", "⁄": "/"}  # noqa: RUF001
)

MIN_COMMA_WORDS = 4
MAX_CLAUSE_WORDS = 30
ABBREVIATIONS = frozenset({"dr", "mr", "mrs", "ms", "prof", "st", "vs", "approx", "e.g", "i.e", "cf", "fig"})
SENTENCE_END = re.compile(r"""[.!?…]+["'”’)\]]*$|[。！？]$""")  # noqa: RUF001
CLAUSE_END = re.compile(r"""[;:]["'”’)\]]*$|^[-–—]+$|[；：]$""")  # noqa: RUF001
UNSPACED_END = re.compile("([。！？；])")  # noqa: RUF001
COMMA_END = re.compile(r"""[,，、]["'”’)\]]*$""")  # noqa: RUF001


class Synthesiser(Protocol):
    """What speaks text. Calls may come from any thread, several at once."""

    @property
    def name(self) -> str:
        """Program, voice and speed, such as ``flite:slt``."""

    def synthesise(self, text: str) -> NDArray[np.float32]:
        """Return the sound of a text.

        Returns:
            [N] float32 mono at 16 kHz, |x| <= 0.9, silence trimmed; N is 0 for a text without letters or digits.

        Raises:
            SynthesisError: The program failed, took too long or gave no sound.
        """


@dataclass(frozen=True, slots=True)
class FliteSynthesiser:
    """English speech by CMU flite.

    Args:
        voice: one of ``flite_voices()``: slt (clear, about 1 ms a character), awb, rms, kal and kal16 (ten times
            faster, robotic); awb_time speaks the time of day only.
        speed: 0.5 to 2.0, 1.0 is the voice's own pace.
        timeout_s: how long one text may take.

    Raises:
        MissingDependencyError: flite is not installed.
        ConfigError: The voice or speed does not exist.
    """

    voice: str = "slt"
    speed: float = 1.0
    timeout_s: float = 10.0

    def __post_init__(self) -> None:
        check_speed(self.speed)
        _check_voice("flite", self.voice, flite_voices())

    @property
    def name(self) -> str:
        return full_name("flite", self.voice, self.speed)

    def synthesise(self, text: str) -> NDArray[np.float32]:
        """Return [N] float32 at 16 kHz; see ``Synthesiser``."""
        spelled = _to_ascii(text)
        if is_speakable(text) and not is_speakable(spelled):
            raise SynthesisError(f"flite speaks English only, got {excerpt(text)}; use espeak with a voice for it")
        command = [find_program("flite"), "-voice", self.voice]
        if self.speed != 1.0:
            command += ["--setf", f"duration_stretch={1.0 / self.speed:.4f}"]
        return speak([*command, "-f", "{text}", "-o", "{wav}"], spelled, self.timeout_s)


@dataclass(frozen=True, slots=True)
class EspeakSynthesiser:
    """Speech by espeak-ng.

    Args:
        voice: a language with an optional variant, such as ``en-us`` or ``de+f3`` (``espeak-ng --voices``).
        speed: 0.5 to 2.0, 1.0 is 175 words a minute.
        pitch: 0 to 99.
        timeout_s: how long one text may take.

    Raises:
        MissingDependencyError: espeak-ng is not installed.
        ConfigError: The voice, variant, speed or pitch does not exist.
    """

    voice: str = "en-us"
    speed: float = 1.0
    pitch: int = 50
    timeout_s: float = 10.0

    def __post_init__(self) -> None:
        check_speed(self.speed)
        if not 0 <= self.pitch <= 99:
            raise ConfigError(f"espeak pitch must lie in 0..99, got {self.pitch}; 50 is normal")
        _check_espeak_voice(self.voice)

    @property
    def name(self) -> str:
        return full_name("espeak", self.voice, self.speed)

    def synthesise(self, text: str) -> NDArray[np.float32]:
        """Return [N] float32 at 16 kHz; see ``Synthesiser``."""
        pace = str(round(ESPEAK_WORDS_PER_MINUTE * self.speed))
        command = [find_program("espeak-ng"), "-v", self.voice, "-s", pace, "-p", str(self.pitch), "-b", "1"]
        # Double square brackets would switch espeak-ng to phoneme input.
        return speak([*command, "-f", "{text}", "-w", "{wav}"], re.sub(r"\[(?=\[)", "[ ", text), self.timeout_s)


class CachedSynthesiser:
    """Remembers the sound of the texts spoken last, for phrases that come again and again.

    Thread: any; two threads that ask for the same new text may both synthesise it.
    """

    def __init__(self, inner: Synthesiser, max_items: int = 256) -> None:
        """Wrap a synthesiser; max_items is the number of texts kept, at least 1."""
        if max_items < 1:
            raise ConfigError(f"max_items must be at least 1, got {max_items}; use the inner synthesiser uncached")
        self._inner = inner
        self._max_items = max_items
        self._sounds: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return self._inner.name

    def synthesise(self, text: str) -> NDArray[np.float32]:
        """Return [N] float32 at 16 kHz, read-only; see ``Synthesiser``."""
        with self._lock:
            if text in self._sounds:
                self._sounds.move_to_end(text)
                return self._sounds[text]
        sound = self._inner.synthesise(text)
        sound.setflags(write=False)
        with self._lock:
            self._sounds[text] = sound
            while len(self._sounds) > self._max_items:
                self._sounds.popitem(last=False)
        return sound


def _create_flite(voice: str, speed: float) -> Synthesiser:
    return FliteSynthesiser(voice or "slt", speed)


def _create_espeak(voice: str, speed: float) -> Synthesiser:
    return EspeakSynthesiser(voice or "en-us", speed)


FACTORIES: dict[str, Callable[[str, float], Synthesiser]] = {
    "espeak": _create_espeak,
    "flite": _create_flite,
    "piper": PiperSynthesiser,
}


def create_synthesiser(name: str, voice: str = "", speed: float = 1.0) -> Synthesiser:
    """Make a synthesiser by name: ``flite``, ``espeak`` or ``piper``.

    An empty voice is the program's usual one; piper has none and takes the path of a voice file.

    Raises:
        ConfigError: The name, voice or speed does not exist.
        MissingDependencyError: The program or voice file is not there.
    """
    factory = FACTORIES.get(name)
    if factory is None:
        raise ConfigError(f"no synthesiser {name!r}; known: {', '.join(FACTORIES)}{nearest_name(name, FACTORIES)}")
    return factory(voice, speed)


# ---------------------------------------------------------------------------------------------------------- voices


@functools.cache
def flite_voices() -> tuple[str, ...]:
    """Return the voices built into flite, sorted.

    Raises:
        MissingDependencyError: flite is not installed.
    """
    listing = list_program([find_program("flite"), "-lv"])
    return tuple(sorted(listing.partition(":")[2].split()))


@functools.cache
def espeak_variants() -> tuple[str, ...]:
    """Return the voice variants of espeak-ng (m1, f3, whisper ...), sorted.

    Raises:
        MissingDependencyError: espeak-ng is not installed.
    """
    words = list_program([find_program("espeak-ng"), "--voices=variant"]).split()
    return tuple(sorted(word.removeprefix("!v/") for word in words if word.startswith("!v/")))


@functools.cache
def _check_espeak_voice(voice: str) -> None:
    language, plus, variant = voice.partition("+")
    probe = [find_program("espeak-ng"), "-q", "-v", language, "--stdin"]
    # espeak-ng takes a voice that begins with '-' or '.' for an option or a path.
    if not language[:1].isalpha() or run_program(probe, 10.0).returncode:
        known = {row.split()[1] for row in list_program([find_program("espeak-ng"), "--voices"]).splitlines()[1:]}
        raise ConfigError(f"espeak-ng has no voice {language!r}{nearest_name(language, known)}; see espeak-ng --voices")
    if plus:  # espeak-ng ignores an unknown variant in silence
        _check_voice("espeak-ng variant", variant, espeak_variants())


def _check_voice(program: str, voice: str, known: tuple[str, ...]) -> None:
    if voice not in known:
        names = ", ".join(known[:12]) + (" ..." if len(known) > 12 else "")
        raise ConfigError(f"{program} has no voice {voice!r}, only {names}{nearest_name(voice, known)}")


def synthesise_ahead(synthesiser: Synthesiser, texts: Iterable[str], is_over: Callable[[], bool]) -> None:
    """Have a synthesiser that remembers sounds speak what will be said, so that it sounds at once when it is.

    It ends early when ``is_over``, and when the synthesiser fails: that is told when it is needed.

    Thread: one that may take its time.
    """
    for clause in (one for text in texts for one in split_clauses(text)):
        if is_over():
            return
        try:
            synthesiser.synthesise(clause)
        except TmlError:
            return


def synthesise_or_count(
    synthesiser: Synthesiser, text: str, counters: Counter[str], name: str, lost: str
) -> NDArray[np.float32]:
    """Return sound, or none at all when the synthesiser fails: the words are published all the same.

    Args:
        synthesiser: speaks.
        text: what is said.
        counters: where a failure is counted.
        name: under which name; the first one is logged.
        lost: what is not heard then, as ``this clause``.
    """
    try:
        return synthesiser.synthesise(text)
    except TmlError as err:
        if not counters[name]:
            _log.error("speech.synthesiser failed, %s is not heard: %s; further ones are counted", lost, err)
        counters[name] += 1
        return np.zeros(0, np.float32)


# -------------------------------------------------------------------------------------------------------------- text


def split_clauses(text: str) -> list[str]:
    """Split a text into clauses that can be spoken one after the other, so that the first one sounds early.

    Clauses end at the end of a sentence, at a semicolon, colon or dash, at a comma with at least four words on both
    of its sides, and after 30 words in any case. Joined by blanks they give the text again, white space aside.

    Returns:
        Clauses without outer white space, each with a letter or digit; empty for a text without any.
    """
    words = UNSPACED_END.sub(r"\1 ", text).split()
    clauses: list[str] = []
    start = 0
    for position, word in enumerate(words, start=1):
        if not _ends_clause(word, position - start, len(words) - position):
            continue
        clauses.append(" ".join(words[start:position]))
        start = position
    clauses.append(" ".join(words[start:]))
    return _join_unspeakable(clauses)


def split_sentences(text: str) -> tuple[list[str], str]:
    """Return the whole sentences at the beginning of a text that is still growing, and the rest of it."""
    words = text.split()
    ends = [position for position, word in enumerate(words[:-1], start=1) if _ends_sentence(word)]
    starts = [0, *ends]
    return [" ".join(words[start:end]) for start, end in zip(starts, ends, strict=False)], " ".join(words[starts[-1] :])


def _ends_sentence(word: str) -> bool:
    stem = word.strip("\"'()[]“”‘’").rstrip(".").lower()  # noqa: RUF001
    return bool(SENTENCE_END.search(word)) and not (word.endswith(".") and stem in ABBREVIATIONS)


def _ends_clause(word: str, words_so_far: int, words_left: int) -> bool:
    if SENTENCE_END.search(word):
        return _ends_sentence(word)
    if CLAUSE_END.search(word) or words_so_far >= MAX_CLAUSE_WORDS:
        return True
    return bool(COMMA_END.search(word)) and words_so_far >= MIN_COMMA_WORDS <= words_left


def _join_unspeakable(clauses: list[str]) -> list[str]:
    """Append pieces such as a lone dash to the clause before them, or put them in front of the first one."""
    joined: list[str] = []
    for clause in filter(None, clauses):
        if joined and not (is_speakable(clause) and is_speakable(joined[-1])):
            joined[-1] += " " + clause
        else:
            joined.append(clause)
    return joined if any(map(is_speakable, joined)) else []


def _to_ascii(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.translate(ASCII_SPELLINGS))
    return plain.encode("ascii", "ignore").decode("ascii")
