"""Paired tests against values worked out by hand, and what holds for any pair of runs."""

from itertools import product
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tml_ros.errors import InputError
from tml_ros.evaluation.catalogue import MEASURES
from tml_ros.evaluation.significance import Direction, compare_paired, holm, mcnemar_p, permutation_p

LATENCY, RATE = MEASURES["turn_taking_latency_s"], MEASURES["turn_taking_tor"]
FEW = st.lists(st.integers(-20, 20).map(float), max_size=8)


@pytest.mark.parametrize(
    ("gained", "lost", "expected"),
    [(0, 0, 1.0), (1, 0, 1.0), (5, 0, 0.0625), (6, 0, 0.03125), (0, 6, 0.03125), (3, 3, 1.0), (9, 2, 134 / 2048)],
)
def test_changed_trials_are_a_sign_test_when_they_are_hits_and_misses(gained, lost, expected):
    assert mcnemar_p(gained, lost) == pytest.approx(expected)


def test_number_of_changed_trials_may_be_large():
    assert mcnemar_p(800, 800) == 1.0
    assert 0.0 <= mcnemar_p(1200, 700) < 1e-15


@given(FEW)
def test_probability_is_that_of_all_swaps_when_there_are_few(differences):
    swaps = product((1, -1), repeat=len(differences))
    sums = [abs(sum(sign * one for sign, one in zip(signs, differences, strict=True))) for signs in swaps]
    expected = sum(one >= abs(sum(differences)) for one in sums) / len(sums)
    assert permutation_p(differences) == pytest.approx(expected)


def test_drawn_swaps_agree_with_all_of_them_and_with_themselves():
    equal = [1.0] * 20 + [-1.0] * 8  # 28 of the same size: a sign test
    expected = 2 * sum(comb(28, hits) for hits in range(9)) / 2**28
    assert permutation_p(equal) == pytest.approx(expected, abs=0.005)
    assert permutation_p(equal) == permutation_p(equal)
    assert permutation_p([1.0] * 40) == 1 / 20_001


def test_difference_is_significant_when_every_reply_is_later():
    before = [0.40, 0.45, 0.52, 0.38, 0.60, 0.41, 0.47]
    found = compare_paired(LATENCY, before, [one + 0.4 for one in before])
    assert (found.direction, found.test, found.pairs) == (Direction.WORSE, "permutation", 7)
    assert found.difference == pytest.approx(0.4)
    assert found.p == 2 / 2**7
    assert found.is_significant


def test_direction_follows_what_is_better_when_the_same_change_is_seen():
    hits = [0.0] * 6
    assert compare_paired(RATE, hits, [1.0] * 6).direction is Direction.BETTER
    assert compare_paired(MEASURES["pause_tor"], hits, [1.0] * 6).direction is Direction.WORSE
    assert compare_paired(RATE, hits, [1.0] * 6).is_significant
    assert not compare_paired(RATE, hits[:5], [1.0] * 5).is_significant


def test_nothing_is_significant_when_nothing_changed_or_nothing_was_tried():
    for values in ([], [1.0, 0.0], [0.3, 0.5]):
        found = compare_paired(RATE, values, values)
        assert (found.direction, found.difference, found.p, found.is_significant) == (Direction.SAME, 0.0, 1.0, False)


@pytest.mark.parametrize("wrong", [([1.0], []), ([float("nan")], [1.0]), ([1.0], [float("inf")])])
def test_trials_are_refused_when_they_are_no_pairs_of_numbers(wrong):
    with pytest.raises(InputError, match="trials"):
        compare_paired(LATENCY, *wrong)


def test_number_of_changed_trials_is_refused_when_it_is_negative():
    with pytest.raises(InputError, match="-1"):
        mcnemar_p(3, -1)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(0, 9), st.floats(0, 9)), max_size=20))
def test_probability_is_the_same_both_ways_round(pairs):
    before, after = [one for one, _ in pairs], [one for _, one in pairs]
    there, back = compare_paired(LATENCY, before, after), compare_paired(LATENCY, after, before)
    assert 0.0 < there.p <= 1.0
    assert there.p == pytest.approx(back.p, abs=0.02)
    assert there.difference == pytest.approx(-back.difference)


def test_correction_asks_more_of_the_smallest_when_there_are_several():
    assert holm({"a": 0.04, "b": 0.01, "c": 0.03}) == pytest.approx({"a": 0.06, "b": 0.03, "c": 0.06})
    assert holm({"a": 0.6, "b": 0.9}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


@given(st.dictionaries(st.text(max_size=2), st.floats(0, 1), max_size=6))
def test_correction_keeps_the_order_and_never_helps(ps):
    corrected = holm(ps)
    assert list(corrected) == list(ps)
    assert all(ps[name] <= corrected[name] <= 1.0 for name in ps)
    ranked = sorted(ps, key=lambda name: ps[name])
    assert [corrected[name] for name in ranked] == sorted(corrected.values())
