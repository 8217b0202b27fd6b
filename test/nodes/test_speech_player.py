"""The loudspeaker node over real DDS on a private PulseAudio, measured at the loudspeaker's monitor."""

import array
import signal
import threading
import time

import numpy as np
import pytest

RATE = 16_000
MONITOR_HZ = 48_000
TRIALS = 5


@pytest.fixture
def pulse(helpers):
    module = helpers("test/audio/pulse.py")
    if missing := module.missing_packages():
        pytest.skip(f"run: apt-get install {' '.join(missing)}")
    return module


@pytest.fixture
def server(pulse, graph):
    """A sound server that the nodes of the graph see, without a loudspeaker yet."""
    with pulse.PulseServer() as running:
        own = running.environment()
        graph.environment |= {name: own[name] for name in own if name.startswith(("PULSE_", "ALSA_", "XDG_RUNTIME"))}
        yield running


class Monitor:
    """Records what a loudspeaker plays, and tells when."""

    def __init__(self, pulse, server):
        self._stream = pulse.PulseStream(
            "robot_speaker.monitor", MONITOR_HZ, latency_s=0.01, server=server.environment()["PULSE_SERVER"]
        )
        self._blocks, self._arrivals_ns = [], []
        self._is_over = False
        self._thread = threading.Thread(target=self._record)
        self._thread.start()

    def _record(self):
        while not self._is_over:
            self._blocks.append(self._stream.read(MONITOR_HZ // 200))
            self._arrivals_ns.append(time.time_ns())

    def stop(self):
        """Return the sound and the time of its first sample; nothing arrives early, so the earliest arrival counts."""
        self._is_over = True
        self._thread.join()
        self._stream.close()
        ends_ns = np.cumsum([len(block) for block in self._blocks]) * (10**9 // MONITOR_HZ)
        ends_ns = ends_ns * (1e9 / MONITOR_HZ / (10**9 // MONITOR_HZ))
        return np.concatenate(self._blocks), int(np.min(np.array(self._arrivals_ns) - ends_ns))


def nanoseconds(stamp):
    return stamp.sec * 10**9 + stamp.nanosec


class Robot:
    """The interaction node's side of the player."""

    def __init__(self, graph, *parameters):
        from diagnostic_msgs.msg import DiagnosticArray

        from tml_interfaces.msg import AudioChunk, PlaybackStatus, SpeechChunk, SpeechControl

        self.graph, self.piece_type, self.control_type = graph, SpeechChunk, SpeechControl
        self.reference = graph.collect(AudioChunk, "audio/reference")
        self.reports = graph.collect(PlaybackStatus, "playback")
        self.health = graph.collect(DiagnosticArray, "/diagnostics")
        self._speech = graph.client.create_publisher(SpeechChunk, "speech", 50)
        self._control = graph.client.create_publisher(SpeechControl, "speech/control", 50)
        given = [word for parameter in ("device:=loudspeaker", *parameters) for word in ("-p", parameter)]
        self.process = graph.start("-m", "tml_ros.nodes.speech_player", "--ros-args", "-r", "__ns:=/tml", *given)
        graph.wait(lambda: self._speech.get_subscription_count() and self._control.get_subscription_count(), "a player")
        assert self.process.poll() is None, graph.log_text()

    def say(self, utterance_id, seq, sound, *, last=False, rate_hz=RATE):
        message = self.piece_type(session_id="s", utterance_id=utterance_id, seq=seq, priority=128, interruptible=True)
        message.last = last
        message.audio.encoding, message.audio.sample_rate, message.audio.channels = "S16LE", rate_hz, 1
        message.audio.data = array.array("B", (sound * 32_767).astype("<i2").tobytes())
        self._speech.publish(message)
        return time.time_ns()

    def flush(self):
        self._control.publish(self.control_type(command=self.control_type.FLUSH))
        return time.time_ns()

    def level(self):
        return self.health[-1].status[0].level if self.health else b""

    def figures(self):
        return {value.key: value.value for value in self.health[-1].status[0].values}

    def last_report(self, utterance_id):
        return next((r for r in reversed(self.reports) if r.utterance_id == utterance_id), None)

    def ended(self, utterance_id):
        report = self.last_report(utterance_id)
        return report is not None and report.state in (report.FLUSHED, report.FINISHED)


def hum(samples, first=0, pitch_hz=300):
    """Loud from the first sample to the last, and never the same again."""
    t = (first + np.arange(samples)) / RATE
    return 0.3 * np.cos(2 * np.pi * (pitch_hz * t + 400 * t**2)).astype(np.float32)


def bursts(sound):
    """Return first and last loud sample of everything between 50 ms of silence."""
    loud = np.flatnonzero(np.abs(sound) > 0.01)
    cuts = np.flatnonzero(np.diff(loud) > MONITOR_HZ // 20)
    return list(zip(np.append(loud[0], loud[cuts + 1]), np.append(loud[cuts], loud[-1]), strict=True))


def place(sound, part):
    """Return where a part of a sound is in it."""
    size = len(sound) + len(part)
    return int(np.argmax(np.fft.irfft(np.fft.rfft(sound, size) * np.conj(np.fft.rfft(part, size)), size)[: len(sound)]))


def assert_reference_fits(reference, sound, starts_ns):
    """Compare the first burst: same sound, and the stamps say when it was heard."""
    import soxr

    first = reference[0]
    samples = np.zeros(reference[-1].first_sample - first.first_sample + RATE)
    for chunk in reference:
        at = chunk.first_sample - first.first_sample
        samples[at : at + len(chunk.data) // 2] = np.frombuffer(bytes(chunk.data), "<i2") / 32_768
    told = soxr.resample(samples, RATE, MONITOR_HZ)
    begin, end = bursts(sound)[0]
    heard = sound[begin : end + 1]
    at = place(told, heard)
    assert np.corrcoef(told[at : at + len(heard)], heard)[0, 1] > 0.99
    chunk = next(one for one in reversed(reference) if one.first_sample - first.first_sample <= at / 3)
    stamp_ns = nanoseconds(chunk.header.stamp) + (at / 3 - (chunk.first_sample - first.first_sample)) / RATE * 1e9
    late_ms = (stamp_ns - starts_ns - begin / MONITOR_HZ * 1e9) / 1e6
    assert -5.0 < late_ms < 15.0  # a null sink's monitor gives sound up to its block of 10 ms before it would be heard


def test_speech_starts_and_stops_at_once_and_is_told_as_it_was_heard(graph, server, pulse):
    server.add_sink("robot_speaker")
    robot = Robot(graph)
    monitor = Monitor(pulse, server)
    said_ns, flushed_ns = [], []
    try:
        graph.wait(lambda: len(robot.reference) > 20, "the reference")
        for trial in range(1, TRIALS + 1):
            said_ns.append(robot.say(trial, 0, hum(3_200, pitch_hz=200 + 100 * trial)))
            graph.spin(0.1)
            robot.say(trial, 1, hum(3_200, 3_200, 200 + 100 * trial))
            graph.spin(0.103)
            flushed_ns.append(robot.flush())
            graph.wait(lambda trial=trial: robot.ended(trial), "the end")
            graph.spin(0.05)
        robot.say(99, 0, hum(1_600), last=True)
        robot.say(100, 0, hum(1_600), last=True, rate_hz=8_000)
        graph.wait(lambda: robot.ended(99), "the last utterance")
    finally:
        sound, starts_ns = monitor.stop()
    heard = bursts(sound)
    assert len(heard) == TRIALS + 1
    begins, ends = (starts_ns + np.array(column) / MONITOR_HZ * 1e9 for column in zip(*heard, strict=True))
    starts_ms, stops_ms = (begins[:TRIALS] - said_ns) / 1e6, (ends[:TRIALS] - flushed_ns) / 1e6
    print(f"start {np.round(starts_ms, 1)} ms, stop {np.round(stops_ms, 1)} ms")
    assert np.median(starts_ms) <= 60.0
    assert np.median(stops_ms) <= 50.0
    for trial, (begin, end) in enumerate(heard[:TRIALS], 1):
        assert robot.last_report(trial).state == robot.last_report(trial).FLUSHED
        assert robot.last_report(trial).samples_played == pytest.approx((end - begin) / 3, abs=0.01 * RATE)
    finished = robot.last_report(99)
    assert (finished.state, finished.samples_played) == (finished.FINISHED, 1_600)
    assert nanoseconds(finished.header.stamp) == pytest.approx(ends[-1], abs=15e6)
    assert_reference_fits(robot.reference, sound, starts_ns)
    graph.wait(lambda: robot.figures().get("refused_messages") == "1", "the refusal")
    assert "speech has 8000 Hz, expected 16000 Hz" in graph.log_text()
    assert graph.stop(robot.process, signal.SIGTERM) == 0


def test_loudspeaker_is_waited_for_when_it_comes_and_goes(graph, server):
    robot = Robot(graph, "reopen_s:=0.2", "mix.stale_s:=0.5")
    graph.wait(lambda: robot.level() == b"\x02", "an absent loudspeaker to be an error")
    robot.say(1, 0, hum(1_600), last=True)
    graph.wait(lambda: robot.ended(1), "unsaid words to be told")
    assert (robot.last_report(1).state, robot.last_report(1).samples_played) == (robot.last_report(1).FLUSHED, 0)
    for sink in ("robot_room", "robot_speaker"):  # PulseAudio moves a stream to a loudspeaker that is left
        server.add_sink(sink)
    graph.wait(lambda: robot.level() == b"\x00", "the loudspeaker")
    robot.say(2, 0, hum(5 * RATE), last=True)
    graph.wait(lambda: robot.last_report(2) is not None and robot.last_report(2).samples_played > 1_000, "sound")
    server.remove_sink("robot_speaker")
    graph.wait(lambda: robot.ended(2), "the cut sentence to be told")
    assert robot.last_report(2).state == robot.last_report(2).FLUSHED
    assert 1_000 < robot.last_report(2).samples_played < 2 * RATE
    chunks = len(robot.reference)
    server.add_sink("robot_speaker")
    graph.wait(lambda: len(robot.reference) > chunks + 10, "the loudspeaker again")
    robot.say(3, 0, hum(1_600), last=True)
    graph.wait(lambda: robot.ended(3), "the next utterance")
    assert robot.last_report(3).samples_played == 1_600
    assert len({chunk.stream_id for chunk in robot.reference}) == 2
    assert robot.process.poll() is None
    assert graph.log_text().count("is lost") == 1
