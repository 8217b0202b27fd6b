"""The loudspeaker on a scripted sound system and a manual clock: reference, reports, faults; and its resampler."""

from types import SimpleNamespace

import numpy as np
import pytest
import soxr

from tml_ros.clock import ManualClock
from tml_ros.config import declarations
from tml_ros.devices.mixer import MixerConfig
from tml_ros.devices.playback import LoudspeakerState, Playback, PlaybackConfig
from tml_ros.devices.portaudio import Device
from tml_ros.devices.resampler import Resampler
from tml_ros.errors import DeviceError
from tml_ros.records import PlaybackState, SpeechCommand, SpeechControl, SpeechKind, SpeechPiece

START_NS = 1_700_000_000_000_000_000
MS = 1_000_000
LATENCY_S = 0.03
IDLE, PLAYING, PAUSED, FLUSHED, FINISHED = PlaybackState


class ScriptedStream:
    """A device that asks for a block whenever the test says so."""

    def __init__(self, clock, callback, finished, options):
        self.clock, self.callback, self.finished = clock, callback, finished
        self.samplerate, self.channels, self.block = options["rate_hz"], options["channels"], options["block"]
        self.latency = options["latency"]
        self.active, self.closed = True, False
        self.played, self.starts_ns = [], 0
        for _ in range(3):
            self.ask(0.0)  # PortAudio fills the device's buffer before it starts it

    def ask(self, delay_s, is_dry=False):
        buffer = bytearray(self.block * self.channels * 2)
        now_s = self.clock.now_ns() / 1e9
        times = SimpleNamespace(currentTime=now_s, outputBufferDacTime=now_s + delay_s)
        self.callback(memoryview(buffer), self.block, times, SimpleNamespace(output_underflow=is_dry))
        self.starts_ns = self.starts_ns or round((now_s + delay_s) * 1e9) * (delay_s > 0)  # priming is not heard
        if not self.starts_ns:
            return
        self.played.append(np.frombuffer(bytes(buffer), np.int16).reshape(-1, self.channels))

    def close(self):
        self.active, self.closed = False, True


class ScriptedDevices:
    """A sound system with one loudspeaker that comes, goes and refuses."""

    def __init__(self, clock):
        self.clock = clock
        self.device = Device(0, "loudspeaker", 2, 48_000, "ALSA")
        self.rates = (16_000, 44_100, 48_000)
        self.is_there, self.is_busy = True, False
        self.streams = []

    def refresh(self):
        return True

    def find_device(self, wanted, kind):
        if not self.is_there:
            raise DeviceError(f"no {kind} device fits {wanted!r}; there is none")
        return self.device

    def open_stream(self, kind, device, callback, finished, **options):
        if self.is_busy or options["rate_hz"] not in self.rates:
            raise DeviceError(f"{kind} device {device.name!r} refuses {options['rate_hz']} Hz")
        self.streams.append(ScriptedStream(self.clock, callback, finished, options))
        return self.streams[-1]

    def close_stream(self, stream, timeout_s):
        stream.close()
        return True


class ScriptedWatch:
    """A sound server that says what the test wants it to."""

    lost, is_closed = "", False

    def vanished(self):
        return self.lost

    def close(self):
        self.is_closed = True


class Room:
    """A loudspeaker, what it was told to play, and what it told."""

    def __init__(self, **config):
        self.clock = ManualClock(START_NS)
        self.devices = ScriptedDevices(self.clock)
        self.reference, self.reports = [], []
        self.watch = ScriptedWatch()
        self.playback = Playback(PlaybackConfig(**config), self.clock, self, self.devices, lambda kind: self.watch)

    def on_reference(self, chunk):
        self.reference.append(chunk)

    def on_report(self, report):
        self.reports.append((self.clock.now_ns(), report))

    def run(self, milliseconds):
        """Let time pass in steps of 10 ms; the device asks for a block in each while it works."""
        for _ in range(milliseconds // 10):
            self.clock.advance_ns(10 * MS)
            stream = self.devices.streams[-1] if self.devices.streams else None
            if stream is not None and stream.active and self.devices.is_there:
                stream.ask(LATENCY_S)
            self.playback.step()

    def unplug(self):
        self.devices.is_there = False
        self.devices.streams[-1].active = False
        self.devices.streams[-1].finished()

    def heard(self):
        return np.concatenate([np.frombuffer(chunk.data, "<i2") for chunk in self.reference])

    def told(self, utterance_id):
        return [report for _, report in self.reports if report.utterance_id == utterance_id]


@pytest.fixture
def playing(monkeypatch):
    """Return a function that makes a room whose loudspeaker works. Without a device the worker sleeps in its step."""

    def make(**config):
        room = Room(**config)
        monkeypatch.setattr(room.playback._stopped, "wait", lambda timeout=None: False)
        room.run(400)
        return room

    return make


def sine(samples=3_200):
    return (0.3 * np.sin(2 * np.pi * 440 * np.arange(samples) / 16_000)).astype(np.float32)


def piece(utterance_id=1, seq=0, last=True, kind=SpeechKind.REPLY, samples=3_200):
    return SpeechPiece(0, "s", 0, utterance_id, seq, kind, "", sine(samples), last=last)


def test_reference_runs_without_a_gap_when_nothing_is_said(playing):
    room = playing()
    chunks = room.reference
    assert len(chunks) >= 15
    assert not room.heard().any()
    assert {(c.rate_hz, c.channels, c.encoding, c.stream_id, c.frame_id) for c in chunks} == {
        (16_000, 1, "S16LE", chunks[0].stream_id, "loudspeaker")
    }
    assert [c.first_sample for c in chunks] == [160 * n for n in range(len(chunks))]
    assert np.diff([chunk.stamp_ns for chunk in chunks]) == pytest.approx(10 * MS, abs=1_000)  # as floats of seconds


@pytest.mark.parametrize("rate_hz", [16_000, 48_000, 44_100])
def test_reference_is_what_the_device_gets_and_is_stamped_when_that_is_heard(playing, rate_hz):
    room = playing(rate_hz=rate_hz)
    room.playback.add(piece())
    room.run(400)
    stream = room.devices.streams[0]
    assert all((block == block[:, :1]).all() for block in stream.played)
    played = np.concatenate(stream.played)[:, 0] / 32_767
    heard = room.heard() / 32_767
    at = round((room.reference[0].stamp_ns - stream.starts_ns) / 1e9 * rate_hz)
    exact = soxr.resample(heard, 16_000, rate_hz)[: len(played) - at - rate_hz // 100]
    assert np.abs(exact[: len(exact) // 2]).max() > 0.2
    assert np.abs(played[at : at + len(exact)] - exact).max() < 0.01


def test_reference_is_told_ahead_of_its_sound(playing):
    room = playing()
    assert room.reference[-1].stamp_ns - room.clock.now_ns() == pytest.approx(LATENCY_S * 1e9, abs=2 * MS)


def test_reports_come_with_every_change_and_ten_times_a_second(playing):
    room = playing()
    room.playback.add(piece(samples=8_000))
    room.run(700)
    reports = room.told(1)
    assert [(r.state, r.samples_played) for r in reports] == [
        (PLAYING, 0),
        *((PLAYING, n * 1_600) for n in range(1, 5)),
        (FINISHED, 8_000),
    ]
    starts = reports[0].stamp_ns
    assert all(r.stamp_ns - starts == pytest.approx(r.samples_played * 62_500, abs=MS) for r in reports)


def test_nothing_is_told_before_it_is_heard(playing):
    room = playing()
    room.playback.add(piece())
    room.run(500)
    assert all(0 <= told_ns - report.stamp_ns <= 10 * MS for told_ns, report in room.reports)


def test_flush_is_told_with_what_was_heard(playing):
    room = playing()
    room.playback.add(piece(samples=8_000))
    room.run(100)
    room.playback.control(SpeechControl(0, 0, SpeechCommand.FLUSH))
    room.run(100)
    assert [(r.state, r.samples_played) for r in room.told(1)][-1] == (FLUSHED, 1_728)


def test_rest_is_said_when_the_device_comes_back_within_a_second(playing):
    room = playing(reopen_s=0.1)
    room.playback.add(piece(samples=8_000))
    room.run(200)
    room.unplug()
    room.run(300)
    silent = len(room.reference)
    assert room.playback.status().state is LoudspeakerState.WAITING
    room.run(100)
    assert len(room.reference) == silent
    room.devices.is_there = True
    room.run(600)
    assert room.playback.status().state is LoudspeakerState.PLAYING
    assert room.told(1)[-1].state is FINISHED
    lost = room.playback.status().figures["unplayed_samples"]
    assert 0 < lost <= 640
    assert room.told(1)[-1].samples_played == 8_000 - lost
    assert len({chunk.stream_id for chunk in room.reference}) == 2


def test_speech_is_dropped_and_told_when_the_device_stays_away(playing, caplog):
    room = playing(reopen_s=0.1, mix=MixerConfig(stale_s=1.0, stale_alert_s=5.0))
    room.playback.add(piece(samples=8_000))
    room.run(200)
    room.unplug()
    room.playback.add(piece(2))
    room.playback.add(piece(3, kind=SpeechKind.ALERT))
    room.run(2_000)
    assert [(r.state, r.samples_played) for r in room.told(2)] == [(FLUSHED, 0)]
    assert room.told(1)[-1].state is FLUSHED
    assert room.told(1)[-1].samples_played <= 3_200
    room.devices.is_there = True
    room.run(500)
    assert room.told(3)[-1].state is FINISHED
    assert room.playback.status().figures["stale_utterances"] == 2
    assert [line.split(":")[-1] for line in caplog.messages] == [" it is gone; looking for it every 0.1 s"]


@pytest.mark.parametrize("fault", ["is_there", "is_busy"])
def test_device_is_taken_when_it_comes_at_last(playing, caplog, fault):
    room = Room(reopen_s=0.1)
    setattr(room.devices, fault, fault == "is_busy")
    room.playback._stopped.wait = lambda timeout=None: False
    room.run(1_000)
    assert room.playback.status().state is LoudspeakerState.WAITING
    assert "no loudspeaker" in caplog.text
    assert len(caplog.records) == 1
    setattr(room.devices, fault, fault != "is_busy")
    room.run(300)
    assert room.playback.status().state is LoudspeakerState.PLAYING


def test_device_plays_at_its_own_rate_when_it_refuses_the_wanted_one(playing, caplog):
    room = playing(rate_hz=12_345)
    assert room.devices.streams[0].samplerate == 48_000
    assert "refuses 12345 Hz; it plays at its own 48000 Hz" in caplog.text


def test_device_is_opened_again_when_it_asks_for_nothing(playing):
    room = playing(stall_s=0.5)
    room.devices.streams[0].ask = lambda delay_s: None
    room.run(800)
    assert len(room.devices.streams) == 2
    assert room.playback.status().figures["losses"] == 1


def test_device_is_given_up_when_the_sound_server_moved_the_stream(playing, caplog):
    room = playing(reopen_s=0.1)
    room.watch.lost = "usb_speaker"
    room.run(300)
    assert room.devices.streams[0].closed
    assert room.watch.is_closed
    assert "usb_speaker is gone" in caplog.text


def test_reference_leaves_a_gap_when_the_device_stood_still(playing):
    room = playing()
    room.clock.advance_ns(200 * MS)
    room.run(200)
    first, *_, last = room.reference
    assert last.first_sample - first.first_sample == pytest.approx((last.stamp_ns - first.stamp_ns) / 62_500, abs=2)
    assert room.playback.status().figures["lost_samples"] == pytest.approx(0.2 * 48_000, abs=10)


def run_dry(room, later_ms, told_s=LATENCY_S):
    """Let the computer stand still for 60 ms; the device fills up, and from ``later_ms`` on asks evenly again."""
    stream = room.devices.streams[-1]
    room.clock.advance_ns(60 * MS)
    for delay_s in (0.0, 0.01, 0.02):
        stream.ask(delay_s, is_dry=delay_s == 0.0)
        room.playback.step()
    room.clock.advance_ns((later_ms - 10) * MS)
    for _ in range(20):
        room.clock.advance_ns(10 * MS)
        stream.ask(told_s)
        room.playback.step()


def test_whole_gap_is_counted_when_the_device_tells_a_part_of_it_once_it_is_full(playing):
    # As PulseAudio does: dry at 40 ms by the stamps, it says that it plays at 60, and plays at 67.
    room = playing()
    run_dry(room, later_ms=7)
    assert room.playback.status().figures["lost_samples"] == pytest.approx(0.027 * 48_000, abs=2)
    before, after = room.reference[0], room.reference[-1]
    assert after.stamp_ns - before.stamp_ns == pytest.approx(
        (after.first_sample - before.first_sample) * 62_500, abs=MS
    )


def test_gap_is_no_longer_when_a_full_device_tells_more_and_asks_in_time(playing):
    room = playing()
    run_dry(room, later_ms=0, told_s=LATENCY_S + 0.007)
    assert room.playback.status().figures["lost_samples"] == pytest.approx(0.02 * 48_000, abs=2)


def test_player_is_closed_when_it_has_no_device():
    room = Room(reopen_s=0.05)
    room.devices.is_there = False
    room.playback.start()
    room.playback.close()
    assert not room.playback._thread.is_alive()
    assert room.playback.status().state is LoudspeakerState.CLOSED


def test_every_parameter_says_why():
    assert all(len(one.description) > 20 for one in declarations(PlaybackConfig).values())


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 32_000, 44_100, 48_000, 96_000])
def test_resampler_agrees_with_soxr_whatever_the_blocks(rate_hz):
    sound = np.random.default_rng(3).standard_normal(8_000).astype(np.float32)
    sound = soxr.resample(soxr.resample(sound, 16_000, 6_000), 6_000, 16_000).astype(np.float32)  # below 3 kHz
    resampler = Resampler(16_000, rate_hz)
    blocks, taken, rng = [], 0, np.random.default_rng(4)
    while taken + 400 < len(sound):
        count = int(rng.integers(1, rate_hz // 50))
        needed = resampler.needed(count)
        blocks.append(resampler.process(sound[taken : taken + needed], count))
        taken += needed
    found = np.concatenate(blocks)
    delay = resampler.delay * rate_hz / 16_000
    times = (np.arange(len(found)) - delay) / rate_hz * 96_000
    expected = np.interp(times, np.arange(6 * len(sound)), soxr.resample(sound, 16_000, 96_000))
    assert np.abs(found - expected)[rate_hz // 50 :].max() < 0.03 * np.abs(expected).max()
