"""What a model put out before is asked of it again where it shall not forget, and nothing else."""

import numpy as np
import pytest
import torch

from tml_ros.duplex.native.checkpoint import locate_checkpoint, read_manifest
from tml_ros.duplex.native.transformer import InteractionTransformer
from tml_ros.duplex.native.vocabulary import Vocabulary
from tml_ros.records import MICRO_TURN_SAMPLES, Floor, SpeechText
from tml_ros.training.conversation import Conversation, Target
from tml_ros.training.encoding import Batch, Encoder
from tml_ros.training.keeping import KeepingObjective, divergence
from tml_ros.training.learner import Learner, LearnerOptions
from tml_ros.training.objective import Emphasis
from tml_ros.training.settings import OptimizerSettings

TINY = locate_checkpoint("tiny")
SHAPE = read_manifest(TINY).shape


def made(seed: int) -> InteractionTransformer:
    return InteractionTransformer.created(SHAPE, seed).requires_grad_(False)


@pytest.fixture(scope="module")
def batch() -> Batch:
    torch.set_num_threads(1)
    rows = []
    for seed in range(4):
        sound = np.random.default_rng(seed).normal(0.0, 0.1, 5 * MICRO_TURN_SAMPLES).astype(np.float32)
        targets = (Target(Floor.SPEAK, (SpeechText("going left"),)), *[Target()] * 4)
        rows.append([Conversation("word", sound, targets)])
    return Encoder(SHAPE, Vocabulary.load(TINY / "tokenizer.json")).batch(rows, 5)


def test_nothing_is_apart_when_the_model_is_what_it_was(batch):
    assert float(divergence(made(1), made(1), batch)) == pytest.approx(0.0, abs=1e-6)
    assert float(divergence(made(2), made(1), batch)) > 0.05


@pytest.mark.parametrize(("weight", "stays"), [(0.0, False), (30.0, True)])
def test_old_rows_stay_as_they_were_when_that_counts(batch, weight, stays):
    before, model = made(1), made(1)
    objective = KeepingObjective(model, before, new=2, weight=weight)
    options = LearnerOptions(OptimizerSettings(rate=3e-3, warmup_steps=0, weight_decay=0.0), 12)
    learner = Learner(model, options, lambda name: name.startswith("blocks."), objective)
    losses = [float(learner.learn(batch, Emphasis(spelling=0.0)).measured.value) for _ in range(8)]
    apart = float(divergence(model, before, batch.rows(2, 4)).detach())
    assert losses[-1] < losses[0]
    assert (apart < 0.3) is stays, apart
