"""What PortAudio's thread does for a loudspeaker: take the next samples, hand them to the device, and tell of it.

Opens nothing, publishes nothing and never waits for longer than a piece of speech takes to be queued.
"""

import queue
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tml_ros.clock import Clock
from tml_ros.devices.device_clock import DeviceClock
from tml_ros.devices.mixer import Block, Mark
from tml_ros.devices.resampler import Resampler
from tml_ros.records import SAMPLE_RATE_HZ

__all__ = ["Feed", "Rendered", "Timeline"]

_PRIMING_CALLBACKS = 50  # a device that never lets its callback wait is taken as running after these
_SETTLE_S = 0.2  # a stream that has just started runs dry now and then
_LATE_BLOCKS = 3  # one late block is a busy computer, three in a row are a device that was stopped
_LOST_S = 0.003  # of three blocks in a row the least is off by 0.4 ms in a minute of load
_DRY_S = 0.002


@dataclass(frozen=True, slots=True)
class Rendered:
    """What one callback played.

    position: index of the device's sample at which the block begins. device_s, current_s: when that one leaves the
    loudspeaker, and the callback, by the device's clock. first_sample: index of the first of ``samples``, [N] int16
    at 16 kHz. underflowed: the device ran dry before this block.
    """

    position: int
    device_s: float
    current_s: float
    monotonic_ns: int
    underflowed: bool
    first_sample: int
    samples: NDArray[np.int16]
    marks: tuple[Mark, ...]


class Feed:
    """Between a mixer and one open stream.

    A stream begins with blocks that wait in the device until it starts, up to a second later; speech begins when it
    runs evenly, as ``is_running`` tells.

    Thread: ``on_block`` and ``on_end`` in PortAudio's, the rest in the worker's.
    """

    def __init__(self, render: Callable[[int], Block], clock: Clock, rate_hz: int, channels: int) -> None:
        self.has_ended = False
        self.is_given_up = False
        self.underflows = 0
        self._render, self._clock = render, clock
        self._rate_hz, self._channels = rate_hz, channels
        self._resampler = Resampler(SAMPLE_RATE_HZ, rate_hz)
        self._queue: queue.SimpleQueue[Rendered | None] = queue.SimpleQueue()
        self._position = self._first_sample = self._callbacks = 0
        self.is_running = False
        self._last_s = 0.0
        self._began_s: float | None = None

    def on_block(self, buffer: Any, frames: int, time: Any, status: Any) -> None:
        """Fill the device's buffer with frames of int16 samples: silence from when it is given up on."""
        if self.is_given_up:
            buffer[:] = bytes(len(buffer))
            return
        if self._primes(frames, time.currentTime):
            buffer[:] = bytes(len(buffer))
            self._position += frames
            return
        monotonic_ns = self._clock.monotonic_ns()
        self.underflows += bool(status.output_underflow)
        block = self._render(self._resampler.needed(frames))
        samples = np.rint(block.samples * np.float32(32_767.0)).astype(np.int16)
        played = samples
        if self._rate_hz != SAMPLE_RATE_HZ:
            finer = self._resampler.process(samples.astype(np.float32), frames)
            played = np.clip(np.rint(finer), -32_768, 32_767).astype(np.int16)
        buffer[:] = np.repeat(played, self._channels).tobytes()
        times = (time.outputBufferDacTime, time.currentTime, monotonic_ns)
        first, is_dry = self._first_sample, bool(status.output_underflow)
        self._queue.put(Rendered(self._position, *times, is_dry, first, samples, block.marks))
        self._position += frames
        self._first_sample += len(samples)

    def on_end(self) -> None:
        """Take note that the stream ended, and wake the worker."""
        self.has_ended = True
        self._queue.put(None)

    def wake(self) -> None:
        """End a ``take`` that waits."""
        self._queue.put(None)

    def take(self, timeout_s: float) -> Rendered | None:
        """Wait for the next block; None when none came or ``wake`` was called."""
        try:
            return self._queue.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def _primes(self, frames: int, current_s: float) -> bool:
        """Tell whether the device fills its buffer, for which it asks without having played a block, or settles."""
        if not self.is_running:
            waited_s = current_s - self._last_s if self._callbacks else 0.0
            self._callbacks += 1
            self._last_s = current_s
            if self._began_s is None and waited_s > 0.5 * frames / self._rate_hz:
                self._began_s = current_s
            has_settled = self._began_s is not None and current_s - self._began_s >= _SETTLE_S
            self.is_running = has_settled or self._callbacks > _PRIMING_CALLBACKS
        return not self.is_running


class Timeline:
    """Tells when what was rendered leaves the loudspeaker.

    Args:
        rate_hz: of the device.
        latency_s: of the device, where it does not tell the time.
        clock: gives ROS time.
    """

    def __init__(self, rate_hz: int, latency_s: float, clock: Clock) -> None:
        self.lost_samples = 0
        self.device_clock = DeviceClock(rate_hz, latency_s)
        self._rate_hz, self._clock = rate_hz, clock
        self._late_s: deque[float] = deque(maxlen=_LATE_BLOCKS)
        self._delay = round(Resampler(SAMPLE_RATE_HZ, rate_hz).delay * rate_hz / SAMPLE_RATE_HZ)

    def place(self, block: Rendered) -> tuple[int, int]:
        """Return the index of a block's first sample at 16 kHz, silent gaps of the device included, and its stamp."""
        now_ns = self._clock.now_ns() - (self._clock.monotonic_ns() - block.monotonic_ns)
        seen = (block.device_s, block.current_s, now_ns)
        position = block.position + self.lost_samples
        stamp_ns = self.device_clock.update(position, *seen, block.monotonic_ns)
        missing = self._missing(block, now_ns - stamp_ns)
        if missing:
            self.lost_samples += missing
            self.device_clock.update(position + missing, *seen, block.monotonic_ns)
        first = block.first_sample + self.lost_samples * SAMPLE_RATE_HZ // self._rate_hz
        return first, self.device_clock.stamp_ns(position + missing + self._delay)

    def _missing(self, block: Rendered, ahead_ns: int) -> int:
        """Return for how many samples the device played silence of its own: it ran dry, or was stopped for a while.

        PulseAudio does not tell of each time that it ran dry, and after one that it tells of, its word on where it is
        falls some ms short until it asks evenly again. So a gap counts at once when the device tells of it, and the
        rest once device time and callbacks agree on it for three blocks: either may be late alone.
        """
        late_s = block.device_s - block.current_s + ahead_ns / 1e9 if block.device_s > 0.0 else 0.0
        self._late_s.append(min(late_s, ahead_ns / 1e9 + self.device_clock.latency_s))
        after_s = late_s if block.underflowed else min(self._late_s)
        if len(self._late_s) < _LATE_BLOCKS or after_s < (_DRY_S if block.underflowed else _LOST_S):
            return 0
        self._late_s.clear()
        return round(after_s * self._rate_hz)
