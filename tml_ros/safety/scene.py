"""The scene as it mostly is, and what differs from it.

A running mean of every pixel and of how much it varies. A picture is compared with it after a common change of light is
taken out, and with what the scene has within a pixel around, so that a lamp that hums and a camera that shakes are no
events. What is new does not change the scene until it has stood still for long. It knows no watchers.

Source: the selective running average of C. Wren et al., "Pfinder", PAMI 19(7), 1997; shadows by a common ratio of the
colours as in T. Horprasert et al., "A statistical approach for real-time robust background subtraction", 1999.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from tml_ros.config import param
from tml_ros.safety.arrays import Bytes, Floats, Mask, closed, largest, mean, opened, smallest

__all__ = ["Comparison", "SceneConfig", "SceneMemory", "distance", "light_of", "soft"]

_SQUARE = np.ones((3, 3), np.uint8)
_NOISE_SIGMAS = 4.0
_EVERY = 4  # every fourth row and column is enough for a median
_MOST_FIRST = 40
_UPSET_SHARE = 0.6
_SOFT_SHARE = 0.26  # of the width: what changes no faster than that is light


@dataclass(frozen=True, slots=True)
class SceneConfig:
    """How pictures are compared with the scene as it mostly is."""

    learn_s: float = param(
        1.0, "Time from which the scene is learned at the start", unit="s", minimum=0.2, maximum=60.0
    )
    difference: float = param(
        14.0, "Least difference that counts, of 255; noise that is seen raises it", minimum=2.0, maximum=128.0
    )
    adapt_s: float = param(
        20.0, "Time constant with which the scene follows slow changes", unit="s", minimum=1.0, maximum=3600.0
    )
    absorb_s: float = param(
        120.0,
        "Time that something new must stand still before it belongs to the scene",
        unit="s",
        minimum=1.0,
        maximum=86400.0,
    )
    relearn_s: float = param(
        5.0,
        "Time with most of the picture new and still after which the scene is learned again: the camera was moved",
        unit="s",
        minimum=1.0,
        maximum=3600.0,
    )


@dataclass(frozen=True, slots=True)
class Comparison:
    """A picture beside the scene, all [h, w]. new: differs; shadow: new, but only darker; moved: new, and has moved.

    solid: differs by more than soft light, as shadows and the glow of a flame are. new_s: for how long it has been new.
    lit: [h, w, 3], the picture in the scene's light; flat: without soft light, too. light: factor over that. scene:
    [h, w, 3].
    """

    new: Mask
    shadow: Mask
    moved: Mask
    solid: Mask
    new_s: Floats
    lit: Floats
    flat: Floats
    light: float
    scene: Floats


class SceneMemory:
    """Remembers one scene.

    Thread: one caller at a time.
    """

    def __init__(self, config: SceneConfig) -> None:
        self._config = config
        self._first: list[Floats] = []
        self._first_s = 0.0
        self._learned: _Learned | None = None

    def compare(self, picture: Floats, moving: Mask, still_s: Floats, step_s: float) -> Comparison | None:
        """Take in the next picture [h, w, 3] and compare it; None as long as the scene is not known."""
        if self._learned is None:
            self._learned = self._learn(picture, step_s)
            return None
        found = self._learned.compare(picture, moving, step_s, self._config)
        self._learned.follow(found, still_s, step_s, self._config)
        if self._learned.upset_s > self._config.relearn_s:
            self._learned, self._first, self._first_s = None, [], 0.0
        return found

    def _learn(self, picture: Floats, step_s: float) -> "_Learned | None":
        self._first = [*self._first, picture][-_MOST_FIRST:]
        self._first_s += step_s if len(self._first) > 1 else 0.0
        if self._first_s < self._config.learn_s or len(self._first) < 3:
            return None
        stack = np.stack(self._first)
        scene = np.median(stack, axis=0).astype(np.float32)
        varies = np.asarray(cv2.blur(np.abs(stack - scene).mean(axis=0).max(axis=2), (3, 3)), np.float32)
        shape = picture.shape[:2]
        return _Learned(scene, varies, np.zeros(shape, np.float32), np.zeros(shape, np.bool_))


@dataclass(slots=True)
class _Learned:
    """A scene that is known. upset_s: for how long most of the picture has been something else."""

    scene: Floats
    varies: Floats
    new_s: Floats
    moved: Mask
    upset_s: float = 0.0

    def compare(self, picture: Floats, moving: Mask, step_s: float, config: SceneConfig) -> Comparison:
        light = light_of(picture, self.scene)
        lit: Floats = picture / light
        limit = np.maximum(np.float32(config.difference), np.float32(_NOISE_SIGMAS) * self.varies)
        new = closed(opened(distance(lit, self.scene) > limit))
        self.new_s = np.where(new, self.new_s + np.float32(step_s), np.float32(0.0))
        self.moved = new & (self.moved | moving)
        shadow = new & _is_shadow(lit, self.scene)
        flat = lit - _soft_light(lit - self.scene)
        solid = closed(opened(distance(flat, self.scene) > limit))
        return Comparison(new, shadow, self.moved, solid, self.new_s, lit, flat, float(light.mean()), self.scene)

    def follow(self, found: Comparison, still_s: Floats, step_s: float, config: SceneConfig) -> None:
        """Let the scene follow where nothing is new, and take in what has stood still for long."""
        share = np.float32(min(0.2, step_s / config.adapt_s))
        weight = np.where(found.new, np.float32(0.0), share)
        away = largest(np.abs(found.lit - self.scene))
        self.varies = self.varies + weight * (away - self.varies)
        weight[found.new & (np.minimum(found.new_s, still_s) > config.absorb_s)] = 1.0
        self.scene = self.scene + weight[..., None] * (found.lit - self.scene)
        is_upset = float(found.new.mean()) > _UPSET_SHARE and float(np.median(still_s)) > step_s
        self.upset_s = self.upset_s + step_s if is_upset else 0.0


def light_of(picture: Floats, scene: Floats) -> Floats:
    """Return [3] factors of the light over that of the scene, by colour: the median, so new things are no light."""
    ratio = (picture[::_EVERY, ::_EVERY] + 4.0) / (scene[::_EVERY, ::_EVERY] + 4.0)
    light: Floats = np.clip(np.median(ratio.reshape(-1, 3), axis=0), 0.05, 20.0).astype(np.float32)
    return light


def distance(picture: Floats, scene: Floats) -> Floats:
    """Return [h, w] how far a picture lies outside of what a scene has within a pixel, in its worst colour."""
    high, low = np.asarray(cv2.dilate(scene, _SQUARE)), np.asarray(cv2.erode(scene, _SQUARE))
    return largest(np.maximum(picture - high, low - picture, dtype=np.float32))


def soft(rgb: Bytes) -> Floats:
    """Return [h, w, 3] a picture as it is compared, its noise softened."""
    return np.asarray(cv2.blur(rgb, (3, 3)), np.float32)


def _soft_light(away: Floats) -> Floats:
    """Return [h, w, 3] what of a difference changes slowly from place to place: its median all around."""
    width = 2 * round(0.5 * _SOFT_SHARE * away.shape[1]) - 1
    halved = np.clip(away / 2.0 + 128.0, 0.0, 255.0).astype(np.uint8)
    return 2.0 * (np.asarray(cv2.medianBlur(halved, width), np.float32) - 128.0)


def _is_shadow(lit: Floats, scene: Floats) -> Mask:
    """Return what is the scene, darker by one factor for all colours."""
    ratio = (lit + 4.0) / (scene + 4.0)
    darker = mean(ratio)
    is_even = (largest(ratio) - smallest(ratio)) < 0.07
    shadow: Mask = is_even & (darker > 0.4) & (darker < 0.97)
    return shadow
