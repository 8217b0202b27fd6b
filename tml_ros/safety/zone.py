"""Watch one zone: whether somebody stands in it, whether something reaches into it, whether anything moves there.

A person is something new that is tall enough and has moved; he is in the zone when his feet are, for a zone on a floor
is drawn where feet stand. What reaches in need not be a person: a hand over a bench, a trolley. It knows no rules.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tml_ros.config import param
from tml_ros.errors import ConfigError, nearest_name
from tml_ros.safety.arrays import Mask
from tml_ros.safety.blobs import Blob, resembles_person
from tml_ros.safety.eye import View
from tml_ros.safety.scene import Comparison
from tml_ros.safety.watcher import Reading, SafetyTurn, Surroundings
from tml_ros.safety.zones import WHOLE, Box, Zone

__all__ = ["ZoneConfig", "ZoneWatcher", "find_zone"]

_SETTLED_S = 1.0
_BORDER = 0.005
_CUT, _CUT_SHARE = 0.05, 0.35  # gaps in a person: of the picture's height, and of that of the part above


@dataclass(frozen=True, slots=True)
class ZoneConfig:
    """What counts as a person, and where."""

    zone: str = param("", "Name of the zone; empty: the whole picture")
    least_height: float = param(
        0.12, "Least height of a person, share of the picture's height", minimum=0.01, maximum=1.0
    )
    least_area: float = param(0.004, "Least area of a person, share of the picture", minimum=0.0, maximum=1.0)
    widest: float = param(2.5, "Largest width of a person over the height; arms may be out", minimum=0.1, maximum=20.0)
    feet: float = param(
        0.12, "Share of a person's height, from below, that is taken for the feet", minimum=0.01, maximum=1.0
    )
    least_feet: float = param(
        0.0004, "Least area of feet inside the zone, share of the picture", minimum=0.0, maximum=1.0
    )


class ZoneWatcher:
    """The kind ``zone``."""

    config_type: ClassVar[type[Any]] = ZoneConfig
    values: ClassVar[Mapping[str, str]] = {
        "people": "number of people whose feet are inside",
        "new": "share of the zone where something new is, shadows and lights apart",
        "reached": "as new, of what moves or comes in from the border, as arms do, and not of what was put there",
        "moving": "share of the zone that moves",
        "empty_s": "seconds since the last person was inside",
        "quiet_s": "seconds since something moved inside",
    }

    def __init__(self, config: ZoneConfig, surroundings: Surroundings) -> None:
        self._config = config
        self._zone = find_zone(config.zone, surroundings)
        self._began_ns: int | None = None
        self._inside_ns: int | None = None
        self._moved_ns: int | None = None
        self._values: dict[str, float | None] = dict.fromkeys(("people", "new", "reached", "moving"))
        self._boxes: tuple[Box, ...] = ()

    def step(self, turn: SafetyTurn) -> Reading:
        """Take in the next turn."""
        if self._began_ns is None:
            self._began_ns = turn.start_ns
        for view in turn.views:
            if view.found is not None:
                self._look(view, view.found)
        since = {
            "empty_s": (turn.end_ns - (self._inside_ns or self._began_ns)) / 1e9,
            "quiet_s": (turn.end_ns - (self._moved_ns or self._began_ns)) / 1e9,
        }
        return Reading({**self._values, **since}, self._boxes)

    def _look(self, view: View, found: Comparison) -> None:
        mask = self._zone.mask(view.shape)
        size = max(1, int(mask.sum()))
        config = self._config
        people = (
            one for one in view.blobs if resembles_person(one, config.least_height, config.least_area, config.widest)
        )
        inside = [blob for blob in people if self._stands_in(view, found, blob, mask)]
        moving = float((view.moving & mask).sum()) / size
        self._values["people"] = float(len(inside))
        solid = [blob for blob in view.blobs if not (blob.is_soft or blob.is_ghost)]
        reaching = [blob.label for blob in solid if blob.still_s < _SETTLED_S or _is_at_border(blob)]
        part = found.new & ~found.shadow & mask
        self._values["new"] = float((part & np.isin(view.labels, [blob.label for blob in solid])).sum()) / size
        self._values["reached"] = float((part & np.isin(view.labels, reaching)).sum()) / size
        self._values["moving"] = moving
        self._boxes = tuple(blob.box for blob in inside)
        if inside:
            self._inside_ns = view.frame.stamp_ns
        if moving > 0.0:
            self._moved_ns = view.frame.stamp_ns

    def _stands_in(self, view: View, found: Comparison, blob: Blob, mask: Mask) -> bool:
        rows, columns = view.shape
        blob = _lowest_part(blob, view.blobs)
        low = blob.bottom - self._config.feet * (blob.bottom - blob.top)
        down = slice(int(low * rows), round(blob.bottom * rows))
        band = (down, slice(round(blob.left * columns), round(blob.right * columns)))
        feet = (view.labels[band] == blob.label) & found.new[band] & ~found.shadow[band] & mask[band]
        return float(feet.sum()) / mask.size >= self._config.least_feet


def _lowest_part(blob: Blob, blobs: tuple[Blob, ...]) -> Blob:
    """Return the piece that a person stands on, where something like the floor cuts him in two: a belt, dark trousers.

    Where much is missing, what is below must be the smaller piece, as legs and shoes are.
    """
    for other in blobs:
        across = min(blob.right, other.right) - max(blob.left, other.left)
        gap = other.top - blob.bottom
        widest = _CUT_SHARE * (blob.bottom - blob.top) if other.area < blob.area else 0.0
        if other.moved and -_CUT <= gap <= max(_CUT, widest) and across > 0.5 * (other.right - other.left):
            return other
    return blob


def _is_at_border(blob: Blob) -> bool:
    return min(blob.left, blob.top, 1.0 - blob.right, 1.0 - blob.bottom) <= _BORDER


def find_zone(name: str, surroundings: Surroundings) -> Zone:
    """Return a zone by name, the whole picture for an empty one.

    Raises:
        ConfigError: there is none of that name.
    """
    if not name:
        return WHOLE
    if name not in surroundings.zones:
        known = ", ".join(sorted(surroundings.zones)) or "none"
        raise ConfigError(f"zone: no zone {name!r}{nearest_name(name, surroundings.zones) or f'; known: {known}'}")
    return surroundings.zones[name]
