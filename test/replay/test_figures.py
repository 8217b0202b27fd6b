"""Latencies, counts and printable text."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tml_ros.records import TranscriptEvent
from tml_ros.replay.figures import (
    conversation,
    count_rows,
    duration_s,
    echo_rows,
    latency_spreads,
    printable,
    spread,
    turn_taking_s,
)
from tml_ros.replay.runlog import RunLog, Utterance


def log_of(words: list[tuple[float, float]], said: list[tuple[float, str]]) -> RunLog:
    log = RunLog("scripted", start_ns=0)
    log.transcripts = [TranscriptEvent("user", "w", True, 1.0, round(a * 1e9), round(b * 1e9)) for a, b in words]
    log.utterances = [Utterance(n, kind, f"u{n}", at, at + 1.0) for n, (at, kind) in enumerate(said, 1)]
    return log


def test_latency_counts_from_the_last_words_when_a_reply_follows():
    assert turn_taking_s(log_of([(0, 1), (1.5, 2)], [(2.4, "REPLY")])) == [pytest.approx(0.4)]


def test_only_the_first_utterance_answers_when_several_follow():
    assert turn_taking_s(log_of([(0, 1)], [(1.25, "FILLER"), (5, "REPLY")])) == [0.25, None]


@pytest.mark.parametrize("kind", ["ALERT", "BACKCHANNEL"])
def test_turn_stays_open_when_the_utterance_takes_none(kind):
    assert turn_taking_s(log_of([(0, 1)], [(1.25, kind), (2, "REPLY")])) == [None, 1.0]


def test_no_latency_when_the_robot_speaks_first():
    assert turn_taking_s(log_of([(3, 4)], [(1, "REPLY"), (3.5, "REPLY")])) == [None, None]


def test_latencies_keep_the_order_of_the_utterances_when_they_are_not_sorted():
    assert turn_taking_s(log_of([(0, 1), (4, 5)], [(5.5, "REPLY"), (1.5, "REPLY")])) == [0.5, 0.5]


def test_spread_is_nan_when_nothing_was_measured():
    empty = spread("x", [math.nan])
    assert empty.count == 0
    assert empty.cells() == ("x", "0", "-", "-", "-", "-")


def test_spread_gives_percentiles_when_values_are_known():
    assert spread("x", range(101)).cells() == ("x", "101", "50.0", "95.0", "99.0", "100.0")


def test_figures_are_calm_when_the_log_is_empty():
    log = RunLog("scripted")
    assert duration_s(log) == 0.0
    assert all(count == 0 for _, count in count_rows(log))
    assert [s.count for s in latency_spreads(log)] == [0, 0, 0]
    assert conversation(log) == []
    assert echo_rows(log) == ()


def test_conversation_is_by_time_when_both_talk():
    log = log_of([(0, 1), (4, 5)], [(1.5, "REPLY"), (2.5, "ALERT")])
    log.utterances[0].interrupted = True
    rows = [(at, who, note) for at, who, _, note in conversation(log)]
    assert rows == [
        (0.0, "person", ""),
        (1.5, "robot", "after 500 ms, cut at 2.5 s"),
        (2.5, "robot", "alert"),
        (4.0, "person", ""),
    ]


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_text_is_printable_on_one_line_when_it_is_anything(text):
    clean = printable(text)
    assert len(clean) == len(text)
    assert clean.isprintable()
    clean.encode("utf-8")


def test_text_is_unchanged_when_it_is_plain():
    assert printable("Grüße, 机器人 <b> 50 %") == "Grüße, 机器人 <b> 50 %"
