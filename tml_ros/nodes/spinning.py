"""Run a node until it is told to stop, on the executor that suits ingest.

Source: measured CPU per callback 33 us (EventsExecutor), 98 us (single-threaded), 137 us (multi-threaded, which also
loses messages at 1 kHz); see docs/lab_notes.md.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import rclpy
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.task import Future

__all__ = ["make_executor", "spin", "spin_until"]

_FOREVER_S = 1e6


def make_executor() -> Executor:
    """Return an EventsExecutor where rclpy has one, a SingleThreadedExecutor otherwise."""
    try:
        from rclpy.experimental import EventsExecutor
    except ImportError:
        return SingleThreadedExecutor()
    return EventsExecutor()


def spin(node: Node, on_signal: Callable[[Callable[[], None]], AbstractContextManager[None]]) -> None:
    """Run a node until it is told to stop. on_signal: calls back, within a context, when the process is.

    The node needs a timer: a signal is seen when the main thread next runs Python.
    """
    executor = make_executor()
    executor.add_node(node)
    told: Future[None] = Future()

    def stop() -> None:
        if not told.done():
            told.set_result(None)

    with on_signal(stop):
        spin_until(executor, told, _FOREVER_S)


def spin_until(executor: Executor, future: "Future[Any]", timeout_s: float) -> None:
    """Run an executor until a future is done or the time is over; an interrupt ends it quietly.

    ``EventsExecutor.spin()`` of rclpy 9.1 runs at full load without calling anything (its endless deadline overflows),
    a finite one does not.
    """
    try:
        executor.spin_until_future_complete(future, timeout_sec=timeout_s)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        if not rclpy.ok():
            future.cancel()
