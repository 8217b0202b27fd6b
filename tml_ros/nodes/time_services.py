"""The services of the robot's clock: timers and timed processes for other programs, on the node's own name.

It converts and calls ``TimeService``, and nothing else. Where the node is not configured, they say so.
"""

from typing import Any

from rclpy.node import Node

from tml_interfaces.msg import ProcessState, TimerState
from tml_interfaces.srv import CancelTimers, ListTimes, SetTimer, TimeProcess
from tml_ros.session.time_service import Reply, TimeService

__all__ = ["TimeServices"]

_ABSENT = Reply(False, "the node is not configured; it keeps no time")


class TimeServices:
    """Answers requests. service: None as long as there is nobody to ask.

    Thread: the executor's.
    """

    def __init__(self, node: Node) -> None:
        """Offer the services under the node's name."""
        self.service: TimeService | None = None
        node.create_service(SetTimer, "~/set_timer", self._on_set)
        node.create_service(CancelTimers, "~/cancel_timers", self._on_cancel)
        node.create_service(TimeProcess, "~/time_process", self._on_process)
        node.create_service(ListTimes, "~/list_times", self._on_list)

    def _on_set(self, request: Any, response: Any) -> Any:
        reply = _ABSENT
        if self.service is not None:
            reply = self.service.set_timer(
                request.name, request.after_sec, repeats=bool(request.repeats), text=request.text
            )
        response.success, response.message = reply.success, reply.message
        return response

    def _on_cancel(self, request: Any, response: Any) -> Any:
        reply = self.service.cancel_timers(request.name) if self.service is not None else _ABSENT
        response.success, response.message, response.cancelled = reply.success, reply.message, reply.count
        return response

    def _on_process(self, request: Any, response: Any) -> Any:
        reply = _ABSENT
        if self.service is not None:
            reply = self.service.time_process(int(request.command), request.name, request.limit_sec)
        response.success, response.message, response.elapsed_sec = reply.success, reply.message, reply.elapsed_s
        return response

    def _on_list(self, request: Any, response: Any) -> Any:
        if self.service is not None:
            response.timers = [
                TimerState(name=one.name, text=one.text, left_sec=one.left_s, repeat_sec=one.repeat_s)
                for one in self.service.timers()
            ]
            response.processes = [
                ProcessState(name=one.name, elapsed_sec=one.elapsed_s, limit_sec=one.limit_s, last_sec=one.last_s)
                for one in self.service.processes()
            ]
        return response
