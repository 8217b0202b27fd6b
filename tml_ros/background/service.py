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

from tml_ros.background import spoken
from tml_ros.background.protocol import (
    BackgroundModel,
    Cancel,
    ContextPackage,
    Failure,
    Outcome,
    Partial,
    Progress,
    Result,
    Update,
)

__all__ = ["BackgroundService", "Job"]

_GRACE_S = 0.12  # what a model has to end by itself after a cancel; with the way to the client it must stay below 0.2 s
_JOIN_S = 1.0
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
        self._reason: Failure | None = None
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
        """Hand an update on; nothing follows the end, and the end of a task that was told to stop is why it was."""
        is_end = isinstance(update, Result | Failure)
        with self._lock:
            if self._is_over or (self._reason is not None and not is_end):
                return
            self._is_over = is_end
            self._on_update(self._reason or update)
        if is_end:
            for timer in list(self._timers):
                timer.cancel()

    def _stop(self, reason: Failure) -> None:
        """Ask the model to stop, and end without it if it does not. The first reason holds."""
        with self._lock:
            if self._is_over or self._reason is not None:
                return
            self._reason = reason
        self._after(_GRACE_S, lambda: self.give(reason))
        self._model_cancel.set()

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
        self._model = model
        self._max_goals = max_goals
        self._budget_s = budget_s
        self._max_budget_s = max_budget_s
        self._lock = threading.Lock()
        self._counters: Counter[str] = Counter()
        self._jobs: dict[threading.Thread, Job] = {}
        self._is_closed = False

    @property
    def running(self) -> int:
        """How many tasks hold a place."""
        with self._lock:
            return len(self._jobs)

    @property
    def counters(self) -> dict[str, int]:
        """Totals since the start: tasks, refused_tasks, model_errors, and one for each outcome, such as timed_out."""
        with self._lock:
            return dict(self._counters)

    def start(self, package: ContextPackage, on_update: Callable[[Update], None]) -> Job | Failure:
        """Take a task, or say why not.

        Args:
            package: a ``budget_s`` of 0 or less means the service's default.
            on_update: called with every update, with a Result or a Failure last, once. It must not block. Called from
                the task's thread or from a timer's, never by two at once.
        """
        budget_s = min(package.budget_s if package.budget_s > 0 else self._budget_s, self._max_budget_s)
        with self._lock:
            refusal = self._refusal(package)
            if refusal is not None:
                self._counters["refused_tasks"] += 1
                return refusal
            job = Job(replace(package, budget_s=budget_s), lambda update: self._hand_on(update, on_update))
            thread = threading.Thread(target=self._work, args=(job,), name="tml-background", daemon=True)
            self._jobs[thread] = job
            self._counters["tasks"] += 1
            thread.start()  # under the lock: close() joins whatever it finds
        return job

    def close(self) -> None:
        """Withdraw every task and wait for the model to stop; then free it.

        A model that goes on beyond that is freed when its last task ends.
        """
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            jobs = dict(self._jobs)
        for job in jobs.values():
            job.cancel()
        end = time.monotonic() + _JOIN_S
        for thread in jobs:
            thread.join(max(0.0, end - time.monotonic()))
        if not jobs:
            self._model.close()
        elif self.running:
            _log.warning("background model %r does not stop when it is told to", self._model.name)

    def _refusal(self, package: ContextPackage) -> Failure | None:
        if self._is_closed:
            return Failure(Outcome.REFUSED, spoken.NOT_NOW, "the background model is shut down")
        if not package.task.strip():
            return Failure(Outcome.REFUSED, "I have nothing to look into.", "the task is empty; say what to do")
        if len(self._jobs) >= self._max_goals:
            return Failure(
                Outcome.REFUSED,
                spoken.BUSY,
                f"{len(self._jobs)} tasks are worked on and max_goals is {self._max_goals}; wait, or raise max_goals",
            )
        return None

    def _hand_on(self, update: Update, on_update: Callable[[Update], None]) -> None:
        if isinstance(update, Result | Failure):
            self._count(update.outcome.name.lower() if isinstance(update, Failure) else "succeeded")
        on_update(update)

    def _count(self, name: str) -> None:
        with self._lock:
            self._counters[name] += 1

    def _work(self, job: Job) -> None:
        try:
            self._run(job)
        finally:
            with self._lock:
                del self._jobs[threading.current_thread()]
                is_last = self._is_closed and not self._jobs
            if is_last:
                self._model.close()

    def _run(self, job: Job) -> None:
        try:
            for update in self._model.run(job.package, job.model_cancel):
                if not isinstance(update, Progress | Partial | Result | Failure):
                    raise TypeError(f"the model gave {update!r}; expected a Progress, Partial, Result or Failure")
                job.give(update)
                if job.is_over:
                    return
        except Exception as err:
            if not job.model_cancel.is_set:
                self._count("model_errors")
                _log.exception("background model %r failed on a task", self._model.name)
            job.give(_broke(f"{type(err).__name__}: {err}"))
        job.give(_broke(f"background model {self._model.name!r} ended without a result"))


def _broke(error: str) -> Failure:
    return Failure(Outcome.FAILED, spoken.BROKE, error)


def _timed_out(budget_s: float) -> Failure:
    return Failure(
        Outcome.TIMED_OUT,
        spoken.TOO_LONG,
        f"no result within the budget of {budget_s:g} s; give it more time, or ask for less",
    )
