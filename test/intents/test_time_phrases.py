"""What people ask of the robot's clock, from words to requests."""

from pathlib import Path

import pytest

from tml_ros.errors import ConfigError
from tml_ros.intents import Grammar, load_intents
from tml_ros.records import TimeAction


@pytest.fixture(scope="module")
def grammar() -> Grammar:
    return Grammar(load_intents())


@pytest.mark.parametrize(
    ("words", "action", "fields"),
    [
        (
            "Remind me to check the temperature every four minutes.",
            "remind",
            {"name": "check the temperature", "span_s": 240.0, "repeats": True, "until_stop": False},
        ),
        (
            "remind me to breathe every 4 seconds until I ask you to stop",
            "remind",
            {"text": "Remember to breathe.", "span_s": 4.0, "repeats": True, "until_stop": True},
        ),
        ("remind me in an hour and a half to call my boss", "remind", {"name": "call your boss", "span_s": 5400.0}),
        ("say switch every 30s", "remind", {"text": "switch.", "span_s": 30.0, "repeats": True}),
        ("set a timer for ten minutes", "remind", {"name": "", "text": "Your time is up.", "span_s": 600.0}),
        ("start a ten minute timer", "remind", {"name": "", "span_s": 600.0}),
        ("tell me when five minutes are up", "remind", {"name": "", "span_s": 300.0}),
        ("stop reminding me", "cancel", {"name": ""}),
        ("stop reminding me to water my plants", "cancel", {"name": "water your plants"}),
        ("cancel the timer", "cancel", {"name": "timer"}),
        ("how much time is left?", "left", {}),
        ("start the incubation", "start", {"name": "incubation"}),
        ("I am starting the PCR run now", "start", {"name": "pcr run"}),
        ("the PCR run is done", "stop", {"name": "pcr run"}),
        ("the incubation is finished", "stop", {"name": "incubation"}),
        ("start timing", "start", {"name": ""}),
        ("how long has it been?", "elapsed", {"name": ""}),
        ("how long has the PCR run been running", "elapsed", {"name": "pcr run"}),
        ("how long did the last one take?", "last", {"name": ""}),
        ("how long does the incubation usually take", "usual", {"name": "incubation"}),
        ("alert me if this takes longer than the last one", "watch", {"than": "last"}),
        ("warn me if the PCR run takes longer than usual", "watch", {"name": "pcr run", "than": "usual"}),
        ("let me know if this takes longer than two minutes", "watch", {"than": "", "span_s": 120.0}),
        ("how long since you said that", "since_said", {}),
        ("count my push-ups", "count", {"name": "push ups"}),
        ("count the transfers", "count", {"name": "transfers"}),
        ("how many so far", "counted", {}),
        ("stop counting", "stop_counting", {}),
    ],
)
def test_request_is_read_off_the_words_when_a_rule_covers_them(grammar, words, action, fields):
    meaning = grammar.parse(words)
    assert meaning is not None and meaning.time is not None and not meaning.intent
    assert meaning.time.action is TimeAction(action)
    assert {name: getattr(meaning.time, name) for name in fields} == fields


@pytest.mark.parametrize(
    ("words", "intent"),
    [
        ("stop", "__intent_stop_activity__"),
        ("start cleaning", "__intent_start_activity__"),
        ("start", "__intent_start_activity__"),
    ],
)
def test_command_stays_a_command_when_it_sounds_like_timing(grammar, words, intent):
    assert grammar.parse(words).intent == intent


@pytest.mark.parametrize("words", ["stop the robot arm from moving there", "remind me", "set a timer", "start moving"])
def test_nothing_is_timed_when_the_words_do_not_say_so(grammar, words):
    meaning = grammar.parse(words)
    assert meaning is None or meaning.time is None


def test_recogniser_listens_for_no_phrase_that_is_only_typed(grammar):
    spoken = grammar.to_jsgf()
    assert "notify" in " ".join(phrase for rule in load_intents().rules for phrase in rule.get("typed", ()))
    assert "notify" not in spoken and "<words>" not in spoken


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('phrases: ["say {words}"]', "is any words, for which nobody can listen"),
        ('typed: ["say {words} {rythm}"]', "no slot type 'rythm'; did you mean 'rhythm'"),
    ],
)
def test_intents_file_is_refused_when_a_phrase_cannot_be_read(tmp_path: Path, line, problem):
    path = tmp_path / "intents.yaml"
    text = load_intents().path.read_text(encoding="utf-8")
    path.write_text(f"{text}  - {line}\n    time: {{do: left}}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=problem):
        Grammar(load_intents(path))
