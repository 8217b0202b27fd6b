"""Arithmetic in words, and what it refuses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tml_ros.background.offline.amounts import plain, say_number
from tml_ros.background.offline.arithmetic import MAX_MAGNITUDE, arithmetic_result


def reckon(text: str):
    return arithmetic_result(plain(text))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("what is twelve times seven", 84),
        ("what's three plus four minus two", 5),
        ("two hundred fifty divided by four", 62.5),
        ("how much is a hundred and five minus one", 104),
        ("two point five times four", 10),
        ("what is one point oh five plus one", 2.05),
        ("what is seven minus point five", 6.5),
        ("minus five times three", -15),
        ("what is nine squared", 81),
        ("two to the power of ten", 1024),
        ("what is the square root of sixteen", 4),
        ("fifteen percent of eighty", 12),
        ("five thousand three hundred twenty one plus one", 5322),
        ("what is 3.5 + 2?", 5.5),
        ("(2+3)*4", 20),
        ("12 x 7", 84),
        ("1,250 plus 1", 1251),
        ("2 + 3 * 4", 14),
        ("hey robot, what is six over two please", 3),
        ("0 ** -0 + 1", 2),
    ],
)
def test_a_value_is_found_when_the_words_are_arithmetic(text, value):
    assert reckon(text).data["value"] == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    [
        "five",
        "two plus",
        "plus two",
        "what is twelve times",
        "what is seven times better",
        "__import__('os').system('ls')",
        "2 + x",
        "1 if 2 else 3",
        "2 // 3",
        "3 = 3",
        "1e5 + 1",
        "()+()",
        "2 (3)",
        "where is the eye wash station",
        "1 + " * 100 + "1",
        "",
    ],
)
def test_nothing_is_reckoned_when_the_words_are_not_arithmetic(text):
    result = reckon(text)
    assert result is None or "value" not in result.data


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("9**9**9", "too large"),
        ("nine to the power of nine to the power of nine", "too large"),
        ("99 ** 99 ** 99 ** 99", "too large"),
        ("10 ** 101", "too large"),
        ("1 divided by 0", "divide by zero"),
        ("0 ** (0-1)", "divide by zero"),
        ("(0-8) ** 0.5", "no real result"),
        ("9" * 50 + " * " + "9" * 60, "too large"),
    ],
)
@pytest.mark.timeout(10)  # a power that is computed before it is refused takes minutes
def test_it_is_refused_before_it_is_computed_when_it_is_out_of_bounds(text, words):
    result = reckon(text)
    assert words in result.report and "value" not in result.data and result.data["refused"] == [result.report]


def test_a_tiny_power_is_zero_when_it_is_out_of_range():
    assert reckon("0.1 ** 99999").data["value"] == 0
    assert reckon("2 ** (0 - 9 ** 99)").data["value"] == 0


@given(st.lists(st.sampled_from(["2", "9", "0", "0.5", "99", "+", "-", "*", "/", "**", "(", ")"]), max_size=25))
def test_every_value_is_bounded_whatever_is_reckoned(tokens):
    result = reckon(" ".join(tokens))
    if result is not None and "value" in result.data:
        assert abs(result.data["value"]) <= MAX_MAGNITUDE


@given(st.integers(-1000, 1000), st.integers(-1000, 1000))
def test_a_sum_is_that_of_python_when_it_is_written(left, right):
    assert reckon(f"{left} + ({right})").data["value"] == left + right


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (84, "84"),
        (62.5, "62.5"),
        (0.1 + 0.2, "0.3"),
        (2 / 3, "0.666667"),
        (0, "0"),
        (-3.0, "-3"),
        (10**12, "1000000000000"),
        (1.5e20, "1.5 times ten to the power of 20"),
        (2e-9, "2 times ten to the power of minus 9"),
    ],
)
def test_a_number_is_short_when_it_is_said(value, words):
    assert say_number(value) == words
