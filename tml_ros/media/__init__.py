"""Sound and pictures as bytes, and as arrays. L1: knows records and errors, no ROS, no time."""

from tml_ros.media.images import to_rgb, validate
from tml_ros.media.pcm import decode, encode, read_audio_file

__all__ = ["decode", "encode", "read_audio_file", "to_rgb", "validate"]
