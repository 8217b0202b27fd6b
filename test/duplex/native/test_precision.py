"""Rounded weights stay close to the exact ones, and what is laid out otherwise is the same."""

import copy
from dataclasses import replace

import pytest
import torch

from tml_ros.duplex.native.precision import Int8Bank, Int8Linear, prepare
from tml_ros.duplex.native.stepping import StepOptions, Stepper
from tml_ros.duplex.native.transformer import InteractionTransformer


def logits(model, inputs) -> torch.Tensor:
    state, stepper = model.new_state([1]), Stepper(model)
    return torch.stack([stepper.step(inputs.turn(t), state).floor_logits for t in range(inputs.audio.shape[1])])


def weight_bytes(module: torch.nn.Module) -> int:
    return sum(tensor.nbytes for tensor in (*module.parameters(), *module.buffers()))


@pytest.mark.parametrize(("precision", "most"), [("float32", 1e-5), ("bfloat16", 0.1), ("int8", 0.1)])
def test_floor_is_nearly_the_same_when_weights_are_prepared(tiny_model, tiny_shape, made_up, precision, most):
    # whether what was learned survives rounding, test_model.py asks
    inputs = made_up(tiny_shape, 1, 1)
    exact, prepared = logits(tiny_model, inputs), prepare(copy.deepcopy(tiny_model), precision)
    found = logits(prepared, inputs)
    assert (found - exact).abs().max() < most * exact.abs().max()
    assert torch.isfinite(found).all()


@pytest.mark.parametrize(("precision", "share"), [("float32", 1.0), ("bfloat16", 0.5), ("int8", 0.3)])
def test_blocks_take_less_memory_when_weights_are_rounded(tiny_model, precision, share):
    model = prepare(copy.deepcopy(tiny_model), precision)
    assert weight_bytes(model.blocks) / weight_bytes(tiny_model.blocks) == pytest.approx(share, abs=0.05)


def test_cache_and_voice_have_their_own_precision_when_weights_are_bfloat16(tiny_model):
    model = prepare(copy.deepcopy(tiny_model), "bfloat16")
    state = model.new_state([1])
    assert {cache.dtype for cache in state.caches} == {torch.bfloat16}
    assert {tail.dtype for tail in state.tails.values()} == {torch.float32}
    assert {parameter.dtype for parameter in model.flow.parameters()} == {torch.float32}


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8"])
def test_voice_is_finite_when_weights_are_prepared(tiny_model, tiny_shape, made_up, precision):
    model, inputs = prepare(copy.deepcopy(tiny_model), precision), made_up(tiny_shape, 2, 4)
    state, stepper = model.new_state([1, 2]), Stepper(model, StepOptions(voice=True, temperature=1.0))
    for t in range(4):
        assert torch.isfinite(stepper.step(inputs.turn(t), state).audio).all()


def test_product_is_off_by_rounding_only_when_it_is_int8():
    source = torch.Generator().manual_seed(0)
    weight, x = torch.randn(24, 16, generator=source), torch.randn(5, 7, 16, generator=source) * 3
    wanted = x @ weight.t()
    assert (Int8Linear(weight)(x) - wanted).abs().max() < 0.02 * wanted.abs().max()
    assert torch.equal(Int8Linear(weight)(torch.zeros(1, 16)), torch.zeros(1, 24))


def test_groups_are_as_one_by_one_when_experts_are_int8():
    source = torch.Generator().manual_seed(0)
    bank, x = Int8Bank(torch.randn(3, 8, 16, generator=source)), torch.randn(6, 16, generator=source)
    ends = torch.tensor([2, 2, 6], dtype=torch.int32)  # the second expert has nothing to do
    wanted = torch.cat((bank.one(x[:2], 0), bank.one(x[2:], 2)))
    assert torch.equal(bank.groups(x, ends), wanted)
    each = bank.each(x, torch.tensor([0, 0, 2, 2, 2, 2]))  # whose activations are not rounded
    assert (each - wanted).abs().max() < 0.02 * wanted.abs().max()


def test_row_is_the_same_when_weights_are_int8_and_its_neighbours_differ(tiny_shape, made_up):
    model = prepare(InteractionTransformer.created(tiny_shape, seed=0), "int8")
    inputs, others = made_up(tiny_shape, 2, 5), made_up(tiny_shape, 2, 5, seed=8)
    names = [name for name in inputs.__slots__ if getattr(inputs, name) is not None]
    mixed = {name: torch.stack((getattr(inputs, name)[0], getattr(others, name)[1])) for name in names}
    stepper = Stepper(model)
    one, two = model.new_state([1, 2]), model.new_state([1, 9])
    for t in range(5):
        first = stepper.step(inputs.turn(t), one)
        second = stepper.step(replace(inputs, **mixed).turn(t), two)
        assert torch.equal(first.floor_logits[0], second.floor_logits[0])
