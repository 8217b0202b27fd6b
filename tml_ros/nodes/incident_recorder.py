"""The incident recorder: what was seen, heard and said around an alert goes to a bag. Off unless ``enabled`` is true.

A lifecycle node of its own, so that no fault of it and no full disk touches the robot that talks, and no alert waits
for it. It subscribes, hands bytes to a worker, and says in /diagnostics how that goes; it publishes nothing else.
"""

import functools
import os
from pathlib import Path
from typing import Any

import cv2
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.serialization import serialize_message

from tml_ros.errors import InputError
from tml_ros.media.foreign_audio import AudioInputConfig, ForeignAudio
from tml_ros.nodes.audio_capture import audio_message
from tml_ros.nodes.clock import NodeClock
from tml_ros.nodes.inputs import InputSubscriptions
from tml_ros.nodes.lifecycle import DeviceNode, describe
from tml_ros.nodes.main import run_node
from tml_ros.nodes.messages import message_type
from tml_ros.nodes.qos import OUTPUT_QOS
from tml_ros.safety.incidents import IncidentConfig, IncidentRecorder, IncidentStore, IncidentWorker
from tml_ros.wire import INPUT_TYPES, OUTPUT_TYPES

__all__ = ["IncidentRecorderNode", "main"]


class IncidentRecorderNode(DeviceNode[IncidentConfig]):
    """Records incidents while it is active and enabled."""

    def __init__(self, **options: Any) -> None:
        super().__init__("incident_recorder", IncidentConfig, **options)
        self._config = IncidentConfig()
        self._store: IncidentStore | None = None
        self._recorder: IncidentRecorder | None = None
        self._worker: IncidentWorker | None = None
        self._inputs: InputSubscriptions | None = None
        self._outputs: list[Any] = []
        self._is_nice = False

    def prepare(self, config: IncidentConfig) -> None:
        """Keep the parameters; the folder is opened when the node begins to record."""
        self._config = config
        if config.enabled and not self._is_nice:
            os.nice(config.nice)
            cv2.setNumThreads(1)
            self._is_nice = True

    def start(self) -> None:
        """Begin to record, if that is wanted.

        Raises:
            TmlError: the folder cannot be used, or faces are to be blurred and nothing is there to find them.
        """
        if not self._config.enabled:
            self.get_logger().info("enabled is false: nothing is recorded")
            return
        clock = NodeClock(self)
        self._store = IncidentStore(Path(self._config.folder), self._config.disk)
        is_simulated = bool(self.get_parameter("use_sim_time").value)
        self._recorder = IncidentRecorder(self._config, self._store, is_simulated=is_simulated)
        self._worker = IncidentWorker(self._recorder, clock)
        self._worker.start()
        inputs = _Inputs(self, self._worker)
        self._inputs = InputSubscriptions(self, inputs, inputs, clock)
        for topic, type_name in OUTPUT_TYPES.items():
            put = functools.partial(self._worker.put, self.resolve_topic_name(topic), type_name)
            self._outputs.append(
                self.create_subscription(message_type(type_name), topic, put, OUTPUT_QOS[topic], raw=True)
            )
        self.get_logger().info(f"incidents are recorded in {self._store.folder}")

    def stop(self) -> None:
        """End the open incident and let the folder go."""
        if self._inputs is not None:
            self._inputs.close()
            self._inputs = None
        for subscription in self._outputs:
            self.destroy_subscription(subscription)
        self._outputs = []
        if self._worker is not None and not self._worker.stop():
            self.get_logger().error("the disk has not taken the last incident within 30 s; it is given up")
        if self._store is not None:
            self._store.close()
        self._worker = self._recorder = self._store = None

    def status(self) -> DiagnosticStatus:
        """Return how the recording goes; a disk that does not take it is an error."""
        level, message, values = self._health()
        status = describe(self.get_name(), level, message, **values)
        status.name = f"{self.get_name()}: incidents"
        return status

    def _health(self) -> tuple[bytes, str, dict[str, object]]:
        if self._recorder is None or self._store is None or self._worker is None:
            return DiagnosticStatus.OK, "off: set enabled to record", {}
        recorder, store = self._recorder, self._store
        values: dict[str, object] = {
            "folder": store.folder,
            "on_disk": len(store.names),
            "megabytes": f"{store.bytes / 1e6:.1f}",
            "free_megabytes": f"{store.free_bytes / 1e6:.0f}",
            "ring_megabytes": f"{recorder.ring_bytes / 1e6:.1f}",
            "queue_megabytes": f"{self._worker.queue_bytes / 1e6:.1f}",
            **dict(recorder.counters),
            **dict(recorder.dropped),
            **(self._inputs.counters if self._inputs is not None else {}),
        }
        if recorder.trouble:
            return DiagnosticStatus.ERROR, f"not recording: {recorder.trouble}", values
        silent = self._inputs.silent_topics() if self._inputs is not None else []
        if silent or recorder.dropped or recorder.counters["faults"]:
            why = f"{', '.join(silent)} has a publisher, but nothing arrives" if silent else "something was left out"
            return DiagnosticStatus.WARN, why, values
        return DiagnosticStatus.OK, f"recording {recorder.name}" if recorder.name else "waiting for an alert", values


class _Inputs:
    """Hands what sensors send to the worker; sound of any driver as AudioChunk. Thread: the executor's."""

    def __init__(self, node: DeviceNode[IncidentConfig], worker: IncidentWorker) -> None:
        self.audio = ForeignAudio(AudioInputConfig())
        self.counters: dict[str, int] = {}
        self._node, self._worker = node, worker
        self._explained: set[str] = set()

    def take(self, topic: str, message: Any, received_ns: int) -> None:
        """Take in a message of one of the inputs."""
        if topic != "audio/in":
            self._put(topic, message)
            return
        for ready, ready_ns in self.audio.ready(message, received_ns):
            self._hear(ready, ready_ns)

    def take_audio_info(self, message: Any) -> None:
        """Take in what the sound is made of."""
        try:
            for waiting, received_ns in self.audio.set_info(message):
                self._hear(waiting, received_ns)
        except InputError as err:
            self.refuse("audio/in", err)

    def refuse(self, topic: str, err: InputError) -> None:
        """Count what cannot be recorded, and say once why."""
        self.counters[f"refused_{topic}"] = self.counters.get(f"refused_{topic}", 0) + 1
        if str(err) not in self._explained and len(self._explained) < 100:
            self._explained.add(str(err))
            self._node.get_logger().warning(f"message on {topic} is not recorded, nor any further one like it: {err}")

    def _hear(self, message: Any, received_ns: int) -> None:
        try:
            self._put("audio/in", audio_message(self.audio.read(message, received_ns)))
        except InputError as err:
            self.refuse("audio/in", err)

    def _put(self, topic: str, message: Any) -> None:
        self._worker.put(self._node.resolve_topic_name(topic), INPUT_TYPES[topic], bytes(serialize_message(message)))


def main(args: list[str] | None = None) -> int:
    """Run the node until it is told to stop; return the exit code."""
    return run_node(IncidentRecorderNode, args)


if __name__ == "__main__":
    raise SystemExit(main())
