"""Ask a running robot's clock from another process, through the services of its interaction node.

Thread: one caller at a time.
"""

from types import TracebackType
from typing import Any

import rclpy
from rclpy.node import Node

from tml_interfaces.srv import CancelTimers, ListTimes, SetTimer, TimeProcess
from tml_ros.errors import TmlError
from tml_ros.nodes import environment
from tml_ros.nodes.spinning import make_executor, spin_until

__all__ = ["TimeClient"]

_PATIENCE_S = 5.0


class TimeClient:
    """A client for as long as the block lasts. Starts and stops ROS in this process."""

    def __init__(self, namespace: str = "tml") -> None:
        """Prepare. namespace: of the interaction node."""
        environment.prepare()
        rclpy.init()
        self._node = Node("time_client", namespace=namespace)
        self._executor = make_executor()
        self._executor.add_node(self._node)

    def __enter__(self) -> "TimeClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._node.destroy_node()
        rclpy.try_shutdown()

    def set_timer(self, name: str, after_s: float, *, repeats: bool, text: str) -> tuple[bool, str]:
        """Set a timer; return whether that was done, and the answer."""
        request = SetTimer.Request(name=name, after_sec=float(after_s), repeats=repeats, text=text)
        return self._answer(SetTimer, "set_timer", request)

    def cancel_timers(self, name: str) -> tuple[bool, str]:
        """Cancel timers by name, or all of them."""
        return self._answer(CancelTimers, "cancel_timers", CancelTimers.Request(name=name))

    def time_process(self, command: int, name: str, limit_s: float) -> tuple[bool, str]:
        """Start, stop or watch a process."""
        request = TimeProcess.Request(name=name, command=command, limit_sec=float(limit_s))
        return self._answer(TimeProcess, "time_process", request)

    def times(self) -> dict[str, list[dict[str, float | str]]]:
        """Return what waits and what runs."""
        found = self._call(ListTimes, "list_times", ListTimes.Request())
        timers = (
            {"name": one.name, "text": one.text, "left_s": one.left_sec, "repeat_s": one.repeat_sec}
            for one in found.timers
        )
        processes = (
            {"name": one.name, "elapsed_s": one.elapsed_sec, "limit_s": one.limit_sec, "last_s": one.last_sec}
            for one in found.processes
        )
        return {"timers": list(timers), "processes": list(processes)}

    def _answer(self, kind: Any, name: str, request: Any) -> tuple[bool, str]:
        answer = self._call(kind, name, request)
        return bool(answer.success), str(answer.message)

    def _call(self, kind: Any, name: str, request: Any) -> Any:
        client = self._node.create_client(kind, f"interaction/{name}")
        if client.wait_for_service(timeout_sec=_PATIENCE_S):
            future = client.call_async(request)
            spin_until(self._executor, future, _PATIENCE_S)
            if future.done() and not future.cancelled():
                return future.result()
        raise TmlError(
            f"no robot answers on {client.srv_name} within {_PATIENCE_S:.0f} s; start it, and give its --namespace "
            "and the ROS_DOMAIN_ID that it runs on"
        )
