"""Conditions of rules: numbers of watchers, facts, words and other alerts, with and, or, not and durations.

A condition is true, false or unknown (None), as in SQL: what a blind camera would show is unknown, and ``all`` of a
false and an unknown part is false. Time is that of the turns. It knows neither files nor alerts' lives.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from tml_ros.safety.phrases import Phrases
from tml_ros.safety.watcher import Words

__all__ = ["AllOf", "AnyOf", "Condition", "FactIs", "Held", "IsActive", "NotSo", "Situation", "ValueIs", "WasSaid"]


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known at the end of a turn. values: by ``watcher.value``. active: names of rules with an open alert."""

    start_ns: int
    end_ns: int
    values: Mapping[str, float | None] = field(default_factory=dict)
    facts: Mapping[str, bool] = field(default_factory=dict)
    words: tuple[Words, ...] = ()
    active: Collection[str] = ()


class Condition(Protocol):
    """One node of a rule's condition; it may remember earlier turns. It is tested once per turn.

    Thread: one caller at a time.
    """

    def test(self, now: Situation) -> bool | None:
        """Return whether it holds now."""


@dataclass(slots=True)
class ValueIs:
    """A watcher's number lies above or below a limit. release: where a condition that holds ends to do so."""

    name: str
    limit: float
    is_above: bool
    release: float
    _holds: bool = False

    def test(self, now: Situation) -> bool | None:
        """Return whether it holds now."""
        value = now.values.get(self.name)
        if value is None:
            return None
        limit = self.release if self._holds else self.limit
        self._holds = value > limit if self.is_above else value < limit
        return self._holds


@dataclass(frozen=True, slots=True)
class FactIs:
    """A fact was stated and not taken back."""

    name: str

    def test(self, now: Situation) -> bool | None:
        """Return whether it holds now."""
        return now.facts[self.name]


@dataclass(frozen=True, slots=True)
class IsActive:
    """Another rule has an open alert; as of the turn before for rules that come later in the file."""

    rule: str

    def test(self, now: Situation) -> bool | None:
        """Return whether it holds now."""
        return self.rule in now.active


@dataclass(slots=True)
class WasSaid:
    """Somebody said or typed one of the phrases, not longer ago than ``within_s``."""

    phrases: Phrases
    within_s: float
    least_confidence: float = 0.0
    _until_ns: int | None = None

    def test(self, now: Situation) -> bool | None:
        """Return whether it holds now."""
        heard = (word.text for word in now.words if word.confidence >= self.least_confidence)
        if any(self.phrases.found_in(text) for text in heard):
            self._until_ns = now.end_ns + round(self.within_s * 1e9)
        return self._until_ns is not None and now.end_ns <= self._until_ns


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part holds."""

    parts: tuple[Condition, ...]

    def test(self, now: Situation) -> bool | None:
        """Return whether it holds now; every part is tested, for parts remember."""
        found = [part.test(now) for part in self.parts]
        return False if False in found else None if None in found else True


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one part holds."""

    parts: tuple[Condition, ...]

    def test(self, now: Situation) -> bool | None:
        """Return whether it holds now; every part is tested, for parts remember."""
        found = [part.test(now) for part in self.parts]
        return True if True in found else None if None in found else False


@dataclass(frozen=True, slots=True)
class NotSo:
    """The part does not hold."""

    part: Condition

    def test(self, now: Situation) -> bool | None:
        """Return whether it holds now."""
        found = self.part.test(now)
        return None if found is None else not found


@dataclass(slots=True)
class Held:
    """The part has held for ``for_s``, the turn in which it began counted in. What is unknown ends nothing.

    since_ns: start of the turn from which on it has held, None when it does not.
    """

    part: Condition
    for_s: float
    since_ns: int | None = None

    def test(self, now: Situation) -> bool | None:
        """Return whether it holds now."""
        found = self.part.test(now)
        if found is None:
            return None
        if not found:
            self.since_ns = None
            return False
        if self.since_ns is None:
            self.since_ns = now.start_ns
        return now.end_ns - self.since_ns >= round(self.for_s * 1e9)
