"""The context package: what is kept, what is cut, what the person really heard, and which pictures go with it."""

import json

import numpy as np
import pytest

from tml_ros.errors import ConfigError
from tml_ros.records import (
    AlertState,
    CountDraft,
    Frame,
    IntentProposal,
    PlaybackReport,
    PlaybackState,
    SafetyAlert,
    SpeechKind,
    SpeechText,
    TranscriptEvent,
)
from tml_ros.session.context import Album, Conversation, read_facts
from tml_ros.speech.queue import Spoken

T0 = 1_700_000_000_000_000_000
S = 1_000_000_000


def heard(text: str, at_s: float = 0.0, final: bool = True) -> TranscriptEvent:
    start = T0 + round(at_s * S)
    return TranscriptEvent("user", text, final, 0.5, start, start + S)


def made(**options) -> Conversation:
    return Conversation(T0, robot="an arm", lab="a lab", **options)


def spoken(text: str, *clauses: tuple[str, int], interrupted: bool = True) -> Spoken:
    return Spoken(1, text, T0 + S, T0 + 2 * S, interrupted, clauses)


def test_lines_are_in_order_and_the_persons_are_untrusted_when_they_are_packed():
    conversation = made()
    conversation.on_heard([heard("partial", final=False), heard("where is it", 1.0)])
    conversation.on_said(1, SpeechText("It is here."), T0 + 3 * S)
    conversation.on_typed("thanks", T0 + 5 * S)
    lines = conversation.package(T0 + 6 * S, 10_000)["conversation"]
    assert [(line["t_s"], line["speaker"], line["text"]) for line in lines] == [
        (1.0, "user", "where is it"),
        (3.0, "robot", "It is here."),
        (5.0, "user", "thanks"),
    ]
    assert [line.get("untrusted", False) for line in lines] == [True, False, True]


def test_words_are_apart_when_an_utterance_comes_in_pieces():
    conversation = made()
    for piece in ("moving", "forward now", ""):
        conversation.on_said(1, SpeechText(piece, last=not piece), T0)
    (line,) = conversation.package(T0, 10_000)["conversation"]
    assert line["text"] == "moving forward now"


def test_newest_counts_are_kept_when_things_are_counted():
    conversation = made()
    assert "counts" not in conversation.package(T0, 10_000)
    conversation.on_counted([CountDraft("push ups", 1), CountDraft("transfers", 7)])
    conversation.on_counted([CountDraft("push ups", 2)])
    assert conversation.package(T0, 10_000)["counts"] == {"transfers": 7, "push ups": 2}
    conversation.on_counted(CountDraft(f"thing {number}", number) for number in range(100))
    assert "push ups" not in conversation.package(T0, 100_000)["counts"]


def test_description_time_facts_and_tasks_are_there_when_they_are_known():
    context = made(facts={"goggles_on": True}).package(
        T0 + 90 * S, 10_000, facts={"degraded": False}, open_delegations=[{"id": "a", "task": "x"}]
    )
    assert (context["robot"], context["lab"]) == ("an arm", "a lab")
    assert context["time"] == {"session_s": 90.0, "utc": "2023-11-14T22:14:50+00:00"}
    assert context["facts"] == {"goggles_on": True, "degraded": False}
    assert context["open_delegations"] == [{"id": "a", "task": "x"}]


@pytest.mark.parametrize(("played", "words"), [(0, ""), (1, "one two"), (1600, "one two"), (1601, "one two three")])
def test_only_what_the_loudspeaker_played_counts_as_heard_when_it_was_interrupted(played: int, words: str):
    conversation = made()
    conversation.on_said(1, SpeechText("one two three", SpeechKind.BACKGROUND), T0)
    conversation.on_spoken(spoken("one two three", ("one two", 0), ("three", 1600)))
    conversation.on_playback(PlaybackReport(T0, 1, PlaybackState.FLUSHED, played))
    (line,) = conversation.package(T0, 10_000)["conversation"]
    assert (line["text"], line["heard"], line["interrupted"]) == ("one two three", words, True)
    assert line["kind"] == "background"


def test_everything_counts_as_heard_when_nobody_interrupted():
    conversation = made()
    conversation.on_said(1, SpeechText("one two"), T0)
    conversation.on_spoken(spoken("one two", ("one two", 0), interrupted=False))
    conversation.on_playback(PlaybackReport(T0, 1, PlaybackState.PLAYING, 0))
    (line,) = conversation.package(T0, 10_000)["conversation"]
    assert (line["heard"], line["interrupted"]) == ("one two", False)


def test_oldest_lines_are_cut_with_a_summary_when_there_is_no_room():
    conversation = made()
    for number in range(40):
        conversation.on_heard([heard(f"line {number} " + "x" * 100, number)])
        conversation.on_said(number + 1, SpeechText(f"reply {number}"), T0 + number * S)
    context = conversation.package(T0 + 40 * S, 4_000)
    assert len(json.dumps(context)) <= 4_000
    assert context["conversation"][-1]["text"] == "reply 39"
    left_out = 80 - len(context["conversation"])
    assert 40 < left_out == context["cut"]["lines"]
    assert "by the person" in context["cut"]["summary"] and "'line" in context["cut"]["summary"]


def test_lines_that_were_forgotten_are_counted_when_the_talk_was_long():
    conversation = made()
    for number in range(1_000):
        conversation.on_heard([heard("word", number)])
    context = conversation.package(T0, 200_000)
    assert len(context["conversation"]) == 500
    assert context["cut"]["lines"] == 500
    assert "500 by the person" in context["cut"]["summary"]


def test_long_line_is_cut_when_it_is_packed():
    conversation = made()
    conversation.on_typed("x" * 10_000, T0)
    (line,) = conversation.package(T0, 100_000)["conversation"]
    assert len(line["text"]) == 2_006 and line["text"].endswith("[cut]")


def test_newest_intents_and_alerts_are_there_when_there_were_many():
    conversation = made()
    for number in range(30):
        proposal = IntentProposal(
            T0 + number * S, str(number), "s", number, T0 + 100 * S, False, f"i{number}", '{"a": 1}', "", "", 1, 1.0
        )
        conversation.on_intent(proposal, withdrawn=number == 29)
        conversation.on_alert(
            SafetyAlert(T0, str(number), AlertState.RAISED, 2, f"r{number}", "fire", "hot", 1.0, T0, T0)
        )
    context = conversation.package(T0, 20_000)
    assert len(context["recent_intents"]) == len(context["recent_alerts"]) == 20
    assert context["recent_intents"][-1] == {"t_s": 29.0, "intent": "i29", "data": {"a": 1}, "withdrawn": True}
    assert context["recent_alerts"][-1]["state"] == "RAISED"
    assert context["recent_alerts"][-1]["category"] == "fire"


def test_facts_are_typed_when_they_are_read():
    assert read_facts(["", "goggles_on=true", "station = two", "count=3"]) == {
        "goggles_on": True,
        "station": "two",
        "count": 3,
    }


@pytest.mark.parametrize("entry", ["goggles_on", "=true", "a={"])
def test_error_names_the_entry_when_a_fact_cannot_be_read(entry: str):
    with pytest.raises(ConfigError, match="delegation.facts.*" + entry.replace("{", r"\{")):
        read_facts([entry])


def frame(at_s: float) -> Frame:
    return Frame(T0 + round(at_s * S), np.zeros((2, 2, 3), np.uint8))


@pytest.mark.parametrize(
    ("most", "expected"), [(0, []), (1, [10.0]), (2, [9.0, 10.0]), (4, [7.0, 8.0, 9.0, 10.0]), (9, range(11))]
)
def test_newest_picture_and_older_ones_are_there_when_there_were_many(most: int, expected: list[float]):
    album = Album(min(most, 20), 1.0)
    for number in range(41):
        album.add((frame(number / 4 - 0.01), frame(number / 4)))
    times = [(one.stamp_ns - T0) / S for one in album.pictures()]
    assert len(times) == min(len(list(expected)), max(most, 0))
    assert times[-1:] == list(expected)[-1:]
    assert times == sorted(times)


def test_there_are_no_pictures_when_nothing_was_seen():
    assert Album(4, 1.0).pictures() == ()
