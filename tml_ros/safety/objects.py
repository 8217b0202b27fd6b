"""Watch for things of certain classes with a detector in an ONNX file: how many there are in a zone.

The file is one that somebody names; its classes are known by their names only. It knows no rules.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tml_ros.config import param
from tml_ros.errors import ConfigError, nearest_name
from tml_ros.safety.eye import View
from tml_ros.safety.pace import Pace
from tml_ros.safety.people_finder import Detector, DetectorConfig
from tml_ros.safety.presence import Presence
from tml_ros.safety.watcher import Reading, SafetyTurn, Surroundings
from tml_ros.safety.zone import find_zone
from tml_ros.safety.zones import Box

__all__ = ["ObjectsConfig", "ObjectsWatcher"]


@dataclass(frozen=True, slots=True)
class ObjectsConfig:
    """What is looked for, and where."""

    detector: DetectorConfig = field(default_factory=DetectorConfig)
    wanted: tuple[str, ...] = param((), "Names of the classes that count; empty: all of them")
    zone: str = param("", "Name of the zone; empty: the whole picture")
    point: str = param("middle", "What of a thing must be in the zone", choices=("middle", "foot"))
    every_s: float = param(0.4, "Time between two looks", unit="s", minimum=0.0, maximum=60.0)


class ObjectsWatcher:
    """The kind ``objects``."""

    config_type: ClassVar[type[Any]] = ObjectsConfig
    values: ClassVar[Mapping[str, str]] = {
        "count": "number of wanted things in the zone",
        "score": "highest score of one of them, 0 for none",
        "absent_s": "seconds since one was there",
    }

    def __init__(self, config: ObjectsConfig, surroundings: Surroundings) -> None:
        """Open the detector.

        Raises:
            MissingDependencyError: its file is missing.
            ConfigError: it cannot be used, or has no class of a wanted name; the zone is unknown.
        """
        self._config = config
        self._zone = find_zone(config.zone, surroundings)
        self._detector = Detector(config.detector)
        for name in config.wanted:
            if name not in self._detector.names:
                hint = nearest_name(name, self._detector.names)
                raise ConfigError(f"wanted: the detector has no class {name!r}{hint}")
        self._wanted = frozenset(config.wanted or self._detector.names)
        self._pace = Pace(config.every_s)
        self._presence = Presence()
        self._values: dict[str, float | None] = {"count": None, "score": None}
        self._boxes: tuple[Box, ...] = ()

    def step(self, turn: SafetyTurn) -> Reading:
        """Take in the next turn."""
        for view in self._presence.views(turn):
            if self._pace.is_due(view.frame.stamp_ns):
                self._look(view)
        if not self._presence.can_tell:
            return Reading(dict.fromkeys(self.values))
        return Reading({**self._values, "absent_s": self._presence.absent_s(turn.end_ns)}, self._boxes)

    def _look(self, view: View) -> None:
        found = [
            one
            for one in self._detector.look(view.frame.rgb)
            if self._detector.names[one.number] in self._wanted and self._is_inside(one.box)
        ]
        self._values = {"count": float(len(found)), "score": max((one.score for one in found), default=0.0)}
        self._boxes = tuple(one.box for one in found)
        self._presence.note(view, is_there=bool(found))

    def _is_inside(self, box: Box) -> bool:
        y = box[3] if self._config.point == "foot" else 0.5 * (box[1] + box[3])
        return self._zone.contains(0.5 * (box[0] + box[2]), y)
