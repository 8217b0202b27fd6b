"""Make pictures small enough to be sent, as data URLs. What cannot be decoded is left out with a note for the model."""

import base64
from dataclasses import dataclass

from tml_ros.errors import ImageFormatError
from tml_ros.media import to_rgb
from tml_ros.media.jpeg import thumbnail
from tml_ros.records import StampedImage

__all__ = ["Picture", "prepare"]

_SHRINKS = 6  # each takes a quarter of the width away


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that can be sent, or a note on why there is none."""

    data_url: str = ""
    note: str = ""


def prepare(stream: bytes, max_pixels: int, max_bytes: int) -> Picture:
    """Return a JPEG or PNG stream as it is when it is small enough, shrunk otherwise.

    Thread: any.
    """
    try:
        rgb = to_rgb(StampedImage(0, "compressed", stream))
    except ImageFormatError:
        return Picture(note="A picture was left out because it cannot be decoded.")
    height, width = rgb.shape[:2]
    if height * width <= max_pixels and len(stream) <= max_bytes:
        return Picture(_data_url(stream))
    scale = min(1.0, (max_pixels / (height * width)) ** 0.5)
    width = max(1, int(width * scale - 1))  # one less, because the height is rounded
    for _ in range(_SHRINKS):
        small = thumbnail(rgb, width)
        if 0 < len(small) <= max_bytes:
            return Picture(_data_url(small))
        width = max(1, width * 3 // 4)
    return Picture(note=f"A picture was left out because it cannot be made smaller than {max_bytes} bytes.")


def _data_url(stream: bytes) -> str:
    kind = "png" if stream.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(stream).decode('ascii')}"
