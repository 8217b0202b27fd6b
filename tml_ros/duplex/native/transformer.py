"""The interaction transformer: embeddings, blocks and heads over one interleaved sequence, whole or as a stream.

``forward`` runs whole conversations with known outputs. ``begin``, ``extend`` and ``speak`` run one micro-turn on a
``StreamState``; ``stepping`` calls them in order and chooses tokens. Both give the same numbers. It knows neither
records nor files.
"""

import copy
import math
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tml_ros.duplex.native.blocks import Block, RmsNorm
from tml_ros.duplex.native.dmel import AUDIO_TAIL, REFERENCE_TAIL, LogMel, MelTokens, quantise
from tml_ros.duplex.native.dmel import tail_shapes as mel_tail_shapes
from tml_ros.duplex.native.experts import ExpertPath, RouterUse
from tml_ros.duplex.native.flow import FlowHead
from tml_ros.duplex.native.hearing import stem_tail_shapes
from tml_ros.duplex.native.inputs import ABSENT, StreamInputs, StreamTargets
from tml_ros.duplex.native.packing import Sequence
from tml_ros.duplex.native.patches import PatchStem
from tml_ros.duplex.native.rotary import Rotary
from tml_ros.duplex.native.sequence import Layout, Places, Span
from tml_ros.duplex.native.shape import NativeShape
from tml_ros.duplex.native.state import Ring, StreamState, keep
from tml_ros.duplex.native.tokens import FLOOR_MARKERS, OUTPUT_BANNED, Marker
from tml_ros.duplex.native.vocoder import Vocoder

__all__ = [
    "AUXILIARY",
    "CLOCK_FEATURES",
    "HEARD",
    "HEARD_TOO",
    "SPOKE",
    "InteractionTransformer",
    "Predictions",
    "Sights",
    "Tokens",
]

AUXILIARY = ("user_speaking", "turn_end", "speech_present")
HEARD = "sound.heard"  # tail: the tokens of sound of the micro-turn before, as they are spelled
_EAR = "ear"
HEARD_TOO = f"{_EAR}.heard"  # tail: the same of the ear, where there is one
SPOKE = "voice.spoke"  # tail: 1 where the micro-turn before had voice
_FIRST_FLOOR = min(FLOOR_MARKERS)
_CLOCK_PERIODS = 17  # the longest is 2**17 micro-turns, 7.3 hours
CLOCK_FEATURES = 2 * _CLOCK_PERIODS + 4  # and flags: sound, reference, picture present; loudspeaker plays
Sights = tuple[Tensor, Tensor]  # one tensor for each ring, the short one first


@dataclass(frozen=True, slots=True)
class Predictions:
    """What ``forward`` says of T micro-turns.

    floor: [B, T, 5] logits in the order of ``FLOOR_MARKERS``. auxiliary: [B, T, 3] logits, see ``AUXILIARY``. text:
    [B, T, N, vocabulary] logits. voice: [B, T, V, D] hidden states, or None. uses: of every layer with experts.
    """

    floor: Tensor
    auxiliary: Tensor
    text: Tensor
    voice: Tensor | None
    uses: list[RouterUse]


class InteractionTransformer(nn.Module):
    """One set of weights for any number of sessions."""

    banned: Tensor
    ear: MelTokens | None
    """Hears what adapters have taught to be spelled, beside what hears everything else as before."""

    def __init__(self, shape: NativeShape) -> None:
        super().__init__()
        self.shape = shape
        self.layout = Layout(shape)
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.log_mel = LogMel(shape.mel_channels)
        self.sound = MelTokens(shape)
        self.register_module(_EAR, None)
        self.sight = PatchStem(shape)
        self.clock = nn.Linear(CLOCK_FEATURES, shape.width)
        self.rotary = Rotary(shape.rotary_width, shape.head_width)
        self.blocks = nn.ModuleList(Block(shape, layer) for layer in range(shape.layers))
        self.norm = RmsNorm(shape.width)
        self.auxiliary = nn.Linear(shape.width, len(AUXILIARY))
        self.voice_queries = nn.Parameter(torch.empty(shape.voice_tokens, shape.width))
        self.flow = FlowHead(shape)
        self.vocoder = Vocoder(shape)
        banned = torch.zeros(shape.vocabulary)
        banned[list(OUTPUT_BANNED)] = float("-inf")
        self.register_buffer("banned", banned, persistent=False)

        nn.init.normal_(self.embedding.weight, std=shape.width**-0.5)
        nn.init.normal_(self.voice_queries, std=shape.width**-0.5)

    @classmethod
    def created(cls, shape: NativeShape, seed: int) -> "InteractionTransformer":
        """Return a model with random weights, the same for the same seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(shape).eval()

    @property
    def layers(self) -> list[Block]:
        """The blocks, first to last."""
        return cast(list[Block], list(self.blocks))

    @property
    def ears(self) -> list[MelTokens]:
        """What hears."""
        return [self.sound] if self.ear is None else [self.sound, self.ear]

    def spell_apart(self) -> MelTokens:
        """Return what hears once more for the letters from now on, at first as what hears for everything."""
        if self.ear is None:
            self.ear = copy.deepcopy(self.sound)
            if self.ear.stem is not None:
                self.ear.stem.name = _EAR
        return self.ear

    # -------------------------------------------------------------------------------------------------- embedding

    def _clock_features(self, turn: Tensor, flags: list[Tensor]) -> Tensor:
        """Return [..., features] of micro-turn numbers [...]: where it lies in periods of 2, 4, 8 ... micro-turns."""
        periods = 1 << torch.arange(1, _CLOCK_PERIODS + 1, device=turn.device)
        angle = (turn[..., None] % periods).float() / periods * (2 * math.pi)
        return torch.cat((angle.cos(), angle.sin(), torch.stack(flags, dim=-1).float()), dim=-1)

    def levels(self, inputs: StreamInputs) -> tuple[Tensor, Tensor | None]:
        """Return the levels of what whole streams hear and play, [B, T, 20, M] int64; None where nothing is played."""
        if inputs.levels is not None:
            played = inputs.reference_levels
            return inputs.levels.long(), None if played is None else played.long()
        heard = quantise(self.log_mel(inputs.audio, inputs.audio_present), self.shape)
        if inputs.reference is None:
            return heard, None
        return heard, quantise(self.log_mel(*inputs.played()), self.shape)

    def _sight(self, frames: Tensor, present: Tensor) -> Tensor:
        """Return [..., P, D] of pictures [..., H, W, 3], or of [F, H, W, 3], those of them that are present."""
        if frames.dim() != 4 or present.dim() != 2:
            return self.sight(frames)  # type: ignore[no-any-return]
        seen: Tensor = self.sight(frames)
        return seen.new_zeros(*present.shape, *seen.shape[1:]).masked_scatter(present[..., None, None], seen)

    def heard(self, inputs: StreamInputs) -> Tensor:
        """Return the tokens of sound of whole streams, [B, T, A, D]."""
        heard, played = self.levels(inputs)
        return self.sound(heard, inputs.audio_present, played, inputs.played()[1])  # type: ignore[no-any-return]

    def _embed(self, inputs: StreamInputs, sound: Tensor, turn: Tensor) -> list["_Part"]:
        """Embed what a micro-turn takes in, OUT at its end. sound: its tokens."""
        parts = []
        layout, (_, reference) = self.layout, inputs.played()
        frames = torch.zeros_like(reference) if inputs.frame_present is None else inputs.frame_present
        if inputs.frames is not None:
            parts.append(_Part(layout.sight, self._sight(inputs.frames, frames), frames))
        parts.append(_Part(layout.audio, sound, inputs.audio_present | reference))
        if inputs.text is not None:
            there = inputs.text != ABSENT
            parts.append(_Part(layout.text, self.embedding(inputs.text.clamp(min=0)), there))
        features = self._clock_features(turn, [inputs.audio_present, reference, frames, inputs.playing])
        clock = self.clock(features.to(self.clock.weight.dtype))[..., None, :]
        always = torch.ones_like(frames)
        parts.append(_Part(layout.clock, clock, always))
        out = self.embedding.weight[Marker.OUT].expand_as(clock)
        parts.append(_Part(layout.out, out, always))
        return parts

    def _join(self, parts: list["_Part"]) -> "Tokens":
        """Put parts side by side."""
        spans = tuple((part.span, part.x.shape[-2]) for part in parts)
        there = [p.present if p.present.dim() == p.x.dim() - 1 else p.present[..., None] for p in parts]
        there = [present.expand(part.x.shape[:-1]) for present, part in zip(there, parts, strict=True)]
        places = self.layout.places(spans, parts[0].x.device)
        return Tokens(spans, places, torch.cat([part.x for part in parts], dim=-2), torch.cat(there, dim=-1))

    def _embed_said(self, floor: Tensor, text: Tensor) -> "_Part":
        """Embed known outputs: floor [..., ] and text [..., N] ids."""
        ids = torch.cat((floor[..., None], text), dim=-1)
        return _Part(self.layout.said, self.embedding(ids.clamp(min=0)), ids != ABSENT)

    def _voice(self, speaking: Tensor) -> "_Part":
        """Embed the voice positions of micro-turns; speaking: [...] bool."""
        queries = self.voice_queries.expand(*speaking.shape, -1, -1)
        return _Part(self.layout.voice, queries, speaking)

    # ------------------------------------------------------------------------------------------------------ heads

    def floor_logits(self, hidden: Tensor) -> Tensor:
        """Return [..., 5] of the hidden states [..., D] at OUT."""
        return F.linear(hidden, self.embedding.weight[_FIRST_FLOOR : _FIRST_FLOOR + len(FLOOR_MARKERS)]).float()

    def text_logits(self, hidden: Tensor) -> Tensor:
        """Return [..., vocabulary] of the hidden states [..., D] at floor and text positions."""
        return F.linear(hidden, self.embedding.weight).float() + self.banned

    # ---------------------------------------------------------------------------------------------------- offline

    def forward(self, inputs: StreamInputs, targets: StreamTargets) -> Predictions:
        """Run T micro-turns [B, T, ...] from the start of a session, each with the outputs of those before it."""
        hidden, tokens, uses = self.hidden(inputs, targets)
        said = tokens.of(hidden, self.layout.said)
        return Predictions(
            self.floor_logits(tokens.of(hidden, self.layout.out)[..., 0, :]),
            self.auxiliary(tokens.of(hidden, self.layout.out)[..., 0, :]).float(),
            self.text_logits(said[..., : self.shape.text_out_tokens, :]),
            tokens.of(hidden, self.layout.voice) if targets.speaking is not None else None,
            uses,
        )

    def hidden(
        self, inputs: StreamInputs, targets: StreamTargets, *, packs: bool = False
    ) -> tuple[Tensor, "Tokens", list[RouterUse]]:
        """Return the normalised hidden states [B, T, S, D], what stands in the S places, and the use of experts.

        packs: run only the places that are taken, for training: the same numbers up to rounding. Hidden states of
        places that are not taken are zeros.
        """
        batch, turns = inputs.audio_present.shape
        turn = torch.arange(turns, device=inputs.audio_present.device).expand(batch, turns)
        parts = [*self._embed(inputs, self.heard(inputs), turn), self._embed_said(targets.floor, targets.text)]
        if targets.speaking is not None:
            parts.append(self._voice(targets.speaking))
        tokens = self._join(parts)
        view = Sequence(tokens.present, tokens.places, self.layout, self.shape.sinks, packs=packs)
        packed = view.pack(tokens.x)
        angles = self.rotary(packed.positions, tokens.x.dtype)
        x, uses = packed.x, []
        for block in self.layers:
            window = Ring.window_of(self.shape, is_global=block.is_global)
            x, use = block(x, angles, partial(view.attend, window=window), packed.present)
            uses += [] if use is None else [use]
        return view.unpack(self.norm(x)), tokens, uses

    # -------------------------------------------------------------------------------------------------- streaming

    def new_state(self, seeds: list[int]) -> StreamState:
        """Allocate B sessions, one per seed, in the precision of the weights and where they are."""
        batch, device, dtype = len(seeds), self.embedding.weight.device, self.embedding.weight.dtype
        rings = tuple(Ring.new(self.shape, batch, device, is_global=which) for which in (False, True))
        caches = []
        for block in self.layers:
            size = (batch, 2 * self.shape.kv_heads, rings[block.is_global].slots, self.shape.head_width)
            cache = torch.zeros(size, dtype=dtype, device=device)
            with torch.no_grad():
                cache[:, :, : self.shape.sinks] = torch.cat(block.attention.sinks())
            caches.append(cache)
        tails = (
            mel_tail_shapes()
            | stem_tail_shapes(self.shape)
            | self.flow.tail_shapes()
            | self.vocoder.tail_shapes()
            | {SPOKE: (1,), HEARD: (self.shape.audio_tokens, self.shape.width)}
        )
        if self.ear is not None:
            tails |= stem_tail_shapes(self.shape, _EAR) | {HEARD_TOO: tails[HEARD]}
        return StreamState(
            caches,
            (rings[0], rings[1]),
            torch.zeros(batch, dtype=torch.int64, device=device),
            torch.zeros(batch, 2, dtype=torch.int64, device=device),
            torch.tensor(seeds, dtype=torch.int64, device=device),
            {name: torch.zeros(batch, *size, device=device) for name, size in tails.items()},
        )

    def begin(
        self, inputs: StreamInputs, state: StreamState, active: Tensor, path: ExpertPath
    ) -> tuple[Tensor, Sights]:
        """Take in one micro-turn.

        Args:
            inputs: of one micro-turn.
            active: [B] bool, the rows that have one; the others stay as they are.
            path: how experts are run.

        Returns:
            The hidden state [B, D] at OUT, and what it sees of each ring, which ``extend`` and ``speak`` add to.
        """
        heard = self.log_mel.step(inputs.audio, inputs.audio_present, state.tails, active, AUDIO_TAIL)
        reference, is_played = inputs.played()
        played = self.log_mel.step(reference, is_played, state.tails, active, REFERENCE_TAIL)
        levels = quantise(heard, self.shape), quantise(played, self.shape)
        present = inputs.audio_present, is_played
        sound = self.sound.step(levels, present, state.tails, active)
        keep(state.tails[HEARD], sound.to(state.tails[HEARD].dtype), active)
        if self.ear is not None:
            taught = self.ear.step(levels, present, state.tails, active)
            keep(state.tails[HEARD_TOO], taught.to(state.tails[HEARD_TOO].dtype), active)
        tokens = self._join(self._embed(inputs, sound, state.turn))
        began = state.written.clone()
        slots = state.admit(tokens.places.kinds, tokens.present & active[:, None])
        local, far = (_bias(ring.seen(began), tokens.x.dtype) for ring in state.rings)
        count = tokens.x.shape[1]
        biases = _before_out(local, slots[0], count), _before_out(far, slots[1], count)
        hidden = self._run(tokens.x, tokens.places.slots, state, slots, biases, path)
        return hidden[:, -1], (local, far)

    def extend(
        self, token: Tensor, place: Tensor, state: StreamState, present: Tensor, sights: Sights, path: ExpertPath
    ) -> Tensor:
        """Take in an output token.

        Args:
            token: [B] int64.
            place: [1] int64, 0 for the floor, n for the n-th text token.
            present: [B] bool, the rows that have one.
            sights: of ``begin``.
            path: how experts are run.

        Returns:
            The hidden state [B, D] there.
        """
        x = self.embedding(token.clamp(min=0))[:, None]
        slots = self._admit_outputs(torch.zeros_like(place), state, present[:, None], sights)
        return self._run(x, self.layout.said.start + place, state, slots, sights, path)[:, 0]

    def speak(self, state: StreamState, speaking: Tensor, sights: Sights, path: ExpertPath) -> Tensor:
        """Run the voice positions of the rows that speak; return their hidden states [B, V, D]."""
        tokens = self._join([self._voice(speaking)])
        slots = self._admit_outputs(tokens.places.kinds, state, tokens.present, sights)
        biases = _causal(sights[0], slots[0]), _causal(sights[1], slots[1])
        return self._run(tokens.x, tokens.places.slots, state, slots, biases, path)

    def _admit_outputs(self, kinds: Tensor, state: StreamState, present: Tensor, sights: Sights) -> Sights:
        """Give output tokens their slots and let what comes after see them. kinds: [S]; present: [B, S] bool."""
        slots = state.admit(kinds, present)
        shown = _bias(present, sights[0].dtype)
        for sight, taken in zip(sights, slots, strict=True):
            sight.scatter_(3, taken[:, None, None], shown)
        return slots

    def _run(
        self, x: Tensor, places: Tensor, state: StreamState, slots: Sights, biases: Sights, path: ExpertPath
    ) -> Tensor:
        """Run tokens [B, S, D] at places [S] of the micro-turn; return their normalised hidden states."""
        angles = self.rotary(state.turn[:, None] * self.layout.slots_per_turn + places, x.dtype)
        for block, cache in zip(self.layers, state.caches, strict=True):
            x = block.step(x, angles, cache, slots[block.is_global], biases[block.is_global], path)
        return self.norm(x)  # type: ignore[no-any-return]


def _bias(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """Return what is added to scores, [B, 1, 1, C]: 0 where seen [B, C], minus infinity elsewhere."""
    return torch.zeros((), dtype=dtype, device=seen.device).where(seen, float("-inf"))[:, None, None]


def _before_out(sight: Tensor, slots: Tensor, count: int) -> Tensor:
    """Return the bias [B, 1, S, C] of inputs and OUT behind them, which no input sees. slots: [B, S], theirs."""
    inwards = sight.scatter(3, slots[:, None, None, -1:], float("-inf"))
    return torch.cat((inwards.expand(-1, -1, count - 1, -1), sight), dim=2)


def _causal(sight: Tensor, slots: Tensor) -> Tensor:
    """Return the bias [B, 1, S, C] of S tokens that see those before them. slots: [B, S], theirs."""
    batch, count = slots.shape
    later = torch.ones(count, count, dtype=torch.bool, device=slots.device).triu(1).expand(batch, -1, -1)
    hidden = torch.zeros(batch, count, sight.shape[3], dtype=torch.bool, device=slots.device)
    hidden = hidden.scatter(2, slots[:, None].expand_as(later), later)
    return torch.where(hidden[:, None], float("-inf"), sight)


@dataclass(frozen=True, slots=True)
class _Part:
    """Tokens of one span. x: [..., n, D]; present: [...] or [..., n] bool."""

    span: Span
    x: Tensor
    present: Tensor


@dataclass(frozen=True, slots=True)
class Tokens:
    """S tokens of each micro-turn. x: [..., S, D]; present: [..., S] bool."""

    spans: tuple[tuple[Span, int], ...]
    places: Places
    x: Tensor
    present: Tensor

    def of(self, hidden: Tensor, span: Span) -> Tensor:
        """Return the part of hidden [..., S, D] that belongs to a span."""
        begin = 0
        for own, count in self.spans:
            if own == span:
                return hidden[..., begin : begin + count, :]
            begin += count
        raise KeyError(span)
