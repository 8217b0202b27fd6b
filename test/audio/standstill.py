"""When the machine itself stood still: a virtual one is now and then not run for longer than a loudspeaker buffers.

On every core a process that no other may keep waiting (SCHED_FIFO) sleeps for 2 ms again and again; where all of them
overslept at once, nothing ran. What a busy core does to a process of ours is not seen here, as nothing waits for those.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from math import inf
from pathlib import Path

PRIORITY = 50
SLEEP_S = 0.002
LEAST_S = 0.015  # of one core; seldom, and half of what matters
Spans = list[tuple[float, float]]


class Watch:
    """Watches while its block runs. Where priorities are not for this user to give, it sees nothing and says so."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tml_standstill_")
        self._files = [Path(self._folder.name) / f"{core}" for core in sorted(os.sched_getaffinity(0))]
        self._processes = [subprocess.Popen([sys.executable, __file__, str(file)]) for file in self._files]

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_: object) -> None:
        self.send(signal.SIGKILL)
        for process in self._processes:
            process.wait()
        self._folder.cleanup()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to those who watch."""
        for process in self._processes:
            process.send_signal(number)

    def spans(self) -> Spans:
        """Return begin and end of every moment so far at which all cores stood still, in the system's time."""
        texts = [file.read_text() if file.exists() else "" for file in self._files]
        return common([[tuple(map(float, line.split())) for line in text.splitlines()] for text in texts])


def common(cores: list[Spans]) -> Spans:
    """Return the parts of time that lie within a span of every core; the spans of one do not overlap."""
    together = [(-inf, inf)]
    for spans in cores:
        shared = [(max(a, begin), min(b, end)) for a, b in together for begin, end in spans]
        together = [(begin, end) for begin, end in shared if begin < end]
    return sorted(together)


def _watch(file: Path) -> None:
    os.sched_setaffinity(0, {int(file.name)})
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except PermissionError:
        print("standstill: no right to a priority, no pause of the machine will be seen", file=sys.stderr)
        return
    with file.open("w", buffering=1) as spans:
        last = time.time()
        while True:
            time.sleep(SLEEP_S)
            now = time.time()
            if now - last > LEAST_S:
                spans.write(f"{last:.6f} {now:.6f}\n")
            last = now


if __name__ == "__main__":
    _watch(Path(sys.argv[1]))
