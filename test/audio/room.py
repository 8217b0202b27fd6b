"""A room in real time: what the robot's loudspeaker plays comes back into its microphone, and somebody talks there.

A process of its own reads the loudspeaker's monitor in blocks of 10 ms, filters them with the room, adds the person's
clips and the microphone's own noise, plays that into the microphone's sink, and records both monitors on one clock.
``Room`` starts it and talks to it. Knows nothing of robots or ROS, nor what the recordings mean.

Time base: both sinks run at their nominal rate on the machine's clock and hand a block over as soon as it is played, so
the earliest arrivals of a stream say when its samples were due; scheduling only ever adds to that.
"""

import argparse
import json
import os
import queue
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
RATE_HZ = 48_000
BLOCK = 480
ECHO_GAIN_DB = -10.0
ECHO_DELAY_S = 0.04
NOISE_DBFS = -66.0  # a quiet microphone; the signal by which lost samples are found
LOUD_DBFS = -35.0
MAX_LAG_S = 0.03
LATE_BLOCKS = 5  # by then what a stall held back is through


def room_response(rate_hz: int = RATE_HZ, seed: int = 0) -> NDArray[np.float32]:
    """Return the way from loudspeaker to microphone: 40 ms of nothing, the direct sound, four echoes of walls, a tail.

    [N] float32 of unit energy times -10 dB; the tail decays by 60 dB in 0.25 s (a small furnished room) and ends
    100 ms after the direct sound.
    """
    tail = np.random.default_rng(seed).normal(0.0, 0.06 * np.sqrt(16_000 / rate_hz), rate_hz // 10)
    tail *= 10.0 ** (-3.0 * np.arange(len(tail)) / (0.25 * rate_hz))
    tail[: rate_hz // 200] = 0.0
    tail[0] = 1.0
    for after_s, gain in ((0.0043, 0.45), (0.0079, -0.35), (0.0131, 0.28), (0.0217, 0.2)):
        tail[round(after_s * rate_hz)] += gain
    gain = 10.0 ** (ECHO_GAIN_DB / 20.0) / np.sqrt(np.sum(tail**2))
    return np.concatenate([np.zeros(round(ECHO_DELAY_S * rate_hz)), gain * tail]).astype(np.float32)


class Filter:
    """Convolution of a stream, block by block, by overlap-save."""

    def __init__(self, response: NDArray[np.float32], block: int = BLOCK) -> None:
        self._size = 1 << (len(response) + block - 2).bit_length()
        self._spectrum = np.fft.rfft(response, self._size)
        self._past = np.zeros(self._size)
        self._block = block

    def __call__(self, block: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return [block] samples of the response to everything so far."""
        self._past = np.concatenate([self._past[self._block :], block])
        return np.fft.irfft(np.fft.rfft(self._past) * self._spectrum, self._size)[-self._block :]


# ------------------------------------------------------------------------------------------- the process in the room


class _Person:
    """The clips that are to be heard at the microphone; reads orders from stdin, tells on stdout when one begins."""

    def __init__(self) -> None:
        self._orders: queue.SimpleQueue[dict | None] = queue.SimpleQueue()
        self._waiting: list[tuple[int, dict, NDArray[np.float32]]] = []
        self._sound = np.zeros(0, np.float32)
        self.is_over = False
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in sys.stdin:
            self._orders.put(json.loads(line))
        self._orders.put(None)

    def next_block(self, now: int, is_loud: bool) -> NDArray[np.float32]:
        """Return [BLOCK] samples. now: index of the first one."""
        while not self._orders.empty():
            order = self._orders.get()
            if order is None:
                self.is_over = True
            else:
                due = now + round(order["after_s"] * RATE_HZ)
                self._waiting.append((due, order, np.load(order["clip"]).astype(np.float32)))
        for entry in list(self._waiting):
            due, order, clip = entry
            if due <= now and (is_loud or not order["when_loud"]):
                self._waiting.remove(entry)
                self._begin(clip)
                print(json.dumps({"id": order["id"], "sample": now}), flush=True)
        block, self._sound = self._sound[:BLOCK], self._sound[BLOCK:]
        return np.pad(block, (0, BLOCK - len(block)))

    def _begin(self, clip: NDArray[np.float32]) -> None:
        length = max(len(self._sound), len(clip))
        self._sound = np.pad(self._sound, (0, length - len(self._sound))) + np.pad(clip, (0, length - len(clip)))


class _Recorder:
    """Writes a stream to a file as int16 and keeps when its blocks came."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self.arrivals: list[float] = []

    def add(self, block: NDArray[np.float32]) -> None:
        self.arrivals.append(time.monotonic() - (len(self.arrivals) + 1) * BLOCK / RATE_HZ)
        self._file.write(np.clip(np.round(block * 32_768.0), -32_768, 32_767).astype("<i2").tobytes())

    def close(self) -> float:
        """Return when sample 0 was due, in seconds of the monotonic clock."""
        self._file.close()
        return float(np.percentile(self.arrivals, 2))


class _Lag:
    """What to leave out after a stall, so that the echo is not late for ever: all that is too much, at once."""

    def __init__(self) -> None:
        self._due, self._late, self._left, self._number = float("inf"), 0, 0, 0
        self.left_out: list[int] = []

    def leaves_out(self, arrival_s: float) -> bool:
        """Tell whether the next block is to be dropped. arrival_s: as a recorder has it."""
        self._number += 1
        self._due = min(self._due, arrival_s)
        lag_s = arrival_s - self._due
        self._late = self._late + 1 if lag_s > MAX_LAG_S else 0
        if self._late > LATE_BLOCKS:
            self._left, self._late = round((lag_s - BLOCK / RATE_HZ) * RATE_HZ / BLOCK), 0
        if not self._left:
            return False
        self._left -= 1
        self.left_out.append(self._number)
        return True


def _record_microphone(device: str, recorder: _Recorder, is_over: threading.Event) -> None:
    from pulse import PulseStream

    stream = PulseStream(device, RATE_HZ)
    while not is_over.is_set():
        recorder.add(stream.read(BLOCK))
    stream.close()


def _run(speaker: str, microphone: str, folder: Path) -> None:
    from pulse import PulseStream

    with suppress(OSError):  # a late room would be a fault of the test, not of the robot
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(2))
    is_over = threading.Event()
    heard, played = _Recorder(folder / "microphone.raw"), _Recorder(folder / "loudspeaker.raw")
    out = PulseStream(microphone, RATE_HZ, latency_s=0.03)
    side = threading.Thread(target=_record_microphone, args=(f"{microphone}.monitor", heard, is_over), daemon=True)
    side.start()
    person, echo, noise = _Person(), Filter(room_response()), np.random.default_rng(1)
    amplitude = 10.0 ** (NOISE_DBFS / 20.0)
    source = PulseStream(f"{speaker}.monitor", RATE_HZ)
    lag, count = _Lag(), 0
    print(json.dumps({"ready": True}), flush=True)
    while not person.is_over:
        block = source.read(BLOCK)
        played.add(block)
        sound = echo(block) + noise.normal(0.0, amplitude, BLOCK)
        count += 1
        if lag.leaves_out(played.arrivals[-1]):
            continue
        sound += person.next_block(count * BLOCK, float(np.abs(block).max()) > 10.0 ** (LOUD_DBFS / 20.0))
        out.write(sound.astype(np.float32))
    is_over.set()
    side.join(1.0)
    ages = np.array(played.arrivals)
    clock_s = time.time() - time.monotonic()
    starts = {"loudspeaker_s": played.close() + clock_s, "microphone_s": heard.close() + clock_s}
    late_ms = float(np.percentile(ages - ages.min(), 99)) * 1e3
    (folder / "room.json").write_text(json.dumps({"skipped": lag.left_out, "late_p99_ms": late_ms, **starts}))


# -------------------------------------------------------------------------------------------------- the test's side


@dataclass(frozen=True, slots=True)
class Recording:
    """Both sides, [N] int16 at 48 kHz each; microphone sample m sounds when loudspeaker sample m + shift does.

    skipped: indices of the blocks of 10 ms that the room left out after stalls. microphone_s: system time of sample 0.
    """

    loudspeaker: NDArray[np.int16]
    microphone: NDArray[np.int16]
    shift: int
    skipped: list[int]
    late_p99_ms: float
    microphone_s: float


class Room:
    """The running room; ``end`` gives the recording.

    Args:
        environment: of the sound server, see pulse.PulseServer.
        folder: where clips and recordings go.
    """

    def __init__(self, environment: dict[str, str], folder: Path, speaker: str, microphone: str) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), speaker, microphone, str(folder)],
            env=environment | {"PYTHONPATH": str(HERE)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.begun: dict[int, int] = {}
        self._count = 0
        assert self._process.stdout is not None
        if "ready" not in self._process.stdout.readline():
            raise RuntimeError("the room does not start, see above")
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def say(self, clip: NDArray[np.float32], after_s: float = 0.0, *, when_loud: bool = False) -> int:
        """Let a clip be heard, [N] float32 at 48 kHz; ``begun[number]`` says from which sample on.

        when_loud: not before the loudspeaker is loud.
        """
        self._count += 1
        path = self._folder / f"clip{self._count}.npy"
        np.save(path, clip)
        order = {"id": self._count, "clip": str(path), "after_s": after_s, "when_loud": when_loud}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._count

    def end(self) -> Recording:
        """Leave the room."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20.0)
        self._reader.join(5.0)
        told = json.loads((self._folder / "room.json").read_text())
        loudspeaker, microphone = (
            np.memmap(self._folder / f"{side}.raw", "<i2") for side in ("loudspeaker", "microphone")
        )
        shift = round((told["microphone_s"] - told["loudspeaker_s"]) * RATE_HZ)
        return Recording(loudspeaker, microphone, shift, told["skipped"], told["late_p99_ms"], told["microphone_s"])

    def kill(self) -> None:
        """End the process whatever it does."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(5.0)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            self.begun[told["id"]] = told["sample"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("speaker", "microphone", "folder"):
        parser.add_argument(name)
    given = parser.parse_args()
    _run(given.speaker, given.microphone, Path(given.folder))
