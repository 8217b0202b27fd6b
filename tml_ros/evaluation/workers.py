"""Jobs of an evaluation on several processes of this machine: one model and one scenario or bag each.

A process that dies or hangs costs its scenario, not the run: it is replaced, the scenario is tried once more, and then
counts as an error. Results come as they are ready, in any order. It knows no files and no thresholds.
"""

import logging
import multiprocessing
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from typing import Protocol

import numpy as np

from tml_ros.evaluation.bag_runner import run_bag
from tml_ros.evaluation.results import ScenarioResult, Verdict
from tml_ros.evaluation.runner import ModelSpec, Runner, ScenarioRun
from tml_ros.evaluation.scenario import Bag, Scenario

__all__ = ["Attempts", "Engine", "Finished", "Job", "LocalEngine", "Workbench"]

PATIENCE_S = 600.0
_SILENCE = np.zeros(0, np.float32)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """One scenario or bag with one model. keeps_sound: hand back what was heard and said when it does not pass."""

    spec: ModelSpec
    scenario: Scenario | Bag
    keeps_sound: bool = True

    @property
    def key(self) -> tuple[str, str, str]:
        """Suite, scenario and model: what a run has once."""
        return self.scenario.suite, self.scenario.name, self.spec.label


@dataclass(frozen=True, slots=True)
class Finished:
    """A job and what came of it. wall_s: how long it took."""

    job: Job
    run: ScenarioRun
    wall_s: float


class Engine(Protocol):
    """Whoever runs jobs."""

    def run(self, jobs: Sequence[Job]) -> Iterator[Finished]:
        """Yield every job once, as it is ready. Closing the iterator ends the workers."""


def failed(job: Job, error: str) -> ScenarioRun:
    """Return the run of a job that could not be run to its end."""
    scenario = job.scenario
    result = ScenarioResult(
        suite=scenario.suite,
        scenario=scenario.name,
        model=job.spec.label,
        verdict=Verdict.ERROR,
        seconds=scenario.duration_s,
        error=" ".join(error.split()),
        tags=scenario.tags,
    )
    return ScenarioRun(result, (), _SILENCE, _SILENCE)


class Workbench:
    """What one worker keeps between its jobs: the runner of the model that it had last.

    Thread: one caller at a time.
    """

    def __init__(self) -> None:
        self._spec: ModelSpec | None = None
        self._runner: Runner | None = None
        self._error = ""

    def run(self, job: Job) -> Finished:
        """Do a job; whatever the model raises becomes a verdict."""
        began = time.monotonic()
        try:
            run = self._run(job)
        except Exception as err:
            _log.debug("scenario %s with model %s", job.scenario.name, job.spec.label, exc_info=True)
            run = failed(job, f"{type(err).__name__}: {err}")
        if not job.keeps_sound or run.result.verdict is Verdict.PASSED:
            run = replace(run, heard=_SILENCE, said=_SILENCE)
        return Finished(job, run, time.monotonic() - began)

    def close(self) -> None:
        """Free the model."""
        runner, self._runner, self._spec = self._runner, None, None
        if runner is not None:
            runner.close()

    def _run(self, job: Job) -> ScenarioRun:
        if isinstance(job.scenario, Bag):
            return run_bag(job.spec, job.scenario)  # with a model of its own: the golden file has parameters, too
        self._prepare(job.spec)
        return self._runner.run(job.scenario) if self._runner else failed(job, self._error)

    def _prepare(self, spec: ModelSpec) -> None:
        """Load a model, once; one that cannot be loaded is not tried again for every scenario."""
        if spec == self._spec:
            return
        self.close()
        self._spec, self._error = spec, ""
        try:
            self._runner = Runner(spec)
        except Exception as err:
            self._error = f"model {spec.label!r} could not be loaded: {type(err).__name__}: {err}"


class Attempts:
    """The jobs that are still to be done, and how often a worker was lost over each."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._waiting = deque(jobs)
        self._lost: set[tuple[str, str, str]] = set()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def next(self) -> Job:
        """Take the next job."""
        return self._waiting.popleft()

    def lost(self, job: Job, why: str) -> Finished | None:
        """Put a job back whose worker was lost; return it as an error if that happened before.

        why: how the worker ended, such as ``ended with exit code -9``.
        """
        _log.warning("the worker of scenario %s with model %s %s", job.scenario.name, job.spec.label, why)
        if job.key not in self._lost:
            self._lost.add(job.key)
            self._waiting.appendleft(job)
            return None
        return Finished(job, failed(job, f"its worker {why}, twice; run it alone with --workers 1"), 0.0)


class LocalEngine:
    """Worker processes on this machine. patience_s: how long a scenario may take before its worker is ended."""

    def __init__(self, workers: int, patience_s: float = PATIENCE_S) -> None:
        self._workers = workers
        self._patience_s = patience_s

    def run(self, jobs: Sequence[Job]) -> Iterator[Finished]:
        """Yield every job once, as it is ready. Closing the iterator ends the processes."""
        attempts = Attempts(jobs)
        crew = [_Worker() for _ in range(min(self._workers, len(jobs)))]
        try:
            while attempts or any(worker.job for worker in crew):
                for place, worker in enumerate(crew):
                    if worker.job is None and attempts:
                        crew[place] = worker if worker.is_there else _Worker()
                        crew[place].send(attempts.next())
                for worker in self._ready(crew):
                    finished = self._collect(worker, attempts)
                    if finished is not None:
                        yield finished
        finally:
            for worker in crew:
                worker.end()

    def _collect(self, worker: "_Worker", attempts: Attempts) -> Finished | None:
        """Return what came of a worker's job; None where it is to be tried again."""
        job, finished = worker.job, worker.collect(self._patience_s)
        if job is None or isinstance(finished, Finished):
            worker.job = None
            return finished if isinstance(finished, Finished) else None
        worker.end()
        return attempts.lost(job, finished)

    def _ready(self, crew: Sequence["_Worker"]) -> list["_Worker"]:
        """Wait until a worker has something to say, is gone, or has taken too long."""
        busy = {worker.connection: worker for worker in crew if worker.job}
        due = min(worker.began for worker in busy.values()) + self._patience_s
        heard = wait(list(busy), max(0.0, due - time.monotonic()))
        if heard:
            return [busy[one] for one in heard if isinstance(one, Connection)]
        return [worker for worker in busy.values() if worker.began + self._patience_s <= time.monotonic()]


@dataclass(eq=False)
class _Worker:
    """A process with its end of the line. job: what it works on."""

    job: Job | None = None
    began: float = 0.0
    connection: Connection = field(init=False)

    def __post_init__(self) -> None:
        # A fresh interpreter: a fork would copy whatever threads and locks the libraries of this one hold.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        # What goes wrong in a worker is in its verdicts; its log would only tear the progress apart.
        level = logging.getLogger().getEffectiveLevel()
        level = level if level < logging.WARNING else logging.CRITICAL
        self._process = context.Process(target=_serve, args=(theirs, level), name="tml eval worker", daemon=True)
        self._process.start()
        theirs.close()  # so that its death is the end of the line

    @property
    def is_there(self) -> bool:
        """Whether it can be given a job."""
        return not self.connection.closed

    def send(self, job: Job) -> None:
        """Give it a job; if it is gone, ``collect`` says so."""
        self.job, self.began = job, time.monotonic()
        with suppress(OSError):
            self.connection.send(job)

    def collect(self, patience_s: float) -> Finished | str:
        """Return what came of its job, or how it ended."""
        if not self.connection.poll():
            return f"did not finish within {patience_s:g} s"
        try:
            finished: Finished = self.connection.recv()
        except (EOFError, OSError):
            self._process.join(5.0)
            return f"ended with exit code {self._process.exitcode}"
        return finished

    def end(self) -> None:
        """Let it free its model and go; kill it if it is at work or does not go."""
        if self.job is not None:
            self._process.kill()
        self.job = None
        self.connection.close()
        self._process.join(5.0)
        self._process.kill()
        self._process.join()


def _serve(connection: Connection, log_level: int) -> None:
    """Do jobs until the other end of the line is gone."""
    logging.basicConfig(level=log_level, format="%(processName)s %(process)d: %(levelname)s: %(message)s")
    bench = Workbench()
    with suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            connection.send(bench.run(connection.recv()))
    bench.close()
