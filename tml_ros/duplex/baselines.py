"""Models that hear nothing: the bounds that every table is read against."""

from dataclasses import dataclass

from tml_ros.duplex.protocol import DuplexStream, SessionInfo
from tml_ros.records import Floor, MicroTurn, MicroTurnOutput, PlaybackState, SpeechText

__all__ = ["AlwaysTalkConfig", "AlwaysTalkModel", "SilenceConfig", "SilenceModel"]

_TALK = "I am talking all the time, whatever you say, and I never wait for you."


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
        is_playing = turn.playback is not None and turn.playback.state is PlaybackState.PLAYING
        return MicroTurnOutput(floor=Floor.SPEAK, speech=() if is_playing else (SpeechText(_TALK),))

    def counters(self) -> dict[str, int]:
        return {}

    def close(self) -> None:
        return
