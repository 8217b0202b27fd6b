"""Speech for the cascade: synthesised phrases, and a way to put sound through a model step by step."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from tml_ros.duplex import SessionInfo, create_model
from tml_ros.records import (
    MICRO_TURN_NS,
    MICRO_TURN_SAMPLES,
    Floor,
    IntentDraft,
    MicroTurn,
    MicroTurnOutput,
    PlaybackReport,
    PlaybackState,
    SpeechKind,
)
from tml_ros.speech import create_synthesiser

T0 = 1_700_000_000_000_000_000


@dataclass
class Run:
    """What came out, turn by turn."""

    outputs: list[MicroTurnOutput] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)

    @property
    def finals(self) -> list[str]:
        return [e.text for o in self.outputs for e in o.transcripts if e.final]

    @property
    def intents(self) -> list[IntentDraft]:
        return [i for o in self.outputs for i in o.intents]

    @property
    def replies(self) -> list[str]:
        """What is said but for back-channels."""
        return [s.text for o in self.outputs for s in o.speech if s.kind is not SpeechKind.BACKCHANNEL]

    @property
    def floors(self) -> list[Floor]:
        return [o.floor for o in self.outputs]


@pytest.fixture(scope="session")
def cascade():
    return create_model("cascade")


@pytest.fixture(scope="session")
def say() -> Callable[..., np.ndarray]:
    voices = {}

    def make(text: str, voice: str = "slt", *, before_s: float = 0.6, after_s: float = 1.4) -> np.ndarray:
        """[N] float32: the text with faint noise around it."""
        if voice not in voices:
            voices[voice] = create_synthesiser("flite", voice)
        sound = voices[voice].synthesise(text)
        made = np.concatenate([np.zeros(int(before_s * 16_000)), sound, np.zeros(int(after_s * 16_000))])
        noise = np.random.default_rng(len(text)).normal(0.0, 0.001, len(made))
        return (made + noise).astype(np.float32)

    return make


@pytest.fixture
def run(cascade) -> Callable[..., Run]:
    def go(
        sound: np.ndarray,
        *,
        playing: range | dict[int, int] = range(0),
        reference=None,
        texts=None,
        frames=None,
        model=None,
    ) -> Run:
        stream = (model or cascade).open(SessionInfo("s", T0))
        result = Run()
        for index in range(-(-len(sound) // MICRO_TURN_SAMPLES)):
            piece = slice(index * MICRO_TURN_SAMPLES, (index + 1) * MICRO_TURN_SAMPLES)
            audio = np.zeros(MICRO_TURN_SAMPLES, np.float32)
            audio[: len(sound[piece])] = sound[piece]
            start = T0 + index * MICRO_TURN_NS
            utterance = playing.get(index) if isinstance(playing, dict) else int(index in playing)
            played = PlaybackReport(start, utterance, PlaybackState.PLAYING, 0) if utterance else None
            result.outputs.append(
                stream.step(
                    MicroTurn(
                        index,
                        start,
                        start + MICRO_TURN_NS,
                        audio,
                        1.0,
                        reference=None if reference is None else reference[piece],
                        playback=played,
                        texts=(texts or {}).get(index, ()),
                        frames=(frames or {}).get(index, ()),
                    )
                )
            )
        result.counters = stream.counters()
        stream.close()
        return result

    return go
