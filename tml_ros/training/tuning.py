"""Teach a checkpoint a lab's own commands: a low-rank adapter, learned from lessons with old skills between them.

How new words sound is learned first, as letters; what follows from them, the intents file says. Where a label says more
than that, the blocks learn to answer as well. Nothing of the checkpoint changes; what is written is the adapter alone.
The same lessons, settings and number of threads give the same adapter.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tml_ros.duplex.native.adapters import Part, add_adapter, header_of, is_adapter, save_adapter
from tml_ros.duplex.native.checkpoint import TOKENIZER, fill, load_checkpoint, locate_checkpoint
from tml_ros.duplex.native.inputs import ABSENT
from tml_ros.duplex.native.transformer import InteractionTransformer
from tml_ros.duplex.native.vocabulary import Vocabulary
from tml_ros.training.conversation import Conversation
from tml_ros.training.corpus import LESSON, Corpus, save
from tml_ros.training.corpus_build import Amounts, pieces
from tml_ros.training.drills import Drills
from tml_ros.training.encoding import Arrays, Batch, Encoder
from tml_ros.training.keeping import KeepingObjective
from tml_ros.training.learner import Learner, LearnerOptions, Progress
from tml_ros.training.lessons import Lessons
from tml_ros.training.objective import Emphasis
from tml_ros.training.settings import OptimizerSettings, Stage

__all__ = ["Course", "Tuned", "Tuning", "rehearsal_corpus", "tune"]

_SMALL = 0.02
_LOG_STEPS = 20
_EMPHASIS = Emphasis(quiet=0.4, spelling=0.0)
_SPELLING = Emphasis(spelling=1.0, alignment=0.5, only_spelling=True)
_OLD_SHARES = {"command": 0.4, "word": 0.3, "sentence": 0.25, "sound": 0.05}
_NEW_SHARES = {LESSON: 0.7, "command": 0.1, "word": 0.1, "sentence": 0.1}


@dataclass(frozen=True, slots=True)
class Course:
    """What is learned one after the other. rows: of a batch. keep: what going on as before counts in the old skills."""

    steps: int
    rows: int
    keep: float
    rate: float


@dataclass(frozen=True, slots=True)
class Tuning:
    """How an adapter is learned.

    spelling: how new words sound. answering: what else to do, where the intents file does not say it. turns: of a row.
    lessons: share of the rows, the others are old skills. seconds: ends sooner when that is over.
    """

    spelling: Course = Course(steps=300, rows=16, keep=40.0, rate=4e-3)
    answering: Course = Course(steps=300, rows=8, keep=4.0, rate=1e-3)
    turns: int = 40
    rank: int = 8
    scale: float = 2.0
    lessons: float = 0.5
    average: float = 0.98
    seed: int = 0
    threads: int = 2
    seconds: float = float("inf")

    def taught(self, course: Course) -> int:
        """Rows of a batch that are lessons."""
        return round(course.rows * self.lessons)


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

    def made() -> InteractionTransformer:
        model = InteractionTransformer(manifest.shape)
        fill(model, weights, folder)
        return model

    teacher = _Teacher(made().requires_grad_(False), lessons, tuning, began + tuning.seconds, say)
    encoder = Encoder(manifest.shape, Vocabulary.load(folder / TOKENIZER))
    models, steps = list[InteractionTransformer](), 0
    if manifest.shape.sound_layers:  # else nothing is spelled
        models.append(made())
        steps += teacher.spell(models[-1], encoder)
    if not models or not lessons.are_read:
        models.append(made())
        steps += teacher.answer(models[-1], encoder)
    header = header_of(manifest, out.stem, tuning.rank, tuning.scale, lessons.texts)
    save_adapter([model.eval() for model in models], out, header)
    return Tuned(out, steps, round(time.monotonic() - began, 1))


@dataclass(frozen=True, slots=True)
class _Teacher:
    """Teaches models that are as ``before`` was, until it is too late."""

    before: InteractionTransformer
    lessons: Lessons
    tuning: Tuning
    until_s: float
    say: Callable[[str], None]

    def spell(self, model: InteractionTransformer, encoder: Encoder) -> int:
        """Learn how new words sound, from rows full of them, in place; only the sound is run. Returns the steps."""
        tuning, course = self.tuning, self.tuning.spelling
        learner, new = self._learner(model, "sound", course), tuning.taught(course)
        kinds = ((_NEW_SHARES, new), (_OLD_SHARES, course.rows - new))
        stages = [Stage("spelling", 0, rows, tuning.turns, shares, part="sound") for shares, rows in kinds]
        with tempfile.TemporaryDirectory(prefix="tml_lessons_") as corpus:
            self.lessons.save(Path(corpus))
            drills = Drills(Path(corpus), model.shape)
            while self._goes_on(learner):
                made = [_drilled(drills, stage, tuning.seed, learner.step) for stage in stages]
                batch = Batch.of(_together(*made) | {"letters": encoder.letters}, ["drill"])
                self._tell(learner.learn(batch, _SPELLING), learner, "new words spelled")
        model.load_state_dict(learner.weights())
        return learner.step

    def answer(self, model: InteractionTransformer, encoder: Encoder) -> int:
        """Learn what to do, in place. Returns the steps."""
        learner = self._learner(model, "blocks", self.tuning.answering)
        while self._goes_on(learner):
            batch = encoder.batch(_rows(self.lessons, self.tuning, learner.step), self.tuning.turns)
            self._tell(learner.learn(batch, _EMPHASIS), learner, "lessons")
        model.load_state_dict(learner.weights())
        return learner.step

    def _learner(self, model: InteractionTransformer, part: Part, course: Course) -> Learner:
        tuning = self.tuning
        add_adapter(model, part, tuning.rank, tuning.scale, tuning.seed)
        objective = KeepingObjective(model, self.before, tuning.taught(course), course.keep)
        optimizer = OptimizerSettings(course.rate, warmup_steps=20, weight_decay=0.0)
        return Learner(model, LearnerOptions(optimizer, course.steps, tuning.average), is_adapter, objective)

    def _goes_on(self, learner: Learner) -> bool:
        return learner.step < learner.options.steps and time.monotonic() < self.until_s

    def _tell(self, progress: Progress, learner: Learner, what: str) -> None:
        steps, measured = learner.options.steps, progress.measured
        if progress.step % _LOG_STEPS and progress.step != steps:
            return
        kept = float(measured.total.detach() - measured.value)
        told = f"loss of {what} {float(measured.value):.3f}, of old skills kept {kept:.4f}"
        self.say(f"step {progress.step} of {steps}, {told}")


def _drilled(drills: Drills, stage: Stage, seed: int, step: int) -> Arrays:
    return drills.arrays(stage, seed, range(step * stage.rows, (step + 1) * stage.rows), stage.turns)


def _together(one: Arrays, other: Arrays) -> Arrays:
    """Return the rows of both."""
    most = max(each["spelled"].shape[1] for each in (one, other))
    padded = [
        each
        | {"spelled": np.pad(each["spelled"], ((0, 0), (0, most - each["spelled"].shape[1])), constant_values=ABSENT)}
        for each in (one, other)
    ]
    return {name: np.concatenate([each[name] for each in padded]) for name in one}


def _rows(lessons: Lessons, tuning: Tuning, step: int) -> list[list[Conversation]]:
    """Return the rows of a step: lessons first, then old skills, each row filled with scenes."""
    rows: list[list[Conversation]] = []
    course = tuning.answering
    for row in range(course.rows):
        make, scenes = lessons.scene if row < tuning.taught(course) else lessons.rehearsal, list[Conversation]()
        while sum(scene.turns for scene in scenes) < tuning.turns:
            scenes.append(make((step * course.rows + row << 6) + len(scenes)))
        rows.append(scenes)
    return rows
