"""Teach a model a handful of scenes: the loop of the trainer as a function, for fine-tuning and for tests.

Batches are drawn from the scenes by a seed and the number of the step. Which parameters learn, the caller says.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tml_ros.duplex.native.transformer import InteractionTransformer
from tml_ros.duplex.native.vocabulary import Vocabulary
from tml_ros.training.conversation import Conversation
from tml_ros.training.encoding import Encoder
from tml_ros.training.learner import Learner, LearnerOptions, Progress, is_learned
from tml_ros.training.objective import Emphasis
from tml_ros.training.settings import OptimizerSettings

__all__ = ["Fitting", "fit_scenes"]


@dataclass(frozen=True, slots=True)
class Fitting:
    """How scenes are taught. rows: of a batch. shares: how often scenes of a skill come, beside the others' 1."""

    steps: int
    rows: int = 8
    optimizer: OptimizerSettings = field(default_factory=lambda: OptimizerSettings(rate=1e-3, warmup_steps=10))
    emphasis: Emphasis = field(default_factory=Emphasis)
    average: float = 0.0
    shares: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0


def fit_scenes(
    model: InteractionTransformer,
    vocabulary: Vocabulary,
    scenes: Sequence[Conversation],
    fitting: Fitting,
    *,
    is_trainable: Callable[[str], bool] = is_learned,
    report: Callable[[Progress], None] = lambda progress: None,
) -> InteractionTransformer:
    """Train a model on scenes, in place, and return it with the weights to be used.

    Args:
        model: whose parameters may be new ones beside those of a checkpoint, such as adapters.
        scenes: at least one; those of a batch are cut or filled up to the longest of them.
        fitting: how.
        is_trainable: whether the parameter of a name learns; the others stay as they are, to the bit.
        report: is told of every step.

    Raises:
        ConfigError: a record of a scene cannot be put in the model's words.
        ModelError: no parameter is trainable, or the loss is no number any more.
    """
    options = LearnerOptions(fitting.optimizer, fitting.steps, fitting.average)
    learner = Learner(model, options, is_trainable)
    encoder = Encoder(model.shape, vocabulary)
    weights = np.array([fitting.shares.get(scene.skill, 1.0) for scene in scenes])
    for step in range(fitting.steps):
        rng = np.random.default_rng((fitting.seed, step))
        chosen = rng.choice(len(scenes), fitting.rows, replace=len(scenes) < fitting.rows, p=weights / weights.sum())
        rows = [[scenes[index]] for index in chosen]
        batch = encoder.batch(rows, max(row[0].turns for row in rows))
        report(learner.learn(batch, fitting.emphasis))
    model.load_state_dict(learner.weights())
    return model.eval()
