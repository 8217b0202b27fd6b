"""What a camera makes of a scene: light, exposure, noise, shake, compression; and its faults: covered, frozen, dark.

Everything depends on the time of the frame and the seed alone. It knows no scene.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import PCG64, Generator
from numpy.typing import NDArray

from tml_ros.sights.canvas import Color
from tml_ros.sights.tracks import Track

__all__ = ["Camera", "Cover", "Lens", "random_camera"]

NOISE_MARGIN = 64


@dataclass(frozen=True, slots=True)
class Cover:
    """Something that is pushed before the lens. side: left, right, top or bottom it comes from. share: how far."""

    side: str
    share: Track
    color: Color


@dataclass(frozen=True, slots=True)
class Camera:
    """How a camera takes pictures.

    light: factor of the light over time. warmth: factors of B, G, R. gamma: of the tone curve. black: level of black.
    noise: standard deviation. blur: of the lens, pixels at 320 wide. shake: pixels at 320 wide. quality: of the JPEG
    compression, 0 for none. hum: share by which lamps flicker, at 100 Hz over hum_hz. freezes: [begin, end) in seconds.
    """

    light: Track
    warmth: Color
    gamma: float
    black: float
    noise: float
    blur: float
    shake: float
    quality: int
    hum: float
    hum_hz: float
    vignette: float
    covers: tuple[Cover, ...] = ()
    freezes: tuple[tuple[float, float], ...] = ()

    def time_of(self, time_s: float) -> float:
        """Return when the picture was taken that is shown at a time."""
        for begin_s, end_s in self.freezes:
            if begin_s <= time_s < end_s:
                return begin_s
        return time_s

    def covered(self, time_s: float) -> float:
        """Return the share of the picture that something before the lens covers."""
        return max((cover.share.at(time_s) for cover in self.covers), default=0.0)


def random_camera(rng: Generator, light: Track | None = None) -> Camera:
    """Choose a camera, from a good one to a cheap one."""
    warm = float(rng.normal(0.0, 0.05))
    return Camera(
        light=light or Track.of((0.0, float(rng.uniform(0.7, 1.12)))),
        warmth=(1.0 - warm, 1.0 + float(rng.normal(0.0, 0.015)), 1.0 + warm),
        gamma=float(rng.uniform(0.85, 1.2)),
        black=float(rng.uniform(3.0, 12.0)),
        noise=float(rng.uniform(1.2, 6.0)),
        blur=float(rng.uniform(0.3, 1.0)),
        shake=float(rng.uniform(0.2, 1.6)) if rng.random() < 0.35 else 0.0,
        quality=int(rng.integers(45, 92)) if rng.random() < 0.6 else 0,
        hum=float(rng.uniform(0.0, 0.04)) if rng.random() < 0.5 else 0.0,
        hum_hz=float(rng.uniform(0.2, 4.0)),
        vignette=float(rng.uniform(0.0, 0.3)),
    )


class Lens:
    """Takes pictures of one size with a camera. Thread: any; taking a picture changes nothing."""

    def __init__(self, camera: Camera, size: tuple[int, int], seed: int) -> None:
        """Prepare what does not change. size: width, height."""
        self._camera = camera
        self._seed = seed
        self._unit = size[0] / 320.0
        rng = Generator(PCG64([seed, 5]))
        grain = rng.normal(0.0, 1.0, (size[1] + NOISE_MARGIN, size[0] + NOISE_MARGIN, 1))
        grain = grain + 0.6 * rng.normal(0.0, 1.0, (size[1] + NOISE_MARGIN, size[0] + NOISE_MARGIN, 3))
        self._noise = np.rint(grain * (camera.noise / math.sqrt(1.36))).astype(np.int8)
        x, y = np.linspace(-1, 1, size[0])[None, :], np.linspace(-1, 1, size[1])[:, None]
        fall = np.clip(255.0 * (1.0 - camera.vignette * (x**2 + y**2) / 2.0), 0, 255)
        self._vignette = np.repeat(np.rint(fall)[..., None], 3, axis=2).astype(np.uint8)

    def take(self, image: NDArray[np.uint8], time_s: float) -> NDArray[np.uint8]:
        """Return the picture [H, W, 3] RGB of a drawn scene [H, W, 3] BGR, which may be changed."""
        camera = self._camera
        rng = Generator(PCG64([self._seed, round(time_s * 1e6) + 1]))
        sigma = camera.blur * self._unit
        if sigma > 0.35:
            image = _bytes(cv2.GaussianBlur(image, (0, 0) if sigma > 1.2 else (3, 3), sigma))
        if camera.shake > 0.0:
            dx, dy = rng.normal(0.0, camera.shake * self._unit, 2)
            move = np.array([[1.0, 0.0, dx], [0.0, 1.0, dy]])
            image = _bytes(cv2.warpAffine(image, move, image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE))
        for cover in camera.covers:
            _cover(image, cover, time_s)
        if camera.vignette > 0.02:
            image = _bytes(cv2.multiply(image, self._vignette, scale=1 / 255.0))
        image = _bytes(cv2.LUT(image, self._tones(time_s)))
        left, up = rng.integers(0, NOISE_MARGIN, 2)
        noise = self._noise[up : up + image.shape[0], left : left + image.shape[1]]
        image = _bytes(cv2.add(image, noise, dtype=cv2.CV_8U))
        if camera.quality:
            _, data = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, camera.quality))
            image = _bytes(cv2.imdecode(data, cv2.IMREAD_COLOR))
        return _bytes(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))

    def _tones(self, time_s: float) -> NDArray[np.uint8]:
        """Return the tone curve [1, 256, 3] at a time."""
        camera = self._camera
        light = camera.light.at(time_s) * (1.0 + camera.hum * math.sin(2 * math.pi * camera.hum_hz * time_s))
        levels = np.linspace(0.0, 1.0, 256)[:, None] ** camera.gamma * np.array(camera.warmth) * light
        toned = camera.black + (255.0 - camera.black) * np.clip(levels, 0.0, 1.06)
        return _bytes(np.clip(np.rint(toned), 0, 255).astype(np.uint8)[None])


def _cover(image: NDArray[np.uint8], cover: Cover, time_s: float) -> None:
    share = cover.share.at(time_s)
    if share <= 0.0:
        return
    is_wide = cover.side in ("left", "right")
    length = image.shape[1] if is_wide else image.shape[0]
    along = (np.arange(length, dtype=np.float32) + 0.5) / length
    if cover.side in ("right", "bottom"):
        along = along[::-1]
    dark = np.clip((np.float32(share) - along) / 0.12 + 0.5, 0.0, 1.0)  # the edge is out of focus
    dark = dark[None, :, None] if is_wide else dark[:, None, None]
    image[...] = (image + dark * (np.array(cover.color, np.float32) - image)).astype(np.uint8)


def _bytes(picture: object) -> NDArray[np.uint8]:
    result: NDArray[np.uint8] = np.asarray(picture, np.uint8)
    return result
