"""Check what people wear with a classifier in an ONNX file, on pictures of each person cut out of the whole.

Helmet, vest, goggles or gloves: the file tells, and somebody names it. A person counts only after several looks agree,
because one picture of a head that turns proves nothing. It knows no rules.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tml_ros.config import param
from tml_ros.errors import ConfigError, nearest_name
from tml_ros.safety.arrays import Bytes
from tml_ros.safety.eye import View
from tml_ros.safety.onnx_model import OnnxConfig, OnnxModel
from tml_ros.safety.pace import Pace
from tml_ros.safety.people_finder import PeopleConfig, PeopleFinder
from tml_ros.safety.watcher import Reading, SafetyTurn, Surroundings
from tml_ros.safety.zones import Box

__all__ = ["EquipmentConfig", "EquipmentWatcher"]

_PARTS: Mapping[str, tuple[float, float]] = {"whole": (0.0, 1.0), "head": (0.0, 0.25), "upper": (0.0, 0.6)}
_LEAST_PIXELS = 8


@dataclass(frozen=True, slots=True)
class EquipmentConfig:
    """Which classifier, and what of it is wrong."""

    model: OnnxConfig = field(default_factory=OnnxConfig)
    names: tuple[str, ...] = param((), "Names of its classes in order; empty: as the file tells them")
    wrong: tuple[str, ...] = param((), "Names of the classes that mean that something is not worn")
    exclusive: bool = param(True, "Whether exactly one class holds; otherwise each may hold by itself")
    score: float = param(0.6, "Least score of a wrong class", minimum=0.0, maximum=1.0)
    part: str = param("whole", "Part of a person that is cut out, from above", choices=("whole", "head", "upper"))
    margin: float = param(0.1, "What is cut out around it, share of its size", minimum=0.0, maximum=1.0)
    looks: int = param(3, "Looks in a row that must agree", minimum=1, maximum=100)
    every_s: float = param(0.4, "Time between two looks", unit="s", minimum=0.0, maximum=60.0)
    most: int = param(4, "Most people who are looked at each time, the largest first", minimum=1, maximum=50)
    find: PeopleConfig = field(default_factory=PeopleConfig)


class EquipmentWatcher:
    """The kind ``equipment``."""

    config_type: ClassVar[type[Any]] = EquipmentConfig
    values: ClassVar[Mapping[str, str]] = {
        "people": "number of people who were looked at",
        "wrong": "number of them who do not wear what they should",
        "score": "highest score of a wrong class, 0 for none",
    }

    def __init__(self, config: EquipmentConfig, surroundings: Surroundings) -> None:
        """Open the classifier and try it on a grey picture.

        Raises:
            MissingDependencyError: its file is missing.
            ConfigError: it cannot be used, or has no class of a wrong name.
        """
        self._config = config
        self._model = OnnxModel(config.model, default_size=224)
        self._names = config.names or self._model.class_names
        if not config.wrong:
            raise ConfigError("wrong is empty; name the classes that mean that something is not worn")
        for name in config.wrong:
            if name not in self._names:
                hint = nearest_name(name, self._names) or f"; known: {', '.join(self._names) or 'none, give names'}"
                raise ConfigError(f"wrong: the classifier has no class {name!r}{hint}")
        self._wrong = [self._names.index(name) for name in config.wrong]
        self._finder = PeopleFinder(config.find)
        self._looks: deque[tuple[Box, ...]] = deque(maxlen=config.looks)
        self._pace = Pace(config.every_s)
        self._is_blind = False
        self._values: dict[str, float | None] = dict.fromkeys(self.values)
        self._boxes: tuple[Box, ...] = ()
        self._classify(np.full((64, 64, 3), 114, np.uint8))

    def step(self, turn: SafetyTurn) -> Reading:
        """Take in the next turn."""
        for view in turn.views:
            self._is_blind = view.is_blind
            if view.is_blind:
                continue
            people = self._finder.find(view)
            if self._pace.is_due(view.frame.stamp_ns):
                self._look(view, people)
        if self._is_blind:
            return Reading(dict.fromkeys(self.values))
        return Reading(dict(self._values), self._boxes)

    def _look(self, view: View, people: tuple[Box, ...]) -> None:
        chosen = sorted(people, key=lambda box: (box[0] - box[2]) * (box[3] - box[1]))[: self._config.most]
        crops = [(box, self._cut(view.frame.rgb, box)) for box in chosen]
        scores = {box: self._score(crop) for box, crop in crops if min(crop.shape[:2]) >= _LEAST_PIXELS}
        self._looks.append(tuple(box for box, score in scores.items() if score >= self._config.score))
        self._boxes = tuple(box for box in self._looks[-1] if self._is_agreed(box))
        self._values = {
            "people": float(len(scores)),
            "wrong": float(len(self._boxes)),
            "score": max(scores.values(), default=0.0),
        }

    def _is_agreed(self, box: Box) -> bool:
        """Tell whether each of the last looks said so of somebody who may be the same."""
        if len(self._looks) < self._config.looks:
            return False
        for look in list(self._looks)[-2::-1]:
            before = next((other for other in look if _is_near(box, other)), None)
            if before is None:
                return False
            box = before
        return True

    def _cut(self, rgb: Bytes, box: Box) -> Bytes:
        height, width = rgb.shape[:2]
        first, last = _PARTS[self._config.part]
        tall, wide = box[3] - box[1], box[2] - box[0]
        top, bottom = box[1] + first * tall, box[1] + last * tall
        down, across = self._config.margin * (bottom - top), self._config.margin * wide
        rows = slice(max(0, round((top - down) * height)), round((bottom + down) * height))
        columns = slice(max(0, round((box[0] - across) * width)), round((box[2] + across) * width))
        return rgb[rows, columns]

    def _score(self, crop: Bytes) -> float:
        """Return how likely it is that something is not worn."""
        likely = self._classify(crop)
        wrong = likely[self._wrong]
        return float(min(1.0, wrong.sum()) if self._config.exclusive else wrong.max())

    def _classify(self, crop: Bytes) -> NDArray[np.float32]:
        """Return [C] scores from 0 to 1."""
        outputs, _ = self._model.run(crop)
        raw = np.asarray(next(iter(outputs.values())), np.float32).ravel()
        if len(raw) != len(self._names):
            raise ConfigError(f"{self._model.path} gives {len(raw)} numbers for {len(self._names)} names of classes")
        is_share = raw.min() >= 0.0 and raw.max() <= 1.0
        if self._config.exclusive:
            if is_share and abs(float(raw.sum()) - 1.0) < 1e-2:
                return raw
            risen = np.exp(raw - raw.max())
            return np.asarray(risen / risen.sum(), np.float32)
        return raw if is_share else np.asarray(1.0 / (1.0 + np.exp(-np.clip(raw, -60.0, 60.0))), np.float32)


def _is_near(a: Box, b: Box) -> bool:
    """Tell whether two boxes may hold the same person, who has walked on by no more than his width."""
    wide, tall = max(a[2] - a[0], b[2] - b[0]), max(a[3] - a[1], b[3] - b[1])
    return abs(a[0] + a[2] - b[0] - b[2]) < 2.0 * wide and abs(a[1] + a[3] - b[1] - b[3]) < tall
