"""The JSON summary of an incident: what was alerted, what became of it, how much of it is in the bag.

It is written before the bag is, and again with every further alert, so that no crash takes an alert along.
"""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tml_ros import __version__
from tml_ros.errors import BagError
from tml_ros.records import SafetyAlert

__all__ = [
    "MAX_ALERTS",
    "SUMMARY_FILE",
    "AlertKey",
    "IncidentSummary",
    "alert_key",
    "alert_tree",
    "key_of",
    "read_summary",
    "summary_text",
]

SUMMARY_FILE = "incident.json"
NOTE = "advisory, not a safety function"
MAX_ALERTS = 1000

AlertKey = tuple[str, str, int]  # id, state, stamp


@dataclass(slots=True)
class IncidentSummary:
    """One incident, as it grows.

    name: of its folder. recorded_at_s: wall clock. why_no_bag: empty where there is one. end: why it is over.
    """

    name: str
    recorded_at_s: float
    start_ns: int = 0
    end_ns: int = 0
    alerts: list[dict[str, Any]] = field(default_factory=list)
    alerts_left_out: int = 0
    bag_bytes: int = 0
    messages: dict[str, int] = field(default_factory=dict)
    why_no_bag: str = ""
    end: str = "interrupted"
    faces_blurred: int | None = None
    lost: dict[str, int] = field(default_factory=dict)

    def add(self, alert: dict[str, Any]) -> None:
        """Take in a further alert."""
        if len(self.alerts) < MAX_ALERTS:
            self.alerts.append(alert)
        else:
            self.alerts_left_out += 1

    def as_dict(self) -> dict[str, Any]:
        """Return what the file holds."""
        return {
            "version": 1,
            "note": NOTE,
            "made_by": f"tml_ros {__version__}",
            "name": self.name,
            "recorded_at": datetime.fromtimestamp(self.recorded_at_s, UTC).isoformat(timespec="milliseconds"),
            "start_ns": self.start_ns,
            "end_ns": self.end_ns,
            "duration_s": round((self.end_ns - self.start_ns) / 1e9, 3),
            "severity": max((int(one["severity"]) for one in self.alerts), default=0),
            "rules": sorted({str(one["rule"]) for one in self.alerts}),
            "alerts": self.alerts,
            "alerts_left_out": self.alerts_left_out,
            "has_bag": not self.why_no_bag,
            "why_no_bag": self.why_no_bag,
            "bag_bytes": self.bag_bytes,
            "messages": self.messages,
            "end": self.end,
            "faces_blurred": self.faces_blurred,
            "lost": self.lost,
        }

    def text(self) -> str:
        """Return the file's content."""
        return summary_text(self.as_dict())


def summary_text(content: dict[str, Any]) -> str:
    """Return a summary as its file holds it."""
    return json.dumps(content, indent=1) + "\n"


def alert_tree(alert: SafetyAlert, received_ns: int) -> dict[str, Any]:
    """Return an alert as the summary holds it; received_ns: on the time line of the bag."""
    return {
        "alert_id": alert.alert_id,
        "state": alert.state.name,
        "severity": alert.severity,
        "rule": alert.rule,
        "category": alert.category,
        "description": alert.description,
        "recommended_action": alert.recommended_action,
        "confidence": round(alert.confidence, 4),
        "stamp_ns": alert.stamp_ns,
        "observed_start_ns": alert.observed_start_ns,
        "observed_end_ns": alert.observed_end_ns,
        "received_ns": received_ns,
    }


def alert_key(alert: SafetyAlert) -> AlertKey:
    """Return what tells an alert message from every other."""
    return alert.alert_id, alert.state.name, alert.stamp_ns


def key_of(tree: dict[str, Any]) -> AlertKey:
    """Return the same of an alert in a summary."""
    return str(tree["alert_id"]), str(tree["state"]), int(tree["stamp_ns"])


def read_summary(path: Path) -> dict[str, Any]:
    """Return a summary. path: the file, or the folder of an incident.

    Raises:
        BagError: there is none, or it is none.
    """
    file = path / SUMMARY_FILE if path.is_dir() else path
    try:
        content = json.loads(file.read_text("utf-8"))
        [(key_of(one), int(one["severity"])) for one in content["alerts"]]
        return dict(content)
    except OSError as err:
        raise BagError(f"cannot read {file}: {err.strerror}; give the folder of an incident") from err
    except (ValueError, KeyError, TypeError) as err:
        raise BagError(f"{file} is no summary of an incident ({err!r}); it was changed or damaged") from err
