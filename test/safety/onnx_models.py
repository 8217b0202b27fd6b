"""Small ONNX models whose outputs are really worked out from the picture, for tests of watchers that run such files.

``redness`` is the plane that they look at: red less the mean of green and blue, where it is positive.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = 64
GRID = 8
"""Cells across and down of the detectors: each is a box of its own, 8 pixels wide."""


def _save(
    path: Path, nodes: list, outputs: dict[str, list], constants: dict[str, np.ndarray], size=(SIZE, SIZE)
) -> Path:
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, *size])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(array.astype(array.dtype), name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 10
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def _weights(*rows: tuple[float, float, float]) -> np.ndarray:
    """1 x 1 convolutions: what each output plane takes of red, green and blue."""
    return np.array(rows, np.float32).reshape(len(rows), 3, 1, 1)


RED, GREEN = (1.0, -0.5, -0.5), (-0.5, 1.0, -0.5)


def _cells() -> list:
    """Nodes that give ``cells`` [1, 2, 8, 8], how red and how green each cell is."""
    return [
        helper.make_node("Conv", ["images", "weights"], ["planes"]),
        helper.make_node("Relu", ["planes"], ["colours"]),
        helper.make_node("AveragePool", ["colours"], ["cells"], kernel_shape=[8, 8], strides=[8, 8]),
    ]


def _boxes() -> np.ndarray:
    """[1, 4, 64] middle, width and height of every cell, in pixels."""
    y, x = np.divmod(np.arange(GRID * GRID), GRID)
    side = np.full(GRID * GRID, float(SIZE // GRID))
    return np.stack([8.0 * x + 4.0, 8.0 * y + 4.0, side, side])[None].astype(np.float32)


def yolo(path: Path) -> Path:
    """A detector [1, 6, 64] of red and green things: one box per cell, scored by how much of its colour is in it."""
    shape = np.array([1, 2, GRID * GRID], np.int64)
    nodes = [
        *_cells(),
        helper.make_node("Reshape", ["cells", "shape"], ["scores"]),
        helper.make_node("Concat", ["boxes", "scores"], ["output0"], axis=1),
    ]
    constants = {"weights": _weights(RED, GREEN), "shape": shape, "boxes": _boxes()}
    return _save(path, nodes, {"output0": [1, 6, GRID * GRID]}, constants)


def detr(path: Path) -> Path:
    """The same as boxes [1, 64, 4] in shares and logits [1, 64, 3], the last of them for nothing."""
    shape = np.array([1, 2, GRID * GRID], np.int64)
    nodes = [
        *_cells(),
        helper.make_node("Reshape", ["cells", "shape"], ["flat"]),
        helper.make_node("Transpose", ["flat"], ["rows"], perm=[0, 2, 1]),
        helper.make_node("Mul", ["rows", "twelve"], ["strong"]),
        helper.make_node("Concat", ["strong", "nothing"], ["pred_logits"], axis=2),
        helper.make_node("Identity", ["boxes"], ["pred_boxes"]),
    ]
    constants = {
        "weights": _weights(RED, GREEN),
        "shape": shape,
        "twelve": np.array(12.0, np.float32),
        "nothing": np.full((1, GRID * GRID, 1), 4.0, np.float32),
        "boxes": (_boxes() / SIZE).transpose(0, 2, 1).copy(),
    }
    return _save(path, nodes, {"pred_logits": [1, 64, 3], "pred_boxes": [1, 64, 4]}, constants)


def classifier(path: Path) -> Path:
    """Logits [1, 2] of a crop: whether it is red in its mean, or not."""
    nodes = [
        helper.make_node("Conv", ["images", "weights"], ["plane"]),
        helper.make_node("GlobalAveragePool", ["plane"], ["mean"]),
        helper.make_node("Reshape", ["mean", "shape"], ["red"]),
        helper.make_node("Mul", ["red", "signs"], ["logits"]),
    ]
    constants = {
        "weights": _weights(RED),
        "shape": np.array([1, 1], np.int64),
        "signs": np.array([[30.0, -30.0]], np.float32),
    }
    return _save(path, nodes, {"logits": [1, 2]}, constants)


def pose(path: Path) -> Path:
    """Maps [1, 3, 64, 64] whose peaks are keypoints: the reddest place, the greenest, the bluest."""
    nodes = [
        helper.make_node("Conv", ["images", "weights"], ["planes"]),
        helper.make_node("AveragePool", ["planes"], ["maps"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    ]
    constants = {"weights": _weights(RED, GREEN, (-0.5, -0.5, 1.0))}
    return _save(path, nodes, {"maps": [1, 3, SIZE, SIZE]}, constants)
