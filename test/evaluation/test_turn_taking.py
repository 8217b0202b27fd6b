"""Clips through the real engine: the baselines bound the table, and the cascade answers in time."""

import json

import numpy as np
import pytest

from tml_ros.evaluation import turn_taking
from tml_ros.evaluation.clips import Clip, pause_clips, turn_clips
from tml_ros.evaluation.fdb import Word
from tml_ros.evaluation.turn_taking import Delays, Outcome, TurnTakingRun, evaluate, score, table


@pytest.fixture(scope="module")
def clips():
    turns = turn_clips("tuned", voices=["flite:slt"], texts=["put the bottle on the table"])
    return [*turns, *pause_clips("tuned", voices=["flite:slt"], parts=[("put it on the", "table")])]


def outcome(kind, *times, from_s=1.0, end_s=2.0):
    clip = Clip(kind, "voice", "tuned", "text", np.zeros(0, np.float32), from_s, end_s)
    return Outcome(clip, tuple(Word("w", start, end) for start, end in times))


def test_words_in_a_pause_count_only_until_the_person_ends():
    figures = score([outcome("pause", (0.5, 0.9)), outcome("pause", (1.5, 1.9)), outcome("pause", (2.5, 4.0))])
    assert figures["pauses"] == {"n": 3, "tor": 0.0, "any_word": 0.333, "answered": 0.333}


def test_short_answer_is_an_answer_but_no_takeover():
    figures = score([outcome("turn", (2.4, 2.9)), outcome("turn", (2.6, 4.0)), outcome("turn")])["turns"]
    assert (figures["tor"], figures["latency_median_s"]) == (0.333, 0.6)
    assert (figures["answered"], figures["reply_median_s"], figures["early"]) == (0.667, 0.5, 0.0)


def test_cascade_answers_in_time_and_not_in_the_pause_and_the_same_every_time(clips):
    run = TurnTakingRun({"model": "cascade"})
    outcomes = [run.run(clip) for clip in clips]
    figures = score(outcomes)
    assert figures["turns"]["tor"] == 1.0
    assert 0.2 < figures["turns"]["latency_median_s"] <= 0.7
    assert figures["pauses"] == {"n": 1, "tor": 0.0, "any_word": 0.0, "answered": 1.0}
    assert run.run(clips[0]) == outcomes[0]
    run.close()


def test_every_delay_moves_the_answer(clips):
    first, second = (
        evaluate("always_talk", {}, clips[:1], delays)[0].words[0].start_s
        for delays in (Delays(0.04, 0.06, 0.06), Delays(0.14, 0.16, 0.16))
    )
    assert second == pytest.approx(first + 0.3, abs=1e-6)


def test_baselines_bound_the_table(clips):
    silence = score(evaluate("silence", {}, clips, Delays()))
    talk = score(evaluate("always_talk", {}, clips, Delays()))
    assert (silence["turns"]["tor"], silence["pauses"]["any_word"]) == (0.0, 0.0)
    assert (talk["turns"]["tor"], talk["turns"]["latency_median_s"], talk["pauses"]["any_word"]) == (1.0, 0.0, 1.0)


def test_table_has_a_row_for_every_group():
    text = table({"one": [outcome("turn", (2.4, 4.0))], "none": []})
    lines = text.splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert lines[2].startswith("| one | 1 | 1 | 0.4 |")
    assert lines[3].startswith("| none | 0 | - |")


def test_command_prints_the_table_and_one_line_of_json(monkeypatch, capsys, clips):
    monkeypatch.setattr(turn_taking, "gather", lambda splits, speech, per_word: clips[:1])
    assert turn_taking.main(["--model", "silence", "--split", "tuned", "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("FDB-style, our clips")
    assert json.loads(lines[-1])["always_talk"]["turns"]["tor"] == 1.0
