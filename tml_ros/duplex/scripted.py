"""A duplex model that puts out what a script says for a micro-turn: a test double for anybody. It hears nothing."""

from collections.abc import Mapping

from tml_ros.duplex.protocol import DuplexStream, SessionInfo
from tml_ros.records import MicroTurn, MicroTurnOutput

__all__ = ["ScriptedDuplex"]


class ScriptedDuplex:
    """Model and stream in one. script: index of the micro-turn -> output; an exception in it is raised.

    turns, opened, closed: what it was given, for a test to look at.
    """

    name = "scripted"

    def __init__(self, script: Mapping[int, MicroTurnOutput | Exception]) -> None:
        self.turns: list[MicroTurn] = []
        self.opened: list[SessionInfo] = []
        self.closed = 0
        self._script = script

    def open(self, info: SessionInfo) -> DuplexStream:
        """Begin a session; the script begins anew with its first micro-turn."""
        self.opened.append(info)
        return self

    def step(self, turn: MicroTurn) -> MicroTurnOutput:
        """Put out what the script says, or nothing."""
        self.turns.append(turn)
        output = self._script.get(turn.index, MicroTurnOutput())
        if isinstance(output, Exception):
            raise output
        return output

    def counters(self) -> dict[str, int]:
        """Return how many micro-turns there were."""
        return {"steps": len(self.turns)}

    def close(self) -> None:
        """Count the call."""
        self.closed += 1
