"""What a monitor keeps over a restart: its open alerts and what people have stated, in one small JSON file.

The file holds names of rules and facts, times, and the words of the alerts; nothing that was heard or seen. It is whole
or as it was before. It knows neither rules nor threads.
"""

import dataclasses
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tml_ros.errors import ConfigError
from tml_ros.safety.incidents.disk import write_whole
from tml_ros.safety.rules import OpenAlert, Severity

__all__ = ["Kept", "read_kept", "write_kept"]

_VERSION = 1
_MOST_BYTES = 1_000_000
_LONGEST_NS = 7 * 86_400_000_000_000  # longer ago is another clock
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """What there was at ``at_ns``, on the clock of the turns. alerts: by rule. facts: whether each holds."""

    lab: str = ""
    at_ns: int = 0
    alerts: Mapping[str, OpenAlert] = field(default_factory=dict)
    facts: Mapping[str, bool] = field(default_factory=dict)

    def as_of(self, now_ns: int) -> "Kept":
        """Return it for a restart now: time that has passed counts, unless the clock was set meanwhile."""
        if 0 <= now_ns - self.at_ns <= _LONGEST_NS:
            return self
        moved = {rule: one.moved(now_ns - self.at_ns) for rule, one in self.alerts.items()}
        return dataclasses.replace(self, at_ns=now_ns, alerts=moved)


def read_kept(path: Path) -> Kept:
    """Read a file; one that is not there, or damaged, holds nothing: watching must go on, so it is only said.

    Raises:
        ConfigError: its folder cannot be made or written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        probe = path.with_name(f".{path.name}.new")
        probe.touch(mode=0o600)
        probe.unlink()
    except OSError as err:
        raise ConfigError(
            f"safety.state_file {path} cannot be written: {err}; name a file in a folder of yours"
        ) from err
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it has more than {_MOST_BYTES} bytes")
        return _from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return Kept()
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as err:
        _log.error("safety.state_file %s cannot be read, alerts that were open are forgotten: %r", path, err)
        return Kept()


def write_kept(path: Path, kept: Kept) -> None:
    """Write it, readable by its owner only.

    Raises:
        OSError: the disk does not take it.
    """
    alerts = {rule: dataclasses.asdict(one) | {"severity": int(one.severity)} for rule, one in kept.alerts.items()}
    content = {"version": _VERSION, "lab": kept.lab, "at_ns": kept.at_ns, "alerts": alerts, "facts": dict(kept.facts)}
    write_whole(path, json.dumps(content, indent=1) + "\n", mode=0o600)


def _from_json(content: Any) -> Kept:
    if content["version"] != _VERSION:
        raise ValueError(f"its version is {content['version']}, expected {_VERSION}")
    alerts = {str(rule): _alert(body) for rule, body in content["alerts"].items()}
    facts = {str(name): bool(value) for name, value in content["facts"].items()}
    return Kept(str(content["lab"]), int(content["at_ns"]), alerts, facts)


def _alert(body: Mapping[str, Any]) -> OpenAlert:
    one = OpenAlert(**body)
    kinds = {field.name: field.type for field in dataclasses.fields(OpenAlert)}
    for name, kind in kinds.items():
        value = getattr(one, name)
        if kind in (int, str, bool) and type(value) is not kind:
            raise ValueError(f"{name} is {value!r}, expected {kind.__name__}")
    one.severity = Severity(one.severity)
    return one
