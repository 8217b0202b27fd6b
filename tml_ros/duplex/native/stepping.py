"""Run micro-turns on a model: take in, choose the floor, choose text, speak.

It owns what the weights do not say: how tokens are chosen, how experts are run, and whether rows are computed one by
one so that a row's result does not depend on its neighbours to the bit.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from tml_ros.duplex.native.experts import ExpertPath
from tml_ros.duplex.native.graphs import StepGraphs
from tml_ros.duplex.native.inputs import ABSENT, StreamInputs, StreamTargets
from tml_ros.duplex.native.noise import gumbel, normal
from tml_ros.duplex.native.shape import FRAMES_PER_TURN
from tml_ros.duplex.native.state import StreamState, keep
from tml_ros.duplex.native.tokens import FLOOR_MARKERS, Marker
from tml_ros.duplex.native.transformer import SPOKE, InteractionTransformer, Sights
from tml_ros.duplex.native.vocoder import DELAY_SAMPLES
from tml_ros.errors import ModelError

__all__ = ["Lean", "StepOptions", "StepResult", "Stepper"]

Lean = Callable[[], Tensor | None]

_FLOOR_NOISE, _TEXT_NOISE, _VOICE_NOISE = 0, 1, 2000


@dataclass(frozen=True, slots=True)
class StepOptions:
    """How steps are run.

    deterministic: each row by itself, so that it is bitwise the same whatever its neighbours are. temperature: 0 takes
    the likeliest token. voice: run the voice positions, flow head and vocoder. compile: run output tokens through
    torch.compile. cuda_graphs: replay recorded passes, for one state and all its rows at once. text_tokens: put out
    exactly so many, to measure what they cost; the model decides when None.
    """

    deterministic: bool = True
    temperature: float = 0.0
    voice: bool = False
    compile: bool = False
    cuda_graphs: bool = False
    text_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class StepResult:
    """What came of one micro-turn, of rows that were not active nothing of meaning.

    floor: [B] int64, id of a floor marker. text: [B, N] int64 without END, ABSENT behind the last. probability: [B, N]
    float32 of these tokens. floor_logits: [B, 5]. auxiliary: [B, 3] logits. text_logits: [B, N, vocabulary], zero where
    nothing was asked. voice: [B, V, D], mel: [B, 20, M] normalised, audio: [B, 3200], or None without voice; silence
    where the floor does not speak, but for the end of what was said before.
    """

    floor: Tensor
    text: Tensor
    probability: Tensor
    floor_logits: Tensor
    auxiliary: Tensor
    text_logits: Tensor
    voice: Tensor | None = None
    mel: Tensor | None = None
    audio: Tensor | None = None

    @classmethod
    def join(cls, rows: "list[StepResult]") -> "StepResult":
        """Put rows on top of each other."""
        columns = {name: [getattr(row, name) for row in rows] for name in cls.__slots__}
        joined: dict[str, Any] = {
            name: None if parts[0] is None else torch.cat(parts) for name, parts in columns.items()
        }
        return cls(**joined)


class Stepper:
    """Steps states of one model.

    Thread: one at a time per state; states share nothing but weights.
    """

    def __init__(self, model: InteractionTransformer, options: StepOptions | None = None) -> None:
        self.model = model
        self.options = options or StepOptions()
        device = model.embedding.weight.device
        self._places = torch.arange(model.shape.text_out_tokens + 1, device=device)[:, None].unbind()
        self._voiced = torch.tensor([Marker.SPEAK, Marker.BACKCHANNEL], device=device)
        self._extend = torch.compile(model.extend, dynamic=False) if self.options.compile else model.extend
        # on a GPU a look at the choice of experts would wait for it
        self._extend_path: ExpertPath = "gather" if self.options.compile or device.type == "cuda" else "rows"
        self._graphs: tuple[StreamState, StepGraphs] | None = None

    def step(
        self,
        inputs: StreamInputs,
        state: StreamState,
        active: Tensor | None = None,
        forced: StreamTargets | None = None,
        lean: Lean | None = None,
    ) -> StepResult:
        """Run one micro-turn.

        Args:
            inputs: [B, ...].
            state: B sessions, moved on in place.
            active: [B] bool, rows that have a micro-turn; the others stay as they are, to the bit. All by default.
            forced: floor [B] and text [B, N] that are put out whatever the model says, for known conversations.
            lean: called when the sound was heard; what it returns, [1, 5], is added to the floor's logits before it is
                chosen: what somebody else knows of it. For a single row.

        Raises:
            ModelError: there is more text than a micro-turn takes in.
        """
        if inputs.text is not None and inputs.text.shape[1] > self.model.shape.text_in_tokens:
            most = self.model.shape.text_in_tokens
            raise ModelError(f"a micro-turn takes in {most} text tokens, got {inputs.text.shape[1]}; spread them")
        active = torch.ones_like(inputs.audio_present) if active is None else active
        with torch.no_grad() if self.options.compile else torch.inference_mode():
            if not self.options.deterministic or state.batch == 1 or self.options.cuda_graphs:
                return self._step(inputs, state, active, forced, lean)
            made = [
                self._step(inputs.rows(b, b + 1), state.row(b), active[b : b + 1], forced and forced.rows(b, b + 1))
                for b in range(state.batch)
            ]
            return StepResult.join(made)

    def _step(
        self,
        inputs: StreamInputs,
        state: StreamState,
        active: Tensor,
        forced: StreamTargets | None,
        lean: Lean | None = None,
    ) -> StepResult:
        model, passes = self.model, self._passes(state)
        hidden, sights = passes.begin(inputs, state, active, "rows")
        floor_logits = model.floor_logits(hidden)
        leaned = None if lean is None else lean()
        floor_logits = floor_logits if leaned is None else floor_logits + leaned.to(floor_logits)
        auxiliary = model.auxiliary(hidden).float()
        floor = forced.floor if forced else self._choose(floor_logits, state, _FLOOR_NOISE) + min(FLOOR_MARKERS)
        text, probability, text_logits = self._say(floor, state, active, sights, forced)
        result = StepResult(floor, text, probability, floor_logits, auxiliary, text_logits)
        if self.options.voice:
            result = self._speak(result, state, active, sights)
        state.turn.add_(active.long())
        return result

    def _passes(self, state: StreamState) -> InteractionTransformer | StepGraphs:
        """Return what runs the passes; recordings are made for the first state that comes."""
        if not self.options.cuda_graphs:
            return self.model
        if self._graphs is None or self._graphs[0] is not state:
            self._graphs = (state, StepGraphs(self.model, state))
            self._extend = self._graphs[1].extend
        return self._graphs[1]

    def _say(
        self, floor: Tensor, state: StreamState, active: Tensor, sights: Sights, forced: StreamTargets | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Choose text until every row has put out END; return text, its probability and the logits."""
        model, most = self.model, self.model.shape.text_out_tokens
        text = torch.full((state.batch, most), ABSENT, device=floor.device)
        probability = torch.zeros(text.shape, device=floor.device)
        logits = torch.zeros(*text.shape, model.shape.vocabulary, device=floor.device)
        token, going = floor, active
        for index, place in enumerate(self._places):
            hidden = self._extend(token, place, state, going, sights, self._extend_path)
            if index == most:
                break
            logits[:, index] = model.text_logits(hidden)
            token = self._next(logits[:, index], state, index, forced)
            going = going & (token != Marker.END)
            text[:, index] = torch.where(going, token, ABSENT)
            likely = logits[:, index].softmax(-1).gather(1, token[:, None])[:, 0]
            probability[:, index] = torch.where(going, likely, 0.0)
            if not going.any():
                break
        return text, probability, logits

    def _next(self, logits: Tensor, state: StreamState, index: int, forced: StreamTargets | None) -> Tensor:
        """Return the token [B] after ``index`` text tokens."""
        if forced is not None:
            return torch.where(forced.text[:, index] == ABSENT, Marker.END, forced.text[:, index])
        fixed = self.options.text_tokens
        if fixed is None:
            return self._choose(logits, state, _TEXT_NOISE + index)
        chosen = self._choose(logits[:, Marker.END + 1 :], state, _TEXT_NOISE + index) + Marker.END + 1
        return chosen if index < fixed else torch.full_like(chosen, Marker.END)

    def _speak(self, result: StepResult, state: StreamState, active: Tensor, sights: Sights) -> StepResult:
        """Make the sound of the micro-turn."""
        model = self.model
        shape, speaking = model.shape, torch.isin(result.floor, self._voiced)
        if (speaking & active).any():
            hidden = self._passes(state).speak(state, speaking & active, sights, "rows")
            size = (FRAMES_PER_TURN, shape.mel_channels)
            noise = normal(state.seed, state.turn, _VOICE_NOISE, size[0] * size[1]).view(-1, *size)
            hidden = torch.where(speaking[:, None, None], hidden.float(), 0.0)
            mel = model.flow.step(hidden, noise, state.tails, active, speaking)
        else:
            hidden = result.floor_logits.new_zeros(state.batch, shape.voice_tokens, shape.width)
            mel = model.flow.rest(state.tails, active)
        audio = model.vocoder.step(mel, state.tails, active)
        spoke = state.tails[SPOKE]  # what it said last comes DELAY_SAMPLES into the next micro-turn
        is_end = (spoke > 0) & (torch.arange(audio.shape[1], device=audio.device) < DELAY_SAMPLES)
        audio = torch.where(speaking[:, None] | is_end, audio, 0.0)
        keep(spoke, speaking[:, None].to(spoke.dtype), active)
        return replace(result, voice=hidden, mel=mel, audio=audio)

    def _choose(self, logits: Tensor, state: StreamState, purpose: int) -> Tensor:
        """Return an index [B] into logits [B, n]."""
        if self.options.temperature > 0:
            noise = gumbel(state.seed, state.turn, purpose, logits.shape[1])
            logits = logits / self.options.temperature + noise
        return logits.argmax(-1)
