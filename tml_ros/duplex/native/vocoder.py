"""The vocoder: turns mel frames into sound, 10 ms at a time, neural and streaming.

Causal ConvNeXt blocks at the frame rate; a head puts out magnitude and phase of one short-time spectrum per frame; an
inverse Fourier transform and overlap-add make the waveform. Windows are periodic Hann of 640 samples, four hops: the
squares of windows a hop apart add up to 3/2 at every sample, so that a spectrogram that was analysed with the same
window gives back its waveform exactly.

A frame writes to its own hop and the three after it, so what is put out depends on no later mel and the waveform has as
many samples as the mel covers. So that a frame need not foretell what it writes, the waveform runs ``DELAY_SAMPLES``
(20 ms) behind the sound that the mel was taken of: train against ``delayed(sound)``. What a frame's mel has not seen is
then the last quarter of its window, 4 % of the energy; waiting for that, too (30 ms), was no better on unseen speech,
waiting for less was worse.
Mel below silence counts as silence. It knows neither where the mel comes from nor the loudspeaker.

Source: Siuzdak 2023 (arXiv 2306.00814), section 3: blocks, head, clip of the magnitude; Griffin and Lim 1984, eq. 6:
overlap-add with squared windows; Yamamoto et al. 2020 (arXiv 1910.11480), section 2.2: multi-resolution spectral loss.
"""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tml_ros.duplex.native.flow import SILENCE
from tml_ros.duplex.native.shape import HOP_SAMPLES, NativeShape
from tml_ros.duplex.native.state import keep

__all__ = ["DELAY_SAMPLES", "Vocoder", "delayed", "spectral_loss"]

_OVERLAP = 4  # hops in a window; three or more make squared Hann windows add up to a constant
_FFT = _OVERLAP * HOP_SAMPLES
_WINDOW_SUM = 3 * _OVERLAP / 8  # of squared windows at any sample
DELAY_SAMPLES = _FFT // 2

_TAPS = 7
_EXPANSION = 3
_MOST_MAGNITUDE = _FFT / 2  # the sum of a window: no sound in [-1, 1] has more
_FIRST_MAGNITUDE = 0.1  # of random weights: quiet
_LOSS_FFTS = (256, 512, 1024)
_LEAST_MAGNITUDE = 1e-3  # below it the logarithm of the loss sees no difference; a full-scale sine has 64 to 256


class Vocoder(nn.Module):
    """Mel to waveform. Letters: B batch, F frames, M mel channels, W width. Keep it in float32, as its transform is."""

    def __init__(self, shape: NativeShape) -> None:
        super().__init__()
        width = shape.vocoder_width
        self.width, self.mel_channels = width, shape.mel_channels
        self.rise = _CausalConv(shape.mel_channels, width, 1)
        self.blocks = nn.ModuleList(_Block(width, shape.vocoder_layers) for _ in range(shape.vocoder_layers))
        self.norm_in = nn.LayerNorm(width)
        self.norm_out = nn.LayerNorm(width)
        self.magnitude = nn.Linear(width, _FFT // 2 + 1)
        self.phase = nn.Linear(width, _FFT // 2 + 1)
        nn.init.constant_(self.magnitude.bias, math.log(_FIRST_MAGNITUDE))

    def forward(self, mel: Tensor) -> Tensor:
        """Map mel [B, F, M] float32, normalised, to sound [B, 160 F] float32 in [-1, 1], from silence on."""
        tails = {name: mel.new_zeros(len(mel), *size) for name, size in self.tail_shapes().items()}
        return self._run(mel, tails)[0]

    def tail_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the state that ``step`` keeps, without the batch."""
        shapes: dict[str, tuple[int, ...]] = {
            f"vocoder.block{number}": (_TAPS - 1, self.width) for number in range(len(self.blocks))
        }
        shapes["vocoder.rise"] = (_TAPS - 1, self.mel_channels)
        shapes["vocoder.overlap"] = (_OVERLAP - 1, HOP_SAMPLES)
        return shapes

    @torch.no_grad()
    def step(self, mel: Tensor, tails: Mapping[str, Tensor], active: Tensor) -> Tensor:
        """Make the sound of one micro-turn.

        Args:
            mel: [B, 20, M] float32, normalised; any other number of frames will do too.
            tails: what ``tail_shapes`` says, with the batch; updated in place.
            active: [B] bool; the others keep their state.

        Returns:
            [B, 3200] float32 in [-1, 1]; without meaning where not active.
        """
        sound, after = self._run(mel, tails)
        for name, tail in after.items():
            keep(tails[name], tail, active)
        return sound

    def _run(self, mel: Tensor, tails: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the sound of some frames and the tails after them; tails are only read."""
        after = {}
        hidden, after["vocoder.rise"] = self.rise(F.relu(mel - SILENCE), tails["vocoder.rise"])
        hidden = self.norm_in(hidden)
        for number, block in enumerate(self.blocks):
            name = f"vocoder.block{number}"
            hidden, after[name] = block(hidden, tails[name])
        pieces = self._pieces(self.norm_out(hidden))
        sound, after["vocoder.overlap"] = _overlap_add(pieces, tails["vocoder.overlap"])
        return sound.clamp(-1.0, 1.0), after

    def _pieces(self, hidden: Tensor) -> Tensor:
        """Return the windowed piece of sound that each frame adds, [B, F, 640]."""
        magnitude = self.magnitude(hidden).clamp(max=math.log(_MOST_MAGNITUDE)).exp()
        spectrum = torch.polar(magnitude, self.phase(hidden))
        pieces: Tensor = torch.fft.irfft(spectrum, _FFT)
        return pieces * (_window(_FFT, hidden.device) / _WINDOW_SUM)


class _CausalConv(nn.Module):
    """A convolution over frames that sees the 6 before each, from a tail where there are none."""

    def __init__(self, width_in: int, width: int, groups: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(width_in, width, _TAPS, groups=groups)

    def forward(self, x: Tensor, tail: Tensor) -> tuple[Tensor, Tensor]:
        """Map x [B, F, I] and tail [B, 6, I] to [B, F, W] and the next tail."""
        x = torch.cat([tail, x], 1)
        return self.conv(x.transpose(1, 2)).transpose(1, 2), x[:, 1 - _TAPS :]


class _Block(nn.Module):
    """A ConvNeXt block: mixes the frames of each channel, then the channels of each frame."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.mix = _CausalConv(width, width, width)
        self.norm = nn.LayerNorm(width)
        self.rise = nn.Linear(width, _EXPANSION * width)
        self.fall = nn.Linear(_EXPANSION * width, width)
        self.scale = nn.Parameter(torch.full((width,), 1.0 / layers))

    def forward(self, x: Tensor, tail: Tensor) -> tuple[Tensor, Tensor]:
        """Map x [B, F, W] and tail [B, 6, W] to the same shapes."""
        mixed, tail = self.mix(x, tail)
        return x + self.scale * self.fall(F.gelu(self.rise(self.norm(mixed)))), tail


def delayed(sound: Tensor) -> Tensor:
    """Return sound [B, S] as the vocoder shall make it: ``DELAY_SAMPLES`` later, silence first."""
    return F.pad(sound, (DELAY_SAMPLES, 0))[:, : sound.shape[1]]


def spectral_loss(made: Tensor, wanted: Tensor) -> Tensor:
    """Return the multi-resolution spectral loss: spectral convergence plus the distance of log magnitudes.

    It does not hear phase. Its least is 0; silence in place of sound gives 1 for the first part alone.

    Args:
        made, wanted: [B, S] float32, any number of samples.
    """
    losses = []
    for size in _LOSS_FFTS:
        ours, theirs = _magnitude(made, size), _magnitude(wanted, size)
        off = torch.linalg.vector_norm(ours - theirs, dim=(1, 2))
        convergence = off / torch.linalg.vector_norm(theirs, dim=(1, 2)).clamp(min=_LEAST_MAGNITUDE)
        losses.append(convergence.mean() + F.l1_loss(ours.log(), theirs.log()))
    return torch.stack(losses).mean()


def _magnitude(sound: Tensor, size: int) -> Tensor:
    """Return the magnitudes [B, bins, frames] of sound, from a small one up so that its logarithm has a gradient."""
    window = _window(size, sound.device)
    spectrum = torch.stft(sound, size, size // 4, window=window, pad_mode="constant", return_complex=True)
    return torch.sqrt(spectrum.real.square() + spectrum.imag.square() + _LEAST_MAGNITUDE**2)


def _overlap_add(pieces: Tensor, tail: Tensor) -> tuple[Tensor, Tensor]:
    """Add pieces [B, F, 640], a hop apart, to the tail [B, 3, 160]: return sound [B, 160 F] and the next tail."""
    frames = pieces.shape[1]
    hops = pieces.view(len(pieces), frames, _OVERLAP, HOP_SAMPLES)
    total = F.pad(tail, (0, 0, 0, frames))
    for late in range(_OVERLAP):
        total = total + F.pad(hops[:, :, late], (0, 0, late, _OVERLAP - 1 - late))
    return total[:, :frames].flatten(1), total[:, frames:]


def _window(size: int, device: torch.device) -> Tensor:
    return torch.hann_window(size, periodic=True, dtype=torch.float32, device=device)
