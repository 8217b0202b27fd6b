"""Clips: where the voice is, and that they are the same every time."""

import numpy as np
import pytest

from tml_ros.errors import ConfigError
from tml_ros.evaluation.clips import VOICES, pause_clips, recorded_clips, recorded_pauses, sound_span, turn_clips

RATE = 16_000


def loudness(audio):
    return float(np.abs(audio).max())


def test_turn_ends_at_its_last_loud_sample():
    (clip,) = turn_clips("tuned", voices=["flite:kal"], texts=["stop"])
    end = round(clip.end_s * RATE)
    assert abs(clip.audio[end - 1]) > 0.003
    assert loudness(clip.audio[end + 10 :]) < 0.01
    assert 0.6 <= clip.from_s < 0.8


def test_pause_is_silent_and_as_long_as_said():
    clips = list(pause_clips("tuned", voices=["flite:kal"], parts=[("put it on the", "table"), ("bring me", "a cup")]))
    for clip, pause_s in zip(clips, (0.4, 1.0), strict=True):
        start = round(clip.from_s * RATE)
        stop = start + round(pause_s * RATE)
        assert f"({pause_s:.2f} s)" in clip.text
        assert loudness(clip.audio[start + 10 : stop - 10]) < 0.01
        assert loudness(clip.audio[stop - 10 : stop + 800]) > 0.01
        assert clip.end_s > stop / RATE


def test_clips_are_the_same_every_time_and_at_different_places_of_the_grid():
    first, again = (list(turn_clips("tuned", voices=["flite:kal"], texts=["stop", "go"])) for _ in range(2))
    assert all(np.array_equal(one.audio, other.audio) for one, other in zip(first, again, strict=True))
    assert first[0].from_s % 0.2 != pytest.approx(first[1].from_s % 0.2, abs=0.01)


def test_nothing_is_in_both_splits():
    assert not set(VOICES["tuned"]) & set(VOICES["held out"])
    with pytest.raises(ConfigError, match="held out"):
        list(turn_clips("test"))


def test_sound_span_finds_the_voice_in_noise():
    generator = np.random.Generator(np.random.PCG64(1))
    audio = (0.004 * generator.standard_normal(RATE)).astype(np.float32)
    audio[4_800:9_600] += 0.3 * np.sin(np.arange(4_800) * 0.2).astype(np.float32)
    start, stop = sound_span(audio)
    assert abs(start - 4_800) <= 160
    assert abs(stop - 9_600) <= 160


def test_recordings_are_cut_by_speaker_when_they_are_here(shared_data):
    speech = shared_data / "speech"
    splits = [{clip.text for clip in recorded_clips(speech, split, 1)} for split in ("tuned", "held out")]
    assert "stop" in splits[0] & splits[1]
    (pause,) = recorded_pauses(speech, "tuned", 1)
    assert pause.text == "go (0.40 s) left"
    assert pause.from_s + 0.4 < pause.end_s
