"""Micro-turns for models on a server, and the servers."""

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

from tml_ros.duplex.protocol import DuplexStream
from tml_ros.records import MICRO_TURN_NS, MICRO_TURN_SAMPLES, MicroTurn, MicroTurnOutput

T0 = 1_700_000_000_000_000_000


@pytest.fixture(scope="session")
def servers(helpers) -> ModuleType:
    pytest.importorskip("websockets", reason="websockets is not installed: pip install 'tml_ros[realtime]'")
    return helpers("test/duplex/remote/servers.py")


@pytest.fixture(scope="session")
def turn() -> Callable[..., MicroTurn]:
    """Return ``make(index, audio, **fields)``: a micro-turn, silent without audio."""

    def make(index: int, audio: np.ndarray | None = None, **fields: object) -> MicroTurn:
        sound = np.zeros(MICRO_TURN_SAMPLES, np.float32) if audio is None else audio
        start_ns = T0 + index * MICRO_TURN_NS
        return MicroTurn(index, start_ns, start_ns + MICRO_TURN_NS, sound, 1.0, **fields)

    return make


@pytest.fixture(scope="session")
def until(turn) -> Callable[..., list[MicroTurnOutput]]:
    """Return ``steps(stream, is_done, first, **fields)``: silent micro-turns until an output of them is the last."""

    def steps(
        stream: DuplexStream, is_done: Callable[[MicroTurnOutput], bool], first: int = 0, **fields: object
    ) -> list[MicroTurnOutput]:
        outputs: list[MicroTurnOutput] = []
        while not (outputs and is_done(outputs[-1])):
            assert len(outputs) < 200_000, stream.counters()
            outputs.append(stream.step(turn(first + len(outputs), **fields)))
        return outputs

    return steps
