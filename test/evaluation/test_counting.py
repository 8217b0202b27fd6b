"""Counts against true ones, at the end and online, and the numbers in what was said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tml_ros.errors import InputError
from tml_ros.evaluation.counting import count_error, count_online, is_off_by_one, observe_count, said_numbers
from tml_ros.evaluation.fdb import Word
from tml_ros.intents.numbers import number_to_words

REPETITIONS = [1.0, 2.0, 3.0, 4.0, 5.0]


@pytest.mark.parametrize(("counted", "expected"), [(3, False), (4, True), (5, True), (6, True), (7, False)])
def test_count_is_right_when_it_is_off_by_one_at_most(counted, expected):
    assert is_off_by_one(counted, 5) is expected


def test_error_is_relative_to_the_true_count():
    assert count_error(3, 5) == pytest.approx(2 / 5.1)
    assert count_error(2, 0) == pytest.approx(20.0)
    with pytest.raises(InputError, match="-1"):
        count_error(2, -1)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([(4.5, 4)], True),
        ([(5.2, 5)], True),
        ([(4.0, 4)], False),  # not after the second-to-last
        ([(4.5, 5), (5.5, 7)], False),  # only the last one counts
        ([(5.5, 5), (4.5, 9)], True),
        ([(1.0, 5)], False),
        ([], False),
    ],
)
def test_last_number_counts_when_it_is_said_late_enough(said, expected):
    assert count_online(said, REPETITIONS) is expected


def test_number_may_be_said_at_any_time_when_there_is_no_second_to_last():
    assert count_online([(0.5, 1)], [1.0])
    assert not count_online([], [])


def test_silence_counts_as_none_when_a_clip_is_observed():
    values = {one.measure: one.value for one in observe_count([], REPETITIONS)}
    assert values == {"count_obo": 0.0, "count_mae": pytest.approx(5 / 5.1), "count_online": 0.0}


def test_two_too_many_fail_every_measure_when_a_clip_is_observed():
    values = {one.measure: one.value for one in observe_count([(5.5, 7)], REPETITIONS)}
    assert values == {"count_obo": 0.0, "count_mae": pytest.approx(2 / 5.1), "count_online": 0.0}


def words(text):
    return [Word(word, float(n), n + 1.0) for n, word in enumerate(text.split())]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("that was three.", [(2.0, 3)]),
        ("twenty one, twenty two", [(0.0, 21), (2.0, 22)]),
        ("21 22 100", [(0.0, 21), (1.0, 22), (2.0, 100)]),
        ("twenty-one", [(0.0, 21)]),
        ("twenty", [(0.0, 20)]),
        ("three four", [(0.0, 3), (1.0, 4)]),
        ("none at all", []),
    ],
)
def test_numbers_are_found_with_their_times(text, expected):
    assert said_numbers(words(text)) == expected


@given(st.lists(st.integers(0, 100), max_size=5))
def test_every_number_is_found_when_something_stands_between(numbers):
    text = " and ".join(number_to_words(one) for one in numbers)
    assert [number for _, number in said_numbers(words(text))] == numbers
