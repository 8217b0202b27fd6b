"""What becomes of a scene's structure: whether something covers the lens, whether it is too dark.

Covered is what has lost the structure that the scene has there and is flat now, as something close to a lens is, out of
focus. Darkness leaves what structure there is where it was, and takes light from everywhere alike.
It knows pictures only, no time but the steps between them.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tml_ros.config import param

__all__ = ["Structure", "StructureConfig"]

_ROWS, _COLUMNS = 12, 16
_TEXTURE = 3.0  # mean squared slope per pixel, of 255, above which a part of the scene has structure to lose
_LIKENESS = 0.5
_FEW_BLOCKS = 6
_FLAT_SHARE, _SHARP = 0.02, 60.0  # share of the parts, and what no edge has that is out of focus
_HEALTHY, _PARTLY = 0.1, 0.3  # shares that are covered
_OTHER_COLOUR = 16.0
_BLACK = 16.0  # more than a camera makes of nothing, of 255
_THROUGH = 0.3
_NEARLY_ALL = 0.8
_FAINT = 0.3
_RENEW_S, _GIVE_UP_S = 5.0, 60.0


@dataclass(frozen=True, slots=True)
class StructureConfig:
    """When it is too dark to see."""

    dark_luma: float = param(28.0, "Mean brightness below which it is too dark, of 255", minimum=0.0, maximum=255.0)
    dark_share: float = param(
        0.25, "Share of its usual light below which it is too dark as well", minimum=0.0, maximum=1.0
    )


class _Blocks:
    """Colour and structure of a picture in 16 x 12 parts. mean: [12, 16, 3], texture: [12, 16] edge energy."""

    def __init__(self, rgb: NDArray[np.uint8], luma: NDArray[np.uint8]) -> None:
        size = (_COLUMNS, _ROWS)
        self.mean: NDArray[np.float32] = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        soft = cv2.GaussianBlur(luma, (5, 5), 0).astype(np.float32)
        across, down = cv2.Sobel(soft, cv2.CV_32F, 1, 0) / 8.0, cv2.Sobel(soft, cv2.CV_32F, 0, 1) / 8.0
        self._slopes = (np.asarray(across, np.float32), np.asarray(down, np.float32))
        self.energy: NDArray[np.float32] = _per_block(self._slopes[0] ** 2 + self._slopes[1] ** 2)

    @property
    def is_flat(self) -> bool:
        """Whether there is next to nothing to see anywhere, and nothing that is sharp."""
        is_sharp = float(self.energy.max()) > _SHARP
        return not is_sharp and float((self.energy > _TEXTURE).mean()) < _FLAT_SHARE

    def likeness(self, other: "_Blocks") -> NDArray[np.float32]:
        """Return [12, 16] from -1 to 1: whether the slopes are where they are in another picture."""
        joint = _per_block(self._slopes[0] * other._slopes[0] + self._slopes[1] * other._slopes[1])
        return np.asarray(joint / np.sqrt(self.energy * other.energy + 1e-6), np.float32)

    def likeness_in(self, other: "_Blocks", blocks: NDArray[np.bool_]) -> float:
        """Return the same for all of some blocks [12, 16] together: faint slopes show in many that do not in one."""
        joint = _per_block(self._slopes[0] * other._slopes[0] + self._slopes[1] * other._slopes[1])[blocks].sum()
        return float(joint / np.sqrt(self.energy[blocks].sum() * other.energy[blocks].sum() + 1e-6))


class Structure:
    """The picture as it usually is, and what has become of it.

    Thread: one caller at a time.
    """

    def __init__(self, config: StructureConfig) -> None:
        self._config = config
        self._usual: _Blocks | None = None
        self._covered = 0.0
        self._since_s = 0.0
        self._light = 1.0

    def judge(self, rgb: NDArray[np.uint8], luma: NDArray[np.uint8], step_s: float) -> tuple[float, bool]:
        """Return the share that is covered, and whether it is dark instead. rgb: [h, w, 3]; luma: [h, w]."""
        now, brightness = _Blocks(rgb, luma), float(luma.mean())
        if self._usual is None or (self._usual.is_flat and not now.is_flat):
            self._usual = now
        usual = self._usual
        is_kept = (usual.energy > _TEXTURE) & (now.likeness(usual) > _LIKENESS)
        is_seen = int(is_kept.sum()) >= _FEW_BLOCKS
        light = _light(now, usual, is_kept if is_seen else np.ones_like(is_kept))
        is_dim = brightness < self._config.dark_luma or light < self._config.dark_share
        if not is_seen and is_dim and self._is_even(now, usual, brightness):
            self._covered = 0.0
            return 0.0, True
        self._light = light if is_seen else self._light  # that of a cover says nothing about the scene behind it
        self._covered = 1.0 if usual.is_flat else _covered(now, usual, is_kept, self._light)
        is_dark = is_dim and self._covered < _PARTLY
        self._learn(now, usual, is_kept, step_s, is_healthy=self._covered < _HEALTHY and not is_dark)
        return self._covered, is_dark

    def _learn(
        self, now: _Blocks, usual: _Blocks, is_kept: NDArray[np.bool_], step_s: float, *, is_healthy: bool
    ) -> None:
        """Take the picture as usual from time to time, when nearly all of it is as it was; one day even if not."""
        textured = usual.energy > _TEXTURE
        is_same = float(is_kept.sum()) > _NEARLY_ALL * float(textured.sum())
        self._since_s = self._since_s + step_s if is_healthy else 0.0
        if self._since_s > (_RENEW_S if is_same else _GIVE_UP_S) and not now.is_flat:
            self._usual, self._since_s, self._light = now, 0.0, 1.0

    def _is_even(self, now: _Blocks, usual: _Blocks, brightness: float) -> bool:
        """Tell whether the pattern of light and dark is still that of the scene, or there is none at all."""
        pattern, before = now.mean.mean(axis=2), usual.mean.mean(axis=2)
        if pattern.std() < 0.6:
            return brightness < _BLACK and self._covered < _PARTLY
        veil = max(_veil(now.mean[..., colour], usual.mean[..., colour]) for colour in range(3))
        return veil < _BLACK and float(np.corrcoef(pattern.ravel(), before.ravel())[0, 1]) > 0.6


def _veil(now: NDArray[np.float32], usual: NDArray[np.float32]) -> float:
    """Return what a colour has where the scene has none: what covers a lens has light of its own, darkness has none."""
    slope, offset = np.polyfit(usual.ravel(), now.ravel(), 1)
    return float(offset) if slope < _THROUGH else 0.0


def _per_block(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return [12, 16] means. values: [h, w]."""
    return np.asarray(cv2.resize(values, (_COLUMNS, _ROWS), interpolation=cv2.INTER_AREA), np.float32)


def _light(now: _Blocks, usual: _Blocks, is_kept: NDArray[np.bool_]) -> float:
    """Return the factor of the light where the scene is still seen."""
    return float(np.median((now.mean[is_kept].mean(axis=1) + 1.0) / (usual.mean[is_kept].mean(axis=1) + 1.0)))


def _covered(now: _Blocks, usual: _Blocks, is_kept: NDArray[np.bool_], light: float) -> float:
    """Return the share of the picture in the largest flat part at its border that is not as it was."""
    # a lamp or a flame may light up what structure there is, and nothing else
    away = np.minimum(*(np.abs(now.mean - factor * usual.mean).max(axis=2) for factor in (light, 1.0)))
    has_lost = (usual.energy * light**2 > _TEXTURE) & (now.energy < 0.25 * usual.energy * light**2)
    is_flat = (now.energy < _TEXTURE) & ~is_kept & ((away > _OTHER_COLOUR) | has_lost)
    near = cv2.dilate(is_flat.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    part = is_flat | (near & ~is_kept & (away > _OTHER_COLOUR))  # the edge of it is out of focus, not flat
    count, labels = cv2.connectedComponents(part.astype(np.uint8), connectivity=4)
    rim = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    pieces = (labels == number for number in range(1, count) if (rim == number).sum() >= _ROWS)
    return max((float(piece.mean()) for piece in pieces if now.likeness_in(usual, piece) < _FAINT), default=0.0)
