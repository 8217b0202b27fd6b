"""The live view: plain lines where there is no terminal, a table where there is one."""

import io

import pytest
from rich.console import Console

from tml_ros.cli.timeline import Timeline, plain_line, summary_tables
from tml_ros.records import TranscriptEvent
from tml_ros.replay.runlog import RunLog, TurnRow, Utterance


def turn(index: int, **values) -> TurnRow:
    row = {
        "index": index, "end_s": (index + 1) * 0.2, "floor": "listen", "agent_state": "LISTENING",
        "user_state": "SILENT", "overlap": False, "heard": "", "said": "", "intents": (), "frames": 0,
        "missing_samples": 0, "late_messages": 0, "inference_ms": 12.0, "ingest_age_ms": 30.0, "queue_depth": 0,
        "deadline_missed": False,
    }  # fmt: skip
    return TurnRow(**{**row, **values})


def plain_output(turns: list[TurnRow], log: RunLog | None = None) -> str:
    console = Console(file=io.StringIO(), width=80)
    with Timeline(console) as timeline:
        for row in turns:
            timeline.update(row)
        if log is not None:
            timeline.finish(log)
    return console.file.getvalue()


def speaking(index: int, heard: str) -> TurnRow:
    return turn(index, heard=heard, user_state="SPEAKING")


def test_silence_is_one_line_when_a_thousand_micro_turns_are_silent():
    lines = plain_output([turn(n) for n in range(1_000)] + [turn(1_000, said="hello")]).splitlines()
    assert len(lines) == 3
    assert lines[1].split() == ["...", "nothing", "new", "for", "199.8", "s", "(999)"]
    assert lines[2].split() == ["200.2s", "listen", "said:", "hello"]


def test_silence_at_the_end_is_told_when_the_view_closes():
    assert "nothing new for 2.0 s (10)" in plain_output([turn(n) for n in range(11)])


def test_view_closes_before_the_summary_when_the_run_is_over():
    text = plain_output([turn(n) for n in range(11)], RunLog("scripted"))
    assert 0 < text.index("nothing new") < text.index("conversation") < text.index("counts") < text.index("latencies")


def test_only_new_words_are_shown_when_a_partial_grows():
    lines = plain_output(
        [speaking(0, "bring"), speaking(1, "bring me"), speaking(2, "bring me"), speaking(3, "bring us")]
    )
    assert [line.split("heard: ")[1] for line in lines.splitlines()] == ["bring", "… me", "bring us"]


def test_same_words_are_shown_again_when_they_are_said_again():
    lines = plain_output([speaking(0, "yes"), *(turn(n) for n in range(1, 4)), speaking(4, "yes")]).splitlines()
    assert [line.split("heard: ")[1] for line in lines] == ["yes", "yes"]


def test_partial_is_remembered_when_a_talking_person_adds_no_word():
    lines = plain_output([speaking(0, "bring"), speaking(1, ""), speaking(2, "bring me")]).splitlines()
    assert lines[1].endswith("heard: … me")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"said": "on my way"}, "said: on my way"),
        ({"intents": ("STOP {}", "LOOK {}")}, "intent: STOP {} | intent: LOOK {}"),
        ({"alerts": ("fire raised: it burns",)}, "alert (advisory): fire raised: it burns"),
        ({"missing_samples": 160}, "160 samples missing"),
        ({"late_messages": 2}, "2 late"),
        ({"deadline_missed": True, "inference_ms": 231.4}, "deadline missed (231 ms)"),
        ({"overlap": True}, "both talk"),
        ({"floor": "speak"}, "speak"),
    ],
)
def test_line_tells_it_when_something_happened(values, expected):
    line = plain_line(turn(4, **values), "", turn(3))
    assert line is not None and line.endswith(expected) and line.startswith("    1.0s  ")


def test_no_line_when_overlap_goes_on():
    assert plain_line(turn(4, overlap=True), "", turn(3, overlap=True)) is None


def test_line_is_not_wrapped_when_it_is_longer_than_the_console():
    assert len(plain_output([turn(0, said="word " * 100)]).splitlines()) == 1


def test_output_steers_no_terminal_when_texts_are_hostile():
    hostile = "\x1b[2J\x1b]0;x\x07 [bold]not markup[/bold] :smile: \r\n\u202e"
    log = RunLog("scripted", start_ns=0, counters={hostile: 1})
    log.transcripts = [TranscriptEvent("user", hostile, True, 1.0, 0, 1)]
    rows = [turn(0, heard=hostile, said=hostile, intents=(hostile,), alerts=(hostile,))]
    text = plain_output(rows, log)
    assert not set(text) & set("\x1b\x07\r\u202e")
    assert text.count("[bold]not markup[/bold] :smile:") >= 5


def test_terminal_shows_the_latest_rows_when_many_came():
    console = Console(file=io.StringIO(), force_terminal=True, width=140, height=40, legacy_windows=False)
    with Timeline(console) as timeline:
        for n in range(40):
            timeline.update(turn(n, said=f"said {n}", deadline_missed=n == 39))
    last = console.file.getvalue().rsplit("floor", 1)[1]
    assert "said 39" in last and "said 25" in last and "said 24" not in last
    assert "deadline missed" in last


def test_terminal_is_given_back_when_the_run_fails():
    console = Console(file=io.StringIO(), force_terminal=True, width=100, legacy_windows=False)
    with pytest.raises(RuntimeError), Timeline(console) as timeline:
        timeline.update(turn(0))
        raise RuntimeError("model broke")
    text = console.file.getvalue()
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l") >= 0


def test_summary_holds_talk_counts_and_latencies_when_the_run_is_over():
    log = RunLog(
        "scripted", start_ns=0, turns=[turn(n, deadline_missed=n == 1) for n in range(3)], counters={"muted": 4}
    )
    log.transcripts = [TranscriptEvent("user", "hello robot", True, 1.0, 0, 200_000_000)]
    log.utterances = [Utterance(1, "REPLY", "hello person", 0.6, 1.0)]
    talk, counts, latencies = summary_tables(log)
    assert (talk.row_count, latencies.row_count) == (2, 3)
    text = plain_output([], log)
    for words in (("hello person", "after 400 ms"), ("muted", "4"), ("deadlines missed", "1"), ("inference", "12.0")):
        assert any(all(word in line for word in words) for line in text.splitlines()), words
    assert counts.row_count == 12
