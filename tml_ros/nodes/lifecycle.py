"""What lifecycle nodes of a device have in common: parameters, autostart, an end from every state, diagnostics.

It knows neither microphone nor loudspeaker: a node says how it starts and stops and how it is.
"""

from typing import Any, Generic, TypeVar

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from tml_ros.config import declarations, from_mapping
from tml_ros.errors import TmlError
from tml_ros.nodes import parameters
from tml_ros.nodes.clock import steady_timer
from tml_ros.nodes.logs import bridge_logging

__all__ = ["DeviceNode", "describe"]

C = TypeVar("C")
_SUCCESS, _FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class DeviceNode(LifecycleNode, Generic[C]):
    """A lifecycle node around one device: ``start`` in on_activate, ``stop`` in on_deactivate and at the end.

    A subclass fills in ``prepare``, ``start``, ``stop`` and ``status``. A device that is absent is no failure of a
    transition: the node is active and waits for it. Wrong parameters and what is not installed are.
    """

    def __init__(self, name: str, config: type[C], **options: Any) -> None:
        super().__init__(name, **options)
        bridge_logging(self.get_logger())
        self._config_type = config
        self._declared = declarations(config)
        known = declarations(parameters.NodeConfig) | self._declared
        parameters.declare(self, known)
        parameters.check_overrides(self, known, ())
        self.is_active = False
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._diagnostics_timer = steady_timer(self, 1.0, self._publish_diagnostics)

    @property
    def wants_autostart(self) -> bool:
        """Whether the node shall bring itself to active."""
        return bool(self.get_parameter("autostart").value)

    # ----------------------------------------------------------------------------------------- for a subclass

    def prepare(self, config: C) -> None:
        """Check the parameters and what must be installed; called in on_configure.

        Raises:
            TmlError: the node stays unconfigured and logs the message.
        """
        raise NotImplementedError

    def start(self) -> None:
        """Begin to work; called in on_activate, and never blocks for a device."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop and let the device go; called from every state, also when nothing was started."""
        raise NotImplementedError

    def status(self) -> DiagnosticStatus:
        """Return how the device is; called once a second while the node is active. ``describe`` makes one."""
        raise NotImplementedError

    # -------------------------------------------------------------------------------------------- lifecycle

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters; on any fault say what is wrong and stay unconfigured."""
        try:
            self.prepare(from_mapping(self._config_type, parameters.values(self, self._declared)))
        except TmlError as err:
            self.get_logger().error(str(err))
            return _FAILURE
        return _SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to work, whether or not the device is there."""
        try:
            self.start()
        except TmlError as err:
            self.get_logger().error(str(err))
            self.stop()
            return _FAILURE
        self.is_active = True
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let the device go."""
        self.is_active = False
        self.stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Nothing is held while inactive."""
        return _SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop, from whatever state."""
        self.on_deactivate(state)
        return self.on_cleanup(state)

    def _publish_diagnostics(self) -> None:
        inactive = describe(self.get_name(), DiagnosticStatus.WARN, "not active")
        status = self.status() if self.is_active else inactive
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)


def describe(name: str, level: bytes, message: str, **values: object) -> DiagnosticStatus:
    """Return one status. name: of the node. values: shown as text."""
    status = DiagnosticStatus(name=f"{name}: device", hardware_id="tml_ros", level=level, message=message)
    status.values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
    return status
