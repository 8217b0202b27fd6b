"""Run a model in a process of its own before it may be loaded here: a damaged one can end the process that loads it."""

import subprocess
import sys
from collections.abc import Sequence

__all__ = ["try_apart"]

TIMEOUT_S = 180.0


def try_apart(script: str, arguments: Sequence[str]) -> str:
    """Return in one line why a Python script failed, empty when it did not. arguments: its ``sys.argv[1:]``."""
    command = [sys.executable, "-P", "-c", script, *arguments]
    try:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return f"it took longer than {TIMEOUT_S:g} s"
    if result.returncode == 0:
        return ""
    lines = result.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
    return f"status {result.returncode}, {lines[-1].strip()[-300:]!r}"
