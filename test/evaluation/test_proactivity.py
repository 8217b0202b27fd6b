"""The area under the score against values by hand, and its bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tml_ros.errors import InputError
from tml_ros.evaluation.proactivity import pauc

SPAN = (10.0, 20.0)


@pytest.mark.parametrize(
    ("replies", "omega", "expected"),
    [
        ([], 0.5, 25.0),
        ([(10.0, 2.0)], 0.5, 100.0),
        ([(10.0, 0.0)], 0.5, 0.0),
        ([(14.0, 2.0)], 0.0, 100 * (4 * 0.5 + 6 * 2) / 20),
        ([(14.0, 2.0)], 0.5, 100 * (2 * 0.5 + 8 * 2) / 20),
        ([(14.0, 2.0)], 1.0, 100.0),
        ([(14.0, 0.0)], 0.5, 100 * 2 * 0.5 / 20),
        ([(16.0, 2.0), (12.0, 1.0)], 0.5, 100 * (1 * 0.5 + 2 * 1 + 7 * 2) / 20),
        ([(9.9, 2.0), (20.0, 2.0)], 0.5, 25.0),  # outside the span
    ],
)
def test_area_is_what_the_definition_says(replies, omega, expected):
    assert pauc(replies, SPAN, omega) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("replies", "span", "omega", "message"),
    [
        ([], (5.0, 5.0), 0.5, "must have a length"),
        ([], SPAN, 1.5, "omega must lie in 0..1, got 1.5"),
        ([(11.0, 2.5)], SPAN, 0.5, "must lie in 0..2, got 2.5 at 11.0 s"),
        ([(11.0, float("nan"))], SPAN, 0.5, "must lie in 0..2"),
    ],
)
def test_turn_is_refused_when_a_value_is_out_of_range(replies, span, omega, message):
    with pytest.raises(InputError, match=message):
        pauc(replies, span, omega)


REPLIES = st.lists(st.tuples(st.floats(0, 30), st.floats(0, 2)), max_size=5)


@given(REPLIES, st.floats(0, 1))
def test_area_lies_between_0_and_100(replies, omega):
    assert -1e-9 <= pauc(replies, SPAN, omega) <= 100.0 + 1e-9


@given(st.floats(10, 19.9), st.floats(10, 19.9), st.floats(0, 1))
def test_sooner_is_better_when_the_reply_is_right_and_worse_when_it_is_wrong(one, other, omega):
    soon, late = sorted((one, other))
    assert pauc([(soon, 2.0)], SPAN, omega) >= pauc([(late, 2.0)], SPAN, omega) - 1e-9 >= 25.0 - 2e-9
    assert pauc([(soon, 0.0)], SPAN, omega) <= pauc([(late, 0.0)], SPAN, omega) + 1e-9 <= 25.0 + 2e-9
