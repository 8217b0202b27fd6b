"""A microphone that comes, goes, stalls, overflows and falls silent: scripted, and once on a real sound server."""

import logging
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from tml_ros.clock import ManualClock, SystemClock
from tml_ros.devices import portaudio
from tml_ros.devices.capture import Capture, CaptureConfig, CaptureState
from tml_ros.devices.portaudio import Device
from tml_ros.errors import DeviceError

START_NS = 1_800_000_000_000_000_000
RATE_HZ = 16_000
CHUNK = 320
QUIET, OVERFLOW = SimpleNamespace(input_overflow=False), SimpleNamespace(input_overflow=True)


class ScriptedStream:
    """An open stream whose callbacks the test calls."""

    active, closed, latency, samplerate = True, False, 0.04, float(RATE_HZ)

    def __init__(self, callback, finished, clock, asked) -> None:
        self._callback, self.finish, self._clock, self.asked = callback, finished, clock, asked

    def deliver(self, samples, status=QUIET, age_s: float = 0.02) -> None:
        """Bring a block of [N, C] samples, 20 ms after the one before."""
        self._clock.advance_ns(20_000_000)
        now_s = self._clock.monotonic_ns() / 1e9
        times = SimpleNamespace(inputBufferAdcTime=now_s - age_s, currentTime=now_s)
        self._callback(samples.astype(np.int16).tobytes(), len(samples), times, status)


class ScriptedDevices:
    """A sound system with one microphone, or a fault."""

    def __init__(self, clock, channels: int = 1) -> None:
        self.device = Device(0, "mic", channels, RATE_HZ, "ALSA")
        self.fault: str | None = None
        self.rates_hz = (RATE_HZ,)
        self.streams: list[ScriptedStream] = []
        self.refreshes = self.closes = 0
        self._clock = clock

    def find_device(self, wanted, kind):
        if self.fault:
            raise DeviceError(self.fault)
        return self.device

    def open_stream(self, kind, device, callback, *, finished, **asked):
        if asked["rate_hz"] not in self.rates_hz:
            raise DeviceError(f"it refuses {asked['rate_hz']} Hz")
        self.streams.append(ScriptedStream(callback, finished, self._clock, asked))
        return self.streams[-1]

    def close_stream(self, stream, timeout_s):
        self.closes += 1
        return True

    def refresh(self):
        self.refreshes += 1
        return True


class ScriptedWatch:
    """Tells what the test says."""

    lost, is_closed = "", False

    def vanished(self):
        return self.lost

    def close(self):
        self.is_closed = True


class Bench:
    """A capture without its thread: every step is the test's."""

    def __init__(self, channels: int = 1, **given) -> None:
        self.clock = ManualClock(START_NS)
        self.devices = ScriptedDevices(self.clock, channels)
        self.chunks = []
        config = CaptureConfig(**{"reopen_s": 0.05, **given})
        self.watch = ScriptedWatch()
        self.capture = Capture(config, self.clock, self.chunks.append, self.devices, lambda kind: self.watch)

    @property
    def stream(self):
        return self.devices.streams[-1]

    @property
    def state(self):
        return self.capture.status().state

    @property
    def figures(self):
        return self.capture.status().figures

    def open(self):
        self.capture.step()
        return self

    def hear(self, blocks: int = 1, level: int = 1000, channels: int = 1, **how):
        for _ in range(blocks):
            self.stream.deliver(level * (-1) ** np.arange(CHUNK)[:, None] * np.ones((1, channels)), **how)
            self.capture.step()


def test_chunks_are_numbered_and_stamped_when_sound_comes():
    bench = Bench(frame_id="head").open()
    bench.hear(12)
    assert [chunk.first_sample for chunk in bench.chunks] == [number * 320 for number in range(12)]
    assert [chunk.stamp_ns - START_NS for chunk in bench.chunks] == [number * 20_000_000 for number in range(12)]
    first = bench.chunks[0]
    assert (first.rate_hz, first.channels, first.encoding, first.frame_id) == (RATE_HZ, 1, "S16LE", "head")
    assert np.array_equal(np.frombuffer(first.data, "<i2")[:4], [1000, -1000, 1000, -1000])
    assert bench.state is CaptureState.RECORDING
    assert bench.stream.asked == {"rate_hz": RATE_HZ, "channels": 1, "block": CHUNK, "latency": 0.04}


def test_first_chunks_have_good_stamps_when_the_first_callbacks_come_late():
    bench = Bench().open()
    bench.clock.advance_ns(35_000_000)
    bench.hear(2)
    bench.clock.advance_ns(-35_000_000)
    assert bench.chunks == []
    bench.hear(8)
    assert [chunk.stamp_ns - START_NS for chunk in bench.chunks] == [number * 20_000_000 for number in range(10)]


def test_stamp_is_a_chunk_ago_at_least_when_the_driver_says_less():
    bench = Bench().open()
    bench.hear(10, age_s=0.0003)
    assert bench.chunks[0].stamp_ns == START_NS


def test_chosen_channels_are_published_in_order_when_there_is_a_map():
    bench = Bench(channels=4, channel_map=(3, 1)).open()
    for _ in range(10):
        bench.stream.deliver(np.tile([10, 20, 30, 40], (CHUNK, 1)))
        bench.capture.step()
    assert np.array_equal(np.frombuffer(bench.chunks[0].data, "<i2")[:4], [40, 20, 40, 20])
    assert (bench.chunks[0].channels, bench.stream.asked["channels"]) == (2, 4)


@pytest.mark.parametrize(("own", "given", "opened"), [(6, {}, 6), (32, {}, 1), (32, {"channel_map": (2,)}, 3)])
def test_channels_of_the_device_are_opened_when_none_are_asked_for(own, given, opened):
    assert Bench(channels=own, **given).open().stream.asked["channels"] == opened


def test_own_rate_of_the_device_is_taken_when_it_refuses_another(caplog):
    bench = Bench(rate_hz=48_000).open()
    bench.hear(10)
    assert bench.chunks[0].rate_hz == RATE_HZ
    assert "it refuses 48000 Hz; it records at its own 16000 Hz" in caplog.text


def test_refusal_is_shown_when_the_device_takes_no_rate():
    bench = Bench(rate_hz=48_000)
    bench.devices.rates_hz = ()
    status = bench.open().capture.status()
    assert (status.state, status.message) == (CaptureState.WAITING, "it refuses 16000 Hz")


def test_missing_channel_is_named_when_the_map_asks_for_it():
    bench = Bench(channels=2, channel_map=(0, 4)).open()
    status = bench.capture.status()
    assert status.state is CaptureState.WAITING
    assert "channel_map names channel 4, counted from 0, of microphone 'mic' with 2 channels" in status.message


def test_gap_shows_and_is_counted_when_the_worker_is_too_slow():
    bench = Bench().open()
    for number in range(102):
        bench.stream.deliver(np.full((CHUNK, 1), number))
    for _ in range(100):
        bench.capture.step()
    bench.hear()
    assert bench.chunks[-1].first_sample == 102 * CHUNK
    assert bench.chunks[-1].stamp_ns == START_NS + 102 * 20_000_000
    assert (bench.figures["overruns"], bench.figures["lost_samples"]) == (2, 2 * CHUNK)


def test_gap_is_estimated_by_device_time_when_portaudio_lost_samples():
    bench = Bench().open()
    bench.hear(60)
    bench.clock.advance_ns(100_000_000)
    bench.hear(2, status=OVERFLOW)
    assert [chunk.first_sample for chunk in bench.chunks[-2:]] == [60 * CHUNK + 1600, 61 * CHUNK + 1600]
    assert bench.chunks[-1].stamp_ns == START_NS + 61 * 20_000_000 + 100_000_000
    assert (bench.figures["overruns"], bench.figures["lost_samples"]) == (2, 1600)


def test_device_is_taken_when_it_comes_later_and_that_is_said_once(caplog):
    caplog.set_level(logging.INFO)
    bench = Bench()
    bench.devices.fault = "no input device fits 'mic'; there are no microphones at all"
    for _ in range(3):
        bench.capture.step()
    assert (bench.state, bench.capture.status().message) == (CaptureState.WAITING, bench.devices.fault)
    bench.devices.fault = None
    bench.clock.advance_ns(4_000_000_000)
    bench.open().hear()
    assert bench.state is CaptureState.RECORDING
    assert bench.devices.refreshes == 4
    assert [record.message for record in caplog.records] == [
        "no microphone: no input device fits 'mic'; there are no microphones at all; looking for it every 0.05 s",
        "recording from microphone 'mic' (16000 Hz, 1 of 1 channels), after 4.0 s without",
    ]


def test_stream_is_opened_anew_when_it_ends(caplog):
    caplog.set_level(logging.INFO)
    bench = Bench().open()
    bench.hear(10)
    bench.stream.finish()
    bench.capture.step()
    assert (bench.state, bench.devices.closes) == (CaptureState.WAITING, 1)
    bench.open().hear(10)
    assert bench.chunks[10].first_sample == 0
    assert len({chunk.stream_id for chunk in bench.chunks}) == 2
    assert (bench.figures["losses"], bench.figures["chunks"]) == (1, 20)
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING", "INFO"]


def test_stream_is_opened_anew_when_no_sample_comes(caplog):
    bench = Bench(stall_s=1.0).open()
    bench.hear()
    bench.clock.advance_ns(900_000_000)
    bench.capture.step()
    assert bench.devices.closes == 0
    bench.clock.advance_ns(200_000_000)
    bench.capture.step()
    assert bench.devices.closes == 1
    assert "is lost: no sample came for 1 s; looking for it every" in caplog.text


def test_stream_is_opened_anew_when_its_device_vanished_under_it(caplog):
    bench = Bench().open()
    bench.hear(2)
    bench.watch.lost = "usb_mic"
    bench.hear(25)
    assert (bench.state, bench.devices.closes, bench.watch.is_closed) == (CaptureState.WAITING, 1, True)
    assert "is lost: usb_mic is gone, and the sound server has put another in its place" in caplog.text


def test_device_gets_three_seconds_when_it_has_just_been_opened():
    bench = Bench(stall_s=0.3).open()
    bench.clock.advance_ns(2_900_000_000)
    bench.capture.step()
    assert bench.devices.closes == 0
    bench.clock.advance_ns(200_000_000)
    bench.capture.step()
    assert bench.devices.closes == 1


def test_silence_is_said_once_and_cleared_when_sound_comes(caplog):
    caplog.set_level(logging.INFO)
    bench = Bench(silent_s=1.0).open()
    bench.hear(49, level=1)
    assert bench.state is CaptureState.RECORDING
    bench.hear(60, level=1)
    assert bench.state is CaptureState.SILENT
    assert "below -80 dBFS for 1 s; check its mute switch" in bench.capture.status().message
    bench.hear(level=30)
    assert bench.state is CaptureState.RECORDING
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING", "INFO"]


def test_microphone_is_not_silent_when_only_one_of_its_channels_is():
    bench = Bench(channels=2, silent_s=0.5).open()
    for _ in range(40):
        bench.stream.deliver(np.stack([np.zeros(CHUNK), 50 * (-1) ** np.arange(CHUNK)], axis=1))
        bench.capture.step()
    assert bench.state is CaptureState.RECORDING


def test_worker_goes_on_when_a_subscriber_fails():
    clock, heard = SystemClock(), threading.Event()
    devices, chunks = ScriptedDevices(ManualClock(time.monotonic_ns())), []

    def publish(chunk):
        chunks.append(chunk)
        heard.set()
        if len(chunks) == 1:
            raise RuntimeError("no room")

    opened = threading.Event()
    devices.open_stream = lambda *a, real=devices.open_stream, **k: (real(*a, **k), opened.set())[0]
    capture = Capture(CaptureConfig(reopen_s=0.05), clock, publish, devices)
    capture.start()
    for _ in range(2):
        assert opened.wait(5.0)
        opened.clear()
        for _ in range(10):
            devices.streams[-1].deliver(np.ones((CHUNK, 1)))
        assert heard.wait(5.0)
        heard.clear()
    capture.close()
    assert capture.status().state is CaptureState.CLOSED
    assert devices.closes == 2


def test_close_returns_when_the_sound_system_hangs(monkeypatch, caplog):
    monkeypatch.setattr("tml_ros.devices.capture._JOIN_S", 0.1)
    devices, inside, let_go = ScriptedDevices(ManualClock()), threading.Event(), threading.Event()
    devices.refresh = lambda: inside.set() or let_go.wait()
    capture = Capture(CaptureConfig(), SystemClock(), print, devices)
    capture.start()
    assert inside.wait(5.0)
    capture.close()
    assert "does not stop and is left behind" in caplog.text
    let_go.set()


# ------------------------------------------------------------------------------------------- a real sound server


@pytest.fixture
def server(helpers, monkeypatch):
    pulse = helpers("test/audio/pulse.py")
    if missing := pulse.missing_packages():
        pytest.skip(f"run: apt-get install {' '.join(missing)}")
    with pulse.PulseServer() as running:
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        running.add_sink("robot_room", rate_hz=48_000)
        yield running


def _wait_for(condition, what: str, timeout_s: float = 8.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"waited {timeout_s} s in vain for {what}"
        threading.Event().wait(0.02)


def test_microphone_comes_back_when_its_source_was_removed_and_another_took_its_place(server):
    server.add_sink("robot_speaker")
    chunks = []
    config = CaptureConfig(device="microphone", rate_hz=RATE_HZ, reopen_s=0.2)
    capture = Capture(config, SystemClock(), lambda chunk: chunks.append((time.time_ns(), chunk)), portaudio)
    capture.start()
    try:
        _wait_for(lambda: len(chunks) >= 60, "sound")
        before = list(chunks)
        server.remove_sink("robot_room")
        _wait_for(lambda: capture.status().state is CaptureState.WAITING, "the loss")
        server.add_sink("robot_room")
        _wait_for(lambda: chunks[-1][1].stream_id != before[0][1].stream_id, "its return")
    finally:
        capture.close()
    assert [chunk.first_sample for _, chunk in before] == [number * CHUNK for number in range(len(before))]
    stamps = np.array([chunk.stamp_ns for _, chunk in before])
    ages_ms = (np.array([received_ns for received_ns, _ in before]) - stamps) / 1e6
    assert np.median(ages_ms) == pytest.approx(30.0, abs=20.0)
    assert np.abs(np.diff(stamps)[10:] / 1e6 - 20.0).max() < 8.0
    assert capture.status().figures["losses"] == 1
