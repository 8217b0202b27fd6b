"""What pictures show: a small network of its own finds things and tells kinds of sights, and rules tell when to say so.

The network looks at a picture, at how it differs from the one before, and from how it looked at first. It draws maps of
what lies where, from which it knows shares, as truth is defined by shares; what it says of each kind is gathered over a
few pictures before anything is said, and nothing is said twice while it goes on. It knows no sound and no session.
Weights are made by ``training.sight_net``.

Source: Ronneberger et al. 2015 (arXiv 1505.04597) for maps from coarse and fine layers; Shi et al. 2016
(arXiv 1609.05158) for four places out of one; Wald 1947 for gathering odds.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from tml_ros.duplex.native.patches import fit
from tml_ros.errors import ModelError
from tml_ros.sights import CUES, SightKind

__all__ = ["FINE", "KINDS", "MARKS", "ROLES", "Gathering", "SightNet", "SightStream", "Sights", "coarse", "planes"]

KINDS = (*CUES, SightKind.LENS_COVERED, SightKind.TOO_DARK)
"""What the network tells; that a picture stands still is told without it."""
ROLES = 11
"""What a place may belong to, as ``sights.labels.Role`` numbers it."""
MARKS = 2
"""What may be true of the person at a place: was not there at first, slouches."""
FINE = (240, 320)
_GRID = (6, 8)  # of patches.fit
_FOLLOWS = 1 / 1500
"""Share of a picture that goes into how it looked at first, at five a second: after five minutes that is now."""
_DROPOUT = 0.25
_LEAST_SHARE = 1e-4
_MOST = 6.0
"""No picture says more than this, a logarithm of odds."""
_GONE_LOOKS = 10
"""So many pictures without it, and it may be told anew."""
_GONE = -1.0
_FILE = "model.safetensors"
_FORMAT = "tml_ros.sights.3"


def _layer(inwards: int, outwards: int, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    convolution = nn.Conv2d(inwards, outwards, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outwards), nn.ReLU())


class SightNet(nn.Module):
    """Maps and kinds of a picture."""

    def __init__(self) -> None:
        super().__init__()
        self.first = _layer(18, 32, 2)
        self.near = _layer(32, 32)
        self.second = nn.Sequential(_layer(32, 48, 2), _layer(48, 48))
        self.third = nn.Sequential(_layer(48, 64, 2), _layer(64, 64))
        self.fourth = nn.Sequential(_layer(64, 96, 2), _layer(96, 96))
        self.to_third, self.to_second, self.to_near = (
            nn.Conv2d(inwards, outwards, 1) for inwards, outwards in ((96, 64), (64, 48), (48, 32))
        )
        self.middle, self.whole = _layer(48, 48), _layer(32, 32)
        self.maps = nn.Sequential(nn.Conv2d(32, 4 * (ROLES + 1 + MARKS), 1), nn.PixelShuffle(2))
        self.layout = nn.Sequential(_layer(96, 12, kernel=1), nn.Flatten(), nn.Linear(12 * 80, 64), nn.ReLU())
        self.dropout = nn.Dropout(_DROPOUT)
        shares = 4 * ROLES + 2 * MARKS
        self.hidden = nn.Linear(2 * 96 + 64 + shares, 96)
        self.last = nn.Linear(96, len(KINDS))
        self.direct = nn.Linear(shares, len(KINDS), bias=False)

    def forward(self, fine: Tensor, before: Tensor, still: Tensor) -> tuple[Tensor, Tensor]:
        """Look at pictures.

        Args:
            fine: [B, 3, 240, 320], from 0 to 1.
            before: [B, 3, 120, 160], the picture before, half as large.
            still: likewise, how it looked at first.

        Returns:
            Logits of maps [B, 14, 120, 160], of roles, the zone and marks, and of kinds [B, 10].
        """
        return self.look(planes(fine, before, still))

    def look(self, shown: Tensor) -> tuple[Tensor, Tensor]:
        """Return the same of ``planes``, [B, 18, 120, 160]."""
        near = self.near(self.first(shown))
        second = self.second(near)
        third = self.third(second)
        fourth = self.fourth(third)
        third = third + _larger(self.to_third(fourth), third)
        second = self.middle(second + _larger(self.to_second(third), second))
        whole = self.whole(near + _larger(self.to_near(second), near))
        maps: Tensor = self.maps(whole)
        return maps, self._kinds(maps, fourth)

    def _kinds(self, maps: Tensor, fourth: Tensor) -> Tensor:
        roles, others = torch.split(maps.float(), [ROLES, 1 + MARKS], 1)
        roles, others = coarse(roles.softmax(1)), coarse(others.sigmoid())  # shares stay, for a quarter of the work
        parts = torch.cat([roles, roles * others[:, :1], others[:, 1:]], 1)
        counted = (torch.cat([parts.mean((2, 3)), parts.amax((2, 3))], 1) + _LEAST_SHARE).log() * 0.3 + 1.0
        seen = [fourth.mean((2, 3)), fourth.amax((2, 3)), self.layout(fourth), counted]
        hidden = functional.relu(self.hidden(self.dropout(torch.cat(seen, 1))))
        logits: Tensor = self.last(self.dropout(hidden)) + self.direct(counted)
        return logits

    def save(self, folder: Path, thresholds: dict[str, float]) -> None:
        """Write the weights, and from which odds each kind is told."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {name: each.detach().contiguous() for name, each in self.state_dict().items()}
        save_file(tensors, folder / _FILE, {_FORMAT: json.dumps(thresholds, sort_keys=True)})

    @classmethod
    def load(cls, folder: Path) -> tuple["SightNet", dict[str, float]]:
        """Read weights and thresholds.

        Raises:
            ModelError: they are missing, damaged or of another network.
        """
        path, net = folder / _FILE, cls()
        if not path.is_file():
            raise ModelError(f"no weights of the sight network at {path}; check native.sights")
        try:
            with safe_open(path, framework="pt") as file:
                thresholds = json.loads((file.metadata() or {})[_FORMAT])
                net.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
        except (SafetensorError, KeyError, RuntimeError, ValueError) as err:
            raise ModelError(f"{path} is no sight network of this version ({err}); train it again") from err
        if set(thresholds) != set(KINDS) or not all(torch.isfinite(each).all() for each in net.state_dict().values()):
            raise ModelError(f"{path} lacks a threshold or holds what is no number; train it again")
        return net.eval().requires_grad_(False), thresholds


def _larger(small: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(small, like.shape[2:], mode="nearest")


def planes(fine: Tensor, before: Tensor, still: Tensor) -> Tensor:
    """Return what the network looks at, [B, 18, 120, 160]; arguments as for ``SightNet.forward``."""
    count, height, width = len(fine), fine.shape[2] // 2, fine.shape[3] // 2
    quarters = fine.reshape(count, 3, height, 2, width, 2).permute(0, 1, 3, 5, 2, 4).reshape(count, 12, height, width)
    now = quarters.reshape(count, 3, 4, height, width).mean(2)
    return torch.cat([quarters - 0.5, now - before, now - still], 1) * 2.0


def coarse(fine: Tensor) -> Tensor:
    """Return pictures [..., 3, 240, 320] half as large."""
    return functional.avg_pool2d(fine, 2)


@dataclass(slots=True)
class _Told:
    """What is known of a kind. odds: gathered. gone: pictures since it was last seen; is_told: and not gone since."""

    odds: float = -_MOST
    gone: int = _GONE_LOOKS
    is_told: bool = False


class Gathering:
    """From what each picture says to what is to be told, once for each time that it begins.

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
        told.odds = 0.5 * told.odds + 0.5 * min(max(logit, -_MOST), _MOST)
        if told.odds <= _GONE:
            told.gone += 1
            told.is_told = told.is_told and told.gone < _GONE_LOOKS
        else:
            told.gone = 0
        if told.is_told or told.odds < self._thresholds[kind]:
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

    def _seen(self, fine: Tensor) -> list[SightKind]:
        now = coarse(fine)
        if not self._before.numel():
            self._before = self._still = now
        _, logits = self._net(fine, self._before, self._still)
        self._before, self._still = now, self._still + _FOLLOWS * (now - self._still)
        return self._gathering.look(logits[0].tolist())
