"""Sound as tokens: log-mel frames every 10 ms, cut into a few levels, embedded as a bag and grouped.

``LogMel`` is a fixed measurement in float64, so that the levels do not depend on how many rows or micro-turns are
worked on at once; ``MelTokens`` is what is learned. Every frame ends with the last sample of its own hop: nothing here
sees the future. It knows no session and no file.

Source: dMel, Bai et al. 2024 (arXiv 2407.15835), with a bag of embeddings in place of their concatenated ones; mel
scale of Slaney's Auditory Toolbox (Technical Report 1998-010): linear up to 1 kHz, 27 steps for each factor of 6.4
above. Its area norm is left out: without it the channels' means over speech have a standard deviation of 1.5 instead of
2.1, which suits levels that all channels share.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from tml_ros.duplex.native.hearing import SoundStem
from tml_ros.duplex.native.shape import FRAMES_PER_TURN, HOP_SAMPLES, MEL_WINDOW_SAMPLES, NativeShape
from tml_ros.duplex.native.state import keep
from tml_ros.records import SAMPLE_RATE_HZ

__all__ = [
    "AUDIO_TAIL",
    "REFERENCE_TAIL",
    "LogMel",
    "MelTokens",
    "denormalise",
    "mel_centres",
    "normalise",
    "quantise",
    "tail_shapes",
]

AUDIO_TAIL, REFERENCE_TAIL = "mel.audio", "mel.reference"
_TAIL_SAMPLES = MEL_WINDOW_SAMPLES - HOP_SAMPLES
_FFT_SAMPLES = 512
_LEAST_POWER = 1e-7
"""About the rounding noise of 16-bit sound in a low band: below it there is nothing to tell apart."""


class LogMel(nn.Module):
    """Natural logarithm of the power in mel bands, 0 to 8 kHz, of sound whose full scale is 1.

    It has no parameters, and keeps float64 whatever the module around it is converted to. Samples are made harmless
    first: NaN counts as 0, everything beyond full scale (infinity, too) as full scale.
    """

    window: Tensor
    bands: Tensor

    def __init__(self, channels: int, dtype: torch.dtype = torch.float64) -> None:
        """dtype: float32 measures twice as fast, and a level in a million falls to the other side of a border."""
        super().__init__()
        self._channels, self._dtype = channels, dtype
        self.register_buffer("window", _window(), persistent=False)
        self.register_buffer("bands", _mel_bands(channels), persistent=False)

    def forward(self, audio: Tensor, present: Tensor) -> Tensor:
        """Measure whole streams.

        Args:
            audio: [B, T, 3200] float32, T micro-turns of one stream after another.
            present: [B, T] bool; an absent micro-turn counts as silence.

        Returns:
            [B, T, 20, M] float64.
        """
        turns = audio.shape[1]
        samples = functional.pad(_harmless(audio, present).flatten(1), (_TAIL_SAMPLES, 0))
        return self._measure(samples).reshape(-1, turns, FRAMES_PER_TURN, self._channels)

    def step(self, audio: Tensor, present: Tensor, tails: dict[str, Tensor], active: Tensor, key: str) -> Tensor:
        """Measure the next micro-turn of every row; rows that are not active keep their tail.

        Args:
            audio: [B, 3200] float32.
            present: [B] bool.
            tails: holds the last 240 samples under ``key``, [B, 240].
            active: [B] bool.
            key: ``AUDIO_TAIL`` or ``REFERENCE_TAIL``.

        Returns:
            [B, 20, M] float64.
        """
        tail = tails[key]
        samples = _harmless(audio, present)
        log_mel = self._measure(torch.cat((tail, samples), 1))
        keep(tail, samples[:, -_TAIL_SAMPLES:], active)
        return log_mel

    def _measure(self, samples: Tensor) -> Tensor:
        """samples: [B, 240 + 160 * F] -> [B, F, M]."""
        frames = samples.unfold(1, MEL_WINDOW_SAMPLES, HOP_SAMPLES).to(self._dtype) * self.window.to(self._dtype)
        spectrum = torch.fft.rfft(frames, _FFT_SAMPLES)
        power: Tensor = (spectrum.real.square() + spectrum.imag.square()) @ self.bands.to(self._dtype)
        return power.clamp_min(_LEAST_POWER).log()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "LogMel":
        """Follow a move to another device, but not to another precision."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.window = _window().to(self.window.device)
        self.bands = _mel_bands(self._channels).to(self.bands.device)
        return self


class MelTokens(nn.Module):
    """Tokens from levels: per frame a sum of one vector for each channel's level, then groups of frames projected.

    The microphone and the reference (what the loudspeaker plays) have a table each and add into the same frames; a
    stream that is absent adds nothing.
    """

    first_rows: Tensor

    def __init__(self, shape: NativeShape) -> None:
        super().__init__()
        self._shape = shape
        rows = shape.mel_channels * shape.mel_levels
        self.audio = nn.Parameter(torch.empty(rows, shape.mel_width))
        self.reference = nn.Parameter(torch.empty(rows, shape.mel_width))
        self.project = nn.Linear(shape.mel_group * shape.mel_width, shape.width, bias=False)
        self.stem = SoundStem(shape) if shape.sound_layers else None
        self.register_buffer("first_rows", _first_rows(shape), persistent=False)
        for table in (self.audio, self.reference):
            nn.init.normal_(table, std=shape.mel_channels**-0.5)

    def forward(
        self, audio: Tensor, audio_present: Tensor, reference: Tensor | None, reference_present: Tensor
    ) -> Tensor:
        """Embed whole streams, [B, T, ...] as ``...`` below.

        Args:
            audio: [..., 20, M] int64 levels of the microphone.
            audio_present: [...] bool.
            reference: [..., 20, M] int64 levels of the reference, None where there is none at all.
            reference_present: [...] bool.

        Returns:
            [..., A, D], of the parameters' dtype.
        """
        tokens = self._grouped(audio, audio_present, reference, reference_present)
        if self.stem is None:
            return tokens
        whole: Tensor = self.stem(tokens.flatten(1, 2))
        return whole.view_as(tokens)

    def step(
        self,
        levels: tuple[Tensor, Tensor],
        present: tuple[Tensor, Tensor],
        tails: dict[str, Tensor],
        active: Tensor,
    ) -> Tensor:
        """Embed the next micro-turn of every row, [B, A, D]; rows that are not active keep their tails.

        Args:
            levels: of the microphone and of the reference, [B, 20, M] int64.
            present: likewise, [B] bool.
            tails: see ``stem_tail_shapes``.
            active: [B] bool.
        """
        tokens = self._grouped(levels[0], present[0], levels[1], present[1])
        return tokens if self.stem is None else self.stem.step(tokens, tails, active)

    def _grouped(
        self, audio: Tensor, audio_present: Tensor, reference: Tensor | None, reference_present: Tensor
    ) -> Tensor:
        frames = self._bags(self.audio, audio, audio_present)
        if reference is not None:
            frames = frames + self._bags(self.reference, reference, reference_present)
        grouped: Tensor = self.project(frames.reshape(*frames.shape[:-2], self._shape.audio_tokens, -1))
        return grouped

    def _bags(self, table: Tensor, levels: Tensor, present: Tensor) -> Tensor:
        """levels: [..., 20, M] -> [..., 20, mel_width]."""
        rows = (levels + self.first_rows).flatten(0, -2)
        bags = functional.embedding_bag(rows, table, mode="sum").reshape(*levels.shape[:-1], -1)
        return torch.where(present[..., None, None], bags, 0.0)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "MelTokens":
        """Fill the fixed indices again: a module that was built without memory has none of them."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.first_rows = _first_rows(self._shape).to(self.first_rows.device)
        return self


def tail_shapes() -> dict[str, tuple[int, ...]]:
    """Return what ``LogMel.step`` keeps per row: the samples that the next window reaches back to."""
    return {AUDIO_TAIL: (_TAIL_SAMPLES,), REFERENCE_TAIL: (_TAIL_SAMPLES,)}


def quantise(log_mel: Tensor, shape: NativeShape) -> Tensor:
    """Return levels 0..mel_levels - 1, int64, the nearest of those evenly spaced from mel_low to mel_high."""
    steps = (log_mel - shape.mel_low) * ((shape.mel_levels - 1) / (shape.mel_high - shape.mel_low))
    return steps.round().clamp(0, shape.mel_levels - 1).to(torch.int64)


def normalise(log_mel: Tensor, shape: NativeShape) -> Tensor:
    """Return the voice's scale, float32: mel_low becomes -2 and mel_high 2."""
    middle, quarter = _voice_scale(shape)
    return ((log_mel - middle) / quarter).to(torch.float32)


def denormalise(mel: Tensor, shape: NativeShape) -> Tensor:
    """Return what ``normalise`` was given, in the dtype of ``mel``."""
    middle, quarter = _voice_scale(shape)
    return mel * quarter + middle


def _voice_scale(shape: NativeShape) -> tuple[float, float]:
    return (shape.mel_low + shape.mel_high) / 2, (shape.mel_high - shape.mel_low) / 4


def _harmless(audio: Tensor, present: Tensor) -> Tensor:
    finite = torch.nan_to_num(audio, nan=0.0, posinf=1.0, neginf=-1.0).clamp(-1.0, 1.0)
    return torch.where(present[..., None], finite, 0.0)


def _window() -> Tensor:
    return torch.hann_window(MEL_WINDOW_SAMPLES, periodic=True, dtype=torch.float64, device="cpu")


def _first_rows(shape: NativeShape) -> Tensor:
    return torch.arange(shape.mel_channels, device="cpu") * shape.mel_levels


def _mel_bands(channels: int) -> Tensor:
    """Return triangles of height 1 over the bins of the spectrum, [257, M] float64."""
    corners = _corners(channels)
    low, centre, high = (
        torch.tensor(corners[first : first + channels], dtype=torch.float64, device="cpu") for first in range(3)
    )
    hz = torch.arange(_FFT_SAMPLES // 2 + 1, dtype=torch.float64, device="cpu")[:, None] * SAMPLE_RATE_HZ / _FFT_SAMPLES
    return torch.minimum((hz - low) / (centre - low), (high - hz) / (high - centre)).clamp_min(0.0)


def mel_centres(channels: int) -> list[float]:
    """Return the frequency of which each channel hears most, Hz."""
    return _corners(channels)[1:-1]


def _corners(channels: int) -> list[float]:
    top = _mel_from_hz(SAMPLE_RATE_HZ / 2)
    return [_hz_from_mel(top * index / (channels + 1)) for index in range(channels + 2)]


_LINEAR_HZ, _LINEAR_MELS, _LOG_STEP = 1000.0, 15.0, math.log(6.4) / 27


def _mel_from_hz(hz: float) -> float:
    if hz < _LINEAR_HZ:
        return hz * _LINEAR_MELS / _LINEAR_HZ
    return _LINEAR_MELS + math.log(hz / _LINEAR_HZ) / _LOG_STEP


def _hz_from_mel(mel: float) -> float:
    if mel < _LINEAR_MELS:
        return mel * _LINEAR_HZ / _LINEAR_MELS
    return _LINEAR_HZ * math.exp((mel - _LINEAR_MELS) * _LOG_STEP)
