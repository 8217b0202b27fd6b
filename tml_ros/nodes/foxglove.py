"""What the robot hears and says, again as foxglove_msgs/RawAudio, which Foxglove plays and draws.

Source: foxglove/foxglove-sdk schemas/ros2/RawAudio.msg: interleaved little-endian samples; pcm-s16 is its only format.
"""

import array
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node

from tml_ros.media import encode
from tml_ros.nodes.messages import fill, message_type
from tml_ros.records import SAMPLE_RATE_HZ, SpeechPiece
from tml_ros.session import TurnRecords

__all__ = ["FoxgloveAudio"]

_TOPICS = ("foxglove/heard", "foxglove/said")


class FoxgloveAudio:
    """Publishes nothing, and says so once, where foxglove_msgs cannot be imported.

    Thread: ``publish`` the engine's, the rest the executor's.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publishers: list[Any] = []
        try:
            self._type = message_type("foxglove_msgs/msg/RawAudio")
        except (ImportError, AttributeError) as err:
            node.get_logger().warning(f"nothing is published for Foxglove: {err}; install or source foxglove_msgs")
            return
        self._publishers = [node.create_publisher(self._type, topic, 10) for topic in _TOPICS]

    def publish(self, done: TurnRecords) -> None:
        """Publish what was heard in a micro-turn, where anything was, and every piece that is said."""
        if not self._publishers:
            return
        heard, said = self._publishers
        if done.turn.audio_valid:
            heard.publish(self._message(done.turn.start_ns, done.turn.audio))
        for record in done.records:
            if isinstance(record, SpeechPiece) and len(record.audio):
                said.publish(self._message(record.stamp_ns, record.audio))

    def close(self) -> None:
        """Stop publishing."""
        for publisher in self._publishers:
            self._node.destroy_publisher(publisher)
        self._publishers = []

    def _message(self, stamp_ns: int, samples: NDArray[np.float32]) -> Any:
        sec, nanosec = divmod(stamp_ns, 1_000_000_000)
        tree = {"timestamp": {"sec": sec, "nanosec": nanosec}, "format": "pcm-s16"}
        message = fill(self._type(), tree | {"sample_rate": SAMPLE_RATE_HZ, "number_of_channels": 1})
        message.data = array.array("B", encode(samples, "S16LE"))
        return message
