"""What a network that knows nothing else says of a sound over the robot's own voice: does somebody want the floor?

The transformer gives the floor up for a listener's "mm-hm", too. The small network of ``cascade`` (models/overlap) was
trained on nothing but telling those from bids; what it says leans the transformer's choice of the floor to one side,
before the choice is made, so that the transformer knows what became of it. It knows no tensors.
"""

import math

from tml_ros.duplex.cascade.config import CascadeConfig
from tml_ros.duplex.cascade.echo import EchoGuard
from tml_ros.duplex.cascade.floor import OverlapJudge
from tml_ros.duplex.cascade.overlap import OverlapClassifier
from tml_ros.duplex.cascade.vad import SileroVad, VadStream
from tml_ros.records import MicroTurn
from tml_ros.resources import locate

__all__ = ["Overlap", "OverlapStream"]

_WEIGHT = 2.5
"""How much the network counts beside the transformer, whose logarithms of odds count once."""
_NOBODY = 0.35
"""Chance of a bid where nobody is heard; a soft beginning may be missed."""
_SUREST = 0.98


class Overlap:
    """The network, and who finds where a sound begins; sessions share them."""

    def __init__(self) -> None:
        """Load both.

        Raises:
            MissingDependencyError, ModelError: one of them is not there.
        """
        self._config = CascadeConfig()
        self._vad, self._network = SileroVad(), OverlapClassifier.load(locate("models/overlap"))

    def open(self) -> "OverlapStream":
        """Begin a session."""
        judge = OverlapJudge(self._config, self._network.probability)
        return OverlapStream(self._vad.open(), judge, EchoGuard(self._config.echo_correlation))


class OverlapStream:
    """Follows one session.

    Thread: one caller at a time.
    """

    def __init__(self, vad: VadStream, judge: OverlapJudge, echo: EchoGuard) -> None:
        self._vad, self._judge, self._echo = vad, judge, echo

    def lean(self, turn: MicroTurn) -> float:
        """Take in a micro-turn; return what is to be added to the logarithm of the odds that the floor is given up.

        0 while the robot does not speak.
        """
        is_echo = turn.is_playing and self._echo.is_echo(turn.audio, turn.reference)
        frames = self._vad.push(turn.audio)
        self._judge.hear(turn.audio, [0.0] * len(frames) if is_echo else frames, attends=turn.is_playing)
        if not turn.is_playing:
            return 0.0
        chance = self._judge.chance()
        chance = min(max(_NOBODY if chance is None else chance, 1 - _SUREST), _SUREST)
        return _WEIGHT * math.log(chance / (1 - chance))
