"""Recording in a thread of its own, behind a bounded queue: who hands a message over never waits for the disk.

When the disk cannot keep up, pictures are left out first, then everything else, alerts never; what was left out is
counted and stands in the summary. Knows no ROS.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable

from tml_ros import wire
from tml_ros.clock import Clock
from tml_ros.safety.incidents.message import IMAGE_TYPES, Received
from tml_ros.safety.incidents.recorder import IncidentRecorder

__all__ = ["IncidentWorker"]

_ALERT_TYPE = wire.OUTPUT_TYPES["safety_alert"]
_TICK_S = 0.2
_END_S = 30.0
_log = logging.getLogger(__name__)


class IncidentWorker:
    """Feeds a recorder from any thread."""

    def __init__(self, recorder: IncidentRecorder, clock: Clock, queue_mb: float = 32.0) -> None:
        """Get ready; ``start`` begins. queue_mb: room for what waits, twice that for all but pictures."""
        self._recorder, self._clock = recorder, clock
        self._limit = round(queue_mb * 1e6)
        self._waiting: deque[Received] = deque()
        self._bytes = 0
        self._condition = threading.Condition()
        self._is_ending = False
        self._thread = threading.Thread(target=self._run, name="incident_worker", daemon=True)

    @property
    def queue_bytes(self) -> int:
        """What waits. Thread: any."""
        return self._bytes

    def start(self) -> None:
        """Begin to record."""
        self._thread.start()

    def stop(self) -> bool:
        """Record what waits, end the open incident; return whether that was done within 30 s."""
        with self._condition:
            self._is_ending = True
            self._condition.notify()
        self._thread.join(_END_S)
        return not self._thread.is_alive()

    def put(self, topic: str, type_name: str, data: bytes) -> None:
        """Hand a message over. Thread: any. data: CDR."""
        message = Received(topic, type_name, data, self._clock.now_ns(), self._clock.monotonic_ns())
        with self._condition:
            if not self._has_room(type_name):
                kind = "dropped_pictures" if type_name in IMAGE_TYPES else "dropped_messages"
                self._recorder.dropped[kind] += 1
                return
            self._waiting.append(message)
            self._bytes += len(data)
            self._condition.notify()

    def _has_room(self, type_name: str) -> bool:
        if type_name == _ALERT_TYPE:
            return True
        return self._bytes < (self._limit if type_name in IMAGE_TYPES else 2 * self._limit)

    def _run(self) -> None:
        while (message := self._next()) is not None or not self._is_ending:
            self._try(self._work, message)
        self._try(lambda _: self._recorder.close(), None)

    def _next(self) -> Received | None:
        with self._condition:
            if not self._waiting and not self._is_ending:
                self._condition.wait(_TICK_S)
            if not self._waiting:
                return None
            message = self._waiting.popleft()
            self._bytes -= len(message.data)
            return message

    def _work(self, message: Received | None) -> None:
        if message is None:
            self._recorder.tick(self._clock.now_ns(), self._clock.monotonic_ns())
        else:
            self._recorder.take(message)

    def _try(self, work: Callable[[Received | None], None], message: Received | None) -> None:
        """Go on whatever happens: a fault of the recording must not end it."""
        try:
            work(message)
        except Exception:
            self._recorder.counters["faults"] += 1
            if self._recorder.counters["faults"] <= 10:
                _log.exception("fault while an incident was recorded; it goes on with the next message")
