"""Lengths of time as people say them."""

import pytest

from tml_ros.intents.durations import duration_phrases, match_duration, say_duration
from tml_ros.intents.phrases import match, parse_phrase


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("ten seconds", 10),
        ("4 minutes", 240),
        ("a minute", 60),
        ("an hour", 3600),
        ("half an hour", 1800),
        ("half a minute", 30),
        ("an hour and a half", 5400),
        ("two and a half minutes", 150),
        ("two minutes and thirty seconds", 150),
        ("1 hour 5 minutes", 3900),
        ("three quarters of an hour", 2700),
        ("a couple of minutes", 120),
        ("twenty one seconds", 21),
        ("120 seconds", 120),
        ("90s", 90),
        ("second", None),
        ("five", None),
        ("ten bottles", None),
        ("thirty seconds and two minutes", None),
    ],
)
def test_duration_is_understood_when_it_is_said_in_full(said, seconds):
    words = said.split()
    found = [span_s for end, span_s in match_duration(words, 0) if end == len(words)]
    assert found == ([] if seconds is None else [seconds])


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "zero seconds"),
        (-3, "zero seconds"),
        (1.4, "one second"),
        (60, "one minute"),
        (250.2, "four minutes and ten seconds"),
        (3600, "one hour"),
        (3599.6, "one hour"),
        (5_425, "one hour and thirty minutes"),
        (200 * 3600, "200 hours"),
    ],
)
def test_duration_is_said_to_the_second_when_it_is_shorter_than_an_hour(seconds, said):
    assert say_duration(seconds) == said


def test_everything_that_is_listened_for_is_a_duration():
    for phrase in duration_phrases():
        for words in ("three seconds", "half an hour", "a minute", "two and a half hours", "one hour"):
            ends = [end for end, _ in match(parse_phrase(phrase), words.split(), 0, {}, lambda *_: iter(()))]
            assert not ends or any(end == len(words.split()) for end, _ in match_duration(words.split(), 0))
