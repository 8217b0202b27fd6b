"""A message on its way to a recording, and the time line that recordings are laid on. Knows no bag and no alert."""

from dataclasses import dataclass

__all__ = ["IMAGE_TYPES", "Received", "SteadyTime"]

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")

_MAX_STEP_NS = 1_000_000_000
_STANDS_STILL_NS = 2_000_000_000
_FASTEST = 100  # times the speed of life that a simulator or a bag may run at


@dataclass(frozen=True, slots=True)
class Received:
    """A message as it came. topic: absolute. data: CDR. ros_ns: ROS time, may jump. mono_ns: monotonic clock."""

    topic: str
    type: str
    data: bytes
    ros_ns: int
    mono_ns: int


class SteadyTime:
    """Time that never goes back and never jumps: the monotonic clock, or simulated time as far as it moves on smoothly.

    When simulated time stands still for 2 s (a bag has ended), the monotonic clock goes on in its place.

    Thread: one at a time.
    """

    def __init__(self, *, is_simulated: bool = False) -> None:
        self.jumps = 0
        self._is_simulated = is_simulated
        self._now_ns = 0
        self._still_ns = 0
        self._last: tuple[int, int] | None = None

    @property
    def now_ns(self) -> int:
        """Steady time at the last call of ``advance``."""
        return self._now_ns

    def advance(self, ros_ns: int, mono_ns: int) -> int:
        """Take in both clocks and return the steady time in ns, 0 at the first call."""
        if self._last is not None:
            self._now_ns += self._step(ros_ns - self._last[0], max(0, mono_ns - self._last[1]))
        self._last = ros_ns, mono_ns
        return self._now_ns

    def _step(self, step_ns: int, elapsed_ns: int) -> int:
        if not self._is_simulated:
            self.jumps += abs(step_ns - elapsed_ns) > _MAX_STEP_NS
            return elapsed_ns
        if not 0 <= step_ns <= _MAX_STEP_NS + _FASTEST * elapsed_ns:
            self.jumps += 1
            return elapsed_ns
        self._still_ns = 0 if step_ns else self._still_ns + elapsed_ns
        return elapsed_ns if self._still_ns > _STANDS_STILL_NS else step_ns
