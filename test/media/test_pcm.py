"""PCM: samples survive, and what cannot be samples is refused with its value."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tml_ros.errors import AudioFormatError
from tml_ros.media import decode, encode, read_audio_file
from tml_ros.records import AudioChunk


def chunk(data: bytes | memoryview, encoding: str = "S16LE", channels: int = 1, rate_hz: int = 16_000) -> AudioChunk:
    return AudioChunk(0, "mic", 0, rate_hz, channels, encoding, data)


@given(st.integers(1, 8).flatmap(lambda c: hnp.arrays("<i2", st.tuples(st.integers(1, 50), st.just(c)))))
def test_decode_then_encode_gives_same_bytes_when_s16(pcm: np.ndarray) -> None:
    samples, bad = decode(chunk(pcm.tobytes(), channels=pcm.shape[1]))
    assert samples.dtype == np.float32 and samples.shape == pcm.shape and bad == 0
    assert encode(samples, "S16LE") == pcm.tobytes()


@given(hnp.arrays("<f4", st.tuples(st.integers(1, 50), st.integers(1, 3))))
def test_decode_counts_and_zeroes_non_finite_when_f32(pcm: np.ndarray) -> None:
    samples, bad = decode(chunk(pcm.tobytes(), "F32LE", pcm.shape[1]))
    assert bad == np.count_nonzero(~np.isfinite(pcm))
    np.testing.assert_array_equal(samples, np.where(np.isfinite(pcm), pcm, 0))


def test_decode_scales_by_32768_when_s16() -> None:
    samples, _ = decode(chunk(np.array([-32768, 16384, 32767], "<i2").tobytes()))
    np.testing.assert_array_equal(samples[:, 0], np.array([-1.0, 0.5, 32767 / 32768], np.float32))


def test_decode_keeps_values_beyond_one_when_f32() -> None:
    samples, _ = decode(chunk(np.array([-3.5, 2.0], "<f4").tobytes(), "F32LE"))
    assert samples[:, 0].tolist() == [-3.5, 2.0]


def test_decode_shares_memory_when_f32_is_finite() -> None:
    pcm = np.zeros(8, "<f4")
    samples, _ = decode(chunk(memoryview(pcm).cast("B"), "F32LE", 2))
    assert np.shares_memory(samples, pcm)


def test_decode_interleaves_when_stereo() -> None:
    samples, _ = decode(chunk(np.array([1, -1, 2, -2], "<i2").tobytes(), channels=2))
    assert (samples * 32768).tolist() == [[1.0, -1.0], [2.0, -2.0]]


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (chunk(b"\0\0", "s16le"), ("'s16le'", "did you mean 'S16LE'")),
        (chunk(b"\0\0", "OPUS"), ("'OPUS'", "F32LE or S16LE")),
        (chunk(b"\0\0", rate_hz=0), ("0 Hz", "4000 to 192000")),
        (chunk(b"\0\0", rate_hz=3_999), ("3999 Hz",)),
        (chunk(b"\0\0", rate_hz=4_000_000_000), ("4000000000 Hz",)),
        (chunk(b"\0\0", channels=0), ("0 channels", "1 to 64")),
        (chunk(b"\0\0" * 65, channels=65), ("65 channels",)),
        (chunk(b""), ("no data", "at least one")),
        (chunk(b"\0" * 7, channels=2), ("7 bytes", "multiple of 4")),
        (chunk(b"\0" * 6, "F32LE"), ("6 bytes", "multiple of 4")),
    ],
)
def test_decode_names_value_and_expectation_when_chunk_is_malformed(bad: AudioChunk, words: tuple[str, ...]) -> None:
    with pytest.raises(AudioFormatError) as caught:
        decode(bad)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_encode_saturates_when_samples_exceed_s16() -> None:
    loud = np.array([1.0, 5.0, np.inf, -1.0, -5.0, -np.inf, np.nan], np.float32)
    assert np.frombuffer(encode(loud, "S16LE"), "<i2").tolist() == [32767, 32767, 32767, -32768, -32768, -32768, 0]


def test_encode_refuses_when_shape_or_encoding_is_wrong() -> None:
    with pytest.raises(AudioFormatError, match="shape"):
        encode(np.zeros((1, 1, 1), np.float32), "S16LE")
    with pytest.raises(AudioFormatError, match=r"'F32'.*did you mean 'F32LE'"):
        encode(np.zeros(1, np.float32), "F32")


@pytest.mark.parametrize(("suffix", "subtype"), [("wav", "PCM_16"), ("wav", "FLOAT"), ("flac", "PCM_16")])
def test_read_audio_file_returns_written_samples_when_file_has_header(
    tmp_path: Path, suffix: str, subtype: str
) -> None:
    pcm = np.random.default_rng(0).integers(-32768, 32768, (50, 2)).astype(np.float32) / 32768
    soundfile.write(tmp_path / f"a.{suffix}", pcm, 8000, subtype=subtype)
    samples, rate_hz = read_audio_file(tmp_path / f"a.{suffix}")
    assert rate_hz == 8000 and samples.dtype == np.float32
    np.testing.assert_array_equal(samples, pcm)


def test_read_audio_file_returns_samples_when_raw_format_is_given(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(np.array([1, -2, 3, -4], "<i2").tobytes())
    samples, rate_hz = read_audio_file(tmp_path / "a.raw", 16_000, "S16LE", channels=2)
    assert rate_hz == 16_000 and (samples * 32768).tolist() == [[1.0, -2.0], [3.0, -4.0]]


def test_read_audio_file_warns_and_zeroes_when_samples_are_not_finite(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    soundfile.write(tmp_path / "a.wav", np.array([0.5, np.nan, np.inf], np.float32), 8000, subtype="FLOAT")
    samples, _ = read_audio_file(tmp_path / "a.wav")
    assert samples[:, 0].tolist() == [0.5, 0.0, 0.0] and "2 of 3 samples" in caplog.text


def test_read_audio_file_names_path_when_it_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    (tmp_path / "bare.pcm").write_bytes(b"\0\0")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0, np.float32), 8000)
    for name, words in (
        ("gone.wav", "not there"),
        ("text.wav", "cannot be read"),
        ("bare.pcm", "needs rate and encoding"),
        ("empty.wav", "no samples"),
    ):
        with pytest.raises(AudioFormatError, match=f"{name}.*{words}"):
            read_audio_file(tmp_path / name)


def test_read_audio_file_reads_real_speech_when_material_is_there(shared_data: Path) -> None:
    samples, rate_hz = read_audio_file(shared_data / "commands" / "cards_001.wav")
    assert samples.shape[1] == 1 and rate_hz == 16_000 and 0.01 < np.abs(samples).max() <= 1.0
