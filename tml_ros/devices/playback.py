"""A loudspeaker that says what it is given, and tells exactly what it played and when.

PortAudio's callback takes samples from the mixer; a worker thread publishes them as the echo reference, ahead of their
sound, and reports on the utterances once their samples are out. It also opens the device, notices when it dies, and
opens it again when it is back: an absent, busy or unwilling device is a state and not an end. Meanwhile time goes on:
what cannot be said soon is dropped and reported. Knows no ROS.
"""

import logging
import threading
import uuid
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from tml_ros.clock import Clock
from tml_ros.devices import portaudio
from tml_ros.devices.absence import Absence, Devices, Watch
from tml_ros.devices.feed import Feed, Rendered, Timeline
from tml_ros.devices.mixer import Block, Mark, Mixer
from tml_ros.devices.playback_config import PlaybackConfig
from tml_ros.devices.portaudio import Device, Kind, Stream
from tml_ros.devices.pulse import MoveWatch
from tml_ros.errors import DeviceError, TmlError
from tml_ros.records import SAMPLE_RATE_HZ, AudioChunk, PlaybackReport, PlaybackState, SpeechControl, SpeechPiece

__all__ = ["Listener", "LoudspeakerState", "Playback", "PlaybackConfig", "PlaybackStatus"]

_POLL_S = 0.02  # how late a report may be when no block comes
_REPORT_SLACK_NS = 5_000_000  # stamps jitter; a period of ten blocks must not become eleven
_FIRST_BLOCK_S = 3.0  # wireless loudspeakers take that long to wake up
_WATCH_S = 0.2  # how long words may go to another loudspeaker after PulseAudio moved them; each look costs 1 ms
_NEVER_NS = 1_000_000_000  # later than anything that is told
_CLOSE_S = 2.0  # PortAudio closes within milliseconds, or never
_ENDS = (PlaybackState.FLUSHED, PlaybackState.FINISHED)
_COUNTERS = ("reference_chunks", "underflows", "lost_samples", "clock_jumps", "losses")
_log = logging.getLogger(__name__)


class LoudspeakerState(StrEnum):
    """What the loudspeaker does."""

    CLOSED = "closed"
    WAITING = "waiting"  # for the device, or for its first request
    PLAYING = "playing"  # sound, or the silence between


@dataclass(frozen=True, slots=True)
class PlaybackStatus:
    """How the loudspeaker is. message: for people. figures: totals since the start, and what is known of the stream."""

    state: LoudspeakerState
    message: str
    figures: dict[str, int | float | str]


class Listener(Protocol):
    """Who is told; called in the worker's thread."""

    def on_reference(self, chunk: AudioChunk) -> None:
        """Take a block of what is played, ahead of its sound."""

    def on_report(self, report: PlaybackReport) -> None:
        """Take how much of an utterance was played."""


@dataclass(slots=True)
class _Running:
    """What lives as long as one open stream. heard_ns: monotonic time of its newest block, watched_ns: of a look."""

    device: Device
    stream: Stream
    feed: Feed
    timeline: Timeline
    stream_id: str
    text: str
    heard_ns: int
    watch: Watch
    watched_ns: int = 0
    has_sound: bool = False


class Playback:
    """Plays until it is closed.

    Args:
        config: where and how.
        clock: gives ROS time for the stamps.
        listener: takes the reference and the reports.
        devices: the sound system.
        make_watch: of streams that are moved; its argument is the kind.

    Thread: ``step`` in the worker's only, the rest from any one.
    """

    def __init__(
        self,
        config: PlaybackConfig,
        clock: Clock,
        listener: Listener,
        devices: Devices = portaudio,
        make_watch: Callable[[Kind], Watch] = MoveWatch,
    ) -> None:
        self._config, self._clock, self._listener, self._devices = config, clock, listener, devices
        self._make_watch = make_watch
        self._lock = threading.Lock()
        self._mixer = Mixer(config.mix)
        self._totals: Counter[str] = Counter(dict.fromkeys(_COUNTERS, 0))
        self._reports = _Reports(listener.on_report, round(config.report_s * 1e9))
        self._running: _Running | None = None
        self._fault = "not opened yet"
        self._absence = Absence(_log, clock, config.reopen_s)
        self._retry_ns = 0
        self._skipped_ns = clock.monotonic_ns()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to play, or to wait for the device; returns at once."""
        self._thread = threading.Thread(target=self._work, name="speech_player", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop and let the device go; gives up on a device that hangs."""
        self._stopped.set()
        running = self._running
        if running is not None:
            running.feed.wake()
        if self._thread is not None:
            self._thread.join(_CLOSE_S + 1.0)
            if self._thread.is_alive():
                _log.warning("the loudspeaker does not stop and is left behind; the sound server may hang, restart it")

    def add(self, piece: SpeechPiece) -> None:
        """Play a piece of an utterance when its turn comes."""
        with self._lock:
            self._mixer.add(piece)

    def control(self, control: SpeechControl) -> None:
        """Carry out a command with the next block."""
        with self._lock:
            self._mixer.control(control)

    def status(self) -> PlaybackStatus:
        """Return how the loudspeaker is now."""
        running, totals = self._running, Counter(self._totals)
        stream: dict[str, int | float | str] = {}
        if running is not None:
            totals.update(_counters(running))
            clock = running.timeline.device_clock
            stream = {"device": running.device.name, "latency_ms": round(running.stream.latency * 1e3, 1)}
            stream |= {"drift_ppm": round(clock.drift_ppm, 1), "device_time": str(clock.uses_device_time)}
        with self._lock:
            speech = {name: count for name, count in sorted(self._mixer.counters.items()) if count}
        figures = {name: totals[name] for name in _COUNTERS} | speech | stream
        if self._stopped.is_set():
            return PlaybackStatus(LoudspeakerState.CLOSED, "closed", figures)
        if running is None or not running.has_sound:
            return PlaybackStatus(LoudspeakerState.WAITING, self._fault, figures)
        return PlaybackStatus(LoudspeakerState.PLAYING, running.text, figures)

    def step(self) -> None:
        """Do one piece of work: publish a block and what is out by now, or try to get a device."""
        running = self._running
        if running is None:
            self._wait_for_device()
            return
        block = running.feed.take(_POLL_S)
        if block is not None:
            self._deliver(running, block)
        # a sound server that hangs would not answer whether it moved the stream either
        if reason := self._death(running) if block is None else self._move(running):
            self._lose(running, reason)
        if not running.feed.is_running:
            self._pass_time()
        self._reports.tell(self._clock.now_ns())

    # -------------------------------------------------------------------------------------------- the worker

    def _work(self) -> None:
        while not self._stopped.is_set():
            try:
                self.step()
            except Exception as err:  # whatever a driver or a subscriber does, the loudspeaker comes back
                _log.exception("playing failed, it is begun anew")
                self._fault = f"playing failed: {err!r}"
                self._end_stream()
                self._stopped.wait(self._config.reopen_s)
        self._end_stream()

    def _deliver(self, running: _Running, block: Rendered) -> None:
        running.heard_ns = self._clock.monotonic_ns()
        if not running.has_sound:
            running.has_sound = True
            self._absence.end(f"playing to {running.text}")
        first, stamp_ns = running.timeline.place(block)
        data = block.samples.astype("<i2", copy=False).tobytes()
        frame_id = self._config.frame_id
        self._totals["reference_chunks"] += 1
        self._listener.on_reference(
            AudioChunk(stamp_ns, running.stream_id, first, SAMPLE_RATE_HZ, 1, "S16LE", data, frame_id)
        )
        for mark in block.marks:
            self._reports.add(stamp_ns + mark.offset * 1_000_000_000 // SAMPLE_RATE_HZ, mark)

    def _render(self, count: int) -> Block:
        """Return what is played next. Thread: PortAudio's."""
        with self._lock:
            return self._mixer.render(count)

    def _wait_for_device(self) -> None:
        """Try to open the device when it is time to, and let time pass for what waits to be said."""
        if self._clock.monotonic_ns() >= self._retry_ns:
            self._try_to_open()
        if self._running is None:
            self._stopped.wait(_POLL_S)
        self._pass_time()

    def _pass_time(self) -> None:
        monotonic_ns, now_ns = self._clock.monotonic_ns(), self._clock.now_ns()
        count = (monotonic_ns - self._skipped_ns) * SAMPLE_RATE_HZ // 1_000_000_000
        if count <= 0:
            return
        self._skipped_ns += count * 1_000_000_000 // SAMPLE_RATE_HZ
        with self._lock:
            marks = self._mixer.skip(count)
        for mark in marks:
            self._reports.add(now_ns, mark)
        self._reports.tell(now_ns)

    def _try_to_open(self) -> None:
        try:
            self._devices.refresh()
            self._running = self._start_stream()
            self._fault = f"{self._running.text}: opened, not playing yet"
        except TmlError as err:
            self._fault = str(err)
            self._absence.begin(f"no loudspeaker: {err}")
            self._retry_ns = self._clock.monotonic_ns() + round(self._config.reopen_s * 1e9)

    def _start_stream(self) -> _Running:
        """Open the device at the rate that is asked for, or else at its own.

        Raises:
            TmlError: it is absent or busy, or refuses its own rate.
        """
        config = self._config
        device = self._devices.find_device(config.device, "output")
        if config.rate_hz in (0, device.rate_hz):
            return self._open(device, device.rate_hz)
        try:
            return self._open(device, config.rate_hz)
        except DeviceError as err:
            running = self._open(device, device.rate_hz)
            _log.warning("%s; it plays at its own %d Hz", err, device.rate_hz)
            return running

    def _open(self, device: Device, rate_hz: int) -> _Running:
        config = self._config
        channels = config.channels or min(2, device.channels)
        feed = Feed(self._render, self._clock, rate_hz, channels)
        watch = self._make_watch("output")  # before the stream: a thread that imports keeps the callbacks waiting
        try:
            stream = self._devices.open_stream(
                "output",
                device,
                feed.on_block,
                rate_hz=rate_hz,
                channels=channels,
                block=round(rate_hz * config.block_ms / 1e3),
                latency=config.latency_ms / 1e3,
                finished=feed.on_end,
            )
        except TmlError:
            watch.close()
            raise
        timeline = Timeline(rate_hz, stream.latency, self._clock)
        stream_id = f"{device.name} {uuid.uuid4().hex[:8]}"
        text = f"loudspeaker {device.name!r} ({rate_hz} Hz, {channels} channels)"
        return _Running(device, stream, feed, timeline, stream_id, text, self._clock.monotonic_ns(), watch)

    def _move(self, running: _Running) -> str:
        """Return where the stream does not play any more, empty while it plays there; looks now and then."""
        now_ns = self._clock.monotonic_ns()
        if now_ns - running.watched_ns < _WATCH_S * 1e9:
            return ""
        running.watched_ns = now_ns
        name = running.watch.vanished()
        return f"{name} is gone, and the sound server moved the stream to another device" if name else ""

    def _death(self, running: _Running) -> str:
        """Return why a stream that asks for nothing is to be given up, empty while it is not."""
        if running.feed.has_ended or not running.stream.active:
            return "it is gone"
        patience_s = self._config.stall_s if running.has_sound else max(self._config.stall_s, _FIRST_BLOCK_S)
        if self._clock.monotonic_ns() - running.heard_ns > patience_s * 1e9:
            return f"it asked for no sound for {patience_s:g} s"
        return ""

    def _lose(self, running: _Running, reason: str) -> None:
        self._fault = f"{running.text} is lost: {reason}"
        self._totals["losses"] += running.has_sound
        self._absence.begin(self._fault)
        self._end_stream()
        if not running.has_sound:
            self._retry_ns = self._clock.monotonic_ns() + round(self._config.reopen_s * 1e9)

    def _end_stream(self) -> None:
        running, self._running = self._running, None
        if running is None:
            return
        self._skipped_ns = max(self._skipped_ns, running.heard_ns)
        self._totals.update(_counters(running))
        running.feed.is_given_up = True
        running.watch.close()
        self._devices.close_stream(running.stream, _CLOSE_S)
        now_ns = self._clock.now_ns()
        while (block := running.feed.take(0.0)) is not None:  # taken from the mixer, and never to be heard
            for mark in block.marks:
                self._reports.add(now_ns + _NEVER_NS, mark)
        unplayed = self._reports.give_up(now_ns)
        with self._lock:
            for utterance_id, samples_played in unplayed.items():
                self._mixer.take_back(utterance_id, samples_played)


class _Reports:
    """Marks that wait until their samples are out; then every change, and in between one per period."""

    def __init__(self, publish: Callable[[PlaybackReport], None], period_ns: int) -> None:
        self._publish, self._period_ns = publish, period_ns - _REPORT_SLACK_NS
        self._waiting: deque[tuple[int, Mark]] = deque()
        self._told: dict[int, PlaybackReport] = {}
        self._played: dict[int, int] = {}

    def add(self, out_ns: int, mark: Mark) -> None:
        """Keep a mark until ``out_ns``."""
        self._waiting.append((out_ns, mark))

    def tell(self, now_ns: int) -> None:
        """Publish what is due of the marks that are out."""
        while self._waiting and self._waiting[0][0] <= now_ns:
            out_ns, mark = self._waiting.popleft()
            self._played[mark.utterance_id] = mark.samples_played
            told = self._told.get(mark.utterance_id)
            if told is None or told.state is not mark.state or out_ns - told.stamp_ns >= self._period_ns:
                self._tell_one(out_ns, mark)

    def give_up(self, now_ns: int) -> dict[int, int]:
        """Forget marks whose samples never get out; return what was played of the utterances that have not ended.

        The ends among them are told, with what was really played.
        """
        self.tell(now_ns)
        unplayed: dict[int, int] = {}
        for _, mark in self._waiting:
            played = self._played.get(mark.utterance_id, 0)
            unplayed[mark.utterance_id] = played
            if mark.state in _ENDS:
                self._tell_one(now_ns, Mark(0, mark.utterance_id, PlaybackState.FLUSHED, played))
        self._waiting.clear()
        return unplayed

    def _tell_one(self, out_ns: int, mark: Mark) -> None:
        report = PlaybackReport(out_ns, mark.utterance_id, mark.state, mark.samples_played)
        self._told[mark.utterance_id] = report
        if mark.state in _ENDS:
            del self._told[mark.utterance_id]
            self._played.pop(mark.utterance_id, None)
        self._publish(report)


def _counters(running: _Running) -> Counter[str]:
    return Counter(
        underflows=running.feed.underflows,
        lost_samples=running.timeline.lost_samples,
        clock_jumps=running.timeline.device_clock.jumps,
    )
