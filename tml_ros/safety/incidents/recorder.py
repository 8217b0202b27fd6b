"""Decides what belongs to an incident: the ring before an alert, what comes after it, and when it is over.

An alert that nobody knows begins an incident; a further one while it is open makes it longer, up to ``max_s``. What
becomes of an alert later (cleared, acknowledged) is added to its summary. Times are counted on a clock that does not
jump. When the disk does not take a bag, the summary is kept, in memory if need be, and the next incident is tried anew.

It knows no thread and no ROS.
"""

import logging
from collections import Counter, OrderedDict, deque
from typing import cast

from tml_ros import wire
from tml_ros.bags import typestore
from tml_ros.bags.decoding import deserialize
from tml_ros.errors import BagError
from tml_ros.records import AlertState, SafetyAlert
from tml_ros.safety.incidents.config import IncidentConfig
from tml_ros.safety.incidents.message import IMAGE_TYPES, Received, SteadyTime
from tml_ros.safety.incidents.open_incident import OpenIncident
from tml_ros.safety.incidents.pictures import Pictures
from tml_ros.safety.incidents.ring import Entry, Ring
from tml_ros.safety.incidents.store import IncidentStore
from tml_ros.safety.incidents.summary import IncidentSummary, alert_key, alert_tree

__all__ = ["IncidentRecorder"]

_ALERT_TYPE = wire.OUTPUT_TYPES["safety_alert"]
_HOUR_NS = 3_600_000_000_000
_TIDY_NS = 60_000_000_000
_RETRY_NS = 5_000_000_000
_STEP_BYTES = 4_000_000
_CLOSING_BYTES = 130_000
_MOST_REMEMBERED = 200
_MOST_OWED = 1000
_FAULTS = (BagError, OSError)
_log = logging.getLogger(__name__)


class IncidentRecorder:
    """Records incidents from messages. Thread: one at a time.

    Attributes:
        counters: totals since the start, by name.
        dropped: messages that never came here, by why; whoever feeds it counts them.
        trouble: why the disk does not take what it should, empty when it does.
    """

    def __init__(self, config: IncidentConfig, store: IncidentStore, *, is_simulated: bool = False) -> None:
        """Begin to listen.

        Args:
            config: what to record.
            store: where to.
            is_simulated: whether ROS time is that of a simulator or a bag.

        Raises:
            MissingDependencyError: faces are to be blurred and OpenCV came without what finds them.
        """
        self.counters: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.trouble = ""
        self._config, self._store = config, store
        self._time = SteadyTime(is_simulated=is_simulated)
        self._ring = Ring(config.before_s, config.ring_mb)
        self._pictures = Pictures(config.pictures)
        self._incident: OpenIncident | None = None
        self._owed: deque[IncidentSummary] = deque(maxlen=_MOST_OWED)
        self._home = OrderedDict(store.homes)  # alert id -> incident, highest severity
        self._begun: deque[int] = deque()
        self._tidy_ns = self._retry_ns = 0

    @property
    def name(self) -> str:
        """Name of the incident that is open, empty where none is."""
        return self._incident.summary.name if self._incident else ""

    @property
    def ring_bytes(self) -> int:
        """Memory that the seconds before now take."""
        return self._ring.bytes

    def take(self, message: Received) -> None:
        """Take in a message; write, begin and end what has to be."""
        now_ns = self._advance(message.ros_ns, message.mono_ns)
        entry: Entry | None = Entry(now_ns, message.topic, message.type, message.data)
        if message.type in IMAGE_TYPES:
            entry = self._pictures.into_ring(cast(Entry, entry))
        if entry is None:
            return
        self._ring.add(entry)
        if self._incident is not None:
            self._write(self._incident, entry)
        if message.type == _ALERT_TYPE:
            self._on_alert(entry, message.ros_ns)

    def tick(self, ros_ns: int, mono_ns: int) -> None:
        """Let time go on; call it some times a second, whether or not anything comes."""
        self._advance(ros_ns, mono_ns)

    def close(self) -> None:
        """End the incident that is open, as far as it has come."""
        if self._incident is not None:
            self._end(self._incident, "the recorder was stopped")
        self._pay_owed()

    def _advance(self, ros_ns: int, mono_ns: int) -> int:
        now_ns = self._time.advance(ros_ns, mono_ns)
        if self._incident is not None and now_ns >= self._incident.until_ns:
            self._end(self._incident, "complete")
        self._keep_house(now_ns)
        return now_ns

    def _keep_house(self, now_ns: int) -> None:
        if now_ns >= self._retry_ns:
            self._retry_ns = now_ns + _RETRY_NS
            self._pay_owed()
            if self.trouble and not self._owed and self._store.has_room():
                self._recover()
        if now_ns >= self._tidy_ns:
            self._tidy_ns = now_ns + _TIDY_NS
            self._store.expire()

    # ---------------------------------------------------------------------------------------------------- alerts

    def _on_alert(self, entry: Entry, ros_ns: int) -> None:
        alert = self._read(entry)
        if alert is None or alert_key(alert) in self._store.known or alert.severity < self._config.min_severity:
            return
        known = self._home.get(alert.alert_id)
        is_end = alert.state in (AlertState.CLEARED, AlertState.ACKNOWLEDGED)
        is_news = not is_end and (alert.state is AlertState.RAISED or known is None or alert.severity > known[1])
        if self._incident is not None:
            self._join(self._incident, entry, alert, is_news=is_news, is_end=is_end)
        elif is_news:
            self._begin(entry, alert, ros_ns)
        elif is_end and known is not None:
            self._amend(known[0], alert, ros_ns)

    def _read(self, entry: Entry) -> SafetyAlert | None:
        try:
            message = deserialize(typestore(), entry.type, entry.data)
            return cast(SafetyAlert, wire.published("safety_alert", message))
        except Exception as err:  # foreign bytes meet generated code
            self.counters["bad_alerts"] += 1
            _log.warning("alert on %s cannot be read and begins no incident: %r", entry.topic, err)
            return None

    def _remember(self, alert: SafetyAlert, name: str) -> None:
        worst = max(alert.severity, self._home.pop(alert.alert_id, ("", 0))[1])
        self._home[alert.alert_id] = name, worst
        if len(self._home) > _MOST_REMEMBERED:
            self._home.popitem(last=False)

    def _join(self, incident: OpenIncident, entry: Entry, alert: SafetyAlert, *, is_news: bool, is_end: bool) -> None:
        incident.summary.add(alert_tree(alert, incident.log_ns(entry.at_ns)))
        self._remember(alert, incident.summary.name)
        if is_news:
            incident.prolong(entry.at_ns, self._config.after_s)
        if is_news or is_end:
            self._note(incident.summary)

    def _amend(self, name: str, alert: SafetyAlert, ros_ns: int) -> None:
        """Add the end of an alert to the summary of an incident that is over."""
        tree = alert_tree(alert, ros_ns)
        owed = next((summary for summary in self._owed if summary.name == name), None)
        if owed is not None:
            owed.add(tree)
            return
        try:
            self._store.amend(name, tree)
        except OSError as err:
            self._complain(err)

    # ------------------------------------------------------------------------------------------------- incidents

    def _begin(self, entry: Entry, alert: SafetyAlert, ros_ns: int) -> None:
        summary = self._store.new_summary(alert.rule)
        incident = OpenIncident(summary, entry.at_ns, ros_ns - entry.at_ns, self._config)
        summary.start_ns = incident.log_ns(entry.at_ns)
        summary.add(alert_tree(alert, summary.start_ns))
        self._remember(alert, summary.name)
        self._incident = incident
        self.counters["incidents"] += 1
        self._note(summary)
        summary.why_no_bag = self._refusal(entry.at_ns)
        if summary.why_no_bag:
            self.counters["without_bag"] += 1
            return
        try:
            incident.bag = self._store.begin_bag(summary)
        except _FAULTS as err:
            self._lose_bag(incident, err)
            return
        self._begun.append(entry.at_ns)
        incident.baseline = self._totals()
        for one in self._ring.newest(entry.at_ns):
            self._write(incident, one)

    def _refusal(self, now_ns: int) -> str:
        """Return why an incident gets no bag, empty when it gets one."""
        while self._begun and self._begun[0] <= now_ns - _HOUR_NS:
            self._begun.popleft()
        if len(self._begun) >= self._config.max_per_hour:
            return f"{len(self._begun)} bags were begun within an hour, which is max_per_hour"
        if refusal := self._store.make_room(self._ring.bytes + _CLOSING_BYTES):
            self._complain(refusal)
        return refusal

    def _write(self, incident: OpenIncident, entry: Entry) -> None:
        """Write into the open bag; end it early where there is no room, give it up where the disk fails."""
        if incident.bag is None:
            return
        ready = self._pictures.onto_disk(entry)
        if ready is None:
            return
        try:
            if incident.bag.bytes + len(ready.data) > incident.room:
                step = min(_STEP_BYTES, round(self._config.disk.quota_mb * 5e4)) + len(ready.data)
                if refusal := self._store.make_room(step + _CLOSING_BYTES, incident.bag.bytes):
                    self._complain(refusal)
                    self._end_bag(incident, f"cut short: {refusal}")
                    return
                incident.room = incident.bag.bytes + step
            log_ns = incident.log_ns(ready.at_ns)
            incident.bag.write(ready, log_ns)
            incident.first_ns = log_ns if incident.first_ns is None else incident.first_ns
        except _FAULTS as err:
            self._lose_bag(incident, err)

    def _lose_bag(self, incident: OpenIncident, err: Exception) -> None:
        self._complain(err)
        self._store.drop_bag(incident.summary, incident.bag)
        incident.bag = None
        incident.summary.why_no_bag = f"the disk did not take the bag: {err}"
        self.counters["without_bag"] += 1

    def _end_bag(self, incident: OpenIncident, how: str) -> None:
        """Write no more into the bag, but go on to take in alerts."""
        incident.summary.end = how
        incident.full, incident.bag = incident.bag, None

    def _end(self, incident: OpenIncident, how: str) -> None:
        summary, bag = incident.summary, incident.bag or incident.full
        self._incident = None
        if incident.full is None:
            summary.end = how
        summary.end_ns = incident.log_ns(min(incident.until_ns, self._time.now_ns))
        if bag is not None:
            summary.start_ns = incident.first_ns or summary.start_ns
            summary.messages = dict(sorted(bag.counts.items()))
            totals = self._totals() - incident.baseline
            summary.faces_blurred = totals.pop("faces", 0) if self._config.pictures.blur_faces else None
            summary.lost = dict(totals)
            try:
                self._store.finish(summary, bag)
                self._recover()
                _log.info("incident %s is recorded", summary.name)
                return
            except _FAULTS as err:
                incident.bag, incident.full = bag, None
                self._lose_bag(incident, err)
                summary.messages, summary.faces_blurred = {}, None
        self._owed.append(summary)
        self._pay_owed()

    # ------------------------------------------------------------------------------------------------------ disk

    def _totals(self) -> Counter[str]:
        lost = {name: self._pictures.counters[name] for name in ("bad_pictures", "pictures_left_out")}
        lost["faces"] = self._pictures.faces()
        return Counter({**lost, "clock_jumps": self._time.jumps, "pushed_out": self._ring.pushed_out, **self.dropped})

    def _note(self, summary: IncidentSummary) -> None:
        try:
            self._store.note(summary)
        except OSError as err:
            self._complain(err)

    def _pay_owed(self) -> None:
        """Write the summaries that the disk did not take."""
        while self._owed:
            try:
                self._store.finish(self._owed[0], None)
            except _FAULTS as err:
                self._complain(err)
                return
            self._owed.popleft()

    def _complain(self, why: Exception | str) -> None:
        if not self.trouble:
            _log.error(
                "incidents cannot be recorded in %s: %s. Alerts go on; make room, or lower disk.reserve_mb. "
                "Summaries are kept, and the next incident is tried anew",
                self._store.folder,
                why,
            )
        self.trouble = str(why)
        self.counters["disk_faults"] += 1

    def _recover(self) -> None:
        if self.trouble:
            _log.warning("incidents are recorded again in %s", self._store.folder)
        self.trouble = ""
