"""RunLog: published records become rows, spans and peaks."""

import json

import numpy as np
import pytest

from tml_ros.records import (
    AgentState,
    AlertState,
    Floor,
    IntentProposal,
    SafetyAlert,
    SessionState,
    SpeechCommand,
    SpeechControl,
    SpeechKind,
    SpeechPiece,
    TranscriptEvent,
    TurnMetrics,
    UserState,
)
from tml_ros.replay.runlog import PEAK_SAMPLES, RunLog

T0 = 1_700_000_000_000_000_000


def ns(seconds: float) -> int:
    return T0 + round(seconds * 1e9)


def metrics(index: int, **values) -> TurnMetrics:
    return TurnMetrics(ns((index + 1) * 0.2), "s", index, 0.2, **{**empty(), **values})


def empty() -> dict:
    return {"frames": 0, "missing_samples": 0, "late_messages": 0, "av_skew_sec": 0.0}


def piece(at_s: float, text: str, seconds: float, *, uid: int = 1, seq: int = 0) -> SpeechPiece:
    audio = np.full(round(seconds * 16_000), 0.5, np.float32)
    return SpeechPiece(ns(at_s), "s", 0, uid, seq, SpeechKind.REPLY, text, audio)


def flush(at_s: float, uid: int = 0) -> SpeechControl:
    return SpeechControl(ns(at_s), uid, SpeechCommand.FLUSH)


def heard(text: str, start_s: float, end_s: float, *, final: bool, speaker: str = "user") -> TranscriptEvent:
    return TranscriptEvent(speaker, text, final, 0.9, ns(start_s), ns(end_s))


@pytest.fixture
def log() -> RunLog:
    log = RunLog("scripted")
    log.add_heard(T0, np.zeros(3_200, np.float32))
    return log


def test_row_holds_what_came_before_its_metrics_when_metrics_close_it(log):
    log.add(SessionState(ns(0.2), "s", AgentState.SPEAKING, UserState.SPEAKING, Floor.YIELD, True, T0, T0, 0))
    log.add(heard("hello", 0.0, 0.2, final=False))
    log.add(piece(0.2, "yes", 0.1))
    log.add(SafetyAlert(ns(0.2), "a", AlertState.RAISED, 2, "fire", "", "it burns", 0.8, T0, T0))
    log.add(metrics(0, frames=2, missing_samples=5, late_messages=1, inference_sec=0.25, deadline_missed=True))
    row = log.turns[0]
    assert (row.index, row.end_s, row.floor, row.agent_state, row.user_state) == (
        0,
        0.2,
        "yield",
        "SPEAKING",
        "SPEAKING",
    )
    assert (row.heard, row.said, row.overlap, row.alerts) == ("hello", "yes", True, ("fire raised: it burns",))
    assert (row.frames, row.missing_samples, row.late_messages, row.inference_ms) == (2, 5, 1, 250.0)


def test_next_row_is_empty_but_keeps_the_state_when_nothing_new_came(log):
    log.add(SessionState(ns(0.2), "s", AgentState.SPEAKING, UserState.SILENT, Floor.SPEAK, False, T0, T0, 0))
    log.add(heard("hello", 0.0, 0.2, final=True))
    log.add(metrics(0))
    log.add(metrics(1))
    assert (log.turns[1].heard, log.turns[1].said, log.turns[1].intents, log.turns[1].alerts) == ("", "", (), ())
    assert log.turns[1].floor == "speak"


def test_pieces_join_to_one_utterance_when_they_share_its_number(log):
    log.add(piece(0.2, "one", 0.4))
    log.add(piece(0.6, "two ", 0.6, seq=1))
    (said,) = log.utterances
    assert (said.text, said.start_s, said.end_s, said.interrupted) == ("one two", 0.2, pytest.approx(1.2), False)


def test_utterance_ends_at_the_flush_when_interrupted(log):
    log.add(piece(0.2, "a long story", 2.0))
    log.add(flush(1.0))
    assert (log.utterances[0].end_s, log.utterances[0].interrupted) == (1.0, True)
    assert log.said_peaks[49] == (0.0, 0.5)
    assert set(log.said_peaks[50:]) == {(0.0, 0.0)}


def test_utterance_that_ended_before_stays_whole_when_a_flush_follows(log):
    log.add(piece(0.2, "done", 0.5))
    log.add(flush(1.0))
    assert not log.utterances[0].interrupted
    assert log.utterances[0].end_s == pytest.approx(0.7)


def test_other_utterance_keeps_its_sound_when_one_is_flushed(log):
    log.add(piece(0.2, "first", 1.0, uid=1))
    log.add(piece(1.2, "warning", 1.0, uid=2))
    log.add(flush(0.6, uid=1))
    assert [u.interrupted for u in log.utterances] == [True, False]
    assert log.said_peaks[45] == (0.0, 0.0)
    assert log.said_peaks[80] == (0.0, 0.5)


def test_utterance_never_started_has_no_length_when_flushed_in_the_queue(log):
    log.add(piece(2.0, "too late", 1.0))
    log.add(flush(1.0))
    assert log.utterances[0].start_s == log.utterances[0].end_s == 2.0


@pytest.mark.parametrize("command", [SpeechCommand.PAUSE, SpeechCommand.RESUME, SpeechCommand.DUCK])
def test_utterance_goes_on_when_the_command_is_no_flush(log, command):
    log.add(piece(0.2, "on", 1.0))
    log.add(SpeechControl(ns(0.5), 0, command))
    assert not log.utterances[0].interrupted


def test_peaks_hold_extremes_at_their_time_when_sound_is_added():
    log = RunLog("scripted")
    log.add_heard(T0, np.zeros(PEAK_SAMPLES, np.float32))
    log.add_heard(ns(0.06), np.concatenate([np.full(PEAK_SAMPLES, -0.25), np.full(10, 0.75)]).astype(np.float32))
    assert log.heard_peaks == [(0.0, 0.0), (0.0, 0.0), (0.0, 0.0), (-0.25, 0.0), (0.0, 0.75)]


def test_peaks_stay_few_when_speech_comes_before_any_sound_was_heard():
    log = RunLog("scripted")
    log.add(piece(0.2, "hello", 0.2))
    log.add(metrics(0))
    assert log.start_ns == T0
    assert len(log.said_peaks) == 20


def test_partial_words_are_no_transcript_when_they_are_not_final(log):
    log.add(heard("hel", 0.0, 0.2, final=False))
    log.add(heard("hello", 0.0, 0.4, final=True))
    log.add(heard("hi", 0.5, 0.7, final=True, speaker="robot"))
    assert [event.text for event in log.transcripts] == ["hello", "hi"]
    assert log.summary()["transcript"] == [{"text": "hello", "start_s": 0.0, "end_s": 0.4}]


def test_summary_is_plain_json_when_everything_happened(log):
    log.add(piece(0.2, "yes", 0.1))
    log.add(IntentProposal(ns(0.2), "i", "s", 0, ns(5), True, "STOP", '{"now": true}', "user", "speech", 1, 0.87654321))
    log.add(SafetyAlert(ns(0.2), "a", AlertState.CLEARED, 2, "fire", "", "it is out", 0.8, T0, T0))
    log.add(metrics(0, frames=1, missing_samples=7, late_messages=2, deadline_missed=True, counters={"dropped": 3}))
    summary = json.loads(json.dumps(log.summary()))
    assert (summary["windows"], summary["missing_samples"], summary["late_messages"]) == (1, 7, 2)
    assert (summary["deadline_missed"], summary["frames"], log.counters) == (1, 1, {"dropped": 3})
    expected = {"intent": "STOP", "data": {"now": True}, "window_seq": 0, "confidence": 0.8765, "withdrawn": False}
    assert summary["intents"] == [expected]
    assert summary["alerts"] == [{"rule": "fire", "state": "CLEARED", "description": "it is out", "at_s": 0.2}]
    assert summary["echo"] is None
    assert summary["utterances"] == [{"text": "yes", "kind": "REPLY", "start_s": 0.2, "end_s": 0.3}]


def test_echo_is_summed_up_when_some_was_heard(log):
    for index, erle_db in enumerate((0.0, 20.0, 24.0, 26.0)):
        log.add(metrics(index, erle_db=erle_db, echo_delay_sec=0.04 if erle_db else 0.0))
    assert log.summary()["echo"] == {"erle_db": 24.0, "delay_ms": 40.0}
    assert (log.turns[3].erle_db, log.turns[3].echo_delay_ms) == (26.0, 40.0)
