"""The loudspeaker node: ``speech`` becomes sound, ``playback`` and ``audio/reference`` tell what was played and when.

A lifecycle node that declares parameters, owns one ``Playback`` and converts. A loudspeaker that is absent or busy
shows in /diagnostics and in one line of the log; the node stays active until it comes.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.time import Time

from tml_interfaces.msg import AudioChunk, PlaybackStatus, SpeechChunk, SpeechControl
from tml_ros import records, wire
from tml_ros.devices import portaudio
from tml_ros.devices.playback import LoudspeakerState, Playback, PlaybackConfig
from tml_ros.errors import AudioFormatError, DeviceError, TmlError
from tml_ros.media.pcm import decode
from tml_ros.nodes.audio_capture import audio_message
from tml_ros.nodes.clock import NodeClock
from tml_ros.nodes.lifecycle import DeviceNode, describe
from tml_ros.nodes.main import run_node
from tml_ros.nodes.qos import OUTPUT_QOS, input_profile

__all__ = ["SpeechPlayerNode", "main"]

_LEVELS = {
    LoudspeakerState.CLOSED: DiagnosticStatus.WARN,
    LoudspeakerState.WAITING: DiagnosticStatus.ERROR,
    LoudspeakerState.PLAYING: DiagnosticStatus.OK,
}
_NEW_FAULTS = ("underflows", "lost_samples", "clock_jumps", "underruns", "missing_pieces", "stale_utterances")


class SpeechPlayerNode(DeviceNode[PlaybackConfig]):
    """Plays ``speech`` and obeys ``speech/control``."""

    def __init__(self, **options: Any) -> None:
        super().__init__("speech_player", PlaybackConfig, **options)
        self._config = PlaybackConfig()
        self._playback: Playback | None = None
        self._seen: dict[str, int] = {}
        self._refused = 0
        self._chunks = self.create_publisher(
            AudioChunk, "audio/reference", input_profile("audio/reference", reliable=True)
        )
        self._reports = self.create_publisher(PlaybackStatus, "playback", input_profile("playback", reliable=True))
        self.create_subscription(SpeechChunk, "speech", self._on_speech, OUTPUT_QOS["speech"])
        self.create_subscription(SpeechControl, "speech/control", self._on_control, OUTPUT_QOS["speech/control"])

    def prepare(self, config: PlaybackConfig) -> None:
        """Keep the parameters; PortAudio must be installed, a loudspeaker need not be there."""
        self._config = config
        self._take_priority(config.realtime_priority)
        try:
            portaudio.list_devices("output")
        except DeviceError as err:
            self.get_logger().debug(str(err))

    def start(self) -> None:
        """Begin to play."""
        self._seen = {}
        self._playback = Playback(self._config, NodeClock(self), self)
        self._playback.start()

    def stop(self) -> None:
        """Let the loudspeaker go; what is queued is dropped."""
        if self._playback is not None:
            self._playback.close()
            self._playback = None

    def status(self) -> DiagnosticStatus:
        """Return how the loudspeaker is; what went wrong within the last second is a warning."""
        if self._playback is None:
            return describe(self.get_name(), DiagnosticStatus.WARN, "not playing")
        status = self._playback.status()
        level, message = _LEVELS[status.state], status.message
        figures = status.figures | {"refused_messages": self._refused}
        counts = {name: int(figures.get(name, 0)) for name in (*_NEW_FAULTS, "refused_messages")}
        fresh = {name: count - self._seen.get(name, 0) for name, count in counts.items()}
        self._seen = counts
        if any(fresh.values()):
            level = max(level, DiagnosticStatus.WARN)
            message = f"{', '.join(f'{count} {name}' for name, count in fresh.items() if count)}; {message}"
        return describe(self.get_name(), level, message, state=str(status.state), **figures)

    def _take_priority(self, priority: int) -> None:
        """Make this thread, and those that it starts, real-time ones; all of them, as they share Python's lock."""
        try:
            os.sched_setscheduler(0, os.SCHED_RR if priority else os.SCHED_OTHER, os.sched_param(priority))
        except PermissionError:
            self.get_logger().info(
                "real-time priority is not allowed; a busy computer may make gaps in speech (rtprio)"
            )

    # ------------------------------------------------------------------------------------------------ messages in

    def _on_speech(self, message: SpeechChunk) -> None:
        self._take_in(lambda playback: playback.add(_piece(message)))

    def _on_control(self, message: SpeechControl) -> None:
        self._take_in(lambda playback: playback.control(_control(message)))

    def _take_in(self, use: Callable[[Playback], None]) -> None:
        if self._playback is None:
            return
        try:
            use(self._playback)
        except (TmlError, ValueError) as err:  # ValueError: a constant that the message does not define
            if not self._refused:
                self.get_logger().warning(f"message refused: {err}; further ones are counted in /diagnostics")
            self._refused += 1

    # ----------------------------------------------------------------- messages out, in the thread of the playback

    def on_reference(self, chunk: records.AudioChunk) -> None:
        """Publish what is played."""
        self._chunks.publish(audio_message(chunk))

    def on_report(self, report: records.PlaybackReport) -> None:
        """Publish how much of an utterance was played."""
        message = PlaybackStatus(
            utterance_id=report.utterance_id, state=int(report.state), samples_played=report.samples_played
        )
        message.header.stamp = Time(nanoseconds=report.stamp_ns).to_msg()
        message.header.frame_id = self._config.frame_id
        self._reports.publish(message)


def _piece(message: Any) -> records.SpeechPiece:
    """Return a piece of speech as its publisher formatted it, mixed to one channel.

    Raises:
        AudioFormatError: unknown encoding, ragged data, or not 16 kHz.
    """
    samples = np.zeros(0, np.float32)
    if len(message.audio.data):
        samples = decode(wire.audio_chunk(message.audio, 0))[0].mean(axis=1)
        if message.audio.sample_rate != records.SAMPLE_RATE_HZ:
            raise AudioFormatError(
                f"speech has {message.audio.sample_rate} Hz, expected {records.SAMPLE_RATE_HZ} Hz; resample it before"
            )
    return replace(cast(records.SpeechPiece, wire.published("speech", message)), audio=samples)


def _control(message: Any) -> records.SpeechControl:
    return cast(records.SpeechControl, wire.published("speech/control", message))


def main(args: list[str] | None = None) -> int:
    """Run the node until it is told to stop; return the exit code."""
    return run_node(SpeechPlayerNode, args)


if __name__ == "__main__":
    raise SystemExit(main())
