"""Read boxes out of what detectors put out: YOLO, SSD and DETR, as they are commonly exported to ONNX.

| layout | outputs |
|---|---|
| yolo | [1, 4 + C, N] or [1, N, 4 + C]: middle, width, height, a score per class; 5 + C: objectness before those |
| end_to_end | [1, N, 6]: left, top, right, bottom, score, class |
| scored | boxes [1, N, 4], and either scores per class [1, N, C or C + 1] or score [1, N] and class [1, N] |

Boxes are in pixels of the model's input, or in shares of it where none is above 2. Scores outside of 0 to 1 are logits:
softmax over C + 1, the last of them for nothing, as DETR has it; sigmoid over C. It knows no classes by name.

Source: ultralytics export formats; torchvision and TensorFlow SSD; N. Carion et al., "End-to-End Object Detection with
Transformers", 2020.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import cv2
import numpy as np
from numpy.typing import NDArray

from tml_ros.config import param
from tml_ros.errors import ConfigError
from tml_ros.safety.onnx_model import Fitted
from tml_ros.safety.zones import Box

__all__ = ["BoxesConfig", "Detection", "read_boxes"]

Floats = NDArray[np.float32]
_MOST = 300
_FEW = 1000  # rows of a detector that has chosen already; those that leave it to us have thousands


@dataclass(frozen=True, slots=True)
class BoxesConfig:
    """How a detector's outputs are read."""

    layout: str = param(
        "auto", "Shape of the outputs; auto: told by their shapes", choices=("auto", "yolo", "end_to_end", "scored")
    )
    corners: str = param(
        "auto",
        "What the four numbers of a box are; auto: cxcywh for yolo and where scores are logits, otherwise xyxy",
        choices=("auto", "xyxy", "yxyx", "cxcywh"),
    )
    score: float = param(0.4, "Least score", minimum=0.0, maximum=1.0)
    overlap: float = param(
        0.5, "Overlap from which the lower of two boxes of one class is dropped", minimum=0.0, maximum=1.0
    )


@dataclass(frozen=True, slots=True)
class Detection:
    """Something that was detected. number: of its class. box: shares of the picture."""

    number: int
    score: float
    box: Box


def read_boxes(
    outputs: Mapping[str, NDArray[Any]], fitted: Fitted, classes: int, config: BoxesConfig
) -> tuple[Detection, ...]:
    """Return what was detected, the best first. classes: how many there are.

    Raises:
        ConfigError: the outputs have other shapes than those above.
    """
    arrays = {name: _squeezed(array) for name, array in outputs.items()}
    layout = config.layout if config.layout != "auto" else _guess(arrays, classes)
    is_logits = False
    if layout == "yolo":
        boxes, scores = _yolo(arrays, classes)
    elif layout == "end_to_end":
        boxes, scores = _end_to_end(arrays, classes)
    else:
        boxes, scores, is_logits = _scored(arrays, classes)
    corners = config.corners
    if corners == "auto":
        corners = "cxcywh" if layout == "yolo" or is_logits else "xyxy"
    return _chosen(_to_shares(_as_xyxy(boxes, corners), fitted), scores, config)


def _squeezed(array: NDArray[Any]) -> NDArray[Any]:
    """Return an output without the axis for several pictures, where it has one."""
    return array[0] if array.ndim > 1 and array.shape[0] == 1 else array


def _guess(arrays: Mapping[str, NDArray[Any]], classes: int) -> str:
    planes = [array for array in arrays.values() if array.ndim == 2]
    if len(arrays) == 1 and planes:
        rows, columns = planes[0].shape
        if columns == 6 and rows <= _FEW and rows != 4 + classes:
            return "end_to_end"
        if {4 + classes, 5 + classes} & {rows, columns}:
            return "yolo"
    elif any(array.shape[-1:] == (4,) for array in planes):
        return "scored"
    _refuse(arrays, classes)


def _yolo(arrays: Mapping[str, NDArray[Any]], classes: int) -> tuple[Floats, Floats]:
    """Return boxes [N, 4] and scores [N, C]."""
    rows = next(iter(arrays.values()))
    wanted = (4 + classes, 5 + classes)
    if rows.ndim != 2 or not any(length in wanted for length in rows.shape):
        _refuse(arrays, classes)
    if rows.shape[1] not in wanted or (rows.shape[0] in wanted and rows.shape[0] < rows.shape[1]):
        rows = rows.T
    rows = rows.astype(np.float32)
    scores = rows[:, 4:] if rows.shape[1] == 4 + classes else rows[:, 4:5] * rows[:, 5:]
    return rows[:, :4], _likely(scores, has_nothing=False)


def _end_to_end(arrays: Mapping[str, NDArray[Any]], classes: int) -> tuple[Floats, Floats]:
    rows = next(iter(arrays.values()))
    if rows.ndim != 2 or rows.shape[1] != 6:
        _refuse(arrays, classes)
    rows = rows.astype(np.float32)
    return rows[:, :4], _spread(rows[:, 4], rows[:, 5], classes)


def _scored(arrays: Mapping[str, NDArray[Any]], classes: int) -> tuple[Floats, Floats, bool]:
    """Return boxes [N, 4], scores [N, C] and whether these were logits."""
    boxes = next((array for array in arrays.values() if array.ndim == 2 and array.shape[1] == 4), None)
    if boxes is None:
        _refuse(arrays, classes)
    rest = {name: array for name, array in arrays.items() if array is not boxes and len(array) == len(boxes)}
    for scores in rest.values():
        if scores.ndim == 2 and scores.shape[1] in (classes, classes + 1):
            is_logits = bool((scores < 0.0).any() or (scores > 1.0).any())
            likely = _likely(scores.astype(np.float32), has_nothing=scores.shape[1] == classes + 1)
            return boxes.astype(np.float32), likely[:, :classes], is_logits
    lists = {name: array for name, array in rest.items() if array.ndim == 1}
    labels = next((name for name, array in lists.items() if _is_labels(name, array)), None)
    score = next((name for name in lists if name != labels), None)
    if labels is None or score is None:
        _refuse(arrays, classes)
    return boxes.astype(np.float32), _spread(lists[score].astype(np.float32), lists[labels], classes), False


def _is_labels(name: str, array: NDArray[Any]) -> bool:
    return array.dtype.kind in "iu" or "label" in name.lower() or "class" in name.lower()


def _spread(score: Floats, labels: NDArray[Any], classes: int) -> Floats:
    """Return [N, C] the score of each row in the column of its class; other classes are dropped."""
    numbers = np.rint(labels).astype(np.int64)
    scores = np.zeros((len(score), classes), np.float32)
    known = np.flatnonzero((numbers >= 0) & (numbers < classes))
    scores[known, numbers[known]] = score[known]
    return scores


def _likely(scores: Floats, *, has_nothing: bool) -> Floats:
    """Return scores [N, C] from 0 to 1; logits are made such. has_nothing: the last class is nothing at all."""
    if not scores.size or (scores.min() >= 0.0 and scores.max() <= 1.0):
        return scores
    if has_nothing:
        risen = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(risen / risen.sum(axis=1, keepdims=True), np.float32)
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(scores, -60.0, 60.0))), np.float32)


def _as_xyxy(boxes: Floats, corners: str) -> Floats:
    if corners == "xyxy":
        return boxes
    if corners == "yxyx":
        return boxes[:, [1, 0, 3, 2]]
    half = boxes[:, 2:] / 2.0
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


def _to_shares(boxes: Floats, fitted: Fitted) -> Floats:
    if boxes.size and float(np.abs(boxes).max()) <= 2.0:
        boxes = boxes * np.array([fitted.width, fitted.height] * 2, np.float32)
    return fitted.to_shares(boxes.reshape(-1, 2, 2)).reshape(-1, 4)


def _chosen(boxes: Floats, scores: Floats, config: BoxesConfig) -> tuple[Detection, ...]:
    """Return the boxes with a score, without those that say the same."""
    best, numbers = scores.max(axis=1, initial=0.0), scores.argmax(axis=1) if len(scores) else np.zeros(0, np.int64)
    kept = np.flatnonzero((best >= config.score) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1))
    kept = kept[np.argsort(-best[kept], kind="stable")][:_MOST]
    if not len(kept):
        return ()
    flat = np.concatenate([boxes[kept, :2], boxes[kept, 2:] - boxes[kept, :2]], axis=1).astype(float)
    left: Any = cv2.dnn.NMSBoxesBatched(
        flat.tolist(), best[kept].tolist(), numbers[kept].tolist(), config.score, config.overlap
    )
    order = kept[np.asarray(left, np.int64).ravel()]
    return tuple(_detection(int(numbers[n]), float(best[n]), boxes[n]) for n in order)


def _detection(number: int, score: float, box: Floats) -> Detection:
    left, top, right, bottom = (float(value) for value in box)
    return Detection(number, score, (left, top, right, bottom))


def _refuse(arrays: Mapping[str, NDArray[Any]], classes: int) -> NoReturn:
    found = ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items())
    raise ConfigError(
        f"outputs {found} are none that boxes of {classes} classes can be read from; expected one of [4 + C, N], "
        "[N, 6], or boxes [N, 4] with scores; check names and layout"
    )
