"""A handful of conversations that a small model learns by heart, and what streaming gives after that."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from tml_ros.duplex.native.dmel import normalise
from tml_ros.duplex.native.inputs import ABSENT, StreamInputs, StreamTargets
from tml_ros.duplex.native.losses import LossWeights, losses
from tml_ros.duplex.native.markup import MarkupParser, encode
from tml_ros.duplex.native.shape import FRAMES_PER_TURN, NativeShape
from tml_ros.duplex.native.stepping import StepOptions, Stepper
from tml_ros.duplex.native.tokens import FLOOR_MARKERS, Marker
from tml_ros.duplex.native.transformer import InteractionTransformer
from tml_ros.duplex.native.vocabulary import Vocabulary
from tml_ros.records import IntentDraft, MicroTurn, SpeechText

TURNS, STREAMS, STEPS = 8, 4, 100
MEL_ERROR = 0.25
"""Root mean square in the normalised scale, in which silence and the loudest are 4 apart: 6 % of the range."""
INTENT = IntentDraft("__intent_turn_by__", {"goal": "left"})


@dataclass(frozen=True)
class Lesson:
    """Conversations with what the model shall do in them."""

    inputs: StreamInputs
    targets: StreamTargets


def tone(hertz: float, turns: int) -> torch.Tensor:
    """Return [turns, 3200] of a sine."""
    time = torch.arange(turns * 3200) / 16_000
    return (0.3 * torch.sin(2 * math.pi * hertz * time)).view(turns, 3200)


def make_lesson(tiny_shape: NativeShape, vocabulary: Vocabulary) -> Lesson:
    """A high tone: an intent. A low tone: words and voice. A red picture: others. Typed text: holds, yields."""
    size = (STREAMS, TURNS, *tiny_shape.picture_size, 3)
    audio, frames = torch.zeros(STREAMS, TURNS, 3200), torch.full(size, 60, dtype=torch.uint8)
    audio[0, 2:4], audio[1, 2:4] = tone(2000, 2), tone(300, 2)
    frames[2, 3:5, ..., 0] = 255
    text_in = torch.full((STREAMS, TURNS, tiny_shape.text_in_tokens), ABSENT)
    typed = [int(Marker.USER), *vocabulary.encode("stop")]
    text_in[3, 2, : len(typed)] = torch.tensor(typed)
    inputs = StreamInputs(
        audio,
        torch.ones(STREAMS, TURNS, dtype=torch.bool),
        torch.zeros(STREAMS, TURNS, dtype=torch.bool),
        frames=frames,
        frame_present=torch.tensor([[False] * TURNS, [False] * TURNS, [True] * TURNS, [False] * TURNS]),
        text=text_in,
    )
    floor = torch.full((STREAMS, TURNS), int(Marker.LISTEN))
    floor[1, 4:6], floor[2, 4] = int(Marker.SPEAK), int(Marker.BACKCHANNEL)
    floor[3, 2], floor[3, 3] = int(Marker.HOLD), int(Marker.YIELD)
    text = torch.full((STREAMS, TURNS, tiny_shape.text_out_tokens), ABSENT)
    put(text[0], 4, encode(vocabulary, INTENT))
    put(text[1], 4, encode(vocabulary, SpeechText("yes go on")))
    put(text[2], 4, encode(vocabulary, SpeechText("red")))
    speaking = (floor == Marker.SPEAK) | (floor == Marker.BACKCHANNEL)
    auxiliary = torch.zeros(STREAMS, TURNS, 3)
    auxiliary[:2, 2:4, 0] = auxiliary[:2, 2:4, 2] = auxiliary[:2, 4, 1] = 1
    return Lesson(inputs, StreamTargets(floor, text, auxiliary, speaking, voices(tiny_shape)))


def put(text: torch.Tensor, turn: int, ids: list[int]) -> None:
    """Write ids into [T, N], over as many micro-turns as they take."""
    most = text.shape[1]
    for place, token in enumerate(ids):
        text[turn + place // most, place % most] = token


def voices(shape: NativeShape) -> torch.Tensor:
    """Return the mel of a few sweeps, another one in every stream, [B, T, 20, M]."""
    frame = torch.arange(STREAMS * TURNS * FRAMES_PER_TURN).view(STREAMS, TURNS, FRAMES_PER_TURN, 1)
    band = torch.arange(shape.mel_channels)
    middle = 40 + 20 * torch.sin(frame / 7) + 8 * torch.arange(STREAMS).view(-1, 1, 1, 1)
    height = shape.mel_high - (band - middle).abs() * 0.4
    return normalise(height.clamp(min=shape.mel_low).double(), shape)


def train(shape: NativeShape, lesson: Lesson, weights: LossWeights, steps: int = STEPS) -> InteractionTransformer:
    torch.manual_seed(0)
    model = InteractionTransformer.created(shape, seed=3).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, betas=(0.9, 0.95), weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        loss = losses(model, lesson.inputs, lesson.targets, weights, generator)["total"]
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return model.eval()


@dataclass(frozen=True)
class Report:
    """How often, or how far, streaming gives what was learned. mel: root mean square."""

    floor: float
    text: float
    auxiliary: float
    mel: float
    outputs: list[list]


def examine(model: InteractionTransformer, lesson: Lesson, vocabulary: Vocabulary) -> Report:
    """Let the model talk by itself, its own outputs going back in."""
    stepper = Stepper(model, StepOptions(deterministic=False, voice=True))
    state = model.new_state(list(range(STREAMS)))
    results = [stepper.step(lesson.inputs.turn(t), state) for t in range(TURNS)]
    floor, text = (torch.stack([getattr(r, name) for r in results], 1) for name in ("floor", "text"))
    auxiliary = torch.stack([r.auxiliary for r in results], 1) > 0
    wanted, said = lesson.targets, lesson.targets.speaking & torch.isin(floor, torch.tensor([4, 5]))
    off = (torch.stack([r.mel for r in results], 1) - wanted.mel)[said]
    return Report(
        (floor == wanted.floor).float().mean().item(),
        (text == wanted.text).all(-1).float().mean().item(),
        (auxiliary == (wanted.auxiliary > 0.5)).float().mean().item(),
        off.square().mean().sqrt().item() if len(off) else math.inf,
        [parse(vocabulary, floor[b], text[b]) for b in range(STREAMS)],
    )


def parse(vocabulary: Vocabulary, floors: torch.Tensor, texts: torch.Tensor) -> list:
    """Return the intents and words of one stream."""
    parser, found = MarkupParser(vocabulary), []
    for index, (floor, text) in enumerate(zip(floors.tolist(), texts.tolist(), strict=True)):
        turn = MicroTurn(index, 0, 200_000_000, np.zeros(3200, np.float32), 1.0)
        parsed = parser.push([token for token in text if token != ABSENT], FLOOR_MARKERS[Marker(floor)], turn)
        found += [(intent.intent, dict(intent.data)) for intent in parsed.intents]
        found += [speech.text for speech in parsed.speech if speech.text]
    return found
