"""Watch the camera itself: no pictures, the same picture again and again, a covered lens, darkness.

Frozen is a picture that comes again bit for bit, which noise makes impossible for a camera that has shown some. Covered
and dark are worked out with every frame (``structure``), for all watchers are blind then.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tml_ros.config import param
from tml_ros.safety.eye import View
from tml_ros.safety.watcher import Reading, SafetyTurn, Surroundings

__all__ = ["CameraHealth", "CameraHealthConfig"]


@dataclass(frozen=True, slots=True)
class CameraHealthConfig:
    """When a camera is taken to be blind."""

    frozen_frames: int = param(
        2,
        "Repetitions of a picture, bit for bit, that are a frozen camera where noise is usual",
        minimum=1,
        maximum=100,
    )
    frozen_s: float = param(
        5.0,
        "Time without any change that is a frozen camera where there is no noise",
        unit="s",
        minimum=0.2,
        maximum=3600.0,
    )


class CameraHealth:
    """The kind ``camera``."""

    config_type: ClassVar[type[Any]] = CameraHealthConfig
    values: ClassVar[Mapping[str, str]] = {
        "covered": "share of the picture that something before the lens covers",
        "dark": "1 when it is too dark to see, otherwise 0",
        "frozen": "1 when the same picture comes again and again, otherwise 0",
        "luma": "mean brightness of the picture, 0 to 255",
        "missing_s": "seconds since the last picture came",
    }

    def __init__(self, config: CameraHealthConfig, surroundings: Surroundings) -> None:
        self._config = config
        self._last_ns: int | None = None
        self._first_ns: int | None = None
        self._repeats = 0
        self._longest = 0
        self._changes = 0
        self._same_s = 0.0
        self._values: dict[str, float | None] = dict.fromkeys(("covered", "dark", "frozen", "luma"))

    def step(self, turn: SafetyTurn) -> Reading:
        """Take in the next turn."""
        if self._first_ns is None:
            self._first_ns = turn.start_ns
        for view in turn.views:
            self._values["frozen"] = float(self._look_same(view))
            self._values["luma"] = float(view.luma.mean())
            self._values["covered"], self._values["dark"] = view.covered, float(view.is_dark)
            self._last_ns = view.frame.stamp_ns
        since_ns = self._last_ns if self._last_ns is not None else self._first_ns
        return Reading({**self._values, "missing_s": max(0, turn.end_ns - since_ns) / 1e9})

    def _look_same(self, view: View) -> bool:
        """Count repetitions; a camera that gives each picture twice is used to some."""
        if not view.is_same:
            self._changes += self._last_ns is not None
            is_usual = self._repeats <= max(self._config.frozen_frames, 2 * self._longest + 1)
            if is_usual:
                self._longest = max(self._longest, self._repeats)
            self._repeats, self._same_s = 0, 0.0
            return False
        self._repeats += 1
        self._same_s += view.step_s
        usual = 0 if self._longest < self._config.frozen_frames else 2 * self._longest
        is_noisy = self._changes >= 5
        is_sudden = is_noisy and self._repeats >= max(self._config.frozen_frames, usual)
        return is_sudden or self._same_s >= self._config.frozen_s
