"""Run tasks on a background model: a thread each, a limit on how many, a budget for each, and an end for every one.

Whatever the model does, every task that was taken ends with exactly one Result or Failure. A model that does not stop
when it is told to is left behind: its task ends all the same, and its place stays taken until its thread ends.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from tml_ros.background.protocol import (
    BackgroundModel,
    Cancel,
    ContextPackage,
    Failure,
    Outcome,
    Result,
    Update,
)

__all__ = ["BackgroundService", "Job"]

_GRACE_S = 0.15  # what a model has to end by itself after a cancel; the whole must take less than 0.2 s
_log = logging.getLogger(__name__)


class Job:
    """A task that was taken.

    Thread: any.
    """

    def __init__(self, package: ContextPackage, on_update: Callable[[Update], None]) -> None:
        self.package = package
        self.began = time.monotonic()
        self._on_update = on_update
        self._model_cancel = Cancel()
        self._lock = threading.Lock()
        self._is_over = False
        self._timers: list[threading.Timer] = []
        self._after(package.budget_s, lambda: self._stop(_timed_out(package.budget_s)))

    @property
    def is_over(self) -> bool:
        """Whether the last update was given."""
        return self._is_over

    @property
    def elapsed_s(self) -> float:
        """Time since the task was taken."""
        return time.monotonic() - self.began

    @property
    def model_cancel(self) -> Cancel:
        """What the model watches."""
        return self._model_cancel

    def cancel(self) -> None:
        """Withdraw the task; its end is a Failure with the outcome CANCELED."""
        self._stop(Failure(Outcome.CANCELED, "", "the task was withdrawn"))

    def give(self, update: Update) -> None:
        """Hand an update on; after the end, and between a cancel and the end, nothing gets through but the end."""
        is_end = isinstance(update, Result | Failure)
        with self._lock:
            if self._is_over or (self._model_cancel.is_set and not is_end):
                return
            self._is_over = is_end
            self._on_update(update)
        if is_end:
            for timer in self._timers:
                timer.cancel()

    def _stop(self, reason: Failure) -> None:
        """Ask the model to stop, and end without it if it does not."""
        if not self._is_over:
            self.reason = reason
            self._after(_GRACE_S, lambda: self.give(reason))
            self._model_cancel.set()

    reason: Failure | None = None

    def _after(self, seconds: float, call: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, call)
        timer.daemon = True
        timer.start()
        self._timers.append(timer)


class BackgroundService:
    """The tasks of one model.

    Thread: any.
    """

    def __init__(self, model: BackgroundModel, *, max_goals: int, budget_s: float, max_budget_s: float) -> None:
        self.counters: Counter[str] = Counter()
        self._model = model
        self._max_goals = max_goals
        self._budget_s = budget_s
        self._max_budget_s = max_budget_s
        self._lock = threading.Lock()
        self._jobs: dict[threading.Thread, Job] = {}
        self._is_closed = False

    @property
    def running(self) -> int:
        """How many tasks hold a place."""
        with self._lock:
            return len(self._jobs)

    def start(self, package: ContextPackage, on_update: Callable[[Update], None]) -> Job | Failure:
        """Take a task, or say why not.

        Args:
            package: a ``budget_s`` of 0 or less means the service's default.
            on_update: called from the task's thread with every update, with a Result or a Failure last, once.
        """
        budget_s = min(package.budget_s if package.budget_s > 0 else self._budget_s, self._max_budget_s)
        with self._lock:
            refusal = self._refusal(package)
            if refusal is not None:
                self.counters["refused_tasks"] += 1
                return refusal
            job = Job(replace(package, budget_s=budget_s), on_update)
            thread = threading.Thread(target=self._work, args=(job,), name="tml-background", daemon=True)
            self._jobs[thread] = job
            self.counters["tasks"] += 1
        thread.start()
        return job

    def close(self) -> None:
        """Withdraw every task and wait for the model to stop; then free it."""
        with self._lock:
            self._is_closed = True
            jobs = dict(self._jobs)
        for job in jobs.values():
            job.cancel()
        end = time.monotonic() + 1.0
        for thread in jobs:
            thread.join(max(0.0, end - time.monotonic()))
        self._model.close()

    def _refusal(self, package: ContextPackage) -> Failure | None:
        if self._is_closed:
            return Failure(Outcome.REFUSED, "I cannot look into that now.", "the background model is shut down")
        if not package.task.strip():
            return Failure(Outcome.REFUSED, "I have nothing to look into.", "the task is empty; say what to do")
        if len(self._jobs) >= self._max_goals:
            return Failure(
                Outcome.REFUSED,
                "I am still busy with other questions. Please ask again in a moment.",
                f"{len(self._jobs)} tasks are worked on and max_goals is {self._max_goals}; wait, or raise max_goals",
            )
        return None

    def _work(self, job: Job) -> None:
        try:
            self._run(job)
        finally:
            with self._lock:
                del self._jobs[threading.current_thread()]

    def _run(self, job: Job) -> None:
        try:
            for update in self._model.run(job.package, job.model_cancel):
                job.give(update)
                if job.is_over:
                    break
        except Exception as err:
            self.counters["model_errors"] += 1
            _log.exception("background model %r failed on a task", self._model.name)
            job.give(_broke(f"{type(err).__name__}: {err}"))
        if not job.is_over:
            job.give(job.reason or _broke(f"background model {self._model.name!r} ended without a result"))


def _broke(error: str) -> Failure:
    return Failure(Outcome.FAILED, "Sorry, something went wrong while I was looking into that.", error)


def _timed_out(budget_s: float) -> Failure:
    return Failure(
        Outcome.TIMED_OUT,
        "Sorry, that took me too long.",
        f"no result within the budget of {budget_s:g} s; give it more time, or ask for less",
    )
