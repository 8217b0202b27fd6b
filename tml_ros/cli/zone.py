"""``tml zone``: draw a zone on a picture, write its polygon as YAML and a picture that shows it.

With a display the corners are clicked, without one they are given as --polygon; a picture with a grid tells them.
"""

import argparse
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tml_ros import wire
from tml_ros.bags import BagReader
from tml_ros.errors import BagError, ConfigError
from tml_ros.media import to_rgb
from tml_ros.replay.inputs import find_inputs
from tml_ros.safety.zone_picture import draw_grid, draw_zones, sides_cross, to_pixels
from tml_ros.safety.zones import Point, Zone
from tml_ros.schema_files import read_yaml

__all__ = ["draw_zone", "parse_polygon", "read_zones", "zone_yaml"]

Rgb = NDArray[np.uint8]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_WINDOW = "tml zone"
_HELP = "click the corners; Backspace: take one back, Enter: done, Esc: give up"
_KEY_ENTER, _KEY_ESC, _KEYS_BACK = (10, 13), 27, (8, 127)


def draw_zone(options: argparse.Namespace) -> int:
    """Write polygon and picture, or a picture with a grid when there is neither a polygon nor a display."""
    if not _NAME.fullmatch(options.name):
        raise ConfigError(f"--name {options.name!r} must be letters, digits and _, a letter first, such as bench")
    zones = read_zones(options.out) if options.out.exists() else {}
    rgb = _picture(options.source, options.time, options.topic)
    points = parse_polygon(options.polygon) if options.polygon else _click(rgb)
    shown = options.out.with_suffix(".jpg")
    if points is None:
        return _show_grid(rgb, options, shown)
    _check(points)
    zones[options.name] = Zone(options.name, points)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(zone_yaml(zones), encoding="utf-8")
    _save(shown, draw_zones(rgb, zones.values()))
    if not options.json:
        print(f"zone {options.name!r} is in {options.out}; {shown} shows it. Name the file in your rules, or copy:")
        print(zone_yaml({options.name: zones[options.name]}), end="")
    found = {
        "name": options.name,
        "points": [list(point) for point in points],
        "area": round(zones[options.name].area, 4),
    }
    print(json.dumps(found | {"zones": str(options.out), "picture": str(shown)}, sort_keys=True))
    return 0


def parse_polygon(text: str) -> tuple[Point, ...]:
    """Read ``x,y x,y x,y``, shares of the picture from 0 to 1.

    Raises:
        ConfigError: not pairs of numbers, or pixels.
    """
    points = []
    for pair in text.replace(";", " ").split():
        try:
            x, y = (float(part) for part in pair.split(","))
        except ValueError as err:
            raise ConfigError(
                f"--polygon has {pair!r}, expected x,y in shares of the picture, as in '0.1,0.5 0.9,0.5 0.9,1'"
            ) from err
        if not (0.0 <= x <= 1.0 and 0.0 <= y <= 1.0):
            raise ConfigError(
                f"--polygon has the point {pair}, expected shares from 0 (left, top) to 1 (right, bottom); divide "
                "pixels by width and height"
            )
        points.append((round(x, 4), round(y, 4)))
    return tuple(points)


def read_zones(path: Path) -> dict[str, Zone]:
    """Read a file that holds zones and nothing else.

    Raises:
        ConfigError: it holds something else, too, which would be lost.
    """
    content = read_yaml(path, "zones file") or {}
    if not isinstance(content, dict) or set(content) - {"zones"}:
        others = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise ConfigError(
            f"{path} holds {others}, expected `zones:` alone, for the file is written anew; give another --out and "
            "copy its lines"
        )
    try:
        return {str(name): Zone(str(name), _points(one)) for name, one in (content.get("zones") or {}).items()}
    except (TypeError, ValueError, AttributeError) as err:
        raise ConfigError(
            f"{path}: zones must be NAME: [[x, y], ...] each ({err}); mend it or give another --out"
        ) from err


def zone_yaml(zones: dict[str, Zone]) -> str:
    """Return zones as they stand in a rules file."""
    lines = [f"  {name}: [{', '.join(f'[{x:g}, {y:g}]' for x, y in zone.points)}]" for name, zone in zones.items()]
    return "\n".join(["zones:", *lines]) + "\n"


def _points(given: Any) -> tuple[Point, ...]:
    return tuple((float(x), float(y)) for x, y in given)


def _check(points: tuple[Point, ...]) -> None:
    crossing = sides_cross(points)
    if crossing:
        raise ConfigError(
            f"sides {crossing[0]} and {crossing[1]} of the polygon cross; give its corners in order around it"
        )


# --------------------------------------------------------------------------------------------------------- pictures


def _picture(source: Path, at_s: float, topic: str | None) -> Rgb:
    """Return a picture: of a file, or of a bag some seconds after its start. [H, W, 3] uint8 RGB."""
    if source.is_file() and source.suffix.lower() not in (".mcap", ".db3", ".zstd"):
        bgr = cv2.imread(str(source), cv2.IMREAD_COLOR)
        if bgr is None:
            raise ConfigError(f"{source} is no picture that OpenCV reads; give a JPEG, a PNG or a bag")
        return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
    if not source.exists():
        raise ConfigError(f"{source} is not there; give a picture (JPEG, PNG) or a bag")
    with BagReader(source) as bag:
        name = topic or _image_topic(source, bag)
        from_ns = bag.info.start_ns + round(at_s * 1e9)
        for message in bag.messages({name}):
            if message.log_ns >= from_ns:
                read = wire.compressed_image if message.type.endswith("CompressedImage") else wire.image
                return to_rgb(read(message.message, message.log_ns))
        raise BagError(
            f"{source} has no picture on {name} from {at_s:g} s on, it is {bag.info.duration_ns / 1e9:.1f} s long; "
            "give a smaller --time"
        )


def _image_topic(source: Path, bag: BagReader) -> str:
    topics = [topic for topic, name in find_inputs(source, bag.info, {}).items() if name.startswith("image")]
    if not topics:
        kinds = [one.name for one in bag.info.topics.values() if one.type.rpartition("/")[2].endswith("Image")]
        raise BagError(
            f"{source} has no picture topic that is clear ({', '.join(kinds) or 'none'}); name it as --topic"
        )
    return topics[0]


def _save(path: Path, rgb: Rgb) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)):
        raise ConfigError(f"{path} cannot be written; check folder and permissions")


def _show_grid(rgb: Rgb, options: argparse.Namespace, shown: Path) -> int:
    _save(shown, draw_grid(rgb))
    again = f"tml zone {options.source} --out {options.out} --name {options.name} --polygon 'x,y x,y x,y ...'"
    if not options.json:
        print(f"no window can be opened here. {shown} has a grid: read the corners off and run\n  {again}")
    print(json.dumps({"name": options.name, "points": None, "zones": None, "picture": str(shown)}, sort_keys=True))
    return 0


# ---------------------------------------------------------------------------------------------------------- clicking


class Corners:
    """What was clicked so far. Thread: that of the window."""

    def __init__(self, width: int, height: int) -> None:
        self.points: list[Point] = []
        self._size = width, height

    def on_mouse(self, event: int, x: int, y: int, flags: int = 0, param: Any = None) -> None:
        """Take a click, as OpenCV reports it; the right button takes the last corner back."""
        if event == cv2.EVENT_LBUTTONDOWN:
            width, height = self._size
            self.points.append((_share(x, width), _share(y, height)))
        elif event == cv2.EVENT_RBUTTONDOWN:
            self.take_back()

    def take_back(self) -> None:
        """Forget the last corner."""
        if self.points:
            self.points.pop()

    def drawn(self, rgb: Rgb) -> Rgb:
        """Return the picture with what was clicked."""
        picture = rgb.copy()
        height, width = rgb.shape[:2]
        corners = to_pixels(self.points, width, height)
        cv2.polylines(picture, [corners], len(corners) > 2, (255, 176, 0), 2, cv2.LINE_AA)
        for x, y in corners.tolist():
            cv2.circle(picture, (x, y), 4, (255, 176, 0), -1, cv2.LINE_AA)
        return picture


def _share(pixel: int, size: int) -> float:
    return round(min(max((pixel + 0.5) / size, 0.0), 1.0), 4)


def _click(rgb: Rgb) -> tuple[Point, ...] | None:
    """Let a person click the corners; None where no window can be opened.

    Raises:
        ConfigError: it was given up.
    """
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return None
    corners = Corners(rgb.shape[1], rgb.shape[0])
    try:
        cv2.namedWindow(_WINDOW, cv2.WINDOW_AUTOSIZE)
        cv2.setMouseCallback(_WINDOW, corners.on_mouse)
    except cv2.error:  # opencv-python-headless has no windows
        return None
    print(_HELP, file=sys.stderr)
    try:
        return _clicked(corners, rgb)
    finally:
        cv2.destroyAllWindows()


def _clicked(corners: Corners, rgb: Rgb) -> tuple[Point, ...]:
    while True:
        cv2.imshow(_WINDOW, cv2.cvtColor(corners.drawn(rgb), cv2.COLOR_RGB2BGR))
        key = cv2.waitKey(30) & 0xFF
        if key in _KEYS_BACK:
            corners.take_back()
        elif key in _KEY_ENTER and len(corners.points) >= 3:
            return tuple(corners.points)
        elif key == _KEY_ESC or cv2.getWindowProperty(_WINDOW, cv2.WND_PROP_VISIBLE) < 1:
            raise ConfigError("no zone was drawn: it was given up")
