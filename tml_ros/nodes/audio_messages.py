"""Which message the sound on a topic comes in, and where the driver says what the sound is made of.

The graph tells both: the publishers' type, and an AudioInfo that is published beside AudioDataStamped. Message packages
are imported by the name that is found, so none of them is needed. What the messages hold is read by
``tml_ros.media.foreign_audio``.
"""

from typing import Any, Protocol

from rclpy.node import Node
from rclpy.type_support import check_for_type_support

from tml_ros.errors import AudioFormatError, InputError
from tml_ros.media.foreign_audio import (
    AUDIO_TYPES,
    INFO_TYPE,
    AudioKind,
    ForeignAudio,
    alike,
    is_audio_type,
    is_info,
    kind_of,
)
from tml_ros.nodes.messages import message_type
from tml_ros.nodes.qos import newest_offer, newest_qos
from tml_ros.wire import INPUT_TYPES

__all__ = ["AudioReceiver", "AudioSource", "check_type"]

_OWN_TYPE = INPUT_TYPES["audio/in"]
_CHECKS_WITHOUT_INFO = 2  # a driver's publishers become known one after the other


class AudioReceiver(Protocol):
    """What reads the sound, such as ``Ingest``."""

    audio: ForeignAudio

    def take_audio_info(self, message: Any) -> None:
        """Take in what the sound is made of."""

    def refuse(self, topic: str, err: InputError) -> None:
        """Take note that what comes on a topic cannot be used."""


class AudioSource:
    """Follows the publishers of ``audio/in``.

    Thread: the executor's.
    """

    def __init__(self, node: Node, ingest: AudioReceiver) -> None:
        self._node = node
        self._ingest = ingest
        self._type = _OWN_TYPE
        self._needs_info = False
        self._readable: dict[str, bool] = {_OWN_TYPE: True}
        self._mixed: set[tuple[str, ...]] = set()
        self._info: Any = None
        self._checks_without_info = 0

    def follow(self, topic: str) -> str:
        """Return the type to subscribe to; it stays as it is while nobody publishes. topic: fully resolved."""
        publishers: list[Any] = self._node.get_publishers_info_by_topic(topic)
        found = sorted({info.topic_type for info in publishers}, key=_rank)
        types = [type_name for type_name in found if self._is_readable(topic, type_name)]
        if len(types) > 1 and tuple(types) not in self._mixed:
            self._mixed.add(tuple(types))
            self._node.get_logger().warning(
                f"{topic} carries {' and '.join(types)}; only {types[0]} is heard, stop the other publisher"
            )
        if types and types[0] != self._type:
            self._use(topic, types[0])
        if self._needs_info:
            self._follow_info(topic, {(info.node_namespace, info.node_name) for info in publishers})
        return self._type

    def close(self) -> None:
        """Stop listening."""
        if self._info is not None:
            self._node.destroy_subscription(self._info)
            self._info = None

    def _use(self, topic: str, type_name: str) -> None:
        self._node.get_logger().info(f"{topic} carries {type_name}; it is read as such")
        self._type = type_name
        self._needs_info = kind_of(message_type(type_name)()) is AudioKind.BYTES
        self._checks_without_info = 0
        self._ingest.audio.awaits_info = not self._ingest.audio.has_info

    def _is_readable(self, topic: str, type_name: str) -> bool:
        """Tell whether a type is sound and installed here; say once what is wrong."""
        if type_name not in self._readable:
            try:
                check_type(topic, type_name)
                self._readable[type_name] = True
            except InputError as err:
                self._readable[type_name] = False
                self._ingest.refuse("audio/in", err)
        return self._readable[type_name]

    def _follow_info(self, topic: str, drivers: set[tuple[str, str]]) -> None:
        """Subscribe to the AudioInfo that belongs to the sound."""
        if self._info is not None and not self._node.count_publishers(self._info.topic_name):
            self.close()
        if self._info is not None:
            return
        found = self._find_info(topic, drivers)
        if found is None:
            self._checks_without_info += 1
            if self._checks_without_info == _CHECKS_WITHOUT_INFO and self._ingest.audio.awaits_info:
                self._ingest.audio.awaits_info = False
                self._node.get_logger().warning(
                    f"{topic} carries {self._type}, but nobody publishes {INFO_TYPE}; rate, channels and samples are "
                    "taken from the parameters audio_input.*"
                )
            return
        name, type_name = found
        reliable, latched = newest_offer(self._node, name)
        qos = newest_qos(reliable=reliable, latched=latched)
        self._info = self._node.create_subscription(message_type(type_name), name, self._ingest.take_audio_info, qos)
        self._ingest.audio.awaits_info = not self._ingest.audio.has_info

    def _find_info(self, topic: str, drivers: set[tuple[str, str]]) -> tuple[str, str] | None:
        """Return topic and type of the AudioInfo that the sound's driver sends, or else the one that is named alike."""
        found = []
        for name, types in self._node.get_topic_names_and_types():
            infos: list[Any] = self._node.get_publishers_info_by_topic(name) if any(map(_may_be_info, types)) else []
            for info in infos:
                if _may_be_info(info.topic_type) and _is_info_type(info.topic_type):
                    is_same_node = (info.node_namespace, info.node_name) in drivers
                    found.append((not is_same_node, -alike(name, topic), name, info.topic_type))
        return min(found)[2:] if found else None


def _rank(type_name: str) -> tuple[int, str]:
    """Order types: ours first, then as they are listed."""
    names = list(AUDIO_TYPES)
    name = type_name.rpartition("/")[2]
    return (names.index(name) if name in names else len(names), type_name)


def _may_be_info(type_name: str) -> bool:
    return type_name.endswith(f"/msg/{INFO_TYPE}")


def _is_info_type(type_name: str) -> bool:
    try:
        return is_info(_class_of(type_name)())
    except Exception:  # whatever a package that is not whole raises
        return False


def _class_of(type_name: str) -> Any:
    message: Any = message_type(type_name)
    check_for_type_support(message)
    return message


def check_type(topic: str, type_name: str) -> None:
    """Refuse a type that is no sound, or whose package cannot be used here.

    Raises:
        AudioFormatError: says what to do.
    """
    known = ", ".join(f"{name} of {package}" for name, package in AUDIO_TYPES.items())
    if not is_audio_type(type_name):
        hint = "; take the driver's stamped topic (audio_stamped)" if type_name.endswith("/msg/AudioData") else ""
        raise AudioFormatError(f"{topic} carries {type_name}, which is not read{hint}; expected {known}")
    try:
        message = _class_of(type_name)()
    except Exception as err:  # an import fails in many ways
        raise AudioFormatError(
            f"{topic} carries {type_name}, which cannot be imported here ({type(err).__name__}: {err}); source the "
            "workspace that has it before the node is started. Two projects call their package audio_common_msgs: it "
            "must be the one that the driver belongs to"
        ) from err
    if kind_of(message) is None:
        fields = ", ".join(message.get_fields_and_field_types())
        raise AudioFormatError(
            f"{topic} carries {type_name} with the fields {fields}, which is not read; expected {known}"
        )
