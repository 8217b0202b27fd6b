"""Field trees of ``tml_ros.wire`` into rclpy messages, and small JPEGs of pictures that go into messages."""

import array
import importlib
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tml_ros.media.jpeg import thumbnail

__all__ = ["fill", "message_type", "to_jpeg"]

_LONGEST_SIDE = 640
_JPEG_QUALITY = 85


@cache
def message_type(type_name: str) -> Any:
    """Return the class of ``package/msg/Name``."""
    package, _, name = type_name.split("/")
    return getattr(importlib.import_module(f"{package}.msg"), name)


def fill(message: Any, tree: Mapping[str, Any]) -> Any:
    """Set the fields of a message from a tree and return it; bytes become an array, which rclpy takes as it is."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            fill(getattr(message, name), value)
        elif isinstance(value, bytes):
            setattr(message, name, array.array("B", value))
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            element = message_type(_element(type(message), name))
            setattr(message, name, [fill(element(), item) for item in value])
        else:
            setattr(message, name, value)
    return message


def to_jpeg(rgb: NDArray[np.uint8]) -> bytes:
    """Return a picture as JPEG, its longest side at most 640 pixels. rgb: [H, W, 3] uint8."""
    height, width = rgb.shape[:2]
    return thumbnail(rgb, max(1, round(width * min(1.0, _LONGEST_SIDE / max(height, width)))), _JPEG_QUALITY)


def _element(message: Any, name: str) -> str:
    """Return the element type of a sequence field as ``package/msg/Name``."""
    declared = message.get_fields_and_field_types()[name]
    package, element = declared.partition("<")[2].rstrip(">").split(",")[0].split("/")
    return f"{package}/msg/{element}"
