"""Train a native model as a training file says: scenes from workers, steps, snapshots, and a checkpoint at the end.

    OUT/settings.json, metrics.jsonl, curves/, state/NUMBER/, checkpoint/

It may be killed at any moment and goes on from its last snapshot to the same weights, bit for bit on a CPU: a step
depends on nothing but the weights before it and its own number.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from tml_ros.duplex.native.checkpoint import (
    TOKENIZER,
    WEIGHTS,
    CheckpointManifest,
    fill,
    load_checkpoint,
    locate_checkpoint,
    read_manifest,
    save_checkpoint,
)
from tml_ros.duplex.native.losses import LossWeights
from tml_ros.duplex.native.shape import NativeShape
from tml_ros.duplex.native.transformer import InteractionTransformer
from tml_ros.errors import ModelError
from tml_ros.training.encoding import Batch
from tml_ros.training.learner import Learner, LearnerOptions, Progress
from tml_ros.training.objective import Emphasis
from tml_ros.training.parallel import Place
from tml_ros.training.prefetch import Batches, BatchMaker
from tml_ros.training.reporting import Reporter
from tml_ros.training.settings import Stage, TrainSettings
from tml_ros.training.snapshots import Snapshot, Snapshots
from tml_ros.training.spelling import letter_errors

__all__ = ["CHECKPOINT", "Outcome", "Trainer", "emphasis_of"]

CHECKPOINT = "checkpoint"
_MOST_BYTES = 30_000_000  # of a checkpoint that is shipped


@dataclass(frozen=True, slots=True)
class Outcome:
    """How far a training came. seconds: of training, all slices together. checkpoint: None before the last step."""

    step: int
    steps: int
    seconds: float
    figures: dict[str, Any]
    checkpoint: Path | None


class Trainer:
    """One training in a folder.

    Thread: one caller. Every process of a group makes one; the first one writes.
    """

    def __init__(self, settings: TrainSettings, out: Path, place: Place, say: Callable[[str], None] = print) -> None:
        """Take the settings and the sizes; nothing is written yet.

        Raises:
            ModelError: the preset cannot be used, or has no tokenizer.
            ConfigError: a size is impossible.
        """
        self._settings, self._out, self._place = settings, out, place
        self._say = say if place.is_first else _say_nothing
        self._preset = locate_checkpoint(settings.start_from or settings.preset)
        self._manifest = read_manifest(self._preset)
        if not (self._preset / TOKENIZER).is_file():
            raise ModelError(f"{self._preset} has no {TOKENIZER}; take the preset tiny or micro")
        self._shape = NativeShape.from_mapping(self._manifest.shape.as_mapping() | dict(settings.shape))
        self._snapshots = Snapshots(out / "state")

    def run(self, *, resume: bool = False, seconds: float = float("inf")) -> Outcome:
        """Train to the end, or for so many seconds and to the end of a step.

        Args:
            resume: go on where the last run was ended; begin if it had not begun.
            seconds: length of this slice.

        Raises:
            ModelError: there is a training in the folder already, the loss is no number any more, or files are wrong.
            ConfigError: the settings are not those that the training was begun with.
        """
        ends = time.monotonic() + seconds
        learner, spent_s = self._learner(resume)
        maker = BatchMaker(
            self._settings, self._shape, str(self._preset / TOKENIZER), self._place.rank, self._place.world
        )
        reporter = Reporter(self._out if self._place.is_first else None, self._settings.skills, self._say)
        clock = _Clock(spent_s)
        figures: dict[str, Any] = {}
        try:
            with Batches.running(maker, learner.step) as batches:
                figures = self._learn(learner, batches, reporter, clock, ends)
        finally:
            reporter.close()
        is_over = learner.step >= self._settings.steps
        checkpoint = self._export(learner) if is_over and self._place.is_first else None
        return Outcome(learner.step, self._settings.steps, clock.seconds, figures, checkpoint)

    # ------------------------------------------------------------------------------------------------- the way

    def _learn(
        self, learner: Learner, batches: Batches, reporter: Reporter, clock: "_Clock", ends: float
    ) -> dict[str, Any]:
        settings, figures, waited_s, saved_s = self._settings, {}, 0.0, time.monotonic()
        while learner.step < settings.steps:
            stage = settings.stage(learner.step)
            batch = batches.take(learner.step)
            progress = learner.learn(batch, emphasis_of(stage), stop=time.monotonic() >= ends)
            reporter.add(progress, stage.rows, batch.audio_s * self._place.world)
            is_last = progress.stop or progress.step == settings.steps
            if is_last or progress.step % settings.log_steps == 0:
                since, waited_s = batches.waited_s - waited_s, batches.waited_s
                figures = reporter.tell(progress, steps=settings.steps, stage=stage.name, waited_s=since)
            self._probe(learner, progress, reporter, batches.maker)
            if is_last or time.monotonic() - saved_s >= settings.save_s:
                self._save(learner, clock)
                saved_s = time.monotonic()
            if is_last:
                break
        return figures

    def _probe(self, learner: Learner, progress: Progress, reporter: Reporter, maker: BatchMaker) -> None:
        every = self._settings.probe_steps
        if not every or progress.step % every or not self._place.is_first:
            return
        if self._settings.stage(progress.step - 1).part == "sound":
            self._probe_letters(learner, progress, reporter, maker)
            return
        from tml_ros.training.probe import probe_settings  # streaming is not needed to learn

        found = probe_settings(learner, self._settings, self._shape, self._preset / TOKENIZER)
        self._say(f"step {progress.step} {found.line()}")
        reporter.log({"step": progress.step, "probe": found.as_dict()})

    def _probe_letters(self, learner: Learner, progress: Progress, reporter: Reporter, maker: BatchMaker) -> None:
        """Let the weights as they would be saved spell fresh drills, by voices and people that are kept aside."""
        settings, model = self._settings, InteractionTransformer(self._shape)
        model.load_state_dict(learner.weights())
        stage, rows = settings.stage(progress.step - 1), range(settings.probe_rows)
        batch = Batch.of(maker.open().drilled(stage, settings.seed, rows, held=True), settings.skills)
        wrong, letters = letter_errors(model.eval().to(self._place.device), batch.to(self._place.device))
        self._say(f"step {progress.step} by letters, kept aside: {wrong} of {letters} wrong ({wrong / letters:.1%})")
        reporter.log({"step": progress.step, "letters": {"wrong": wrong, "of": letters}})

    def _learner(self, resume: bool) -> tuple[Learner, float]:
        """Return the model as far as it has come, and the seconds that it took so far."""
        settings = self._settings
        if settings.threads:
            torch.set_num_threads(settings.threads)
        snapshot = self._snapshots.load(settings.identity())
        if snapshot is not None and not resume:
            raise ModelError(
                f"{self._out} has a training of {snapshot.step} steps; go on with --resume or name another"
            )
        model = InteractionTransformer.created(self._shape, settings.seed)
        if settings.start_from:
            fill(model, load_checkpoint(self._preset)[1], self._preset)
        options = LearnerOptions(
            settings.optimizer, settings.steps, settings.average, settings.precision, settings.compile
        )
        learner = Learner(model.to(self._place.device), options)
        if snapshot is None:
            self._begin()
            return learner, 0.0
        learner.restore(snapshot.step, snapshot.tensors)
        return learner, snapshot.seconds

    def _begin(self) -> None:
        if self._place.is_first:
            self._out.mkdir(parents=True, exist_ok=True)
            (self._out / "metrics.jsonl").unlink(missing_ok=True)
            text = json.dumps(self._settings.identity(), indent=1)
            (self._out / "settings.json").write_text(text + "\n", encoding="utf-8")

    def _save(self, learner: Learner, clock: "_Clock") -> None:
        if self._place.is_first:
            identity = self._settings.identity()
            self._snapshots.save(Snapshot(learner.step, clock.seconds, identity, learner.tensors()))

    # ------------------------------------------------------------------------------------------------- the end

    def _export(self, learner: Learner) -> Path:
        """Write the checkpoint, in half the precision where it would be too large to be shipped."""
        folder = self._out / CHECKPOINT
        manifest = self._write(learner, folder, torch.float32)
        if manifest.files[WEIGHTS].bytes > _MOST_BYTES:
            manifest = self._write(learner, folder, torch.bfloat16)
        if manifest.files[WEIGHTS].bytes > _MOST_BYTES:
            self._say(f"{folder} has {manifest.files[WEIGHTS].bytes / 1e6:.0f} MB, too large to be shipped")
        return folder

    def _write(self, learner: Learner, folder: Path, dtype: torch.dtype) -> CheckpointManifest:
        name = self._settings.name or self._manifest.name
        return save_checkpoint(
            folder,
            name=name,
            shape=self._shape,
            state=learner.weights(),
            tokenizer=self._preset / TOKENIZER,
            card=_card(name, self._settings, learner.step),
            trained=True,
            licence=self._settings.licence,
            dtype=dtype,
            replace=True,
            sees=False,  # no source shows pictures yet
        )


def emphasis_of(stage: Stage) -> Emphasis:
    """Return what counts how much in a stage."""
    given = dict(stage.emphasis)
    rest = {name: given.pop(name) for name in ("floors", "quiet", "spelling", "alignment") if name in given}
    return Emphasis(replace(LossWeights(flow=0.0), **given), **rest, only_spelling=stage.part == "sound")


class _Clock:
    """Seconds of training, those of earlier slices included."""

    def __init__(self, before_s: float) -> None:
        self._before_s, self._began = before_s, time.monotonic()

    @property
    def seconds(self) -> float:
        return self._before_s + time.monotonic() - self._began


def _say_nothing(line: str) -> None:
    del line


def _card(name: str, settings: TrainSettings, steps: int) -> str:
    stages = "\n".join(
        f"- {stage.name}: {stage.steps} steps of {stage.rows} x {stage.turns} micro-turns, "
        + ", ".join(f"{skill} {share:g}" for skill, share in stage.skills.items())
        for stage in settings.stages
    )
    return f"# {name}\n\nTrained for {steps} steps from seed {settings.seed}, see docs/training.md.\n\n{stages}\n"
