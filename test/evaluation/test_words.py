"""Word errors against counts by hand, and what holds for any two sentences."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tml_ros.evaluation.catalogue import MEASURES
from tml_ros.evaluation.results import figure
from tml_ros.evaluation.words import WordErrors, overlap, spelled, wer, word_errors

SENTENCES = st.lists(st.sampled_from(["go", "left", "right", "stop", "now"]), max_size=7).map(" ".join)


@pytest.mark.parametrize(
    ("reference", "heard", "expected"),
    [
        ("go left", "go left", WordErrors(0, 0, 0, 2)),
        ("go left", "Go, LEFT!", WordErrors(0, 0, 0, 2)),
        ("go left", "go right", WordErrors(1, 0, 0, 2)),
        ("go left now", "go now", WordErrors(0, 1, 0, 3)),
        ("go now", "go left now", WordErrors(0, 0, 1, 2)),
        ("go left", "", WordErrors(0, 2, 0, 2)),
        ("", "go left", WordErrors(0, 0, 2, 0)),
        ("", "", WordErrors(0, 0, 0, 0)),
        ("ten of clubs", "an up close", WordErrors(3, 0, 0, 3)),
        ("four queen of clubs", "four please", WordErrors(1, 2, 0, 4)),
        ("turn 21 degrees", "turn twenty one degrees", WordErrors(0, 0, 0, 4)),
    ],
)
def test_errors_are_those_of_the_cheapest_alignment(reference, heard, expected):
    assert word_errors(reference, heard) == expected


def test_rate_is_above_1_when_more_was_heard_than_said():
    assert word_errors("go", "please do not go").rate == 3.0
    assert word_errors("", "go").rate == 1.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Turn 90°, please!", "turn ninety please"),
        ("don\N{RIGHT SINGLE QUOTATION MARK}t  stop_it", "don't stop it"),
        ("number 1234 and 100", "number 1234 and one hundred"),
        ("naïve \N{FULLWIDTH DIGIT TWO}", "naïve \N{FULLWIDTH DIGIT TWO}"),
        ("?!", ""),
    ],
)
def test_spelling_is_one_when_there_are_several(text, expected):
    assert " ".join(spelled(text)) == expected


def test_observation_weighs_as_many_words_as_the_sentence_has():
    found = [wer("go", "stop"), wer("please go to the kitchen", "please go to the kitchen"), wer("", "")]
    assert [(one.value, one.weight) for one in found] == [(1.0, 1), (0.0, 5), (0.0, 1)]
    assert figure(MEASURES["wer"], found).trials == 3


def test_overlap_is_the_share_of_wanted_words_in_their_order():
    assert overlap("bring the cup", "I will bring you the red cup.") == 1.0
    assert overlap("bring the cup", "the cup I bring") == pytest.approx(2 / 3)
    assert overlap("bring the cup", "") == 0.0
    assert overlap("", "anything") == 1.0


@given(SENTENCES, SENTENCES)
def test_errors_are_bounded_and_symmetric(reference, heard):
    there, back = word_errors(reference, heard), word_errors(heard, reference)
    wanted, found = len(reference.split()), len(heard.split())
    assert there.insertions - there.deletions == found - wanted
    errors = there.substitutions + there.deletions + there.insertions
    assert abs(found - wanted) <= errors <= max(found, wanted)
    assert errors == back.substitutions + back.deletions + back.insertions
    assert (errors == 0) == (reference == heard)


@given(SENTENCES, SENTENCES, SENTENCES)
def test_errors_obey_the_triangle_inequality(first, second, third):
    def errors(one, other):
        found = word_errors(one, other)
        return found.substitutions + found.deletions + found.insertions

    assert errors(first, third) <= errors(first, second) + errors(second, third)
