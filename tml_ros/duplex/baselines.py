"""Models that hear nothing: the lower bound that every table is read against."""

from dataclasses import dataclass

from tml_ros.duplex.protocol import DuplexStream, SessionInfo
from tml_ros.records import MicroTurn, MicroTurnOutput

__all__ = ["SilenceConfig", "SilenceModel"]


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
