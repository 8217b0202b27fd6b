"""Batches made ahead by other processes, in the order of the steps whoever is faster.

Worker w of W makes every W-th batch and waits when it is some batches ahead. A batch depends on the settings and the
step alone, so that nothing need be made again when training goes on. It knows no weights.
"""

import functools
import multiprocessing
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from tml_ros.duplex.native.shape import NativeShape
from tml_ros.duplex.native.vocabulary import Vocabulary
from tml_ros.errors import ModelError, TmlError
from tml_ros.training.drills import Drills, open_drills
from tml_ros.training.echoes import Echoes
from tml_ros.training.encoding import DRILLED, Arrays, Batch, Encoder
from tml_ros.training.settings import Stage, TrainSettings
from tml_ros.training.source import Source, open_source

__all__ = ["BatchMaker", "Batches", "OpenBatchMaker"]


@dataclass(frozen=True, slots=True)
class BatchMaker:
    """Everything that a batch depends on beside its step. rank, world: which share of the rows of how many."""

    settings: TrainSettings
    shape: NativeShape
    tokenizer: str
    rank: int = 0
    world: int = 1

    def open(self) -> "OpenBatchMaker":
        """Open the source. Raises: as ``open_source``."""
        encoder = Encoder(self.shape, Vocabulary.load(Path(self.tokenizer)))
        return OpenBatchMaker(self, open_source(self.settings.source), encoder)


@dataclass(slots=True)
class OpenBatchMaker:
    """Makes batches.

    Thread: one caller at a time.
    """

    maker: BatchMaker
    source: Source
    encoder: Encoder
    _echoes: tuple[Stage, Echoes] | None = None

    def arrays(self, step: int) -> Arrays:
        """Return the rows of this process of a step's batch, each row being a function of its own number."""
        settings = self.maker.settings
        stage = settings.stage(step)
        own = range(self.maker.rank, stage.rows, self.maker.world)
        if stage.part == "sound":
            return self.drilled(stage, settings.seed, [step * stage.rows + row for row in own])
        made = self._scenes(stage, step)
        if stage.drills:
            own = range(self.maker.rank, stage.drills, self.maker.world)
            drilled = self.drilled(stage, settings.seed, [step * stage.drills + row for row in own])
            made = made | {f"{DRILLED}{name}": array for name, array in drilled.items()}
        return made

    def _scenes(self, stage: Stage, step: int) -> Arrays:
        settings = self.maker.settings
        if stage.uses == 1:
            return self._composed(stage, step)
        if self._echoes is None or self._echoes[0] is not stage:
            spectra = self._drills().spectra
            echoes = Echoes(spectra, self.maker.shape, functools.partial(self._composed, stage))
            self._echoes = (stage, echoes)
        return self._echoes[1].arrays(step, stage.uses, settings.seed)

    def _composed(self, stage: Stage, number: int) -> Arrays:
        """Return the batch of a number, a step's or, where batches are used again, a smaller one."""
        settings = self.maker.settings
        own = range(self.maker.rank, stage.rows, self.maker.world)
        rows = [self.source.batch(stage, settings.seed, number * stage.rows + row, 1, stage.turns)[0] for row in own]
        return self.encoder.arrays(rows, stage.turns, settings.skills)

    def _drills(self) -> Drills:
        return open_drills(str(self.maker.settings.source.get("corpus", "")), self.maker.shape)

    def drilled(self, stage: Stage, seed: int, rows: Sequence[int], *, held: bool = False) -> Arrays:
        """Return rows of drills by their numbers. held: of voices and people that are never trained on."""
        return {**self._drills().arrays(stage, seed, rows, stage.turns, held=held), "letters": self.encoder.letters}


@dataclass(slots=True)
class Batches:
    """An endless row of batches from a step on. waited_s: how long the trainer had to wait for them so far."""

    maker: BatchMaker
    _workers: list["_Worker"]
    _first_step: int
    waited_s: float = 0.0
    _own: OpenBatchMaker | None = None

    @classmethod
    @contextmanager
    def running(cls, maker: BatchMaker, first_step: int) -> Iterator["Batches"]:
        """Start the workers that the settings ask for, and end them at last."""
        settings = maker.settings
        count = min(settings.workers, settings.steps - first_step)
        workers = [_Worker(maker, range(first_step + index, settings.steps, count)) for index in range(count)]
        try:
            yield cls(maker, workers, first_step)
        finally:
            for worker in workers:
                worker.close()

    def take(self, step: int) -> Batch:
        """Return the batch of a step; steps are asked for one after the other.

        Raises:
            ModelError: a worker has ended, or could not make it.
        """
        began = time.perf_counter()
        if self._workers:
            arrays = self._workers[(step - self._first_step) % len(self._workers)].take(step)
        else:
            self._own = self._own or self.maker.open()
            arrays = self._own.arrays(step)
        self.waited_s += time.perf_counter() - began
        return Batch.of(arrays, self.maker.settings.skills)


class _Worker:
    """A process that makes the batches of some steps, and a thread that keeps some of them ready.

    The process ends with its pipe: nothing is left of it when the trainer is killed.
    """

    def __init__(self, maker: BatchMaker, steps: range) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, others = context.Pipe(duplex=False)
        self._process = context.Process(target=_work, args=(maker, steps, others), daemon=True)
        self._process.start()
        others.close()
        self._ready: queue.Queue[tuple[int, Arrays | str]] = queue.Queue(maker.settings.prefetch)
        threading.Thread(target=self._collect, daemon=True).start()

    def take(self, step: int) -> Arrays:
        made, arrays = self._ready.get()
        if isinstance(arrays, str):
            raise ModelError(f"the scenes of step {step} could not be made: {arrays}")
        if made != step:
            raise ModelError(f"batches come out of order: {made}, expected {step}; ask for every step once")
        return arrays

    def close(self) -> None:
        self._process.kill()
        self._process.join()
        while not self._ready.empty():  # so that the thread comes to the end of the pipe
            self._ready.get()

    def _collect(self) -> None:
        while True:
            try:
                self._ready.put(self._connection.recv())
            except (EOFError, OSError):
                self._ready.put((-1, "the process that makes them has ended; is there enough memory?"))
                return


def _work(maker: BatchMaker, steps: range, connection: Connection) -> None:
    """Make batches until they are all made or nobody takes them."""
    torch.set_num_threads(1)
    step = steps.start
    with suppress(BrokenPipeError, KeyboardInterrupt):
        try:
            opened = maker.open()
            for step in steps:
                connection.send((step, opened.arrays(step)))
        except (TmlError, ValueError, MemoryError) as err:
            connection.send((step, f"{type(err).__name__}: {err}"))
