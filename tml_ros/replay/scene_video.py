"""Show the videos of a scene, frame by frame: films, pictures, folders of pictures, and what is drawn.

A frame is made when it is asked for; no more than three are held at a time. Knows pictures only, no messages. Films
and GIFs go through FFmpeg in OpenCV, with their own time stamps; each output frame is the one that the film shows at
that time.
"""

import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tml_ros.errors import SceneError
from tml_ros.replay.scene import RenderedVideo, Scene, VideoFile
from tml_ros.replay.scene_bench import BenchRenderer

__all__ = ["frames", "picture_count"]

PICTURES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
STAMP_TOLERANCE_NS = 500_000  # films keep their stamps rounded, Matroska to whole milliseconds

Picture = NDArray[np.uint8]
Shown = Iterator[tuple[int, Picture | None]]


def frames(scene: Scene) -> Iterator[tuple[int, Picture]]:
    """Yield (time in ns since the start of the scene, picture [H, W, 3] uint8 BGR) in order of time.

    Raises:
        SceneError: A file holds no pictures or cannot be read.
    """
    for video in scene.video:
        times = _times(video.at_ns, video.until_ns, video.rate_hz)
        if isinstance(video, RenderedVideo):
            renderer = BenchRenderer(video.size, video.events, scene.seed)
            yield from ((time_ns, renderer.render(time_ns)) for time_ns in times)
        else:
            yield from ((time_ns, _fit(picture, video.size)) for time_ns, picture in _play(video, times))


def picture_count(scene: Scene) -> int:
    """Return the greatest number of frames that the scene can have; films may end before."""
    return sum(sum(1 for _ in _times(v.at_ns, v.until_ns, v.rate_hz)) for v in scene.video)


def _times(at_ns: int, until_ns: int, rate_hz: float) -> Iterator[int]:
    for number in count():
        time_ns = at_ns + _nth(number, rate_hz)
        if time_ns >= until_ns:
            return
        yield time_ns


def _nth(number: int, rate_hz: float) -> int:
    return round(number * 1e9 / rate_hz)


def _fit(picture: Picture, size: tuple[int, int] | None) -> Picture:
    height, width = picture.shape[:2]
    if size is None or size == (width, height):
        return picture
    shrinks = size[0] * size[1] < width * height
    return _bytes(cv2.resize(picture, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR))


# ----------------------------------------------------------------------------------------------------------- files


def _play(video: VideoFile, times: Iterator[int]) -> Iterator[tuple[int, Picture]]:
    """Yield the picture that is shown at each time, until the file ends."""
    shown = _open(video)
    _, current = next(shown)
    ahead = next(shown, None)
    from_ns = round(video.from_s * 1e9) - video.at_ns
    for time_ns in times:
        while ahead is not None and ahead[0] - STAMP_TOLERANCE_NS <= time_ns + from_ns:
            current, ahead = ahead[1], next(shown, None)
        if current is None:
            return
        yield time_ns, current


def _open(video: VideoFile) -> Shown:
    """Return (time in the file, picture), with (end, None) last unless it is endless."""
    if video.path.is_dir():
        return _folder(video)
    if video.path.suffix.lower() in PICTURES:
        return iter([(0, _picture(video.path))])
    return _film(video)


def _folder(video: VideoFile) -> Shown:
    names = [path for path in video.path.iterdir() if path.suffix.lower() in PICTURES]
    if not names:
        raise SceneError(f"folder {video.path} holds no pictures, expected {', '.join(sorted(PICTURES))}")
    names.sort(key=_by_number)
    pace_hz = video.source_hz or video.rate_hz
    for number in count():
        if number and number % len(names) == 0 and not video.loop:
            yield _nth(number, pace_hz), None
            return
        yield _nth(number, pace_hz), _picture(names[number % len(names)])


def _by_number(path: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)]


def _picture(path: Path) -> Picture:
    picture: Any = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise SceneError(f"picture {path} cannot be read; expected {', '.join(sorted(PICTURES))}, save it again")
    return _bytes(picture)


def _film(video: VideoFile) -> Shown:
    start_ns = 0
    while True:
        end_ns = start_ns
        for time_ns, picture, pause_ns in _decode(video.path):
            yield start_ns + time_ns, picture
            end_ns = start_ns + time_ns + pause_ns
        if end_ns == start_ns:
            raise SceneError(f"film {video.path} cannot be read; expected what FFmpeg reads, such as MP4, AVI or GIF")
        if not video.loop:
            yield end_ns, None
            return
        start_ns = end_ns


def _decode(path: Path) -> Iterator[tuple[int, Picture, int]]:
    """Yield (time in ns, picture, usual time to the next picture in ns) of a film."""
    # FFmpeg only: with a file that it cannot open OpenCV would go on and take the name for a pattern of pictures.
    film = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        pause_ns = round(1e9 / (film.get(cv2.CAP_PROP_FPS) or 25.0))
        last_ns = -1
        while True:
            found, picture = film.read()
            if not found:
                return
            stamp_ns = round(film.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
            # Some containers carry no time stamps, or the same one twice.
            last_ns = stamp_ns if stamp_ns > last_ns else last_ns + pause_ns
            yield last_ns, _bytes(picture), pause_ns
    finally:
        film.release()


def _bytes(picture: Any) -> Picture:
    result: Picture = np.asarray(picture, np.uint8)
    return result
