"""Batches made ahead by other processes, in the order of the steps whoever is faster.

Worker w of W makes every W-th batch and waits when it is some batches ahead. A batch depends on the settings and the
step alone, so that nothing need be made again when training goes on. It knows no weights.
"""

import multiprocessing
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from tml_ros.duplex.native.shape import NativeShape
from tml_ros.duplex.native.vocabulary import Vocabulary
from tml_ros.errors import ModelError, TmlError
from tml_ros.training.encoding import Arrays, Batch, Encoder
from tml_ros.training.settings import TrainSettings
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


@dataclass(frozen=True, slots=True)
class OpenBatchMaker:
    """Makes batches."""

    maker: BatchMaker
    source: Source
    encoder: Encoder

    def arrays(self, step: int) -> Arrays:
        """Return the rows of this process of a step's batch, each row being a function of its own number."""
        settings = self.maker.settings
        stage = settings.stage(step)
        own = range(self.maker.rank, stage.rows, self.maker.world)
        rows = [self.source.batch(stage, settings.seed, step * stage.rows + row, 1, stage.turns)[0] for row in own]
        return self.encoder.arrays(rows, stage.turns, settings.skills)


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
