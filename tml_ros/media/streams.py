"""JPEG and PNG streams: size and completeness from the markers, and decoding with OpenCV.

OpenCV fills what is missing from a cut stream with grey, or returns nothing, depending on its version. A stream without
its end marker is therefore refused before it is decoded, and so is one whose header promises an absurd size. Damage in
the middle of a JPEG is not detected. EXIF orientation is ignored, as in cv_bridge.

Source: ITU-T T.81 annex B (JPEG markers), PNG specification chapters 5 and 11.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tml_ros.errors import ImageFormatError

__all__ = ["MAX_SIDE", "decode_stream", "stream_size"]

MAX_SIDE = 16_384

_JPEG_START, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_JPEG_SCAN = 0xDA
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0..SOF15 without DHT, JPG, DAC
_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB\x60\x82"
_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION


def stream_size(data: bytes | memoryview) -> tuple[int, int]:
    """Return width and height from the header of a complete JPEG or PNG stream, without decoding it.

    Raises:
        ImageFormatError: neither JPEG nor PNG, cut off, or of zero or absurd size.
    """
    stream = bytes(data)
    if stream.startswith(_JPEG_START):
        width, height = _jpeg_size(stream)
    elif stream.startswith(_PNG_START):
        width, height = _png_size(stream)
    else:
        raise ImageFormatError(
            f"compressed image begins with {stream[:8].hex(' ') or 'nothing'}, expected JPEG (ff d8 ff) or PNG "
            "(89 50 4e 47); use the 'compressed' image transport with format jpeg or png"
        )
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise ImageFormatError(
            f"compressed image size {width}x{height} is out of range, expected 1 to {MAX_SIDE} pixels a side; "
            "check the resolution that the driver is set to"
        )
    return width, height


def decode_stream(data: bytes | memoryview) -> NDArray[Any]:
    """Decode a stream that ``stream_size`` accepted.

    Returns:
        [H, W, 3] BGR, uint8 or (PNG with 16 bits) uint16; grey is repeated in all three channels.

    Raises:
        ImageFormatError: the stream is damaged.
    """
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), _FLAGS)
    except cv2.error as err:
        raise ImageFormatError(_damaged(data)) from err
    if pixels is None:
        raise ImageFormatError(_damaged(data))
    return pixels


def _damaged(data: bytes | memoryview) -> str:
    size = memoryview(data).nbytes
    return f"compressed image of {size} bytes cannot be decoded, expected an undamaged JPEG or PNG; check the publisher"


def _cut_off(kind: str, size: int, end: str) -> ImageFormatError:
    return ImageFormatError(
        f"{kind} image of {size} bytes is cut off, expected it to end with {end}; "
        "check the publisher, and the QoS and buffers of the connection"
    )


def _jpeg_size(stream: bytes) -> tuple[int, int]:
    """Walk the segments up to the first scan; the end marker must follow it (padding after it is fine)."""
    size, position = (0, 0), 2
    while position + 4 <= len(stream) and stream[position] == 0xFF:
        marker = stream[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker in _JPEG_FRAMES and position + 9 <= len(stream):
            height, width = (int.from_bytes(stream[position + at : position + at + 2], "big") for at in (5, 7))
            size = width, height
        position += 2 + int.from_bytes(stream[position + 2 : position + 4], "big")
        if marker == _JPEG_SCAN:
            if stream.rfind(_JPEG_END, position) >= 0:
                return size
            break
    raise _cut_off("JPEG", len(stream), "the marker ff d9")


def _png_size(stream: bytes) -> tuple[int, int]:
    if stream.rfind(_PNG_END) < 0:
        raise _cut_off("PNG", len(stream), "the chunk IEND")
    return int.from_bytes(stream[16:20], "big"), int.from_bytes(stream[20:24], "big")
