"""Watch a running interaction node over DDS: gather a RunLog, record a bag.

Takes part in nothing: it only subscribes. Messages are received as bytes, recorded as they are, and decoded where the
log needs them.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import rclpy
import soxr
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.serialization import deserialize_message
from rclpy.task import Future

from tml_ros import wire
from tml_ros.bags import BagWriter
from tml_ros.errors import TmlError
from tml_ros.media import decode, to_rgb
from tml_ros.media.jpeg import thumbnail
from tml_ros.nodes.messages import message_type
from tml_ros.nodes.qos import OUTPUT_QOS, input_profile
from tml_ros.nodes.spinning import make_executor, spin_until
from tml_ros.records import MICRO_TURN_NS, SAMPLE_RATE_HZ, AudioChunk, SpeechControl, SpeechPiece, TurnMetrics
from tml_ros.replay.runlog import RunLog, TurnRow

__all__ = ["Observer", "observe"]

_THUMBNAIL_EVERY_NS = 1_000_000_000


class Observer(Node):
    """Collects what a session publishes and what its inputs are.

    Thread: the executor's.
    """

    def __init__(
        self,
        log: RunLog,
        writer: BagWriter | None = None,
        on_turn: Callable[[TurnRow], None] | None = None,
        namespace: str = "tml",
    ) -> None:
        super().__init__("observer", namespace=namespace)
        self._log = log
        self._writer = writer
        self._on_turn = on_turn
        self._early: list[Callable[[], None]] = []
        self._lateness_ns: dict[int, int] = {}
        self._next_picture_ns = 0
        self._newest_ns = 0
        for topic, type_name in wire.OUTPUT_TYPES.items():
            self._observe(topic, type_name, OUTPUT_QOS[topic])
        for topic, type_name in wire.INPUT_TYPES.items():
            self._observe(topic, type_name, input_profile(topic, reliable=True))

    @property
    def is_watched(self) -> bool:
        """Whether the interaction node's metrics are being published."""
        return bool(self.count_publishers(self.resolve_topic_name("micro_turn")))

    def _observe(self, topic: str, type_name: str, qos: Any) -> None:
        callback = functools.partial(self._on_message, topic, type_name)
        self.create_subscription(message_type(type_name), topic, callback, qos, raw=True)

    def _on_message(self, topic: str, type_name: str, data: bytes) -> None:
        if self._writer is not None:
            self._newest_ns = max(self._newest_ns, self.get_clock().now().nanoseconds)
            self._writer.write_raw(self.resolve_topic_name(topic), type_name, data, self._newest_ns)
        message = deserialize_message(data, message_type(type_name))
        record = wire.published(topic, message)
        if isinstance(record, TurnMetrics) and self._log.start_ns is None:
            self._log.start_ns = record.stamp_ns - (record.window_seq + 1) * MICRO_TURN_NS
            for waiting in self._early:
                waiting()
            self._early.clear()
        work = functools.partial(self._take_in, topic, message, self._as_heard(record))
        if self._log.start_ns is None:
            self._early.append(work)
        else:
            work()

    def _as_heard(self, record: "wire.Published | None") -> "wire.Published | None":
        """Move speech to the time at which it could really leave the loudspeaker: not before it came."""
        now_ns = self.get_clock().now().nanoseconds
        if isinstance(record, SpeechPiece):
            late_ns = self._lateness_ns.setdefault(record.utterance_id, max(0, now_ns - record.stamp_ns))
            return replace(record, stamp_ns=record.stamp_ns + late_ns)
        if isinstance(record, SpeechControl):
            return replace(record, stamp_ns=max(now_ns, record.stamp_ns))
        return record

    def _take_in(self, topic: str, message: Any, record: "wire.Published | None") -> None:
        if record is not None:
            self._log.add(record)
            if isinstance(record, TurnMetrics) and self._on_turn is not None:
                self._on_turn(self._log.turns[-1])
            return
        try:
            if topic == "audio/in":
                self._hear(wire.audio_chunk(message, 0))
            elif topic.startswith("image"):
                self._see(topic, message)
        except TmlError as err:
            self.get_logger().debug(f"{topic}: {err}")

    def _hear(self, chunk: AudioChunk) -> None:
        samples = decode(chunk)[0].mean(axis=1)
        if chunk.rate_hz != SAMPLE_RATE_HZ:
            samples = soxr.resample(samples, chunk.rate_hz, SAMPLE_RATE_HZ)
        self._log.add_heard(chunk.stamp_ns, np.asarray(samples, np.float32))

    def _see(self, topic: str, message: Any) -> None:
        image = wire.image(message, 0) if topic == "image" else wire.compressed_image(message, 0)
        if image.stamp_ns >= self._next_picture_ns:
            self._next_picture_ns = image.stamp_ns + _THUMBNAIL_EVERY_NS
            self._log.add_picture(image.stamp_ns, thumbnail(to_rgb(image)))


@contextmanager
def observe(
    log: RunLog, writer: BagWriter | None = None, on_turn: Callable[[TurnRow], None] | None = None
) -> Iterator["Watch"]:
    """Observe, on the bag's time, until the block ends. Starts and stops ROS in this process."""
    rclpy.init()
    observer = Observer(log, writer, on_turn)
    try:
        observer.set_parameters([Parameter("use_sim_time", value=True)])
        yield Watch(observer)
    finally:
        observer.destroy_node()
        rclpy.try_shutdown()


class Watch:
    """An observer and what works it."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._executor = make_executor()
        self._executor.add_node(observer)

    @property
    def is_watched(self) -> bool:
        """Whether an interaction node is active."""
        return self._observer.is_watched

    def work(self, seconds: float) -> None:
        """Take in what comes during that time."""
        spin_until(self._executor, Future(executor=self._executor), seconds)
