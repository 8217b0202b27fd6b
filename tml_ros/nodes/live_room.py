"""A room around a real graph, at the speed of life: the robot is a node in another process, on DDS topics.

Sound, pictures, typed lines and the loudspeaker's reports go out as messages when a device would deliver them; what the
robot publishes goes to the same player as in ``evaluation.room``. Sound is on its way for ``react_s``, as from a sound
card, and what is published later than that after a micro-turn's end takes effect one micro-turn later. It judges not.

Thread: one caller at a time, which also runs the node's callbacks.
"""

import functools
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import rclpy
from numpy.typing import NDArray
from rclpy.node import Node

from tml_ros import wire
from tml_ros.evaluation.room import Room, RoomConfig
from tml_ros.nodes.messages import message_type
from tml_ros.nodes.qos import OUTPUT_QOS
from tml_ros.nodes.sensors import Sensors, image_tree, sound_tree
from tml_ros.records import SAMPLE_RATE_HZ, MicroTurn, StampedImage

__all__ = ["LiveRoom", "live_room"]

_CHUNK = SAMPLE_RATE_HZ // 50
_CHUNK_NS = 20_000_000
_INPUTS = ("audio/in", "audio/reference", "image", "text/in", "playback")


@contextmanager
def live_room(config: RoomConfig) -> Iterator["LiveRoom"]:
    """Begin a room beside a node that is being started. Starts and stops ROS in this process.

    Raises:
        TmlError: no interaction node listens.
    """
    rclpy.init()
    node = Node("live_room", namespace="tml")
    try:
        yield LiveRoom(node, config)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


class LiveRoom(Room):
    """A running interaction node with its player in a room.

    Thread: one caller at a time.
    """

    def __init__(self, node: Node, config: RoomConfig) -> None:
        """Wait until the interaction node listens; the room begins a moment later.

        Raises:
            TmlError: nobody listens after a minute.
        """
        self._sensors = Sensors(node, _INPUTS)
        self._records: list[wire.Published] = []
        for topic, type_name in wire.OUTPUT_TYPES.items():
            take = functools.partial(self._take, topic)
            node.create_subscription(message_type(type_name), topic, take, OUTPUT_QOS[topic])
        self._sensors.wait_for_listeners()
        super().__init__(config, epoch_ns=time.time_ns() + 300_000_000)

    def _take(self, topic: str, message: Any) -> None:
        record = wire.published(topic, message)
        if record is not None:
            self._records.append(record)

    def _work(self, turn: MicroTurn, images: Sequence[StampedImage]) -> tuple[wire.Published, ...]:
        """Deliver a micro-turn as it goes by; return what was published meanwhile."""
        for number in range(len(turn.audio) // _CHUNK):
            end_ns = turn.start_ns + (number + 1) * _CHUNK_NS
            self._sensors.wait_until(end_ns + round(self._config.react_s * 1e9))
            piece = np.s_[number * _CHUNK : (number + 1) * _CHUNK]
            if turn.reference is not None:
                self._send_sound("audio/reference", "loudspeaker", turn, number, turn.reference[piece])
            self._send_sound("audio/in", "microphone", turn, number, turn.audio[piece])
            self._send_others(turn, images, end_ns - _CHUNK_NS, end_ns)
        records, self._records = tuple(self._records), []
        return records

    def _send_others(self, turn: MicroTurn, images: Sequence[StampedImage], start_ns: int, end_ns: int) -> None:
        for text in turn.texts:
            if start_ns <= text.stamp_ns < end_ns:
                self._sensors.send("text/in", {"data": text.text})
        for image in images:
            if start_ns <= image.stamp_ns < end_ns:
                self._sensors.send("image", image_tree(image))
        for report in self._reports:
            if start_ns < report.stamp_ns <= end_ns or (start_ns == turn.start_ns and report.stamp_ns <= start_ns):
                fields = {"utterance_id": report.utterance_id, "state": int(report.state)}
                played = {"samples_played": report.samples_played}
                self._sensors.send("playback", {"header": wire.header_tree(report.stamp_ns), **fields, **played})

    def _send_sound(self, topic: str, stream: str, turn: MicroTurn, number: int, samples: NDArray[np.float32]) -> None:
        stamp_ns, first = turn.start_ns + number * _CHUNK_NS, turn.index * len(turn.audio) + number * _CHUNK
        self._sensors.send(topic, sound_tree(stamp_ns, stream, first, samples))
