"""When to tell what the sight network sees: once for each time that it begins, and that a picture stands still.

It knows neither how the network looks nor what is done with what it tells.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tml_ros.duplex.native.patches import PATCH_PIXELS, fit
from tml_ros.duplex.native.seeing import FINE, KINDS, SightNet, coarse
from tml_ros.sights import SightKind

__all__ = ["Gathering", "SightStream", "Sights"]

_GRID = (FINE[0] // PATCH_PIXELS, FINE[1] // PATCH_PIXELS)
_FOLLOWS = 1 / 1500
"""Share of a picture that goes into how it looked at first, at five a second: after five minutes that is now."""
_GONE_LOOKS = 8
"""So many pictures without it, and it may be told anew."""
_GONE = -1.0
_ALONE = 4.0
"""So much less likely it may have been in the picture before: one picture alone is doubted."""


@dataclass(slots=True)
class _Told:
    """What is known of a kind. odds: in the last picture. gone: pictures since it was last seen; is_told: and not
    gone since."""

    odds: float = -9.0
    gone: int = _GONE_LOOKS
    is_told: bool = False


class Gathering:
    """From how likely kinds are in each picture to what is to be told, once for each time that it begins.

    Thread: one caller at a time.
    """

    def __init__(self, thresholds: dict[str, float]) -> None:
        """thresholds: odds of each kind from which it is told."""
        self._thresholds = thresholds
        self._told = {kind: _Told() for kind in KINDS}

    def look(self, logits: Sequence[float]) -> list[SightKind]:
        """Take in the logits of a picture, in the order of KINDS; return the kinds that have begun."""
        return [kind for kind, logit in zip(KINDS, logits, strict=True) if self._begins(kind, logit)]

    def confidence(self, kind: SightKind) -> float:
        """Return how likely a kind is to be there, from 0 to 1."""
        return 1.0 / (1.0 + math.exp(-self._told[kind].odds))

    def _begins(self, kind: SightKind, logit: float) -> bool:
        told = self._told[kind]
        before, told.odds = told.odds, logit
        if logit <= _GONE:
            told.gone += 1
            told.is_told = told.is_told and told.gone < _GONE_LOOKS
        else:
            told.gone = 0
        if told.is_told or min(logit, before + _ALONE) < self._thresholds[kind]:
            return False
        told.is_told = True
        return True


class Sights:
    """The network; sessions share it.

    Thread: any.
    """

    def __init__(self, folder: Path) -> None:
        """Load the weights. Raises: as ``SightNet.load``."""
        self.net, self.thresholds = SightNet.load(folder)

    def open(self) -> "SightStream":
        """Begin a session."""
        return SightStream(self.net, self.thresholds)


class SightStream:
    """Follows the pictures of one session.

    Thread: one caller at a time.
    """

    def __init__(self, net: SightNet, thresholds: dict[str, float]) -> None:
        self._net, self._gathering = net, Gathering(thresholds)
        self._last: NDArray[np.uint8] | None = None
        self._before = self._still = torch.zeros(0)
        self._is_frozen = self._is_told = False

    def look(self, rgb: NDArray[np.uint8]) -> list[SightKind]:
        """Take in a picture [H, W, 3] uint8; return what has begun and is to be told."""
        fitted = fit(rgb, *_GRID)
        stands = self._last is not None and np.array_equal(fitted, self._last)
        self._last = fitted
        found = self._frozen(stands)
        if not stands:
            with torch.inference_mode():
                found += self._seen(torch.tensor(fitted).permute(2, 0, 1)[None].float() / 255.0)
        return found

    def confidence(self, kind: SightKind) -> float:
        """Return how likely a kind was to be there in the last picture, from 0 to 1."""
        return 1.0 if kind is SightKind.FROZEN else self._gathering.confidence(kind)  # that a picture stands is known

    def _frozen(self, stands: bool) -> list[SightKind]:
        """Return that the camera has begun to show one picture again and again, bit for bit."""
        begins = stands and self._is_frozen and not self._is_told
        self._is_frozen, self._is_told = stands, stands and (self._is_told or begins)
        return [SightKind.FROZEN] if begins else []

    def _seen(self, fine: torch.Tensor) -> list[SightKind]:
        now = coarse(fine)
        if not self._before.numel():
            self._before = self._still = now
        kinds = self._net(fine, self._before, self._still).kinds
        self._before, self._still = now, self._still + _FOLLOWS * (now - self._still)
        return self._gathering.look(kinds[0].tolist())
