"""What is in a bag: topics, types, counts, QoS, times, taken from the storage itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rosbags.interfaces import Connection, ConnectionExtRosbag2
from rosbags.rosbag2 import Reader

__all__ = ["BagInfo", "BagTopic", "TopicQos", "describe"]


@dataclass(frozen=True, slots=True)
class TopicQos:
    """What a recorded publisher offered, in the words of rmw, such as ``reliable`` and ``transient_local``."""

    reliability: str
    durability: str
    history: str
    depth: int


@dataclass(frozen=True, slots=True)
class BagTopic:
    """A topic. qos: one entry per recorded publisher, empty when the bag does not say."""

    name: str
    type: str
    message_count: int
    qos: tuple[TopicQos, ...]


@dataclass(frozen=True, slots=True)
class BagInfo:
    """A bag. Times are those of reception: [start_ns, end_ns), both 0 for an empty bag; duration_ns: first to last."""

    path: Path
    storage: str
    start_ns: int
    end_ns: int
    duration_ns: int
    message_count: int
    topics: Mapping[str, BagTopic]


def describe(path: Path, storage: str, files: Sequence[Reader]) -> BagInfo:
    """Sum up the opened files of a bag."""
    filled = [file for file in files if file.message_count]
    start_ns = min((file.start_time for file in filled), default=0)
    end_ns = max((file.end_time for file in filled), default=0)
    by_topic: dict[str, list[Connection]] = {}
    for file in files:
        for connection in file.connections:
            by_topic.setdefault(connection.topic, []).append(connection)
    return BagInfo(
        path,
        storage,
        start_ns,
        end_ns,
        max(end_ns - start_ns - 1, 0),
        sum(file.message_count for file in files),
        {name: _topic(by_topic[name]) for name in sorted(by_topic)},
    )


def _topic(connections: Sequence[Connection]) -> BagTopic:
    qos = dict.fromkeys(
        TopicQos(
            offered.reliability.name.lower(),
            offered.durability.name.lower(),
            offered.history.name.lower(),
            offered.depth,
        )
        for connection in connections
        if isinstance(connection.ext, ConnectionExtRosbag2)
        for offered in connection.ext.offered_qos_profiles
    )
    count = sum(connection.msgcount for connection in connections)
    return BagTopic(connections[0].topic, connections[0].msgtype, count, tuple(qos))
