"""Sample indices and smooth stamps for sound messages that count no samples themselves.

Samples are counted. The stamps, which come late by the wait for a processor or a network but never early, only say
whether the count still holds: the least late one of the last moments does. When even that one is late by a message or
more, so much is missing, and the count moves on by it; smaller differences are clock drift and are followed slowly. So
jitter stays jitter, and a lost message shows as a gap of its length soon after it was lost. Knows no bytes and no ROS.
"""

from collections import deque
from dataclasses import dataclass

__all__ = ["ARRIVAL", "STAMPED", "Place", "SampleClock", "StampQuality"]

_MS = 1_000_000
_SLEW = 0.002  # of the time that passes: four times the drift of a poor crystal against a poor crystal


@dataclass(frozen=True, slots=True)
class StampQuality:
    """How far stamps can be relied on.

    patience_ns: how long stamps must be late before something counts as missing; a process or network that stops for
    less delivers all of it afterwards. loss_ns: what is missing then, when it is no whole number of messages.
    ahead_ns, behind_ns: how far a stamp may lie before or after the count without beginning a new stream.
    """

    patience_ns: int
    loss_ns: int
    sees_single_messages: bool
    ahead_ns: int
    behind_ns: int


STAMPED = StampQuality(
    patience_ns=300 * _MS, loss_ns=40 * _MS, sees_single_messages=True, ahead_ns=1_000 * _MS, behind_ns=1_000 * _MS
)
ARRIVAL = StampQuality(
    patience_ns=1_000 * _MS, loss_ns=250 * _MS, sees_single_messages=False, ahead_ns=10_000 * _MS, behind_ns=1_000 * _MS
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message belongs. stream: counts up from 1. stamp_ns: time of the sample ``first_sample``, smoothed."""

    stream: int
    first_sample: int
    stamp_ns: int


class SampleClock:
    """Places the messages of one microphone, in the order in which they come.

    Thread: one caller at a time.
    """

    def __init__(self) -> None:
        self._stream = 0
        self._key: tuple[int, int, StampQuality] | None = None
        self._origin_ns = 0
        self._next = 0
        self._late_ns: deque[tuple[int, int]] = deque()  # per message: its first sample, and how late its stamp was

    def place(self, stamp_ns: int, frames: int, rate_hz: int, channels: int, quality: StampQuality) -> Place:
        """Return where a message belongs.

        Args:
            stamp_ns: time of its first sample, as far as anybody knows.
            frames: samples per channel, at least 1.
            rate_hz: at least 1; another rate or channel count begins a new stream.
        """
        key = (rate_hz, channels, quality)
        late_ns = stamp_ns - self._time_of(self._next) if self._key == key else 0
        if self._key != key or not -quality.ahead_ns <= late_ns <= quality.behind_ns:
            self._begin(stamp_ns, key)
            late_ns = 0
        self._late_ns.append((self._next, late_ns))
        self._mend(frames, rate_hz, quality)
        place = Place(self._stream, self._next, self._time_of(self._next))
        self._next += frames
        return place

    def _begin(self, stamp_ns: int, key: tuple[int, int, StampQuality]) -> None:
        self._stream += 1
        self._key = key
        self._origin_ns, self._next = stamp_ns, 0
        self._late_ns.clear()

    def _time_of(self, sample: int) -> int:
        rate_hz = self._key[0] if self._key else 1
        return self._origin_ns + sample * 1_000_000_000 // rate_hz

    def _mend(self, frames: int, rate_hz: int, quality: StampQuality) -> None:
        """Compare the count with the least late stamp, once there are enough of them."""
        patience = quality.patience_ns * rate_hz // 1_000_000_000
        while len(self._late_ns) > 2 and self._late_ns[1][0] <= self._next - patience:
            self._late_ns.popleft()
        if len(self._late_ns) < 2 or self._late_ns[0][0] > self._next - patience:
            return
        least_ns = min(late_ns for _, late_ns in self._late_ns)
        lost = _lost_samples(least_ns, frames, rate_hz, quality)
        if lost:
            self._next += lost
            self._forgive(lost * 1_000_000_000 // rate_hz)
            return
        most_ns = max(late_ns for _, late_ns in self._late_ns)
        if quality.sees_single_messages and most_ns <= -quality.loss_ns:  # a gap was seen where there was none
            self._origin_ns += most_ns
            self._forgive(most_ns)
            return
        limit_ns = round(frames * _SLEW * 1e9 / rate_hz)
        slew_ns = max(-limit_ns, min(limit_ns, least_ns))
        self._origin_ns += slew_ns
        self._forgive(slew_ns)

    def _forgive(self, by_ns: int) -> None:
        self._late_ns = deque((sample, late_ns - by_ns) for sample, late_ns in self._late_ns)


def _lost_samples(late_ns: int, frames: int, rate_hz: int, quality: StampQuality) -> int:
    """Return how many samples are missing when every stamp is at least so late: whole messages where that fits."""
    late = late_ns * rate_hz // 1_000_000_000
    messages = round(late / frames)
    if quality.sees_single_messages and messages >= 1 and abs(late - messages * frames) <= frames // 4:
        return messages * frames
    return late if late_ns >= quality.loss_ns else 0
