"""Turn text into sound with the small local synthesisers flite and espeak-ng.

Both run as child processes without a shell: text goes in by file, sound comes out by file, so no text can become an
option. Same text, voice and speed give the same samples on every run. Knows nothing of turns, queues or loudspeakers.
English only with flite; espeak-ng speaks about a hundred languages, less clearly.

Source: flite 2.2 (http://cmuflite.org), espeak-ng 1.51 (https://github.com/espeak-ng/espeak-ng), their command lines.
"""

import functools
import re
import shutil
import subprocess
import tempfile
import threading
import unicodedata
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from tml_ros.errors import ConfigError, MissingDependencyError, SynthesisError, nearest_name
from tml_ros.records import SAMPLE_RATE_HZ

__all__ = [
    "CachedSynthesiser",
    "EspeakSynthesiser",
    "FliteSynthesiser",
    "Synthesiser",
    "create_synthesiser",
    "espeak_variants",
    "flite_voices",
    "split_clauses",
    "split_sentences",
]

MAX_CHARACTERS = 4_000
PEAK_LIMIT = 0.9
SILENCE_LEVEL = 0.004
LEAD_MARGIN_S = 0.02
TRAIL_MARGIN_S = 0.06
DEBIAN_PACKAGES = {"flite": "flite", "espeak-ng": "espeak-ng"}
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
        _check_speed(self.speed)
        _check_voice("flite", self.voice, flite_voices())

    @property
    def name(self) -> str:
        return _full_name("flite", self.voice, self.speed)

    def synthesise(self, text: str) -> NDArray[np.float32]:
        """Return [N] float32 at 16 kHz; see ``Synthesiser``."""
        spelled = _to_ascii(text)
        if _is_speakable(text) and not _is_speakable(spelled):
            raise SynthesisError(f"flite speaks English only, got {_excerpt(text)}; use espeak with a voice for it")
        command = [_program("flite"), "-voice", self.voice]
        if self.speed != 1.0:
            command += ["--setf", f"duration_stretch={1.0 / self.speed:.4f}"]
        return _speak([*command, "-f", "{text}", "-o", "{wav}"], spelled, self.timeout_s)


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
        _check_speed(self.speed)
        if not 0 <= self.pitch <= 99:
            raise ConfigError(f"espeak pitch must lie in 0..99, got {self.pitch}; 50 is normal")
        _check_espeak_voice(self.voice)

    @property
    def name(self) -> str:
        return _full_name("espeak", self.voice, self.speed)

    def synthesise(self, text: str) -> NDArray[np.float32]:
        """Return [N] float32 at 16 kHz; see ``Synthesiser``."""
        pace = str(round(ESPEAK_WORDS_PER_MINUTE * self.speed))
        command = [_program("espeak-ng"), "-v", self.voice, "-s", pace, "-p", str(self.pitch), "-b", "1"]
        # Double square brackets would switch espeak-ng to phoneme input.
        return _speak([*command, "-f", "{text}", "-w", "{wav}"], text.replace("[[", "[ ["), self.timeout_s)


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


FACTORIES: dict[str, Callable[[str, float], Synthesiser]] = {"espeak": _create_espeak, "flite": _create_flite}


def create_synthesiser(name: str, voice: str = "", speed: float = 1.0) -> Synthesiser:
    """Make a synthesiser by name, ``flite`` or ``espeak``; an empty voice is the program's usual one.

    Raises:
        ConfigError: The name, voice or speed does not exist.
        MissingDependencyError: The program is not installed.
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
    listing = _list([_program("flite"), "-lv"])
    return tuple(sorted(listing.partition(":")[2].split()))


@functools.cache
def espeak_variants() -> tuple[str, ...]:
    """Return the voice variants of espeak-ng (m1, f3, whisper ...), sorted.

    Raises:
        MissingDependencyError: espeak-ng is not installed.
    """
    words = _list([_program("espeak-ng"), "--voices=variant"]).split()
    return tuple(sorted(word.removeprefix("!v/") for word in words if word.startswith("!v/")))


@functools.cache
def _check_espeak_voice(voice: str) -> None:
    language, plus, variant = voice.partition("+")
    probe = [_program("espeak-ng"), "-q", "-v", language, "--stdin"]
    # espeak-ng takes a voice that begins with '-' or '.' for an option or a path.
    if not language[:1].isalpha() or _run(probe, 10.0).returncode:
        known = {row.split()[1] for row in _list([_program("espeak-ng"), "--voices"]).splitlines()[1:]}
        raise ConfigError(f"espeak-ng has no voice {language!r}{nearest_name(language, known)}; see espeak-ng --voices")
    if plus:  # espeak-ng ignores an unknown variant in silence
        _check_voice("espeak-ng variant", variant, espeak_variants())


def _check_voice(program: str, voice: str, known: tuple[str, ...]) -> None:
    if voice not in known:
        names = ", ".join(known[:12]) + (" ..." if len(known) > 12 else "")
        raise ConfigError(f"{program} has no voice {voice!r}, only {names}{nearest_name(voice, known)}")


def _check_speed(speed: float) -> None:
    if not 0.5 <= speed <= 2.0:
        raise ConfigError(f"speed must lie in 0.5..2.0, got {speed}; 1.0 is the voice's own pace")


def _full_name(program: str, voice: str, speed: float) -> str:
    return f"{program}:{voice}" if speed == 1.0 else f"{program}:{voice}@{speed:g}"


# ----------------------------------------------------------------------------------------------------- child process


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        package = DEBIAN_PACKAGES[name]
        raise MissingDependencyError(f"the program {name} is not installed; run: apt-get install {package}")
    return path


def _run(command: list[str], timeout_s: float) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired as err:
        raise SynthesisError(
            f"{Path(command[0]).name} took longer than {timeout_s:g} s; speak shorter clauses or raise timeout_s"
        ) from err


def _list(command: list[str]) -> str:
    return _run(command, 10.0).stdout.decode(errors="replace")


def _speak(template: list[str], text: str, timeout_s: float) -> NDArray[np.float32]:
    """Run a program with ``{text}`` and ``{wav}`` replaced by file names and return the finished sound."""
    if not _is_speakable(text):
        return np.zeros(0, np.float32)
    if len(text) > MAX_CHARACTERS:
        raise SynthesisError(f"text has {len(text)} characters, at most {MAX_CHARACTERS} allowed; use split_clauses")
    # Files and not pipes: flite waits for ever when its output is a pipe, since it reads its header back.
    with tempfile.TemporaryDirectory(prefix="tml_speech_") as folder:
        files = {"{text}": f"{folder}/text.txt", "{wav}": f"{folder}/speech.wav"}
        Path(files["{text}"]).write_text(_one_line(text), encoding="utf-8", errors="ignore")
        result = _run([files.get(word, word) for word in template], timeout_s)
        sound, rate_hz = _read_wav(Path(files["{wav}"]), result, text)
    if rate_hz != SAMPLE_RATE_HZ:
        sound = soxr.resample(sound, rate_hz, SAMPLE_RATE_HZ).astype(np.float32, copy=False)
    return _finish(sound, f"{Path(template[0]).name} gave no sound for {_excerpt(text)}; use another voice")


def _read_wav(path: Path, result: subprocess.CompletedProcess[bytes], text: str) -> tuple[NDArray[np.float32], int]:
    stderr = result.stderr.decode(errors="replace").strip()
    problem = f"{Path(result.args[0]).name} failed on {_excerpt(text)} with status {result.returncode}: {stderr!r}"
    if result.returncode or not path.exists():
        raise SynthesisError(f"{problem}; try the command in a shell and check the voice")
    try:
        sound, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as err:
        raise SynthesisError(f"{problem}; its sound file is unreadable ({err}), is the disk full?") from err
    return np.ascontiguousarray(sound[:, 0]), int(rate_hz)


def _finish(sound: NDArray[np.float32], no_sound: str) -> NDArray[np.float32]:
    """Trim silence at both ends and limit the peak. sound: [N] float32 at 16 kHz."""
    loud = np.flatnonzero(np.abs(sound) > SILENCE_LEVEL)
    if loud.size == 0:
        raise SynthesisError(no_sound)
    first = max(0, int(loud[0]) - round(LEAD_MARGIN_S * SAMPLE_RATE_HZ))
    last = int(loud[-1]) + 1 + round(TRAIL_MARGIN_S * SAMPLE_RATE_HZ)
    kept = sound[first:last].copy()
    peak = float(np.abs(kept).max())
    return kept if peak <= PEAK_LIMIT else np.clip(kept * np.float32(PEAK_LIMIT / peak), -PEAK_LIMIT, PEAK_LIMIT)


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
        if joined and not (_is_speakable(clause) and _is_speakable(joined[-1])):
            joined[-1] += " " + clause
        else:
            joined.append(clause)
    return joined if any(map(_is_speakable, joined)) else []


def _is_speakable(text: str) -> bool:
    return any(character.isalnum() for character in text)


def _one_line(text: str) -> str:
    printable = "".join(" " if unicodedata.category(character) == "Cc" else character for character in text)
    return " ".join(printable.split())


def _to_ascii(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.translate(ASCII_SPELLINGS))
    return plain.encode("ascii", "ignore").decode("ascii")


def _excerpt(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
