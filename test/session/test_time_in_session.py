"""Time in a session and over sessions: answers, reminders that cut in, what outlives a fault, counting aloud."""

import functools

import numpy as np
import pytest

from tml_ros.clock import ManualClock
from tml_ros.duplex.protocol import SessionInfo
from tml_ros.duplex.scripted import ScriptedDuplex
from tml_ros.errors import ConfigError
from tml_ros.records import (
    MICRO_TURN_NS,
    AlertState,
    DelegationEvent,
    Floor,
    MicroTurn,
    MicroTurnOutput,
    SafetyAlert,
    SpeechCommand,
    SpeechControl,
    SpeechPiece,
    SpeechText,
    StampedImage,
    TextSource,
    TimeAction,
    TimeRequest,
    UserState,
)
from tml_ros.session import AllowList, InferenceEngine, InteractionConfig, InteractionSession
from tml_ros.session.build import build
from tml_ros.speech.queue import UtteranceQueue
from tml_ros.windowing import ClosedWindow, WindowReport

T0 = 1_000_000_000_000
REPORT = WindowReport(0, 0, 0, 0, 0.0, {})


class ScriptedSynthesiser:
    name = "scripted"

    def synthesise(self, text: str) -> np.ndarray:
        return np.full(1600 * len(text.split()), 0.1, np.float32)


@functools.cache
def allowed() -> AllowList:
    return AllowList.load()


def window(index: int, session: int = 0, images: tuple = (), shift_ns: int = 0) -> ClosedWindow:
    start = T0 + index * MICRO_TURN_NS + shift_ns
    made = MicroTurn(index, start, start + MICRO_TURN_NS, np.zeros(3200, np.float32), 1.0)
    return ClosedWindow(session, made, images, REPORT)


def engine_for(model: ScriptedDuplex) -> InferenceEngine:
    return InferenceEngine(model, InteractionConfig(), ScriptedSynthesiser(), allowed(), ManualClock(T0))


def asks(action: str, **fields) -> MicroTurnOutput:
    return MicroTurnOutput(Floor.SPEAK, times=(TimeRequest(TimeAction(action), **fields),))


def said(records) -> list[tuple[int, str]]:
    return [(one.window_seq, one.text) for step in records for one in step if isinstance(one, SpeechPiece) and one.text]


def timers(model: ScriptedDuplex) -> list[tuple[int, str]]:
    return [(turn.index, one.text) for turn in model.turns for one in turn.texts if one.source is TextSource.TIMER]


REMIND = {"span_s": 1.0, "name": "stir", "text": "Remember to stir."}


def test_answer_is_said_in_the_same_micro_turn_and_the_model_is_told_in_the_next():
    model = ScriptedDuplex({2: asks("start", name="wash"), 6: asks("stop")})
    engine = engine_for(model)
    records = [engine.process(window(n)).records for n in range(9)]
    assert said(records) == [(2, "Wash started."), (6, "Wash done after one second.")]
    told = [(turn.index, text.text, text.source) for turn in model.turns for text in turn.texts]
    assert told[0] == (3, "Wash started.", TextSource.BACKGROUND)


def test_words_are_handed_on_when_nothing_of_that_name_is_timed():
    model = ScriptedDuplex({1: asks("stop", name="motor", otherwise="stop the motor")})
    engine = engine_for(model)
    records = [engine.process(window(n)).records for n in range(3)]
    assert [one.task for step in records for one in step if isinstance(one, DelegationEvent) and one.task] == [
        "stop the motor"
    ]


def test_reminder_comes_within_one_micro_turn_when_the_model_has_failed_meanwhile():
    model = ScriptedDuplex({1: asks("remind", **REMIND), 3: RuntimeError("out of tune")})
    engine = engine_for(model)
    for number in range(12):
        engine.process(window(number))
    ((index, text),) = timers(model)
    due_ns = T0 + 2 * MICRO_TURN_NS + 1_000_000_000
    assert text == "Remember to stir." and 0 <= window(index).turn.end_ns - due_ns <= MICRO_TURN_NS


def test_time_that_is_left_stays_the_same_when_the_clock_is_set_back():
    model = ScriptedDuplex({1: asks("remind", **REMIND)})
    engine = engine_for(model)
    for number in range(4):
        engine.process(window(number))
    for number in range(4, 12):
        engine.process(window(number, session=1, shift_ns=-3_600_000_000_000))
    assert timers(model) == [(7, "Remember to stir.")]


def test_reminders_are_dropped_and_processes_go_on_when_a_reset_is_asked_for():
    model = ScriptedDuplex({1: asks("remind", **REMIND), 2: asks("start", name="wash"), 9: asks("elapsed")})
    engine = engine_for(model)
    records = [engine.process(window(n)).records for n in range(4)]
    engine.reset()
    records += [engine.process(window(n)).records for n in range(4, 12)]
    assert timers(model) == []
    assert said(records)[-1] == (9, "One second so far.")


def test_rest_is_said_when_a_reminder_has_cut_in_on_the_robot_itself():
    long = MicroTurnOutput(Floor.SPEAK, speech=(SpeechText("one two three four. five six seven eight."),))
    cut = MicroTurnOutput(Floor.YIELD, speech=(SpeechText("Remember to stir."),), resumes=True)
    session = InteractionSession(
        SessionInfo("s1", T0),
        ScriptedDuplex({0: long, 1: cut}),
        UtteranceQueue(ScriptedSynthesiser(), lead_pieces=0),
        allowed(),
    )
    records = [session.step(window(n).turn, REPORT) for n in range(12)]
    assert [one.command for one in records[1] if isinstance(one, SpeechControl)] == [SpeechCommand.FLUSH]
    assert [text for _, text in said(records)] == [
        "one two three four.",
        "Remember to stir.",
        "one two three four.",
        "five six seven eight.",
    ]
    assert session.counters["resumed_utterances"] == 1


def test_alert_is_published_when_a_process_takes_too_long_and_cleared_when_it_is_done():
    model = ScriptedDuplex({0: asks("start", name="wash"), 1: asks("watch", span_s=0.6), 8: asks("stop")})
    engine = engine_for(model)
    records = [engine.process(window(n)).records for n in range(10)]
    alerts = [(n, one.state) for n, step in enumerate(records) for one in step if isinstance(one, SafetyAlert)]
    assert alerts == [(4, AlertState.RAISED), (8, AlertState.CLEARED)]
    assert timers(model) == [(4, "Attention, the wash takes longer than one second.")]


# -------------------------------------------------------------------------------------------------------- counting


def picture(index: int, number: int) -> StampedImage:
    """A bar that goes down and up once every two seconds from the first second on."""
    at_s = (index + number / 2) * 0.2
    depth = 0.5 - 0.5 * np.cos(2 * np.pi * max(0.0, at_s - 1.0) / 2.0)
    grey = np.full((48, 64), 60, np.uint8)
    top = 6 + round(24 * float(depth))
    grey[top : top + 12, 20:44] = 200
    return StampedImage(window(index).turn.start_ns + number * 100_000_000, "mono8", grey.tobytes(), 64, 48, 64)


def count(script: dict, turns: int, until: int) -> list[tuple[int, str]]:
    engine = engine_for(ScriptedDuplex(script))
    images = [tuple(picture(min(n, until), k) for k in (0, 1)) for n in range(turns)]
    return said([engine.process(window(n, images=images[n])).records for n in range(turns)])


def test_repetitions_are_counted_aloud_and_the_total_is_told_when_it_ends():
    script = {
        1: asks("count", name="push ups"),
        58: asks("counted"),
        70: asks("stop_counting"),
        75: asks("stop_counting"),
    }
    heard = count(script, 80, 55)  # five in eleven seconds
    assert [text for _, text in heard] == [
        "Okay, I count.",
        *("One.", "Two.", "Three.", "Four.", "Five."),
        "Five push ups so far.",
        "Five push ups.",
        "I am not counting.",
    ]
    spoken = {text: (index + 1) * 0.2 for index, text in heard}
    late_s = [spoken[text] - (3.0 + 2.0 * n) for n, text in enumerate(("One.", "Two.", "Three.", "Four.", "Five."))]
    assert all(-0.7 <= late <= 0.6 for late in late_s[1:])


def test_counting_waits_for_the_person_and_ends_when_somebody_says_stop():
    speaking = {n: MicroTurnOutput(user_state=UserState.SPEAKING) for n in range(12, 32)}
    script = {1: asks("count", name="push ups"), **speaking, 46: asks("hush")}
    heard = count(script, 60, 55)
    assert not [text for index, text in heard if 12 <= index < 32]
    assert heard[-1] == (46, "Four push ups.") and heard[1][1] == "Two."


def test_robot_says_that_it_saw_nothing_when_it_counted_without_a_camera():
    engine = engine_for(ScriptedDuplex({0: asks("count", name="squats"), 5: asks("stop_counting")}))
    records = [engine.process(window(n)).records for n in range(12)]
    assert [text for _, text in said(records)][1:] == ["I have not seen a picture,", "so I could not count."]


def test_history_is_left_alone_when_a_bag_is_replayed(tmp_path):
    path = tmp_path / "history.sqlite"
    values = {"model": "silence", "time.history_file": str(path)}
    assembly = build(values, ManualClock(T0))
    assembly.engine.process(window(0))
    assert not path.exists()
    build(values, ManualClock(T0), keeps_history=True)
    assert path.exists()


@pytest.mark.parametrize("region", [[0.5, 0.0, 0.5, 1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0, 2.0]])
def test_region_is_refused_when_it_is_none(region):
    with pytest.raises(ConfigError, match="region"):
        build({"model": "silence", "time.count_region": region}, ManualClock(T0))
