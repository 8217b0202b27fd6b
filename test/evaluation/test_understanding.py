"""Intents and slots against what was meant, and tasks against what was wanted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tml_ros.evaluation.catalogue import MEASURES
from tml_ros.evaluation.results import figure
from tml_ros.evaluation.understanding import Proposed, WantedIntent, is_handed_on, is_same_value, observe_intents

TURN = WantedIntent("turn", {"direction": "left", "degrees": 90}, 1.0, 5.0)


def figures(wanted, proposed, hours=0.5):
    found = observe_intents(wanted, proposed, hours)
    return {
        name: figure(MEASURES[name], found).value
        for name in ("intent_accuracy", "slot_accuracy", "false_intents_per_hour")
    }


@pytest.mark.parametrize(
    ("proposed", "expected"),
    [
        ([Proposed("turn", {"direction": "left", "degrees": 90.0}, 2.0)], (1.0, 1.0, 0.0)),
        ([Proposed("turn", {"direction": "right", "degrees": 90}, 2.0)], (1.0, 0.5, 0.0)),
        ([Proposed("turn", {}, 2.0)], (1.0, 0.0, 0.0)),
        ([Proposed("stop", {"direction": "left"}, 2.0)], (0.0, 0.0, 2.0)),
        ([Proposed("turn", {"direction": "left", "degrees": 90}, 5.0)], (0.0, 0.0, 2.0)),  # too late
        ([], (0.0, 0.0, 0.0)),
    ],
)
def test_request_is_judged_by_name_slots_and_time(proposed, expected):
    assert tuple(figures([TURN], proposed).values()) == expected


def test_best_proposal_is_taken_and_the_other_is_false_when_there_are_two():
    two = [Proposed("turn", {"direction": "right"}, 2.0), Proposed("turn", {"direction": "left", "degrees": 90}, 3.0)]
    assert tuple(figures([TURN], two).values()) == (1.0, 1.0, 2.0)


def test_one_proposal_is_not_taken_twice_when_two_were_meant():
    twice = [WantedIntent("stop"), WantedIntent("stop")]
    assert figures(twice, [Proposed("stop", {}, 1.0)])["intent_accuracy"] == 0.5


def test_every_proposal_is_false_when_nothing_was_meant():
    found = observe_intents([], [Proposed("stop", {}, 1.0)], hours=2.0)
    assert [(one.measure, one.value, one.weight) for one in found] == [("false_intents_per_hour", 1.0, 2.0)]
    assert observe_intents([], [Proposed("stop", {}, 1.0)]) == []


@pytest.mark.parametrize(
    ("wanted", "found", "expected"),
    [
        (90, 90.0, True),
        (0.1 + 0.2, 0.3, True),
        (90, 92, False),
        (1, True, False),
        (True, True, True),
        ("Red cup", "red  cup", True),
        ("21", "twenty one", True),
        ("°", "!", False),
        ("90", 90, False),
        (None, None, True),
        ([1, 2], [1, 2], True),
    ],
)
def test_values_are_one_when_they_mean_the_same(wanted, found, expected):
    assert is_same_value(wanted, found) is expected


def test_tasks_are_right_when_they_are_those_wanted_and_no_other():
    wanted = ["what do I do about an acid spill"]
    assert is_handed_on(wanted, ["please tell me what do i do about an acid spill"])
    assert is_handed_on(wanted, ["what do i do about acid spill"])
    assert not is_handed_on(wanted, ["what is for lunch"])
    assert not is_handed_on(wanted, [])
    assert not is_handed_on([], ["what is for lunch"])
    assert is_handed_on([], [])


INTENTS = st.lists(st.builds(Proposed, st.sampled_from("ab"), st.just({}), st.floats(0, 9)), max_size=6)


@given(st.lists(st.sampled_from("ab").map(WantedIntent), max_size=5), INTENTS)
def test_every_proposal_is_taken_or_false(wanted, proposed):
    found = observe_intents(wanted, proposed, 1.0)
    taken = sum(one.value for one in found if one.measure == "intent_accuracy")
    assert taken + found[-1].value == len(proposed)
