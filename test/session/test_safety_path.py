"""The way of an alert beside the model: the same in every replay, and not later when the model stalls."""

import threading
import time
from dataclasses import dataclass
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
    TextSource,
    TranscriptEvent,
)
from tml_ros.session.build import Assembly, build
from tml_ros.session.engine import InferenceEngine
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


def assemble(lab: Path, model: ListeningModel, clock: ManualClock | SystemClock) -> Assembly:
    made = build({"model": "silence", "safety.lab_file": str(lab)}, clock)
    engine = InferenceEngine(model, made.config, made.engine._synthesiser, made.engine._allow_list, clock)
    made.safety._tell = engine.tell
    return Assembly(made.config, made.model, engine, made.safety)


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


def test_fault_names_the_file_when_the_lab_file_is_wrong(lab):
    lab.write_text(LAB.replace("loud_s", "loud"))
    with pytest.raises(ConfigError, match=r"lab.yaml:7: rules.noise.when.value: .*level.loud_s"):
        build({"model": "silence", "safety.lab_file": str(lab)}, ManualClock())
