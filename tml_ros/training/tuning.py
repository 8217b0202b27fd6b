"""Teach a checkpoint a lab's own commands: a low-rank adapter, learned from lessons with old skills between them.

Nothing of the checkpoint changes; what is written is the adapter alone. The same lessons, settings and number of
threads give the same adapter.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from tml_ros.duplex.native.adapters import add_adapter, header_of, is_adapter, save_adapter
from tml_ros.duplex.native.checkpoint import TOKENIZER, fill, load_checkpoint, locate_checkpoint
from tml_ros.duplex.native.transformer import InteractionTransformer
from tml_ros.duplex.native.vocabulary import Vocabulary
from tml_ros.training.conversation import Conversation
from tml_ros.training.corpus import Corpus, save
from tml_ros.training.corpus_build import Amounts, pieces
from tml_ros.training.encoding import Encoder
from tml_ros.training.keeping import KeepingObjective
from tml_ros.training.learner import Learner, LearnerOptions
from tml_ros.training.lessons import Lessons
from tml_ros.training.objective import Emphasis
from tml_ros.training.settings import OptimizerSettings

__all__ = ["Tuned", "Tuning", "rehearsal_corpus", "tune"]

_SMALL = 0.02
_LOG_STEPS = 20
_EMPHASIS = Emphasis(quiet=0.4, spelling=0.0)  # an adapter does not change how sound is heard


@dataclass(frozen=True, slots=True)
class Tuning:
    """How an adapter is learned. rows, turns: of a batch. lessons: share of its rows, the others are old skills.

    keep: what going on as before counts in these. seconds: ends sooner when that is over.
    """

    steps: int = 300
    rows: int = 8
    turns: int = 40
    rank: int = 8
    scale: float = 2.0
    lessons: float = 0.5
    keep: float = 4.0
    average: float = 0.98
    optimizer: OptimizerSettings = field(
        default_factory=lambda: OptimizerSettings(rate=1e-3, warmup_steps=20, weight_decay=0.0)
    )
    seed: int = 0
    threads: int = 2
    seconds: float = float("inf")

    @property
    def taught(self) -> int:
        """Rows of a batch that are lessons."""
        return round(self.rows * self.lessons)


@dataclass(frozen=True, slots=True)
class Tuned:
    """What came of it."""

    adapter: Path
    steps: int
    seconds: float


def rehearsal_corpus(folder: Path, seed: int = 0) -> Corpus:
    """Return the parts of old skills in a folder; made by the local synthesisers, in a minute, where there are none.

    Raises:
        InputError: what is there is no corpus.
        MissingDependencyError: no synthesiser is installed.
    """
    if not (folder / "parts.json").is_file():
        save(folder, pieces(None, Amounts().scaled(_SMALL), seed))
    return Corpus.load(folder)


def tune(
    checkpoint: str, lessons: Lessons, out: Path, tuning: Tuning = Tuning(), say: Callable[[str], None] = print
) -> Tuned:
    """Learn an adapter and write it.

    Raises:
        ModelError: the checkpoint cannot be used, the loss is no number any more, or the file cannot be written.
        ConfigError: what is taught cannot be put in the model's words.
    """
    began = time.monotonic()
    folder = locate_checkpoint(checkpoint)
    manifest, weights = load_checkpoint(folder)
    torch.set_num_threads(tuning.threads)
    model, before = InteractionTransformer(manifest.shape), InteractionTransformer(manifest.shape)
    for each in (model, before):
        fill(each, weights, folder)
    add_adapter(model, tuning.rank, tuning.scale, tuning.seed)
    objective = KeepingObjective(model, before.requires_grad_(False), tuning.taught, tuning.keep)
    options = LearnerOptions(tuning.optimizer, tuning.steps, tuning.average)
    learner = Learner(model, options, is_adapter, objective)
    encoder = Encoder(manifest.shape, Vocabulary.load(folder / TOKENIZER))
    while learner.step < tuning.steps and time.monotonic() - began < tuning.seconds:
        batch = encoder.batch(_rows(lessons, tuning, learner.step), tuning.turns)
        progress = learner.learn(batch, _EMPHASIS)
        if progress.step % _LOG_STEPS == 0 or progress.step == tuning.steps:
            kept = float(progress.measured.total.detach() - progress.measured.value)
            said = f"loss of lessons {float(progress.measured.value):.3f}, of old skills kept {kept:.4f}"
            say(f"step {progress.step} of {tuning.steps}, {said}")
    model.load_state_dict(learner.weights())
    save_adapter(model.eval(), out, header_of(manifest, out.stem, tuning.rank, tuning.scale, lessons.texts))
    return Tuned(out, learner.step, round(time.monotonic() - began, 1))


def _rows(lessons: Lessons, tuning: Tuning, step: int) -> list[list[Conversation]]:
    """Return the rows of a step: lessons first, then old skills, each row filled with scenes."""
    rows: list[list[Conversation]] = []
    for row in range(tuning.rows):
        make, scenes = lessons.scene if row < tuning.taught else lessons.rehearsal, list[Conversation]()
        while sum(scene.turns for scene in scenes) < tuning.turns:
            scenes.append(make((step * tuning.rows + row << 6) + len(scenes)))
        rows.append(scenes)
    return rows
