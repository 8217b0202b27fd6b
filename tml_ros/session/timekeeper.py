"""What people ask of the robot's sense of time: reminders, timers, processes that are timed, how long things took.

It belongs to the robot, not to one conversation: reminders and running processes outlive a session that a clock jump or
a fault ends. Its time is that of the micro-turns, so the same turns give the same answers. When the clock is set back,
everything goes on with the time that it had; when it jumps ahead, that time counts as passed. It knows neither sound
nor models, and does not decide when something is said.
"""

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tml_ros.intents.durations import say_duration
from tml_ros.records import (
    MICRO_TURN_NS,
    AlertState,
    SafetyAlert,
    TextInput,
    TextSource,
    TimeAction,
    TimerDraft,
    TimeRequest,
)
from tml_ros.session.counting import Counting
from tml_ros.session.names import name_in
from tml_ros.session.runs import Run, Runs
from tml_ros.session.timers import Timer, Timers

__all__ = ["Answer", "Moment", "Timekeeper"]

CONVERSATION = "conversation"
TIMER = "timer"
_STOPWATCH = "stopwatch"
_OF_A_PROCESS = {TimeAction.STOP, TimeAction.ELAPSED, TimeAction.LAST, TimeAction.USUAL, TimeAction.WATCH}
_BACK_NS = 1_000_000_000  # less is no clock that was set back
_BEHIND_NS = 2 * MICRO_TURN_NS  # what a model may be behind
_LOST_NS = 60_000_000_000  # more is a clock that was set
_OFTEN_NS = 60_000_000_000  # reminders that come at least so often end when somebody only says stop
_RULE = "process_overdue"
_NOTHING = "I am not timing anything."
_NEVER = "I have not timed that yet."
_THAN = {"last": "the last one", "usual": "usual"}


@dataclass(frozen=True, slots=True)
class Moment:
    """When something is asked. said_ns: when the robot said something last, None: it has not spoken yet."""

    now_ns: int
    session_start_ns: int
    said_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What to say. task: what to hand on to the background model instead, for nobody here knows of it."""

    text: str = ""
    task: str = ""


class Timekeeper:
    """The timers and processes of one robot, and what it counts.

    Attributes:
        counting: what is being counted.
        tells_overdue: whether ``due`` tells of processes that take too long; otherwise somebody else asks for them.

    Thread: ``counting`` belongs to that of the micro-turns; all else may be called from any, and ``news`` and ``late``
    never wait for the others.
    """

    def __init__(self, runs: Runs | None = None, counting: Counting | None = None) -> None:
        self.counting = counting or Counting()
        self.tells_overdue = True
        self._lock = threading.RLock()
        self._timers = Timers()
        self._runs = runs or Runs()
        self._now_ns: int | None = None
        self._raised: dict[str, SafetyAlert] = {}
        self._news: list[SafetyAlert] = []
        self._actions: Mapping[TimeAction, Callable[[TimeRequest, Moment], str]] = {
            TimeAction.REMIND: self._remind,
            TimeAction.CANCEL: self._cancel,
            TimeAction.LEFT: self._left,
            TimeAction.START: self._start,
            TimeAction.STOP: self._stop,
            TimeAction.ELAPSED: self._elapsed,
            TimeAction.LAST: self._last,
            TimeAction.USUAL: self._usual,
            TimeAction.WATCH: self._watch,
            TimeAction.SINCE_SAID: _since_said,
            TimeAction.COUNT: lambda request, moment: self.counting.start(request.name),
            TimeAction.COUNTED: lambda request, moment: self.counting.so_far(),
            TimeAction.STOP_COUNTING: lambda request, moment: self.counting.stop(),
            TimeAction.HUSH: self._hush,
        }

    @property
    def counters(self) -> Counter[str]:
        """What was dropped or lost so far."""
        with self._lock:
            return self._timers.counters + self._runs.counters

    def open(self, start_ns: int) -> None:
        """Take note that a session begins; its clock may have been set since the last one."""
        with self._lock:
            if self._now_ns is None:
                self._runs.check(start_ns)
            elif start_ns < self._now_ns - _BACK_NS:
                self._timers.move(start_ns - self._now_ns)
                self._runs.move(start_ns - self._now_ns)
            self._now_ns = start_ns

    def forget_reminders(self) -> None:
        """Drop what was to be said later; processes go on."""
        with self._lock:
            self._timers.cancel(self._timers.waiting)

    # ------------------------------------------------------------------------------------------- as time goes by

    def due(self, end_ns: int) -> tuple[TextInput, ...]:
        """Return what is to be said in the micro-turn that ends now: reminders, and processes that take too long."""
        with self._lock:
            self._now_ns = end_ns
            late = self._overdue(end_ns) if self.tells_overdue else []
            self._news += late
            words = (TextInput(one.observed_start_ns, one.description, TextSource.TIMER) for one in late)
            return (*self._timers.due(end_ns), *words)

    def news(self, now_ns: int) -> list[SafetyAlert]:
        """Return, once each, the alerts about processes that take too long by now, or have ended; never waits."""
        if not self._lock.acquire(blocking=False):
            return []
        try:
            if self._now_ns is None:
                self.open(now_ns)
            return [*self.alerts(), *self._overdue(now_ns)]
        finally:
            self._lock.release()

    def late(self, now_ns: int) -> tuple[TextInput, ...]:
        """Return, once each, the reminders that are due while the model is too far behind to say them; never waits."""
        if not self._lock.acquire(blocking=False):
            return ()
        try:
            behind_ns = now_ns - self._now_ns if self._now_ns is not None else 0
            return self._timers.due(now_ns) if _BEHIND_NS < behind_ns < _LOST_NS else ()
        finally:
            self._lock.release()

    def _overdue(self, now_ns: int) -> list[SafetyAlert]:
        return [self._raise(run, now_ns) for run in self._runs.overdue(now_ns)]

    def alerts(self) -> list[SafetyAlert]:
        """Return, once each, the alerts about processes that are raised or cleared."""
        with self._lock:
            news, self._news = self._news, []
            return news

    @property
    def timers(self) -> list[Timer]:
        """What waits, the next one first."""
        with self._lock:
            return self._timers.waiting

    @property
    def running(self) -> list[Run]:
        """The processes that run, the newest last."""
        with self._lock:
            return list(self._runs.running.values())

    def took_ns(self, name: str) -> int | None:
        """Return how long the last process of a name took, None when there was none."""
        with self._lock:
            return self._runs.took_ns(name)

    def add(self, drafts: tuple[TimerDraft, ...], now_ns: int) -> None:
        """Start timers that a model set."""
        with self._lock:
            self._timers.add(drafts, now_ns)

    def answer(self, request: TimeRequest, moment: Moment) -> Answer:
        """Do what is asked and return what to say to it; nothing where nothing is to be said."""
        with self._lock:
            is_known = request.name in ("", CONVERSATION) or self._runs.knows(request.name)
            if request.action in _OF_A_PROCESS and request.otherwise and not is_known:
                return Answer(task=request.otherwise)
            return Answer(self._actions[request.action](request, moment))

    def _raise(self, run: Run, now_ns: int) -> SafetyAlert:
        alert = SafetyAlert(
            stamp_ns=now_ns,
            alert_id=name_in(_RULE, f"{run.name}/{run.started_ns}"),
            state=AlertState.RAISED,
            severity=1,
            rule=_RULE,
            category=run.name,
            description=_overdue(run),
            confidence=1.0,
            observed_start_ns=run.started_ns + (run.limit_ns or 0),
            observed_end_ns=now_ns,
        )
        self._raised[run.name] = alert
        return alert

    def _clear(self, name: str, now_ns: int) -> None:
        alert = self._raised.pop(name, None)
        if alert is not None:
            self._news.append(replace(alert, stamp_ns=now_ns, observed_end_ns=now_ns, state=AlertState.CLEARED))

    # ------------------------------------------------------------------------------------ reminders and timers

    def _remind(self, request: TimeRequest, moment: Moment) -> str:
        span_s = request.span_s
        if request.name:
            self._timers.cancel([one for one in self._timers.waiting if one.name == request.name])
        draft = TimerDraft(request.text, span_s, span_s if request.repeats else 0.0)
        self._timers.add((draft,), request.at_ns or moment.now_ns, request.name, until_stop=request.until_stop)
        return f"Okay, every {_every(span_s)}." if request.repeats else f"Okay, {say_duration(span_s)}."

    def _cancel(self, request: TimeRequest, moment: Moment) -> str:
        waiting = self._timers.waiting
        if request.name == TIMER:
            gone = [one for one in waiting if not one.name] or waiting
        else:
            gone = [one for one in waiting if request.name in ("", one.name)]
        self._timers.cancel(gone)
        if gone:
            return "Okay, the timer is off." if request.name == TIMER else "Okay, I stop."
        return "No timer is running." if request.name == TIMER else "I am not reminding you of anything."

    def _left(self, request: TimeRequest, moment: Moment) -> str:
        waiting = self._timers.waiting
        once = [one for one in waiting if not one.repeat_ns]
        if not waiting:
            return "No timer is running."
        left = say_duration(((once or waiting)[0].due_ns - _asked(request, moment)) / 1e9)
        return f"{_capital(left)} left." if once else f"The next reminder is in {left}."

    def _hush(self, request: TimeRequest, moment: Moment) -> str:
        often = [one for one in self._timers.waiting if one.until_stop or 0 < one.repeat_ns <= _OFTEN_NS]
        self._timers.cancel(often)
        return self.counting.stop() if self.counting.is_on else ""

    # ----------------------------------------------------------------------------------------------- processes

    def _start(self, request: TimeRequest, moment: Moment) -> str:
        name = request.name or _STOPWATCH
        run = self._runs.running.get(name)
        if run is not None:
            return f"The {name} is running already, for {_since(run, request, moment)}."
        self._runs.start(name, _asked(request, moment))
        return f"{_capital(name)} started."

    def _stop(self, request: TimeRequest, moment: Moment) -> str:
        run = self._run(request)
        if run is None:
            return f"The {request.name} is not running." if request.name else _NOTHING
        took_ns = self._runs.stop(run.name, _asked(request, moment))
        self._clear(run.name, moment.now_ns)
        return f"{_capital(run.name)} done after {say_duration(took_ns / 1e9)}."

    def _elapsed(self, request: TimeRequest, moment: Moment) -> str:
        run = self._run(request)
        if run is not None:
            return f"{_capital(_since(run, request, moment))} so far."
        if request.name not in ("", CONVERSATION):
            return f"The {request.name} is not running."
        asked_ns = _asked(request, moment)
        return f"We have been at it for {say_duration((asked_ns - moment.session_start_ns) / 1e9)}."

    def _last(self, request: TimeRequest, moment: Moment) -> str:
        name = self._about(request)
        took_ns = self._runs.last_ns(name)
        if took_ns is None:
            return _NEVER
        return f"The last {self._runs.last_name(name)} took {say_duration(took_ns / 1e9)}."

    def _usual(self, request: TimeRequest, moment: Moment) -> str:
        name = self._about(request)
        took_ns = self._runs.usual_ns(name)
        if took_ns is None:
            return _NEVER
        return f"The {self._runs.last_name(name)} usually takes {say_duration(took_ns / 1e9)}."

    def _watch(self, request: TimeRequest, moment: Moment) -> str:
        run = self._run(request)
        if run is None:
            return f"The {request.name} is not running." if request.name else _NOTHING
        known = {"last": self._runs.last_ns, "usual": self._runs.usual_ns}
        limit_ns = known[request.than](run.name) if request.than else round(request.span_s * 1e9)
        if limit_ns is None:
            return _NEVER
        self._clear(run.name, moment.now_ns)
        self._runs.watch(run.name, limit_ns, request.than)
        return f"Okay, I tell you after {say_duration(limit_ns / 1e9)}."

    def _run(self, request: TimeRequest) -> Run | None:
        """Return what a request is about: what runs by its name, or the newest."""
        return self._runs.running.get(request.name) if request.name else self._runs.newest

    def _about(self, request: TimeRequest) -> str:
        """Return whose earlier runs a question is about: without a name of what runs now."""
        run = self._runs.newest
        return request.name or (run.name if run is not None else "")


def _since_said(request: TimeRequest, moment: Moment) -> str:
    if moment.said_ns is None:
        return "I have not said anything yet."
    return f"{_capital(say_duration((_asked(request, moment) - moment.said_ns) / 1e9))} ago."


def _asked(request: TimeRequest, moment: Moment) -> int:
    return request.at_ns or moment.now_ns


def _since(run: Run, request: TimeRequest, moment: Moment) -> str:
    return say_duration((_asked(request, moment) - run.started_ns) / 1e9)


def _overdue(run: Run) -> str:
    than = _THAN.get(run.than) or say_duration((run.limit_ns or 0) / 1e9)
    return f"Attention, the {run.name} takes longer than {than}."


def _every(span_s: float) -> str:
    return say_duration(span_s).removeprefix("one ")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
