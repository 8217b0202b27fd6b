"""The life of a node's process: environment, start, autostart, spin, clean end.

SIGINT and SIGTERM end the spinning first and shut ROS down afterwards: rclpy's own handlers shut it down while a
callback may be at work, which ends in a crash when a request comes in at that moment.
"""

import gc
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions

from tml_ros.errors import TmlError
from tml_ros.nodes import environment
from tml_ros.nodes.spinning import spin

__all__ = ["run_node"]


def run_node(make: Callable[[], Any], args: list[str] | None = None) -> int:
    """Run a lifecycle node that has ``wants_autostart``; return 1, with one line on stderr, when it cannot start."""
    environment.prepare()
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    try:
        with _on_signal(_interrupt):
            node = make()
            if node.wants_autostart and not _bring_up(node):
                return 1
            with _passing_over_what_is_loaded():
                spin(node, _on_signal)
                _wind_down(node)
    except TmlError as err:
        print(f"tml_ros: {err}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, ExternalShutdownException):
        return 0
    finally:
        rclpy.try_shutdown()
    return 0


@contextmanager
def _on_signal(call: Callable[[], None]) -> Iterator[None]:
    """Call back when the process is told to stop, in the main thread, as soon as it runs Python."""
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: call()) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt() -> None:
    raise KeyboardInterrupt


def _bring_up(node: Any) -> bool:
    steps = (node.trigger_configure, node.trigger_activate)
    return all(step() == TransitionCallbackReturn.SUCCESS for step in steps)


@contextmanager
def _passing_over_what_is_loaded() -> Iterator[None]:
    """Leave modules and models out when the garbage collector looks through everything.

    That took 34 ms in a speech_player, which must have the next sound ready within 30, and up to 130 with a model.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()  # what is left of the node goes when Python ends, and with it others learn that it is gone


def _wind_down(node: Any) -> None:
    """End threads and models; the ROS context may be gone already."""
    node.on_shutdown(None)
    node.destroy_node()
