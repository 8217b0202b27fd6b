"""A duplex model that stalls on demand, to show what does not depend on it.

It hands everything to another model, and takes ``stall_s`` for each micro-turn while a file is there. It is for tests
and measurements; nothing finds it by name unless it is made known to the registry.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from tml_ros.config import param
from tml_ros.duplex.protocol import DuplexModel, DuplexStream, SessionInfo
from tml_ros.duplex.registry import MODELS, create_model
from tml_ros.records import MicroTurn, MicroTurnOutput

__all__ = ["StallingConfig", "StallingModel", "make_known"]

_NAME = "stalling"


@dataclass(frozen=True, slots=True)
class StallingConfig:
    """What stalls, when, and for how long."""

    inner: str = param("cascade", "Duplex model that does the work")
    switch: str = param("", "File; while it is there, every micro-turn stalls")
    stall_s: float = param(5.0, "Time for which it stalls", unit="s", minimum=0.0, maximum=60.0)
    is_busy: bool = param(False, "Compute meanwhile, in Python, which takes turns with all other threads of the node")


class StallingModel:
    """Another model that stalls now and then."""

    name = _NAME
    config_type = StallingConfig

    def __init__(self, config: StallingConfig) -> None:
        """Make the other model.

        Raises:
            TmlError: it cannot be made.
        """
        self._config = config
        self._inner: DuplexModel = create_model(config.inner)

    def open(self, info: SessionInfo) -> DuplexStream:
        """Begin a session."""
        return _StallingStream(self._config, self._inner.open(info))

    def close(self) -> None:
        """Free the other model."""
        self._inner.close()


class _StallingStream:
    def __init__(self, config: StallingConfig, inner: DuplexStream) -> None:
        self._config = config
        self._inner = inner

    def step(self, turn: MicroTurn) -> MicroTurnOutput:
        if self._config.switch and Path(self._config.switch).exists():
            self._stall()
        return self._inner.step(turn)

    def counters(self) -> dict[str, int]:
        return dict(self._inner.counters())

    def close(self) -> None:
        self._inner.close()

    def _stall(self) -> None:
        if not self._config.is_busy:
            time.sleep(self._config.stall_s)
            return
        end_s = time.monotonic() + self._config.stall_s
        while time.monotonic() < end_s:
            sum(range(1000))


def make_known() -> None:
    """Let the model be found by name in this process."""
    MODELS.add(_NAME, f"{__name__}:{StallingModel.__name__}")
