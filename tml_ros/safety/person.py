"""Watch for people: how many there are, how many stand in a zone, and for how long nobody has been there.

A person stands in the zone when the middle of his feet does. It knows no faces and no rules.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tml_ros.config import param
from tml_ros.safety.people_finder import PeopleConfig, PeopleFinder
from tml_ros.safety.presence import Presence
from tml_ros.safety.watcher import Reading, SafetyTurn, Surroundings
from tml_ros.safety.zone import find_zone
from tml_ros.safety.zones import Box

__all__ = ["PersonConfig", "PersonWatcher"]


@dataclass(frozen=True, slots=True)
class PersonConfig:
    """Where people are watched, and how they are found."""

    zone: str = param("", "Name of the zone for ``in_zone``; empty: the whole picture")
    hold_s: float = param(
        1.0, "Time that somebody counts who is not found any more", unit="s", minimum=0.0, maximum=600.0
    )
    find: PeopleConfig = field(default_factory=PeopleConfig)


class PersonWatcher:
    """The kind ``person``."""

    config_type: ClassVar[type[Any]] = PersonConfig
    values: ClassVar[Mapping[str, str]] = {
        "people": "number of people in the picture",
        "in_zone": "number of people whose feet are in the zone",
        "present": "1 while somebody is in the picture, or was within hold_s, otherwise 0",
        "absent_s": "seconds since somebody was in the picture",
    }

    def __init__(self, config: PersonConfig, surroundings: Surroundings) -> None:
        """Prepare to find people.

        Raises:
            MissingDependencyError: the file of a detector is missing.
            ConfigError: the zone is unknown, or the detector cannot be used.
        """
        self._config = config
        self._zone = find_zone(config.zone, surroundings)
        self._finder = PeopleFinder(config.find)
        self._presence = Presence()
        self._numbers: dict[str, float | None] = {"people": None, "in_zone": None}
        self._boxes: tuple[Box, ...] = ()

    def step(self, turn: SafetyTurn) -> Reading:
        """Take in the next turn."""
        for view in self._presence.views(turn):
            self._boxes = self._finder.find(view)
            inside = [box for box in self._boxes if self._zone.contains(0.5 * (box[0] + box[2]), box[3])]
            self._numbers = {"people": float(len(self._boxes)), "in_zone": float(len(inside))}
            self._presence.note(view, is_there=bool(self._boxes))
        if not self._presence.can_tell:
            return Reading(dict.fromkeys(self.values))
        is_present = self._presence.was_there(turn.end_ns, self._config.hold_s)
        since = {"present": float(is_present), "absent_s": self._presence.absent_s(turn.end_ns)}
        return Reading({**self._numbers, **since}, self._boxes)
