"""The shape of a native model: every size, checked, with what follows from them.

One frozen record describes everything that decides the shapes of weights and state; ``models/NAME/config.yaml`` holds
it. It knows neither weights nor files.

Source: DESIGN of the model in docs/native.md; dMel from Bai et al. 2024 (arXiv 2407.15835), hMLP stem from Touvron et
al. 2022 (arXiv 2203.09795), attention sinks from Xiao et al. 2023 (arXiv 2309.17453).
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tml_ros.duplex.native.tokens import Marker
from tml_ros.errors import ConfigError, nearest_name
from tml_ros.records import MICRO_TURN_SAMPLES, SAMPLE_RATE_HZ

__all__ = ["FRAMES_PER_TURN", "HOP_SAMPLES", "MEL_WINDOW_SAMPLES", "NativeShape"]

HOP_SAMPLES = SAMPLE_RATE_HZ // 100  # 10 ms
MEL_WINDOW_SAMPLES = SAMPLE_RATE_HZ // 40  # 25 ms
FRAMES_PER_TURN = MICRO_TURN_SAMPLES // HOP_SAMPLES  # 20 mel frames


@dataclass(frozen=True, slots=True)
class NativeShape:
    """Sizes of one model. Tokens are counted as they are stored: an absent one takes no place in a window.

    Stream tokens are everything but pictures (audio, text, clock, outputs); sight tokens are patches. Each kind has a
    window of its own, ``local_*`` in most layers and ``global_*`` in every ``global_every``-th.
    """

    # transformer
    width: int  # D
    layers: int
    heads: int
    kv_heads: int
    head_width: int
    rotary_width: int  # how much of a head is rotated; the rest holds what has no position, the sinks too
    sinks: int
    local_stream_tokens: int
    local_sight_tokens: int
    global_stream_tokens: int
    global_sight_tokens: int
    global_every: int
    # feed-forward
    ffn_width: int  # of a dense layer
    moe_every: int  # every n-th layer is a mixture of experts, 0: none
    experts: int
    experts_per_token: int
    expert_width: int
    shared_expert_width: int  # an expert that every token passes, 0: none
    # inputs
    vocabulary: int
    text_in_tokens: int  # most text tokens taken in per micro-turn
    mel_channels: int
    mel_levels: int
    mel_low: float  # natural logarithm of the mel power at level 0
    mel_high: float  # and at the last level
    mel_group: int  # frames of 10 ms in one token
    mel_width: int  # of the bag of embeddings of one frame
    patch_pixels: int
    patch_rows: int
    patch_columns: int
    stem_widths: tuple[int, ...]  # hidden widths of the hMLP stem, two
    # outputs
    text_out_tokens: int  # N, most text tokens put out per micro-turn
    flow_width: int
    flow_layers: int
    flow_context_frames: int  # mel frames before the micro-turn that the flow head sees
    flow_steps: int
    vocoder_width: int
    vocoder_layers: int
    # stem of sound; checkpoints from before there was one have none
    sound_layers: int = 0
    sound_kernel: int = 7  # tokens of sound that a layer of the stem mixes

    def __post_init__(self) -> None:
        """Refuse sizes that no model can have.

        Raises:
            ConfigError: names the size, its value and what it must be.
        """
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            least = 0 if field.name in _MAY_BE_ZERO else 1
            if field.type is int and not least <= value <= _MOST:
                raise ConfigError(f"shape.{field.name} must be {least} to {_MOST}, got {value}")
        checks = (
            ("heads", self.heads % self.kv_heads == 0, f"a multiple of kv_heads ({self.kv_heads})"),
            ("width", self.width % 8 == 0, "a multiple of 8"),
            ("sound_kernel", self.sound_kernel > 1, "at least 2"),
            ("expert_width", self.expert_width % 8 == 0, "a multiple of 8"),
            ("rotary_width", self.rotary_width % 2 == 0, "even"),
            ("rotary_width", self.rotary_width < self.head_width, f"less than head_width ({self.head_width})"),
            ("mel_group", FRAMES_PER_TURN % self.mel_group == 0, f"a divisor of {FRAMES_PER_TURN}"),
            ("mel_high", self.mel_high > self.mel_low, f"above mel_low ({self.mel_low})"),
            ("stem_widths", len(self.stem_widths) == 2, "two widths"),
            ("patch_pixels", self.patch_pixels == 40, "40"),
            ("vocabulary", self.vocabulary >= len(Marker) + 256, f"at least {len(Marker) + 256} (markers and bytes)"),
            ("experts", self.experts > 0 or not self.moe_every, "at least 1 where moe_every is"),
            ("experts_per_token", self.experts_per_token > 0 or not self.moe_every, "at least 1 where moe_every is"),
            ("expert_width", self.expert_width > 0 or not self.moe_every, "at least 8 where moe_every is"),
            ("mel_channels", self.mel_channels <= 128, "at most 128: above, bands lie between the lines of a spectrum"),
            ("mel_levels", self.mel_levels > 1, "at least 2"),
            ("mel_low", math.isfinite(self.mel_low) and math.isfinite(self.mel_high), "finite, as mel_high"),
            ("flow_steps", self.flow_steps <= 100, "at most 100"),
            ("experts_per_token", self.experts_per_token <= self.experts, f"at most experts ({self.experts})"),
            ("global_stream_tokens", self.global_stream_tokens >= self.local_stream_tokens, "at least local's"),
            ("global_sight_tokens", self.global_sight_tokens >= self.local_sight_tokens, "at least local's"),
        )
        for name, holds, wanted in checks:
            if not holds:
                raise ConfigError(f"shape.{name} must be {wanted}, got {getattr(self, name)}")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "NativeShape":
        """Read the sizes from a mapping, as a configuration file holds them.

        Raises:
            ConfigError: a size is missing, unknown, of the wrong type or impossible.
        """
        fields = {field.name: field for field in dataclasses.fields(cls)}
        for name in values:
            if name not in fields:
                raise ConfigError(f"unknown size shape.{name}{nearest_name(name, fields)}")
        missing = sorted(name for name in fields.keys() - values.keys() if fields[name].default is dataclasses.MISSING)
        if missing:
            raise ConfigError(f"shape lacks {', '.join(missing)}; add them")
        return cls(**{name: _typed(name, fields[name].type, value) for name, value in values.items()})

    def as_mapping(self) -> dict[str, Any]:
        """Return the sizes as plain values, in order, for a YAML file."""
        values = dataclasses.asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    # ------------------------------------------------------------------------------------------- what follows

    @property
    def audio_tokens(self) -> int:
        """Tokens of sound per micro-turn."""
        return FRAMES_PER_TURN // self.mel_group

    @property
    def sight_tokens(self) -> int:
        """Tokens of one picture, P."""
        return self.patch_rows * self.patch_columns

    @property
    def picture_size(self) -> tuple[int, int]:
        """Height and width of a picture, pixels."""
        return self.patch_rows * self.patch_pixels, self.patch_columns * self.patch_pixels

    @property
    def voice_tokens(self) -> int:
        """Voice positions per micro-turn, as many as sound has."""
        return self.audio_tokens

    @property
    def slots_per_turn(self) -> int:
        """Positions of a micro-turn, taken or not: sight, audio, text in, clock, OUT, floor, text out, voice."""
        inputs = self.sight_tokens + self.audio_tokens + self.text_in_tokens + 1
        return inputs + 2 + self.text_out_tokens + self.voice_tokens

    @property
    def most_stream_tokens(self) -> int:
        """Most stream tokens that one micro-turn stores."""
        return self.slots_per_turn - self.sight_tokens

    def is_moe(self, layer: int) -> bool:
        """Whether a layer (from 0) has experts."""
        return self.moe_every > 0 and layer % self.moe_every == self.moe_every - 1

    def is_global(self, layer: int) -> bool:
        """Whether a layer (from 0) has the long window."""
        return layer % self.global_every == self.global_every - 1


_MOST = 10_000_000
_MAY_BE_ZERO = {"moe_every", "experts", "experts_per_token", "expert_width", "shared_expert_width", "sound_layers"}


def _typed(name: str, kind: Any, value: Any) -> Any:
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind == tuple[int, ...] and isinstance(value, list | tuple) and all(type(item) is int for item in value):
        return tuple(value)
    wanted = {int: "a whole number", float: "a number"}.get(kind, "a list of whole numbers")
    raise ConfigError(f"shape.{name} must be {wanted}, got {value!r}")
