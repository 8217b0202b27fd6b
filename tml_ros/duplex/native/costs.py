"""What a shape costs: parameters, floating-point operations, memory of keys and values; computed, nothing is measured.

Blocks and tables are counted by formula, so that a shape of any size takes no time; the few small networks around
them are built without memory and counted.

Operations are multiplications and additions of matrix products, a multiply-add as two: projections, attention scores
and values over what is visible, router, the experts that are used, logits. Left out are norms, softmax, rotary
positions, look-ups, Fourier transforms and what is added or scaled element by element.

Source: counting as in Kaplan et al. 2020 (arXiv 2001.08361), table 1, with grouped queries and experts; roofline from
Williams et al. 2009 (doi 10.1145/1498765.1498785).
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from tml_ros.duplex.native.dmel import MelTokens
from tml_ros.duplex.native.flow import FlowHead
from tml_ros.duplex.native.patches import PatchStem
from tml_ros.duplex.native.shape import FRAMES_PER_TURN, NativeShape
from tml_ros.duplex.native.state import Ring
from tml_ros.duplex.native.tokens import FLOOR_MARKERS
from tml_ros.duplex.native.transformer import AUXILIARY, CLOCK_FEATURES
from tml_ros.duplex.native.vocoder import Vocoder

__all__ = [
    "Machine",
    "Parameters",
    "TurnFlops",
    "cache_slots",
    "flops_per_token",
    "flops_per_turn",
    "kv_bytes_per_session",
    "parameter_count",
    "turn_seconds",
    "visible_tokens",
]

_META = torch.device("meta")
_FULL = 1 << 40  # tokens of a context that fills every window
_SPECTRUM_BINS, _SOUND_STREAMS = 257, 2  # of the log-mel; microphone and reference, each has one
_STEM_PIXELS, _STEM_FINE, _STEM_COARSE = 1600, 100, 25  # of a patch of 40x40: pixels, and products of each layer


@dataclass(frozen=True, slots=True)
class Parameters:
    """Numbers of weights. active: those that one token passes; by_part adds up to total."""

    total: int
    active: int
    embedding: int
    by_part: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class TurnFlops:
    """Operations of one micro-turn of one session. tokens: that pass the blocks."""

    tokens: int
    blocks: int
    logits: int
    inputs: int
    voice: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.blocks + self.logits + self.inputs + self.voice


@dataclass(frozen=True, slots=True)
class Machine:
    """All GPUs of a server together, as far as they are really used.

    operations_per_s, bytes_per_s: peak times the share that is reached. layer_s: what a layer takes in every pass
    beside that, for launches and the exchange between GPUs.
    """

    operations_per_s: float
    bytes_per_s: float
    layer_s: float


# ------------------------------------------------------------------------------------------------------- parameters


def parameter_count(shape: NativeShape) -> Parameters:
    """Return how many weights a shape has. The embedding is also the output matrix and counts once."""
    mixtures = sum(shape.is_moe(layer) for layer in range(shape.layers))
    embedding = shape.vocabulary * shape.width
    parts = {
        "embedding": embedding,
        "attention": shape.layers * (_attention_products(shape) + _sinks(shape)),
        "dense feed-forward": (shape.layers - mixtures) * 3 * shape.width * shape.ffn_width,
        "experts": mixtures * shape.experts * _expert(shape),
        "shared experts": mixtures * 3 * shape.width * shape.shared_expert_width,
        "routers": mixtures * shape.experts * shape.width,
        "norms": (2 * shape.layers + 1) * shape.width,
        "clock and auxiliary": (CLOCK_FEATURES + 1) * shape.width + len(AUXILIARY) * (shape.width + 1),
        "sound and sight": _weights(MelTokens, shape) + _weights(PatchStem, shape),
        "voice": shape.voice_tokens * shape.width + _weights(FlowHead, shape) + _weights(Vocoder, shape),
    }
    total = sum(parts.values())
    unused = mixtures * (shape.experts - shape.experts_per_token) * _expert(shape)
    return Parameters(total, total - unused, embedding, parts)


def _attention_products(shape: NativeShape) -> int:
    """Weights of the queries, keys, values and output of one layer."""
    return 2 * shape.width * shape.head_width * (shape.heads + shape.kv_heads)


def _sinks(shape: NativeShape) -> int:
    return shape.kv_heads * shape.sinks * (2 * shape.head_width - shape.rotary_width)


def _expert(shape: NativeShape) -> int:
    return 3 * shape.width * shape.expert_width


@functools.cache
def _weights(kind: type[MelTokens] | type[PatchStem] | type[FlowHead] | type[Vocoder], shape: NativeShape) -> int:
    with _META:
        module: nn.Module = kind(shape)
    return sum(parameter.numel() for parameter in module.parameters())


# ------------------------------------------------------------------------------------------------------- operations


def visible_tokens(shape: NativeShape, layer: int, context_stream_tokens: int, context_sight_tokens: int) -> int:
    """Return how many keys a token of a layer sees: sinks, and of the context what its windows hold."""
    stream, sight = Ring.window_of(shape, is_global=shape.is_global(layer))
    return shape.sinks + min(context_stream_tokens, stream) + min(context_sight_tokens, sight)


def flops_per_token(
    shape: NativeShape, context_stream_tokens: int, context_sight_tokens: int, *, logits: bool = True
) -> int:
    """Return the operations of one token in all blocks, with a context of that many tokens.

    Args:
        context_stream_tokens: in the session so far, the token among them; windows are applied here.
        context_sight_tokens: patches in the session so far.
        logits: whether the token predicts text, which takes a product with the whole vocabulary.
    """
    made = 2 * shape.vocabulary * shape.width if logits else 0
    for layer in range(shape.layers):
        visible = visible_tokens(shape, layer, context_stream_tokens, context_sight_tokens)
        made += 2 * _attention_products(shape) + 4 * shape.heads * shape.head_width * visible
        made += 2 * _feed_forward_products(shape, layer)
    return made


def flops_per_turn(
    shape: NativeShape,
    context_stream_tokens: int,
    context_sight_tokens: int,
    *,
    text_in: int = 0,
    text_out: int = 0,
    sees: bool = True,
    speaks: bool = False,
) -> TurnFlops:
    """Return the operations of one micro-turn.

    Args:
        context_stream_tokens: as every token of the micro-turn sees it, windows applied here.
        context_sight_tokens: likewise.
        text_in: tokens that come in.
        text_out: tokens that go out, END aside.
        sees: with a picture.
        speaks: with a voice: its positions, the flow head at every step, the vocoder.
    """
    seen = shape.sight_tokens if sees else 0
    tokens = seen + shape.audio_tokens + text_in + 3 + text_out + (shape.voice_tokens if speaks else 0)
    each = flops_per_token(shape, context_stream_tokens, context_sight_tokens, logits=False)
    asked = min(text_out + 1, shape.text_out_tokens) * shape.vocabulary + len(FLOOR_MARKERS) + len(AUXILIARY)
    spectra = _SOUND_STREAMS * FRAMES_PER_TURN * _SPECTRUM_BINS * shape.mel_channels
    projected = (FRAMES_PER_TURN * shape.mel_width + CLOCK_FEATURES) * shape.width
    stem = shape.audio_tokens * shape.sound_layers * 4 * shape.width**2
    return TurnFlops(
        tokens=tokens,
        blocks=tokens * each,
        logits=2 * asked * shape.width,
        inputs=2 * (spectra + projected + stem + seen * _stem_products(shape)),
        voice=_voice_flops(shape) if speaks else 0,
    )


def _feed_forward_products(shape: NativeShape, layer: int) -> int:
    """Weights that one token passes in a layer's feed-forward part."""
    if not shape.is_moe(layer):
        return 3 * shape.width * shape.ffn_width
    shared = 3 * shape.width * shape.shared_expert_width
    return shape.experts * shape.width + shape.experts_per_token * _expert(shape) + shared


def _stem_products(shape: NativeShape) -> int:
    fine, coarse = shape.stem_widths
    last = _STEM_COARSE * coarse * shape.width
    return 3 * _STEM_PIXELS * fine + _STEM_FINE * fine * coarse + last


@functools.cache
def _voice_flops(shape: NativeShape) -> int:
    with _META, torch.no_grad(), FlopCounterMode(display=False) as counter:
        mel = torch.empty(1, FRAMES_PER_TURN, shape.mel_channels)
        before = torch.empty(1, shape.flow_context_frames, shape.mel_channels)
        FlowHead(shape).sample(torch.empty(1, shape.voice_tokens, shape.width), before, mel)
        Vocoder(shape)(mel)
    return int(counter.get_total_flops())


# ----------------------------------------------------------------------------------------------------------- memory


def cache_slots(shape: NativeShape, layer: int) -> int:
    """Return for how many tokens the ring of a layer has room: its windows, one micro-turn, and rounding."""
    return Ring.new(shape, 1, _META, is_global=shape.is_global(layer)).slots


def kv_bytes_per_session(shape: NativeShape, bytes_per_value: int) -> int:
    """Return what the keys and values of one session take, the same from its first micro-turn to its last."""
    slots = sum(cache_slots(shape, layer) for layer in range(shape.layers))
    return 2 * shape.kv_heads * shape.head_width * slots * bytes_per_value


# ------------------------------------------------------------------------------------------------------------- time


def turn_seconds(
    shape: NativeShape,
    machine: Machine,
    sessions: int,
    *,
    bytes_per_weight: float,
    bytes_per_value: float,
    text_out: int,
    pictures: float,
) -> float:
    """Return how long one micro-turn of all sessions takes at best, windows full, everybody speaking, in one batch.

    Passes are one for the inputs, one each for the floor and every text token, one for the voice. A pass takes the
    longer of computing and of reading weights and caches once; every expert is as likely as any other.

    Args:
        text_out: tokens per micro-turn.
        pictures: share of the micro-turns that have one.
    """
    inputs = pictures * shape.sight_tokens + shape.audio_tokens + 2
    passes = [inputs, *[1.0] * (1 + text_out), float(shape.voice_tokens)]
    each = flops_per_token(shape, _FULL, _FULL, logits=False)
    cost = flops_per_turn(shape, _FULL, _FULL, text_out=text_out, sees=False, speaks=True)
    around = cost.logits + cost.inputs + cost.voice + 2 * pictures * shape.sight_tokens * _stem_products(shape)
    visible = sum(visible_tokens(shape, layer, _FULL, _FULL) for layer in range(shape.layers))
    cache = sessions * visible * 2 * shape.kv_heads * shape.head_width * bytes_per_value
    seconds = sessions * around / machine.operations_per_s
    for tokens in passes:
        computing = sessions * tokens * each / machine.operations_per_s
        reading = (_touched(shape, sessions * tokens) * bytes_per_weight + cache) / machine.bytes_per_s
        seconds += max(computing, reading) + shape.layers * machine.layer_s
    return seconds


def _touched(shape: NativeShape, tokens: float) -> float:
    """Return how many weights that many tokens read together, on average."""
    counted = parameter_count(shape)
    experts = counted.by_part["experts"]
    if not experts:
        return counted.total
    missed: float = (1 - shape.experts_per_token / shape.experts) ** tokens
    return counted.total - experts * missed
