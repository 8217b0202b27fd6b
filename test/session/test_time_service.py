"""The robot's clock for programs: what was done, in plain values, and what is refused."""

import threading

import pytest

from tml_ros.session.time_service import ProcessCommand, TimeService
from tml_ros.session.timekeeper import Timekeeper

S = 1_000_000_000


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> int:
        return round(self.now_s * S)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def keeper(clock):
    made = Timekeeper()
    made.open(clock())
    return made


@pytest.fixture
def service(keeper, clock):
    return TimeService(keeper, clock)


def test_timer_is_due_when_its_time_is_over(service, keeper, clock):
    assert service.set_timer("stir", 4.0, repeats=True).message == "Okay, every four seconds."
    assert service.set_timer("", 2.5, text="Look  up.").success
    clock.now_s += 1.0
    assert [(one.name, one.text, one.left_s, one.repeat_s) for one in service.timers()] == [
        ("", "Look up.", 1.5, 0.0),
        ("stir", "Remember to stir.", 3.0, 4.0),
    ]
    clock.now_s += 3.1
    assert [one.text for one in keeper.due(clock())] == ["Look up.", "Remember to stir."]
    assert [one.left_s for one in service.timers()] == [pytest.approx(3.9)]


def test_timers_are_cancelled_by_name_or_altogether(service):
    for name in ("stir", "look", ""):
        service.set_timer(name, 60.0)
    assert service.cancel_timers("steer").success is False
    assert service.cancel_timers("stir").count == 1
    assert service.cancel_timers().count == 2
    assert service.timers() == []


def test_process_is_timed_and_watched_when_it_is_started(service, keeper, clock):
    assert service.time_process(ProcessCommand.START, "wash").success
    clock.now_s += 10.0
    again = service.time_process(ProcessCommand.START, "wash")
    assert (again.success, again.elapsed_s) == (False, 10.0)
    assert not service.time_process(ProcessCommand.WATCH, "wash").success  # there is no last one
    stopped = service.time_process(ProcessCommand.STOP)
    assert (stopped.success, stopped.elapsed_s, stopped.message) == (True, 10.0, "Wash done after ten seconds.")
    service.time_process(ProcessCommand.START, "wash")
    assert service.time_process(ProcessCommand.WATCH, "wash").message == "Okay, I tell you after ten seconds."
    clock.now_s += 4.0
    (one,) = service.processes()
    assert (one.name, one.elapsed_s, one.limit_s, one.last_s) == ("wash", 4.0, 10.0, 10.0)
    clock.now_s += 6.1
    assert [one.text for one in keeper.due(clock())] == ["Attention, the wash takes longer than the last one."]


@pytest.mark.parametrize("after_s", [0.0, -1.0, float("nan"), float("inf"), 1e9])
def test_timer_is_refused_when_its_time_is_none(service, after_s):
    reply = service.set_timer("stir", after_s)
    assert not reply.success and "after_sec must be more than 0" in reply.message
    assert service.timers() == []


@pytest.mark.parametrize(
    ("command", "limit_s", "message"),
    [(9, 0.0, "command must be 0"), (ProcessCommand.WATCH, -1.0, "limit_sec must lie in"), (1, 0.0, "not timing")],
)
def test_process_is_refused_when_the_request_is_none(service, command, limit_s, message):
    reply = service.time_process(command, "", limit_s)
    assert not reply.success and message in reply.message


def test_timer_is_refused_when_there_are_too_many(service):
    replies = [service.set_timer("", 60.0) for _ in range(101)]
    assert [reply.success for reply in replies].count(False) == 1
    assert "too many" in replies[-1].message


def test_nothing_waits_for_the_others_when_they_hold_the_clock(service, keeper, clock):
    service.time_process(ProcessCommand.START, "wash")
    service.time_process(ProcessCommand.WATCH, "wash", 1.0)
    clock.now_s += 5.0
    is_held, is_done = threading.Event(), threading.Event()

    def hold() -> None:
        with keeper._lock:
            is_held.set()
            is_done.wait(10.0)

    thread = threading.Thread(target=hold)
    thread.start()
    is_held.wait(10.0)
    assert keeper.news(clock()) == []
    is_done.set()
    thread.join()
    assert [one.rule for one in keeper.news(clock())] == ["process_overdue"]
    assert keeper.news(clock()) == []
