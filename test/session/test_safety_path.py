"""The way of an alert beside the model: the same in every replay, and not later when the model stalls."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from tml_ros.clock import ManualClock, SystemClock
from tml_ros.duplex.protocol import SessionInfo
from tml_ros.errors import ConfigError
from tml_ros.records import (
    MICRO_TURN_NS,
    IntentProposal,
    MicroTurn,
    MicroTurnOutput,
    SafetyAlert,
    SpeechKind,
    SpeechPiece,
    StampedImage,
    TextSource,
    TimerDraft,
    TranscriptEvent,
)
from tml_ros.session.build import Assembly, build
from tml_ros.session.engine import InferenceEngine
from tml_ros.session.time_service import ProcessCommand, TimeService
from tml_ros.session.timekeeper import Timekeeper
from tml_ros.windowing import ClosedWindow, WindowReport

LAB = """
version: 1
lab: test bench
watchers: {level: {kind: sound_level, loud_db: -20}}
rules:
  noise:
    when: {value: level.loud_s, above: 0.3}
    describe: It is loud.
    intent: {name: __intent_stop_device__, data: {object: pump}}
    acknowledge: {within_s: 60}
"""
LOUD = np.sign(np.sin(np.arange(3200) * 0.7)).astype(np.float32) * 0.5
QUIET = np.zeros(3200, np.float32)
REPORT = WindowReport(0, 0, 0, 0, 0.0, {})


@pytest.fixture
def lab(tmp_path) -> Path:
    path = tmp_path / "lab.yaml"
    path.write_text(LAB)
    return path


@dataclass
class ListeningModel:
    """Remembers what it was told, understands one phrase in one turn, and stalls when it is asked to."""

    name: str = "listening"
    stall_s: float = 0.0
    understands_at: int = -1

    def __post_init__(self) -> None:
        self.told: list[tuple[int, str]] = []

    def open(self, info: SessionInfo) -> "ListeningModel":
        return self

    def step(self, turn: MicroTurn) -> MicroTurnOutput:
        time.sleep(self.stall_s)
        self.told += [(turn.index, text.text) for text in turn.texts if text.source is TextSource.CUE]
        if turn.index != self.understands_at:
            return MicroTurnOutput()
        return MicroTurnOutput(transcripts=(TranscriptEvent("user", "understood", True, 0.9, 0, turn.end_ns),))

    def counters(self) -> dict[str, int]:
        return {}

    def close(self) -> None:
        pass


def window(index: int, audio: np.ndarray) -> ClosedWindow:
    start_ns = 1_000_000_000 + index * MICRO_TURN_NS
    return ClosedWindow(0, MicroTurn(index, start_ns, start_ns + MICRO_TURN_NS, audio, 1.0), (), REPORT)


def assemble(lab: Path, model: ListeningModel, clock: ManualClock | SystemClock, **more: object) -> Assembly:
    made = build({"model": "silence", "safety.lab_file": str(lab), **more}, clock, keeps_history=True)
    engine = InferenceEngine(
        model, made.config, made.engine._synthesiser, made.engine._allow_list, clock, None, made.timekeeper
    )
    made.safety._tell = engine.tell
    return Assembly(made.config, made.model, engine, made.safety, made.timekeeper)


def test_alert_intent_and_speech_come_in_the_turn_of_the_evidence_and_the_cue_in_the_next(lab):
    model = ListeningModel()
    assembly = assemble(lab, model, ManualClock())
    done = [assembly.process(window(index, LOUD if index >= 2 else QUIET)) for index in range(5)]
    kinds = [[type(one) for one in turn.records if not isinstance(one, TranscriptEvent)] for turn in done]
    assert SafetyAlert not in kinds[2]
    assert kinds[3][:3] == [SafetyAlert, IntentProposal, SpeechPiece]
    assert model.told == [(4, "alert raised: It is loud.")]


def test_alert_speech_is_one_whole_utterance_that_nobody_interrupts(lab):
    assembly = assemble(lab, ListeningModel(), ManualClock())
    done = [assembly.process(window(index, LOUD)) for index in range(2)]
    pieces = [one for one in done[1].records if isinstance(one, SpeechPiece)]
    assert [piece.seq for piece in pieces] == list(range(len(pieces)))
    assert [piece.last for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert {(piece.kind, piece.priority, piece.interruptible) for piece in pieces} == {(SpeechKind.ALERT, 255, False)}
    assert pieces[0].stamp_ns == done[1].turn.end_ns
    assert sum(len(piece.audio) for piece in pieces) > 8_000


def test_alert_is_acknowledged_when_the_model_understands_the_word(lab):
    assembly = assemble(lab, ListeningModel(understands_at=4), ManualClock())
    done = [assembly.process(window(index, LOUD)) for index in range(7)]
    states = [
        (turn.turn.index, one.state.name) for turn in done for one in turn.records if isinstance(one, SafetyAlert)
    ]
    assert states == [(1, "RAISED"), (5, "ACKNOWLEDGED")]


def test_same_windows_give_the_same_records_when_they_are_run_twice(lab):
    def records() -> list[object]:
        assembly = assemble(lab, ListeningModel(understands_at=6), ManualClock())
        sounds = [QUIET, QUIET, *[LOUD] * 6, *[QUIET] * 8]
        done = [assembly.process(window(index, sound)) for index, sound in enumerate(sounds)]
        return [repr(one) for turn in done for one in turn.records]

    assert records() == records()


@pytest.mark.parametrize("stall_s", [0.0, 1.5])
def test_alert_is_published_at_once_when_the_model_stalls(lab, stall_s):
    assembly = assemble(lab, ListeningModel(stall_s=stall_s), SystemClock())
    came: dict[str, float] = {}
    has_come = threading.Event()

    def publish_one(record: object) -> None:
        came.setdefault(type(record).__name__, time.monotonic())
        if isinstance(record, SpeechPiece):
            has_come.set()

    assembly.safety._synthesiser.synthesise("It is loud.")
    assembly.start(lambda done: None, publish_one)
    began = time.monotonic()
    for index in range(3):
        assembly.submit(window(index, LOUD))
    assert has_come.wait(10.0)
    took = came["SafetyAlert"] - began
    waited = len(assembly.engine._worker.waiting)
    assembly.stop()
    assert took < 1.4  # the model is in its first turn until then
    assert waited >= (1 if stall_s else 0)


def test_open_alerts_are_acknowledged_when_somebody_calls(lab):
    assembly = assemble(lab, ListeningModel(), SystemClock())
    states: list[str] = []
    is_acknowledged, is_raised = threading.Event(), threading.Event()

    def publish_one(record: object) -> None:
        if isinstance(record, SafetyAlert):
            states.append(record.state.name)
            (is_raised if record.state.name == "RAISED" else is_acknowledged).set()

    assembly.start(lambda done: None, publish_one)
    for index in range(2):
        assembly.submit(window(index, LOUD))
    assert is_raised.wait(10.0)
    assert assembly.safety.acknowledge() == ("noise",)
    assert is_acknowledged.wait(10.0)
    assembly.stop()
    assert states == ["RAISED", "ACKNOWLEDGED"]


class Published:
    """Gathers what is published and lets a test wait for it."""

    def __init__(self) -> None:
        self.records: list[object] = []
        self._changed = threading.Condition()

    def __call__(self, record: object) -> None:
        with self._changed:
            self.records.append(record)
            self._changed.notify()

    def wait(self, wanted: Callable[[], bool], timeout_s: float = 10.0) -> bool:
        with self._changed:
            return self._changed.wait_for(wanted, timeout_s)

    def states(self, rule: str) -> list[str]:
        return [one.state.name for one in self.records if isinstance(one, SafetyAlert) and one.rule == rule]

    def said(self) -> str:
        return " ".join(one.text for one in self.records if isinstance(one, SpeechPiece) and one.text)


BLIND = """
version: 1
lab: test bench
watchers: {camera: {kind: camera}}
rules: {gone: {when: {value: camera.missing_s, above: 1}, describe: No pictures., clear_after_s: 0.2}}
"""


def picture(index: int) -> ClosedWindow:
    one = window(index, QUIET)
    image = StampedImage(one.turn.start_ns, "mono8", bytes(160 * 120), 160, 120, 160)
    return replace(one, images=(image,))


def test_silence_of_every_sensor_is_told_by_the_clock_and_over_when_pictures_come(lab):
    lab.write_text(BLIND)
    assembly = assemble(lab, ListeningModel(), SystemClock())
    out = Published()
    assembly.start(lambda done: None, out)
    for index in range(3):
        assembly.submit(picture(index))
    now_ns = 50_000_000_000  # another clock than that of the stamps
    for number in range(1, 9):
        assembly.tick(now_ns + number * 100_000_000)
    time.sleep(0.1)
    assert out.states("gone") == []
    for number in range(9, 20):
        assembly.tick(now_ns + number * 100_000_000)
    assert out.wait(lambda: out.states("gone") == ["RAISED"])
    for index in range(12):  # 3 to 6 are empty and were watched already, 7 to 11 bring the camera back
        assembly.submit(window(index, QUIET) if index < 7 else picture(index)) if index > 2 else None
    assert out.wait(lambda: out.states("gone") == ["RAISED", "CLEARED"])
    assembly.stop()
    assert not assembly.safety.counters["safety_dropped_windows"]


def test_nothing_is_told_by_a_clock_that_stands_still_or_was_set(lab):
    lab.write_text(BLIND)
    assembly = assemble(lab, ListeningModel(), SystemClock())
    out = Published()
    assembly.start(lambda done: None, out)
    for index in range(3):
        assembly.submit(picture(index))
    for now_s in (50.0, 50.1, *[50.1] * 30, 40.0, 40.1, 40.2, 40.3):
        assembly.tick(round(now_s * 1e9))
    time.sleep(0.1)
    assembly.stop()
    assert out.states("gone") == []


def test_process_that_takes_too_long_is_told_aloud_when_the_model_stalls(lab):
    assembly = assemble(lab, ListeningModel(stall_s=1.5), SystemClock())
    out = Published()
    service = TimeService(assembly.timekeeper, lambda: 1_000_000_000)
    assert service.time_process(ProcessCommand.START, "wash").success
    assert service.time_process(ProcessCommand.WATCH, "wash", 0.5).success
    assembly.start(lambda done: None, out)
    for index in range(8):
        assembly.submit(window(index, QUIET))
        time.sleep(0.02)  # the model opens its session
    assert out.wait(lambda: "wash takes longer" in out.said(), 1.4)
    service.time_process(ProcessCommand.STOP, "wash")
    assembly.submit(window(8, QUIET))
    assert out.wait(lambda: out.states("process_overdue") == ["RAISED", "CLEARED"], 1.0)
    assembly.stop()


def test_reminder_is_said_once_when_the_model_stalls(lab):
    assembly = assemble(lab, ListeningModel(stall_s=1.5), SystemClock())
    out = Published()
    assembly.timekeeper.add((TimerDraft("Look at the oven.", 0.5),), window(0, QUIET).turn.end_ns)
    assembly.start(lambda done: None, out)
    for index in range(8):
        assembly.submit(window(index, QUIET))
        time.sleep(0.02)  # the model opens its session
    assert out.wait(lambda: "Look at the oven." in out.said(), 1.2)
    assert not assembly.timekeeper.timers
    assembly.stop()


def test_reminder_is_left_to_the_model_when_it_keeps_up():
    keeper = Timekeeper()
    keeper.open(0)
    keeper.add((TimerDraft("Look at the oven.", 0.3),), 0)
    keeper.due(MICRO_TURN_NS)
    assert keeper.late(2 * MICRO_TURN_NS) == () and len(keeper.timers) == 1
    assert [one.text for one in keeper.late(4 * MICRO_TURN_NS)] == ["Look at the oven."]
    assert keeper.late(5 * MICRO_TURN_NS) == () and keeper.due(5 * MICRO_TURN_NS) == ()


def test_open_alerts_are_on_disk_and_told_again_when_another_node_starts(lab, tmp_path):
    state = {"safety.state_file": str(tmp_path / "state" / "open.json")}
    first, again = Published(), Published()
    assembly = assemble(lab, ListeningModel(), SystemClock(), **state)
    assembly.start(lambda done: None, first)
    for index in range(3):
        assembly.submit(window(index, LOUD))
    assert first.wait(lambda: first.states("noise") == ["RAISED"])
    path = tmp_path / "state" / "open.json"
    deadline = time.monotonic() + 10.0
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    other = assemble(lab, ListeningModel(), SystemClock(), **state)  # the first was killed: nothing is stopped
    other.start(lambda done: None, again)
    other.submit(window(10, QUIET))
    assert again.wait(lambda: again.states("noise") == ["UPDATED"] and "It is loud" in again.said())
    assert again.records[0].alert_id == first.records[0].alert_id
    other.stop()
    assembly.stop()


def test_alerts_go_on_when_the_state_cannot_be_written(lab, tmp_path, caplog):
    folder = tmp_path / "state"
    assembly = assemble(lab, ListeningModel(), SystemClock(), **{"safety.state_file": str(folder / "open.json")})
    folder.rmdir()
    out = Published()
    assembly.start(lambda done: None, out)
    for index in range(12):
        assembly.submit(window(index, LOUD if index < 3 else QUIET))
    assert out.wait(lambda: out.states("noise")[:1] == ["RAISED"])
    deadline = time.monotonic() + 10.0
    while not assembly.counters["safety_state_errors"] and time.monotonic() < deadline:
        time.sleep(0.01)
    assembly.stop()
    assert "a restart would forget open alerts" in caplog.text


def test_replay_leaves_the_state_file_alone(lab, tmp_path):
    build(
        {"model": "silence", "safety.lab_file": str(lab), "safety.state_file": str(tmp_path / "x" / "y")}, ManualClock()
    )
    assert not (tmp_path / "x").exists()


def test_fault_names_the_file_when_the_lab_file_is_wrong(lab):
    lab.write_text(LAB.replace("loud_s", "loud"))
    with pytest.raises(ConfigError, match=r"lab.yaml:7: rules.noise.when.value: .*level.loud_s"):
        build({"model": "silence", "safety.lab_file": str(lab)}, ManualClock())
