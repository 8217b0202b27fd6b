"""The robot's clock for programs: what people ask of it by voice, asked with plain values.

Answers are those that a person gets. It knows no messages and no ROS.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from tml_ros.records import TimeAction, TimeRequest
from tml_ros.session.timekeeper import Moment, Timekeeper

__all__ = ["ProcessCommand", "ProcessView", "Reply", "TimeService", "TimerView"]

_LONGEST_S = 366 * 86_400.0
_MOST_CHARS = 200
STOPWATCH = "stopwatch"


class ProcessCommand(IntEnum):
    """What to do with a process; the values are those of tml_interfaces/TimeProcess."""

    START = 0
    STOP = 1
    WATCH = 2


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a request. elapsed_s: of the process that it was about. count: of timers."""

    success: bool
    message: str
    elapsed_s: float = 0.0
    count: int = 0


@dataclass(frozen=True, slots=True)
class TimerView:
    """A timer that waits."""

    name: str
    text: str
    left_s: float
    repeat_s: float


@dataclass(frozen=True, slots=True)
class ProcessView:
    """A process that runs. limit_s: 0 for none. last_s: 0 when there was none."""

    name: str
    elapsed_s: float
    limit_s: float
    last_s: float


class TimeService:
    """Asks a timekeeper.

    Thread: any.
    """

    def __init__(self, timekeeper: Timekeeper, now_ns: Callable[[], int]) -> None:
        """Prepare. now_ns: the clock that the micro-turns are on."""
        self._keeper = timekeeper
        self._now_ns = now_ns

    def set_timer(self, name: str, after_s: float, *, repeats: bool = False, text: str = "") -> Reply:
        """Set a timer; one of the same name gives way."""
        name, text = _cleaned(name), _cleaned(text)
        if not 0.0 < after_s <= _LONGEST_S:
            return Reply(False, f"after_sec must be more than 0 and at most a year, got {after_s:g}")
        if repeats and after_s < 1.0:
            return Reply(False, f"after_sec of a reminder that repeats must be at least 1, got {after_s:g}")
        words = text or (f"Remember to {name}." if name else "Your time is up.")
        before = self._keeper.counters["dropped_timers"]
        said = self._ask(TimeRequest(TimeAction.REMIND, name, span_s=after_s, text=words, repeats=repeats))
        if self._keeper.counters["dropped_timers"] > before:
            return Reply(False, "there are too many timers; cancel some")
        return Reply(True, said)

    def cancel_timers(self, name: str = "") -> Reply:
        """Cancel timers by name, or all of them."""
        before = len(self._keeper.timers)
        said = self._ask(TimeRequest(TimeAction.CANCEL, _cleaned(name)))
        count = before - len(self._keeper.timers)
        return Reply(count > 0, said, count=max(0, count))

    def time_process(self, command: int, name: str = "", limit_s: float = 0.0) -> Reply:
        """Start, stop or watch a process."""
        name = _cleaned(name)
        if command not in tuple(ProcessCommand):
            return Reply(False, f"command must be 0 (START), 1 (STOP) or 2 (WATCH), got {command}")
        if not 0.0 <= limit_s <= _LONGEST_S or not math.isfinite(limit_s):
            return Reply(False, f"limit_sec must lie in 0..{_LONGEST_S:g}, got {limit_s:g}")
        if command == ProcessCommand.START:
            return self._start(name)
        before = self._find(name)
        if before is None:
            return Reply(False, self._ask(TimeRequest(TimeAction.STOP, name)))
        if command == ProcessCommand.STOP:
            said = self._ask(TimeRequest(TimeAction.STOP, name))
            return Reply(True, said, (self._keeper.took_ns(before.name) or 0) / 1e9)
        than = "" if limit_s else "last"
        if than and self._keeper.took_ns(before.name) is None:
            return Reply(False, f"no {before.name} was timed before; give limit_sec", before.elapsed_s)
        said = self._ask(TimeRequest(TimeAction.WATCH, name, span_s=limit_s, than=than))
        return Reply(True, said, before.elapsed_s)

    def timers(self) -> list[TimerView]:
        """Return what waits, the next one first."""
        now_ns = self._now_ns()
        return [
            TimerView(one.name, one.text, max(0.0, (one.due_ns - now_ns) / 1e9), one.repeat_ns / 1e9)
            for one in self._keeper.timers
        ]

    def processes(self) -> list[ProcessView]:
        """Return what runs, the newest last."""
        now_ns = self._now_ns()
        return [
            ProcessView(
                one.name,
                max(0.0, (now_ns - one.started_ns) / 1e9),
                (one.limit_ns or 0) / 1e9,
                (self._keeper.took_ns(one.name) or 0) / 1e9,
            )
            for one in self._keeper.running
        ]

    def _start(self, name: str) -> Reply:
        before = self._find(name or STOPWATCH)
        said = self._ask(TimeRequest(TimeAction.START, name))
        return Reply(before is None, said, before.elapsed_s if before is not None else 0.0)

    def _find(self, name: str) -> ProcessView | None:
        found = [one for one in self.processes() if name in ("", one.name)]
        return found[-1] if found else None

    def _ask(self, request: TimeRequest) -> str:
        now_ns = self._now_ns()
        return self._keeper.answer(request, Moment(now_ns, now_ns)).text


def _cleaned(text: str) -> str:
    return " ".join(text.split())[:_MOST_CHARS]
