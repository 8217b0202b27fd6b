"""A background model run at once, on the time of a bag: for replays and tests, where the same must come out every time.

A task is worked on within ``start``; whatever the model waits for passes in no time, and its updates come back at the
time of the conversation at which they would have come. Pictures are left out. Compute takes a fixed time.
"""

from collections.abc import Iterator

from tml_ros.background import spoken
from tml_ros.background.port import DelegationRequest, DelegationUpdate
from tml_ros.background.protocol import BackgroundModel, Cancel, Failure, Outcome, Result, Update
from tml_ros.background.schedule import Schedule

__all__ = ["InlineBackground"]


class InlineBackground(Schedule):
    """A port to a model in this thread.

    Thread: one caller at a time.
    """

    def __init__(self, model: BackgroundModel, latency_s: float = 0.1) -> None:
        super().__init__()
        self._model = model
        self._latency_ns = round(latency_s * 1e9)

    def start(self, request: DelegationRequest, now_ns: int) -> None:
        """Work on a task to its end, or to the end of its budget."""
        time = _PassingTime(request.package.budget_s)
        begin_ns = now_ns + self._latency_ns
        for update in _work(self._model, request, time):
            self.add(DelegationUpdate(request.delegation_id, begin_ns + round(time.passed_s * 1e9), update))


def _work(model: BackgroundModel, request: DelegationRequest, time: "_PassingTime") -> Iterator[Update]:
    """Yield what the model gives, ended by a Result or a Failure whatever it does."""
    try:
        for update in model.run(request.package, time):
            yield update
            if isinstance(update, Result | Failure):
                return
    except Exception as err:
        yield Failure(Outcome.FAILED, spoken.BROKE, str(err))
        return
    outcome = Outcome.TIMED_OUT if time.is_set else Outcome.FAILED
    yield Failure(outcome, spoken.TOO_LONG, f"no result within {request.package.budget_s:g} s")


class _PassingTime(Cancel):
    """A cancel whose waits take no time; it is set when the budget is used up."""

    def __init__(self, budget_s: float) -> None:
        super().__init__()
        self.passed_s = 0.0
        self._budget_s = budget_s

    def wait(self, timeout_s: float) -> bool:
        """Let time pass."""
        if self.passed_s + timeout_s >= self._budget_s:
            self.passed_s = self._budget_s
            self.set()
        else:
            self.passed_s += timeout_s
        return self.is_set
