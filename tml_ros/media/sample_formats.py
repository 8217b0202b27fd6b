"""Sample formats of other drivers as those that ``pcm`` decodes: S16LE and F32LE.

Knows bytes only. Whole numbers become floats by their full scale, so that the smallest one is -1.0.

Source: GStreamer design/mediatype-audio-raw (names; S24_32 is 24 bits in the low bytes of 32); portaudio.h
(PaSampleFormat).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tml_ros.errors import AudioFormatError, nearest_name
from tml_ros.media.pcm import ENCODINGS

__all__ = ["PORTAUDIO_FORMATS", "SAMPLE_FORMATS", "to_known"]

PORTAUDIO_FORMATS = {1: "F32LE", 2: "S32LE", 8: "S16LE", 16: "S8", 32: "U8"}

_NUMPY_TYPES = {
    **{"S8": "i1", "U8": "u1", "S16BE": ">i2", "U16LE": "<u2", "U16BE": ">u2", "S32LE": "<i4", "S32BE": ">i4"},
    **{"S24_32LE": "<i4", "S24_32BE": ">i4", "F32BE": ">f4", "F64LE": "<f8", "F64BE": ">f8"},
}
_PACKED = ("S24LE", "S24BE")  # three bytes, which numpy has no type for
SAMPLE_FORMATS = (*sorted(ENCODINGS, reverse=True), *_NUMPY_TYPES, *_PACKED)


def to_known(data: bytes | memoryview, sample_format: str) -> tuple[str, bytes | memoryview]:
    """Return encoding and bytes that ``pcm.decode`` understands.

    Args:
        data: interleaved samples.
        sample_format: a name of GStreamer, such as S16LE or F32BE; case does not count.

    Raises:
        AudioFormatError: an unknown format, or data that ends within a sample.
    """
    name = sample_format.strip().upper()
    if name in ENCODINGS:
        return name, data
    if name not in SAMPLE_FORMATS:
        raise AudioFormatError(
            f"sample format {sample_format!r} is unknown, expected one of {', '.join(SAMPLE_FORMATS)}"
            f"{nearest_name(name, SAMPLE_FORMATS)}; set the parameter sample_format of the driver"
        )
    width = 3 if name in _PACKED else np.dtype(_NUMPY_TYPES[name]).itemsize
    if len(data) % width:
        raise AudioFormatError(
            f"audio data of {len(data)} bytes is ragged, expected a multiple of {width} for {name}; check the "
            "parameter sample_format of the driver"
        )
    samples = _unpack(data, name) if name in _PACKED else _scale(np.frombuffer(data, _NUMPY_TYPES[name]), name)
    return "F32LE", samples.astype("<f4").tobytes()


def _scale(values: NDArray[Any], name: str) -> NDArray[np.float64]:
    if values.dtype.kind == "f":
        return values.astype(np.float64)
    if name.startswith("S24_32"):
        return (values.astype(np.int32) << 8) / 2.0**31  # the upper byte means nothing
    full = 2.0 ** (8 * values.itemsize - 1)
    return (values.astype(np.float64) - (full if values.dtype.kind == "u" else 0.0)) / full


def _unpack(data: bytes | memoryview, name: str) -> NDArray[np.float64]:
    """Return samples of 24 bits by way of the upper bytes of 32."""
    packed = np.frombuffer(data, np.uint8).reshape(-1, 3)
    wide = np.zeros((len(packed), 4), np.uint8)
    wide[:, 1:] = packed if name == "S24LE" else packed[:, ::-1]
    return wide.view("<i4")[:, 0] / 2.0**31
