"""How steps are run: compiled, recorded, forced, with chosen numbers of tokens."""

import math
from dataclasses import replace

import pytest
import torch

from tml_ros.duplex.native import graphs
from tml_ros.duplex.native.graphs import StepGraphs, everything_there
from tml_ros.duplex.native.inputs import ABSENT, StreamInputs, StreamTargets
from tml_ros.duplex.native.stepping import StepOptions, Stepper
from tml_ros.duplex.native.tokens import FLOOR_MARKERS, OUTPUT_BANNED, Marker
from tml_ros.duplex.native.vocoder import DELAY_SAMPLES
from tml_ros.errors import ModelError


def steps(model, inputs, options: StepOptions, seeds=(1,)):
    stepper, state = Stepper(model, options), model.new_state(list(seeds))
    return [stepper.step(inputs.turn(t), state) for t in range(inputs.audio.shape[1])], state


def test_compiled_steps_are_the_same_when_a_compiler_is_there(tiny_model, tiny_shape, made_up):
    # the tracing is the real one; eager stands in for the C++ that takes a minute to compile
    inputs = made_up(tiny_shape, 1, 6)
    wanted, _ = steps(tiny_model, inputs, StepOptions())
    stepper, state = Stepper(tiny_model, StepOptions(compile=True)), tiny_model.new_state([1])
    stepper._extend = torch.compile(tiny_model.extend, dynamic=False, fullgraph=True, backend="eager")
    for t, expected in enumerate(wanted):
        found = stepper.step(inputs.turn(t), state)
        assert torch.equal(found.text, expected.text)
        assert torch.allclose(found.floor_logits, expected.floor_logits, rtol=1e-4, atol=1e-5)


def test_passes_have_one_shape_when_every_modality_is_made_to_be_there(tiny_model, tiny_shape, made_up):
    whole = made_up(tiny_shape, 2, 3)
    bare = replace(whole, reference=None, reference_present=None, frames=None, frame_present=None, text=None)
    filled = [everything_there(inputs.turn(0), tiny_model) for inputs in (whole, bare)]
    shapes = [{name: tensor.shape for name, tensor in one.tensors().items()} for one in filled]
    assert shapes[0] == shapes[1]
    stepper = Stepper(tiny_model)
    for t in range(3):
        one, two = (tiny_model.new_state([1, 2]) for _ in range(2))
        plain = stepper.step(bare.turn(t), one).floor_logits
        same = stepper.step(everything_there(bare.turn(t), tiny_model), two).floor_logits
        assert torch.allclose(plain, same, rtol=1e-4, atol=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")
def test_recorded_steps_are_the_same_when_there_is_a_gpu(tiny_model, tiny_shape, made_up):
    import copy

    model, inputs = copy.deepcopy(tiny_model).cuda(), made_up(tiny_shape, 2, 20).to("cuda")
    options = StepOptions(deterministic=False, voice=True)
    wanted, _ = steps(model, inputs, options, (1, 2))
    found, state = steps(model, inputs, replace(options, cuda_graphs=True), (1, 2))
    for one, two in zip(found, wanted, strict=True):
        assert torch.equal(one.text, two.text)
        assert torch.allclose(one.floor_logits, two.floor_logits, rtol=1e-3, atol=1e-4)
    assert isinstance(StepGraphs(model, state), StepGraphs)
    assert state.turn.tolist() == [20, 20]


class Replayed:
    """Stands for a CUDA graph: runs again, and leaves what comes of it where it was the first time."""

    def __init__(self, run) -> None:
        self._run, self.made = run, run()

    def replay(self) -> None:
        for old, new in zip(flat(self.made), flat(self._run()), strict=True):
            old.copy_(new)


def flat(tensors) -> list[torch.Tensor]:
    return [tensors] if isinstance(tensors, torch.Tensor) else [one for part in tensors for one in flat(part)]


def record(run):
    graph = Replayed(run)
    return graph, graph.made


def test_recorded_steps_are_the_same_when_recordings_are_played_on_a_cpu(tiny_model, tiny_shape, made_up, monkeypatch):
    # all but the recording itself: fixed places, copies, the order of the passes
    monkeypatch.setattr(graphs, "_record", record)
    inputs, options = made_up(tiny_shape, 2, 12), StepOptions(deterministic=False, voice=True, temperature=1.0)
    wanted, plain = steps(tiny_model, inputs, options, (1, 2))
    found, state = steps(tiny_model, inputs, replace(options, cuda_graphs=True), (1, 2))
    for one, two in zip(found, wanted, strict=True):
        assert torch.equal(one.text, two.text)
        assert torch.allclose(one.floor_logits, two.floor_logits, rtol=1e-4, atol=1e-5)
        assert torch.allclose(one.audio, two.audio, rtol=1e-4, atol=1e-4)
    assert torch.equal(state.turn, plain.turn) and torch.equal(state.written, plain.written)


def test_every_input_has_its_own_memory_when_nothing_is_there():
    silent = StreamInputs.silent(2)
    assert silent.audio_present.data_ptr() != silent.playing.data_ptr()


def test_error_says_how_much_text_fits_when_there_is_more(tiny_model, tiny_shape):
    text = torch.full((1, tiny_shape.text_in_tokens + 1), 40)
    with pytest.raises(ModelError, match="takes in 8 text tokens, got 9"):
        Stepper(tiny_model).step(replace(StreamInputs.silent(1), text=text), tiny_model.new_state([1]))


@pytest.mark.parametrize("count", [0, 3, 6])
def test_as_many_tokens_come_as_are_asked_for_when_their_number_is_fixed(tiny_model, tiny_shape, made_up, count):
    made, _ = steps(tiny_model, made_up(tiny_shape, 1, 3), StepOptions(text_tokens=count))
    assert [(one.text != ABSENT).sum().item() for one in made] == [count] * 3
    assert all(Marker.END not in one.text for one in made)


def test_forced_outputs_are_put_out_when_a_conversation_is_known(tiny_model, tiny_shape, made_up):
    inputs = made_up(tiny_shape, 1, 2)
    text = torch.full((1, 2, tiny_shape.text_out_tokens), ABSENT)
    text[:, 0, :2] = 40
    known = StreamTargets(torch.tensor([[Marker.YIELD, Marker.SPEAK]]), text)
    stepper, state = Stepper(tiny_model), tiny_model.new_state([1])
    made = [stepper.step(inputs.turn(t), state, forced=known.turn(t)) for t in range(2)]
    assert [one.floor.item() for one in made] == [Marker.YIELD, Marker.SPEAK]
    assert torch.equal(torch.stack([one.text for one in made], 1), text)


def test_inputs_and_spare_markers_are_never_put_out_when_tokens_are_chosen_by_chance(tiny_model, tiny_shape, made_up):
    made, _ = steps(tiny_model, made_up(tiny_shape, 4, 12), StepOptions(temperature=2.0), (1, 2, 3, 4))
    said = torch.stack([one.text for one in made])
    assert not set(said.unique().tolist()) & set(OUTPUT_BANNED)
    assert set(torch.stack([one.floor for one in made]).unique().tolist()) <= set(FLOOR_MARKERS)
    assert len(said.unique()) > 100


def test_probabilities_are_those_of_the_tokens_when_text_is_put_out(tiny_model, tiny_shape, made_up):
    (one,), _ = steps(tiny_model, made_up(tiny_shape, 1, 1), StepOptions(text_tokens=4))
    wanted = torch.softmax(one.text_logits[0, :4], -1).gather(1, one.text[0, :4, None])[:, 0]
    assert torch.allclose(one.probability[0, :4], wanted)
    assert one.probability[0, 4:].tolist() == [0.0] * (tiny_shape.text_out_tokens - 4)


def test_voice_is_silent_when_the_floor_does_not_speak(tiny_model, tiny_shape, made_up):
    inputs = made_up(tiny_shape, 1, 2)
    stepper, state = Stepper(tiny_model, StepOptions(voice=True)), tiny_model.new_state([1])
    text = torch.full((1, 2, tiny_shape.text_out_tokens), ABSENT)
    known = StreamTargets(torch.tensor([[Marker.SPEAK, Marker.LISTEN]]), text)
    loud, quiet = (stepper.step(inputs.turn(t), state, forced=known.turn(t)) for t in range(2))
    assert loud.audio.abs().max() > 0 and loud.audio.shape == (1, 3200)
    assert quiet.audio[:, :DELAY_SAMPLES].abs().max() > 0  # the end of what was said before
    assert quiet.audio[:, DELAY_SAMPLES:].abs().max() == 0
    quieter = stepper.step(inputs.turn(1), state, forced=known.turn(1))
    assert quieter.audio.abs().max() == 0 and (quiet.mel == quiet.mel.min()).all()
    assert not math.isclose(loud.mel.std().item(), 0)


def test_the_floor_is_chosen_with_what_others_know_when_it_leans(tiny_model, tiny_shape, made_up):
    inputs = made_up(tiny_shape, 1, 2)
    stepper = Stepper(tiny_model)
    for number, marker in enumerate(FLOOR_MARKERS):
        asked, lean = [], torch.zeros(1, len(FLOOR_MARKERS))
        lean[0, number] = 50.0
        state = tiny_model.new_state([1])
        found = stepper.step(inputs.turn(0), state, lean=lambda asked=asked, lean=lean: asked.append(1) or lean)
        assert int(found.floor) == marker and asked == [1]
        plain = stepper.step(inputs.turn(0), tiny_model.new_state([1]), lean=lambda: None)
        assert torch.allclose(found.floor_logits - lean, plain.floor_logits, atol=1e-4)
