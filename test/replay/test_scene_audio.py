"""The mix of a scene: levels, places, channels, rates and repeatability."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tml_ros.errors import AudioFormatError, SceneError
from tml_ros.replay.scene import parse_scene
from tml_ros.replay.scene_audio import AudioMix, synthesiser_for

needs_flite = pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed: apt-get install flite")


def mix(folder: Path, *sounds: dict[str, Any], block: int = 320, **top: Any) -> tuple[NDArray[np.float32], AudioMix]:
    scene = parse_scene({"duration_s": 2, "audio": list(sounds), **top}, folder=folder)
    audio = AudioMix(scene, scene.audio)
    return np.concatenate(list(audio.blocks(block))), audio


def rms_db(samples: NDArray[np.float32]) -> float:
    return float(10 * np.log10(np.mean(samples.astype(np.float64) ** 2)))


@pytest.fixture
def steps(tmp_path: Path) -> Path:
    """A stereo file of 1 s at 16 kHz: 0.25 on the left, -0.5 on the right."""
    soundfile.write(tmp_path / "steps.wav", np.tile([0.25, -0.5], (16_000, 1)), 16_000, subtype="FLOAT")
    return tmp_path


@pytest.mark.parametrize("color", ["white", "pink", "hum"])
@pytest.mark.parametrize("level_db", [-20.0, -55.0])
def test_noise_has_its_level_when_mixed(color: str, level_db: float, tmp_path: Path) -> None:
    samples, _ = mix(tmp_path, {"at_s": 0, "noise": color, "gain_db": level_db}, duration_s=4)
    assert rms_db(samples) == pytest.approx(level_db, abs=1.5)


def test_pink_noise_falls_with_frequency_when_white_does_not(tmp_path: Path) -> None:
    tilt = {}
    for color in ("white", "pink"):
        samples, _ = mix(tmp_path, {"at_s": 0, "noise": color, "gain_db": -20}, duration_s=8)
        power = np.abs(np.fft.rfft(samples[:, 0])) ** 2
        low, high = power[8 * 100 : 8 * 200].mean(), power[8 * 3200 : 8 * 6400].mean()
        tilt[color] = 10 * np.log10(low / high)
    assert tilt["white"] == pytest.approx(0.0, abs=1.0)
    assert tilt["pink"] == pytest.approx(15.0, abs=1.5)  # 5 octaves of 3 dB


def test_noise_is_silent_when_outside_its_time(tmp_path: Path) -> None:
    samples, _ = mix(tmp_path, {"at_s": 0.5, "until_s": 1.0, "noise": "white"})
    assert np.flatnonzero(samples).min() >= 8_000
    assert np.flatnonzero(samples).max() < 16_000


def test_file_lies_at_its_place_when_mixed(steps: Path) -> None:
    samples, _ = mix(steps, {"at_s": 0.5, "file": "steps.wav", "file_channel": 0, "gain_db": -6.0206})
    assert samples.shape == (32_000, 1)
    assert np.allclose(samples[8_000:24_000], 0.125, atol=1e-5)
    assert not samples[:8_000].any() and not samples[24_000:].any()


def test_file_is_cut_when_from_and_until_are_given(steps: Path) -> None:
    samples, _ = mix(steps, {"at_s": 0, "until_s": 0.9, "from_s": 0.75, "file": "steps.wav"})
    assert np.flatnonzero(samples).max() == 4_000 - 1


@pytest.mark.parametrize(
    ("channels", "choice", "expected"),
    [
        (1, {}, [-0.125]),
        (1, {"file_channel": 1}, [-0.5]),
        (2, {}, [0.25, -0.5]),
        (2, {"file_channel": 0}, [0.25, 0.25]),
        (2, {"channel": 1}, [0.0, -0.125]),
        (3, {"channel": 0, "file_channel": 0}, [0.25, 0.0, 0.0]),
    ],
)
def test_channels_are_chosen_when_files_are_stereo(
    channels: int, choice: dict[str, int], expected: list[float], steps: Path
) -> None:
    samples, _ = mix(steps, {"at_s": 0, "file": "steps.wav", **choice}, channels=channels)
    assert samples[100] == pytest.approx(expected)


def test_tone_keeps_pitch_and_length_when_rates_differ(tmp_path: Path) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(44_100) / 44_100)
    soundfile.write(tmp_path / "tone.flac", tone, 44_100)
    samples, _ = mix(tmp_path, {"at_s": 0, "file": "tone.flac"}, sample_rate_hz=22_050, duration_s=1)
    assert len(samples) == 22_050
    assert np.argmax(np.abs(np.fft.rfft(samples[:, 0]))) == 1000
    assert rms_db(samples) == pytest.approx(rms_db(tone.astype(np.float32)), abs=0.1)


def test_headerless_pcm_is_read_when_rate_and_encoding_are_given(tmp_path: Path) -> None:
    (tmp_path / "a.pcm").write_bytes(np.full(1600, 16_384, "<i2").tobytes())
    samples, _ = mix(tmp_path, {"at_s": 0, "file": "a.pcm", "rate_hz": 16_000, "encoding": "S16LE"})
    assert np.all(samples[:1600] == 0.5)


def test_loud_sum_is_saturated_and_counted_when_it_clips(steps: Path) -> None:
    loud = {"at_s": 0, "file": "steps.wav", "file_channel": 1, "gain_db": 12}
    samples, audio = mix(steps, loud, duration_s=1)
    assert samples.min() == -1.0
    assert audio.clipped == 16_000


@pytest.mark.parametrize("block", [1, 777, 32_000])
def test_samples_are_the_same_when_blocks_differ(block: int, steps: Path) -> None:
    sounds = [
        {"at_s": 0.3, "file": "steps.wav"},
        {"at_s": 0, "until_s": 1.7, "noise": "white"},
        {"at_s": 0.1, "noise": "pink"},
    ]
    duration = 0.2 if block == 1 else 2
    sounds = [item for item in sounds if float(item["at_s"]) < duration]
    expected, _ = mix(steps, *sounds, duration_s=duration)
    assert np.array_equal(mix(steps, *sounds, duration_s=duration, block=block)[0], expected)


def test_noise_differs_when_seed_or_place_differs(tmp_path: Path) -> None:
    noise = {"at_s": 0, "noise": "white"}
    first, _ = mix(tmp_path, noise, seed=1)
    assert not np.array_equal(mix(tmp_path, noise, seed=2)[0], first)
    double, _ = mix(tmp_path, noise, noise, seed=1)
    assert rms_db(double) == pytest.approx(rms_db(first) + 3.0, abs=0.3)


@needs_flite
def test_speech_is_reported_when_it_was_mixed(tmp_path: Path) -> None:
    samples, audio = mix(tmp_path, {"at_s": 0.25, "say": "hello robot"})
    ((text, start_ns, end_ns),) = audio.spoken
    assert (text, start_ns) == ("hello robot", 250_000_000)
    assert not samples[:4_000].any()
    assert abs(np.flatnonzero(samples).max() - end_ns * 16 // 1_000_000) < 1_600


@needs_flite
def test_warning_is_logged_when_speech_is_cut_off(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _, audio = mix(tmp_path, {"at_s": 1.8, "say": "go forward ten meters"})
    assert "'go forward ten meters' is cut off at 2.00 s" in caplog.text
    assert audio.spoken[0][2] == 2_000_000_000


@needs_flite
def test_voice_prefix_picks_the_program_when_given() -> None:
    assert synthesiser_for("kal").name == synthesiser_for("flite:kal").name == "flite:kal"
    if shutil.which("espeak-ng"):
        assert synthesiser_for("espeak:en-us+f3", 1.5).name == "espeak:en-us+f3@1.5"


@needs_flite
@pytest.mark.parametrize(
    ("voice", "expected"),
    [("stl", "did you mean 'slt'"), ("en-us", "written espeak:en-us"), ("espaek:de", "did you mean 'espeak'")],
)
def test_error_names_voice_and_remedy_when_it_does_not_exist(voice: str, expected: str) -> None:
    with pytest.raises(SceneError, match=f"voice '{voice}'.*{expected}"):
        synthesiser_for(voice)


def test_error_names_file_when_it_cannot_be_used(steps: Path) -> None:
    (steps / "noise.wav").write_bytes(b"no sound at all")
    with pytest.raises(AudioFormatError, match=r"noise\.wav"):
        mix(steps, {"at_s": 0, "file": "noise.wav"})
    with pytest.raises(SceneError, match=r"from_s 3 lies behind the end of .*steps\.wav"):
        mix(steps, {"at_s": 0, "file": "steps.wav", "from_s": 3})
    with pytest.raises(SceneError, match=r"file_channel 2 is not in .*steps\.wav, which has 2"):
        mix(steps, {"at_s": 0, "file": "steps.wav", "file_channel": 2})


def test_real_recording_is_unchanged_when_it_is_the_only_sound(shared_data: Path) -> None:
    path = shared_data / "commands" / "cards_001.wav"
    expected, rate_hz = soundfile.read(path, dtype="float32")
    samples, _ = mix(shared_data, {"at_s": 0, "file": "commands/cards_001.wav"}, sample_rate_hz=rate_hz)
    assert np.array_equal(samples[: len(expected), 0], expected)
