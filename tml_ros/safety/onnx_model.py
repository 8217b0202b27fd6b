"""Open an ONNX model that looks at pictures, and run it: one picture in, its outputs by name.

The model is a file that somebody names; nothing is downloaded. What its numbers mean is not known here.

Source: onnx.ai, the Open Neural Network Exchange; letterboxing as in J. Redmon's darknet.
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from tml_ros.config import param
from tml_ros.errors import ConfigError, MissingDependencyError
from tml_ros.resources import locate
from tml_ros.safety.arrays import Bytes

__all__ = ["Fitted", "OnnxConfig", "OnnxModel"]

_PADDING = 114  # the grey that detectors are trained with
_TYPES: Mapping[str, type[Any]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}


@dataclass(frozen=True, slots=True)
class OnnxConfig:
    """Which model, and how a picture is made ready for it."""

    path: str = param("", "ONNX file; nothing is downloaded")
    size: int = param(
        0,
        "Width and height of its input where the model leaves them open; 0: as is usual for its kind",
        unit="pixels",
        maximum=4096,
    )
    fit: str = param(
        "letterbox", "How a picture becomes that size: with borders, or stretched", choices=("letterbox", "stretch")
    )
    colours: str = param("rgb", "Order of the colours that it expects", choices=("rgb", "bgr"))
    divide: float = param(
        255.0, "What brightness is divided by first; ignored for models that take bytes", minimum=1.0, maximum=255.0
    )
    mean: tuple[float, ...] = param((0.0, 0.0, 0.0), "What is subtracted then, one for each colour in that order")
    deviation: tuple[float, ...] = param((1.0, 1.0, 1.0), "What it is divided by after that, one for each colour")
    threads: int = param(1, "Threads that it may use", minimum=1, maximum=64)

    def __post_init__(self) -> None:
        """Refuse colours that are not three, and a division by nothing."""
        if len(self.mean) != 3 or len(self.deviation) != 3 or 0.0 in self.deviation:
            raise ConfigError(
                f"mean and deviation must have three numbers each, deviation none that is 0; got {list(self.mean)} "
                f"and {list(self.deviation)}"
            )


@dataclass(frozen=True, slots=True)
class Fitted:
    """A picture as the model saw it. width, height: of its input; scale_x, scale_y: input pixels per picture width
    and height; left, top: of the picture in it, in pixels.
    """

    width: int
    height: int
    scale_x: float
    scale_y: float
    left: int = 0
    top: int = 0

    def to_shares(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return points [..., 2] of the input, in pixels, as shares of the picture's width and height."""
        moved = points - np.array([self.left, self.top], np.float32)
        shares = np.divide(moved, np.array([self.scale_x, self.scale_y], np.float32))
        return np.asarray(np.clip(shares, 0.0, 1.0), np.float32)


class OnnxModel:
    """One model.

    Thread: one caller at a time.
    """

    def __init__(self, config: OnnxConfig, key: str = "model", default_size: int = 640) -> None:
        """Open the file. key: of the configuration, for messages. default_size: where neither file nor it tells one.

        Raises:
            MissingDependencyError: there is no such file.
            ConfigError: none is named, onnxruntime cannot read it, or it takes something else than one picture.
        """
        if not config.path:
            raise ConfigError(f"{key}.path is empty; name the ONNX file of a model")
        self._config = config
        self.path = _find(config.path, key)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = config.threads
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(self.path), options, providers=["CPUExecutionProvider"])
        except Exception as err:  # onnxruntime's errors share no base
            raise ConfigError(f"{key}.path: onnxruntime cannot read {self.path}: {err}") from err
        self._picture, self._is_channels_first, self.input_size = self._find_picture(key, config.size or default_size)
        self._sizes = [one for one in self._session.get_inputs() if one.name != self._picture.name]
        self.output_names = tuple(one.name for one in self._session.get_outputs())

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes as the file tells them, which Ultralytics writes into it; empty where it does not."""
        try:
            names = ast.literal_eval(self._session.get_modelmeta().custom_metadata_map.get("names", "[]"))
        except (SyntaxError, ValueError):
            return ()
        return tuple(str(name) for name in (names.values() if isinstance(names, dict) else names))

    def run(self, rgb: Bytes) -> tuple[dict[str, NDArray[Any]], Fitted]:
        """Return the outputs by name for one picture [H, W, 3].

        Raises:
            ConfigError: the model fails on it.
        """
        picture, fitted = self._fit(rgb)
        feeds = {self._picture.name: self._tensor(picture)}
        for one in self._sizes:  # DETR exports ask for the size that boxes are given in
            feeds[one.name] = np.array([[fitted.width, fitted.height]], _TYPES[one.type])
        try:
            outputs = self._session.run(None, feeds)
        except Exception as err:
            raise ConfigError(f"{self.path} cannot be run on a picture: {err}") from err
        return dict(zip(self.output_names, outputs, strict=True)), fitted

    def _find_picture(self, key: str, default: int) -> tuple[Any, bool, tuple[int, int]]:
        """Return the input for the picture, whether colours come first in it, and its width and height."""
        inputs = self._session.get_inputs()
        for one in inputs:
            shape = [part if isinstance(part, int) and part > 0 else 0 for part in one.shape]
            if len(shape) != 4 or one.type not in _TYPES or shape[0] > 1 or 3 not in (shape[1], shape[3]):
                continue
            if any(len(other.shape) != 2 or other.type not in _TYPES for other in inputs if other is not one):
                continue
            is_first = shape[1] == 3
            height, width = (shape[2], shape[3]) if is_first else (shape[1], shape[2])
            return one, is_first, (width or default, height or default)
        found = ", ".join(f"{one.name} {one.type} {one.shape}" for one in inputs)
        raise ConfigError(
            f"{key}.path: {self.path} takes {found}; expected one picture [1, 3, H, W] or [1, H, W, 3], and beside it "
            "at most sizes [1, 2]"
        )

    def _fit(self, rgb: Bytes) -> tuple[Bytes, Fitted]:
        width, height = self.input_size
        if self._config.fit == "stretch":
            return _resized(rgb, width, height), Fitted(width, height, float(width), float(height))
        scale = min(width / rgb.shape[1], height / rgb.shape[0])
        across, down = max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale))
        left, top = (width - across) // 2, (height - down) // 2
        canvas = np.full((height, width, 3), _PADDING, np.uint8)
        canvas[top : top + down, left : left + across] = _resized(rgb, across, down)
        return canvas, Fitted(width, height, float(across), float(down), left, top)

    def _tensor(self, picture: Bytes) -> NDArray[Any]:
        kind = _TYPES[self._picture.type]
        ordered = picture if self._config.colours == "rgb" else picture[..., ::-1]
        values: NDArray[Any] = ordered
        if np.issubdtype(kind, np.floating):
            mean, deviation = (np.array(part, np.float32) for part in (self._config.mean, self._config.deviation))
            values = (ordered.astype(np.float32) / np.float32(self._config.divide) - mean) / deviation
        if self._is_channels_first:
            values = values.transpose(2, 0, 1)
        return np.ascontiguousarray(values[None], kind)


def _find(name: str, key: str) -> Path:
    try:
        path = locate(name)
    except ConfigError as err:
        raise MissingDependencyError(f"{key}.path: there is no model file {name!r}") from err
    if not path.is_file():
        raise MissingDependencyError(f"{key}.path: {name!r} is no file, expected an ONNX model")
    return path


def _resized(rgb: Bytes, width: int, height: int) -> Bytes:
    shrinks = width * height < rgb.shape[0] * rgb.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(rgb, (width, height), interpolation=how), np.uint8)
