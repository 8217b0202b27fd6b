"""Micro-turns from hand-made streams: placement, gaps, lateness, clocks."""

from collections.abc import Iterable

import numpy as np
import pytest

from tml_ros.errors import AudioFormatError
from tml_ros.records import (
    MICRO_TURN_NS,
    MICRO_TURN_SAMPLES,
    AudioChunk,
    PlaybackReport,
    PlaybackState,
    StampedImage,
    TextInput,
)
from tml_ros.windowing import ClosedWindow, MicroTurnAssembler, WindowConfig

T0 = 1_700_000_000_000_000_000
MS = 1_000_000


def ramp(count: int) -> np.ndarray:
    """[N] float32, every sample different and none zero."""
    return ((np.arange(count) % 30_000) + 1).astype(np.float32) / 32_768


def chunk(
    samples: np.ndarray, first: int = 0, *, rate: int = 16_000, stream: str = "mic", t0: int = T0, jitter_ns: int = 0
) -> AudioChunk:
    stamp = t0 + first * 1_000_000_000 // rate + jitter_ns
    return AudioChunk(stamp, stream, first, rate, 1, "F32LE", samples.astype("<f4").tobytes())


def chunks(samples: np.ndarray, size: int, **kind) -> list[AudioChunk]:
    return [chunk(samples[i : i + size], i, **kind) for i in range(0, len(samples), size)]


def image(at_ms: float) -> StampedImage:
    return StampedImage(T0 + int(at_ms * MS), "mono8", b"\0" * 4, 2, 2, 2)


def run(assembler: MicroTurnAssembler, items: Iterable, *, flush: bool = True) -> list[ClosedWindow]:
    closed = []
    for item in items:
        add = {AudioChunk: assembler.add_audio, StampedImage: assembler.add_image, TextInput: assembler.add_text}
        closed += add[type(item)](item)
    return closed + (assembler.flush() if flush else [])


def heard(closed: list[ClosedWindow]) -> np.ndarray:
    return np.concatenate([window.turn.audio for window in closed])


def assembler(**values) -> MicroTurnAssembler:
    return MicroTurnAssembler(WindowConfig(**values))


def test_windows_are_half_open_and_aligned_when_the_stream_begins():
    closed = run(assembler(), chunks(ramp(16_000), 320))
    assert [w.turn.start_ns for w in closed] == [T0 + i * MICRO_TURN_NS for i in range(5)]
    assert all(w.turn.end_ns == w.turn.start_ns + MICRO_TURN_NS for w in closed)
    assert np.array_equal(heard(closed), ramp(16_000))


def test_window_closes_only_after_the_lateness_bound_when_sound_arrives():
    a = assembler(lateness_ms=60)
    pieces = chunks(ramp(16_000), 160)
    counts = [len(a.add_audio(piece)) for piece in pieces]
    assert counts.index(1) == 25  # the chunk that ends at 260 ms


def test_gap_is_zero_filled_and_counted_when_a_chunk_is_lost():
    pieces = chunks(ramp(16_000), 320)
    del pieces[12]
    a = assembler()
    closed = run(a, pieces)
    expected = ramp(16_000)
    expected[12 * 320 : 13 * 320] = 0
    assert np.array_equal(heard(closed), expected)
    assert [w.report.missing_samples for w in closed] == [0, 320, 0, 0, 0]
    assert closed[1].turn.audio_valid == pytest.approx(0.9)
    assert a.counters["gaps"] == 1


def test_duplicates_and_overlaps_are_counted_when_chunks_repeat():
    a = assembler()
    samples = ramp(6_400)
    items = [chunk(samples[:3200]), chunk(samples[:3200]), chunk(samples[3000:6400], 3000)]
    closed = run(a, items)
    assert np.array_equal(heard(closed), samples)
    assert a.counters["duplicate_chunks"] == 1
    assert a.counters["overlap_samples"] == 200


def test_late_sound_is_dropped_and_counted_when_its_window_is_closed():
    a = assembler(lateness_ms=60)
    pieces = chunks(ramp(16_000), 320)
    late = pieces.pop(3)
    pieces.insert(30, late)
    closed = run(a, pieces)
    assert a.counters["late_samples"] == 320
    assert sum(w.report.late_messages for w in closed) == 1
    assert sum(w.report.missing_samples for w in closed) == 320


def test_stream_is_placed_anew_when_stamps_drift_beyond_the_bound():
    samples = ramp(16_000)
    items = chunks(samples[:8000], 320)
    items += [chunk(samples[i : i + 320], i, jitter_ns=50 * MS) for i in range(8000, 16_000, 320)]
    a = assembler(drift_ms=40)
    closed = run(a, items)
    assert a.counters["resyncs"] == 1
    out = heard(closed)
    assert np.array_equal(out[:8000], samples[:8000])
    assert not out[8000:8800].any()
    assert np.array_equal(out[8800 : 8800 + 8000], samples[8000:])


def test_stamp_jitter_has_no_effect_when_below_the_drift_bound():
    jitter = np.random.default_rng(1).integers(-30, 30, 50)
    items = [
        chunk(ramp(16_000)[i * 320 : i * 320 + 320], i * 320, jitter_ns=int(j) * MS * (i > 0))
        for i, j in enumerate(jitter)
    ]
    assert np.array_equal(heard(run(assembler(lateness_ms=120), items))[:16_000], ramp(16_000))


@pytest.mark.parametrize(("rate", "drift_ppm"), [(16_000, 150), (16_000, -150), (48_000, 150)])
def test_sound_stays_in_time_and_whole_when_the_clock_of_the_device_drifts(rate, drift_ppm):
    a, size, jitter = assembler(), rate // 10, np.random.default_rng(0)
    click = np.zeros(size, np.int16)
    click[0] = 20_000
    closed = []
    for number in range(6_000):  # ten minutes: 90 ms of drift, twice what places a stream anew
        data = (click if number % 100 == 0 else click * 0).tobytes()
        stamp = T0 + int(number * 100 * MS * (1 + drift_ppm * 1e-6) + jitter.uniform(-5, 5) * MS)
        closed += a.add_audio(AudioChunk(stamp, "mic", number * size, rate, 1, "S16LE", data))
    assert a.counters.get("resyncs", 0) == a.counters.get("gaps", 0) == a.counters.get("missing_samples", 0) == 0
    assert 0.7 <= a.counters["drift_samples"] / (0.09 * 16_000) <= 1.0
    sound = np.abs(heard(closed))
    start_ns = closed[0].turn.start_ns
    for number in range(300, 5_900, 100):
        due = round((T0 - start_ns) * 16e-6 + number * 1600 * (1 + drift_ppm * 1e-6))
        assert abs(int(np.argmax(sound[due - 1600 : due + 1600])) - 1600) <= 400, number  # 25 ms


def test_stream_change_is_resynchronised_when_the_device_restarts():
    samples = ramp(16_000)
    items = chunks(samples[:6400], 320)
    second = chunks(samples[:6400], 320, stream="mic2", t0=T0 + 500 * MS)
    a = assembler()
    closed = run(a, items + second)
    out = heard(closed)
    assert a.counters["stream_changes"] == 1
    assert not out[6400:8000].any()
    assert np.array_equal(out[8000:14_400], samples[:6400])


def test_sample_counter_restart_is_followed_when_the_stream_id_stays():
    samples = ramp(6400)
    again = [
        chunk(c_samples, first, t0=T0 + 500 * MS)
        for first, c_samples in ((i, samples[i : i + 320]) for i in range(0, 6400, 320))
    ]
    out = heard(run(assembler(), chunks(samples, 320) + again))
    assert np.array_equal(out[8000:14_400], samples)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_tone_keeps_pitch_level_and_time_when_resampled(rate):
    t = np.arange(rate * 2) / rate
    tone = (0.5 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)
    closed = run(assembler(), chunks(tone, rate // 50, rate=rate))
    out = heard(closed)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(len(out)) / 16_000)
    assert len(out) == 32_000
    assert np.abs(out - expected)[400:-400].max() < 2e-3
    assert sum(w.report.missing_samples for w in closed) == 0


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_no_sample_is_missing_when_a_resampled_stream_runs_live(rate):
    a = assembler()
    closed = run(a, chunks(ramp(rate * 3), rate // 100, rate=rate), flush=False)
    assert len(closed) >= 13
    assert all(w.report.missing_samples == 0 for w in closed)


def test_two_channels_are_mixed_or_chosen_when_the_microphone_is_an_array():
    stereo = np.stack([ramp(3200), np.zeros(3200, np.float32)], axis=1)
    message = AudioChunk(T0, "mic", 0, 16_000, 2, "F32LE", stereo.astype("<f4").tobytes())
    assert np.allclose(heard(run(assembler(), [message])), ramp(3200) / 2)
    assert np.array_equal(heard(run(assembler(channel=0), [message])), ramp(3200))
    with pytest.raises(AudioFormatError, match=r"window.channel is 5.*2 channels"):
        assembler(channel=5).add_audio(message)


def test_bad_chunk_is_counted_when_it_is_refused():
    a = assembler()
    with pytest.raises(AudioFormatError):
        a.add_audio(AudioChunk(T0, "mic", 0, 0, 1, "F32LE", b"\0" * 4))
    assert a.counters == {"bad_audio": 1}


def test_not_a_number_becomes_zero_and_is_counted_when_samples_are_not_finite():
    samples = ramp(3200)
    samples[5] = np.nan
    a = assembler()
    out = heard(run(a, [chunk(samples)]))
    assert out[5] == 0.0
    assert a.counters["nonfinite_samples"] == 1


def test_frames_are_spread_evenly_when_there_are_more_than_max_frames():
    items = sorted(chunks(ramp(6400), 320) + [image(33 * i) for i in range(6)], key=lambda m: m.stamp_ns)
    closed = run(assembler(max_frames=2), items)
    assert [(i.stamp_ns - T0) // MS for i in closed[0].images] == [66, 165]
    assert (closed[0].report.frames_seen, closed[0].report.frames_skipped) == (6, 4)
    assert closed[0].report.av_skew_s == pytest.approx(-0.035)


def test_late_and_repeated_images_are_counted_when_they_arrive():
    a = assembler()
    items = [*chunks(ramp(6400), 320), image(10), image(390), image(390)]
    run(a, items)
    assert a.counters["late_images"] == 1
    assert a.counters["duplicate_images"] == 1


def test_windows_go_on_without_sound_when_only_a_camera_is_there():
    closed = run(assembler(), [image(50 * i) for i in range(40)], flush=False)
    assert len(closed) >= 6
    assert all(w.turn.audio_valid == 0.0 and w.report.missing_samples == MICRO_TURN_SAMPLES for w in closed)


def test_windows_go_on_and_count_missing_sound_when_the_microphone_dies():
    items = chunks(ramp(8000), 320) + [image(50 * i) for i in range(10, 60)]
    closed = run(assembler(), items, flush=False)
    assert closed[-1].turn.end_ns >= T0 + 2_000 * MS
    assert closed[-1].report.missing_samples == MICRO_TURN_SAMPLES


def test_sound_is_not_late_when_pictures_run_ahead_of_it():
    pieces = chunks(ramp(16_000), 320)
    items = []
    for number, piece in enumerate(pieces):
        items += [image(20 * number + 400), piece]
    a = assembler()
    run(a, items)
    assert "late_samples" not in a.counters


def test_new_session_begins_when_the_clock_jumps_back():
    a = assembler()
    closed = run(a, chunks(ramp(48_000), 320) + chunks(ramp(6400), 320, t0=T0 - 5_000 * MS))
    assert [w.session for w in closed] == [0] * 15 + [1] * 2
    assert closed[15].turn.start_ns == T0 - 5_000 * MS
    assert closed[15].turn.index == 0
    assert a.counters["clock_jumps"] == 1


def test_one_picture_with_a_wild_stamp_is_dropped_when_sound_goes_on():
    pieces = chunks(ramp(16_000), 320)
    wild = StampedImage(T0 + 10**15, "mono8", b"\0" * 4, 2, 2, 2)
    a = assembler()
    closed = run(a, [*pieces[:20], wild, *pieces[20:]])
    assert {w.session for w in closed} == {0}
    assert a.counters["bad_stamps"] == 1


def test_text_goes_into_its_window_and_is_never_dropped_when_late():
    pieces = chunks(ramp(16_000), 320)
    items = [TextInput(T0 + 250 * MS, "hello"), *pieces[:40], TextInput(T0, "late"), *pieces[40:]]
    closed = run(assembler(), items)
    assert [[t.text for t in w.turn.texts] for w in closed] == [[], ["hello"], [], ["late"], []]


def test_reference_is_in_step_with_the_microphone_when_both_play():
    a = assembler()
    mic, reference = ramp(6400), ramp(6400) / 2
    closed = []
    for i in range(0, 6400, 320):
        closed += a.add_reference(chunk(reference[i : i + 320], i, stream="speaker"))
        closed += a.add_audio(chunk(mic[i : i + 320], i))
    closed += a.flush()
    assert np.array_equal(np.concatenate([w.turn.reference for w in closed]), reference)
    assert np.array_equal(heard(closed), mic)


def test_newest_playback_report_is_seen_when_several_came():
    a = assembler()
    for at_ms in (10, 150, 250):
        a.add_playback(PlaybackReport(T0 + at_ms * MS, 7, PlaybackState.PLAYING, at_ms * 16))
    closed = run(a, chunks(ramp(6400), 320))
    assert [w.turn.playback.samples_played for w in closed] == [150 * 16, 250 * 16]


def test_end_of_stream_is_padding_not_missing_when_the_last_window_is_partial():
    a = assembler()
    closed = run(a, chunks(ramp(4000), 320))
    assert [w.report.missing_samples for w in closed] == [0, 0]
    assert closed[1].turn.audio_valid == pytest.approx(0.25)
    assert a.counters["padding_samples"] == 2400
