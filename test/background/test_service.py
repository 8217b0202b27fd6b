"""The background service: every task that was taken ends once, in time, whatever the model does."""

import queue
import threading
import time

import pytest

from tml_ros.background import BackgroundService, ContextPackage, Failure, Outcome, Partial, Progress, Result
from tml_ros.background.scripted import ScriptedModel

WAIT_S = 5.0


class ScriptedBehaviour:
    """A model that runs a generator function given by the test."""

    name = "behaviour"

    def __init__(self, run):
        self.run = run
        self.closed = threading.Event()

    def close(self):
        self.closed.set()


def service(model, **changed) -> BackgroundService:
    return BackgroundService(model, **({"max_goals": 2, "budget_s": 30.0, "max_budget_s": 60.0} | changed))


def start(served, task="do it", budget_s=0.0):
    """Start a task; return the job and the queue of its updates."""
    updates = queue.Queue()
    return served.start(ContextPackage(task, budget_s=budget_s), updates.put), updates


def end_of(updates):
    while not isinstance(update := updates.get(timeout=WAIT_S), Result | Failure):
        pass
    return update


def stubborn(release):
    """A model that ignores every cancel until it is released."""

    def run(package, cancel):
        yield Progress("stubborn")
        release.wait(WAIT_S)
        yield Result("too late")

    return ScriptedBehaviour(run)


def test_updates_come_in_order_when_a_task_goes_well():
    served = service(ScriptedModel.of({"updates": [{"partial": "a"}, {"partial": "b"}, {"result": {"report": "ab"}}]}))
    _, updates = start(served)
    assert [updates.get(timeout=WAIT_S) for _ in range(3)] == [Partial("a"), Partial("b"), Result("ab")]
    served.close()
    assert updates.empty()
    assert served.counters == {"tasks": 1, "succeeded": 1}


def test_task_is_canceled_in_time_when_the_model_ignores_it():
    release = threading.Event()
    served = service(stubborn(release), max_goals=1)
    job, updates = start(served)
    assert updates.get(timeout=WAIT_S) == Progress("stubborn")
    began = time.monotonic()
    job.cancel()
    job.cancel()
    end = end_of(updates)
    assert (end.outcome, job.is_over) == (Outcome.CANCELED, True)
    assert time.monotonic() - began < 0.5
    refusal, _ = start(served)
    assert refusal.outcome is Outcome.REFUSED  # the place stays taken until the model's thread ends
    release.set()
    served.close()
    assert updates.empty()


def test_task_times_out_when_the_budget_is_over():
    served = service(ScriptedModel.of({"updates": [{"hang": True}]}))
    _, updates = start(served, budget_s=0.05)
    end = end_of(updates)
    assert end.outcome is Outcome.TIMED_OUT
    assert "0.05 s" in end.error
    served.close()


def test_budget_is_bounded_when_a_task_names_none_or_too_much():
    served = service(ScriptedModel.of({"updates": [{"hang": True}]}))
    jobs = [start(served, budget_s=budget_s)[0] for budget_s in (0.0, 1e6)]
    assert [job.package.budget_s for job in jobs] == [30.0, 60.0]
    served.close()


def test_reason_of_the_stop_is_the_end_when_the_model_breaks_on_it():
    def run(package, cancel):
        cancel.wait(WAIT_S)
        yield Partial("not to be seen")
        raise OSError("stream closed")

    served = service(ScriptedBehaviour(run))
    job, updates = start(served)
    job.cancel()
    assert updates.get(timeout=WAIT_S) == Failure(Outcome.CANCELED, "", "the task was withdrawn")
    served.close()
    assert "model_errors" not in served.counters


@pytest.mark.parametrize(
    ("updates", "error"),
    [([], "ended without a result"), (["text"], "TypeError: the model gave 'text'"), ([Partial("a")], "without a res")],
)
def test_task_fails_with_a_reason_when_the_model_gives_no_end(updates, error):
    served = service(ScriptedBehaviour(lambda package, cancel: iter(updates)))
    _, received = start(served)
    end = end_of(received)
    assert end.outcome is Outcome.FAILED
    assert error in end.error
    served.close()


def test_task_fails_and_the_next_works_when_the_model_raises():
    def run(package, cancel):
        if package.task == "break":
            raise ValueError("broken")
        yield Result("fine")

    served = service(ScriptedBehaviour(run))
    assert end_of(start(served, "break")[1]).error == "ValueError: broken"
    assert end_of(start(served)[1]) == Result("fine")
    served.close()
    assert served.counters == {"tasks": 2, "model_errors": 1, "failed": 1, "succeeded": 1}


@pytest.mark.parametrize(("task", "error"), [(" ", "task is empty"), ("third", "max_goals is 2")])
def test_task_is_refused_with_a_reason_when_it_cannot_be_taken(task, error):
    served = service(ScriptedModel.of({"updates": [{"hang": True}]}))
    started = [start(served) for _ in range(2)]
    refusal, updates = start(served, task)
    assert refusal.outcome is Outcome.REFUSED
    assert error in refusal.error
    assert updates.empty()
    served.close()
    assert [end_of(updates).outcome for _, updates in started] == [Outcome.CANCELED] * 2


def test_model_is_freed_once_and_nothing_is_taken_when_it_is_closed():
    model = ScriptedBehaviour(lambda package, cancel: iter([Result("fine")]))
    served = service(model)
    served.close()
    served.close()
    assert model.closed.is_set()
    refusal, _ = start(served)
    assert "shut down" in refusal.error


def test_model_is_freed_after_its_last_task_when_it_does_not_stop(monkeypatch):
    monkeypatch.setattr("tml_ros.background.service._JOIN_S", 0.05)
    release = threading.Event()
    model = stubborn(release)
    served = service(model)
    _, updates = start(served)
    served.close()
    assert end_of(updates).outcome is Outcome.CANCELED
    assert not model.closed.is_set()
    release.set()
    assert model.closed.wait(WAIT_S)


def test_every_task_ends_once_when_many_are_withdrawn_at_any_moment():
    served = service(ScriptedModel.of({"updates": [{"partial": "a"}, {"result": {"report": "a"}}]}), max_goals=64)
    started = [start(served) for _ in range(50)]
    for job, _ in started[::2]:
        job.cancel()
    ends = [end_of(updates) for _, updates in started]
    served.close()
    assert all(updates.empty() for _, updates in started)
    assert sum(served.counters[name] for name in ("succeeded", "canceled") if name in served.counters) == 50
    assert all(end == Result("a") for end in ends[1::2])
