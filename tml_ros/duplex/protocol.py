"""What a duplex model is: one stream per session, one step per micro-turn, in order.

A model sees only micro-turns: no ROS, no clock but the turns' own stamps, no devices. Given the same turns and seed it
must put out the same outputs, so it may not read wall time, use unseeded randomness or wait for other threads.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from tml_ros.records import MicroTurn, MicroTurnOutput

__all__ = ["DuplexModel", "DuplexStream", "ModelFactory", "SessionInfo"]


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """What a model is told when a session opens. start_ns: start of the first micro-turn."""

    session_id: str
    start_ns: int
    seed: int = 0


class DuplexStream(Protocol):
    """One session of a model.

    Thread: open, step and close are called by one thread, never at the same time.
    """

    def step(self, turn: MicroTurn) -> MicroTurnOutput:
        """Take in one micro-turn and put out one; turns come in order, each once."""

    def counters(self) -> dict[str, int]:
        """Return what was dropped, malformed or otherwise counted so far, by name."""

    def close(self) -> None:
        """Free what the session holds; called once."""


class DuplexModel(Protocol):
    """Weights and settings that any number of sessions share.

    One that knows what it will often say may name it in an attribute ``phrases`` (a sequence of texts): a live engine
    has them synthesised before they are needed.
    """

    name: str

    def open(self, info: SessionInfo) -> DuplexStream:
        """Begin a session."""

    def close(self) -> None:
        """Free the model; called once, after its sessions are closed."""


class ModelFactory(Protocol):
    """What an entry point of the group ``tml_ros.duplex_models`` names.

    config_type: a dataclass of ``tml_ros.config.param`` fields; its parameters appear under the model's name.
    """

    config_type: type

    def __call__(self, config: Any) -> DuplexModel:
        """Make the model from its checked configuration."""
