"""From a microphone's callbacks to stamped chunks: hand over, number, stamp, choose channels, notice silence.

Pure logic on blocks of bytes: no PortAudio, no threads of its own, nobody who listens.

Source: tml_interfaces/msg/AudioChunk.msg.
"""

import math
import queue
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tml_ros.clock import Clock
from tml_ros.devices.device_clock import DeviceClock
from tml_ros.records import AudioChunk

__all__ = ["Block", "ChunkMaker", "Intake", "SilenceWatch"]

_FULL_SCALE = 32_768.0
_FLOOR_DBFS = -120.0


@dataclass(frozen=True, slots=True)
class Block:
    """What one callback brought. position: samples per channel that the device delivered before, dropped ones too.

    device_s, current_s: when the first sample passed the microphone, and the callback, by the device's clock.
    overflowed: PortAudio lost samples just before this block; it does not say how many.
    """

    position: int
    data: bytes
    device_s: float
    current_s: float
    monotonic_ns: int
    overflowed: bool = False


class Intake:
    """A bounded hand-over from PortAudio's thread, which must never wait, to the thread that works.

    Thread: ``on_block`` and ``on_end`` in PortAudio's, the rest in the worker's; each counter has one writer.
    """

    def __init__(self, clock: Clock, capacity: int) -> None:
        self.has_ended = False
        self.overflows = 0
        self.dropped_blocks = 0
        self._clock = clock
        self._queue: queue.Queue[Block | None] = queue.Queue(capacity)
        self._position = 0
        self._overflowed = False  # before a block that nobody has got yet

    def on_block(self, buffer: Any, frames: int, time: Any, status: Any) -> None:
        """Copy what the device delivers; drop and count it when the worker is too far behind."""
        now_ns, times = self._clock.monotonic_ns(), (time.inputBufferAdcTime, time.currentTime)
        self.overflows += bool(status.input_overflow)
        self._overflowed |= bool(status.input_overflow)
        block = Block(self._position, bytes(buffer), *times, now_ns, self._overflowed)
        self._position += frames
        try:
            self._queue.put_nowait(block)
            self._overflowed = False
        except queue.Full:
            self.dropped_blocks += 1

    def on_end(self) -> None:
        """Take note that the stream ended, and wake the worker."""
        self.has_ended = True
        self.wake()

    def wake(self) -> None:
        """End a ``take`` that waits."""
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            return  # it does not wait then

    def take(self, timeout_s: float) -> Block | None:
        """Wait for the next block; None when none came or ``wake`` was called."""
        try:
            return self._queue.get(timeout=timeout_s)
        except queue.Empty:
            return None


class ChunkMaker:
    """Numbers and stamps the blocks of one stream.

    The first ones are held back until their time is known well: receivers place a stream by its first stamp.

    Args:
        stream_id: of the chunks.
        rate_hz: of the device.
        channels: interleaved in the blocks.
        chosen: channels to keep, in this order; empty keeps all.
        frame_id: of the chunks.
        latency_s: age of a block's first sample when its callback comes, used where the device does not tell.
        clock: gives ROS time.
        settle_s: how long to hold back at the start.
    """

    def __init__(
        self,
        stream_id: str,
        rate_hz: int,
        channels: int,
        chosen: Sequence[int],
        frame_id: str,
        latency_s: float,
        clock: Clock,
        settle_s: float = 0.0,
    ) -> None:
        self.lost_samples = 0
        self.device_clock = DeviceClock(rate_hz, -latency_s)
        self._stream_id, self._rate_hz, self._frame_id = stream_id, rate_hz, frame_id
        self._channels, self._chosen = channels, list(chosen)
        self._clock = clock
        self._settled_at = round(settle_s * rate_hz)
        self._held: list[tuple[int, NDArray[np.int16]]] = []
        self._shift = 0  # samples that PortAudio lost, and that no position counts
        self._next = 0

    def make(self, block: Block) -> tuple[list[AudioChunk], NDArray[np.int16]]:
        """Return the chunks that are ready, and the block's chosen samples [N, C] int16.

        A gap before the block shows in ``first_sample``.
        """
        samples = np.frombuffer(block.data, np.int16).reshape(-1, self._channels)
        if self._chosen:
            samples = samples[:, self._chosen]
        self._held.append((self._place(block, len(samples)), samples))
        if self._next < self._settled_at:
            return [], samples
        chunks = [self._chunk(first, held) for first, held in self._held]
        self._held.clear()
        return chunks, samples

    def _place(self, block: Block, length: int) -> int:
        """Return the position of a block's first sample, and let the clock see it."""
        first = block.position + self._shift
        now_ns = self._clock.now_ns() - (self._clock.monotonic_ns() - block.monotonic_ns)
        seen = (self._device_s(block, length), block.current_s, now_ns)
        if block.overflowed:
            missing = self.device_clock.lost_samples(first, *seen)
            self._shift += missing
            first += missing
        self.device_clock.observe(first, *seen, block.monotonic_ns)
        self.lost_samples += first - self._next
        self._next = first + length
        return first

    def _chunk(self, first: int, samples: NDArray[np.int16]) -> AudioChunk:
        stamp_ns, channels = self.device_clock.stamp_ns(first), samples.shape[1]
        data = samples.astype("<i2", copy=False).tobytes()
        return AudioChunk(stamp_ns, self._stream_id, first, self._rate_hz, channels, "S16LE", data, self._frame_id)

    def _device_s(self, block: Block, length: int) -> float:
        """Return when the first sample passed the device: a whole block ago at least, whatever the driver says.

        PulseAudio calls a monitor's samples as late as they will be played, and starts streams with a delay of zero.
        """
        if block.device_s <= 0.0:
            return block.device_s
        return min(block.device_s, block.current_s - length / self._rate_hz)


class SilenceWatch:
    """Tells a dead or muted microphone from a quiet room: every real one has a noise of its own.

    Args:
        threshold_dbfs: level below which all channels must stay; 0 dBFS is a square wave of full scale.
        after_s: for how long.
        rate_hz: of the samples.
    """

    def __init__(self, threshold_dbfs: float, after_s: float, rate_hz: int) -> None:
        self.is_silent = False
        self.level_dbfs = _FLOOR_DBFS
        self._threshold_dbfs = threshold_dbfs
        self._after = round(after_s * rate_hz)
        self._quiet = 0

    def update(self, samples: NDArray[np.int16]) -> bool:
        """Take in samples [N, C] int16; return whether ``is_silent`` changed."""
        loudest = float(samples.std(axis=0).max()) / _FULL_SCALE  # without the mean: cheap ones have an offset
        self.level_dbfs = max(_FLOOR_DBFS, 20.0 * math.log10(loudest)) if loudest > 0.0 else _FLOOR_DBFS
        self._quiet = self._quiet + len(samples) if self.level_dbfs < self._threshold_dbfs else 0
        was_silent, self.is_silent = self.is_silent, self._quiet >= self._after
        return self.is_silent != was_silent
