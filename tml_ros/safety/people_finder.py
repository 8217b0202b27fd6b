"""Find people in pictures: what is new, tall and has moved, and what OpenCV's detector of upright people takes for one.

The first needs no shape but motion, the second no motion but an upright shape; together they find who walks in and who
stands there from the start. Both are cheap, need no download, and are wrong at times: a trolley moves, too. A detector
in an ONNX file takes their place where one is named. It knows no zones and no rules.

Source: N. Dalal and B. Triggs, "Histograms of oriented gradients for human detection", 2005, as in OpenCV 4.
"""

from collections import deque
from dataclasses import dataclass, field

import cv2
import numpy as np

from tml_ros.config import param
from tml_ros.errors import ConfigError
from tml_ros.safety.arrays import Bytes, reduced
from tml_ros.safety.blobs import resembles_person
from tml_ros.safety.eye import View
from tml_ros.safety.onnx_boxes import BoxesConfig, Detection, read_boxes
from tml_ros.safety.onnx_model import OnnxConfig, OnnxModel
from tml_ros.safety.pace import Pace
from tml_ros.safety.zones import Box

__all__ = ["Detector", "DetectorConfig", "PeopleConfig", "PeopleFinder", "overlap"]

_SAME = 0.3
_INSIDE = 0.6
_OF_LOOKS, _LOOKS = 2, 3
_MARGIN_X, _MARGIN_Y = 0.18, 0.08  # of the detector's window, which has more around a person than he is wide


@dataclass(frozen=True, slots=True)
class DetectorConfig:
    """A detector in an ONNX file."""

    model: OnnxConfig = field(default_factory=OnnxConfig)
    boxes: BoxesConfig = field(default_factory=BoxesConfig)
    names: tuple[str, ...] = param((), "Names of its classes in order; empty: as the file tells them")


class Detector:
    """A detector of named things.

    Thread: one caller at a time.
    """

    def __init__(self, config: DetectorConfig, key: str = "detector") -> None:
        """Open the model and try it on a grey picture.

        Raises:
            MissingDependencyError: there is no such file.
            ConfigError: it cannot be used, or nobody tells the names of its classes.
        """
        self._boxes = config.boxes
        self._model = OnnxModel(config.model, f"{key}.model")
        self.names = config.names or self._model.class_names
        if not self.names:
            raise ConfigError(f"{key}.names is empty and {self._model.path} tells none; list its classes in order")
        self.look(np.full((120, 160, 3), 114, np.uint8))

    def look(self, rgb: Bytes) -> tuple[Detection, ...]:
        """Return what is seen, the best first. rgb: [H, W, 3].

        Raises:
            ConfigError: the model fails.
        """
        outputs, fitted = self._model.run(rgb)
        return read_boxes(outputs, fitted, len(self.names), self._boxes)


@dataclass(frozen=True, slots=True)
class PeopleConfig:
    """How people are found."""

    method: str = param(
        "either",
        "What makes a person: that something new moves, that it is upright as the HOG detector knows people, or both; "
        "ignored where a detector is named",
        choices=("either", "motion", "hog", "both"),
    )
    every_s: float = param(0.4, "Time between two looks of a detector", unit="s", minimum=0.0, maximum=60.0)
    width: int = param(
        320, "Width to which pictures are reduced for HOG; people are found from 96 pixels on", minimum=64, maximum=1280
    )
    weight: float = param(0.5, "Least certainty of HOG", minimum=-5.0, maximum=5.0)
    least_height: float = param(
        0.12, "Least height of a person, share of the picture's height", minimum=0.01, maximum=1.0
    )
    least_area: float = param(0.004, "Least area of a person, share of the picture", minimum=0.0, maximum=1.0)
    widest: float = param(2.5, "Largest width of a person over the height; arms may be out", minimum=0.1, maximum=20.0)
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    person: str = param("person", "Name of the detector's class for people")


class PeopleFinder:
    """Finds people, frame by frame.

    Thread: one caller at a time.
    """

    def __init__(self, config: PeopleConfig) -> None:
        """Open the detector, where one is named.

        Raises:
            MissingDependencyError: its file is missing.
            ConfigError: it cannot be used, or has no class of that name.
        """
        self._config = config
        self._detector: Detector | None = None
        if config.detector.model.path:
            self._detector = Detector(config.detector)
            if config.person not in self._detector.names:
                known = ", ".join(self._detector.names)
                raise ConfigError(f"person: the detector has no class {config.person!r}; it has {known}")
        self._hog = cv2.HOGDescriptor()
        self._hog.setSVMDetector(np.array(cv2.HOGDescriptor.getDefaultPeopleDetector(), np.float32))
        self._pace = Pace(config.every_s)
        self._looks: deque[tuple[Box, ...]] = deque(maxlen=_LOOKS)
        self._upright: tuple[Box, ...] = ()

    def find(self, view: View) -> tuple[Box, ...]:
        """Return where people are in the next frame."""
        is_wanted = self._config.method != "motion" or self._detector is not None
        if is_wanted and not view.is_same and self._pace.is_due(view.frame.stamp_ns):
            self._upright = self._look(view.frame.rgb)
        if self._detector is not None or self._config.method == "hog":
            return self._upright
        moved = tuple(
            blob.box
            for blob in view.blobs
            if resembles_person(blob, self._config.least_height, self._config.least_area, self._config.widest)
        )
        if self._config.method == "both":
            return tuple(box for box in moved if any(_is_one(box, other) for other in self._upright))
        others = (box for box in self._upright if not any(_is_one(box, other) for other in moved))
        return moved + tuple(others)

    def _look(self, rgb: Bytes) -> tuple[Box, ...]:
        """Return who is upright; HOG has to say so twice in three looks."""
        if self._detector is not None:
            found = self._detector.look(rgb)
            return tuple(one.box for one in found if self._detector.names[one.number] == self._config.person)
        self._looks.append(self._upright_in(rgb))
        return tuple(
            box
            for box in self._looks[-1]
            if sum(any(overlap(box, other) > _SAME for other in look) for look in self._looks) >= _OF_LOOKS
        )

    def _upright_in(self, rgb: Bytes) -> tuple[Box, ...]:
        grey = np.asarray(cv2.cvtColor(reduced(rgb, self._config.width), cv2.COLOR_RGB2GRAY), np.uint8)
        height, width = grey.shape
        if height < 128 or width < 64:
            return ()
        boxes, weights = self._hog.detectMultiScale(grey, winStride=(8, 8), padding=(16, 16), scale=1.1)
        sure = [box for box, weight in zip(boxes, np.ravel(weights), strict=True) if weight >= self._config.weight]
        return tuple(
            (
                max(0.0, float(x + _MARGIN_X * w) / width),
                max(0.0, float(y + _MARGIN_Y * h) / height),
                min(1.0, float(x + (1.0 - _MARGIN_X) * w) / width),
                min(1.0, float(y + (1.0 - _MARGIN_Y) * h) / height),
            )
            for x, y, w, h in sure
        )


def overlap(a: Box, b: Box) -> float:
    """Return intersection over union."""
    shared = _shared(a, b)
    return shared / max(1e-9, _area(a) + _area(b) - shared)


def _is_one(a: Box, b: Box) -> bool:
    """Tell whether two boxes hold the same person: most of the smaller is in the larger."""
    return _shared(a, b) > _INSIDE * min(_area(a), _area(b))


def _shared(a: Box, b: Box) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _area(box: Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])
