"""A microphone as a stream of stamped chunks that goes on for as long as it is wanted.

PortAudio's callback only hands blocks over; a worker thread makes chunks of them and publishes. It also opens the
device, notices when it dies, and opens it again when it is back: an absent, busy or unwilling device is a state and not
an end. Knows no ROS: whoever uses it publishes the chunks.
"""

import logging
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from tml_ros.clock import Clock
from tml_ros.devices import portaudio
from tml_ros.devices.absence import Absence, Devices, Watch
from tml_ros.devices.capture_config import MOST_OWN_CHANNELS, CaptureConfig
from tml_ros.devices.chunks import Block, ChunkMaker, Intake, SilenceWatch
from tml_ros.devices.portaudio import Device, Kind, Stream
from tml_ros.devices.pulse import MoveWatch
from tml_ros.errors import DeviceError, TmlError
from tml_ros.records import AudioChunk

__all__ = ["Capture", "CaptureConfig", "CaptureState", "CaptureStatus"]

_QUEUE_MS = 2000  # longer than any stall after which sound is still worth having
_POLL_S = 0.1  # how soon a stall is noticed
_FIRST_BLOCK_S = 3.0  # wireless microphones take that long to wake up
_SETTLE_S = 0.2  # the first callbacks come at odd times, up to 40 ms off under PulseAudio
_WATCH_S = 0.5  # how soon a stream that PulseAudio moved is noticed; each look costs 1 ms
_CLOSE_S = 2.0  # PortAudio closes within milliseconds, or never
_JOIN_S = 3.0  # so the worker may be waited for a little longer than that
_log = logging.getLogger(__name__)


class CaptureState(StrEnum):
    """What the microphone does."""

    CLOSED = "closed"
    WAITING = "waiting"  # for the device, or for its first sample
    RECORDING = "recording"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class CaptureStatus:
    """How the microphone is. message: for people. figures: totals since the start, then what is known of the stream."""

    state: CaptureState
    message: str
    figures: dict[str, int | float | str]


@dataclass(slots=True)
class _Running:
    """What lives as long as one open stream. heard_ns: monotonic time of its newest block, watched_ns: of a look."""

    device: Device
    stream: Stream
    intake: Intake
    maker: ChunkMaker
    silence: SilenceWatch
    text: str
    heard_ns: int
    watch: Watch
    watched_ns: int = 0
    has_sound: bool = False


class Capture:
    """Records until it is closed.

    Args:
        config: what is recorded.
        clock: gives ROS time for the stamps.
        publish: takes each chunk, in order, in the worker's thread.
        devices: the sound system.
        make_watch: of streams that are moved; its argument is the kind.

    Thread: ``start``, ``close`` and ``status`` from any one; ``step`` in the worker's only.
    """

    def __init__(
        self,
        config: CaptureConfig,
        clock: Clock,
        publish: Callable[[AudioChunk], None],
        devices: Devices = portaudio,
        make_watch: Callable[[Kind], Watch] = MoveWatch,
    ) -> None:
        self._config, self._clock, self._publish, self._devices = config, clock, publish, devices
        self._make_watch = make_watch
        self._chosen = [channel for channel in config.channel_map if channel >= 0]
        self._totals: Counter[str] = Counter(chunks=0, overruns=0, lost_samples=0, clock_jumps=0, losses=0)
        self._running: _Running | None = None
        self._fault = "not opened yet"
        self._absence = Absence(_log, clock, config.reopen_s)
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to record, or to wait for the device; returns at once."""
        self._thread = threading.Thread(target=self._work, name="audio_capture", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop and let the device go; gives up on a device that hangs."""
        self._stopped.set()
        running = self._running
        if running is not None:
            running.intake.wake()
        if self._thread is not None:
            self._thread.join(_JOIN_S)
            if self._thread.is_alive():
                _log.warning("the microphone does not stop and is left behind; the sound server may hang, restart it")

    def status(self) -> CaptureStatus:
        """Return how the microphone is now."""
        running, totals = self._running, Counter(self._totals)
        figures: dict[str, int | float | str] = {}
        if running is not None:
            totals.update(_counters(running))
            clock = running.maker.device_clock
            figures = {"device": running.device.name, "drift_ppm": round(clock.drift_ppm, 1)}
            figures |= {"level_dbfs": round(running.silence.level_dbfs, 1), "device_time": str(clock.uses_device_time)}
        figures = {**totals, **figures}
        if self._stopped.is_set():
            return CaptureStatus(CaptureState.CLOSED, "closed", figures)
        if running is None or not running.has_sound:
            return CaptureStatus(CaptureState.WAITING, self._fault, figures)
        if running.silence.is_silent:
            return CaptureStatus(CaptureState.SILENT, self._silence_text(running), figures)
        return CaptureStatus(CaptureState.RECORDING, running.text, figures)

    def step(self) -> None:
        """Do one piece of work: try to open the device, publish one block, or notice that none came."""
        if self._running is None:
            self._try_to_open()
            return
        running = self._running
        block = running.intake.take(_POLL_S)
        if block is not None:
            self._deliver(running, block)
        if reason := self._moved(running) if block is not None else self._death(running):
            self._lose(running, reason)

    # -------------------------------------------------------------------------------------------- the worker

    def _work(self) -> None:
        while not self._stopped.is_set():
            try:
                self.step()
            except Exception as err:  # whatever a driver or a subscriber does, the microphone comes back
                _log.exception("recording failed, it is begun anew")
                self._fault = f"recording failed: {err!r}"
                self._end_stream()
                self._stopped.wait(self._config.reopen_s)
        self._end_stream()

    def _try_to_open(self) -> None:
        try:
            self._devices.refresh()
            self._running = self._start_stream()
            self._fault = f"{self._running.text}: opened, no sample yet"
        except TmlError as err:
            self._fault = str(err)
            self._absence.begin(f"no microphone: {err}")
            self._stopped.wait(self._config.reopen_s)

    def _start_stream(self) -> _Running:
        """Open the device at the rate that is asked for, or else at its own.

        Raises:
            TmlError: it is absent or busy, or refuses its own rate too.
        """
        device, rate_hz = self._devices.find_device(self._config.device, "input"), self._config.rate_hz
        if rate_hz in (0, device.rate_hz):
            return self._open(device, device.rate_hz)
        try:
            return self._open(device, rate_hz)
        except DeviceError as err:
            running = self._open(device, device.rate_hz)
            _log.warning("%s; it records at its own %d Hz", err, device.rate_hz)
            return running

    def _open(self, device: Device, rate_hz: int) -> _Running:
        config, channels = self._config, self._channels(device)
        chunk_s = config.chunk_ms / 1e3
        intake = Intake(self._clock, _QUEUE_MS // config.chunk_ms)
        stream = self._devices.open_stream(
            "input",
            device,
            intake.on_block,
            rate_hz=rate_hz,
            channels=channels,
            block=round(rate_hz * chunk_s),
            latency=config.latency_ms / 1e3,
            finished=intake.on_end,
        )
        stream_id = f"{device.name} {uuid.uuid4().hex[:8]}"
        maker = ChunkMaker(stream_id, rate_hz, channels, self._chosen, config.frame_id, chunk_s, self._clock, _SETTLE_S)
        silence = SilenceWatch(config.silent_dbfs, config.silent_s, rate_hz)
        text = f"microphone {device.name!r} ({rate_hz} Hz, {len(self._chosen) or channels} of {channels} channels)"
        now_ns, watch = self._clock.monotonic_ns(), self._make_watch("input")
        return _Running(device, stream, intake, maker, silence, text, now_ns, watch)

    def _channels(self, device: Device) -> int:
        """Return how many channels to open.

        Raises:
            DeviceError: the device lacks one that is to be published.
        """
        needed = max(self._chosen, default=0) + 1
        own = device.channels if device.channels <= MOST_OWN_CHANNELS else needed
        channels = self._config.channels or own
        if needed > channels:
            raise DeviceError(
                f"channel_map names channel {needed - 1}, counted from 0, of microphone {device.name!r} with "
                f"{channels} channels; name channels below {channels}"
            )
        return channels

    def _deliver(self, running: _Running, block: Block) -> None:
        running.heard_ns = self._clock.monotonic_ns()
        if not running.has_sound:
            running.has_sound = True
            self._absence.end(f"recording from {running.text}")
        chunks, samples = running.maker.make(block)
        if running.silence.update(samples):
            if running.silence.is_silent:
                _log.warning("%s", self._silence_text(running))
            else:
                _log.info("%s is heard again", running.text)
        for chunk in chunks:
            self._totals["chunks"] += 1
            self._publish(chunk)

    def _death(self, running: _Running) -> str:
        """Return why a stream from which nothing comes is to be given up, empty while it is not."""
        if running.intake.has_ended or not running.stream.active:
            return "it is gone"
        patience_s = self._config.stall_s if running.has_sound else max(self._config.stall_s, _FIRST_BLOCK_S)
        if self._clock.monotonic_ns() - running.heard_ns > patience_s * 1e9:
            return f"no sample came for {patience_s:g} s"
        return ""

    def _moved(self, running: _Running) -> str:
        """Return why a stream that goes on is to be given up, empty while it is not."""
        now_ns = self._clock.monotonic_ns()
        if now_ns - running.watched_ns < _WATCH_S * 1e9:
            return ""
        running.watched_ns = now_ns
        name = running.watch.vanished()
        return f"{name} is gone, and the sound server has put another in its place" if name else ""

    def _lose(self, running: _Running, reason: str) -> None:
        self._fault = f"{running.text} is lost: {reason}"
        self._totals["losses"] += running.has_sound
        self._absence.begin(self._fault)
        self._end_stream()
        self._stopped.wait(min(_POLL_S, self._config.reopen_s) if running.has_sound else self._config.reopen_s)

    def _end_stream(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            self._totals.update(_counters(running))
            self._devices.close_stream(running.stream, _CLOSE_S)
            running.watch.close()

    # -------------------------------------------------------------------------------------- what people read

    def _silence_text(self, running: _Running) -> str:
        config = self._config
        return (
            f"{running.text} gives no sound: below {config.silent_dbfs:g} dBFS for {config.silent_s:g} s; "
            "check its mute switch, the mixer, and whether it is the right device"
        )


def _counters(running: _Running) -> dict[str, int]:
    return dict(
        overruns=running.intake.overflows + running.intake.dropped_blocks,
        lost_samples=running.maker.lost_samples,
        clock_jumps=running.maker.device_clock.jumps,
    )
