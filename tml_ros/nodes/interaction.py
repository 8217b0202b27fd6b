"""The interaction node: topics in, micro-turns through the model, speech and intents out.

A lifecycle node that declares parameters, hands messages to ``Ingest``, and publishes what the engine gives. The model
runs in the engine's thread; no callback waits for it.
"""

import sys
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from std_srvs.srv import SetBool, Trigger

from tml_ros.config import declarations
from tml_ros.duplex.registry import available_models
from tml_ros.errors import TmlError
from tml_ros.nodes import parameters
from tml_ros.nodes.clock import NodeClock, steady_timer
from tml_ros.nodes.delegate_client import DelegateClient
from tml_ros.nodes.diagnostics import describe_health
from tml_ros.nodes.foxglove import FoxgloveAudio
from tml_ros.nodes.inputs import InputSubscriptions
from tml_ros.nodes.intents import IntentForwarder
from tml_ros.nodes.logs import bridge_logging
from tml_ros.nodes.main import run_node
from tml_ros.nodes.messages import fill, message_type
from tml_ros.nodes.qos import OUTPUT_QOS
from tml_ros.nodes.time_services import TimeServices
from tml_ros.records import IntentProposal, TurnMetrics
from tml_ros.session import InteractionConfig, TurnRecords
from tml_ros.session.build import Assembly, all_parameters, build
from tml_ros.session.ingest import Ingest
from tml_ros.session.time_service import TimeService
from tml_ros.windowing import MicroTurnAssembler
from tml_ros.wire import OUTPUT_TYPES, Published, to_tree

__all__ = ["InteractionNode", "main"]

_WATCH_PERIOD_S = 0.1
_SWITCH_S = 0.0002  # how long a thread that computes in Python keeps the others waiting; usual are 0.005
_SUCCESS, _FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class InteractionNode(LifecycleNode):
    """Runs one session after the other on what it hears and sees."""

    def __init__(self, **options: Any) -> None:
        super().__init__("interaction", **options)
        sys.setswitchinterval(_SWITCH_S)  # a model that computes delays no alert
        bridge_logging(self.get_logger())
        first = declarations(parameters.NodeConfig) | {"model": declarations(InteractionConfig)["model"]}
        parameters.declare(self, first)
        model = str(self.get_parameter("model").value)
        self._declared = all_parameters(model)
        parameters.declare(self, {name: one for name, one in self._declared.items() if name not in first})
        others = [name for name in available_models() if name != model]
        parameters.check_overrides(self, self._declared | first, others)
        self._node_clock = NodeClock(self)
        self._delegates = DelegateClient(self, self._node_clock)  # stays as long as the node: rclpy wants it so
        self._assembly: Assembly | None = None
        self._inputs: InputSubscriptions | None = None
        self._newest: TurnMetrics | None = None
        self._outputs: dict[str, Any] = {}
        self._forwarder = IntentForwarder(self)
        self._foxglove: FoxgloveAudio | None = None
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._timer = steady_timer(self, 1.0, self._publish_diagnostics)
        self._watch_timer = steady_timer(self, _WATCH_PERIOD_S, self._watch_on)
        self.create_service(Trigger, "~/reset", self._on_reset)
        self.create_service(SetBool, "~/mute", self._on_mute)
        self.create_service(Trigger, "~/acknowledge", self._on_acknowledge)
        self._times = TimeServices(self)

    @property
    def wants_autostart(self) -> bool:
        """Whether the node shall bring itself to active."""
        return bool(self.get_parameter("autostart").value)

    # -------------------------------------------------------------------------------------------- lifecycle

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Build model and synthesiser; on any fault say what is missing and stay unconfigured."""
        try:
            values = parameters.values(self, self._declared)
            self._assembly = build(values, self._node_clock, self._delegates, keeps_history=True)
        except TmlError as err:
            self.get_logger().error(str(err))
            return _FAILURE
        for topic, type_name in OUTPUT_TYPES.items():
            self._outputs[topic] = self.create_lifecycle_publisher(message_type(type_name), topic, OUTPUT_QOS[topic])
        self._times.service = TimeService(self._assembly.timekeeper, self._node_clock.now_ns)
        if self._assembly.config.foxglove:
            self._foxglove = FoxgloveAudio(self)
        return _SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to listen."""
        if self._assembly is None:
            return _FAILURE
        assembler = MicroTurnAssembler(self._assembly.config.window)
        ingest = Ingest(assembler, self._assembly.submit, self._assembly.config.audio_input)
        result = super().on_activate(state)
        self._delegates.open()
        self._assembly.start(self._publish, self._publish_one)
        self._inputs = InputSubscriptions(self, ingest, assembler, self._node_clock)
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop listening and end the session."""
        if self._inputs is not None:
            self._inputs.close()
            self._inputs = None
        if self._assembly is not None:
            self._assembly.stop()
        self._delegates.close()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the model."""
        for publisher in self._outputs.values():
            self.destroy_lifecycle_publisher(publisher)
        self._outputs = {}
        if self._foxglove is not None:
            self._foxglove.close()
            self._foxglove = None
        self._times.service = None
        if self._assembly is not None:
            self._assembly.model.close()
            self._assembly = None
        return _SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and free everything, from whatever state."""
        self.on_deactivate(state)
        return self.on_cleanup(state)

    # ------------------------------------------------------------------------------------------- publishing

    def _publish(self, done: TurnRecords) -> None:
        """Publish the records of one micro-turn. Thread: the engine's."""
        for record in done.records:
            self._publish_one(record)
            if isinstance(record, TurnMetrics):
                self._newest = record
        if self._foxglove is not None:
            self._foxglove.publish(done)

    def _publish_one(self, record: Published) -> None:
        """Publish one record. Thread: the engine's, or that of safety."""
        topic, type_name, tree = to_tree(record)
        self._outputs[topic].publish(fill(message_type(type_name)(), tree))
        if isinstance(record, IntentProposal):
            self._forwarder.publish(record)

    def _watch_on(self) -> None:
        """Let what is watched go on where no sensor gives anything."""
        if self._assembly is not None and self._inputs is not None:
            self._assembly.tick(self._node_clock.now_ns())

    def _publish_diagnostics(self) -> None:
        counters = dict(self._newest.counters) if self._newest else {}
        silent: list[str] = []
        if self._assembly is not None:
            counters |= {name: count for name, count in self._assembly.counters.items() if count}
        if self._inputs is not None:
            counters |= self._inputs.counters
            silent = self._inputs.silent_topics()
        message = DiagnosticArray(status=[describe_health(self.get_name(), self._newest, counters, silent)])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)

    # --------------------------------------------------------------------------------------------- services

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._assembly is None:
            response.message = "the node is not configured; there is no session to reset"
            return response
        self._assembly.engine.reset()
        response.success, response.message = True, "a new session begins with the next micro-turn"
        return response

    def _on_mute(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        if self._assembly is None:
            response.message = "the node is not configured; there is no microphone to mute"
            return response
        self._assembly.engine.is_muted = bool(request.data)
        response.success, response.message = True, "microphone muted" if request.data else "microphone open"
        return response

    def _on_acknowledge(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Take note that somebody knows of the open alerts."""
        if self._assembly is None or not self._assembly.safety.is_watching:
            response.message = "nothing is watched; set safety.lab_file to a lab file and configure the node"
            return response
        rules = self._assembly.safety.acknowledge()
        response.success = bool(rules)
        response.message = f"acknowledged: {', '.join(rules)}" if rules else "there is no open alert"
        return response


def main(args: list[str] | None = None) -> int:
    """Run the node until it is told to stop; return the exit code."""
    return run_node(InteractionNode, args)


if __name__ == "__main__":
    raise SystemExit(main())
