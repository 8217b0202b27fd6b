"""One word alone, said to the robot: a small network tells which of its words that was.

It hears the last two seconds of sound at a time and says, for every 40 ms, whether one of its words has just been said
by itself, with silence before and behind it: in the middle of talk a short word is no command. It knows no sentence, no
session and not what follows from a word (``listening``). Weights are made by ``training.keyword_net``.

Source: Choi et al. 2019 (arXiv 1904.03814) for convolutions along time alone over channels of a spectrum.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from tml_ros.duplex.native.dmel import AUDIO_TAIL, LogMel, tail_shapes
from tml_ros.duplex.native.shape import FRAMES_PER_TURN
from tml_ros.errors import ModelError

__all__ = ["CHANNELS", "FRAMES_PER_TOKEN", "HEARD_FRAMES", "WEIGHTS_FILE", "KeywordNet", "KeywordStream", "Keywords"]

CHANNELS = 80  # of the spectrum
FRAMES_PER_TOKEN = 4  # of 10 ms, between one answer and the next
WEIGHTS_FILE = "model.safetensors"
_NARROW, _WIDTH = 128, 160
_KERNEL = 5  # of the first two layers
_REACHES = (1, 2, 3, 4, 6, 7)
"""How far each block looks to both sides, in tokens."""
HEARD_FRAMES = _KERNEL + 2 * (_KERNEL - 1) + 2 * FRAMES_PER_TOKEN * sum(_REACHES)
"""Frames from which one answer is made, 1.97 s."""
_DROPOUT = 0.2
_LOWEST, _SPREAD = -14.0, 5.0  # of a log-mel
_LEAST_ODDS = -14.0  # of anything else
_FORMAT = "tml_ros.keywords.1"


class _Block(nn.Module):
    """Adds what tokens at some distance tell; the ends, which lack one side, fall away."""

    def __init__(self, reach: int) -> None:
        super().__init__()
        self.reach = reach
        self.across = nn.Conv1d(_WIDTH, _WIDTH, 3, dilation=reach, bias=False)
        self.along = nn.Conv1d(_WIDTH, _WIDTH, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm1d(_WIDTH), nn.BatchNorm1d(_WIDTH)])

    def forward(self, tokens: Tensor) -> Tensor:
        heard = functional.relu(self.norms[0](self.across(tokens)))
        mixed: Tensor = functional.relu(tokens[..., self.reach : -self.reach] + self.norms[1](self.along(heard)))
        return mixed


class KeywordNet(nn.Module):
    """Which word was just said.

    words: in the order of the logits, from 1 on; the first is of none.
    """

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__()
        self.words = tuple(words)
        self.first = nn.Conv1d(CHANNELS, _NARROW, _KERNEL, 2, bias=False)
        self.second = nn.Conv1d(_NARROW, _WIDTH, _KERNEL, 2, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm1d(_NARROW), nn.BatchNorm1d(_WIDTH)])
        self.blocks = nn.Sequential(*(_Block(reach) for reach in _REACHES))
        self.last = nn.Conv1d(_WIDTH, 1 + len(words), 1)

    def forward(self, spectrum: Tensor) -> Tensor:
        """Return logits.

        Args:
            spectrum: [B, F, 80] natural logarithms, of which HEARD_FRAMES make the first answer.

        Returns:
            [B, T, 1 + words]; the answer t is of the frames from 4 t on.
        """
        heard = (spectrum.clamp_min(_LOWEST) - _LOWEST).transpose(1, 2) / _SPREAD - 1.0
        for convolution, norm in zip((self.first, self.second), self.norms, strict=True):
            heard = functional.relu(norm(convolution(heard)))
        heard = functional.dropout(self.blocks(heard), _DROPOUT, self.training)
        logits: Tensor = self.last(heard).transpose(1, 2)
        return logits

    def save(self, folder: Path) -> None:
        """Write weights and words."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {name: each.detach().contiguous() for name, each in self.state_dict().items()}
        save_file(tensors, folder / WEIGHTS_FILE, {_FORMAT: json.dumps(self.words)})

    @classmethod
    def load(cls, folder: Path) -> "KeywordNet":
        """Read what ``save`` wrote.

        Raises:
            ModelError: it is missing, damaged or of another network.
        """
        path = folder / WEIGHTS_FILE
        if not path.is_file():
            raise ModelError(f"no weights of the keyword network at {path}; check native.keywords")
        try:
            with safe_open(path, framework="pt") as file:
                net = cls(json.loads((file.metadata() or {})[_FORMAT]))
                net.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
        except (SafetensorError, KeyError, RuntimeError, TypeError, ValueError) as err:
            raise ModelError(f"{path} is no keyword network of this version ({err}); train it again") from err
        if not all(torch.isfinite(each).all() for each in net.state_dict().values()):
            raise ModelError(f"{path} holds what is no number; train it again")
        return net.eval().requires_grad_(False)


class Keywords:
    """The network; sessions share it.

    Thread: any.
    """

    def __init__(self, folder: Path) -> None:
        """Load the weights. Raises: as ``KeywordNet.load``."""
        self.net = KeywordNet.load(folder)

    def open(self) -> "KeywordStream":
        """Begin a session."""
        return KeywordStream(self.net)


class KeywordStream:
    """Follows the sound of one session.

    Thread: one caller at a time.
    """

    def __init__(self, net: KeywordNet) -> None:
        self._net, self.words = net, net.words
        self._log_mel = LogMel(CHANNELS)
        self._tails = {AUDIO_TAIL: torch.zeros(1, *tail_shapes()[AUDIO_TAIL])}
        self._heard = torch.full((1, HEARD_FRAMES - FRAMES_PER_TOKEN, CHANNELS), _LOWEST)

    def hear(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take in a micro-turn [3200]; return how likely each word was just said alone.

        Returns:
            Logarithms of odds [5, words], one row for each 40 ms.
        """
        one = torch.ones(1, dtype=torch.bool)
        with torch.inference_mode():
            samples = torch.tensor(audio, dtype=torch.float32)[None]
            frames = self._log_mel.step(samples, one, self._tails, one, AUDIO_TAIL)
            heard = torch.cat([self._heard, frames.float()], 1)
            self._heard = heard[:, FRAMES_PER_TURN:]
            chances = self._net(heard)[0].log_softmax(1)[:, 1:]
            return np.asarray((chances - torch.log1p(-chances.exp()).clamp_min(_LEAST_ODDS)).numpy(), np.float32)
