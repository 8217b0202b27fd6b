"""When a turn is over, by the words of the shipped grammar."""

from dataclasses import dataclass

import pytest

from tml_ros.duplex.cascade.turn_end import TurnEnd, is_fragment, longest_ms
from tml_ros.intents.file import load_intents
from tml_ros.intents.grammar import Grammar
from tml_ros.resources import locate


@dataclass(frozen=True)
class Silences:
    command_silence_ms: int = 160
    open_silence_ms: int = 700
    end_silence_ms: int = 600
    fragment_silence_ms: int = 1600
    slowest_letter_ms: int = 130


@pytest.fixture(scope="module")
def grammar():
    return Grammar(load_intents(locate("config/intents.yaml")))


@pytest.fixture
def turn_end(grammar):
    return TurnEnd(Silences(), grammar)


def ask(turn_end, silence_ms, words, command=""):
    return turn_end.is_over(silence_ms, 500, lambda: words, lambda: command)


@pytest.mark.parametrize(
    "command", ["stop", "left", "hello", "bring me the cup", "put it on the table", "what time is it", "robot go home"]
)
def test_little_silence_is_enough_when_nothing_may_follow_a_command(turn_end, command):
    assert turn_end.needed_ms("misheard words", command) == 160


@pytest.mark.parametrize("command", ["go", "go forward", "turn left", "start", "no"])
def test_more_silence_is_needed_when_a_command_may_go_on(turn_end, command):
    assert turn_end.needed_ms(command, command) == 700


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ("put it on the", "put it on the"),
        ("could it on a", "put it on the"),
        ("can you tell me", "can you tell me"),
        ("remind me to", "remind me in"),
        ("yesterday i went to the", "her then went"),
        ("where is", "well his"),
        ("turn left ninety", "turn left ninety"),
        ("go forward", "go forward ten"),
        ("could you please", "hello"),
        ("where is the", "where is the exit"),
    ],
)
def test_most_silence_is_needed_when_the_words_cannot_be_the_end(turn_end, words, command):
    assert turn_end.needed_ms(words, command) == 1600


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ("where is the nearest coffee machine", "well his than just"),
        ("can you tell me where the goggles are", "can you tell me where the goggles"),
        ("", ""),
        ("the", "half"),
        ("what is this for", "what than for"),
    ],
)
def test_other_words_need_the_usual_silence_when_they_may_be_the_end(turn_end, words, command):
    assert turn_end.needed_ms(words, command) == 600


def test_a_command_in_the_free_words_counts_when_there_is_no_command_recogniser(turn_end):
    assert turn_end.needed_ms("Bring me the cup!", "") == 160


def test_turn_is_over_when_the_silence_is_as_long_as_needed(turn_end):
    assert not ask(turn_end, 159, "stop", "stop")
    assert ask(turn_end, 160, "stop", "stop")


def test_words_made_of_silence_do_not_count_when_the_pause_is_old(turn_end):
    assert not ask(turn_end, 420, "what is that", "has that")
    assert ask(turn_end, 620, "what is that if", "has that")


def test_late_words_count_when_the_pause_is_young(turn_end):
    assert not ask(turn_end, 170, "bring me the")
    assert ask(turn_end, 370, "bring me the cup")


def test_a_pause_is_judged_anew_when_the_person_has_gone_on(turn_end):
    assert not ask(turn_end, 500, "put it on the")
    assert not ask(turn_end, 40, "put it on the")
    assert ask(turn_end, 200, "put it on the table")


def test_a_pause_is_judged_anew_when_the_utterance_has_ended(turn_end):
    assert not ask(turn_end, 500, "put it on the")
    turn_end.reset()
    assert ask(turn_end, 500, "bring me the cup")


def test_long_speech_is_no_short_command(turn_end):
    assert longest_ms("three", 130) == 1050
    assert turn_end.needed_ms("let me think", "three", 1050) == 160
    assert turn_end.needed_ms("let me think", "three", 1051) == 600
    assert turn_end.needed_ms("so where are my goggles", "where are the goggles", 3000) == 600


def test_next_words_are_those_of_the_grammar(turn_end):
    assert turn_end.next_words("put it on the") == {"table", "bench", "floor", "station"}
    assert turn_end.next_words("put it under") == frozenset()
    assert turn_end.next_words("thank you") == {"please"}


def test_any_text_gets_one_of_the_silences_when_it_is_no_english(turn_end):
    for text in ("", "   ", "ß ¿ 你好", "<number> {side} [", "the " * 500, "\x00", "go " * 30):
        assert turn_end.needed_ms(text, text) in (160, 600, 700, 1600)


@pytest.mark.parametrize("text", ["the", "turn it on", "come in please", "where are the goggles", "who is this for"])
def test_a_whole_sentence_is_no_fragment(text):
    assert not is_fragment(text)
