"""Recordings whose truth is known, read by what measures the real ones."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest

RATE = 48_000


@pytest.fixture(scope="module")
def measure(audio):
    return audio("measure")


def voice(*spans: tuple[float, float], total_s: float = 10.0, level_db: float = -20.0) -> np.ndarray:
    """Noise at a level within spans of seconds, and a hiss of -80 dBFS."""
    rng = np.random.default_rng(0)
    sound = rng.normal(0.0, 1e-4, round(total_s * RATE))
    for begin, end in spans:
        first, last = round(begin * RATE), round(end * RATE)
        sound[first:last] += rng.normal(0.0, 10.0 ** (level_db / 20.0), last - first)
    return sound


def test_latency_is_from_onset_to_the_end_of_speech_when_the_robot_stops(measure):
    sound = voice((0.5, 3.0), (4.5, 6.0))
    spoken = measure.segments(sound, RATE, measure.threshold_dbfs(sound, RATE))
    assert measure.stop_latency(spoken, 2.6) == pytest.approx(0.4, abs=0.011)
    assert np.isnan(measure.stop_latency(spoken, 4.0))


def test_robot_has_stopped_when_it_was_told_to_and_answers_at_once(measure):
    sound = voice((0.5, 3.0), (3.3, 4.0))
    spoken, pieces = measure.segments(sound, RATE), measure.segments(sound, RATE, join_s=measure.TOLD_SILENCE_S)
    assert measure.stop_latency(spoken, 2.6, pieces, [2.95]) == pytest.approx(0.4, abs=0.011)
    assert measure.stop_latency(spoken, 2.6, pieces, [3.6]) == pytest.approx(1.4, abs=0.011)
    assert measure.stop_latency(spoken, 2.6, pieces, [2.5]) == pytest.approx(1.4, abs=0.011)


@pytest.mark.parametrize(("gap_s", "expected_s"), [(0.3, 2.4), (0.45, 2.4), (0.6, 0.4)])
def test_gap_between_words_is_no_stop_when_it_is_short(measure, gap_s, expected_s):
    spoken = measure.segments(voice((0.5, 3.0), (3.0 + gap_s, 5.0)), RATE)
    assert measure.stop_latency(spoken, 2.6) == pytest.approx(expected_s, abs=0.011)


def test_ducked_voice_counts_as_speech_when_it_is_20_db_down(measure):
    sound = voice((0.5, 3.0)) + voice((3.0, 5.0), level_db=-40.0)
    assert measure.stop_latency(measure.segments(sound, RATE, measure.threshold_dbfs(sound, RATE)), 2.6) > 2.3


def test_int16_reads_like_float_when_it_is_the_same_sound(measure):
    sound = voice((0.5, 3.0))
    found = measure.levels(np.round(sound * 32_768.0).astype(np.int16), RATE)
    assert np.allclose(found[50:300], measure.levels(sound, RATE)[50:300], atol=0.01)


def test_clip_is_found_to_the_sample_when_an_echo_and_noise_lie_over_it(measure):
    clip = np.random.default_rng(1).normal(0.0, 0.05, 30_000)
    heard = voice((0.0, 10.0), level_db=-30.0)
    heard[100_123:130_123] += clip
    place, fit = measure.find(clip, heard, 98_000, 9_600)
    assert place == 100_123
    assert fit > 0.6


def test_delay_of_the_echo_is_found_when_the_room_answers(measure, audio):
    room = audio("room")
    played = voice((0.0, 3.0), total_s=3.0)
    filtered = room.Filter(room.room_response())
    heard = np.concatenate([filtered(block) for block in played.reshape(-1, room.BLOCK)])
    assert measure.echo_delay(played, heard, 24_000) == round(0.04 * RATE)
    assert 10.0 * np.log10(np.mean(heard**2) / np.mean(played**2)) == pytest.approx(-10.0, abs=0.5)


def test_lost_samples_are_counted_when_a_copy_lacks_some(measure):
    original = np.random.default_rng(2).normal(0.0, 0.01, 160_000)
    copy = np.concatenate([np.zeros(50), original[:70_000], original[70_007:]])
    found = measure.slips(original, copy, 40, 8_000, 200)
    assert found.lags[0] == pytest.approx(50, abs=0.1) and found.lost == 7
    whole = measure.slips(original, np.concatenate([np.zeros(50), original]), 40, 8_000, 200)
    assert whole.lost == 0 and whole.worst > 0.99


def test_growth_is_told_from_noise_when_there_is_some(measure):
    times = np.linspace(0.0, 60.0, 600)
    jitter = np.random.default_rng(3).normal(0.0, 0.002, 600)
    rate, error = measure.slope(times, 0.03 + jitter)
    assert abs(rate) < 4.0 * error
    rate, error = measure.slope(times, 0.03 + jitter + 1e-4 * times)
    assert rate == pytest.approx(1e-4, abs=4.0 * error) and rate > 10.0 * error


def test_robot_that_never_stops_spoils_the_percentile_when_it_is_one_of_eight(measure):
    assert measure.median_and_p95([0.3] * 8) == (0.3, 0.3)
    median, p95 = measure.median_and_p95([0.3] * 7 + [float("nan")])
    assert median == 0.3 and p95 == float("inf")


def test_standstill_is_seen_when_nobody_watched_and_not_when_a_core_is_busy(audio):
    standstill = audio("standstill")
    allowed = f"import os; os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param({standstill.PRIORITY}))"
    may_watch = subprocess.run([sys.executable, "-c", allowed], check=False, capture_output=True).returncode == 0
    with standstill.Watch() as watch:
        while may_watch and not watch.spans():  # until they are at work, and once seen
            watch.send(signal.SIGSTOP)
            time.sleep(0.1)
            watch.send(signal.SIGCONT)
            time.sleep(0.1)
        assert not may_watch or any(end - begin == pytest.approx(0.1, abs=0.05) for begin, end in watch.spans())
        assert 0.0 < watch.taken_away() < 1.0 or not may_watch
        seen, busy_until = len(watch.spans()), time.time() + 1.0
        while time.time() < busy_until:
            pass
        assert sum(end - begin for begin, end in watch.spans()[seen:]) < 0.2
        assert bool(seen) == may_watch


def test_bids_and_others_are_the_same_and_begin_at_once_when_they_are_made_again(audio):
    clips = audio("clips")
    made = [*clips.bids(4, None), *clips.others(8)]
    again = [*clips.bids(4, None), *clips.others(8)]
    for one, other in zip(made, again, strict=True):
        assert np.array_equal(one.sound, other.sound)
        if one.kind != "echo":
            size = RATE // 100
            power = np.mean(one.sound[: len(one.sound) // size * size].reshape(-1, size) ** 2, axis=1)
            assert power[0] > power.max() * 10.0**-2.6
