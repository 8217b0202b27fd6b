"""The life of a node's process: environment, start, autostart, spin, clean end."""

import sys
from collections.abc import Callable
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import TransitionCallbackReturn

from tml_ros.errors import TmlError
from tml_ros.nodes import environment
from tml_ros.nodes.spinning import spin

__all__ = ["run_node"]


def run_node(make: Callable[[], Any], args: list[str] | None = None) -> int:
    """Run a lifecycle node that has ``wants_autostart``; return 1, with one line on stderr, when it cannot start."""
    environment.prepare()
    rclpy.init(args=args)
    try:
        node = make()
        if node.wants_autostart and not _bring_up(node):
            return 1
        spin(node)
        _wind_down(node)
    except TmlError as err:
        print(f"tml_ros: {err}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, ExternalShutdownException):
        return 0
    finally:
        rclpy.try_shutdown()
    return 0


def _bring_up(node: Any) -> bool:
    steps = (node.trigger_configure, node.trigger_activate)
    return all(step() == TransitionCallbackReturn.SUCCESS for step in steps)


def _wind_down(node: Any) -> None:
    """End threads and models; the ROS context may be gone already."""
    node.on_shutdown(None)
    node.destroy_node()
