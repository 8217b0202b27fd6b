"""A program that plays a robot's sensors on real topics: publishers, messages, and time that passes at its own pace.

It knows no scenes and looks at nothing that comes back.
"""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.task import Future

from tml_ros import wire
from tml_ros.errors import TmlError
from tml_ros.nodes.messages import fill, message_type
from tml_ros.nodes.qos import input_profile
from tml_ros.nodes.spinning import make_executor, spin_until
from tml_ros.records import SAMPLE_RATE_HZ, StampedImage

__all__ = ["Sensors", "image_tree", "sound_tree"]

_PATIENCE_S = 60.0


class Sensors:
    """Publishes inputs of an interaction node.

    Thread: one caller at a time, which also runs the node's callbacks.
    """

    def __init__(self, node: Node, inputs: Sequence[str]) -> None:
        """Prepare. inputs: topics of ``wire.INPUT_TYPES``."""
        self._executor = make_executor()
        self._executor.add_node(node)
        self._publishers = {
            topic: node.create_publisher(
                message_type(wire.INPUT_TYPES[topic]), topic, input_profile(topic, reliable=True)
            )
            for topic in inputs
        }

    def wait_for_listeners(self) -> None:
        """Wait until somebody listens to every input.

        Raises:
            TmlError: nobody does after a minute.
        """
        deadline = time.monotonic() + _PATIENCE_S
        while any(not publisher.get_subscription_count() for publisher in self._publishers.values()):
            if time.monotonic() > deadline:
                raise TmlError(f"no interaction node listens after {_PATIENCE_S:.0f} s; see its log")
            self._spin(0.05)

    def send(self, topic: str, tree: dict[str, Any]) -> None:
        """Publish a message from its field tree."""
        self._publishers[topic].publish(fill(message_type(wire.INPUT_TYPES[topic])(), tree))

    def wait_until(self, stamp_ns: int) -> None:
        """Let time pass until a moment of the system's clock."""
        while (left_ns := stamp_ns - time.time_ns()) > 0:
            self._spin(left_ns / 1e9)

    def _spin(self, seconds: float) -> None:
        spin_until(self._executor, Future(executor=self._executor), seconds)


def image_tree(image: StampedImage) -> dict[str, Any]:
    """Return a sensor_msgs/Image."""
    return {
        "header": wire.header_tree(image.stamp_ns),
        "width": image.width,
        "height": image.height,
        "encoding": image.encoding,
        "step": image.step,
        "data": bytes(image.data),
    }


def sound_tree(stamp_ns: int, stream_id: str, first_sample: int, samples: NDArray[np.float32]) -> dict[str, Any]:
    """Return a tml_interfaces/AudioChunk of one channel. samples: [N] float32 at 16 kHz."""
    return {
        "header": wire.header_tree(stamp_ns),
        "stream_id": stream_id,
        "first_sample": first_sample,
        "sample_rate": SAMPLE_RATE_HZ,
        "channels": 1,
        "encoding": "F32LE",
        "data": samples.astype("<f4").tobytes(),
    }
