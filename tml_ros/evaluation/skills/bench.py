"""Where models stand ready: each is loaded once in a process, for every way in which it is used."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from tml_ros.evaluation.runner import ModelSpec

__all__ = ["Bench"]

T = TypeVar("T")


class Bench:
    """Models by label. Thread: one caller at a time."""

    def __init__(self, specs: Mapping[str, ModelSpec]) -> None:
        self._specs = dict(specs)
        self._made: dict[tuple[str, str], Any] = {}

    def take(self, use: str, label: str, make: Callable[[ModelSpec], T]) -> T:
        """Return what was made of a model for a use, made now if it is the first time."""
        if (use, label) not in self._made:
            self._made[use, label] = make(self._specs[label])
        made: T = self._made[use, label]
        return made

    def close(self) -> None:
        """Free every model."""
        for one in self._made.values():
            one.close()
        self._made.clear()
