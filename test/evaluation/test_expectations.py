"""Expectations against a time line that is written down: what holds, when, and what is observed of it."""

import math

import numpy as np
import pytest

from tml_ros.errors import ConfigError
from tml_ros.evaluation.expectations import Anchor, judge, read_expectation
from tml_ros.evaluation.results import Observation
from tml_ros.evaluation.timeline import Happening, Segment, Timeline, Utterance
from tml_ros.evaluation.understood import observe_alerts_of, observe_intents_of, unexpected_intents
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
        ("question.end", {"said_number": {"elapsed_since": "start", "tolerance": 5}}, 2.5),
        ("question.end", {"said_number": {"elapsed_since": "question.start", "tolerance": 5}}, None),
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
        ("bid.end", {"listens": True}, 5.2),
        ("question.end", {"listens": True}, None),
        ("bid.end", {"behaves": "respond"}, 5.2),
        ("bid.end", {"behaves": "resume"}, None),
        ("start", {"tasks": ["look up bottles"]}, 2.4),
        ("start", {"tasks": []}, None),
        ("start", {"tasks": ["look up bottles", "look up cups"]}, None),
        ("start", {"on_time": {"like": "stopping|bottles", "due_s": [3.0, 6.2], "tolerance_s": 1.0}}, 2.5),
        ("start", {"on_time": {"like": "stopping|bottles", "due_s": [3.0], "tolerance_s": 1.0}}, None),
        ("start", {"on_time": {"like": "stopping|bottles", "due_s": [3.0, 8.0], "tolerance_s": 1.0}}, None),
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


def test_stop_latency_is_the_length_of_the_overlap_whoever_ends_it(timeline):
    item = {"stops": True, "within_ms": 100, "latency": "stop_latency_s"}
    assert check(timeline, "bid.start", **item)[1] == (Observation("stop_latency_s", 0.5),)
    timeline.inputs["bid"] = (4.5, 4.8)
    assert check(timeline, "bid.start", **item)[1] == (Observation("stop_latency_s", 0.3),)


def test_item_counts_when_all_of_it_came_in_time(timeline):
    due = {"like": "stopping", "due_s": [6.2], "tolerance_s": 1.0}
    item = {"on_time": due, "hit": "time_accuracy", "jitter": "reminder_jitter_s", "group": "g"}
    hit, jitter = check(timeline, **item)[1]
    assert hit == Observation("time_accuracy", 1.0, group="g")
    assert jitter == Observation("reminder_jitter_s", 0.2, group="g")
    missed = check(timeline, **item | {"on_time": due | {"due_s": [8.0]}})[1]
    assert missed == (Observation("time_accuracy", 0.0, group="g"),)


def test_listening_and_hearing_observe_what_they_are_measured_by(timeline):
    found = dict((one.measure, one.value) for one in check(timeline, "bid.end", listens=True, within_ms=2000)[1])
    assert found == {"backchannel_takeover": 0.0, "backchannel_frequency": 0.5}
    (observed,) = check(timeline, heard="what do you see now")[1]
    assert (observed.measure, observed.value, observed.weight) == ("wer", 0.2, 5.0)


def wanted(name: str, anchor: str = "start", **more):
    return read_expectation({"intent": {"name": name, **more}}, Anchor(anchor), 0)


def test_intents_are_taken_by_those_wanted_and_the_others_are_false(timeline):
    found = observe_intents_of([wanted("__intent_move_to__", data={"goal": "office"})], timeline, 0.5)
    assert found == [
        Observation("intent_accuracy", 1.0),
        Observation("slot_accuracy", 0.0),
        Observation("false_intents_per_hour", 2.0, weight=0.5),
    ]
    never = observe_intents_of([wanted(STOP, "other.end")], timeline, 0.5)
    assert never[0] == Observation("intent_accuracy", 0.0)


def test_intent_that_may_come_is_neither_wanted_nor_false(timeline):
    allowed = read_expectation({"intent": {"name": STOP}, "times": [0, 9]}, Anchor("start"), 0)
    unwanted = read_expectation({"intent": {"name": "__intent_move_to__"}, "absent": True}, Anchor("start"), 0)
    assert [one.intent for one in unexpected_intents([allowed, unwanted], timeline)] == ["__intent_move_to__"]
    assert observe_intents_of([allowed, unwanted], timeline, 0.5) == [
        Observation("false_intents_per_hour", 1.0, weight=0.5)
    ]


@pytest.mark.parametrize(
    ("item", "anchor", "recall", "false"),
    [
        ({"alert": {"rule": "spill"}}, "start", [1.0], 0.0),
        ({"alert": {}}, "start", [1.0], 0.0),
        ({"alert": {"rule": "fire"}}, "start", [0.0], 1.0),
        ({"alert": {"rule": "spill"}, "within_ms": 100}, "start", [0.0], 1.0),
        ({"alert": {"rule": "spill"}}, "other.end", [0.0], 1.0),
        ({"alert": {"rule": "spill"}, "absent": True}, "start", [], 1.0),
    ],
)
def test_alerts_are_held_against_hazards(timeline, item, anchor, recall, false):
    found = observe_alerts_of([read_expectation(item, Anchor(anchor), 0)], timeline, 0.5)
    assert [one.value for one in found if one.measure == "alert_recall"] == recall
    assert found[-1] == Observation("false_alerts_per_hour", false, weight=0.5)


def test_what_goes_on_with_the_clause_that_was_cut_is_no_answer():
    timeline = Timeline(0)
    timeline.utterances = [said("First this. Then that comes.", 1.0, 2.0), said("Then that comes. And more.", 4.0, 6.0)]
    timeline.utterances[0].interrupted = True
    timeline.inputs = {"sound": (1.8, 2.2)}
    assert [one.text for one in timeline.told()] == [
        "First this. Then that comes. And more.",
        "Then that comes. And more.",
    ]
    assert check(timeline, "sound.end", behaves="resume")[0].passed


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
