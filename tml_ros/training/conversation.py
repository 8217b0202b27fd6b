"""What a training scene is: a piece of a session, with what the model shall put out in every micro-turn.

The generators make it, the trainer turns it into tensors, the evaluation plays it. Everything of micro-turn t is what
is known when it ends: a target at t may use the sound up to and with t, and nothing after it. It knows no tensors.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tml_ros.duplex.native.markup import Record
from tml_ros.errors import ConfigError
from tml_ros.records import MICRO_TURN_SAMPLES, Floor, TextSource

__all__ = ["Conversation", "Target"]

UNKNOWN = float("nan")


@dataclass(frozen=True, slots=True)
class Target:
    """What the model shall put out at the end of one micro-turn.

    records: structures that begin here, in order; their tokens go on in the next micro-turns where one does not hold
    them, and whatever begins meanwhile waits behind them. user_speaking, turn_end, speech_present: 0 or 1, NaN where
    unknown; turn_end is 1 in the micro-turn in which a turn is over and in those after it until somebody speaks again.
    """

    floor: Floor = Floor.LISTEN
    records: tuple[Record, ...] = ()
    user_speaking: float = UNKNOWN
    turn_end: float = UNKNOWN
    speech_present: float = UNKNOWN


@dataclass(frozen=True, slots=True)
class Conversation:
    """One scene of T micro-turns.

    skill: what it teaches, such as ``command`` or ``barge_in``; losses are told apart by it. audio: [T * 3200] float32
    at 16 kHz, what the microphone hears, after the echo canceller where there is an echo. reference: [T * 3200] float32
    of what the loudspeaker plays, or None. playing: [T] bool. frames: micro-turn to its newest picture, [H, W, 3] uint8
    RGB. texts: micro-turn to the lines that come in, as (source, text). targets: T of them.
    """

    skill: str
    audio: NDArray[np.float32]
    targets: tuple[Target, ...]
    reference: NDArray[np.float32] | None = None
    playing: NDArray[np.bool_] | None = None
    frames: Mapping[int, NDArray[np.uint8]] = field(default_factory=dict)
    texts: Mapping[int, tuple[tuple[TextSource, str], ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        turns = len(self.targets)
        for name, sound in (("audio", self.audio), ("reference", self.reference)):
            if sound is not None and len(sound) != turns * MICRO_TURN_SAMPLES:
                raise ConfigError(
                    f"{name} of a {self.skill} scene has {len(sound)} samples, expected {turns} micro-turns of "
                    f"{MICRO_TURN_SAMPLES}; cut or pad it"
                )
        if self.playing is not None and len(self.playing) != turns:
            raise ConfigError(f"playing of a {self.skill} scene has {len(self.playing)} entries, expected {turns}")
        for name, keyed in (("frames", self.frames), ("texts", self.texts)):
            if beyond := [turn for turn in keyed if not 0 <= turn < turns]:
                raise ConfigError(
                    f"{name} of a {self.skill} scene are in micro-turn {beyond[0]}, but it has only {turns}"
                )

    @property
    def turns(self) -> int:
        """Number of micro-turns."""
        return len(self.targets)
