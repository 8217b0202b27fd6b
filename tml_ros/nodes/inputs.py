"""The subscriptions of the interaction node: one per input, with the reliability that its publishers offer."""

import functools
from collections.abc import Mapping
from typing import Any, Protocol

from rclpy.node import Node

from tml_ros.nodes.audio_messages import AudioReceiver, AudioSource
from tml_ros.nodes.clock import NodeClock, steady_timer
from tml_ros.nodes.messages import message_type
from tml_ros.nodes.qos import INPUT_QOS, input_profile, offers_best_effort
from tml_ros.wire import INPUT_TYPES

__all__ = ["Counting", "InputSubscriptions", "Receiver"]

_CHECK_PERIOD_S = 0.25
_SILENT_AFTER_CHECKS = 12


class Receiver(AudioReceiver, Protocol):
    """What takes the messages in, such as ``Ingest``."""

    def take(self, topic: str, message: Any, received_ns: int) -> None:
        """Take in a message. topic: one of ``wire.INPUT_TYPES``."""


class Counting(Protocol):
    """What counts what came of the messages, such as ``MicroTurnAssembler``."""

    @property
    def counters(self) -> Mapping[str, int]:
        """Totals by name."""


class InputSubscriptions:
    """Subscribes to every input and feeds what comes.

    Thread: the executor's.
    """

    def __init__(self, node: Node, ingest: Receiver, assembler: Counting, clock: NodeClock) -> None:
        self._node = node
        self._ingest = ingest
        self._assembler = assembler
        self._clock = clock
        self._audio = AudioSource(node, ingest)
        self._types = dict(INPUT_TYPES)
        self._best_effort: set[str] = set()
        self._names = {topic: node.resolve_topic_name(topic) for topic in INPUT_TYPES}
        self._subscriptions = {topic: self._subscribe(topic) for topic in INPUT_TYPES}
        self._quiet_checks = dict.fromkeys(INPUT_TYPES, 0)
        self._timer = steady_timer(node, _CHECK_PERIOD_S, self._check_publishers)

    @property
    def counters(self) -> Mapping[str, int]:
        """What the assembler counted so far."""
        return self._assembler.counters

    def silent_topics(self) -> list[str]:
        """Return the sensor topics that have had a publisher for 3 s and gave nothing."""
        return [
            self._names[topic]
            for topic, checks in self._quiet_checks.items()
            if checks >= _SILENT_AFTER_CHECKS and INPUT_QOS[topic][1]
        ]

    def close(self) -> None:
        """Stop listening."""
        self._node.destroy_timer(self._timer)
        self._audio.close()
        for subscription in self._subscriptions.values():
            self._node.destroy_subscription(subscription)
        self._subscriptions = {}

    def _subscribe(self, topic: str) -> Any:
        callback = functools.partial(self._on_message, topic)
        profile = input_profile(topic, reliable=topic not in self._best_effort)
        return self._node.create_subscription(message_type(self._types[topic]), topic, callback, profile)

    def _on_message(self, topic: str, message: Any) -> None:
        self._quiet_checks[topic] = 0
        self._ingest.take(topic, message, self._clock.now_ns())

    def _check_publishers(self) -> None:
        """Subscribe as the publishers offer: best effort, another message for sound. Notice those that give nothing."""
        for topic, (_, may_be_best_effort) in INPUT_QOS.items():
            name = self._names[topic]
            if self._node.count_publishers(name):
                self._quiet_checks[topic] += 1
            if topic == "audio/in":
                self._follow_type(topic, self._audio.follow(name))
            if may_be_best_effort and topic not in self._best_effort and offers_best_effort(self._node, name):
                self._best_effort.add(topic)
                self._node.get_logger().info(f"{name} is offered as best effort only; subscribing so")
                if topic in self._subscriptions:
                    self._node.destroy_subscription(self._subscriptions[topic])
                    self._subscriptions[topic] = self._subscribe(topic)

    def _follow_type(self, topic: str, type_name: str) -> None:
        """Subscribe to another type: the old subscription must be gone first, and the executor lets it go later."""
        if type_name != self._types[topic]:
            self._types[topic] = type_name
            self._best_effort.discard(topic)
            if topic in self._subscriptions:
                self._node.destroy_subscription(self._subscriptions.pop(topic))
        elif topic not in self._subscriptions:
            self._subscriptions[topic] = self._subscribe(topic)
