"""Received images to 8-bit RGB.

A step-aware view on the received bytes, then one cv2.cvtColor. Does not know time, topics or scenes, and never resizes.

Wider than 8 bits becomes 8 bits on a fixed scale, so that the same scene gives the same picture in every frame:
colour, mono16 and Bayer: 65535 -> 255; depth (16UC1 in millimetres, 32FC1 in metres): 0 m -> 0, 10 m and beyond -> 255;
unknown depth (0 or NaN) and too near (-inf) -> 0, too far (+inf) -> 255.

Source: sensor_msgs/msg/Image, sensor_msgs/image_encodings.hpp, REP 117 and 118 (depth images).
"""

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from tml_ros.errors import ImageFormatError, nearest_name
from tml_ros.media import cv_bridge_backend, streams
from tml_ros.records import StampedImage

__all__ = ["ENCODINGS", "to_rgb", "validate"]


@dataclass(frozen=True, slots=True)
class _Layout:
    """How the bytes of an encoding lie. code: leads to RGB in cv2.cvtColor. full_scale: the value that becomes 255."""

    dtype: str
    channels: int
    code: int | None = None
    full_scale: float = 255.0
    least_side: int = 1
    even_width: bool = False
    chroma_rows: bool = False


def _colour_layouts() -> dict[str, _Layout]:
    """rgb8 to bgra16 and mono: 8 or 16 bits a channel."""
    codes = {
        "rgb": (3, None),
        "bgr": (3, cv2.COLOR_BGR2RGB),
        "rgba": (4, cv2.COLOR_RGBA2RGB),
        "bgra": (4, cv2.COLOR_BGRA2RGB),
        "mono": (1, cv2.COLOR_GRAY2RGB),
    }
    narrow = {f"{name}8": _Layout("u1", channels, code) for name, (channels, code) in codes.items()}
    wide = {f"{name}16": _Layout("u2", channels, code, 65535.0) for name, (channels, code) in codes.items()}
    return narrow | wide


def _bayer_layouts() -> dict[str, _Layout]:
    """The four orders; OpenCV names a pattern by its second row, ROS by its first."""
    codes = {
        "rggb": cv2.COLOR_BayerBG2RGB,
        "bggr": cv2.COLOR_BayerRG2RGB,
        "gbrg": cv2.COLOR_BayerGR2RGB,
        "grbg": cv2.COLOR_BayerGB2RGB,
    }
    narrow = {f"bayer_{name}8": _Layout("u1", 1, code, least_side=3) for name, code in codes.items()}
    wide = {f"bayer_{name}16": _Layout("u2", 1, code, 65535.0, least_side=3) for name, code in codes.items()}
    return narrow | wide


_UYVY = _Layout("u1", 2, cv2.COLOR_YUV2RGB_UYVY, even_width=True)
_YUYV = _Layout("u1", 2, cv2.COLOR_YUV2RGB_YUY2, even_width=True)
_LAYOUTS = {
    **_colour_layouts(),
    **_bayer_layouts(),
    "8UC1": _Layout("u1", 1, cv2.COLOR_GRAY2RGB),
    "8UC3": _Layout("u1", 3, cv2.COLOR_BGR2RGB),
    "8UC4": _Layout("u1", 4, cv2.COLOR_BGRA2RGB),
    "16UC1": _Layout("u2", 1, cv2.COLOR_GRAY2RGB, 10_000.0),
    "32FC1": _Layout("f4", 1, cv2.COLOR_GRAY2RGB, 10.0),
    "yuv422": _UYVY,
    "uyvy": _UYVY,
    "yuv422_yuy2": _YUYV,
    "yuyv": _YUYV,
    "nv12": _Layout("u1", 1, cv2.COLOR_YUV2RGB_NV12, even_width=True, chroma_rows=True),
    "nv21": _Layout("u1", 1, cv2.COLOR_YUV2RGB_NV21, even_width=True, chroma_rows=True),
}
COMPRESSED = "compressed"
ENCODINGS = (*sorted(_LAYOUTS), COMPRESSED)


def validate(image: StampedImage) -> None:
    """Check what can be checked without decoding: encoding, dimensions, row length, amount of data, end of a stream.

    Raises:
        ImageFormatError: the image cannot be decoded.
    """
    if image.encoding == COMPRESSED:
        streams.stream_size(image.data)
    else:
        _check_raw(image, _layout(image.encoding))


def to_rgb(image: StampedImage, backend: Literal["own", "cv_bridge"] = "own") -> NDArray[np.uint8]:
    """Decode an image.

    Args:
        image: raw pixels or a JPEG or PNG stream.
        backend: ``cv_bridge`` converts raw colour images with the official cv_bridge of a ROS 2 installation (streams
            are decoded here in any case); it refuses depth images and is 20 to 200 times slower.

    Returns:
        [H, W, 3] uint8 RGB, contiguous, writable and independent of the received bytes.

    Raises:
        ImageFormatError: the image cannot be decoded.
        MissingDependencyError: cv_bridge is asked for and not installed.
    """
    validate(image)
    if image.encoding == COMPRESSED:
        return _to_rgb8(streams.decode_stream(image.data), _LAYOUTS["bgr16"])
    if backend == "cv_bridge":
        return cv_bridge_backend.to_rgb(image)
    layout = _layout(image.encoding)
    return _to_rgb8(_pixels(image, layout), layout)


def _layout(encoding: str) -> _Layout:
    if encoding in _LAYOUTS:
        return _LAYOUTS[encoding]
    hint = nearest_name(encoding, ENCODINGS)
    raise ImageFormatError(f"image encoding {encoding!r} is unknown, expected one of {', '.join(ENCODINGS)}{hint}")


def _check_raw(image: StampedImage, layout: _Layout) -> None:
    _check_dimensions(image, layout)
    row = image.width * layout.channels * np.dtype(layout.dtype).itemsize
    if image.step < row:
        raise ImageFormatError(
            f"image step {image.step} is too small, expected at least {row} bytes for {image.width} pixels of "
            f"{image.encoding}; the driver must set step to the length of a row"
        )
    rows, size = _rows(image, layout), memoryview(image.data).nbytes
    if not (rows - 1) * image.step + row <= size <= rows * image.step:
        raise ImageFormatError(
            f"image data has {size} bytes, expected {rows * image.step} ({rows} rows of step {image.step}) for "
            f"{image.width}x{image.height} {image.encoding}; it was cut off, or the driver set wrong dimensions"
        )


def _check_dimensions(image: StampedImage, layout: _Layout) -> None:
    size = f"image size {image.width}x{image.height}"
    if min(image.width, image.height) < layout.least_side or max(image.width, image.height) > streams.MAX_SIDE:
        raise ImageFormatError(
            f"{size} is out of range, expected {layout.least_side} to {streams.MAX_SIDE} pixels a side for "
            f"{image.encoding}; check the resolution that the driver is set to"
        )
    if (layout.even_width and image.width % 2) or (layout.chroma_rows and image.height % 2):
        raise ImageFormatError(
            f"{size} is odd, expected an even one because {image.encoding} shares colour between pixels; "
            "set an even resolution"
        )


def _rows(image: StampedImage, layout: _Layout) -> int:
    return image.height * 3 // 2 if layout.chroma_rows else image.height


def _pixels(image: StampedImage, layout: _Layout) -> NDArray[Any]:
    """View the received bytes as [rows, W, C] of the native byte order; copies only where it has to."""
    order = ">" if image.is_bigendian else "<"
    dtype = np.dtype(order + layout.dtype)
    depth = layout.channels * dtype.itemsize
    shape = (_rows(image, layout), image.width, layout.channels)
    view = np.ndarray(shape, dtype, memoryview(image.data).cast("B"), strides=(image.step, depth, dtype.itemsize))
    if not dtype.isnative or image.step % dtype.itemsize:
        return view.astype(dtype.newbyteorder("="))
    return view


def _to_rgb8(pixels: NDArray[Any], layout: _Layout) -> NDArray[np.uint8]:
    if pixels.dtype.kind == "f":
        pixels = np.clip(np.nan_to_num(pixels, nan=0.0), 0.0, layout.full_scale)
    rgb: NDArray[Any] = np.array(pixels) if layout.code is None else cv2.cvtColor(pixels, layout.code)
    if rgb.dtype != np.uint8:
        rgb = cv2.convertScaleAbs(rgb, alpha=255.0 / layout.full_scale)
    return rgb
