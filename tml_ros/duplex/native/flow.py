"""The flow head: turns the hidden states of a micro-turn's voice positions into its 20 mel frames.

Conditional flow matching along straight paths: between noise x0 and mel x1 lies x = (1 - t) x0 + t x1 with the velocity
x1 - x0 = (x1 - x) / (1 - t), and sampling follows it from t = 0 to 1 with Euler's method. The network estimates the mel
x1, the loss compares velocities: noise has as many dimensions as there are channels and would fill a small network, mel
has few.

The network sees one micro-turn at a time: its frames see each other, the mel before them and their condition, nothing
later. Frames are mixed by matrices over [context + 20] frames, one for each group of channels, as in MLP-Mixer: a
micro-turn always lies on the same 20 frames, so that a fixed matrix reaches all of them and the whole context at once.
On unseen speech it was as good as depthwise convolution, and faster on a CPU, and better than attention of its size.
It knows neither the transformer, nor text, nor how mel becomes sound.

Mel is normalised (see ``dmel``), where -2 is the lowest level: silence, and what lies below it counts as silence. State
and network hold mel above silence, so that zeros mean both silent and fresh.

Source: Lipman et al. 2022 (arXiv 2210.02747), eq. 20 to 23 with sigma_min 0, which is eq. 1 of Liu et al. 2022 (arXiv
2209.03003); estimating x1 under a loss of velocities from Li and He 2025 (arXiv 2511.13720); mixing from Tolstikhin et
al. 2021 (arXiv 2105.01601); time conditioning (adaptive layer norm) from Peebles and Xie 2022 (arXiv 2212.09748).
"""

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tml_ros.duplex.native.shape import FRAMES_PER_TURN, NativeShape
from tml_ros.duplex.native.state import keep

__all__ = ["SILENCE", "FlowHead"]

SILENCE = -2.0  # mel_low after normalise(): (low - (low + high) / 2) / ((high - low) / 4)

_CONTEXT = "voice.context"
_MIX_GROUPS = 16  # at most; groups divide the width
_TIME_WIDTH = 64
_EXPANSION = 2
_LEAST_LEFT = 0.1  # of the path: nearer to its end errors of the mel weigh no more


class FlowHead(nn.Module):
    """Conditional flow matching over the mel of one micro-turn.

    Letters: B batch, T micro-turns, V voice positions of a micro-turn, D width of the transformer, K context frames,
    M mel channels, S steps, L layers, W width here. All tensors have the dtype of the weights.
    """

    def __init__(self, shape: NativeShape) -> None:
        super().__init__()
        self.steps = shape.flow_steps
        self.context_frames = shape.flow_context_frames
        self.mel_channels = shape.mel_channels
        width = self.width = shape.flow_width
        self.frame_in = nn.Linear(shape.mel_channels, width)
        self.context_in = nn.Linear(shape.mel_channels, width)
        self.condition_in = nn.Linear(shape.width, shape.mel_group * width)
        self.time_in = nn.Linear(_TIME_WIDTH, width)
        self.modulation = nn.Linear(width, 2 * (2 * shape.flow_layers + 1) * width)
        self.blocks = nn.ModuleList(_Block(width, self.context_frames) for _ in range(shape.flow_layers))
        self.out = nn.Linear(width, shape.mel_channels)

    # ------------------------------------------------------------------------------------------------ training

    def loss(
        self,
        condition: Tensor,
        mel: Tensor,
        speaking: Tensor,
        noise: Tensor | None = None,
        time: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return the mean squared error of the velocity over the micro-turns that speak, 0 when none does.

        The context of a micro-turn is the true mel before it, silence where the model did not speak and before the
        first: what ``step`` would hold had it made that mel.

        Args:
            condition: [B, T, V, D].
            mel: [B, T, 20, M], normalised.
            speaking: [B, T] bool.
            noise: [B, T, 20, M], standard normal; drawn when None.
            time: [B, T] in [0, 1]; drawn uniformly when None.
            generator: for what is drawn.
        """
        mel = mel.clamp(min=SILENCE)
        if noise is None:
            noise = torch.randn(mel.shape, generator=generator, device=mel.device, dtype=mel.dtype)
        if time is None:
            time = torch.rand(speaking.shape, generator=generator, device=mel.device, dtype=mel.dtype)
        context = self._true_context(mel, speaking)[speaking]
        wanted, start, moment = mel[speaking], noise[speaking], time[speaking]
        given = self._given(condition[speaking], context)
        between = torch.lerp(start, wanted, moment[:, None, None])
        left = (1.0 - moment[:, None, None]).clamp(min=_LEAST_LEFT)
        off = (self._clean(between, self._modulate(moment), *given) - wanted) / left
        return off.square().sum() / max(wanted.numel(), 1)

    def _true_context(self, mel: Tensor, speaking: Tensor) -> Tensor:
        """Return the K frames above silence before each micro-turn, [B, T, K, M]."""
        above = torch.where(speaking[:, :, None, None], mel - SILENCE, 0.0).flatten(1, 2)
        before = F.pad(above, (0, 0, self.context_frames, 0))[:, :-FRAMES_PER_TURN]
        return before.unfold(1, self.context_frames, FRAMES_PER_TURN).transpose(2, 3)

    # ------------------------------------------------------------------------------------------------ sampling

    def sample(self, condition: Tensor, context: Tensor, noise: Tensor, steps: int | None = None) -> Tensor:
        """Make the mel of a micro-turn. The same arguments give the same mel.

        Args:
            condition: [B, V, D].
            context: [B, K, M], the normalised mel before it.
            noise: [B, 20, M], standard normal.
            steps: of Euler's method; the shape's when None.

        Returns:
            [B, 20, M], normalised, nowhere below silence.
        """
        return self._sample(condition, F.relu(context - SILENCE), noise, steps or self.steps)

    def generate(self, condition: Tensor, noise: Tensor, speaking: Tensor) -> Tensor:
        """Make the mel of T micro-turns, each from what was made before it: the same as T steps of a fresh state.

        Args:
            condition: [B, T, V, D].
            noise: [B, T, 20, M].
            speaking: [B, T] bool.

        Returns:
            [B, T, 20, M], silence where not speaking.
        """
        above = noise.new_zeros(len(noise), self.context_frames, self.mel_channels)
        made = []
        for turn in range(noise.shape[1]):
            mel, above = self._turn(condition[:, turn], noise[:, turn], above, speaking[:, turn])
            made.append(mel)
        return torch.stack(made, 1)

    def tail_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the state that ``step`` keeps, without the batch."""
        return {_CONTEXT: (self.context_frames, self.mel_channels)}

    @torch.no_grad()
    def step(
        self, condition: Tensor, noise: Tensor, tails: Mapping[str, Tensor], active: Tensor, speaking: Tensor
    ) -> Tensor:
        """Make the mel of one micro-turn and remember its end.

        Args:
            condition: [B, V, D], may hold anything where a row does not speak.
            noise: [B, 20, M].
            tails: what ``tail_shapes`` says, with the batch; updated in place.
            active: [B] bool; the others keep their state.
            speaking: [B] bool; an active row that does not speak remembers silence.

        Returns:
            [B, 20, M], silence where not speaking; without meaning where not active.
        """
        above = tails[_CONTEXT]
        mel, after = self._turn(condition, noise, above, speaking)
        keep(above, after, active)
        return mel

    @torch.no_grad()
    def rest(self, tails: Mapping[str, Tensor], active: Tensor) -> Tensor:
        """Do what ``step`` does where no row speaks, without running the network."""
        above = tails[_CONTEXT]
        mel = above.new_full((len(above), FRAMES_PER_TURN, self.mel_channels), SILENCE)
        keep(above, self._slide(above, mel), active)
        return mel

    def _turn(self, condition: Tensor, noise: Tensor, above: Tensor, speaking: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mel of one micro-turn, and the context that the next one sees."""
        mel = self._sample(condition, above, noise, self.steps)
        mel = torch.where(speaking[:, None, None], mel, SILENCE)
        return mel, self._slide(above, mel)

    def _slide(self, above: Tensor, mel: Tensor) -> Tensor:
        return torch.cat([above, mel - SILENCE], 1)[:, -self.context_frames :]

    def _sample(self, condition: Tensor, above: Tensor, noise: Tensor, steps: int) -> Tensor:
        times = torch.arange(steps, device=noise.device, dtype=noise.dtype) / steps
        modulations = self._modulate(times)
        given = self._given(condition, above)
        mel = noise
        for step in range(steps):
            clean = self._clean(mel, modulations[:, :, step : step + 1], *given)
            mel = mel + (clean - mel) / (steps - step)  # a step of 1 / steps at the velocity (clean - mel) / (1 - t)
        return mel.clamp(min=SILENCE)

    # ------------------------------------------------------------------------------------------------- network

    def _given(self, condition: Tensor, above: Tensor) -> tuple[Tensor, Tensor]:
        """Return what does not change along the path: condition [N, 20, W] and context [N, K, W]."""
        condition = F.rms_norm(condition, condition.shape[-1:])
        frames: Tensor = self.condition_in(condition)
        frames = frames.view(
            len(frames), FRAMES_PER_TURN, self.width
        )  # the group of frames of each voice position in turn
        context: Tensor = self.context_in(above)
        return frames, F.layer_norm(context, context.shape[-1:])

    def _modulate(self, time: Tensor) -> Tensor:
        """Map times [N] to shift and gain of every layer norm, [2, 2 L + 1, N, 1, W]."""
        half = _TIME_WIDTH // 2
        rates = torch.exp(torch.arange(half, device=time.device, dtype=time.dtype) * (-math.log(1e4) / half))
        angles = 1e3 * time[:, None] * rates
        hidden = F.silu(self.time_in(torch.cat([angles.cos(), angles.sin()], -1)))
        parts: Tensor = self.modulation(hidden)
        norms = 2 * len(self.blocks) + 1
        shift, scale = parts.view(len(time), 2, norms, 1, self.width).transpose(0, 2).unbind(1)
        return torch.stack([shift, 1.0 + scale])

    def _clean(self, mel: Tensor, modulation: Tensor, condition: Tensor, context: Tensor) -> Tensor:
        """Return the mel that mel [N, 20, M] on the path leads to; modulation: [2, 2 L + 1, N or 1, 1, W]."""
        shifts, gains = (part.unbind(0) for part in modulation.unbind(0))
        hidden = self.frame_in(mel) + condition
        for layer, block in enumerate(self.blocks):
            both = slice(2 * layer, 2 * layer + 2)
            hidden = block(hidden, context, shifts[both], gains[both])
        return self.out(_adapt(hidden, shifts[-1], gains[-1]))  # type: ignore[no-any-return]


class _Block(nn.Module):
    """Mixes frames with each other and the context, then the channels of each frame."""

    def __init__(self, width: int, context_frames: int) -> None:
        super().__init__()
        self.groups = math.gcd(width, _MIX_GROUPS)
        seen = context_frames + FRAMES_PER_TURN
        self.mix = nn.Parameter(torch.randn(self.groups, FRAMES_PER_TURN, seen) / math.sqrt(seen))
        self.rise = nn.Linear(width, _EXPANSION * width)
        self.fall = nn.Linear(_EXPANSION * width, width)

    def forward(self, x: Tensor, context: Tensor, shifts: Sequence[Tensor], gains: Sequence[Tensor]) -> Tensor:
        """Map x [N, 20, W] to the same; context: [N, K, W]; two shifts and two gains that broadcast to x."""
        x = x + self._mix(torch.cat([context, _adapt(x, shifts[0], gains[0])], 1))
        return x + self.fall(F.silu(self.rise(_adapt(x, shifts[1], gains[1]))))  # type: ignore[no-any-return]

    def _mix(self, seen: Tensor) -> Tensor:
        """Map [N, K + 20, W] to [N, 20, W], one product for each group of channels."""
        count, frames, width = seen.shape
        groups, channels = self.groups, width // self.groups
        by_group = seen.view(count, frames, groups, channels).permute(2, 1, 0, 3)
        mixed = torch.bmm(self.mix, by_group.reshape(groups, frames, count * channels))
        mixed = mixed.view(groups, FRAMES_PER_TURN, count, channels).permute(2, 1, 0, 3)
        return mixed.reshape(count, FRAMES_PER_TURN, width)


def _adapt(x: Tensor, shift: Tensor, gain: Tensor) -> Tensor:
    """Normalise the channels of x, then scale and shift them."""
    return torch.addcmul(shift, F.layer_norm(x, x.shape[-1:]), gain)
