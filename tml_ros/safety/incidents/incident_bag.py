"""The bag of an incident while it is written. Knows no quota and no alert."""

from pathlib import Path

from tml_ros.bags import BagWriter
from tml_ros.safety.incidents.ring import Entry

__all__ = ["IncidentBag"]

_OVERHEAD = 64  # bytes that a message takes beside its data in an mcap file


class IncidentBag:
    """A bag under way.

    Attributes:
        bytes: what it takes, about.
        counts: messages by topic.
    """

    def __init__(self, path: Path) -> None:
        """Begin a bag.

        Raises:
            BagError: the disk does not take it.
        """
        self._writer = BagWriter(path)
        self._writer.__enter__()
        self.bytes = 0
        self.counts: dict[str, int] = {}

    def write(self, entry: Entry, log_ns: int) -> None:
        """Append a message.

        Raises:
            BagError: the disk does not take it, or its type is unknown.
        """
        self._writer.write_raw(entry.topic, entry.type, entry.data, log_ns)
        self.bytes += len(entry.data) + _OVERHEAD
        self.counts[entry.topic] = self.counts.get(entry.topic, 0) + 1

    def complete(self) -> None:
        """Write what makes it a bag.

        Raises:
            BagError: the disk does not take it.
        """
        self._writer.__exit__(None, None, None)

    def abort(self) -> None:
        """Let the file go as it is."""
        self._writer.abort()
