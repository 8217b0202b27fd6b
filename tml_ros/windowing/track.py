"""One sound stream on the session's 16 kHz timeline.

Chunks come in any order and size; they are placed by sample index, the stamp only anchors the stream and re-anchors it
when the two disagree by more than the drift bound. A device whose clock runs a little fast or slow is followed by a
sample now and then, so that it never comes to that. It knows nothing of pictures, text or when a window closes: the
assembler tells it up to which time all chunks must have arrived (the horizon).
"""

import math
from collections import Counter, deque
from dataclasses import dataclass, field

import numpy as np
import soxr
from numpy.typing import NDArray

from tml_ros.records import MICRO_TURN_SAMPLES, SAMPLE_RATE_HZ

__all__ = ["CHUNK_SLACK_NS", "AudioTrack", "MonoChunk", "TakenAudio"]

CHUNK_SLACK_NS = 100_000_000  # chunks of up to 100 ms are expected; longer ones are learnt as they come

_REMEMBERED_GAPS = 256
_DRIFT_TIME_NS = 60_000_000_000  # over which stamps are averaged: a sound server's wander by 10 ms for half a minute
_DRIFT_STEP_NS = 8_000_000  # averaged difference from which a sample is left out or doubled; far below an echo's tail
_RESAMPLER_DELAY_NS = 300_000_000  # soxr HQ holds back at most 230 ms (at 4 kHz), see docs/lab_notes.md


@dataclass(frozen=True, slots=True)
class MonoChunk:
    """A chunk after decoding and mixing. samples: [N] float32 at rate_hz."""

    stamp_ns: int
    stream_id: str
    first_sample: int
    rate_hz: int
    samples: NDArray[np.float32]

    @property
    def end_ns(self) -> int:
        """Time at which the last sample ended, by the stamp."""
        return self.stamp_ns + len(self.samples) * 1_000_000_000 // self.rate_hz

    @property
    def epoch_ns(self) -> int:
        """Time of the stream's sample 0, by the stamp."""
        return self.stamp_ns - self.first_sample * 1_000_000_000 // self.rate_hz


@dataclass(frozen=True, slots=True)
class TakenAudio:
    """One window of sound. audio: [3200] float32. valid: [3200] bool, False where nothing was received."""

    audio: NDArray[np.float32]
    valid: NDArray[np.bool_]


@dataclass(slots=True)
class _Slot:
    audio: NDArray[np.float32] = field(default_factory=lambda: np.zeros(MICRO_TURN_SAMPLES, np.float32))
    valid: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(MICRO_TURN_SAMPLES, np.bool_))


@dataclass(slots=True)
class _Anchor:
    """Where a stream lies: sample ``first_sample`` is at output position ``position``."""

    stream_id: str
    rate_hz: int
    first_sample: int
    stamp_ns: int
    position: int
    next_sample: int
    gaps: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=_REMEMBERED_GAPS))
    followed_ns: int = 0
    offset_ns: float = 0.0
    usual_ns: float = 0.0

    def follow(self, chunk: MonoChunk) -> int:
        """Return 1 where a sample is to be doubled, -1 where one is to be left out, since the device's clock drifts.

        What stamps are off by in the first seconds stays; only what is added to it counts.
        """
        took_ns = chunk.end_ns - chunk.stamp_ns
        self.followed_ns += took_ns
        share = max(took_ns / _DRIFT_TIME_NS, took_ns / self.followed_ns)
        self.offset_ns += min(1.0, share) * (chunk.stamp_ns - self.nominal_ns(chunk.first_sample) - self.offset_ns)
        if self.followed_ns < _DRIFT_TIME_NS:
            self.usual_ns = self.offset_ns
        if abs(self.offset_ns - self.usual_ns) < _DRIFT_STEP_NS:
            return 0
        step = 1 if self.offset_ns > self.usual_ns else -1
        step_ns = step * 1_000_000_000 // SAMPLE_RATE_HZ
        self.position += step
        self.stamp_ns += step_ns
        self.offset_ns -= step_ns
        return step

    def nominal_ns(self, sample: int) -> int:
        return self.stamp_ns + (sample - self.first_sample) * 1_000_000_000 // self.rate_hz

    def position_of(self, sample: int) -> int:
        return self.position + round((sample - self.first_sample) * SAMPLE_RATE_HZ / self.rate_hz)


class AudioTrack:
    """Places one stream. Every input sample ends up in exactly one counter: placed, duplicate, overlap or late."""

    def __init__(self, drift_ns: int) -> None:
        self.counters: Counter[str] = Counter()
        self._drift_ns = drift_ns
        self._start_ns = 0
        self._newest_end_ns = 0
        self._longest_ns = CHUNK_SLACK_NS
        self._pending: list[MonoChunk] = []
        self._anchor: _Anchor | None = None
        self._resampler: soxr.ResampleStream | None = None
        self._write_position = 0
        self._closed_position = 0
        self._slots: dict[int, _Slot] = {}

    def begin(self, start_ns: int) -> None:
        """Set the time of output position 0; called once, before ``advance``."""
        self._start_ns = start_ns

    def add(self, chunk: MonoChunk) -> None:
        """Keep a chunk until the horizon passes it."""
        self.counters["received_samples"] += len(chunk.samples)
        self._newest_end_ns = max(self._newest_end_ns, chunk.end_ns)
        self._longest_ns = max(self._longest_ns, chunk.end_ns - chunk.stamp_ns)
        self._pending.append(chunk)

    @property
    def earliest_ns(self) -> int | None:
        """Earliest stamp that waits to be placed."""
        return min((chunk.stamp_ns for chunk in self._pending), default=None)

    def advance(self, horizon_ns: int) -> None:
        """Place every chunk that starts before the horizon, in the order of its samples."""
        while self._pending:
            if self._anchor is None:
                self._find_anchor(horizon_ns)
            anchor = self._anchor
            ready = sorted(
                (
                    (key, chunk.first_sample, number)
                    for number, chunk in enumerate(self._pending)
                    if (key := self._key(chunk)) < horizon_ns
                )
            )
            done = set()
            for _, _, number in ready:
                self._place(self._pending[number])
                done.add(number)
                if self._anchor is not anchor:
                    break
            self._pending = [chunk for number, chunk in enumerate(self._pending) if number not in done]
            if not done:
                return

    def covers(self, index: int) -> bool:
        """Tell whether window ``index`` is already written to its end."""
        return self._write_position >= (index + 1) * MICRO_TURN_SAMPLES

    def slack_ns(self, window_start_ns: int) -> int:
        """Return how much longer than the lateness bound a window that is not covered must wait for this stream.

        A chunk is complete only at its end, so one that begins before the window's end may come a chunk later. A
        stream that has been silent since the window began is not waited for.
        """
        if self._newest_end_ns <= window_start_ns:
            return 0
        return self._longest_ns + (_RESAMPLER_DELAY_NS if self._resampler is not None else 0)

    def take(self, index: int) -> TakenAudio | None:
        """Return window ``index`` and close it; None when nothing was received for it."""
        if not self.covers(index):
            self._finish_resampler()
        self._closed_position = (index + 1) * MICRO_TURN_SAMPLES
        slot = self._slots.pop(index, None)
        return TakenAudio(slot.audio, slot.valid) if slot else None

    @property
    def holds_data(self) -> bool:
        """Whether samples wait in windows that are not closed yet."""
        return bool(self._slots) or bool(self._pending) or self._resampler is not None

    def finish(self) -> None:
        """Place everything that waits; the stream has ended."""
        self.advance(1 << 62)
        self._finish_resampler()

    def _find_anchor(self, horizon_ns: int) -> None:
        """Anchor at the lowest sample index of the stream that starts first, whatever arrived first."""
        first = min(self._pending, key=lambda chunk: (chunk.stamp_ns, chunk.first_sample))
        if first.stamp_ns >= horizon_ns:
            return
        same = [c for c in self._pending if _is_same_stream(c, first, self._drift_ns)]
        self._set_anchor(min(same, key=lambda chunk: chunk.first_sample))

    def _set_anchor(self, chunk: MonoChunk) -> _Anchor:
        self._finish_resampler()
        position = round((chunk.stamp_ns - self._start_ns) * SAMPLE_RATE_HZ / 1_000_000_000)
        first = chunk.first_sample
        self._anchor = _Anchor(chunk.stream_id, chunk.rate_hz, first, chunk.stamp_ns, position, first)
        return self._anchor

    def _key(self, chunk: MonoChunk) -> int:
        """Time by which a chunk is ordered: by index where the stamp agrees with it, by stamp otherwise."""
        if self._anchor is None or not self._agrees(chunk):
            return chunk.stamp_ns
        return self._anchor.nominal_ns(chunk.first_sample)

    def _agrees(self, chunk: MonoChunk) -> bool:
        anchor = self._anchor
        if anchor is None or (chunk.stream_id, chunk.rate_hz) != (anchor.stream_id, anchor.rate_hz):
            return False
        return abs(chunk.stamp_ns - anchor.nominal_ns(chunk.first_sample)) <= self._drift_ns

    def _place(self, chunk: MonoChunk) -> None:
        anchor = self._anchor_for(chunk)
        first, end = chunk.first_sample, chunk.first_sample + len(chunk.samples)
        if first > anchor.next_sample:
            self.counters["gaps"] += 1
            anchor.gaps.append((anchor.next_sample, first))
        first += self._skip_known(chunk, anchor)
        if first < end:
            first += self._skip_closed(first, end - first, anchor)
        if first < end:
            position = anchor.position_of(first)
            if first != anchor.next_sample or (self._resampler is None and self._write_position != position):
                self._finish_resampler()
                self._write_position = max(position, self._write_position)
            self.counters["placed_samples"] += end - first
            samples = self._resample(chunk.samples[first - chunk.first_sample :], anchor.rate_hz)
            if len(samples) > 1 and (step := anchor.follow(chunk)):
                self.counters["drift_samples"] += 1
                samples = np.append(samples, samples[-1:]) if step > 0 else samples[:-1]
            self._write(samples)
        anchor.next_sample = max(end, anchor.next_sample)

    def _anchor_for(self, chunk: MonoChunk) -> _Anchor:
        """Return the anchor that places a chunk, a new one where stream or stamp do not fit the old one."""
        anchor = self._anchor
        if anchor is not None and self._agrees(chunk):
            return anchor
        if anchor is not None:
            self.counters["resyncs" if chunk.stream_id == anchor.stream_id else "stream_changes"] += 1
        return self._set_anchor(chunk)

    def _skip_known(self, chunk: MonoChunk, anchor: _Anchor) -> int:
        """Return how many leading samples lie behind what was placed: seen before, or given up as lost."""
        first = chunk.first_sample
        end = min(anchor.next_sample, first + len(chunk.samples))
        if end <= first:
            return 0
        lost = sum(max(0, min(end, gap_end) - max(first, gap)) for gap, gap_end in anchor.gaps)
        is_whole = end == first + len(chunk.samples)
        self.counters["late_samples"] += lost
        self.counters["late_messages"] += lost > 0
        self.counters["duplicate_samples" if is_whole else "overlap_samples"] += end - first - lost
        self.counters["duplicate_chunks"] += is_whole and not lost
        return end - first

    def _skip_closed(self, first: int, count: int, anchor: _Anchor) -> int:
        """Return how many of ``count`` samples lie where a window is closed or another stream has written."""
        position = anchor.position_of(first)
        floor = self._closed_position
        if self._resampler is None or first != anchor.next_sample:
            floor = max(floor, self._write_position)
        if position >= floor:
            return 0
        skipped = min(math.ceil((floor - position) * anchor.rate_hz / SAMPLE_RATE_HZ), count)
        is_late = position < self._closed_position
        self.counters["late_samples" if is_late else "overlap_samples"] += skipped
        self.counters["late_messages"] += is_late
        return skipped

    def _resample(self, samples: NDArray[np.float32], rate_hz: int) -> NDArray[np.float32]:
        if rate_hz == SAMPLE_RATE_HZ:
            return samples
        if self._resampler is None:
            self._resampler = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
        return np.asarray(self._resampler.resample_chunk(samples), np.float32)

    def _finish_resampler(self) -> None:
        if self._resampler is not None:
            self._write(self._resampler.resample_chunk(np.zeros(0, np.float32), last=True))
            self._resampler = None

    def _write(self, samples: NDArray[np.float32]) -> None:
        offset = 0
        while offset < len(samples):
            index, inside = divmod(self._write_position, MICRO_TURN_SAMPLES)
            count = min(MICRO_TURN_SAMPLES - inside, len(samples) - offset)
            if self._write_position >= self._closed_position:
                slot = self._slots.setdefault(index, _Slot())
                slot.audio[inside : inside + count] = samples[offset : offset + count]
                slot.valid[inside : inside + count] = True
            self._write_position += count
            offset += count


def _is_same_stream(a: MonoChunk, b: MonoChunk, drift_ns: int) -> bool:
    return (a.stream_id, a.rate_hz) == (b.stream_id, b.rate_hz) and abs(a.epoch_ns - b.epoch_ns) <= drift_ns
