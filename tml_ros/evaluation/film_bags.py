"""Make bags of labelled films, and run the lab monitor over bags as a robot would: read, decoded, window by window.

A bag holds the pictures of a film as PNG, for nothing to be lost, on /camera/image_raw/compressed and nothing else; the
labels stay with the films. It is played by ``replay`` with a model that says nothing, and with a lab file of what is
labelled.
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tml_ros.bags import whole_bag
from tml_ros.errors import InputError
from tml_ros.records import AlertState
from tml_ros.replay import ReplayOptions, replay
from tml_ros.sights import Film
from tml_ros.wire import INPUT_TYPES, header_tree

__all__ = ["TOPIC", "bag_alerts", "make_film_bag"]

TOPIC = "/camera/image_raw/compressed"
_START_NS = 1_700_000_000_000_000_000


def make_film_bag(film: Film, out: Path, fps: float) -> Path:
    """Write a film as a bag and return its folder. Nothing is left when it fails.

    Args:
        film: what is shown.
        out: folder to be created.
        fps: pictures a second; each is the one that is shown then.

    Raises:
        BagError: the folder exists already, or cannot be written.
        InputError: the film has no pictures.
    """
    has_pictures = False
    with whole_bag(out) as writer:
        for time_s, rgb in film.frames(fps):
            stamp_ns = _START_NS + round(time_s * 1e9)
            writer.write(TOPIC, INPUT_TYPES["image/compressed"], _message(stamp_ns, rgb), stamp_ns)
            has_pictures = True
        if not has_pictures:
            raise InputError(f"film {film.path} has no pictures; expected what FFmpeg reads, such as MP4, AVI or GIF")
    return out


def _message(stamp_ns: int, rgb: NDArray[np.uint8]) -> dict[str, object]:
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return {"header": header_tree(stamp_ns, "camera"), "format": "bgr8; png compressed bgr8", "data": data.tobytes()}


def bag_alerts(bag: Path, lab_file: Path) -> list[tuple[str, float]]:
    """Return rule and time in seconds of every alert that is raised when a bag is played.

    Raises:
        BagError: the bag is missing, damaged or holds no pictures.
        ConfigError: the lab file is wrong.
    """
    values = {"model": "silence", "safety.lab_file": str(lab_file)}
    log = replay(bag, ReplayOptions(values=values, background="none")).log
    raised = [alert for alert in log.alerts if alert.state is AlertState.RAISED]
    return [(alert.rule, (alert.stamp_ns - _START_NS) / 1e9) for alert in raised]
