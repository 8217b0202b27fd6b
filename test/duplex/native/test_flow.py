"""The flow head: the loss and the step agree, rows and micro-turns stay apart, and it learns."""

import dataclasses

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tml_ros.duplex.native.dmel import normalise
from tml_ros.duplex.native.flow import SILENCE, FlowHead
from tml_ros.duplex.native.shape import NativeShape
from tml_ros.resources import find

TINY = NativeShape.from_mapping(yaml.safe_load(find("models/tiny/config.yaml").read_text())["shape"])
SHAPE = dataclasses.replace(TINY, flow_width=48, flow_layers=2, flow_context_frames=20, flow_steps=4)
V, D, M = SHAPE.voice_tokens, SHAPE.width, SHAPE.mel_channels
ALL = torch.ones(4, dtype=torch.bool)


def make_head(**sizes: int) -> FlowHead:
    torch.manual_seed(0)
    return FlowHead(dataclasses.replace(SHAPE, **sizes))


def numbers(*size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed))


def fresh(head: FlowHead, rows: int) -> dict[str, torch.Tensor]:
    return {name: torch.zeros(rows, *size) for name, size in head.tail_shapes().items()}


@pytest.fixture(scope="module")
def head() -> FlowHead:
    return make_head()


# ------------------------------------------------------------------------------------------------ loss and sampling


def test_silence_is_the_lowest_level_when_mel_is_normalised() -> None:
    assert normalise(torch.tensor(SHAPE.mel_low), SHAPE).item() == SILENCE


def test_loss_grows_with_the_time_when_the_network_always_says_the_same() -> None:
    head = make_head()
    torch.nn.init.zeros_(head.out.weight)
    torch.nn.init.constant_(head.out.bias, 0.3)
    mel, speaking = numbers(2, 3, 20, M).clamp(min=SILENCE), torch.ones(2, 3, dtype=torch.bool)
    off = (0.3 - mel).square().mean()
    for time, factor in ((0.0, 1.0), (0.5, 4.0), (0.8, 25.0), (0.99, 100.0)):
        loss = head.loss(numbers(2, 3, V, D), mel, speaking, time=torch.full((2, 3), time))
        torch.testing.assert_close(loss, factor * off)
    made = head.sample(numbers(2, V, D), mel[:, 0], numbers(2, 20, M, seed=1))
    torch.testing.assert_close(made, torch.full_like(made, 0.3))


@pytest.mark.parametrize("context_frames", [7, 20, 33])
def test_loss_sees_the_context_that_steps_leave_when_some_micro_turns_are_silent(context_frames) -> None:
    # With one step of Euler's method the mel that is made is the estimate at time 0: its loss is 0 if contexts agree.
    head = make_head(flow_context_frames=context_frames, flow_steps=1)
    torch.nn.init.constant_(head.out.bias, 3.0)  # keeps the mel above silence, where it is not clamped
    condition, noise = numbers(4, 6, V, D), numbers(4, 6, 20, M, seed=1)
    speaking = numbers(4, 6, seed=2) > -0.3
    tails = fresh(head, 4)
    made = torch.stack(
        [head.step(condition[:, turn], noise[:, turn], tails, ALL, speaking[:, turn]) for turn in range(6)], 1
    )
    start = torch.zeros(4, 6)
    assert head.loss(condition, made, speaking, noise, start) < 1e-10
    assert head.loss(condition, made, torch.ones_like(speaking), noise, start) > 1e-3
    assert head.loss(condition, made.flip(1), speaking, noise, start) > 1e-3


def test_loss_is_zero_when_nobody_speaks(head) -> None:
    condition = numbers(2, 3, V, D).requires_grad_()
    loss = head.loss(condition, numbers(2, 3, 20, M), torch.zeros(2, 3, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0.0 and not condition.grad.any()


def test_loss_ignores_mel_and_condition_when_a_micro_turn_does_not_speak(head) -> None:
    speaking = torch.tensor([[True, False, True]])
    condition, mel, noise = numbers(1, 3, V, D), numbers(1, 3, 20, M, seed=1), numbers(1, 3, 20, M, seed=2)
    time = torch.tensor([[0.1, 0.5, 0.7]])
    loss = head.loss(condition, mel, speaking, noise, time)
    condition[:, 1], mel[:, 1] = float("nan"), 3.0
    assert torch.equal(head.loss(condition, mel, speaking, noise, time), loss)


def test_loss_is_the_same_when_the_generator_is(head) -> None:
    given = numbers(2, 3, V, D), numbers(2, 3, 20, M), torch.ones(2, 3, dtype=torch.bool)
    losses = [head.loss(*given, generator=torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)]
    assert torch.equal(losses[0], losses[1]) and not torch.equal(losses[0], losses[2])


def test_gradient_reaches_everything_when_the_loss_is_taken() -> None:
    head = make_head()
    condition, mel = numbers(2, 3, V, D).requires_grad_(), numbers(2, 3, 20, M, seed=1).requires_grad_()
    head.loss(condition, mel, torch.ones(2, 3, dtype=torch.bool), generator=torch.Generator()).backward()
    gradients = {"condition": condition.grad, "mel": mel.grad} | {n: p.grad for n, p in head.named_parameters()}
    assert [name for name, gradient in gradients.items() if gradient is None or not gradient.any()] == []


def test_gradient_reaches_condition_and_context_when_mel_is_sampled(head) -> None:
    given = [tensor.requires_grad_() for tensor in (numbers(2, V, D), numbers(2, 20, M), numbers(2, 20, M, seed=1))]
    gradients = torch.autograd.grad(head.sample(*given).sum(), given)
    assert all(gradient.abs().amax((1, 2)).gt(0).all() for gradient in gradients)


# ------------------------------------------------------------------------------------------------------- streaming


@given(st.integers(0, 1000), st.integers(1, 6))
@settings(max_examples=10, deadline=None)
def test_steps_equal_the_offline_form_when_some_micro_turns_are_silent(head, seed, turns) -> None:
    condition, noise = numbers(4, turns, V, D, seed=seed), numbers(4, turns, 20, M, seed=seed + 1)
    speaking = numbers(4, turns, seed=seed + 2) > 0
    offline, tails = head.generate(condition, noise, speaking), fresh(head, 4)
    assert offline.shape == (4, turns, 20, M)
    for turn in range(turns):
        made = head.step(condition[:, turn], noise[:, turn], tails, ALL, speaking[:, turn])
        torch.testing.assert_close(made, offline[:, turn], rtol=1e-5, atol=1e-5)
    assert (offline[~speaking] == SILENCE).all()


def test_step_equals_sample_after_silence_when_the_state_is_fresh(head) -> None:
    condition, noise = numbers(4, V, D), numbers(4, 20, M, seed=1)
    silence = torch.full((4, SHAPE.flow_context_frames, M), SILENCE)
    assert torch.equal(head.step(condition, noise, fresh(head, 4), ALL, ALL), head.sample(condition, silence, noise))


@given(st.integers(0, 3), st.sampled_from(["condition", "noise", "speaking"]))
@settings(max_examples=8, deadline=None)
def test_earlier_mel_stays_when_something_later_changes(head, turn, what) -> None:
    given = {"condition": numbers(2, 5, V, D), "noise": numbers(2, 5, 20, M), "speaking": torch.ones(2, 5).bool()}
    before = head.generate(**given)
    later = given[what].clone()
    later[:, turn + 1 :] = ~later[:, turn + 1 :] if what == "speaking" else later[:, turn + 1 :] + 1.0
    after = head.generate(**given | {what: later})
    assert torch.equal(after[:, : turn + 1], before[:, : turn + 1])
    assert not torch.equal(after[:, turn + 1], before[:, turn + 1])


def test_mel_depends_on_all_its_context_when_it_is_sampled(head) -> None:
    context = numbers(1, 20, M).requires_grad_()
    head.sample(numbers(1, V, D), context, numbers(1, 20, M, seed=1))[:, -1].sum().backward()
    assert (context.grad.abs().sum(2) > 0).all()


def test_rows_stay_the_same_to_the_bit_when_their_neighbours_change(head) -> None:
    condition, noise = numbers(4, 3, V, D), numbers(4, 3, 20, M, seed=1)
    speaking = torch.ones(4, 3, dtype=torch.bool)
    others = torch.tensor([True, False, True, True])
    results = []
    for scale in (1.0, -30.0):
        tails, made = fresh(head, 4), []
        for turn in range(3):
            strange = torch.where(others[:, None, None], scale, 1.0)
            active = ALL if scale > 0 or turn == 0 else ~others
            talk = speaking[:, turn] & (~others | (scale > 0))
            made.append(head.step(condition[:, turn] * strange, noise[:, turn] * strange, tails, active, talk)[1])
            if scale < 0:
                tails["voice.context"][2].zero_()
        results.append(torch.cat([*made, tails["voice.context"][1]]))
    assert torch.equal(*results)


def test_state_stays_to_the_bit_when_a_row_is_not_active(head) -> None:
    tails = {name: numbers(4, *size) for name, size in head.tail_shapes().items()}
    tail = tails["voice.context"]
    before, active = tail.clone(), torch.tensor([True, False, True, False])
    head.step(numbers(4, V, D), numbers(4, 20, M), tails, active, ALL)
    assert tails["voice.context"] is tail
    assert torch.equal(tail[~active], before[~active])
    assert (tail[active] != before[active]).any(-1).all()


def test_rest_does_what_step_does_when_nobody_speaks(head) -> None:
    given = {name: numbers(4, *size) for name, size in head.tail_shapes().items()}
    ours, theirs = ({name: tail.clone() for name, tail in given.items()} for _ in range(2))
    active = torch.tensor([True, False, True, False])
    made = head.step(numbers(4, V, D), numbers(4, 20, M), ours, active, ~ALL)
    assert torch.equal(head.rest(theirs, active), made)
    assert torch.equal(ours["voice.context"], theirs["voice.context"])


def test_step_is_one_graph_when_it_is_compiled(head) -> None:
    step = torch.compile(head.step, backend="eager", fullgraph=True)
    given, active = (numbers(4, V, D), numbers(4, 20, M)), torch.tensor([True, False, True, True])
    ours, theirs = fresh(head, 4), fresh(head, 4)
    for speaking in (ALL, active, ~active):
        assert torch.equal(step(*given, ours, active, speaking), head.step(*given, theirs, active, speaking))
    assert torch.equal(ours["voice.context"], theirs["voice.context"])


# -------------------------------------------------------------------------------------------------------- learning

GATE = 0.15  # mean distance of the mel in normalised units, where the whole scale is 4


def targets() -> torch.Tensor:
    """Three micro-turns with a formant each that moves and trembles, [3, 20, M]."""
    frame, channel = torch.linspace(0, 1, 20)[:, None], torch.linspace(0, 1, M)[None]
    ways = ((0.2, 0.3, 0.0), (0.5, -0.2, 1.0), (0.8, -0.5, 2.0))
    bumps = [torch.exp(-(((channel - at - slope * frame) / 0.15) ** 2)) for at, slope, _ in ways]
    loudness = [1.0 + 0.3 * torch.sin(12.0 * frame + phase) for *_, phase in ways]
    return torch.stack([-1.5 + 3.0 * bump * loud for bump, loud in zip(bumps, loudness, strict=True)])


def distance(head: FlowHead, condition: torch.Tensor, steps: int | None = None) -> float:
    """Return the mean distance of what is made from unseen noise."""
    silence = torch.full((30, SHAPE.flow_context_frames, M), SILENCE)
    with torch.no_grad():
        made = head.sample(condition.repeat(10, 1, 1), silence, numbers(30, 20, M, seed=9), steps)
    return (made - targets().repeat(10, 1, 1)).abs().mean().item()


@pytest.fixture(scope="module")
def trained() -> FlowHead:
    head, steps, generator = make_head(), 300, torch.Generator().manual_seed(1)
    optimizer = torch.optim.Adam(head.parameters(), betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=steps)
    condition, mel = conditions().repeat(4, 1, 1)[:, None], targets().repeat(4, 1, 1)[:, None]
    for _ in range(steps):
        optimizer.zero_grad()
        head.loss(condition, mel, torch.ones(12, 1, dtype=torch.bool), generator=generator).backward()
        optimizer.step()
        schedule.step()
    return head


def conditions() -> torch.Tensor:
    return numbers(3, V, D, seed=4)


def test_mel_comes_near_its_target_when_trained(head, trained) -> None:
    assert distance(trained, conditions()) < GATE
    assert distance(head, conditions()) > 5 * GATE, "the gate must not let an untrained head pass"
    assert distance(trained, conditions().roll(1, 0)) > 3 * GATE, "the mel must follow the condition"


def test_mel_converges_when_more_steps_are_taken(trained) -> None:
    silence = torch.full((3, SHAPE.flow_context_frames, M), SILENCE)
    with torch.no_grad():
        made = {n: trained.sample(conditions(), silence, numbers(3, 20, M), n) for n in (1, 4, 16, 64, 256)}
    errors = [(made[count] - made[256]).abs().mean().item() for count in (1, 4, 16, 64)]
    assert errors == sorted(errors, reverse=True) and errors[-1] < errors[0] / 8
