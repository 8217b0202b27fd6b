"""Streaming gives what the whole sequence gives, rows do not touch each other, and nothing grows."""

import hashlib
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from tml_ros.duplex.native.inputs import ABSENT, StreamInputs, StreamTargets
from tml_ros.duplex.native.rotary import PERIOD
from tml_ros.duplex.native.stepping import StepOptions, Stepper, StepResult
from tml_ros.duplex.native.tokens import Marker
from tml_ros.duplex.native.transformer import HEARD, InteractionTransformer
from tml_ros.errors import ModelError

TOLERANCE = 1e-5
VOICED = torch.tensor([Marker.SPEAK, Marker.BACKCHANNEL])
WAYS = StepOptions(deterministic=False, temperature=1.0, voice=True)
"""Choosing by chance gives every floor and texts of every length."""


def run(model, inputs, state, options=WAYS, first=0, active=None, forced=None):
    """Step through [B, T, ...] from micro-turn ``first`` on and return the results."""
    stepper, results = Stepper(model, options), []
    for t in range(first, inputs.audio.shape[1]):
        rows = None if active is None else active[:, t]
        results.append(stepper.step(inputs.turn(t), state, rows, forced and forced.turn(t)))
    return results


def talk(shape, batch, turns) -> StreamTargets:
    """Return outputs with every floor and texts of every length."""
    source = torch.Generator().manual_seed(3)
    words = torch.randint(len(Marker), shape.vocabulary, (batch, turns, shape.text_out_tokens), generator=source)
    length = torch.randint(0, shape.text_out_tokens + 1, (batch, turns, 1), generator=source)
    floor = torch.randint(Marker.LISTEN, Marker.YIELD + 1, (batch, turns), generator=source)
    return StreamTargets(floor, torch.where(torch.arange(shape.text_out_tokens) < length, words, ABSENT))


def offline(model, inputs: StreamInputs, results: list[StepResult]):
    """Run the whole sequence with what the steps put out."""
    floor, text = (torch.stack([getattr(r, name) for r in results], 1) for name in ("floor", "text"))
    targets = StreamTargets(floor, text, speaking=torch.isin(floor, VOICED))
    with torch.no_grad():
        return model(inputs, targets), targets


def apart(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """Return the largest difference, relative to the largest value."""
    return ((found - wanted).abs().max() / wanted.abs().max()).item()


def check_equal(model, inputs, results) -> None:
    predictions, targets = offline(model, inputs, results)
    stacked = {name: torch.stack([getattr(r, name) for r in results], 1) for name in StepResult.__slots__}
    assert apart(stacked["floor_logits"], predictions.floor) < TOLERANCE
    assert apart(stacked["auxiliary"], predictions.auxiliary) < TOLERANCE
    asked = targets.next_tokens(Marker.END) != ABSENT
    allowed = torch.isfinite(predictions.text[0, 0, 0])
    assert apart(stacked["text_logits"][asked][:, allowed], predictions.text[asked][:, allowed]) < TOLERANCE
    speaking = targets.speaking
    assert speaking.any() and not speaking.all()
    assert apart(stacked["voice"][speaking], predictions.voice[speaking]) < TOLERANCE


@pytest.mark.parametrize("turns", [4, 60], ids=["before the rings wrap", "after they wrapped"])
def test_steps_equal_the_whole_sequence_when_modalities_come_and_go(tiny_model, tiny_shape, made_up, turns):
    inputs, state = made_up(tiny_shape, 3, turns), tiny_model.new_state([1, 2, 3])
    results = run(tiny_model, inputs, state, forced=talk(tiny_shape, 3, turns))
    wrapped = all((state.written > torch.tensor(ring.capacity)).all() for ring in state.rings)
    assert wrapped == (turns == 60)
    check_equal(tiny_model, inputs, results)


@pytest.mark.parametrize("absent", ["audio", "reference", "frames", "text"])
def test_steps_equal_the_whole_sequence_when_a_modality_never_comes(tiny_model, tiny_shape, made_up, absent):
    inputs = made_up(tiny_shape, 1, 12)
    nowhere = torch.zeros(1, 12, dtype=torch.bool)
    without = {
        "audio": {"audio_present": nowhere},
        "reference": {"reference": None, "reference_present": None},
        "frames": {"frames": None, "frame_present": None},
        "text": {"text": None},
    }
    inputs = replace(inputs, **without[absent])
    check_equal(tiny_model, inputs, run(tiny_model, inputs, tiny_model.new_state([5]), forced=talk(tiny_shape, 1, 12)))


def test_steps_equal_the_whole_sequence_when_sound_has_a_stem(tiny_shape, made_up):
    shape = replace(tiny_shape, sound_layers=2, sound_kernel=4)
    model = InteractionTransformer.created(shape, seed=0).requires_grad_(False)
    inputs = made_up(shape, 2, 9)
    state = model.new_state([1, 2])
    results = run(model, inputs, state, forced=talk(shape, 2, 9))
    check_equal(model, inputs, results)
    assert apart(state.tails[HEARD], model.heard(inputs)[:, -1]) < TOLERANCE  # what letters are read from
    kept = {name: tail.clone() for name, tail in state.tails.items() if name.startswith(("stem", HEARD))}
    only_first = torch.tensor([True, False])
    other = made_up(shape, 2, 9, seed=4)
    run(model, other, state, active=only_first[:, None].expand(2, 9), forced=talk(shape, 2, 9))
    assert len(kept) == 3
    for name, before in kept.items():
        assert torch.equal(state.tails[name][1], before[1]) and not torch.equal(state.tails[name][0], before[0])


def test_absent_modality_is_as_good_as_none_when_nobody_has_it(tiny_model, tiny_shape, made_up):
    inputs = made_up(tiny_shape, 1, 8)
    empty = replace(
        inputs, frame_present=torch.zeros(1, 8, dtype=torch.bool), text=torch.full_like(inputs.text, ABSENT)
    )
    bare = replace(inputs, frames=None, frame_present=None, text=None)
    known = talk(tiny_shape, 1, 8)
    pairs = zip(*(run(tiny_model, i, tiny_model.new_state([1]), forced=known) for i in (empty, bare)), strict=True)
    assert all(apart(one.floor_logits, other.floor_logits) < TOLERANCE for one, other in pairs)


def test_steps_equal_the_whole_sequence_when_restored_from_a_snapshot(tiny_model, tiny_shape, made_up):
    inputs, state = made_up(tiny_shape, 2, 40), tiny_model.new_state([1, 2])
    known = talk(tiny_shape, 2, 40)
    results = run(tiny_model, inputs.turns(0, 25), state, forced=known)
    snapshot = state.snapshot()
    expected = run(tiny_model, inputs, state, first=25, forced=known)
    other = tiny_model.new_state([8, 9])
    run(tiny_model, made_up(tiny_shape, 2, 5, seed=4), other)
    other.restore(snapshot)
    again = run(tiny_model, inputs, other, first=25, forced=known)
    for one, two in zip(expected, again, strict=True):
        assert all(torch.equal(getattr(one, name), getattr(two, name)) for name in StepResult.__slots__)
    check_equal(tiny_model, inputs, results + again)


def test_snapshot_stays_as_it_is_when_the_state_moves_on(tiny_model, tiny_shape, made_up):
    state = tiny_model.new_state([1])
    snapshot = state.snapshot()
    run(tiny_model, made_up(tiny_shape, 1, 3), state)
    fresh = dict(tiny_model.new_state([1]).tensors())
    assert all(torch.equal(snapshot[name], fresh[name]) for name in fresh)


def test_error_names_the_tensor_when_a_snapshot_does_not_fit(tiny_model):
    one, two = tiny_model.new_state([1]), tiny_model.new_state([1, 2])
    with pytest.raises(ModelError, match=r"snapshot's cache\.0 is \[2, 4, .*this state's \[1, 4"):
        one.restore(two.snapshot())
    with pytest.raises(ModelError, match="another model"):
        one.restore({name: tensor for name, tensor in one.snapshot().items() if name != "turn"})


# ------------------------------------------------------------------------------------------------------- isolation


def of_row(results: list[StepResult], row: int) -> list[torch.Tensor]:
    return [getattr(r, name)[row] for r in results for name in StepResult.__slots__ if getattr(r, name) is not None]


def all_equal(one: list[torch.Tensor], two: list[torch.Tensor]) -> bool:
    return len(one) == len(two) and all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("deterministic", [True, False])
def test_other_rows_are_identical_when_one_is_reset(tiny_model, tiny_shape, made_up, deterministic):
    options, inputs = replace(WAYS, deterministic=deterministic), made_up(tiny_shape, 3, 20)
    untouched, state = tiny_model.new_state([1, 2, 3]), tiny_model.new_state([1, 2, 3])
    expected = run(tiny_model, inputs, untouched, options)
    found = run(tiny_model, inputs.turns(0, 12), state, options)
    state.reset(torch.tensor([False, True, False]), seed=torch.tensor([0, 7, 0]))
    found += run(tiny_model, inputs, state, options, first=12)
    for row in (0, 2):
        assert all_equal(of_row(found, row), of_row(expected, row))
    alone = tiny_model.new_state([7])
    fresh = run(tiny_model, inputs.rows(1, 2), alone, replace(WAYS, deterministic=True), first=12)
    assert not all_equal(of_row(found[12:], 1), of_row(expected[12:], 1))
    if deterministic:
        assert all_equal(of_row(found[12:], 1), of_row(fresh, 0))


@pytest.mark.parametrize("deterministic", [True, False])
def test_rows_are_identical_when_another_is_frozen(tiny_model, tiny_shape, made_up, deterministic):
    options, inputs = replace(WAYS, deterministic=deterministic), made_up(tiny_shape, 3, 20)
    expected = run(tiny_model, inputs, tiny_model.new_state([1, 2, 3]), options)
    state = tiny_model.new_state([1, 2, 3])
    run(tiny_model, inputs.turns(0, 8), state, options)
    frozen = {name: tensor[1].clone() for name, tensor in state.tensors()}
    awake = torch.tensor([True, False, True])[:, None].expand(3, 20)
    found = run(tiny_model, inputs, state, options, first=8, active=awake)
    for row in (0, 2):
        assert all_equal(of_row(found, row), of_row(expected[8:], row))
    for name, tensor in state.tensors():
        kept = tensor[1]
        if name.startswith("cache."):  # the last slot is where what is thrown away goes; nobody sees it
            assert torch.equal(kept[:, :-1], frozen[name][:, :-1]), name
        else:
            assert torch.equal(kept, frozen[name]), name
    woken = tiny_model.new_state([2])
    run(tiny_model, inputs.rows(1, 2).turns(0, 8), woken, replace(WAYS, deterministic=True))
    if deterministic:
        after = made_up(tiny_shape, 3, 4, seed=9)
        one = run(tiny_model, after, state, options)
        two = run(tiny_model, after.rows(1, 2), woken, options)
        assert all_equal(of_row(one, 1), of_row(two, 0))


def test_row_is_identical_when_its_neighbours_differ_in_deterministic_mode(tiny_model, tiny_shape, made_up):
    options, inputs = replace(WAYS, deterministic=True), made_up(tiny_shape, 1, 25)
    alone = run(tiny_model, inputs, tiny_model.new_state([4]), options)
    for batch, seed in ((2, 1), (5, 2)):
        others = made_up(tiny_shape, batch, 25, seed=seed)
        tensors = {name: torch.cat((tensor, getattr(inputs, name))) for name, tensor in others.tensors().items()}
        crowd = run(tiny_model, StreamInputs(**tensors), tiny_model.new_state([*range(batch), 4]), options)
        assert all_equal(of_row(crowd, batch), of_row(alone, 0))


DIGEST = """
import hashlib, sys
sys.path[:0] = {paths!r}
import conftest
from conftest import made_up, tiny_shape
import test_streaming as t
from tml_ros.duplex.native.transformer import InteractionTransformer
shape = tiny_shape.__wrapped__() if hasattr(tiny_shape, "__wrapped__") else tiny_shape.__pytest_wrapped__.obj()
make = made_up.__wrapped__() if hasattr(made_up, "__wrapped__") else made_up.__pytest_wrapped__.obj()
print(t.digest(InteractionTransformer.created(shape, seed=0), shape, make))
"""


def digest(model, shape, make) -> str:
    results = run(model, make(shape, 2, 20), model.new_state([1, 2]), replace(WAYS, deterministic=True))
    content = b"".join(tensor.numpy().tobytes() for row in (0, 1) for tensor in of_row(results, row))
    return hashlib.sha256(content).hexdigest()


def test_results_are_identical_when_computed_in_another_process(tiny_model, tiny_shape, made_up, repository):
    code = DIGEST.format(paths=[str(repository), str(repository / "test" / "duplex" / "native")])
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split()[-1] == digest(tiny_model, tiny_shape, made_up)


def test_numbers_are_others_when_the_seed_is_another(tiny_model, tiny_shape, made_up):
    inputs = made_up(tiny_shape, 1, 10)
    one, two = (run(tiny_model, inputs, tiny_model.new_state([seed])) for seed in (1, 2))
    assert not all_equal(of_row(one, 0), of_row(two, 0))


# --------------------------------------------------------------------------------------------------------- no growth


def test_memory_stays_in_place_when_rings_wrap_many_times(tiny_model, tiny_shape, made_up):
    inputs, state = replace(made_up(tiny_shape, 1, 50), frames=None, frame_present=None), tiny_model.new_state([1])
    before = {name: (tensor.data_ptr(), tensor.nbytes) for name, tensor in state.tensors()}
    for _ in range(4):
        run(tiny_model, inputs, state, StepOptions())
    assert {name: (tensor.data_ptr(), tensor.nbytes) for name, tensor in state.tensors()} == before
    assert state.written[0, 0] > 4 * max(ring.capacity[0] for ring in state.rings)


def test_steps_equal_themselves_when_hours_have_passed(tiny_model, tiny_shape, made_up):
    # Positions are relative: the same last micro-turns give the same, but for the clock, however late it is.
    inputs = made_up(tiny_shape, 1, 12)
    period = 1 << 17  # of the clock, in micro-turns: 7.3 hours
    early, late = tiny_model.new_state([1]), tiny_model.new_state([1])
    late.turn += 3 * period  # positions move by no multiple of the rotary period
    assert 3 * period * tiny_shape.slots_per_turn % PERIOD
    options = replace(WAYS, temperature=0.0)
    for one, two in zip(run(tiny_model, inputs, early, options), run(tiny_model, inputs, late, options), strict=True):
        assert apart(one.floor_logits, two.floor_logits) < TOLERANCE
        assert apart(one.auxiliary, two.auxiliary) < TOLERANCE


def test_model_survives_when_inputs_are_not_numbers(tiny_model, tiny_shape, made_up):
    inputs = made_up(tiny_shape, 1, 6)
    broken = inputs.audio.clone()
    broken[:, 2, ::3] = float("nan")
    broken[:, 2, 1::3] = float("inf")
    results = run(tiny_model, replace(inputs, audio=broken), tiny_model.new_state([1]))
    assert all(torch.isfinite(r.floor_logits).all() and torch.isfinite(r.audio).all() for r in results)
