"""When a core of the machine stood still: a virtual one is at times not run for as long as a loudspeaker buffers.

On every core a process that no other may keep waiting (SCHED_FIFO) sleeps for 2 ms again and again; where it overslept,
that core did not run, and neither did what was on it. What a busy core does to a process of ours is not seen here.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PRIORITY = 50
SLEEP_S = 0.002
LEAST_S = 0.02  # once or twice a minute at worst; with the rest of a block, 10 ms, as long as the buffer lasts
Spans = list[tuple[float, float]]


class Watch:
    """Watches while its block runs. Where priorities are not for this user to give, it sees nothing and says so."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tml_standstill_")
        self._files = [Path(self._folder.name) / f"{core}" for core in sorted(os.sched_getaffinity(0))]
        self._begun = self._ticks()
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
        """Return begin and end of every moment so far at which a core stood still, in the system's time."""
        texts = [file.read_text() for file in self._files if file.exists()]
        return sorted((float(begin), float(end)) for text in texts for begin, end in map(str.split, text.splitlines()))

    def taken_away(self) -> float:
        """Return the share of processor time, since it was made, in which the machine stood still or ran others."""
        stolen, ticks = (now - then for now, then in zip(self._ticks(), self._begun, strict=True))
        stood_s = sum(end - begin for begin, end in self.spans())
        return max(stolen / ticks, stood_s * os.sysconf("SC_CLK_TCK") / ticks) if ticks else 0.0

    @staticmethod
    def _ticks() -> tuple[int, int]:
        """Return what a hypervisor took of all cores so far, and the whole, in ticks (proc(5), /proc/stat)."""
        spent = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return spent[7], sum(spent)


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
