"""ROS time for the core, and timers that go on while simulated time stands still."""

import time
from collections.abc import Callable

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.timer import Timer

__all__ = ["NodeClock", "steady_timer"]


class NodeClock:
    """The node's clock (simulated where use_sim_time is set) and the monotonic clock."""

    def __init__(self, node: Node) -> None:
        self._clock = node.get_clock()

    def now_ns(self) -> int:
        """Return ROS time."""
        return int(self._clock.now().nanoseconds)

    def monotonic_ns(self) -> int:
        """Return the monotonic clock of this machine."""
        return time.monotonic_ns()


def steady_timer(node: Node, period_s: float, callback: Callable[[], None]) -> Timer:
    """Make a timer on the machine's steady clock, for housekeeping only: windows never depend on timers."""
    return node.create_timer(period_s, callback, clock=Clock(clock_type=ClockType.STEADY_TIME))
