"""Read a rosbag2 bag without ROS, message by message in log-time order.

Memory is bounded by a message (sqlite3) or a chunk (mcap), not by the bag. What was read is checked against the counts
that metadata.yaml, or else the storage, promises.

Knows no records: a message is what rosbags makes of it, with ROS field names and read-only arrays.
"""

import heapq
import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader
from rosbags.typesys.store import Typestore

from tml_ros.bags.decoding import Decoder
from tml_ros.bags.files import RawMessage, open_file, raw_messages
from tml_ros.bags.info import BagInfo, describe
from tml_ros.bags.layout import BagLayout, find_layout
from tml_ros.errors import BagError, nearest_name

__all__ = ["BagMessage", "BagReader"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BagMessage:
    """A message as it was recorded. log_ns: time of reception.

    message: has the fields of type as attributes; bytes in CDR when it was read raw.
    """

    topic: str
    type: str
    log_ns: int
    message: Any


class BagReader:
    """Context manager over a bag: a folder with metadata.yaml, or a single .mcap or .db3 file, zstd-compressed or not.

    Attributes:
        info: what is in the bag (once the block is entered).
        skipped: messages by topic that the newest ``messages()`` has left out because nothing defines their type.

    Thread: one at a time.
    """

    info: BagInfo

    def __init__(self, path: str | Path) -> None:
        """Remember the path; nothing is read before the block is entered."""
        self._path = Path(path)
        self._stack = ExitStack()
        self._layout = BagLayout("", ())
        self._files: list[Reader] = []
        self._decoder = Decoder()
        self.skipped: Counter[str] = Counter()

    def __enter__(self) -> Self:
        """Open the bag.

        Raises:
            BagError: there is no bag, or it is damaged, or of a kind that cannot be read.
        """
        self._layout = find_layout(self._path)
        with ExitStack() as stack:
            self._files = [open_file(file, self._layout, stack) for file in self._layout.files]
            self.info = describe(self._path, self._layout.storage, self._files)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files = []
        self._stack.close()

    def messages(self, topics: Collection[str] | None = None, *, raw: bool = False) -> Iterator[BagMessage]:
        """Iterate over messages in log-time order; messages of the same time come in the order of the storage.

        Args:
            topics: names to read. None reads all, and counts in ``skipped`` those whose type nothing defines.
            raw: yield the recorded bytes as they are, for somebody else to decode.

        Raises:
            BagError: at once, when a topic that is asked for is not in the bag or nothing defines its type; on the way,
                for a damaged file or message; at the end, when more or fewer messages were found than promised.
        """
        if not self._files:
            raise BagError(f"bag {self._path} is not open; use it as `with BagReader(path) as bag:`")
        if topics is None:
            return self._iterate(frozenset(self.info.topics), raw, complete=True)
        for topic in topics:
            self._check_topic(topic)
        return self._iterate(frozenset(topics), raw, complete=False)

    def typestore(self, type_name: str) -> Typestore:
        """Return the store that messages of a type come from, for ``message_to_tree``.

        Raises:
            BagError: nothing defines the type.
        """
        connections = [connection for file in self._files for connection in file.connections]
        return self._decoder.typestore(type_name, connections)

    def _check_topic(self, topic: str) -> None:
        known = self.info.topics
        if topic not in known:
            raise BagError(
                f"bag {self._path} has no topic {topic!r}, expected one of {', '.join(known) or 'none'}"
                f"{nearest_name(topic, known)}"
            )
        self.typestore(known[topic].type)

    def _iterate(self, wanted: frozenset[str], raw: bool, complete: bool) -> Iterator[BagMessage]:
        self.skipped = Counter()
        skipped, found = self.skipped, Counter[str]()
        for log_ns, connection, data in heapq.merge(*self._streams(wanted), key=lambda item: item[0]):
            if connection is None:
                continue
            topic = connection.topic
            found[topic] += 1
            if not self._decoder.knows(connection):
                skipped[topic] += 1
                continue
            message = data if raw else self._decode(connection, log_ns, data)
            yield BagMessage(topic, connection.msgtype, log_ns, message)
        if skipped:
            _log.warning("%s: left out messages of unknown type: %s", self._path, dict(sorted(skipped.items())))
        self._check_counts(found, wanted, complete)

    def _streams(self, wanted: frozenset[str]) -> Iterable[Iterator[RawMessage]]:
        for path, file in zip(self._layout.files, self._files, strict=True):
            connections = [connection for connection in file.connections if connection.topic in wanted]
            if connections:
                yield raw_messages(path, self._layout, file, connections)

    def _decode(self, connection: Connection, log_ns: int, data: bytes) -> Any:
        try:
            return self._decoder.decode(connection, data)
        except Exception as err:  # generated code meets damaged bytes: struct, numpy, unicode, key errors
            raise BagError(
                f"message on {connection.topic} at {log_ns} ns in {self._path} is not a {connection.msgtype} "
                f"({type(err).__name__}: {err}); it is damaged, or was recorded with another definition of the type"
            ) from err

    def _check_counts(self, found: Mapping[str, int], wanted: frozenset[str], complete: bool) -> None:
        promised: Mapping[str, int] = {name: topic.message_count for name, topic in self.info.topics.items()}
        if self._layout.counts is not None:
            promised = self._layout.counts
        for topic in sorted(promised.keys() | found.keys() if complete else wanted):
            self._check_count(f"topic {topic}", found.get(topic, 0), promised.get(topic, 0))
        if complete and self._layout.message_count is not None:
            self._check_count("all topics", sum(found.values()), self._layout.message_count)

    def _check_count(self, what: str, count: int, expected: int) -> None:
        if count != expected:
            raise BagError(
                f"bag {self._path}: found {count} messages on {what}, expected {expected} by its metadata; a file is "
                "damaged, missing or still being written: copy the bag again, or `ros2 bag reindex` it"
            )
