"""The letters of what people say, asked of the sound alone: which they are, and that they are learned."""

import numpy as np
import pytest
import torch

from tml_ros.duplex.native.checkpoint import load_checkpoint, locate_checkpoint
from tml_ros.duplex.native.inputs import ABSENT
from tml_ros.duplex.native.tokens import Marker
from tml_ros.duplex.native.transformer import InteractionTransformer
from tml_ros.duplex.native.vocabulary import Vocabulary
from tml_ros.records import MICRO_TURN_SAMPLES, TranscriptEvent
from tml_ros.training.conversation import Conversation, Target
from tml_ros.training.encoding import Encoder
from tml_ros.training.learner import Learner, LearnerOptions
from tml_ros.training.objective import Emphasis
from tml_ros.training.settings import OptimizerSettings


def said(text: str, speaker: str = "user") -> TranscriptEvent:
    return TranscriptEvent(speaker, text, True, 1.0, 0, 0)


def scene(*texts: str, seed: int = 0) -> Conversation:
    sound = np.random.default_rng(seed).normal(0.0, 0.1, 8 * MICRO_TURN_SAMPLES).astype(np.float32)
    targets = [Target(records=(said(text),)) for text in texts]
    return Conversation("word", sound, tuple(targets + [Target()] * (8 - len(targets))))


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    torch.set_num_threads(1)
    folder = locate_checkpoint("tiny")
    return Encoder(load_checkpoint(folder)[0].shape, Vocabulary.load(folder / "tokenizer.json"))


def test_letters_are_those_that_people_say_when_rows_are_encoded(encoder):
    other = Conversation("word", np.zeros(MICRO_TURN_SAMPLES, np.float32), (Target(records=(said("no", "robot"),)),))
    batch = encoder.batch([[scene("Go on", "don't"), other], [other]], 9)
    letters = [1 + "abcdefghijklmnopqrstuvwxyz'".index(letter) for letter in "goondon't"]
    assert batch.spelled.tolist() == [letters, [ABSENT] * len(letters)]
    assert batch.letters[0] == Marker.SPARE_1 and len(set(batch.letters.tolist())) == 28


def test_letters_are_learned_from_sound_when_nothing_else_is_asked(encoder):
    batch = encoder.batch([[scene("go", "stop", seed=1)], [scene("left", seed=2)]], 8)
    model = InteractionTransformer.created(load_checkpoint(locate_checkpoint("tiny"))[0].shape, seed=1)
    learner = Learner(model, LearnerOptions(OptimizerSettings(rate=4e-3, warmup_steps=5), 60))
    emphasis = Emphasis(spelling=100.0)
    losses = [float(learner.learn(batch, emphasis).measured.value) for _ in range(60)]
    assert losses[-1] < 0.2 * losses[0]
    assert np.isfinite(losses).all()


def test_nothing_is_added_when_spelling_does_not_count(encoder):
    batch = encoder.batch([[scene("go")]], 8)
    model = InteractionTransformer.created(load_checkpoint(locate_checkpoint("tiny"))[0].shape, seed=1)
    with_letters, without = (
        Learner(model, LearnerOptions(OptimizerSettings(rate=1e-9, warmup_steps=0), 9)).learn(batch, emphasis)
        for emphasis in (Emphasis(spelling=1.0), Emphasis(spelling=0.0))
    )
    assert with_letters.measured.value > without.measured.value + 0.5
    assert torch.equal(with_letters.measured.counts, without.measured.counts)
