"""Real films with labels as pictures and truth, the way rendered scenes give them.

A folder holds films and labels.json, by name of the file. ``events``, as ``"6.8 left out"`` and ``"12.0 left back"``,
say when a vessel was taken from where it stands and put back; ``truth`` may list events of any kind as
``{"kind": ..., "begin_s": ..., "end_s": ..., "box": [left, up, right, down]}``, ``zone`` the corners of a zone.
Where it says nothing of those, films of Intel's sample videos get what was read off their pictures here. Labels by eye
are good to 0.2 s. It knows no drawing.

Source: github.com/intel-iot-devkit/sample-videos, CC BY 4.0.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tml_ros.errors import InputError
from tml_ros.sights.canvas import Point
from tml_ros.sights.truth import WHOLE, Box, SightEvent, SightKind

__all__ = ["Film", "load_films"]

SUFFIXES = frozenset({".avi", ".gif", ".mkv", ".mp4", ".webm"})
BY_EYE: Mapping[str, Mapping[str, Any]] = {
    "worker-zone-detection.gif": {
        "zone": [[0.0, 0.3], [0.37, 0.3], [0.51, 0.47], [0.22, 1.0], [0.0, 1.0]],
        "truth": [{"kind": "person_in_zone", "begin_s": 2.5, "end_s": 4.6, "box": [0.2, 0.2, 0.34, 0.83]}],
    },
}
"""The floor to the left of the hazard line, and the worker who crosses it; he is there from the first picture on."""


@dataclass(frozen=True, slots=True)
class Film:
    """One film. fps, duration_s, size (width, height): its own. zone: corners, shares of the picture."""

    path: Path
    fps: float
    duration_s: float
    size: tuple[int, int]
    events: tuple[SightEvent, ...] = ()
    zone: tuple[Point, ...] = ()

    @property
    def theme(self) -> str:
        """The name of the film, in place of what a scene is about."""
        return self.path.stem

    def frames(
        self, fps: float | None = None, size: tuple[int, int] | None = None
    ) -> Iterator[tuple[float, NDArray[np.uint8]]]:
        """Yield (time in seconds, picture [H, W, 3] uint8 RGB).

        Args:
            fps: rate, each picture being the one that is shown then; None gives the film's own pictures and times.
            size: width and height; None is the film's own.
        """
        number, shown = 0, None
        for time_s, picture in self._decode(size):
            if fps is None:
                yield time_s, picture
                continue
            while shown is not None and number / fps < time_s - 5e-4:
                yield number / fps, shown
                number += 1
            shown = picture
        while fps is not None and shown is not None and number / fps < self.duration_s - 1e-6:
            yield number / fps, shown
            number += 1

    def truth(self, fps: float | None = None) -> tuple[SightEvent, ...]:
        """Return what the labels say, whatever the rate."""
        return self.events

    def _decode(self, size: tuple[int, int] | None) -> Iterator[tuple[float, NDArray[np.uint8]]]:
        film = cv2.VideoCapture(str(self.path), cv2.CAP_FFMPEG)
        try:
            last_s = -1.0
            while True:
                found, bgr = film.read()
                if not found:
                    return
                stamp_s = film.get(cv2.CAP_PROP_POS_MSEC) / 1e3
                last_s = stamp_s if stamp_s > last_s else last_s + 1.0 / self.fps
                if size is not None and size != self.size:
                    bgr = cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)
                yield last_s, np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
        finally:
            film.release()


def load_films(folder: Path) -> tuple[Film, ...]:
    """Return the films of a folder in order of name, with what labels.json says of them.

    Raises:
        InputError: there is no such folder or no labels.json, or a film or label in it cannot be read.
    """
    path = folder / "labels.json"
    try:
        labels: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise InputError(f"{path} cannot be read ({err}); expected a JSON object of labels by name of film") from err
    films = sorted(one for one in folder.iterdir() if one.suffix.lower() in SUFFIXES)
    return tuple(_film(one, labels.get(one.name, {})) for one in films)


def _film(path: Path, label: Mapping[str, Any]) -> Film:
    film = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        fps = float(film.get(cv2.CAP_PROP_FPS) or 0.0)
        size = (int(film.get(cv2.CAP_PROP_FRAME_WIDTH)), int(film.get(cv2.CAP_PROP_FRAME_HEIGHT)))
        last_s = 0.0
        while film.grab():
            last_s = max(last_s, film.get(cv2.CAP_PROP_POS_MSEC) / 1e3)
    finally:
        film.release()
    if fps <= 0.0 or 0 in size:
        raise InputError(f"film {path} cannot be read; expected what FFmpeg reads, such as MP4, AVI or GIF")
    known = {**BY_EYE.get(path.name, {}), **label}
    zone = tuple((float(x), float(y)) for x, y in known.get("zone", ()))
    return Film(path, fps, last_s + 1.0 / fps, size, _events(path, known, last_s), zone)


def _events(path: Path, label: Mapping[str, Any], end_s: float) -> tuple[SightEvent, ...]:
    try:
        listed = [
            SightEvent(SightKind(item["kind"]), float(item["begin_s"]), float(item["end_s"]), _box(item.get("box")))
            for item in label.get("truth", ())
        ]
        found = [*listed, *_removals(label.get("events", ()), end_s)]
    except (KeyError, TypeError, ValueError) as err:
        raise InputError(
            f"labels of {path.name} cannot be used ({err}); expected events such as '6.8 left out' and truth with "
            f"kind, begin_s and end_s"
        ) from err
    return tuple(sorted(found, key=lambda event: (event.begin_s, event.kind)))


def _removals(lines: list[str], end_s: float) -> Iterator[SightEvent]:
    """Yield when each vessel was away. lines: as ``6.8 left out`` and ``12.0 left back``, in order of time."""
    places = {name: number for number, name in enumerate(sorted({line.split()[1] for line in lines}), start=1)}
    out: dict[str, float] = {}
    for line in lines:
        time, name, what = line.split()
        if what == "out":
            out[name] = float(time)
        elif what == "back":
            yield SightEvent(SightKind.OBJECT_AWAY, out.pop(name), float(time), WHOLE, places[name], name)
        else:
            raise ValueError(f"{line!r} says neither out nor back")
    for name, time_s in out.items():
        yield SightEvent(SightKind.OBJECT_AWAY, time_s, end_s, WHOLE, places[name], name)


def _box(corners: Any) -> Box:
    if corners is None:
        return WHOLE
    left, up, right, down = (float(corner) for corner in corners)
    return (left, up, right, down)
