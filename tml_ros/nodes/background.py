"""The background node: tasks and questions in, results out, at its own pace.

A lifecycle node that declares parameters, gathers what a background model may read, and puts an action server and a
service in front of it. The models run in threads of their own; no callback waits for them.
"""

import os
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from tml_ros.background import BackgroundService, available_backends, create_background
from tml_ros.background.config import BackgroundConfig, surroundings
from tml_ros.background.registry import backend_parameters
from tml_ros.config import declarations, from_mapping
from tml_ros.errors import TmlError
from tml_ros.nodes import parameters
from tml_ros.nodes.clock import steady_timer
from tml_ros.nodes.delegate_server import DelegateServer
from tml_ros.nodes.diagnostics import describe_background
from tml_ros.nodes.logs import bridge_logging
from tml_ros.nodes.main import run_node
from tml_ros.nodes.topic_states import TopicStates

__all__ = ["BackgroundNode", "main"]

_SUCCESS, _FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class BackgroundNode(LifecycleNode):
    """Works on tasks of the action ``delegate`` and questions of the service ``ask``."""

    def __init__(self, **options: Any) -> None:
        super().__init__("background", **options)
        bridge_logging(self.get_logger())
        own = declarations(BackgroundConfig)
        first = declarations(parameters.NodeConfig) | {"backend": own["backend"]}
        parameters.declare(self, first)
        self._backend = str(self.get_parameter("backend").value)
        self._declared = own | backend_parameters(self._backend)
        parameters.declare(self, {name: one for name, one in self._declared.items() if name not in first})
        others = [name for name in available_backends() if name != self._backend]
        parameters.check_overrides(self, self._declared | first, others)
        self._is_nice = False
        self._states: TopicStates | None = None
        self._service: BackgroundService | None = None
        self._server: DelegateServer | None = None
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._timer = steady_timer(self, 1.0, self._publish_diagnostics)

    @property
    def wants_autostart(self) -> bool:
        """Whether the node shall bring itself to active."""
        return bool(self.get_parameter("autostart").value)

    # -------------------------------------------------------------------------------------------- lifecycle

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Make the model and what it may read; on any fault say what is missing and stay unconfigured."""
        try:
            self._build()
        except TmlError as err:
            self.get_logger().error(str(err))
            self._free()
            return _FAILURE
        return _SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to take tasks."""
        if self._service is None:
            return _FAILURE
        if self._server is None:
            self._server = DelegateServer(self)
        self._server.open(self._service)
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take no more tasks and withdraw those that run."""
        if self._server is not None:
            self._server.close()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the model."""
        self._free()
        return _SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and free everything, from whatever state."""
        self.on_deactivate(state)
        return self.on_cleanup(state)

    def _build(self) -> None:
        """Make everything that stays while the node is configured.

        Raises:
            TmlError: a parameter or a file that it names is wrong, or something is not installed.
        """
        values = parameters.values(self, self._declared)
        own = declarations(BackgroundConfig)
        config = from_mapping(BackgroundConfig, {name: value for name, value in values.items() if name in own})
        if not self._is_nice:
            os.nice(config.nice)
            self._is_nice = True
        self._states = TopicStates(self, config.topics, config.camera_topic)
        sight = surroundings(config, topics=self._states.names, read_topic=self._states.read, look=self._states.look)
        self._service = BackgroundService(
            create_background(config.backend, values, sight),
            max_goals=config.max_goals,
            budget_s=config.budget_s,
            max_budget_s=config.max_budget_s,
        )

    def _free(self) -> None:
        if self._service is not None:
            self._service.close()
            self._service = None
        if self._states is not None:
            self._states.close()
            self._states = None

    def _publish_diagnostics(self) -> None:
        is_active = self._server is not None and self._server.is_open
        running = self._service.running if self._service is not None and is_active else None
        counters = dict(self._service.counters) if self._service is not None else {}
        if self._server is not None and self._server.message_errors:
            counters["message_errors"] = self._server.message_errors
        message = DiagnosticArray(status=[describe_background(self.get_name(), self._backend, running, counters)])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)


def main(args: list[str] | None = None) -> int:
    """Run the node until it is told to stop; return the exit code."""
    return run_node(BackgroundNode, args)


if __name__ == "__main__":
    raise SystemExit(main())
