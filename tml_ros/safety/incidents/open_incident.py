"""An incident that is not over: its summary, its bag, and until when it goes on. Knows no disk and no message."""

from collections import Counter

from tml_ros.safety.incidents.config import IncidentConfig
from tml_ros.safety.incidents.incident_bag import IncidentBag
from tml_ros.safety.incidents.summary import IncidentSummary

__all__ = ["OpenIncident"]


class OpenIncident:
    """An incident under way.

    Attributes:
        bag: what is written into; None when there is none, or no room for more.
        full: a bag that there was no room to go on with.
        room: bytes that the bag may take as things stand.
        until_ns: steady time at which it is over.
        baseline: totals when it began.
    """

    def __init__(self, summary: IncidentSummary, begun_ns: int, offset_ns: int, config: IncidentConfig) -> None:
        """Begin. begun_ns: steady time of the first alert. offset_ns: ROS time minus steady time then."""
        self.summary = summary
        self.bag: IncidentBag | None = None
        self.full: IncidentBag | None = None
        self.room = 0
        self.first_ns: int | None = None
        self.until_ns = begun_ns + round(config.after_s * 1e9)
        self.baseline: Counter[str] = Counter()
        self._offset_ns = offset_ns
        self._latest_ns = begun_ns + round(config.max_s * 1e9)

    def log_ns(self, at_ns: int) -> int:
        """Return steady time as ROS time: without jumps, right at the first alert."""
        return max(0, at_ns + self._offset_ns)

    def prolong(self, at_ns: int, after_s: float) -> None:
        """Go on for ``after_s`` from a further alert, as far as an incident may be long."""
        self.until_ns = max(self.until_ns, min(at_ns + round(after_s * 1e9), self._latest_ns))
