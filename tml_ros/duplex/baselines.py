"""Models that understand nothing: the bounds that every table is read against."""

from dataclasses import dataclass

import numpy as np

from tml_ros.duplex.protocol import DuplexStream, SessionInfo
from tml_ros.records import Floor, MicroTurn, MicroTurnOutput, SpeechText

__all__ = ["AlwaysTalkConfig", "AlwaysTalkModel", "EchoConfig", "EchoModel", "SilenceConfig", "SilenceModel"]

_TALK = "I am talking all the time, whatever you say, and I never wait for you."
_SOUND_RMS = 0.01  # above the noise of a microphone, below a voice across the room


@dataclass(frozen=True, slots=True)
class SilenceConfig:
    """The silence baseline has no parameters."""


class SilenceModel:
    """Always listens, never speaks."""

    name = "silence"
    config_type = SilenceConfig

    def __init__(self, config: SilenceConfig) -> None:
        self._config = config

    def open(self, info: SessionInfo) -> DuplexStream:
        """Begin a session that stays silent."""
        return _SilenceStream()

    def close(self) -> None:
        """Do nothing: there is nothing to free."""


class _SilenceStream:
    def step(self, turn: MicroTurn) -> MicroTurnOutput:
        return MicroTurnOutput()

    def counters(self) -> dict[str, int]:
        return {}

    def close(self) -> None:
        return


@dataclass(frozen=True, slots=True)
class AlwaysTalkConfig:
    """The always-talk baseline has no parameters."""


class AlwaysTalkModel:
    """Talks without end and never listens: no latency at all, and a takeover of every pause."""

    name = "always_talk"
    config_type = AlwaysTalkConfig

    def __init__(self, config: AlwaysTalkConfig) -> None:
        self._config = config

    def open(self, info: SessionInfo) -> DuplexStream:
        """Begin a session that is talked through."""
        return _AlwaysTalkStream()

    def close(self) -> None:
        """Do nothing: there is nothing to free."""


class _AlwaysTalkStream:
    def step(self, turn: MicroTurn) -> MicroTurnOutput:
        return MicroTurnOutput(floor=Floor.SPEAK, speech=() if turn.is_playing else (SpeechText(_TALK),))

    def counters(self) -> dict[str, int]:
        return {}

    def close(self) -> None:
        return


@dataclass(frozen=True, slots=True)
class EchoConfig:
    """The echo baseline has no parameters."""


class EchoModel:
    """Says back what it hears, as sound and without words, one micro-turn later."""

    name = "echo"
    config_type = EchoConfig

    def __init__(self, config: EchoConfig) -> None:
        self._config = config

    def open(self, info: SessionInfo) -> DuplexStream:
        """Begin a session in which everything is said back."""
        return _EchoStream()

    def close(self) -> None:
        """Do nothing: there is nothing to free."""


class _EchoStream:
    """An utterance lasts from the first micro-turn with a sound to the first without, which is said back as well."""

    def __init__(self) -> None:
        self._is_speaking = False

    def step(self, turn: MicroTurn) -> MicroTurnOutput:
        was_speaking, self._is_speaking = self._is_speaking, _has_sound(turn)
        if not (was_speaking or self._is_speaking):
            return MicroTurnOutput()
        speech = SpeechText("", last=not self._is_speaking)
        return MicroTurnOutput(floor=Floor.SPEAK, speech=(speech,), audio=turn.audio)

    def counters(self) -> dict[str, int]:
        return {}

    def close(self) -> None:
        return


def _has_sound(turn: MicroTurn) -> bool:
    return float(np.sqrt(np.mean(np.square(turn.audio, dtype=np.float64)))) > _SOUND_RMS
