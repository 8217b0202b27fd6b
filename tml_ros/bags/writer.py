"""Write a rosbag2 folder without ROS, as a stream: a message goes to the disk when it is written.

MCAP files carry the definitions of their messages, so that Foxglove and ``ros2 bag`` open them anywhere. Knows message
trees and types, not what they mean; times are those of the caller.

Source: rosbags.rosbag2.Writer (metadata.yaml version 9, which ROS 2 Jazzy and later write).
"""

import shutil
import sqlite3
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.errors import WriterError
from rosbags.serde import SerdeError

from tml_ros.bags.layout import check_sqlite_path
from tml_ros.bags.trees import tree_to_message
from tml_ros.bags.types import check_type, typestore
from tml_ros.errors import BagError, nearest_name

__all__ = ["BagWriter", "whole_bag"]

_STORAGES = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}
_LATEST_NS = 2**63 - 1
_DISK_ERRORS = (OSError, sqlite3.Error, WriterError)


def _qos(depth: int, reliable: bool = True, latched: bool = False) -> Qos:
    """Keep-last QoS as it is recorded from a publisher. latched: transient local."""
    never = QosTime(9_223_372_036, 854_775_807)
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=depth,
        reliability=QosReliability.RELIABLE if reliable else QosReliability.BEST_EFFORT,
        durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        deadline=never,
        lifespan=never,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=never,
        avoid_ros_namespace_conventions=False,
    )


# What `ros2 bag play` offers for a type; reliable with a depth of 50 for all others.
_OFFERED_QOS = {
    "sensor_msgs/msg/Image": _qos(5),
    "sensor_msgs/msg/CompressedImage": _qos(5),
    "tml_interfaces/msg/ActionIntent": _qos(10),
    "tml_interfaces/msg/AudioChunk": _qos(64),
    "tml_interfaces/msg/MicroTurnMetrics": _qos(10, reliable=False),
    "tml_interfaces/msg/SafetyAlert": _qos(20, latched=True),
    "tml_interfaces/msg/SessionState": _qos(1, latched=True),
}


class BagWriter:
    """Context manager that writes a new bag. What was written stays readable when the block ends with an exception.

    Thread: one at a time.
    """

    def __init__(self, path: str | Path, storage: Literal["mcap", "sqlite3"] = "mcap") -> None:
        """Check the target; nothing is created before the block is entered.

        Args:
            path: folder to be created, with its parents.
            storage: ``mcap`` or ``sqlite3``.

        Raises:
            BagError: unknown storage, or the path exists already.
        """
        self._path = Path(path)
        if storage not in _STORAGES:
            hint = nearest_name(storage, _STORAGES)
            raise BagError(f"bag storage {storage!r} is unknown, expected {' or '.join(_STORAGES)}{hint}")
        if storage == "sqlite3":
            check_sqlite_path(self._path)
        if self._path.exists():
            raise BagError(f"bag {self._path} exists already, expected a new path; choose another name or remove it")
        self._writer = Writer(self._path, version=9, storage_plugin=_STORAGES[storage])
        self._store = typestore()
        self._connections: dict[str, Connection] = {}

    def __enter__(self) -> Self:
        try:
            self._writer.open()
        except _DISK_ERRORS as err:
            raise BagError(f"bag {self._path} cannot be created ({err}); check the path and its permissions") from err
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._writer.close()
        except _DISK_ERRORS as err:
            if error is None:
                raise BagError(f"bag {self._path} cannot be completed ({err}); check the disk") from err

    def abort(self) -> None:
        """Let the file go as it is, incomplete: for whoever removes it. Nothing may be written afterwards."""
        with suppress(*_DISK_ERRORS):
            self._writer.abort()

    def write(self, topic: str, type_name: str, message: Mapping[str, Any] | Any, log_ns: int) -> None:
        """Append a message.

        Args:
            topic: absolute name, such as ``/tml/audio/in``.
            type_name: such as ``tml_interfaces/msg/AudioChunk``; a topic has one.
            message: tree (see ``tree_to_message``) or message object of ``typestore()``.
            log_ns: time of reception, 0 to 2**63 - 1.

        Raises:
            BagError: unknown type or field, a value that a field cannot hold, a second type on a topic, a time out of
                range, or a disk that does not take it.
        """
        try:
            if isinstance(message, Mapping):
                message = tree_to_message(self._store, type_name, message)
            check_type(self._store, type_name)
            data = self._store.serialize_cdr(message, type_name)
        except (SerdeError, struct.error, AttributeError, TypeError, ValueError) as err:
            raise BagError(
                f"{type(message).__name__} on {topic} is not a valid {type_name} ({err}); give a tree of its fields"
            ) from err
        self.write_raw(topic, type_name, data, log_ns)

    def write_raw(self, topic: str, type_name: str, data: bytes | memoryview, log_ns: int) -> None:
        """Append a message that is CDR bytes already, as a raw subscription or a raw reader gives it.

        Raises:
            BagError: unknown type, a second type on a topic, a time out of range, or a disk that does not take it.
        """
        if not 0 <= log_ns <= _LATEST_NS:
            raise BagError(f"log time {log_ns} ns on {topic} is out of range, expected 0 to 2**63 - 1; check the clock")
        check_type(self._store, type_name)
        try:
            self._writer.write(self._connection(topic, type_name), log_ns, data)
        except _DISK_ERRORS as err:
            raise BagError(f"bag {self._path} does not take a message on {topic} ({err}); check the disk") from err

    def _connection(self, topic: str, type_name: str) -> Connection:
        connection = self._connections.get(topic)
        if connection is None:
            qos = _OFFERED_QOS.get(type_name, _qos(50))
            connection = self._writer.add_connection(
                topic, type_name, typestore=self._store, offered_qos_profiles=[qos]
            )
            self._connections[topic] = connection
        if connection.msgtype != type_name:
            raise BagError(
                f"topic {topic} has the type {connection.msgtype} in {self._path}, got {type_name}; use another topic"
            )
        return connection


@contextmanager
def whole_bag(path: Path, storage: Literal["mcap", "sqlite3"] = "mcap") -> Iterator[BagWriter]:
    """Write a new bag, of which nothing is left when the block fails.

    Raises:
        BagError: the folder exists already, or cannot be written.
    """
    writer = BagWriter(path, storage)
    try:
        with writer:
            yield writer
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)  # the writer refuses a folder that exists, so this one is ours
        raise
