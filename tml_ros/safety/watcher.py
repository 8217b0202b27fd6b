"""What a watcher is: it takes in micro-turns, one after the other, and gives named numbers for the rules.

A watcher looks at no clock and at nothing but what it is given, so the same turns give the same numbers. What it cannot
tell (no picture came, the lens is covered) is None, and the rules leave things as they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from tml_ros.safety.eye import View
from tml_ros.safety.zones import Box, Zone

__all__ = ["Reading", "SafetyTurn", "Surroundings", "Watcher", "Words"]


@dataclass(frozen=True, slots=True)
class Words:
    """What somebody said, as far as the model understood it, or typed. confidence: 0 to 1, of a typed line 1."""

    stamp_ns: int
    text: str
    is_typed: bool = False
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class SafetyTurn:
    """200 ms for the watchers.

    audio: [3200] float32 at 16 kHz, as the microphone gave it. audio_valid: share of samples really received.
    reference: what the loudspeaker played, in step with audio, or None. views: the frames, by stamp. words: what was
    understood or typed since the last turn.
    """

    start_ns: int
    end_ns: int
    audio: NDArray[np.float32]
    audio_valid: float = 1.0
    reference: NDArray[np.float32] | None = None
    views: tuple[View, ...] = ()
    words: tuple[Words, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """What a watcher tells of one turn. values: by name, None where it cannot tell. boxes: where it was seen."""

    values: Mapping[str, float | None]
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What watchers are built with beside their own configuration. zones: by name."""

    zones: Mapping[str, Zone] = field(default_factory=dict)


class Watcher(Protocol):
    """One kind of watcher. config_type: a dataclass of ``param`` fields. values: every name it gives, described.

    Thread: one caller at a time.
    """

    config_type: ClassVar[type[Any]]
    values: ClassVar[Mapping[str, str]]

    def __init__(self, config: Any, surroundings: Surroundings) -> None: ...

    def step(self, turn: SafetyTurn) -> Reading:
        """Take in the next turn."""
