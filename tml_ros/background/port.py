"""The seam between a conversation and whoever works on its tasks: requests out, updates in, nothing that blocks.

A live port talks to the action server (``tml_ros.nodes``), an inline one runs a model at once on the time of a bag.
"""

from dataclasses import dataclass
from typing import Protocol

from tml_ros.background.protocol import ContextPackage, Update
from tml_ros.records import Frame

__all__ = ["BackgroundPort", "DelegationRequest", "DelegationUpdate"]


@dataclass(frozen=True, slots=True)
class DelegationRequest:
    """A task on its way to the background model. package: without images; frames: what was seen, oldest first."""

    delegation_id: str
    package: ContextPackage
    frames: tuple[Frame, ...] = ()


@dataclass(frozen=True, slots=True)
class DelegationUpdate:
    """News of a task. stamp_ns: time of arrival, on the time of the micro-turns."""

    delegation_id: str
    stamp_ns: int
    update: Update


class BackgroundPort(Protocol):
    """Where a session sends its tasks.

    Thread: called by the engine's thread; every call returns at once.
    """

    def start(self, request: DelegationRequest, now_ns: int) -> None:
        """Send a task. What goes wrong comes back as an update with a Failure. now_ns: end of the micro-turn."""

    def cancel(self, delegation_id: str) -> None:
        """Withdraw a task; its updates may still come and are to be ignored."""

    def updates(self, now_ns: int) -> tuple[DelegationUpdate, ...]:
        """Return what has come since the last call, in order, up to ``now_ns`` (end of the micro-turn)."""
