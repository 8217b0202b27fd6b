"""A place drawn with a few strokes, with noise, for tests of watchers: cheap, and exact in what happens when."""

import cv2
import numpy as np

from tml_ros.records import MICRO_TURN_NS, Frame, MicroTurn
from tml_ros.safety.eye import Eye
from tml_ros.safety.watcher import SafetyTurn

START_NS = 1_000_000_000
SIZE = (160, 120)


def room(seed: int = 0) -> np.ndarray:
    """A wall with shelves before a floor with tiles, [120, 160, 3] uint8."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((120, 160, 3), np.uint8)
    picture[:60], picture[60:] = (170, 175, 180), (110, 120, 112)
    for x in range(0, 160, 16):
        cv2.line(picture, (x, 60), (x - 8, 119), (90, 96, 92), 1)
        cv2.rectangle(picture, (x + 2, 14), (x + 11, 26), rng.integers(40, 220, 3).tolist(), -1)
    for y in (72, 88, 106):
        cv2.line(picture, (0, y), (159, y), (88, 95, 90), 1)
    return picture


def noisy(picture: np.ndarray, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0.0, 2.0, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def turn(index: int, pictures: list[np.ndarray], audio: np.ndarray | None = None) -> MicroTurn:
    """A micro-turn with its pictures spread evenly."""
    start_ns = START_NS + index * MICRO_TURN_NS
    step_ns = MICRO_TURN_NS // max(1, len(pictures))
    frames = tuple(Frame(start_ns + number * step_ns, picture) for number, picture in enumerate(pictures))
    sound = np.zeros(3200, np.float32) if audio is None else audio
    return MicroTurn(index, start_ns, start_ns + MICRO_TURN_NS, sound, 1.0, frames=frames)


def watch(watcher: object, pictures: list[np.ndarray], fps: int = 10) -> list[dict[str, float | None]]:
    """What a watcher gives for each of the pictures."""
    eye, values = Eye(), []
    for number, picture in enumerate(pictures):
        stamp_ns = START_NS + number * 1_000_000_000 // fps
        view = eye.look(Frame(stamp_ns, picture))
        end_ns = stamp_ns + 1_000_000_000 // fps
        values.append(
            dict(watcher.step(SafetyTurn(stamp_ns, end_ns, np.zeros(3200, np.float32), views=(view,))).values)
        )
    return values


def listen(watcher: object, sound: np.ndarray) -> list[dict[str, float | None]]:
    """What a watcher gives for each micro-turn of a sound."""
    values = []
    for index in range(len(sound) // 3200):
        start_ns = START_NS + index * MICRO_TURN_NS
        part = sound[index * 3200 : (index + 1) * 3200].astype(np.float32)
        values.append(dict(watcher.step(SafetyTurn(start_ns, start_ns + MICRO_TURN_NS, part)).values))
    return values
