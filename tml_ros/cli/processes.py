"""Nodes in processes of their own, for commands that run a whole graph: started apart, watched, and ended with it."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tml_ros.errors import TmlError
from tml_ros.nodes import environment

__all__ = ["check", "isolate", "process"]


def isolate() -> None:
    """Keep the topics of this command and its children to this machine and away from a robot that may be running."""
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    environment.prepare()


@contextmanager
def process(command: list[str], log: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """Run a command in a process group of its own, its output in a file, and end the whole group with the block."""
    with log.open("wb") as stream:
        started = subprocess.Popen(
            command,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=environment.child_environment(),
            start_new_session=True,
        )
        try:
            yield started
        finally:
            _end(started)


def _end(process: "subprocess.Popen[bytes]") -> None:
    for how, patience_s in ((signal.SIGINT, 10.0), (signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0)):
        if process.poll() is not None:
            return
        os.killpg(process.pid, how)
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            continue


def check(process: "subprocess.Popen[bytes]", log: Path, name: str, wanted: tuple[int | None, ...]) -> None:
    """Raise unless a process has ended with one of these codes; None: it runs.

    Raises:
        TmlError: it has not; holds the end of its log.
    """
    code = process.poll()
    if code not in wanted:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise TmlError(f"{name} ended with {code}; the end of {log}:\n{tail}")
