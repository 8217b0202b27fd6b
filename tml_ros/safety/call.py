"""Hear calls for help, in what the model understood or what was typed. What it does not understand is not heard."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tml_ros.config import param
from tml_ros.safety.phrases import Phrases
from tml_ros.safety.watcher import Reading, SafetyTurn, Surroundings

__all__ = ["CallConfig", "CallWatcher"]

_WHOLE = (
    "[please|somebody] help [help] [me] [please] [help] [me]",
    "[help] fire [fire] [fire]",
    "(emergency|mayday) [emergency|mayday]",
)
_PHRASES = (
    "(help help|somebody help|please help me|i need a doctor|we need a doctor)",
    "call (an ambulance|the ambulance|the fire brigade|the fire department|security|a doctor|emergency)",
    "(this is an emergency|there is a fire)",
    "(i am|he is|she is|somebody is) (hurt|injured|bleeding|burned|unconscious|on fire)",
)


@dataclass(frozen=True, slots=True)
class CallConfig:
    """What is a call for help."""

    phrases: tuple[str, ...] = param(
        _PHRASES, "Words that call for help wherever they stand, in the notation of intents.yaml"
    )
    whole: tuple[str, ...] = param(_WHOLE, "Words that call for help when nothing else is said")
    confidence: float = param(0.3, "Least confidence of words that were heard", minimum=0.0, maximum=1.0)
    hold_s: float = param(5.0, "Time that a call counts", unit="s", minimum=0.0, maximum=600.0)


class CallWatcher:
    """The kind ``call``."""

    config_type: ClassVar[type[Any]] = CallConfig
    values: ClassVar[Mapping[str, str]] = {"called": "1 while a call for help counts, otherwise 0"}

    def __init__(self, config: CallConfig, surroundings: Surroundings) -> None:
        """Read the phrases.

        Raises:
            ConfigError: one cannot be read.
        """
        self._config = config
        self._phrases, self._whole = Phrases(config.phrases), Phrases(config.whole)
        self._heard_ns: int | None = None

    def step(self, turn: SafetyTurn) -> Reading:
        """Take in the next turn."""
        certain = (word.text for word in turn.words if word.confidence >= self._config.confidence)
        if any(self._phrases.found_in(text) or self._whole.are(text) for text in certain):
            self._heard_ns = turn.end_ns
        counts = self._heard_ns is not None and turn.end_ns - self._heard_ns <= self._config.hold_s * 1e9
        return Reading({"called": float(counts)})
