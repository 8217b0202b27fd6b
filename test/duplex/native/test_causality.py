"""Nothing at or before a moment changes when something after it does."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tml_ros.duplex.native.inputs import ABSENT, StreamInputs, StreamTargets
from tml_ros.duplex.native.tokens import Marker
from tml_ros.duplex.native.transformer import Predictions

TURNS = 7
INPUTS = (
    "audio",
    "audio_present",
    "reference",
    "reference_present",
    "frames",
    "frame_present",
    "text",
    "playing",
)


def outputs(shape, seed: int) -> StreamTargets:
    source = torch.Generator().manual_seed(seed)
    words = torch.randint(len(Marker), shape.vocabulary, (1, TURNS, shape.text_out_tokens), generator=source)
    there = torch.arange(shape.text_out_tokens) < torch.randint(
        0, shape.text_out_tokens + 1, (1, TURNS, 1), generator=source
    )
    floor = torch.randint(Marker.LISTEN, Marker.YIELD + 1, (1, TURNS), generator=source)
    speaking = torch.rand(1, TURNS, generator=source) < 0.7
    return StreamTargets(floor, torch.where(there, words, ABSENT), speaking=speaking)


def seen_until(predictions: Predictions, turn: int) -> list[torch.Tensor]:
    """Return everything that is predicted up to and in a micro-turn."""
    parts = (predictions.floor, predictions.auxiliary, predictions.text, predictions.voice)
    return [part[:, : turn + 1] for part in parts]


def same(one: list[torch.Tensor], two: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def changed(inputs: StreamInputs, name: str, after: int, other: StreamInputs) -> StreamInputs:
    """Return the inputs with one modality of another conversation after a micro-turn."""
    tensor = getattr(inputs, name).clone()
    tensor[:, after + 1 :] = (
        ~tensor[:, after + 1 :] if tensor.dtype == torch.bool else getattr(other, name)[:, after + 1 :]
    )
    return replace(inputs, **{name: tensor})


@pytest.fixture(scope="module")
def everything(tiny_shape, made_up) -> tuple[StreamInputs, StreamInputs]:
    """Two conversations in which every modality is there in every micro-turn."""
    always = torch.ones(1, TURNS, dtype=torch.bool)
    there = {"audio_present": always, "reference_present": always, "frame_present": always}
    one, two = (replace(made_up(tiny_shape, 1, TURNS, seed=seed), **there) for seed in (1, 2))
    words = torch.full_like(one.text, 40)
    return replace(one, text=words), replace(two, text=words + 1)


@pytest.mark.parametrize("name", INPUTS)
@settings(max_examples=6, deadline=None)
@given(after=st.integers(0, TURNS - 2), seed=st.integers(0, 100))
def test_nothing_changes_before_when_an_input_changes_after(tiny_model, tiny_shape, everything, name, after, seed):
    inputs, other = everything
    targets = outputs(tiny_shape, seed)
    with torch.no_grad():
        one = tiny_model(inputs, targets)
        two = tiny_model(changed(inputs, name, after, other), targets)
    assert same(seen_until(one, after), seen_until(two, after))
    assert not torch.equal(one.floor[:, after + 1 :], two.floor[:, after + 1 :])


@pytest.mark.parametrize("name", ["audio", "reference", "frames", "text"])
def test_every_input_is_heard_at_once_when_it_changes(tiny_model, tiny_shape, everything, name):
    inputs, other = everything
    targets = outputs(tiny_shape, 0)
    with torch.no_grad():
        one, two = tiny_model(inputs, targets), tiny_model(changed(inputs, name, 2, other), targets)
    assert not torch.allclose(one.floor[:, 3], two.floor[:, 3])


def test_no_gradient_comes_from_later_sound_when_it_is_asked_for(tiny_model, tiny_shape, everything):
    # sound is binned before the model: the finest that can be asked is the embedding of its levels, turn by turn
    inputs, _ = everything
    kept = []
    hook = tiny_model.sound.register_forward_hook(
        lambda module, given, made: kept.append(made.requires_grad_()) or made
    )
    try:
        predictions = tiny_model(inputs, outputs(tiny_shape, 0))
    finally:
        hook.remove()
    (gradient,) = torch.autograd.grad(predictions.text[:, 3].logsumexp(-1).sum(), kept)
    reach = gradient.abs().sum((0, 2, 3)) > 0
    assert reach.tolist() == [True] * 4 + [False] * (TURNS - 4)


@settings(max_examples=10, deadline=None)
@given(turn=st.integers(0, TURNS - 1), place=st.integers(0, 5), seed=st.integers(0, 100))
def test_outputs_are_causal_when_one_of_them_changes(tiny_model, tiny_shape, everything, turn, place, seed):
    targets = outputs(tiny_shape, seed)
    text = targets.text.clone()
    text[:, turn] = torch.arange(50, 50 + tiny_shape.text_out_tokens)
    targets = replace(targets, text=text)
    other = text.clone()
    other[0, turn, place] = 300
    with torch.no_grad():
        one, two = tiny_model(everything[0], targets), tiny_model(everything[0], replace(targets, text=other))
    assert same(seen_until(one, turn - 1), seen_until(two, turn - 1))
    assert torch.equal(one.floor[:, turn], two.floor[:, turn])
    assert torch.equal(one.text[:, turn, : place + 1], two.text[:, turn, : place + 1])
    if place + 1 < tiny_shape.text_out_tokens:
        assert not torch.equal(one.text[:, turn, place + 1], two.text[:, turn, place + 1])


def test_floor_reaches_the_text_but_not_itself_when_it_changes(tiny_model, tiny_shape, everything):
    targets = outputs(tiny_shape, 0)
    floor = targets.floor.clone()
    floor[0, 3] = Marker.YIELD if floor[0, 3] != Marker.YIELD else Marker.LISTEN
    with torch.no_grad():
        one, two = tiny_model(everything[0], targets), tiny_model(everything[0], replace(targets, floor=floor))
    assert same(seen_until(one, 2), seen_until(two, 2))
    assert torch.equal(one.floor[:, 3], two.floor[:, 3])
    assert not torch.equal(one.text[:, 3, 0], two.text[:, 3, 0])


def test_inputs_of_a_micro_turn_see_each_other_when_they_come_together(tiny_model, tiny_shape, everything):
    # the last text token of a micro-turn reaches the first patch of the same micro-turn
    inputs, _ = everything
    text = inputs.text.clone()
    text[0, 2, -1] = 77
    with torch.no_grad():
        states = [tiny_model.hidden(each, outputs(tiny_shape, 0))[0] for each in (inputs, replace(inputs, text=text))]
    assert torch.equal(states[0][:, :2], states[1][:, :2])
    assert not torch.equal(states[0][:, 2, 0], states[1][:, 2, 0])


def test_what_left_the_window_is_forgotten_when_only_local_layers_look(tiny_shape, made_up):
    # A check of the window itself: with all layers local, reach is bounded by layers x window.
    from tml_ros.duplex.native.transformer import InteractionTransformer

    shape = replace(tiny_shape, layers=2, global_every=9, local_stream_tokens=10, local_sight_tokens=12)
    model = InteractionTransformer.created(shape, seed=1)
    turns = 14
    inputs, other = (made_up(shape, 1, turns, seed=seed) for seed in (1, 2))
    always = torch.ones(1, turns, dtype=torch.bool)
    inputs = replace(inputs, audio_present=always, frames=None, frame_present=None, text=None)
    heard = inputs.audio.clone()
    heard[:, 0] = other.audio[:, 0]
    targets = StreamTargets(
        torch.full((1, turns), Marker.LISTEN), torch.full((1, turns, shape.text_out_tokens), ABSENT)
    )
    with torch.no_grad():
        one, two = model(inputs, targets), model(replace(inputs, audio=heard), targets)
    differs = (one.floor != two.floor).any(-1)[0]
    # 8 tokens a micro-turn (5 of sound, clock, OUT, floor): a layer sees at most 2 micro-turns back
    assert differs[:2].all()
    assert not differs[5:].any()
