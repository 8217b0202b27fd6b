"""Publish a bag on its own topics at its own pace, for machines without ``ros2 bag``.

Messages go out as they were recorded, byte for byte. /clock is published before every message and in between, so that
nodes with use_sim_time follow the bag.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rclpy
from builtin_interfaces.msg import Time
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock

from tml_ros.bags import BagReader, BagTopic
from tml_ros.errors import BagError
from tml_ros.nodes.messages import message_type
from tml_ros.wire import OUTPUT_TYPES

__all__ = ["PlayOptions", "play_bag"]

_CLOCK_PERIOD_NS = 10_000_000
_MATCHING_S = 0.2  # a subscriber that a publisher knows may still be about to know the publisher


@dataclass(frozen=True, slots=True)
class PlayOptions:
    """How to play. subscribers: how many must be there on every topic; after wait_s playing begins without them.

    with_outputs: whether to play what an interaction node had published, too, which a live one would publish again.
    """

    rate: float = 1.0
    with_clock: bool = True
    with_outputs: bool = True
    loop: bool = False
    wait_s: float = 2.0
    subscribers: int = 1


def play_bag(path: Path, options: PlayOptions) -> dict[str, Any]:
    """Play a bag and return what was published, by topic.

    Raises:
        BagError: the bag is missing, damaged, empty, or holds no type that is installed.
    """
    rclpy.init()
    node = Node("bag_player")
    try:
        with BagReader(path) as reader:
            player = _Player(node, reader, options)
            player.wait_for_subscribers()
            player.play()
            while options.loop and rclpy.ok():
                player.play()
            player.finish()
            return player.summary()
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


class _Player:
    def __init__(self, node: Node, reader: BagReader, options: PlayOptions) -> None:
        self._node = node
        self._reader = reader
        self._options = options
        self._publishers = self._make_publishers()
        self._clock = node.create_publisher(Clock, "/clock", 10) if options.with_clock else None
        self._published = dict.fromkeys(self._publishers, 0)
        self._late_s = 0.0

    def _make_publishers(self) -> dict[str, Any]:
        publishers, unknown = {}, []
        for topic in self._reader.info.topics.values():
            if _is_output(topic) and not self._options.with_outputs:
                continue
            try:
                publishers[topic.name] = self._node.create_publisher(
                    message_type(topic.type), topic.name, _offered(topic)
                )
            except (ImportError, AttributeError):
                unknown.append(f"{topic.name} ({topic.type})")
        if unknown:
            self._node.get_logger().warning(f"not played, their types are not installed: {', '.join(unknown)}")
        if not publishers:
            raise BagError(f"{self._reader.info.path} holds no topic whose type is installed; there is nothing to play")
        return publishers

    def wait_for_subscribers(self) -> None:
        deadline = time.monotonic() + self._options.wait_s
        while time.monotonic() < deadline:
            if all(p.get_subscription_count() >= self._options.subscribers for p in self._publishers.values()):
                time.sleep(_MATCHING_S)
                return
            time.sleep(0.02)

    def play(self) -> None:
        start_ns, began_ns = self._reader.info.start_ns, time.monotonic_ns()
        now_ns = start_ns
        for message in self._reader.messages(set(self._publishers), raw=True):
            while True:
                if not rclpy.ok():
                    return
                step_ns = min(message.log_ns, now_ns + _CLOCK_PERIOD_NS)
                self._sleep_until(began_ns + int((step_ns - start_ns) / self._options.rate))
                now_ns = step_ns
                self._tick(now_ns)
                if now_ns >= message.log_ns:
                    break
            self._publishers[message.topic].publish(message.message)
            self._published[message.topic] += 1

    def finish(self) -> None:
        """Wait until reliable subscribers have everything."""
        for publisher in self._publishers.values():
            publisher.wait_for_all_acked(rclpy.duration.Duration(seconds=2.0))

    def summary(self) -> dict[str, Any]:
        return {"published": self._published, "worst_lateness_ms": round(self._late_s * 1e3, 1)}

    def _sleep_until(self, due_ns: int) -> None:
        ahead_s = (due_ns - time.monotonic_ns()) / 1e9
        if ahead_s > 0:
            time.sleep(ahead_s)
        else:
            self._late_s = max(self._late_s, -ahead_s)

    def _tick(self, now_ns: int) -> None:
        if self._clock is not None:
            stamp = Time(sec=now_ns // 1_000_000_000, nanosec=now_ns % 1_000_000_000)
            self._clock.publish(Clock(clock=stamp))


def _is_output(topic: BagTopic) -> bool:
    return any(topic.name.endswith(f"/{name}") and topic.type == kind for name, kind in OUTPUT_TYPES.items())


def _offered(topic: BagTopic) -> QoSProfile:
    """Return the QoS that was recorded, reliable with enough depth where the bag does not say."""
    recorded = topic.qos[0] if topic.qos else None
    reliable = recorded is None or recorded.reliability != "best_effort"
    latched = recorded is not None and recorded.durability == "transient_local"
    return QoSProfile(
        depth=max(10, min(1000, recorded.depth if recorded else 100)),
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )
