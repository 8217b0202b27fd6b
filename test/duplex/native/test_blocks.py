"""Rotary positions, experts, noise: the parts that the transformer is made of."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tml_ros.duplex.native import noise
from tml_ros.duplex.native.blocks import RmsNorm
from tml_ros.duplex.native.experts import MixtureOfExperts, balance_loss
from tml_ros.duplex.native.noise import gumbel, normal, uniform
from tml_ros.duplex.native.rotary import PERIOD, Rotary, rotate

# ------------------------------------------------------------------------------------------------------------ rotary


def turned(rotary: Rotary, x: torch.Tensor, position: int) -> torch.Tensor:
    return rotate(x, rotary(torch.tensor([[position]]), torch.float64), rotary.steps.numel())


@settings(max_examples=50, deadline=None)
@given(start=st.integers(0, 10**12), distance=st.integers(0, 10**5), move=st.integers(0, 10**12))
def test_score_depends_on_the_distance_only_when_positions_move(start, distance, move):
    rotary = Rotary(16, 24)
    source = torch.Generator().manual_seed(0)
    query, key = torch.randn(2, 1, 1, 1, 24, generator=source, dtype=torch.float64)
    scores = [
        (turned(rotary, query, at + distance) * turned(rotary, key, at)).sum().item() for at in (start, start + move)
    ]
    assert math.isclose(*scores, abs_tol=1e-9)


def test_rotation_is_the_same_when_a_period_has_passed():
    rotary, x = Rotary(16, 24), torch.randn(1, 1, 1, 24, dtype=torch.float64)
    assert torch.equal(turned(rotary, x, 123), turned(rotary, x, 123 + 7 * PERIOD))


def test_positions_differ_when_they_are_neighbours():
    rotary, x = Rotary(16, 24), torch.ones(1, 1, 1, 24, dtype=torch.float64)
    assert (turned(rotary, x, 10**9) - turned(rotary, x, 10**9 + 1)).abs().max() > 0.5


def test_length_and_the_rest_of_a_head_stay_when_it_is_rotated():
    rotary, x = Rotary(16, 24), torch.randn(1, 1, 1, 24, dtype=torch.float64)
    made = turned(rotary, x, 999)
    assert torch.equal(made[..., 16:], x[..., 16:])
    assert torch.allclose(made.norm(), x.norm())


# ----------------------------------------------------------------------------------------------------------- experts


@pytest.fixture(scope="module")
def mixture() -> MixtureOfExperts:
    torch.manual_seed(0)
    return MixtureOfExperts(width=16, experts=6, chosen=2, hidden=8, shared=8)


def by_hand(mixture: MixtureOfExperts, token: torch.Tensor) -> torch.Tensor:
    """Compute one token [D] the obvious way."""
    probability = torch.softmax(mixture.router.weight @ token, 0)
    best = probability.argsort(descending=True)[: mixture.chosen]
    made = torch.zeros_like(token)
    for expert in best:
        gate, value = (mixture.rise.weight[expert] @ token).chunk(2)
        hidden = gate * torch.sigmoid(gate) * value
        made = made + probability[expert] / probability[best].sum() * (mixture.fall.weight[expert] @ hidden)
    return made + mixture.shared(token)


@pytest.mark.parametrize("path", ["gather", "rows", "grouped"])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 7)])
def test_every_path_gives_what_the_definition_says_when_tokens_come(mixture, path, size):
    x = torch.randn(*size, 16, generator=torch.Generator().manual_seed(1))
    wanted = torch.stack([by_hand(mixture, token) for token in x.flatten(0, 1)]).view_as(x)
    assert torch.allclose(mixture(x, path), wanted, atol=1e-5)


def test_row_is_identical_when_its_neighbours_choose_other_experts(mixture):
    x, other = torch.randn(2, 3, 7, 16, generator=torch.Generator().manual_seed(2))
    other[1] = x[1]
    with torch.no_grad():
        assert torch.equal(mixture(x, "rows")[1], mixture(other, "rows")[1])
        assert torch.equal(mixture(x[:, :1], "gather")[1], mixture(other[:, :1], "gather")[1])


def test_all_experts_learn_when_the_grouped_path_is_trained(mixture):
    x = torch.randn(4, 32, 16, generator=torch.Generator().manual_seed(3))
    mixture.zero_grad()
    mixture(x, "grouped").square().sum().backward()
    assert (mixture.rise.weight.grad.abs().sum((1, 2)) > 0).all()
    assert (mixture.fall.weight.grad.abs().sum((1, 2)) > 0).all()
    assert mixture.router.weight.grad.abs().sum() > 0


def test_balance_loss_is_one_when_experts_are_used_alike_and_more_when_not(mixture):
    x = torch.randn(8, 64, 16, generator=torch.Generator().manual_seed(4))
    present = torch.ones(8, 64, dtype=torch.bool)
    balanced = balance_loss([mixture.measured(x, present)[1]])
    assert 0.99 < balanced.item() < 1.2
    lopsided = balance_loss([mixture.measured(x[:1, :1].expand(8, 64, -1), present)[1]])
    assert lopsided.item() > 1.5 * balanced.item()


def test_balance_loss_evens_the_use_when_it_is_trained():
    torch.manual_seed(1)
    mixture = MixtureOfExperts(width=16, experts=6, chosen=2, hidden=8, shared=0)
    x = torch.randn(8, 64, 16) + 2.0  # a common part that draws all tokens to the same experts
    present = torch.ones(8, 64, dtype=torch.bool)
    optimizer = torch.optim.Adam(mixture.router.parameters(), lr=0.02)
    first = balance_loss([mixture.measured(x, present)[1]]).item()
    for _ in range(100):
        loss = balance_loss([mixture.measured(x, present)[1]])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert first > 1.3 and loss.item() < 1.1


def test_absent_tokens_do_not_count_when_the_use_is_measured(mixture):
    x = torch.randn(2, 10, 16, generator=torch.Generator().manual_seed(5))
    present = torch.zeros(2, 10, dtype=torch.bool)
    present[0, :4] = True
    found, wanted = mixture.measured(x, present)[1], mixture.measured(x[:1, :4], present[:1, :4])[1]
    assert torch.allclose(found.share, wanted.share) and torch.allclose(found.probability, wanted.probability)


# ------------------------------------------------------------------------------------------------------ norm and noise


def test_norm_makes_the_root_mean_square_one_when_tokens_are_large_or_small():
    norm = RmsNorm(64)
    x = torch.randn(5, 64) * torch.tensor([1e-2, 1.0, 10.0, 1e3, 1e6])[:, None]
    assert torch.allclose(norm(x).square().mean(-1), torch.ones(5), atol=2e-2)


def test_noise_has_the_right_moments_when_many_numbers_are_drawn():
    seed, turn = torch.arange(20), torch.arange(20) * 3
    even, bell, extreme = (draw(seed, turn, 1, 5000) for draw in (uniform, normal, gumbel))
    assert even.min() > 0 and even.max() < 1
    assert math.isclose(even.mean(), 0.5, abs_tol=0.01) and math.isclose(even.var(), 1 / 12, abs_tol=0.002)
    assert math.isclose(bell.mean(), 0, abs_tol=0.02) and math.isclose(bell.std(), 1, abs_tol=0.02)
    assert math.isclose(extreme.mean(), 0.5772, abs_tol=0.02) and torch.isfinite(extreme).all()


@pytest.mark.parametrize("bits", [0, -1])
def test_noise_stays_within_its_bounds_when_the_hash_is_all_zeros_or_all_ones(monkeypatch, bits):
    monkeypatch.setattr(noise, "_mix", lambda value: torch.full_like(value, bits))
    seed = torch.tensor([1])
    assert 0 < uniform(seed, seed, 0, 1).item() < 1
    assert torch.isfinite(gumbel(seed, seed, 0, 1)).all() and torch.isfinite(normal(seed, seed, 0, 1)).all()


def test_noise_differs_when_seed_turn_or_purpose_do():
    def draw(seed: int, turn: int, purpose: int) -> torch.Tensor:
        return normal(torch.tensor([seed]), torch.tensor([turn]), purpose, 100)[0]

    first = draw(1, 2, 3)
    assert torch.equal(first, draw(1, 2, 3))
    others = [draw(0, 2, 3), draw(1, 3, 3), draw(1, 2, 4), draw(2, 1, 3)]
    for other in others:
        correlation = torch.corrcoef(torch.stack((first, other)))[0, 1].abs()
        assert correlation < 0.4


def test_noise_of_a_row_is_the_same_when_its_neighbours_differ():
    one = normal(torch.tensor([4, 5]), torch.tensor([0, 9]), 2, 50)[1]
    two = normal(torch.tensor([5]), torch.tensor([9]), 2, 50)[0]
    assert torch.equal(one, two)
