"""Watch how people hold themselves: how far the trunk and the neck lean, from keypoints of a pose model in ONNX.

Angles are those in the picture, so they tell of people seen from the side. Three layouts of outputs are read:

| layout | outputs |
|---|---|
| yolo_pose | [1, 5 + 3 K, N]: box, score, then x, y and score per keypoint, in pixels of the input |
| points | [1, 1, K, 2 or 3] or [1, K, 2 or 3]: as ``order`` says, in shares of the input or in its pixels |
| heatmaps | [1, K, h, w] |

The file is one that somebody names. It knows no rules.

Source: keypoints of COCO; ultralytics pose exports; MoveNet's (y, x, score); A. Newell et al., "Stacked hourglass
networks", 2016, for maps.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NoReturn

import numpy as np
from numpy.typing import NDArray

from tml_ros.config import param
from tml_ros.errors import ConfigError
from tml_ros.safety.arrays import Bytes
from tml_ros.safety.eye import View
from tml_ros.safety.onnx_model import Fitted, OnnxConfig, OnnxModel
from tml_ros.safety.pace import Pace
from tml_ros.safety.people_finder import PeopleConfig, PeopleFinder
from tml_ros.safety.watcher import Reading, SafetyTurn, Surroundings
from tml_ros.safety.zones import Box

__all__ = ["PostureConfig", "PostureWatcher", "lean_of"]

Floats = NDArray[np.float32]
_MARGIN = 0.15


@dataclass(frozen=True, slots=True)
class PostureConfig:
    """Which model, which of its keypoints are what, and what is a slouch."""

    model: OnnxConfig = field(default_factory=OnnxConfig)
    layout: str = param(
        "auto", "Outputs of the model; auto: told by their shape", choices=("auto", "yolo_pose", "points", "heatmaps")
    )
    order: str = param("xy", "Order of a point's numbers, for points", choices=("xy", "yx"))
    cut_out: bool = param(False, "Look at each person cut out, as models for one person expect; else at the picture")
    shoulders: tuple[int, ...] = param((5, 6), "Numbers of the keypoints that are shoulders")
    hips: tuple[int, ...] = param((11, 12), "Numbers of the keypoints that are hips")
    ears: tuple[int, ...] = param((3, 4), "Numbers of the keypoints that are ears")
    score: float = param(0.3, "Least score of a person and of a keypoint", minimum=0.0, maximum=1.0)
    trunk_deg: float = param(20.0, "Lean of the trunk that is a slouch", unit="deg", minimum=1.0, maximum=90.0)
    neck_deg: float = param(45.0, "Lean of the neck that is one as well", unit="deg", minimum=1.0, maximum=90.0)
    every_s: float = param(0.4, "Time between two looks", unit="s", minimum=0.0, maximum=60.0)
    find: PeopleConfig = field(default_factory=PeopleConfig)


class PostureWatcher:
    """The kind ``posture``."""

    config_type: ClassVar[type[Any]] = PostureConfig
    values: ClassVar[Mapping[str, str]] = {
        "people": "number of people whose trunk is seen",
        "trunk_deg": "largest lean of a trunk from upright, degrees",
        "neck_deg": "largest lean of a neck, degrees",
        "slouching_s": "for how long somebody has been slouching, seconds",
    }

    def __init__(self, config: PostureConfig, surroundings: Surroundings) -> None:
        """Open the model and try it on a grey picture.

        Raises:
            MissingDependencyError: its file is missing.
            ConfigError: it cannot be used.
        """
        self._config = config
        self._model = OnnxModel(config.model, default_size=256)
        self._finder = PeopleFinder(config.find) if config.cut_out else None
        self._pace = Pace(config.every_s)
        self._slouches_ns: int | None = None
        self._is_blind = False
        self._numbers: dict[str, float | None] = dict.fromkeys(("people", "trunk_deg", "neck_deg"))
        self._boxes: tuple[Box, ...] = ()
        self._keypoints(np.full((64, 64, 3), 114, np.uint8))

    def step(self, turn: SafetyTurn) -> Reading:
        """Take in the next turn."""
        for view in turn.views:
            self._is_blind = view.is_blind
            if view.is_blind:
                continue
            people = self._finder.find(view) if self._finder is not None else ()
            if self._pace.is_due(view.frame.stamp_ns):
                self._look(view, people)
        if self._is_blind or self._numbers["people"] is None:
            return Reading(dict.fromkeys(self.values))
        slouching_s = (turn.end_ns - self._slouches_ns) / 1e9 if self._slouches_ns is not None else 0.0
        return Reading({**self._numbers, "slouching_s": slouching_s}, self._boxes)

    def _look(self, view: View, people: Sequence[Box]) -> None:
        rgb = view.frame.rgb
        parts = [_cut(rgb, box) for box in people] if self._finder is not None else [(rgb, 0.0, 0.0)]
        bodies = [
            points + np.array([left, top, 0.0], np.float32)
            for part, left, top in parts
            if min(part.shape[:2]) >= 8
            for points in self._keypoints(part)
        ]
        config = self._config
        trunks = [(lean_of(body, config.shoulders, config.hips, config.score), body) for body in bodies]
        seen = [(lean, lean_of(body, config.ears, config.shoulders, config.score), body) for lean, body in trunks]
        seen = [one for one in seen if one[0] is not None]
        slouching = [one for one in seen if (one[0] or 0.0) >= config.trunk_deg or (one[1] or 0.0) >= config.neck_deg]
        self._numbers = {
            "people": float(len(seen)),
            "trunk_deg": max((lean for lean, _, _ in seen if lean is not None), default=0.0),
            "neck_deg": max((lean for _, lean, _ in seen if lean is not None), default=0.0),
        }
        self._boxes = tuple(_around(body, rgb.shape, config.score) for _, _, body in slouching)
        self._slouches_ns = (self._slouches_ns or view.frame.stamp_ns) if slouching else None

    def _keypoints(self, rgb: Bytes) -> list[Floats]:
        """Return [K, 3] x and y in pixels of the picture and score, of each person."""
        outputs, fitted = self._model.run(rgb)
        raw = np.asarray(next(iter(outputs.values())), np.float32)
        size = np.array([rgb.shape[1], rgb.shape[0]], np.float32)
        bodies = []
        for points in self._read(raw, fitted):
            shares = fitted.to_shares(points[:, :2])
            bodies.append(np.concatenate([shares * size, points[:, 2:]], axis=1).astype(np.float32))
        return bodies

    def _read(self, raw: Floats, fitted: Fitted) -> list[Floats]:
        """Return [K, 3] per person, in pixels of the input."""
        layout, least = self._config.layout, 1 + max((*self._config.shoulders, *self._config.hips, *self._config.ears))
        if raw.ndim == 3 and layout in ("auto", "yolo_pose") and raw.shape[1] >= 5 + 3 * least:
            rows = raw[0].T[raw[0, 4] >= self._config.score]
            return _apart([row[:5] for row in rows], [row[5:].reshape(-1, 3) for row in rows])
        points = raw[0] if raw.ndim == 3 else raw[0, 0] if raw.ndim == 4 and raw.shape[1] == 1 else None
        if points is not None and layout in ("auto", "points") and points.shape[1] in (2, 3) and len(points) >= least:
            ordered = points if self._config.order == "xy" else points[:, [1, 0, *range(2, points.shape[1])]]
            scores = ordered[:, 2:] if ordered.shape[1] == 3 else np.ones((len(ordered), 1), np.float32)
            scale = (fitted.width, fitted.height) if float(np.abs(ordered[:, :2]).max()) <= 2.0 else (1, 1)
            return [np.concatenate([ordered[:, :2] * np.array(scale, np.float32), scores], axis=1)]
        if raw.ndim == 4 and layout in ("auto", "heatmaps") and raw.shape[1] >= least:
            return [_peaks(raw[0], fitted)]
        return _refuse(raw, least)


def lean_of(body: Floats, upper: Sequence[int], lower: Sequence[int], score: float) -> float | None:
    """Return the angle from upright of the line between two pairs of keypoints, degrees; None where they are unsure.

    body: [K, 3]. Of a pair, those count that are sure.
    """
    ends = []
    for numbers in (upper, lower):
        sure = [body[number, :2] for number in numbers if body[number, 2] >= score]
        if not sure:
            return None
        ends.append(np.mean(sure, axis=0))
    across, up = (float(value) for value in ends[0] - ends[1])
    return math.degrees(math.atan2(abs(across), -up)) if across or up else None


def _apart(boxes: list[Floats], bodies: list[Floats]) -> list[Floats]:
    """Return the surest of those bodies whose boxes have their middles close together. boxes: x, y, w, h, score."""
    order = sorted(range(len(boxes)), key=lambda number: -float(boxes[number][4]))
    kept: list[int] = []
    for number in order:
        x, y, w, h = (float(value) for value in boxes[number][:4])
        if all(abs(x - boxes[k][0]) > 0.3 * w or abs(y - boxes[k][1]) > 0.3 * h for k in kept):
            kept.append(number)
    return [bodies[number] for number in kept]


def _peaks(maps: Floats, fitted: Fitted) -> Floats:
    """Return the place and height of the peak in each map. maps: [K, h, w]."""
    count, height, width = maps.shape
    flat = maps.reshape(count, -1)
    y, x = np.divmod(flat.argmax(axis=1), width)
    scale = (fitted.width / width, fitted.height / height)
    return np.stack([(x + 0.5) * scale[0], (y + 0.5) * scale[1], flat.max(axis=1)], axis=1).astype(np.float32)


def _cut(rgb: Bytes, box: Box) -> tuple[Bytes, float, float]:
    """Return a person cut out with a margin, and where that begins, in pixels."""
    height, width = rgb.shape[:2]
    across, down = _MARGIN * (box[2] - box[0]), _MARGIN * (box[3] - box[1])
    left, top = max(0, round((box[0] - across) * width)), max(0, round((box[1] - down) * height))
    part = rgb[top : round((box[3] + down) * height), left : round((box[2] + across) * width)]
    return part, float(left), float(top)


def _around(body: Floats, shape: tuple[int, ...], score: float) -> Box:
    sure = body[body[:, 2] >= score, :2] / np.array([shape[1], shape[0]], np.float32)
    (left, top), (right, bottom) = sure.min(axis=0), sure.max(axis=0)
    return (float(left), float(top), float(right), float(bottom))


def _refuse(raw: Floats, least: int) -> NoReturn:
    raise ConfigError(
        f"the output {list(raw.shape)} is none that {least} keypoints can be read from; expected [1, 5 + 3 K, N], "
        "[1, K, 2 or 3] or [1, K, h, w]; check layout and the numbers of the keypoints"
    )
