"""What PortAudio does not do about ALSA: survive a missing default device, keep quiet, say who holds a device.

Does nothing on a system without ALSA. Knows no stream.

Source: pa_linux_alsa.c of PortAudio 19.6; alsa-lib's conf.h; /proc/asound of the Linux kernel.
"""

import contextlib
import ctypes
import ctypes.util
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from tml_ros.errors import DeviceError

__all__ = ["chatter_held_back", "check_default", "holders"]

_STATE_FILES = {"input": "card*/pcm*c/sub*/status", "output": "card*/pcm*p/sub*/status"}
_log = logging.getLogger(__name__)


def check_default() -> None:
    """Refuse a configuration on which PortAudio aborts the process (an assertion in BuildDeviceList).

    Raises:
        DeviceError: ALSA knows no pcm.default, or cannot read its configuration.
    """
    name = ctypes.util.find_library("asound")
    if name is None:
        return
    library = ctypes.CDLL(name)
    library.snd_config_search.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
    where = os.environ.get("ALSA_CONFIG_PATH", "/usr/share/alsa/alsa.conf")
    with chatter_held_back():
        if library.snd_config_update() < 0:
            raise DeviceError(
                f"ALSA cannot read its configuration, {where} or what it includes; run aplay -l to see why"
            )
        found = library.snd_config_search(ctypes.c_void_p.in_dll(library, "snd_config"), b"pcm.default", None)
    if found < 0:
        raise DeviceError(
            f"ALSA knows no default device: {where} has no pcm.default; install libasound2-data or add one"
        )


@contextlib.contextmanager
def chatter_held_back() -> Iterator[None]:
    """Keep what PortAudio and ALSA print off stderr: five lines per try on a device that is absent.

    They go to the debug log instead. What anybody else prints meanwhile comes after.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        stderr = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            held.seek(0)
            for line in held:
                _pass_on(line, stderr)
            os.close(stderr)


def holders(kind: Literal["input", "output"]) -> str:
    """Return which programs hold sound hardware, as ``, held by NAME (process N)``; empty when ALSA does not tell."""
    names = set()
    for path in Path("/proc/asound").glob(_STATE_FILES[kind]):
        try:
            fields = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
            process = int({key.strip(): value for key, value in fields.items()}["owner_pid"])
            names.add(f"{Path(f'/proc/{process}/comm').read_text().strip()} (process {process})")
        except (OSError, KeyError, ValueError):
            continue  # not in use, or its program has just ended
    return f", held by {', '.join(sorted(names))}" if names else ""


def _pass_on(line: bytes, stderr: int) -> None:
    if line.startswith((b"Expression ", b"ALSA lib ")):
        _log.debug("%s", line.decode(errors="replace").strip())
    elif line.strip():
        os.write(stderr, line)
