"""The microphone node: what a sound device hears, as stamped chunks on ``audio/in``.

A lifecycle node that declares parameters, owns one ``Capture`` and turns its chunks into messages. A microphone that
is absent, busy or silent shows in /diagnostics and in one line of the log; the node stays active until it comes.
"""

import array
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.time import Time

from tml_interfaces.msg import AudioChunk
from tml_ros import records
from tml_ros.devices import portaudio
from tml_ros.devices.capture import Capture, CaptureConfig, CaptureState
from tml_ros.errors import DeviceError
from tml_ros.nodes.clock import NodeClock
from tml_ros.nodes.lifecycle import DeviceNode, describe
from tml_ros.nodes.main import run_node
from tml_ros.nodes.qos import input_profile

__all__ = ["AudioCaptureNode", "audio_message", "main"]

_LEVELS = {
    CaptureState.CLOSED: DiagnosticStatus.WARN,
    CaptureState.WAITING: DiagnosticStatus.ERROR,
    CaptureState.SILENT: DiagnosticStatus.WARN,
    CaptureState.RECORDING: DiagnosticStatus.OK,
}
_NEW_FAULTS = ("overruns", "lost_samples", "clock_jumps")


class AudioCaptureNode(DeviceNode[CaptureConfig]):
    """Publishes a microphone on ``audio/in``."""

    def __init__(self, **options: Any) -> None:
        super().__init__("audio_capture", CaptureConfig, **options)
        self._config = CaptureConfig()
        self._capture: Capture | None = None
        self._seen = dict.fromkeys(_NEW_FAULTS, 0)
        self._chunks = self.create_publisher(AudioChunk, "audio/in", input_profile("audio/in", reliable=True))

    def prepare(self, config: CaptureConfig) -> None:
        """Keep the parameters; PortAudio must be installed, a microphone need not be there."""
        self._config = config
        try:
            portaudio.list_devices("input")
        except DeviceError as err:
            self.get_logger().debug(str(err))

    def start(self) -> None:
        """Begin to record."""
        self._seen = dict.fromkeys(_NEW_FAULTS, 0)
        self._capture = Capture(self._config, NodeClock(self), self._publish)
        self._capture.start()

    def stop(self) -> None:
        """Let the microphone go."""
        if self._capture is not None:
            self._capture.close()
            self._capture = None

    def status(self) -> DiagnosticStatus:
        """Return how the microphone is; samples lost within the last second are a warning."""
        if self._capture is None:
            return describe(self.get_name(), DiagnosticStatus.WARN, "not recording")
        status = self._capture.status()
        level, message = _LEVELS[status.state], status.message
        totals = {name: int(status.figures[name]) for name in _NEW_FAULTS}
        fresh = [f"{totals[name] - self._seen[name]} {name}" for name in totals if totals[name] > self._seen[name]]
        self._seen = totals
        if status.state is CaptureState.RECORDING and fresh:
            level, message = DiagnosticStatus.WARN, f"{', '.join(fresh)}; {message}"
        return describe(self.get_name(), level, message, state=str(status.state), **status.figures)

    def _publish(self, chunk: records.AudioChunk) -> None:
        self._chunks.publish(audio_message(chunk))


def audio_message(chunk: records.AudioChunk) -> AudioChunk:
    """Return a chunk as a message."""
    message = AudioChunk(
        stream_id=chunk.stream_id,
        first_sample=chunk.first_sample,
        sample_rate=chunk.rate_hz,
        channels=chunk.channels,
        encoding=chunk.encoding,
        data=array.array("B", chunk.data),
    )
    message.header.stamp = Time(nanoseconds=chunk.stamp_ns).to_msg()
    message.header.frame_id = chunk.frame_id
    return message


def main(args: list[str] | None = None) -> int:
    """Run the node until it is told to stop; return the exit code."""
    return run_node(AudioCaptureNode, args)


if __name__ == "__main__":
    raise SystemExit(main())
