"""What pictures show: a small network finds things and tells kinds of sights from them.

The network looks at a picture, at how it differs from the one before, and from how it looked at first. It draws maps of
what lies where, from which it knows shares, as truth is defined by shares, and looks once more, from nearer, at the
largest face. It knows no sound, no session and not what is told when (``noticing``). Weights are made by
``training.sight_net``.

Source: Ronneberger et al. 2015 (arXiv 1505.04597) for maps from coarse and fine layers; Shi et al. 2016
(arXiv 1609.05158) for four places out of one; Jaderberg et al. 2015 (arXiv 1506.02025) for sampling what is looked at
from nearer.
"""

import json
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from tml_ros.errors import ModelError
from tml_ros.sights import CUES, SightKind
from tml_ros.sights.labels import FACE

__all__ = ["FINE", "KINDS", "MARKS", "ROLES", "WEIGHTS_FILE", "Looked", "SightNet", "coarse", "nearer", "planes"]

KINDS = (*CUES, SightKind.LENS_COVERED, SightKind.TOO_DARK)
"""What the network tells; that a picture stands still is told without it."""
ROLES = 11
"""What a place may belong to, as ``sights.labels.Role`` numbers it."""
MARKS = 2
"""What may be true of the person at a place: was not there at first, slouches."""
FINE = (240, 320)
WEIGHTS_FILE = "model.safetensors"
_NEAR_PLACES = 6  # a face reaches no farther from its middle, in places of 60x80
_NEAR_SIDE = 32  # pixels of what is looked at from nearer
_NEAR_MARGIN = 1.5
_NEAR_LEAST, _NEAR_MOST = 16.0, 96.0  # side of that in the picture
_PIXELS = 16.0  # of FINE in a place of 60x80
_DROPOUT = 0.25
_LEAST_SHARE = 1e-4
_FORMAT = "tml_ros.sights.4"


class Looked(NamedTuple):
    """What the network makes of pictures.

    maps: logits [B, 14, 120, 160] of roles, the zone and marks. face: logits [B] of bare eyes in the largest face.
    box: [B, 3] where that is: column and row of its middle, side, in pixels of the fine picture. kinds: logits [B, 10].
    """

    maps: Tensor
    face: Tensor
    box: Tensor
    kinds: Tensor


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
        nearer = (_layer(3, 24), _layer(24, 32, 2), _layer(32, 48, 2), _layer(48, 48, 2), nn.Flatten())
        self.face = nn.Sequential(*nearer, nn.Dropout(_DROPOUT), nn.Linear(48 * (_NEAR_SIDE // 8) ** 2, 1))
        self.dropout = nn.Dropout(_DROPOUT)
        shares = 4 * ROLES + 2 * MARKS
        self.hidden = nn.Linear(2 * 96 + 64 + shares + 2, 96)
        self.last = nn.Linear(96, len(KINDS))
        self.direct = nn.Linear(shares + 2, len(KINDS), bias=False)

    def forward(self, fine: Tensor, before: Tensor, still: Tensor) -> Looked:
        """Look at pictures.

        Args:
            fine: [B, 3, 240, 320], from 0 to 1.
            before: [B, 3, 120, 160], the picture before, half as large.
            still: likewise, how it looked at first.
        """
        return self.look(planes(fine, before, still))

    def look(self, shown: Tensor) -> Looked:
        """Return the same of ``planes``, [B, 18, 120, 160]."""
        near = self.near(self.first(shown))
        second = self.second(near)
        third = self.third(second)
        fourth = self.fourth(third)
        third = third + _larger(self.to_third(fourth), third)
        second = self.middle(second + _larger(self.to_second(third), second))
        whole = self.whole(near + _larger(self.to_near(second), near))
        maps: Tensor = self.maps(whole)
        return self._kinds(shown, maps, fourth)

    def _kinds(self, shown: Tensor, maps: Tensor, fourth: Tensor) -> Looked:
        roles, others = torch.split(maps.float(), [ROLES, 1 + MARKS], 1)
        roles, others = coarse(roles.softmax(1)), coarse(others.sigmoid())  # shares stay, for a quarter of the work
        box, mass = _largest(roles[:, FACE].sum(1).detach())
        face = self.face(nearer(functional.pixel_shuffle(shown[:, :12], 2), box)).float()
        parts = torch.cat([roles, roles * others[:, :1], others[:, 1:]], 1)
        counted = (torch.cat([parts.mean((2, 3)), parts.amax((2, 3)), mass], 1) + _LEAST_SHARE).log() * 0.3 + 1.0
        counted = torch.cat([counted, face], 1)
        seen = [fourth.mean((2, 3)), fourth.amax((2, 3)), self.layout(fourth), counted]
        hidden = functional.relu(self.hidden(self.dropout(torch.cat(seen, 1))))
        kinds: Tensor = self.last(self.dropout(hidden)) + self.direct(counted)
        return Looked(maps, face[:, 0], box, kinds)

    def save(self, folder: Path, thresholds: dict[str, float]) -> None:
        """Write the weights, and from which odds each kind is told."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {name: each.detach().contiguous() for name, each in self.state_dict().items()}
        save_file(tensors, folder / WEIGHTS_FILE, {_FORMAT: json.dumps(thresholds, sort_keys=True)})

    @classmethod
    def load(cls, folder: Path) -> tuple["SightNet", dict[str, float]]:
        """Read weights and thresholds.

        Raises:
            ModelError: they are missing, damaged or of another network.
        """
        path, net = folder / WEIGHTS_FILE, cls()
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


def _largest(shares: Tensor) -> tuple[Tensor, Tensor]:
    """Return where most of something in maps [B, 60, 80] is: a box as of ``Looked``, and its share [B, 1]."""
    count, height, width = shares.shape
    crowd = functional.avg_pool2d(shares[:, None], 7, 1, 3).flatten(1).argmax(1)
    rows = torch.arange(height, dtype=shares.dtype, device=shares.device)[:, None]
    columns = torch.arange(width, dtype=shares.dtype, device=shares.device)
    at_row, at_column = (crowd // width).view(-1, 1, 1), (crowd % width).view(-1, 1, 1)
    own = shares * ((rows - at_row).abs() <= _NEAR_PLACES) * ((columns - at_column).abs() <= _NEAR_PLACES)
    mass = own.sum((1, 2))
    middle = [(own * where).sum((1, 2)) / mass.clamp_min(_LEAST_SHARE) for where in (columns, rows)]
    side = (_NEAR_MARGIN * (mass * _PIXELS).sqrt()).clamp(_NEAR_LEAST, _NEAR_MOST)
    scale = _PIXELS**0.5
    box = torch.stack([(middle[0] + 0.5) * scale, (middle[1] + 0.5) * scale, side], 1)
    return box, (mass / (height * width)).view(count, 1)


def nearer(pictures: Tensor, box: Tensor, mode: str = "bilinear") -> Tensor:
    """Return what lies in boxes, [B, C, 32, 32].

    Args:
        pictures: [B, C, H, W].
        box: [B, 3] as of ``Looked``, in pixels of FINE.
        mode: of ``torch.nn.functional.grid_sample``.
    """
    along = torch.linspace(-1.0, 1.0, _NEAR_SIDE, device=box.device)
    x = (2.0 * box[:, :1] + along * box[:, 2:]) / FINE[1] - 1.0
    y = (2.0 * box[:, 1:2] + along * box[:, 2:]) / FINE[0] - 1.0
    where = torch.stack([x[:, None].expand(-1, _NEAR_SIDE, -1), y[:, :, None].expand(-1, -1, _NEAR_SIDE)], 3)
    sampled: Tensor = functional.grid_sample(pictures.float(), where, mode, padding_mode="border", align_corners=False)
    return sampled


def planes(fine: Tensor, before: Tensor, still: Tensor) -> Tensor:
    """Return what the network looks at, [B, 18, 120, 160]; arguments as for ``SightNet.forward``."""
    count, height, width = len(fine), fine.shape[2] // 2, fine.shape[3] // 2
    quarters = fine.reshape(count, 3, height, 2, width, 2).permute(0, 1, 3, 5, 2, 4).reshape(count, 12, height, width)
    now = quarters.reshape(count, 3, 4, height, width).mean(2)
    return torch.cat([quarters - 0.5, now - before, now - still], 1) * 2.0


def coarse(fine: Tensor) -> Tensor:
    """Return pictures [..., 3, 240, 320] half as large."""
    return functional.avg_pool2d(fine, 2)
