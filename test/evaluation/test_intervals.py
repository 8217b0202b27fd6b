"""Spans of time: what their definitions ask for, and what holds for any of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tml_ros.errors import InputError
from tml_ros.evaluation.intervals import intersection, interval_iou, length_s, merged, said_intervals

TIMES = st.integers(0, 60)
SPANS = st.lists(st.tuples(TIMES, TIMES).map(lambda pair: tuple(sorted(pair))), max_size=6)


def test_gap_is_closed_when_it_is_not_longer_than_asked():
    assert merged([(2.0, 3.0), (0.0, 1.0)], 1.0) == [(0.0, 3.0)]
    assert merged([(2.0, 3.0), (0.0, 1.0)], 0.99) == [(0.0, 1.0), (2.0, 3.0)]
    assert merged([(2.0, 2.5), (3.1, 4.0)], 0.6) == [(2.0, 4.0)]  # though 3.1 - 2.5 > 0.6 in floating point
    assert merged([(0.0, 5.0), (1.0, 2.0)]) == [(0.0, 5.0)]


@pytest.mark.parametrize("wrong", [(2.0, 1.0), (float("nan"), 1.0)])
def test_interval_is_refused_when_it_ends_before_it_starts(wrong):
    with pytest.raises(InputError, match="swap its times"):
        merged([wrong])


@pytest.mark.parametrize(
    ("said", "true", "expected"),
    [
        ([(0, 2)], [(1, 3)], 1 / 3),
        ([(1, 3)], [(1, 3)], 1.0),
        ([(0, 1)], [(1, 3)], 0.0),
        ([], [(1, 3)], 0.0),
        ([(0, 1)], [], 0.0),
        ([], [], 1.0),
        ([(0, 1), (2, 3)], [(0, 3)], 2 / 3),
        ([(0, 1), (0, 1)], [(0, 1)], 1.0),
    ],
)
def test_overlap_over_union_is_what_the_definition_says(said, true, expected):
    assert interval_iou(said, true) == pytest.approx(expected)


@given(SPANS, SPANS)
def test_overlap_over_union_is_symmetric_and_bounded(said, true):
    value = interval_iou(said, true)
    assert 0.0 <= value <= 1.0
    assert value == interval_iou(true, said)
    assert interval_iou(said, said) == 1.0


@given(SPANS, SPANS)
def test_lengths_add_up_when_counted_second_by_second(said, true):
    def seconds(spans):
        return {second for start, end in spans for second in range(start, end)}

    assert length_s(said) == len(seconds(said))
    assert length_s(intersection(said, true)) == len(seconds(said) & seconds(true))


def test_said_interval_lasts_until_the_end_when_no_stop_was_said():
    assert said_intervals([1.0, 5.0], [2.0], 9.0) == [(1.0, 2.0), (5.0, 9.0)]


def test_words_change_nothing_when_they_are_said_twice_or_too_early():
    assert said_intervals([1.0, 1.5], [0.5, 2.0, 3.0], 9.0) == [(1.0, 2.0)]
    assert said_intervals([], [], 9.0) == []
