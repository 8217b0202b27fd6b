"""CUDA graphs of the passes of one model on one state: recorded once, then replayed without the cost of launching.

Every pass has fixed shapes: a modality that is absent is there with nothing in it. The tensors that a pass reads and
writes have fixed places, into which a call copies its arguments.
"""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from tml_ros.duplex.native.experts import ExpertPath
from tml_ros.duplex.native.inputs import ABSENT, StreamInputs
from tml_ros.duplex.native.state import StreamState
from tml_ros.duplex.native.transformer import InteractionTransformer, Sights

__all__ = ["StepGraphs", "everything_there"]

_WARM_UPS = 3
T = TypeVar("T")


class StepGraphs:
    """Has the passes of ``InteractionTransformer``; ``state`` and ``path`` of a call are those of the recording.

    Thread: one at a time.
    """

    def __init__(self, model: InteractionTransformer, state: StreamState) -> None:
        before = state.snapshot()
        device, batch = model.embedding.weight.device, state.batch
        none = torch.zeros(batch, dtype=torch.bool, device=device)
        self._inputs = everything_there(StreamInputs.silent(batch, device=device), model).copied()
        self._active, self._present, self._speaking = none.clone(), none.clone(), none.clone()
        self._token, self._place = torch.zeros(batch, dtype=torch.int64, device=device), none.new_zeros(1).long()
        self._model = model
        self._begin, (self._hidden, self._sights) = _record(
            lambda: model.begin(self._inputs, state, self._active, "gather")
        )
        self._extend, self._said = _record(
            lambda: model.extend(self._token, self._place, state, self._present, self._sights, "gather")
        )
        self._speak, self._voice = _record(lambda: model.speak(state, self._speaking, self._sights, "gather"))
        state.restore(before)

    def begin(
        self, inputs: StreamInputs, state: StreamState, active: Tensor, path: ExpertPath
    ) -> tuple[Tensor, Sights]:
        """Replay the pass over what a micro-turn takes in."""
        whole = everything_there(inputs, self._model).tensors()
        for name, tensor in self._inputs.tensors().items():
            tensor.copy_(whole[name])
        self._active.copy_(active)
        self._begin.replay()
        return self._hidden, self._sights

    def extend(
        self, token: Tensor, place: Tensor, state: StreamState, present: Tensor, sights: Sights, path: ExpertPath
    ) -> Tensor:
        """Replay the pass over an output token."""
        self._token.copy_(token)
        self._place.copy_(place)
        self._present.copy_(present)
        self._extend.replay()
        return self._said

    def speak(self, state: StreamState, speaking: Tensor, sights: Sights, path: ExpertPath) -> Tensor:
        """Replay the pass over the voice positions."""
        self._speaking.copy_(speaking)
        self._speak.replay()
        return self._voice


def everything_there(inputs: StreamInputs, model: InteractionTransformer) -> StreamInputs:
    """Return inputs in which every modality has a tensor, all of it absent where there was none."""
    shape, none = model.shape, torch.zeros_like(inputs.audio_present)
    device, batch = inputs.audio.device, len(none)
    size = (batch, *shape.picture_size, 3)
    reference, reference_present = inputs.played()
    text = torch.full((batch, shape.text_in_tokens), ABSENT, device=device)
    if inputs.text is not None:
        text[:, : inputs.text.shape[1]] = inputs.text
    no_frames = inputs.frames is None or inputs.frame_present is None
    return StreamInputs(
        audio=inputs.audio,
        audio_present=inputs.audio_present,
        playing=inputs.playing,
        reference=reference,
        reference_present=reference_present,
        frames=torch.zeros(size, dtype=torch.uint8, device=device) if no_frames else inputs.frames,
        frame_present=none if no_frames else inputs.frame_present,
        text=text,
    )


def _record(run: Callable[[], T]) -> tuple[torch.cuda.CUDAGraph, T]:
    """Run a few times on a stream of its own, as CUDA asks for, then record."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UPS):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        made = run()
    return graph, made
