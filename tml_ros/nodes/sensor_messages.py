"""Field trees of what sensors send, for programs that play camera, microphone or loudspeaker on real topics."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tml_ros.records import SAMPLE_RATE_HZ, StampedImage

__all__ = ["header_tree", "image_tree", "sound_tree"]


def header_tree(stamp_ns: int) -> dict[str, Any]:
    """Return a std_msgs/Header."""
    return {"stamp": {"sec": stamp_ns // 1_000_000_000, "nanosec": stamp_ns % 1_000_000_000}}


def image_tree(image: StampedImage) -> dict[str, Any]:
    """Return a sensor_msgs/Image."""
    return {
        "header": header_tree(image.stamp_ns),
        "width": image.width,
        "height": image.height,
        "encoding": image.encoding,
        "step": image.step,
        "data": bytes(image.data),
    }


def sound_tree(stamp_ns: int, stream_id: str, first_sample: int, samples: NDArray[np.float32]) -> dict[str, Any]:
    """Return a tml_interfaces/AudioChunk of one channel. samples: [N] float32 at 16 kHz."""
    return {
        "header": header_tree(stamp_ns),
        "stream_id": stream_id,
        "first_sample": first_sample,
        "sample_rate": SAMPLE_RATE_HZ,
        "channels": 1,
        "encoding": "F32LE",
        "data": samples.astype("<f4").tobytes(),
    }
