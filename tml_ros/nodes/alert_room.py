"""A bench before a real graph: a camera and a microphone on DDS topics, and a note of every alert and its first sound.

Each picture is published when it is due, stamped with that moment, and each 20 ms of sound when they are over, as
drivers do. What comes back is noted with the time at which it came here. It judges nothing.

Thread: one caller at a time, which also runs the node's callbacks.
"""

import functools
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import rclpy
from rclpy.node import Node

from tml_ros import wire
from tml_ros.evaluation.alert_stage import Segment
from tml_ros.evaluation.shift_alerts import AlertEvent
from tml_ros.nodes.messages import message_type
from tml_ros.nodes.qos import OUTPUT_QOS, input_profile
from tml_ros.nodes.sensors import Sensors, image_tree, sound_tree
from tml_ros.records import MICRO_TURN_NS, SAMPLE_RATE_HZ, PlaybackReport, SafetyAlert, SpeechPiece, StampedImage

__all__ = ["AlertRoom", "Notes", "Shown", "alert_room"]

_CHUNK = SAMPLE_RATE_HZ // 50
_CHUNK_NS = 20_000_000
_INPUTS = ("audio/in", "image", "text/in")
_LISTENS = ("safety_alert", "speech", "micro_turn", "delegation")


@dataclass(frozen=True, slots=True)
class Shown:
    """Evidence that was shown. Times are those of the stamps. block: what the graph had to bear meanwhile."""

    kind: str
    block: str
    begin_ns: int
    end_ns: int


@dataclass(slots=True)
class Notes:
    """What was shown and what came back, each with the time at which it came."""

    shown: list[Shown] = field(default_factory=list)
    alerts: list[AlertEvent] = field(default_factory=list)
    pieces: list[tuple[int, SpeechPiece]] = field(default_factory=list)
    reports: list[tuple[int, PlaybackReport]] = field(default_factory=list)
    came: Counter[str] = field(default_factory=Counter)


@contextmanager
def alert_room(fps: float, *, has_player: bool = False) -> Iterator["AlertRoom"]:
    """Begin beside nodes that are being started. Starts and stops ROS in this process.

    Raises:
        TmlError: no interaction node listens.
    """
    rclpy.init()
    node = Node("alert_room", namespace="tml")
    try:
        yield AlertRoom(node, fps, has_player=has_player)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


class AlertRoom:
    """Camera, microphone and witness.

    Thread: one caller at a time.
    """

    def __init__(self, node: Node, fps: float, *, has_player: bool) -> None:
        """Wait until the interaction node listens.

        Raises:
            TmlError: nobody listens after a minute.
        """
        self.notes = Notes()
        self._fps = fps
        self._sensors = Sensors(node, _INPUTS)
        for topic in _LISTENS:
            take = functools.partial(self._take, topic)
            node.create_subscription(message_type(wire.OUTPUT_TYPES[topic]), topic, take, OUTPUT_QOS[topic])
        if has_player:
            kind = message_type(wire.INPUT_TYPES["playback"])
            node.create_subscription(kind, "playback", self._take_report, input_profile("playback", reliable=True))
        self._sensors.wait_for_listeners()
        self._chunks = 0
        self._epoch_ns = time.time_ns()
        self._frame_ns = self._epoch_ns
        self._sound: tuple[int, Segment] | None = None

    def play(self, segment: Segment, block: str = "", phase: float | None = None) -> None:
        """Show a segment at the speed of life.

        Args:
            segment: what to show.
            block: to be noted with its evidence.
            phase: where in a micro-turn its first picture lies, 0 to 1: it waits for that, while the sound goes on;
                None: at once.
        """
        start_ns = self._frame_ns
        if phase is not None:
            start_ns += round(phase * MICRO_TURN_NS + self._epoch_ns - start_ns) % MICRO_TURN_NS
        self._sound = (start_ns, segment)
        if segment.begin_s is not None and segment.end_s is not None:
            begin_ns, end_ns = (start_ns + round(at_s * 1e9) for at_s in (segment.begin_s, segment.end_s))
            self.notes.shown.append(Shown(segment.kind, block, begin_ns, end_ns))
        for number, rgb in enumerate(segment.frames):
            due_ns = start_ns + round(number / self._fps * 1e9)
            self._wait_until(due_ns)
            height, width = rgb.shape[:2]
            image = StampedImage(due_ns, "rgb8", rgb.tobytes(), width, height, 3 * width)
            self._sensors.send("image", image_tree(image))
        self._frame_ns = start_ns + round(len(segment.frames) / self._fps * 1e9)

    def type(self, text: str) -> None:
        """Type a line to the robot."""
        self._sensors.send("text/in", {"data": text})

    # ------------------------------------------------------------------------------------------------- inside

    def _take(self, topic: str, message: Any) -> None:
        now_ns = time.time_ns()
        record = wire.published(topic, message)
        self.notes.came[topic] += 1
        if isinstance(record, SafetyAlert):
            self.notes.alerts.append(AlertEvent(now_ns, record))
        elif isinstance(record, SpeechPiece):
            self.notes.pieces.append((now_ns, record))

    def _take_report(self, message: Any) -> None:
        self.notes.reports.append((time.time_ns(), wire.playback_report(message)))

    def _wait_until(self, stamp_ns: int) -> None:
        """Let time pass; send every chunk of sound when it is over."""
        while True:
            end_ns = self._epoch_ns + (self._chunks + 1) * _CHUNK_NS
            self._sensors.wait_until(min(end_ns, stamp_ns))
            if end_ns > stamp_ns:
                return
            start_ns = end_ns - _CHUNK_NS
            self._sensors.send(
                "audio/in", sound_tree(start_ns, "microphone", self._chunks * _CHUNK, self._heard(start_ns))
            )
            self._chunks += 1

    def _heard(self, start_ns: int) -> "np.ndarray[Any, np.dtype[np.float32]]":
        """Return what the microphone hears in 20 ms."""
        chunk = np.zeros(_CHUNK, np.float32)
        if self._sound is None:
            return chunk
        first = round((start_ns - self._sound[0]) / 1e9 * SAMPLE_RATE_HZ)
        part = self._sound[1].sound[max(0, first) : max(0, first + _CHUNK)]
        chunk[max(0, -first) : max(0, -first) + len(part)] = part[:_CHUNK]
        return chunk
