"""Expectations against a time line that is written down: what holds, when, and what is observed of it."""

import math

import numpy as np
import pytest

from tml_ros.errors import ConfigError
from tml_ros.evaluation.expectations import Anchor, judge, read_expectation, unexpected_intents
from tml_ros.evaluation.results import Observation
from tml_ros.evaluation.timeline import Happening, Segment, Timeline, Utterance
from tml_ros.records import (
    AlertState,
    DelegationEvent,
    DelegationPhase,
    IntentProposal,
    SafetyAlert,
    SpeechKind,
    TranscriptEvent,
)

STOP = "__intent_stop_activity__"


def intent(name: str = STOP, data: str = "{}", *, expires_ns: int = 10, confirm: bool = False) -> IntentProposal:
    return IntentProposal(1, "id", "session", 0, expires_ns, confirm, name, data, "somebody", "speech", 128, 1.0)


def alert(rule: str = "spill", severity: int = 2, state: AlertState = AlertState.RAISED) -> SafetyAlert:
    return SafetyAlert(1, "id", state, severity, rule, "", "Look.", 1.0, 0, 1)


def task(text: str) -> DelegationEvent:
    return DelegationEvent(1, "session", 0, "id", DelegationPhase.REQUESTED, text)


def said(text: str, start_s: float, end_s: float, kind: SpeechKind = SpeechKind.REPLY) -> Utterance:
    """Return an utterance whose sound lasts from start to end."""
    count = round((end_s - start_s) * 16_000)
    sound = np.full(count, 0.1, np.float32)
    return Utterance(1, kind, text, audio=[sound], track=[(0, start_s), (count, end_s)])


@pytest.fixture
def timeline() -> Timeline:
    """A person asks from 1 to 2 s; the robot answers from 2.5 to 5 s, is cut, and acts."""
    one = Timeline(0)
    one.now_s = 10.0
    one.inputs = {"question": (1.0, 2.0), "bid": (4.5, 5.2)}
    one.utterances = [said("I see seven green bottles on the table", 2.5, 5.0), said("Stopping", 6.0, 6.5)]
    one.segments = [Segment(2.5, 5.0, is_cut=True), Segment(6.0, 6.5)]
    one.floors = [(0.2, "listen"), (2.4, "speak"), (4.8, "yield"), (5.0, "listen")]
    one.counters = {"late_messages": 3}
    one.happenings = [
        Happening(2.2, TranscriptEvent("user", "what do you see", True, 1.0, 0, 1)),
        Happening(2.4, task("look up the bottles")),
        Happening(5.6, intent()),
        Happening(7.0, alert()),
        Happening(8.0, alert(state=AlertState.CLEARED)),
        Happening(9.0, intent("__intent_move_to__", '{"goal": "kitchen"}', confirm=True)),
    ]
    return one


def check(timeline: Timeline, anchor: str = "start", **item):
    return judge(read_expectation(item, Anchor(anchor), 0), timeline)


@pytest.mark.parametrize(
    ("anchor", "item", "at_s"),
    [
        ("question.end", {"said_like": "SEVEN .*bottles"}, 2.5),
        ("question.end", {"said_like": "bottles", "within_ms": 400}, None),
        ("question.end", {"said_words": {"text": "seven bottles on a shelf"}}, 2.5),
        ("question.end", {"said_words": {"text": "seven bottles on a shelf", "overlap": 0.9}}, None),
        ("start", {"said_number": {"value": 7}}, 2.5),
        ("start", {"said_number": {"value": 9, "tolerance": 1}}, None),
        ("start", {"said_number": {"elapsed_since": "start", "tolerance": 4.5}}, 2.5),
        ("start", {"said_number": {"elapsed_since": "question.end", "tolerance": 1}}, None),
        ("question.end", {"speaks": True}, 2.5),
        ("question.end", {"speaks": True, "between": [-1.0, 0.4]}, None),
        ("question.end", {"takeover": True}, 2.5),
        ("bid.end", {"takeover": True}, None),  # one word within half a second
        ("bid.start", {"stops": True, "within_ms": 700}, 5.0),
        ("bid.start", {"stops": True, "within_ms": 400}, None),
        ("start", {"stops": True, "within_ms": 2000}, None),
        ("question.start", {"voice": True, "between": [0.0, 1.0]}, None),
        ("bid.start", {"voice": True, "between": [0.0, 0.1]}, 4.5),
        ("bid.end", {"backchannel": True}, 6.0),
        ("question.end", {"backchannel": True, "within_ms": 3000}, None),
        ("bid.start", {"intent": {"name": STOP}}, 5.6),
        ("start", {"intent": {"name": STOP, "data": {"object": "speaking"}}}, None),
        ("start", {"intent": {"name": "__intent_move_to__", "data": {"goal": "kitchen"}}}, 9.0),
        ("start", {"intent": {"name": "__intent_move_to__", "requires_confirmation": False}}, None),
        ("start", {"intent": {"name": STOP, "withdrawn": True}}, None),
        ("start", {"alert": {}}, 7.0),
        ("start", {"alert": {"rule": "fire"}}, None),
        ("start", {"alert": {"severity": 3}}, None),
        ("start", {"alert": {"state": "cleared"}}, 8.0),
        ("question.end", {"task": "Bottles$"}, 2.4),
        ("start", {"floor": "yield"}, 4.8),
        ("start", {"floor": "backchannel"}, None),
        ("start", {"floor": "listen", "between": [4.0, 4.9]}, None),
        ("start", {"heard": "what do you see"}, 2.2),
        ("start", {"heard": "bring me the cup"}, None),
        ("start", {"counter": {"name": "late_messages", "at_least": 2}}, 10.0),
        ("start", {"counter": {"name": "late_messages", "at_most": 2}}, None),
        ("robot_stops", {"intent": {"name": STOP}}, 5.6),
        ("alert", {"said_like": "stopping"}, None),
    ],
)
def test_kind_is_found_where_it_is_and_nowhere_else(timeline, anchor, item, at_s):
    found, _ = check(timeline, anchor, **item)
    assert (found.passed, found.at_s) == (at_s is not None, at_s)
    assert check(timeline, anchor, absent=True, **item)[0].passed is (at_s is None)


def test_what_never_came_fails_and_is_no_trial_of_a_miss(timeline):
    found, observations = check(timeline, "other.end", stops=True, hit="stopped", miss="false_stop", absent=True)
    assert not found.passed and "never came" in found.detail
    assert observations == (Observation("stopped", 0.0),)


def test_measures_are_observed_with_the_time_from_the_anchor_and_from_the_middle_of_the_window(timeline):
    item = {"said_like": "bottles", "between": [0.0, 2.0], "hit": ["time_accuracy", "cue_accuracy"], "group": "g"}
    _, observations = check(timeline, "question.end", **item, latency="response_latency_s", jitter="reminder_jitter_s")
    assert observations == (
        Observation("time_accuracy", 1.0, group="g"),
        Observation("cue_accuracy", 1.0, group="g"),
        Observation("response_latency_s", 0.5, group="g"),
        Observation("reminder_jitter_s", 0.5, group="g"),
    )
    _, observations = check(timeline, "bid.start", stops=True, within_ms=700, absent=True, miss="false_stop")
    assert observations == (Observation("false_stop", 1.0),)


@pytest.mark.parametrize(("times", "passed"), [([1, 1], False), ([2, 2], True), ([0, 1], False), ([0, 9], True)])
def test_times_bound_how_often_it_may_happen(timeline, times, passed):
    assert check(timeline, speaks=True, times=times)[0].passed is passed


def test_understanding_tells_the_wrong_intent_from_wrong_slots(timeline):
    wrong = check(timeline, intent={"name": "__intent_move_to__", "data": {"goal": "office"}})[1]
    assert wrong == (Observation("intent_accuracy", 1.0), Observation("slot_accuracy", 0.0))
    missing = check(timeline, intent={"name": "__intent_greet__", "data": {"recipient": "speaker"}})[1]
    assert missing == (Observation("intent_accuracy", 0.0),)


def test_intent_that_nobody_asked_for_is_unexpected(timeline):
    wanted = read_expectation({"intent": {"name": STOP}}, Anchor("start"), 0)
    unwanted = read_expectation({"intent": {"name": "__intent_move_to__"}, "absent": True}, Anchor("start"), 0)
    assert [one.intent for one in unexpected_intents([wanted, unwanted], timeline)] == ["__intent_move_to__"]


def test_expectation_is_refused_when_its_intent_is_not_known():
    with pytest.raises(ConfigError, match="mean '__intent_greet__'"):
        read_expectation({"intent": {"name": "__intent_great__"}}, Anchor("start"), 0)


def test_words_are_heard_until_the_voice_is_cut():
    one = said("one two three four", 1.0, 3.0)
    assert [word.text for word in one.words()] == ["one", "two", "three", "four"]
    assert math.isclose(one.words()[0].start_s, 1.0) and math.isclose(one.words()[-1].end_s, 3.0)
    one.track = [(0, 1.0), (16_000, 2.0)]
    assert [word.text for word in one.words()] == ["one", "two", "three"]
    one.track = []
    assert one.words() == [] and one.start_s is None
