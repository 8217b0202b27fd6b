"""Counting samples by stamps: jitter, stalls, losses, drift."""

import random
from itertools import pairwise

import pytest

from tml_ros.media.sample_clock import ARRIVAL, STAMPED, SampleClock

RATE = 16_000
MS = 1_000_000


def run(stamps_ns, frames=320, quality=STAMPED, clock=None):
    clock = clock or SampleClock()
    return [clock.place(stamp, frames, RATE, 1, quality) for stamp in stamps_ns]


def gaps(places, frames=320):
    """How many samples are left out before each message."""
    return [after.first_sample - before.first_sample - frames for before, after in pairwise(places)]


@pytest.mark.parametrize("quality", [STAMPED, ARRIVAL])
def test_samples_are_contiguous_and_stamps_smooth_when_stamps_jitter(quality):
    rng = random.Random(1)
    places = run([n * 20 * MS + int(rng.expovariate(1 / 6) * MS) for n in range(1500)], quality=quality)
    assert set(gaps(places)) == {0}
    errors = [place.stamp_ns - n * 20 * MS for n, place in enumerate(places)]
    assert all(abs(after - before) <= 50_000 for before, after in pairwise(errors))
    assert abs(errors[-1]) < 3 * MS


@pytest.mark.parametrize("frames", [160, 320, 512, 1024])
@pytest.mark.parametrize("lost", [1, 3])
def test_gap_has_the_length_of_what_was_lost_when_messages_are_lost(frames, lost):
    rng = random.Random(2)
    stamps = [n * frames * 10**9 // RATE + rng.randrange(2 * MS) for n in range(200)]
    places = run(stamps[:50] + stamps[50 + lost :], frames)
    found = [(number, gap) for number, gap in enumerate(gaps(places, frames)) if gap]
    assert [gap for _, gap in found] == [lost * frames]
    assert (found[0][0] - 49) * frames / RATE <= 0.3 + 2 * frames / RATE


@pytest.mark.parametrize(("quality", "stall_ms"), [(STAMPED, 250), (ARRIVAL, 800)])
def test_nothing_is_missing_when_a_stall_is_caught_up(quality, stall_ms):
    stamps = [n * 20 * MS for n in range(400)]
    stamps = [max(stamp, (4_000 + stall_ms) * MS) if stamp >= 4_000 * MS else stamp for stamp in stamps]
    assert set(gaps(run(stamps, quality=quality))) == {0}


@pytest.mark.parametrize("ppm", [-150, 150])
@pytest.mark.parametrize("quality", [STAMPED, ARRIVAL])
def test_stamps_follow_without_gaps_when_the_clocks_drift(quality, ppm):
    rng = random.Random(3)
    true = [n * 32 * MS * (1_000_000 + ppm) // 1_000_000 for n in range(20_000)]
    places = run([stamp + rng.randrange(5 * MS) for stamp in true], 512, quality)
    assert set(gaps(places, 512)) == {0}
    assert max(abs(place.stamp_ns - stamp) for place, stamp in zip(places, true, strict=True)) < 8 * MS


def test_loss_shows_as_one_gap_when_arrays_without_stamps_are_lost_for_long():
    rng = random.Random(4)
    arrivals = [n * 20 * MS + rng.randrange(8 * MS) for n in range(600)]
    places = run(arrivals[:200] + arrivals[230:], quality=ARRIVAL)
    (gap,) = [gap for gap in gaps(places) if gap]
    assert gap == pytest.approx(30 * 320, abs=8 * 16)


def test_samples_stay_whole_when_arrays_without_stamps_come_all_at_once():
    places = run([1_000 * MS + n for n in range(150)], quality=ARRIVAL)
    assert set(gaps(places)) == {0}
    assert {place.stream for place in places} == {1}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param((10_000 * MS, RATE, 1), id="pause"),
        pytest.param((-10_000 * MS, RATE, 1), id="clock jump"),
        pytest.param((1_000 * MS, 48_000, 1), id="rate"),
        pytest.param((1_000 * MS, RATE, 2), id="channels"),
    ],
)
def test_new_stream_begins_when_the_sound_is_another(change):
    clock = SampleClock()
    run([n * 20 * MS for n in range(50)], clock=clock)
    stamp_ns, rate_hz, channels = change
    place = clock.place(stamp_ns, 320, rate_hz, channels, STAMPED)
    assert (place.stream, place.first_sample, place.stamp_ns) == (2, 0, stamp_ns)


def test_stamps_come_back_when_a_gap_was_seen_where_there_was_none():
    late = [n * 20 * MS + (60 * MS if 100 <= n < 130 else 0) for n in range(300)]
    places = run(late)
    assert abs(places[-1].stamp_ns - late[-1]) < 45 * MS
