"""The sound server and the room themselves: how late they are, what the echo is, that nothing is left behind."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

RATE = 48_000
# A click from a program to the loudspeaker, and back from the monitor as from a microphone, by PortAudio's own times.
CLICKS = """
import sounddevice, time
sent, came, count = [], [], [0]
def play(block, frames, times, status):
    block[:] = 0
    count[0] += 1
    if count[0] % 30 == 20:
        block[0] = 0.9
        sent.append((times.outputBufferDacTime, time.monotonic()))
def hear(block, frames, times, status):
    for place in abs(block[:, 0]).argsort()[-1:]:
        if abs(block[place, 0]) > 0.5:
            came.append((times.inputBufferAdcTime + place / 48_000, time.monotonic()))
options = {"samplerate": 48_000, "channels": 1, "blocksize": 480, "latency": 0.02}
with sounddevice.InputStream(device="ear", callback=hear, **options):
    with sounddevice.OutputStream(device="mouth", callback=play, **options):
        time.sleep(1.5)
for (left, written), (arrived, read) in list(zip(sent, came))[1:]:
    print(arrived - left, read - written)
"""


@pytest.fixture(scope="module")
def pulse(audio):
    return audio("pulse")


def test_devices_are_seen_and_no_others_when_a_program_has_the_environment(server):
    code = "import sounddevice as s; print(*[(d['name'], d['max_input_channels'] > 0) for d in s.query_devices()])"
    command = [sys.executable, "-c", code]
    told = subprocess.run(command, env=server.environment(), capture_output=True, text=True, check=True).stdout
    assert told.strip() == "('microphone', True) ('loudspeaker', False)"


def test_click_comes_back_within_real_latencies_when_it_goes_through_both_devices(pulse):
    with pulse.PulseServer({"ear": "one.monitor", "mouth": "one"}) as server:
        server.add_sink("one")
        command = [sys.executable, "-c", CLICKS]
        told = subprocess.run(command, env=server.environment(), capture_output=True, text=True, check=True).stdout
    found = np.array([[float(word) for word in line.split()] for line in told.splitlines()])
    by_stamps, by_clock = np.median(found, axis=0)
    print(f"click: {by_clock * 1e3:.0f} ms from callback to callback, {by_stamps * 1e3:.1f} ms by PortAudio's times")
    assert len(found) >= 3
    assert 0.01 <= by_clock <= 0.08
    assert abs(by_stamps) <= 0.015


def test_echo_has_the_delay_and_the_level_of_the_room_when_something_is_played(server, pulse, audio, tmp_path):
    measure, room_module = audio("measure"), audio("room")
    server.add_sink("robot_speaker")
    server.add_sink("robot_room")
    room = room_module.Room(server.environment(), tmp_path, "robot_speaker", "robot_room")
    try:
        clip = np.random.default_rng(1).normal(0.0, 0.1, RATE // 4).astype(np.float32)
        noise = np.random.default_rng(0).normal(0.0, 0.1, RATE).astype(np.float32)
        pulse.play(noise, "robot_speaker", server)
        number = room.say(clip)
        pulse.play(noise, "robot_speaker", server)
        recording = room.end()
    finally:
        room.kill()
    length = min(len(recording.loudspeaker), len(recording.microphone))
    played, heard = recording.loudspeaker[:length], recording.microphone[:length]
    delay_s = (measure.echo_delay(played, heard, RATE // 2) + recording.shift) / RATE
    _, fit = measure.find(clip, heard, room.begun[number] + RATE // 20, RATE // 5)
    alone = slice(0, room.begun[number])
    gain_db = np.max(measure.levels(heard[alone], RATE)) - np.max(measure.levels(played[alone], RATE))
    print(
        f"echo: {delay_s * 1e3:.0f} ms after the loudspeaker, of which 40 ms are the room; {gain_db:.1f} dB; "
        f"blocks late by {recording.late_p99_ms:.0f} ms (p99), {len(recording.skipped)} left out"
    )
    assert 0.04 <= delay_s <= 0.12
    assert gain_db == pytest.approx(-10.0, abs=1.5)
    assert fit > 0.7


def test_nothing_is_left_when_a_server_is_closed(pulse):
    with pulse.PulseServer() as server:
        server.add_sink("robot_speaker")
        folder, process = server.folder, server._process.pid
        server.stop()
        server.start()
        server.add_sink("robot_speaker")
        assert server.streams() == (0, 0)
        process = server._process.pid
    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    assert not list(Path("/dev/shm").glob(f"pulse-shm-*{process}*")), time.time()
