"""Positions in a running sound stream as ROS time, without drift and without the jitter of callbacks.

A device counts samples by a crystal of its own, some hundred ppm off this computer's clock, and a callback comes when
the scheduler lets it: late, never early. So a second of callbacks is taken by one of the earliest, and a second-order
loop follows those: at first as in a least-squares fit (quick to settle), later with a fading memory of four minutes
(quiet, and no error grows). How far the device is from its callback comes from the device's own time, as a median.

Knows no device and no sound: numbers in, stamps out. PulseAudio behind ALSA tells device time wrongly by a whole buffer
for a second after each stall, and PortAudio gives 0 for some devices: hence the arrival of callbacks leads. Device time
only adds its mean over minutes, or over less where callbacks come late by chance. Where callbacks come later, by 15 ms
at once or by 4 ms a second under PulseAudio, and device time says just that, nothing happened to the samples
themselves: their stamps stay as they are.

Thread: used by one thread at a time.

Source: the gains of a growing-memory linear fit, alpha = 2(2n-1)/(n(n+1)), beta = 6/(n(n+1)) (Brookner, Tracking and
Kalman Filtering Made Easy, 1998, section 1.2.10); measurements in docs/lab_notes.md.
"""

from collections import deque
from statistics import median, median_low

__all__ = ["DeviceClock"]

_BLOCK_NS = 1_000_000_000  # enough callbacks for one to be early, often enough to follow a crystal that warms up
_RANK = 5  # the earliest but so many count, or but a tenth: deaf to a single reading that is absurdly early
_SETTLE_BLOCKS = 8  # PulseAudio's first callbacks come up to 9 ms off, which says nothing of the rate
_MEMORY_BLOCKS = 240  # four minutes: the rate to a few ppm under 15 ms of jitter, 1 ms behind a fast warm-up
_AGREED_NS = 1_000_000  # callbacks later by anything, and device time within so much of that
_JUMP_NS = 8_000_000  # more than 15 ms of jitter ever leaves of the earliest, less than the 40 ms that windows tolerate
_LEAST_JUMP_NS, _JUMP_TIMES = 2_000_000, 8  # with callbacks that come in time, so many of their mean errors are a jump
_JUMP_BLOCKS = 4  # a machine that stalls is back by then; what still differs is another delay
_DOUBTED_BLOCKS = 40  # what counts of the rate after it: a wrong one makes jumps, too
_MOST_PHASE_NS = 5_000_000  # of an error that is believed in at once
_MOST_RATE_NS = 1_000_000  # likewise for the rate: 1000 ppm over a block
_MAX_DRIFT = 1e-3  # crystals stay within 0.0005
_CLOCK_STEP_NS = 20_000_000  # ROS time against the monotonic clock; slewing moves it by far less between callbacks
_MAX_OFFSET_S = 2.0  # a device further from its callback is telling nonsense
_OFFSET_BLOCKS = 9  # the median of these forgets the second after a stall
_OFFSET_GAIN = 0.02  # per block and ms of error of arrivals, towards that median: where they are sure, it is their word
_MOST_OFFSET_GAIN = 0.05
_UNSURE_GAIN = 0.05  # per block


class DeviceClock:
    """Stamps for the samples of one stream; a new stream takes a new one.

    Args:
        rate_hz: what the device claims.
        fallback_offset_s: where the device is, seen from the callback, as long as device time is unusable: minus the
            latency of an input (the sample is older than its callback), plus that of an output.
    """

    def __init__(self, rate_hz: float, fallback_offset_s: float = 0.0) -> None:
        self.jumps = 0
        self._nominal_ns = self._period_ns = 1e9 / rate_hz
        self._anchor_sample = self._anchor_ns = 0  # a point of the line of arrivals, and a fraction of 1 ns
        self._fraction_ns = 0.0
        self._offset_ns = self._fallback_ns = fallback_offset_s * 1e9
        self._offsets: deque[float] = deque(maxlen=_OFFSET_BLOCKS)
        self._offset_blocks = 0  # in the mean that the offset is at first
        self._unsure_ns = _JUMP_NS / _JUMP_TIMES  # mean error of arrivals
        self._seen: list[tuple[float, float | None]] = []  # of this block: lateness, offset
        self._block_ns: int | None = None  # monotonic time at which it began
        self._blocks = 0
        self._far: list[float] = []
        self._clock_offset_ns = 0  # ROS time minus the monotonic clock
        self._last_stamp_ns: int | None = None

    @property
    def drift_ppm(self) -> float:
        """How much longer the device takes for its samples than their nominal rate says."""
        return (self._period_ns / self._nominal_ns - 1.0) * 1e6

    @property
    def latency_s(self) -> float:
        """How far the device is from its callback, negative for an input."""
        return self._offset_ns / 1e9

    @property
    def uses_device_time(self) -> bool:
        """Whether the device told its time, in most of the last seconds; else its latency is a guess."""
        return bool(self._offsets)

    def update(self, sample: int, device_s: float, current_s: float, now_ns: int, monotonic_ns: int) -> int:
        """Take one callback and return the stamp of its first sample in ns: ``observe``, then ``stamp_ns``."""
        self.observe(sample, device_s, current_s, now_ns, monotonic_ns)
        return self.stamp_ns(sample)

    def observe(self, sample: int, device_s: float, current_s: float, now_ns: int, monotonic_ns: int) -> None:
        """Take one callback.

        Args:
            sample: position of the first sample of the callback's buffer.
            device_s: device time at which that sample passes the microphone or loudspeaker.
            current_s: time of the callback by the same clock.
            now_ns: ROS time in the callback.
            monotonic_ns: the monotonic clock in the callback.
        """
        if self._block_ns is None:
            self._anchor_sample, self._anchor_ns, self._block_ns = sample, now_ns, monotonic_ns
        else:
            self._follow_clock_step(now_ns - monotonic_ns - self._clock_offset_ns)
        self._clock_offset_ns = now_ns - monotonic_ns
        self._see(now_ns - self._arrival_ns(sample), _offset_ns(device_s, current_s))
        if monotonic_ns - self._block_ns >= _BLOCK_NS:
            self._end_block(sample)
            self._block_ns = monotonic_ns

    def stamp_ns(self, sample: int) -> int:
        """Return the time of a sample near the newest update; asked in order, stamps never go backwards.

        The exception is a step of ROS time itself, which they follow at once.
        """
        stamp_ns = round(self._arrival_ns(sample) + self._offset_ns)
        if self._last_stamp_ns is not None:
            stamp_ns = max(stamp_ns, self._last_stamp_ns)
        self._last_stamp_ns = stamp_ns
        return stamp_ns

    def lost_samples(self, sample: int, device_s: float, current_s: float, now_ns: int) -> int:
        """Return how many samples went missing before a callback, after the stream has reported an overrun.

        Args:
            sample: position of the callback's first sample if nothing were missing.
            device_s: as for ``update``, and so are the others.
            current_s: as for ``update``.
            now_ns: as for ``update``.
        """
        if self._block_ns is None:
            return 0
        offset_ns = _offset_ns(device_s, current_s)
        late_ns = now_ns - self._arrival_ns(sample) + (0.0 if offset_ns is None else offset_ns - self._offset_ns)
        return max(0, round(late_ns / self._period_ns))

    def _arrival_ns(self, sample: int) -> int:
        """Return when the callback of a sample comes at the earliest, in whole ns: beyond a float's 53 bits."""
        moved_ns = self._fraction_ns + (sample - self._anchor_sample) * self._period_ns
        return self._anchor_ns + round(moved_ns)

    def _see(self, late_ns: float, offset_ns: float | None) -> None:
        if self._blocks == 0:
            if late_ns < 0:  # no full second yet: the earliest so far is the best guess
                self._anchor_ns += round(late_ns)
                self._seen = [(other - late_ns, offset) for other, offset in self._seen]
                late_ns = 0.0
            if offset_ns is not None and late_ns == 0.0:
                self._offset_ns = offset_ns
        self._seen.append((late_ns, offset_ns))

    def _follow_clock_step(self, step_ns: int) -> None:
        """Move with ROS time when somebody sets it; slewing, and a pause between the two readings, are left alone."""
        if abs(step_ns) > _CLOCK_STEP_NS:
            self.jumps += 1
            self._anchor_ns += step_ns
            self._last_stamp_ns = None

    def _end_block(self, sample: int) -> None:
        """Correct phase and rate by the earliest callbacks of the last second."""
        seen = sorted(self._seen, key=lambda one: one[0])
        self._seen = []
        error = seen[min(_RANK, len(seen) // 10)][0]
        told = [(late, offset) for late, offset in seen[: max(1, len(seen) // 4)] if offset is not None]
        if told and self._blocks:
            device_error = median(late + offset for late, offset in told) - self._offset_ns
            if abs(device_error) <= _AGREED_NS:
                self._trade(round(error))
                error = device_error
        self._see_offset([offset for _, offset in told])
        if self._blocks and abs(error) > min(max(_JUMP_TIMES * self._unsure_ns, _LEAST_JUMP_NS), _JUMP_NS):
            self._far.append(error)
            if len(self._far) >= _JUMP_BLOCKS:
                self._jump(sample)
        else:
            self._far = []
            self._unsure_ns += _UNSURE_GAIN * (abs(error) - self._unsure_ns)
            self._correct(sample, error)

    def _trade(self, later_ns: int) -> None:
        """Let callbacks come later by so much, and the device be further from them: no stamp changes."""
        self._anchor_ns += later_ns
        self._offset_ns -= later_ns
        self._offsets = deque((offset_ns - later_ns for offset_ns in self._offsets), self._offsets.maxlen)

    def _see_offset(self, offsets: list[float]) -> None:
        """Take the device time of the earliest callbacks of a block: of those that came late it is worth less."""
        if not offsets:
            if self._offsets:
                self._offsets.popleft()
            return
        self._offsets.append(median(offsets))
        if min(abs(offset_ns - self._offset_ns) for offset_ns in self._offsets) > _JUMP_NS:  # no reading is near
            self._offset_blocks = 0
        self._offset_blocks += 1
        gain = max(1.0 / self._offset_blocks, min(_OFFSET_GAIN * self._unsure_ns / 1e6, _MOST_OFFSET_GAIN))
        self._offset_ns += (median_low(self._offsets) - self._offset_ns) * gain

    def _jump(self, sample: int) -> None:
        """Another delay than before (the stream was moved, the machine slept): keep the rate, take the new phase."""
        self.jumps += 1
        self._offset_blocks = 0
        self._blocks = min(self._blocks, _DOUBTED_BLOCKS)
        self._move_anchor(sample)
        self._anchor_ns += round(median_low(self._far))
        self._far = []

    def _correct(self, sample: int, error: float) -> None:
        self._blocks += 1
        n = min(max(self._blocks - _SETTLE_BLOCKS, min(self._blocks, _SETTLE_BLOCKS // 2)), _MEMORY_BLOCKS)
        alpha, beta = 2 * (2 * n - 1) / (n * (n + 1)), 6 / (n * (n + 1))
        span = sample - self._anchor_sample
        self._move_anchor(sample)
        self._fraction_ns += alpha * _clipped(error, _MOST_PHASE_NS if n > 1 else _BLOCK_NS)
        if self._blocks > _SETTLE_BLOCKS and span > 0:
            period_ns = self._period_ns + beta * _clipped(error, _MOST_RATE_NS) / span
            self._period_ns = self._nominal_ns + _clipped(period_ns - self._nominal_ns, _MAX_DRIFT * self._nominal_ns)

    def _move_anchor(self, sample: int) -> None:
        """Make a sample the anchor, where it lies by now."""
        moved_ns = self._fraction_ns + (sample - self._anchor_sample) * self._period_ns
        self._anchor_sample, self._anchor_ns = sample, self._anchor_ns + round(moved_ns)
        self._fraction_ns = moved_ns - round(moved_ns)


def _offset_ns(device_s: float, current_s: float) -> float | None:
    """Return how far the device is from its callback, None when it does not tell."""
    offset_s = device_s - current_s
    if device_s <= 0.0 or current_s <= 0.0 or abs(offset_s) > _MAX_OFFSET_S:
        return None
    return offset_s * 1e9


def _clipped(value: float, most: float) -> float:
    return min(max(value, -most), most)
