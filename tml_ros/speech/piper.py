"""Speech by piper with a voice file of the user's: far more natural than flite, in some forty languages.

piper is GPL-3.0 and is only ever run as a program. Loading a voice takes it one to three seconds, so one process stays
and reads line after line; it is started again when it has died, and ends with this object or with this process. Its two
sources of chance are switched off: the same text gives the same samples. Knows nothing of turns or loudspeakers.

Source: piper 1.8 (https://github.com/OHF-Voice/piper1-gpl), its command line; VITS (Kim et al. 2021) for its noises.
"""

import contextlib
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import weakref
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tml_ros.errors import ConfigError, MissingDependencyError, SynthesisError
from tml_ros.speech.programs import check_speed, excerpt, full_name, one_line, read_sound, too_slow

__all__ = ["PiperSynthesiser", "find_piper"]

LOAD_TIMEOUT_S = 60.0
_WHERE = "voices are described at https://github.com/OHF-Voice/piper1-gpl/blob/main/docs/VOICES.md"
_ERROR = re.compile(r"[A-Za-z_][\w.]*: ")
_WROTE = re.compile(r"Wrote (.+\.wav)\s*$")
# One that fetches a model when it is first used: nothing is downloaded here.
_FETCHING = "pinyin"


class PiperSynthesiser:
    """Speaks with one voice file. Thread: any; texts are spoken one after the other.

    Args:
        voice: path of a ``.onnx`` voice file; its ``.onnx.json`` lies beside it.
        speed: 0.5 to 2.0, 1.0 is the voice's own pace.
        timeout_s: how long one text may take.

    Raises:
        ConfigError: the speed is out of bounds, or piper cannot speak with this voice.
        MissingDependencyError: piper, the voice file or its ``.onnx.json`` is not there.
    """

    def __init__(self, voice: str, speed: float = 1.0, timeout_s: float = 10.0) -> None:
        check_speed(speed)
        file = _check_voice(voice)
        pace = _read_pace(Path(f"{file}.json")) / speed
        self.name = full_name("piper", file.stem, speed)
        self._timeout_s = timeout_s
        self._command = [find_piper(), "--model", str(file), "--length_scale", f"{pace:.4f}"]
        self._command += ["--noise_scale", "0", "--noise_w", "0"]
        self._lock = threading.Lock()
        self._process: _PiperProcess | None = None
        self._end: Callable[[], object] = _nothing
        try:
            self.synthesise("one")
        except SynthesisError as err:
            self.close()
            raise ConfigError(f"speech.voice: piper cannot speak with {file}: {err}; {_WHERE}") from err

    def synthesise(self, text: str) -> NDArray[np.float32]:
        """Return [N] float32 at 16 kHz; see ``Synthesiser``."""
        # Double square brackets would switch piper to phoneme input.
        line = one_line(re.sub(r"\[(?=\[)", "[ ", text))
        if not line:
            return np.zeros(0, np.float32)
        with self._lock:
            path = self._say(line)
            problem = f"piper failed on {excerpt(text)}"
            try:
                return read_sound(path, problem, f"piper gave no sound for {excerpt(text)}; use another voice")
            finally:
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """End the process; another text starts a new one."""
        with self._lock:
            self._end()

    def _say(self, line: str) -> Path:
        """Return the sound file of a line; a process that has died since the last one is replaced."""
        process, timeout_s = self._process, self._timeout_s
        if process is None or not process.is_alive:
            process, timeout_s = self._start(), LOAD_TIMEOUT_S
        try:
            return process.say(line, timeout_s)
        except _EndedError:
            if timeout_s == LOAD_TIMEOUT_S:
                raise
        return self._start().say(line, LOAD_TIMEOUT_S)

    def _start(self) -> "_PiperProcess":
        self._end()
        self._process = _PiperProcess(self._command)
        self._end = weakref.finalize(self, self._process.close)  # at the latest when this process ends
        return self._process


class _EndedError(SynthesisError):
    """The process ended instead of answering."""


class _PiperProcess:
    """A running piper: a line in, the name of a sound file out."""

    def __init__(self, command: list[str]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tml_piper_")
        self._log: deque[str] = deque(maxlen=100)
        self._files: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
        self._process = subprocess.Popen(
            [*command, "--output_dir", self._folder.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=self._folder.name,
            env=os.environ | {"PYTHONUTF8": "1"},
            start_new_session=True,  # Ctrl-C in a terminal is for the node, which may have a last word to say
        )
        self._reader = threading.Thread(
            target=_read_log, args=(self._process.stderr, self._log, self._files), name="piper", daemon=True
        )
        self._reader.start()

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def say(self, line: str, timeout_s: float) -> Path:
        """Return the sound file of one line of text.

        Raises:
            _EndedError: the process ended.
            SynthesisError: no answer in time; the process is ended then, so that no late answer comes.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # the reader tells that it has ended
            self._process.stdin.write(line.encode(errors="ignore") + b"\n")
            self._process.stdin.flush()
        try:
            path = self._files.get(timeout=timeout_s)
        except queue.Empty as err:
            self.close()
            raise SynthesisError(too_slow("piper", timeout_s)) from err
        if path is None:
            self.close()
            status = self._process.returncode
            raise _EndedError(f"piper ended with status {status} on {excerpt(line)}: {_reason(self._log)!r}")
        return path

    def close(self) -> None:
        """End the process and remove its files; more than once does no harm."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what it had not read yet cannot be flushed
                    pipe.close()
        self._folder.cleanup()


def _read_log(stream: Any, log: "deque[str]", files: "queue.SimpleQueue[Path | None]") -> None:
    """Pass on the sound files that are reported, and None at the end."""
    for raw in stream:
        line = raw.decode(errors="replace").strip()
        found = _WROTE.search(line)
        if found:
            files.put(Path(found[1]))
        elif line:
            log.append(line)
    files.put(None)


def _reason(log: "deque[str]") -> str:
    """Return the first error in a log, of which later ones are consequences, or its last line."""
    errors = [line for line in log if _ERROR.match(line)]
    return errors[0] if errors else log[-1] if log else "no message"


def _nothing() -> None:
    """There is no process to end."""


def find_piper() -> str:
    """Return the program beside this Python, as pip installs it, or on the path.

    Raises:
        MissingDependencyError: it is not installed.
    """
    beside = str(Path(sys.executable).parent)
    path = shutil.which("piper", path=os.pathsep.join([beside, os.environ.get("PATH", os.defpath)]))
    if path is None:
        raise MissingDependencyError("the program piper is not installed; run: pip install piper-tts")
    return path


def _check_voice(voice: str) -> Path:
    if not voice:
        raise MissingDependencyError(f"speech.voice is empty; name the .onnx voice file of piper; {_WHERE}")
    file = Path(voice).expanduser().absolute()
    for needed in (file, Path(f"{file}.json")):
        if not needed.is_file():
            raise MissingDependencyError(f"speech.voice: there is no file {needed}; {_WHERE}")
    return file


def _read_pace(path: Path) -> float:
    """Return the voice's own length scale."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        kind = config.get("phoneme_type", "espeak")
        pace = float(config.get("inference", {}).get("length_scale", 1.0))
    except (ValueError, AttributeError, TypeError) as err:
        raise ConfigError(f"speech.voice: {path} is no description of a piper voice ({err}); get it anew") from err
    if kind == _FETCHING:
        raise ConfigError(f"speech.voice: {path} is of a kind ({kind}) that downloads a model; use another voice")
    return pace
