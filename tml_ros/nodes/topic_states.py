"""What a background model may read of the robot: the newest message of listed topics, and the camera's picture.

Messages are kept as they came and turned into bounded JSON only when somebody asks. It never publishes, and everything
that is not listed is closed.
"""

import array
import functools
import logging
import math
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from rclpy.node import Node

from tml_ros import wire
from tml_ros.errors import ConfigError, InputError
from tml_ros.media import to_rgb
from tml_ros.nodes.clock import steady_timer
from tml_ros.nodes.messages import message_type, to_jpeg
from tml_ros.nodes.qos import newest_offer, newest_qos

__all__ = ["TopicStates", "to_json"]

_CHECK_PERIOD_S = 0.5
_PICTURE_MAX_AGE_S = 5.0
_MAX_ITEMS = 32
_MAX_TEXT = 1000
_MAX_VALUES = 1000
_MAX_DEPTH = 8
_ENTRY = re.compile(r"(?P<topic>[^=\s]+)=(?P<type>[A-Za-z]\w*/msg/[A-Za-z]\w*)")
_log = logging.getLogger(__name__)


class _Newest:
    """The newest message of one topic, subscribed to with what its publishers offer."""

    def __init__(self, node: Node, topic: str, type_name: str) -> None:
        self.topic = node.resolve_topic_name(topic)
        self.type_name = type_name
        self.message: tuple[float, Any] | None = None  # arrival on the monotonic clock
        self._node = node
        self._offer = (True, False)
        self._subscription = self._subscribe()

    def follow_publishers(self) -> None:
        """Subscribe anew when the publishers offer something else: best effort, or a latched message."""
        offer = newest_offer(self._node, self.topic)
        if offer != self._offer and self._node.count_publishers(self.topic):
            self._offer = offer
            self._node.destroy_subscription(self._subscription)
            self._subscription = self._subscribe()

    def close(self) -> None:
        """Stop listening."""
        self._node.destroy_subscription(self._subscription)

    def _subscribe(self) -> Any:
        reliable, latched = self._offer
        qos = newest_qos(reliable=reliable, latched=latched)
        return self._node.create_subscription(message_type(self.type_name), self.topic, self._keep, qos)

    def _keep(self, message: Any) -> None:
        self.message = (time.monotonic(), message)


class TopicStates:
    """Keeps the newest message of every listed topic and of the camera.

    Thread: ``read`` and ``look`` any, the rest the executor's.
    """

    def __init__(self, node: Node, entries: Iterable[str], camera_topic: str = "") -> None:
        """Subscribe.

        Args:
            node: relative names are resolved in its namespace.
            entries: ``NAME=package/msg/Type`` each; empty ones are skipped.
            camera_topic: sensor_msgs/Image, or CompressedImage when it ends in ``/compressed``; empty: none.

        Raises:
            ConfigError: an entry or a name is wrong, or its message package is not installed.
        """
        self._node = node
        parsed = [_parse(entry) for entry in entries if entry.strip()]
        self._topics: dict[str, _Newest] = {}
        self._camera: _Newest | None = None
        self._timer = steady_timer(node, _CHECK_PERIOD_S, self._check_publishers)
        try:
            for topic, type_name in parsed:
                newest = _subscribe(node, topic, type_name)
                self._topics[newest.topic] = newest
            if camera_topic:
                kind = "CompressedImage" if camera_topic.endswith("/compressed") else "Image"
                self._camera = _subscribe(node, camera_topic, f"sensor_msgs/msg/{kind}")
        except ConfigError:
            self.close()
            raise

    @property
    def names(self) -> tuple[str, ...]:
        """The topics that may be read, fully resolved."""
        return tuple(self._topics)

    def read(self, name: str) -> Mapping[str, Any] | None:
        """Return the newest message of a listed topic, None when nothing came or it is not listed.

        Its age is in ``_age_s``, a name that no message field can have.
        """
        newest = self._topics.get(name)
        if newest is None or newest.message is None:
            return None
        arrival_s, message = newest.message
        return {"_age_s": round(time.monotonic() - arrival_s, 1), **to_json(message)}

    def look(self) -> bytes | None:
        """Return the newest picture as JPEG, None when none came within 5 s or it cannot be decoded."""
        if self._camera is None or self._camera.message is None:
            return None
        arrival_s, message = self._camera.message
        if time.monotonic() - arrival_s > _PICTURE_MAX_AGE_S:
            return None
        try:
            read = wire.compressed_image if self._camera.type_name.endswith("CompressedImage") else wire.image
            return to_jpeg(to_rgb(read(message, 0))) or None
        except InputError as err:
            _explain(self._camera.topic, str(err))
            return None

    def close(self) -> None:
        """Stop listening."""
        self._node.destroy_timer(self._timer)
        for newest in self._all():
            newest.close()
        self._topics, self._camera = {}, None

    def _all(self) -> list[_Newest]:
        return [*self._topics.values(), *([self._camera] if self._camera else [])]

    def _check_publishers(self) -> None:
        for newest in self._all():
            newest.follow_publishers()


@functools.lru_cache(maxsize=32)
def _explain(topic: str, reason: str) -> None:
    """Say once what is wrong with a picture."""
    _log.warning("picture on %s cannot be used, and every further one like it: %s", topic, reason)


def _parse(entry: str) -> tuple[str, str]:
    match = _ENTRY.fullmatch(entry.strip())
    if match is None:
        raise ConfigError(f"topics holds {entry!r}, expected NAME=package/msg/Type such as door=std_msgs/msg/Bool")
    return match["topic"], match["type"]


def _subscribe(node: Node, topic: str, type_name: str) -> _Newest:
    try:
        message_type(type_name)
    except (ImportError, AttributeError) as err:
        raise ConfigError(f"topic {topic}: no message type {type_name} ({err}); install or source its package") from err
    try:
        return _Newest(node, topic, type_name)
    except Exception as err:  # rclpy raises a type of its own per kind of bad name
        raise ConfigError(f"cannot subscribe to {topic!r} as {type_name}: {err}; check the name and the type") from err


# ------------------------------------------------------------------------------------------------------------ JSON


def to_json(message: Any) -> dict[str, Any]:
    """Return a message as a JSON object of bounded size; what is left out is said in its place."""
    return _fields(message, [_MAX_VALUES], 0)


def _fields(message: Any, left: list[int], depth: int) -> dict[str, Any]:
    return {name: _value(getattr(message, name), left, depth + 1) for name in message.get_fields_and_field_types()}


def _value(value: Any, left: list[int], depth: int) -> Any:
    left[0] -= 1
    if left[0] < 0 or depth > _MAX_DEPTH:
        return "(left out)"
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return value if len(value) <= _MAX_TEXT else f"{value[:_MAX_TEXT]}... ({len(value)} characters)"
    if isinstance(value, bytes):  # the type of a single octet
        return value[0] if len(value) == 1 else f"({len(value)} bytes)"
    if hasattr(value, "get_fields_and_field_types"):
        return _fields(value, left, depth)
    return _sequence(value, left, depth)


def _sequence(value: Any, left: list[int], depth: int) -> Any:
    length = len(value)
    is_octets = (isinstance(value, array.array) and value.typecode == "B") or (
        isinstance(value, np.ndarray) and value.dtype == np.uint8
    )
    if length > _MAX_ITEMS:
        return f"({length} {'bytes' if is_octets else 'values'})"
    items = value.tolist() if isinstance(value, array.array | np.ndarray) else value
    return [_value(item, left, depth + 1) for item in items]
