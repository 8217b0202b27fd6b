"""PCM bytes to float samples and back, for chunks and for files.

Knows sample formats only: no resampling, no mixing, no gaps, no clock. A sample of 16 bits is divided by 32768, so that
-32768 becomes -1.0 and 16-bit sound survives a round trip bit for bit.

Source: tml_interfaces/msg/AudioChunk.msg.
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tml_ros.errors import AudioFormatError, nearest_name
from tml_ros.records import AudioChunk

__all__ = ["ENCODINGS", "MAX_CHANNELS", "MAX_RATE_HZ", "MIN_RATE_HZ", "decode", "encode", "read_audio_file"]

ENCODINGS: dict[str, np.dtype[Any]] = {"F32LE": np.dtype("<f4"), "S16LE": np.dtype("<i2")}
MIN_RATE_HZ = 4_000
MAX_RATE_HZ = 192_000
MAX_CHANNELS = 64

_S16_STEPS = 32_768
_RAW_SUFFIXES = (".pcm", ".raw")
_log = logging.getLogger(__name__)


def decode(chunk: AudioChunk) -> tuple[NDArray[np.float32], int]:
    """Turn the bytes of a chunk into samples.

    F32LE values beyond +-1 are kept. F32LE without non-finite values shares the chunk's memory and may be read-only.

    Args:
        chunk: N samples of C channels, interleaved.

    Returns:
        Samples [N, C] float32, and how many of them were NaN or infinite and have been set to zero.

    Raises:
        AudioFormatError: unknown encoding, rate or channel count out of range, no data, or a ragged length.
    """
    dtype = _sample_type(chunk.encoding)
    _check_rate(chunk.rate_hz)
    _check_channels(chunk.channels)
    samples = _interleaved(chunk.data, dtype, chunk.channels)
    if dtype.kind == "i":
        return np.multiply(samples, np.float32(1 / _S16_STEPS), dtype=np.float32), 0
    return _finite(samples.astype(np.float32, copy=False))


def encode(samples: NDArray[np.float32], encoding: str) -> bytes:
    """Turn samples into interleaved bytes.

    Args:
        samples: [N] or [N, C] float32; S16LE saturates beyond [-1, 1) and takes NaN as zero.
        encoding: ``S16LE`` or ``F32LE``.

    Raises:
        AudioFormatError: unknown encoding, or samples that are neither [N] nor [N, C].
    """
    dtype = _sample_type(encoding)
    if samples.ndim not in (1, 2):
        raise AudioFormatError(f"samples must be [N] or [N, C], got shape {samples.shape}; flatten or transpose them")
    if dtype.kind == "f":
        return samples.astype(dtype, copy=False).tobytes()
    scaled = np.rint(np.nan_to_num(samples.astype(np.float64) * _S16_STEPS, nan=0.0))
    return np.clip(scaled, -_S16_STEPS, _S16_STEPS - 1).astype(dtype).tobytes()


def read_audio_file(
    path: str | Path, rate_hz: int | None = None, encoding: str | None = None, channels: int = 1
) -> tuple[NDArray[np.float32], int]:
    """Read a whole sound file.

    Args:
        path: a file that libsndfile reads (WAV, FLAC, OGG, MP3 ...), or headerless PCM.
        rate_hz: rate of headerless PCM; leave it out for files that have a header.
        encoding: sample format of headerless PCM; leave it out likewise.
        channels: channels of headerless PCM.

    Returns:
        Samples [N, C] float32 (non-finite ones set to zero, with a warning) and the rate in Hz.

    Raises:
        AudioFormatError: no such file, not a sound file, no samples, or headerless PCM of unknown format.
    """
    path = Path(path)
    if not path.is_file():
        raise AudioFormatError(f"audio file {path} is not there; expected a sound file, check the path")
    if encoding is None and rate_hz is None and path.suffix.lower() not in _RAW_SUFFIXES:
        samples, bad, rate_hz = _read_sound_file(path)
    else:
        samples, bad, rate_hz = _read_raw_file(path, rate_hz, encoding, channels)
    if bad:
        _log.warning("%s: %d of %d samples are NaN or infinite and were set to zero", path, bad, samples.size)
    return samples, rate_hz


def _sample_type(encoding: str) -> np.dtype[Any]:
    if encoding in ENCODINGS:
        return ENCODINGS[encoding]
    known = " or ".join(sorted(ENCODINGS))
    hint = nearest_name(encoding.upper(), ENCODINGS)
    raise AudioFormatError(f"audio encoding {encoding!r} is unknown, expected {known}{hint}")


def _check_rate(rate_hz: int) -> None:
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise AudioFormatError(
            f"audio rate {rate_hz} Hz is out of range, expected {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz; "
            "set the rate of the audio source"
        )


def _check_channels(channels: int) -> None:
    if not 1 <= channels <= MAX_CHANNELS:
        raise AudioFormatError(
            f"audio has {channels} channels, expected 1 to {MAX_CHANNELS}; set the channel count of the audio source"
        )


def _interleaved(data: bytes | memoryview, dtype: np.dtype[Any], channels: int) -> NDArray[Any]:
    size, frame = memoryview(data).nbytes, channels * dtype.itemsize
    if size == 0:
        raise AudioFormatError("audio chunk holds no data, expected at least one sample; do not publish empty chunks")
    if size % frame:
        raise AudioFormatError(
            f"audio data of {size} bytes is ragged, expected a multiple of {frame} "
            f"({channels} channels of {dtype.itemsize} bytes); check encoding and channels of the audio source"
        )
    return np.frombuffer(data, dtype).reshape(-1, channels)


def _finite(samples: NDArray[np.float32]) -> tuple[NDArray[np.float32], int]:
    """Return the samples with NaN and infinity set to zero, and their number; copies only when there are any."""
    good = np.isfinite(samples)
    if good.all():
        return samples, 0
    return np.where(good, samples, np.float32(0.0)), int(samples.size - np.count_nonzero(good))


def _read_sound_file(path: Path) -> tuple[NDArray[np.float32], int, int]:
    import soundfile  # loads libsndfile, which a robot that only listens does without

    try:
        samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as err:
        raise AudioFormatError(
            f"audio file {path} cannot be read ({err}); expected WAV, FLAC, OGG or MP3; "
            "for headerless PCM give rate and encoding"
        ) from err
    _check_rate(rate_hz)
    _check_channels(samples.shape[1])
    if not len(samples):
        raise AudioFormatError(f"audio file {path} holds no samples, expected at least one; record it again")
    return *_finite(samples), int(rate_hz)


def _read_raw_file(
    path: Path, rate_hz: int | None, encoding: str | None, channels: int
) -> tuple[NDArray[np.float32], int, int]:
    if rate_hz is None or encoding is None:
        raise AudioFormatError(
            f"headerless audio file {path} needs rate and encoding, got rate_hz={rate_hz} encoding={encoding}; "
            "give both, such as rate_hz=16000 encoding=S16LE, or neither for a file with a header"
        )
    return *decode(AudioChunk(0, path.name, 0, rate_hz, channels, encoding, path.read_bytes())), rate_hz
