"""Run the programs that speak, and make of what they leave one kind of sound. Knows no program, voice or turn.

No shell is involved: text goes in by file or line, sound comes out by file, so no text can become an option.
"""

import shutil
import subprocess
import tempfile
import unicodedata
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from tml_ros.errors import ConfigError, MissingDependencyError, SynthesisError
from tml_ros.records import SAMPLE_RATE_HZ

__all__ = [
    "check_speed",
    "excerpt",
    "find_program",
    "finish",
    "full_name",
    "is_speakable",
    "list_program",
    "one_line",
    "read_sound",
    "run_program",
    "speak",
    "too_slow",
]

MAX_CHARACTERS = 4_000
PEAK_LIMIT = 0.9
SILENCE_LEVEL = 0.004
LEAD_MARGIN_S = 0.02
TRAIL_MARGIN_S = 0.06
DEBIAN_PACKAGES = {"flite": "flite", "espeak-ng": "espeak-ng"}


def check_speed(speed: float) -> None:
    """Refuse a speed at which nobody understands speech.

    Raises:
        ConfigError: it lies outside 0.5..2.0.
    """
    if not 0.5 <= speed <= 2.0:
        raise ConfigError(f"speed must lie in 0.5..2.0, got {speed}; 1.0 is the voice's own pace")


def full_name(program: str, voice: str, speed: float) -> str:
    """Return ``flite:slt``, with ``@1.2`` where the speed is not the voice's own."""
    return f"{program}:{voice}" if speed == 1.0 else f"{program}:{voice}@{speed:g}"


def find_program(name: str) -> str:
    """Return the path of a program.

    Raises:
        MissingDependencyError: it is not installed.
    """
    path = shutil.which(name)
    if path is None:
        package = DEBIAN_PACKAGES[name]
        raise MissingDependencyError(f"the program {name} is not installed; run: apt-get install {package}")
    return path


def run_program(command: list[str], timeout_s: float) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end.

    Raises:
        SynthesisError: it took too long.
    """
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired as err:
        raise SynthesisError(too_slow(command[0], timeout_s)) from err


def list_program(command: list[str]) -> str:
    """Return what a command prints."""
    return run_program(command, 10.0).stdout.decode(errors="replace")


def too_slow(program: str, timeout_s: float) -> str:
    """Return the message about a program that does not end."""
    return f"{Path(program).name} took longer than {timeout_s:g} s; speak shorter clauses or raise timeout_s"


def speak(template: list[str], text: str, timeout_s: float) -> NDArray[np.float32]:
    """Run a program with ``{text}`` and ``{wav}`` replaced by file names and return the finished sound.

    Raises:
        SynthesisError: the text is too long, or the program failed, took too long or gave no sound.
    """
    line = one_line(text)
    if not line:
        return np.zeros(0, np.float32)
    # Files and not pipes: flite waits for ever when its output is a pipe, since it reads its header back.
    with tempfile.TemporaryDirectory(prefix="tml_speech_") as folder:
        files = {"{text}": f"{folder}/text.txt", "{wav}": f"{folder}/speech.wav"}
        Path(files["{text}"]).write_text(line, encoding="utf-8", errors="ignore")
        result = run_program([files.get(word, word) for word in template], timeout_s)
        stderr = result.stderr.decode(errors="replace").strip()
        name = Path(template[0]).name
        problem = f"{name} failed on {excerpt(text)} with status {result.returncode}: {stderr!r}"
        if result.returncode or not Path(files["{wav}"]).exists():
            raise SynthesisError(f"{problem}; try the command in a shell and check the voice")
        return read_sound(Path(files["{wav}"]), problem, f"{name} gave no sound for {excerpt(text)}; use another voice")


def read_sound(path: Path, unreadable: str, no_sound: str) -> NDArray[np.float32]:
    """Return a sound file as [N] float32 mono at 16 kHz, silence trimmed, |x| <= 0.9.

    Raises:
        SynthesisError: it cannot be read, or there is nothing in it.
    """
    try:
        channels, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as err:
        raise SynthesisError(f"{unreadable}; its sound file is unreadable ({err}), is the disk full?") from err
    sound = np.ascontiguousarray(channels[:, 0])
    if rate_hz != SAMPLE_RATE_HZ:
        sound = soxr.resample(sound, rate_hz, SAMPLE_RATE_HZ).astype(np.float32, copy=False)
    return finish(sound, no_sound)


def finish(sound: NDArray[np.float32], no_sound: str) -> NDArray[np.float32]:
    """Trim silence at both ends and limit the peak. sound: [N] float32 at 16 kHz.

    Raises:
        SynthesisError: with the message ``no_sound``, when all of it is silence.
    """
    loud = np.flatnonzero(np.abs(sound) > SILENCE_LEVEL)
    if loud.size == 0:
        raise SynthesisError(no_sound)
    first = max(0, int(loud[0]) - round(LEAD_MARGIN_S * SAMPLE_RATE_HZ))
    last = int(loud[-1]) + 1 + round(TRAIL_MARGIN_S * SAMPLE_RATE_HZ)
    kept = sound[first:last].copy()
    peak = float(np.abs(kept).max())
    return kept if peak <= PEAK_LIMIT else np.clip(kept * np.float32(PEAK_LIMIT / peak), -PEAK_LIMIT, PEAK_LIMIT)


def is_speakable(text: str) -> bool:
    """Tell whether there is a letter or digit in it."""
    return any(character.isalnum() for character in text)


def one_line(text: str) -> str:
    """Return a text without line breaks and control characters, empty when there is nothing to say.

    Raises:
        SynthesisError: it is too long.
    """
    if not is_speakable(text):
        return ""
    if len(text) > MAX_CHARACTERS:
        raise SynthesisError(f"text has {len(text)} characters, at most {MAX_CHARACTERS} allowed; use split_clauses")
    printable = "".join(" " if unicodedata.category(character) == "Cc" else character for character in text)
    return " ".join(printable.split())


def excerpt(text: str) -> str:
    """Return the beginning of a text for a message."""
    return repr(text if len(text) <= 60 else text[:57] + "...")
