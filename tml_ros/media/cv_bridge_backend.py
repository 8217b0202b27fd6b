"""Raw images to RGB with the official cv_bridge of a ROS 2 installation, for those who want its very conversion.

Imports no message package itself: cv_bridge reads attributes only, so a record with the names of sensor_msgs/Image will
do. The package of that name on PyPI is a pure Python port of ROS 1's, which is silently wrong for some encodings; it is
refused.

Source: ros-perception/vision_opencv, cv_bridge/python/cv_bridge/core.py (imgmsg_to_cv2).
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tml_ros.errors import ImageFormatError, MissingDependencyError
from tml_ros.records import StampedImage

__all__ = ["to_rgb"]


@dataclass(frozen=True, slots=True)
class _ImageMessage:
    """What imgmsg_to_cv2 reads of a sensor_msgs/Image."""

    encoding: str
    height: int
    width: int
    step: int
    is_bigendian: bool
    data: bytes | memoryview


def to_rgb(image: StampedImage) -> NDArray[np.uint8]:
    """Convert raw pixels with ``CvBridge().imgmsg_to_cv2(message, "rgb8")``.

    Returns:
        [H, W, 3] uint8 RGB, contiguous.

    Raises:
        MissingDependencyError: no official cv_bridge is installed.
        ImageFormatError: cv_bridge refuses the image.
    """
    bridge = _load()
    message = _ImageMessage(image.encoding, image.height, image.width, image.step, image.is_bigendian, image.data)
    try:
        rgb = bridge.CvBridge().imgmsg_to_cv2(message, "rgb8")
    except Exception as err:  # CvBridgeError, cv2.error, and what numpy raises on odd padding
        raise ImageFormatError(
            f"cv_bridge cannot convert {image.width}x{image.height} {image.encoding} to rgb8 ({err}); "
            "expected a colour, mono, Bayer or yuv422 image; use the built-in decoder"
        ) from err
    return np.array(rgb, np.uint8)


def _load() -> Any:
    try:
        compiled = import_module("cv_bridge.boost.cv_bridge_boost")
    except ImportError as err:
        raise MissingDependencyError(
            f"cv_bridge cannot be imported ({err}); expected the one of a ROS 2 installation: "
            "apt install ros-$ROS_DISTRO-cv-bridge and source its setup file, or use the built-in decoder"
        ) from err
    if str(compiled.__file__).endswith(".py"):
        raise MissingDependencyError(
            f"cv_bridge at {compiled.__file__} is the pure Python port of ROS 1's from PyPI, which is wrong for some "
            "encodings; expected the one of a ROS 2 installation: pip uninstall cv-bridge, "
            "apt install ros-$ROS_DISTRO-cv-bridge, or use the built-in decoder"
        )
    return import_module("cv_bridge")
