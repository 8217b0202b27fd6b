"""Reminders, timers and processes on the time of the micro-turns; the file in which processes survive a restart."""

import sqlite3
from pathlib import Path

import pytest

from tml_ros.errors import ConfigError
from tml_ros.records import AlertState, TimeAction, TimeRequest
from tml_ros.session.runs import Runs
from tml_ros.session.timekeeper import Answer, Moment, Timekeeper

S = 1_000_000_000
T0 = 1_000 * S
TURN = 200_000_000


class Robot:
    """A timekeeper that is asked things at times in seconds since the session's start."""

    def __init__(self, runs: Runs | None = None, start_ns: int = T0) -> None:
        self.keeper = Timekeeper(runs)
        self.start_ns = start_ns
        self.said_ns: int | None = None
        self.keeper.open(start_ns)

    def ask(self, at_s: float, action: str, **fields) -> str:
        now_ns = self.start_ns + round(at_s * S)
        return self.answer(now_ns, action, **fields).text

    def answer(self, now_ns: int, action: str, **fields) -> Answer:
        return self.keeper.answer(
            TimeRequest(TimeAction(action), **fields), Moment(now_ns, self.start_ns, self.said_ns)
        )

    def hear(self, from_s: float, to_s: float) -> list[tuple[float, str]]:
        """What is due in the micro-turns of a stretch of time, with the start of each."""
        found = []
        for number in range(round(from_s * S) // TURN, round(to_s * S) // TURN):
            start_ns = self.start_ns + number * TURN
            found += [((start_ns - self.start_ns) / S, text.text) for text in self.keeper.due(start_ns + TURN)]
        return found


BREATHE = {"name": "breathe", "text": "Remember to breathe.", "repeats": True}
TIMER = {"text": "Your time is up."}


def test_reminder_comes_in_the_micro_turn_in_which_it_is_due_until_it_is_stopped():
    robot = Robot()
    at_ns = T0 + 2 * S + 130_000_000  # when somebody had said so, a moment before it was understood
    assert robot.ask(3.0, "remind", span_s=4.0, at_ns=at_ns, **BREATHE) == "Okay, every four seconds."
    assert robot.hear(3.0, 15.0) == [
        (6.0, "Remember to breathe."),
        (10.0, "Remember to breathe."),
        (14.0, "Remember to breathe."),
    ]
    assert robot.ask(15.0, "cancel") == "Okay, I stop."
    assert robot.hear(15.0, 30.0) == []
    assert robot.ask(30.0, "cancel") == "I am not reminding you of anything."


def test_reminder_takes_the_place_of_the_one_before_when_it_is_about_the_same():
    robot = Robot()
    robot.ask(0.0, "remind", span_s=3.0, **BREATHE)
    robot.ask(1.0, "remind", span_s=5.0, **BREATHE)
    robot.ask(1.0, "remind", span_s=4.0, name="stir", text="Remember to stir.")
    assert [at_s for at_s, _ in robot.hear(1.0, 12.0)] == [5.0, 6.0, 11.0]
    assert robot.ask(12.0, "cancel", name="breathe") == "Okay, I stop."
    assert robot.hear(12.0, 20.0) == []


def test_missed_rounds_are_left_out_when_the_clock_jumps_ahead():
    robot = Robot()
    robot.ask(0.0, "remind", span_s=4.0, **BREATHE)
    robot.keeper.open(T0 + 401 * S)
    assert [text.text for text in robot.keeper.due(T0 + 401 * S + TURN)] == ["Remember to breathe."]
    assert robot.keeper.counters["missed_reminders"] == 99
    assert robot.hear(401.2, 405.0) == [(404.0, "Remember to breathe.")]


def test_timers_run_side_by_side_and_the_next_one_is_told_when_somebody_asks():
    robot = Robot()
    assert robot.ask(0.0, "left") == "No timer is running."
    assert robot.ask(0.0, "remind", span_s=600.0, **TIMER) == "Okay, ten minutes."
    robot.ask(0.0, "remind", span_s=90.0, **TIMER)
    assert robot.ask(25.0, "left") == "One minute and five seconds left."
    assert robot.ask(26.0, "cancel", name="timer") == "Okay, the timer is off."
    assert robot.ask(27.0, "cancel", name="timer") == "No timer is running."
    robot.ask(30.0, "remind", span_s=240.0, **BREATHE)
    assert robot.ask(40.0, "left") == "The next reminder is in three minutes and fifty seconds."


@pytest.mark.parametrize(
    ("span_s", "until_stop", "rest"),
    [(4.0, False, 0), (240.0, True, 0), (240.0, False, 1)],
    ids=["often", "asked", "rare"],
)
def test_reminder_ends_when_somebody_says_stop_and_it_comes_often_or_was_to_end_so(span_s, until_stop, rest):
    robot = Robot()
    robot.ask(0.0, "remind", span_s=span_s, until_stop=until_stop, **BREATHE)
    assert robot.ask(1.0, "hush") == ""
    assert len(robot.hear(1.0, 240.2)) == rest


def test_process_is_timed_from_when_it_was_said_to_begin():
    robot = Robot()
    assert robot.ask(1.0, "elapsed") == "We have been at it for one second."
    assert robot.ask(2.0, "start", name="incubation", at_ns=T0 + 1_500_000_000) == "Incubation started."
    assert robot.ask(61.5, "start", name="incubation") == "The incubation is running already, for one minute."
    assert robot.ask(91.5, "elapsed") == "One minute and thirty seconds so far."
    assert (
        robot.ask(91.5, "elapsed", name="conversation") == "We have been at it for one minute and thirty two seconds."
    )
    assert robot.ask(251.5, "stop") == "Incubation done after four minutes and ten seconds."
    assert robot.ask(252.0, "stop", name="incubation") == "The incubation is not running."
    assert robot.ask(252.0, "stop") == "I am not timing anything."
    assert robot.ask(252.0, "last") == "The last incubation took four minutes and ten seconds."


def test_answer_is_about_the_newest_process_when_none_is_named():
    robot = Robot()
    robot.ask(0.0, "start", name="titration")
    robot.ask(5.0, "start", name="cooling")
    assert robot.ask(8.0, "elapsed") == "Three seconds so far."
    assert robot.ask(8.0, "elapsed", name="titration") == "Eight seconds so far."
    robot.ask(9.0, "stop")
    assert robot.ask(10.0, "elapsed") == "Ten seconds so far."


def test_usual_time_is_the_median_of_the_last_five():
    robot = Robot()
    assert robot.ask(0.0, "usual") == "I have not timed that yet."
    at_s = 0.0
    for took_s in (500.0, 10.0, 40.0, 20.0, 30.0, 900.0):
        robot.ask(at_s, "start", name="wash")
        robot.ask(at_s + took_s, "stop", name="wash")
        at_s += took_s
    assert robot.ask(at_s, "usual", name="wash") == "The wash usually takes thirty seconds."


def test_alert_is_raised_once_and_cleared_when_a_process_takes_longer_than_the_last_one():
    robot = Robot()
    robot.ask(0.0, "start", name="incubation")
    assert robot.ask(1.0, "watch", than="last") == "I have not timed that yet."
    robot.ask(6.1, "stop")
    assert robot.ask(7.0, "watch", than="last") == "I am not timing anything."
    robot.ask(10.0, "start", name="incubation")
    assert robot.ask(11.0, "watch", than="last") == "Okay, I tell you after six seconds."
    assert robot.hear(11.0, 30.0) == [(16.0, "Attention, the incubation takes longer than the last one.")]
    (alert,) = robot.keeper.alerts()
    assert (alert.rule, alert.category, alert.state) == ("process_overdue", "incubation", AlertState.RAISED)
    assert 0 <= alert.stamp_ns - alert.observed_start_ns <= TURN
    robot.ask(31.0, "stop")
    (cleared,) = robot.keeper.alerts()
    assert (cleared.alert_id, cleared.state) == (alert.alert_id, AlertState.CLEARED)
    assert robot.keeper.alerts() == []


def test_no_alert_is_raised_when_a_process_ends_in_time():
    robot = Robot()
    robot.ask(0.0, "start", name="wash")
    assert robot.ask(1.0, "watch", span_s=5.0) == "Okay, I tell you after five seconds."
    robot.ask(4.9, "stop")
    assert robot.hear(4.0, 20.0) == [] and robot.keeper.alerts() == []


def test_everything_keeps_its_time_when_the_clock_is_set_back():
    robot = Robot()
    robot.ask(0.0, "remind", span_s=10.0, name="stir", text="Remember to stir.")
    robot.ask(0.0, "start", name="incubation")
    robot.hear(0.0, 4.0)
    robot.keeper.open(T0 - 500 * S)
    robot.start_ns = T0 - 500 * S
    assert robot.ask(2.0, "elapsed") == "Six seconds so far."
    assert robot.hear(0.0, 8.0) == [(6.0, "Remember to stir.")]


def test_time_counts_as_passed_when_there_is_a_gap():
    robot = Robot()
    robot.ask(0.0, "start", name="incubation")
    robot.hear(0.0, 4.0)
    robot.keeper.open(T0 + 60 * S)
    assert robot.ask(65.0, "elapsed") == "One minute and five seconds so far."


def test_time_since_something_was_said_is_told():
    robot = Robot()
    assert robot.ask(1.0, "since_said") == "I have not said anything yet."
    robot.said_ns = T0 + 2 * S
    assert robot.ask(9.4, "since_said") == "Seven seconds ago."


def test_words_are_handed_on_when_nothing_of_that_name_is_known():
    robot = Robot()
    words = "stop the motor"
    assert robot.answer(T0, "stop", name="motor", otherwise=words) == Answer(task=words)
    robot.ask(0.0, "start", name="motor")
    assert robot.answer(T0 + S, "stop", name="motor", otherwise=words) == Answer("Motor done after one second.")
    assert robot.answer(T0 + S, "remind", name="rest", span_s=5.0, text="x", otherwise=words).task == ""


# --------------------------------------------------------------------------------------------------------- the file


def test_history_and_running_processes_are_there_when_the_robot_starts_again(tmp_path: Path):
    path = tmp_path / "state" / "history.sqlite"
    robot = Robot(Runs(path))
    robot.ask(0.0, "start", name="incubation")
    robot.ask(250.0, "stop")
    robot.ask(300.0, "start", name="incubation")
    robot.ask(301.0, "watch", than="last")
    again = Robot(Runs(path), T0 + 360 * S)  # as after kill -9: nothing was closed
    assert again.ask(0.0, "last") == "The last incubation took four minutes and ten seconds."
    assert again.ask(10.0, "elapsed") == "One minute and ten seconds so far."
    assert again.hear(0.0, 240.0) == [(190.0, "Attention, the incubation takes longer than the last one.")]
    assert path.stat().st_mode & 0o777 == 0o600


def test_file_holds_names_and_times_and_nothing_else(tmp_path: Path):
    path = tmp_path / "history.sqlite"
    robot = Robot(Runs(path))
    robot.ask(0.0, "start", name="incubation", otherwise="please start the incubation my dear")
    robot.ask(5.0, "stop", otherwise="and now it is over")
    columns = [name for _, name, *_ in sqlite3.connect(path).execute("PRAGMA table_info(runs)")]
    assert columns == ["name", "started_ns", "duration_ns", "limit_ns", "than"]
    assert sqlite3.connect(path).execute("SELECT * FROM runs").fetchall() == [("incubation", T0, 5 * S, None, "")]


@pytest.mark.parametrize("away_s", [-3600, 8 * 86_400], ids=["in the future", "a week ago"])
def test_running_process_is_forgotten_when_it_was_started_on_another_clock(tmp_path: Path, away_s):
    path = tmp_path / "history.sqlite"
    Robot(Runs(path)).ask(0.0, "start", name="incubation")
    again = Robot(Runs(path), T0 + away_s * S)
    assert again.ask(0.0, "stop") == "I am not timing anything."
    assert again.keeper.counters["forgotten_runs"] == 1
    assert Runs(path).running == {}


def test_timing_goes_on_in_memory_when_the_file_cannot_be_written(tmp_path: Path):
    path = tmp_path / "history.sqlite"
    robot = Robot(Runs(path))
    robot.ask(0.0, "start", name="wash")
    with sqlite3.connect(path) as other:
        other.execute("DROP TABLE runs")
    assert robot.ask(5.0, "stop") == "Wash done after five seconds."
    assert robot.ask(6.0, "last") == "The last wash took five seconds."
    assert robot.keeper.counters["history_errors"] == 1


def test_file_is_refused_when_it_is_none_of_ours(tmp_path: Path):
    (tmp_path / "text").write_text("no database, but long enough to look like a page of one" * 40)
    with pytest.raises(ConfigError, match="holds no history of this package"):
        Runs(tmp_path / "text")
    with sqlite3.connect(tmp_path / "newer") as file:
        file.execute("PRAGMA user_version = 7")
    with pytest.raises(ConfigError, match="is of version 7, expected 1"):
        Runs(tmp_path / "newer")
    with pytest.raises(ConfigError, match="cannot be opened"):
        Runs(tmp_path / "text" / "below_a_file")


def test_history_stays_bounded_when_very_many_processes_are_timed(tmp_path: Path):
    runs = Runs()
    for number in range(1_000):
        runs.start(f"run {number}", T0)
    assert len(runs.running) == 200
    for name in list(runs.running):
        runs.stop(name, T0 + S)
    for number in range(500):
        runs.start("wash", T0)
        runs.stop("wash", T0 + number * S)
    assert runs.usual_ns("wash") == 497 * S and not runs.knows("run 0")
