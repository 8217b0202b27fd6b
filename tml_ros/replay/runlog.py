"""What happened in a run, gathered from the published records, for reports, timelines and the JSON line.

Fed by the offline replay and by a live observer alike; it knows neither files nor ROS. Memory grows by a few hundred
bytes a micro-turn: sound is kept as peaks, not as samples.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tml_ros.records import (
    MICRO_TURN_NS,
    SAMPLE_RATE_HZ,
    DelegationEvent,
    DelegationPhase,
    IntentProposal,
    SafetyAlert,
    SessionState,
    SpeechCommand,
    SpeechControl,
    SpeechPiece,
    TranscriptEvent,
    TurnMetrics,
)
from tml_ros.wire import Published

__all__ = ["PEAK_SAMPLES", "RunLog", "TurnRow", "Utterance"]

PEAK_SAMPLES = 320


@dataclass(slots=True)
class Utterance:
    """One thing the robot said. Times in seconds from the first window; end_s is cut where it was interrupted."""

    utterance_id: int
    kind: str
    text: str
    start_s: float
    end_s: float
    interrupted: bool = False


@dataclass(slots=True)
class TurnRow:
    """One micro-turn as a person would want to read it."""

    index: int
    end_s: float
    floor: str
    agent_state: str
    user_state: str
    overlap: bool
    heard: str
    said: str
    intents: tuple[str, ...]
    frames: int
    missing_samples: int
    late_messages: int
    inference_ms: float
    ingest_age_ms: float
    queue_depth: int
    deadline_missed: bool
    alerts: tuple[str, ...] = ()
    erle_db: float = 0.0
    echo_delay_ms: float = 0.0


@dataclass(slots=True)
class RunLog:
    """Everything published in one session, in order.

    heard_peaks, said_peaks: window-aligned [T, 2] lists of (min, max), one per 20 ms from the first window's start.
    """

    model: str
    start_ns: int | None = None
    turns: list[TurnRow] = field(default_factory=list)
    transcripts: list[TranscriptEvent] = field(default_factory=list)
    utterances: list[Utterance] = field(default_factory=list)
    intents: list[IntentProposal] = field(default_factory=list)
    alerts: list[SafetyAlert] = field(default_factory=list)
    delegations: list[DelegationEvent] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    heard_peaks: list[tuple[float, float]] = field(default_factory=list)
    said_peaks: list[tuple[float, float]] = field(default_factory=list)
    thumbnails: list[tuple[float, bytes]] = field(default_factory=list)
    _state: SessionState | None = None
    _heard: str = ""
    _said: list[str] = field(default_factory=list)
    _turn_intents: list[str] = field(default_factory=list)
    _turn_alerts: list[str] = field(default_factory=list)

    def seconds(self, stamp_ns: int) -> float:
        """Return seconds from the first window's start."""
        return (stamp_ns - (self.start_ns or 0)) / 1e9

    def add(self, record: Published) -> None:
        """Take in a published record; the TurnMetrics of a micro-turn comes last and closes its row."""
        if isinstance(record, SpeechPiece):
            self._add_speech(record)
        elif isinstance(record, SpeechControl):
            self._add_control(record)
        elif isinstance(record, TranscriptEvent):
            self._add_transcript(record)
        elif isinstance(record, IntentProposal):
            self.intents.append(record)
            withdrawn = "withdrawn: " if record.is_withdrawn else ""
            self._turn_intents.append(f"{withdrawn}{record.intent} {record.data}")
        elif isinstance(record, SafetyAlert):
            self.alerts.append(record)
            self._turn_alerts.append(f"{record.rule} {record.state.name.lower()}: {record.description}")
        elif isinstance(record, DelegationEvent):
            self._add_delegation(record)
        elif isinstance(record, SessionState):
            self._state = record
        else:
            self._add_metrics(record)

    def _add_delegation(self, event: DelegationEvent) -> None:
        self.delegations.append(event)
        if event.event is DelegationPhase.REQUESTED:
            self._turn_intents.append(f"task: {event.task}")
        elif event.event is DelegationPhase.WITHDRAWN:
            self._turn_intents.append("task withdrawn")

    def add_heard(self, start_ns: int, audio: NDArray[np.float32]) -> None:
        """Take in what the microphone heard. audio: [N] float32 at 16 kHz."""
        self._begin(start_ns)
        _mark_peaks(self.heard_peaks, self.seconds(start_ns), audio)

    def add_picture(self, stamp_ns: int, jpeg: bytes) -> None:
        """Take in a small JPEG of what the camera saw."""
        self.thumbnails.append((self.seconds(stamp_ns), jpeg))

    def summary(self) -> dict[str, Any]:
        """Return transcript, utterances, intents and alerts with times in seconds from the first window."""
        return {
            "windows": len(self.turns),
            "missing_samples": sum(turn.missing_samples for turn in self.turns),
            "late_messages": sum(turn.late_messages for turn in self.turns),
            "deadline_missed": sum(turn.deadline_missed for turn in self.turns),
            "frames": sum(turn.frames for turn in self.turns),
            "echo": self.echo(),
            "transcript": [
                {"text": e.text, "start_s": self._round(e.start_ns), "end_s": self._round(e.end_ns)}
                for e in self.transcripts
                if e.final and e.speaker == "user"
            ],
            "utterances": [
                {"text": u.text, "kind": u.kind, "start_s": round(u.start_s, 4), "end_s": round(u.end_s, 4)}
                for u in self.utterances
            ],
            "intents": [
                {
                    "intent": i.intent,
                    "data": json.loads(i.data),
                    "window_seq": i.window_seq,
                    "confidence": round(i.confidence, 4),
                    "withdrawn": i.is_withdrawn,
                }
                for i in self.intents
            ],
            "tasks": [
                {"task": e.task, "at_s": self._round(e.stamp_ns)}
                for e in self.delegations
                if e.event is DelegationPhase.REQUESTED
            ],
            "alerts": [
                {"rule": a.rule, "state": a.state.name, "description": a.description, "at_s": self._round(a.stamp_ns)}
                for a in self.alerts
            ],
        }

    def echo(self) -> dict[str, float] | None:
        """Return the median echo return loss enhancement and the newest delay, None where no echo was heard."""
        heard = [turn for turn in self.turns if turn.erle_db]
        if not heard:
            return None
        erle_db = float(np.median([turn.erle_db for turn in heard]))
        return {"erle_db": round(erle_db, 1), "delay_ms": round(heard[-1].echo_delay_ms, 1)}

    def _round(self, stamp_ns: int) -> float:
        return round(self.seconds(stamp_ns), 4)

    def _begin(self, start_ns: int) -> None:
        if self.start_ns is None:
            self.start_ns = start_ns

    def _add_speech(self, piece: SpeechPiece) -> None:
        self._begin(piece.stamp_ns - MICRO_TURN_NS)
        start_s = self.seconds(piece.stamp_ns)
        end_s = start_s + len(piece.audio) / SAMPLE_RATE_HZ
        known = next((u for u in reversed(self.utterances) if u.utterance_id == piece.utterance_id), None)
        if known is None:
            self.utterances.append(Utterance(piece.utterance_id, piece.kind.name, piece.text.strip(), start_s, end_s))
        else:
            known.text = f"{known.text} {piece.text.strip()}".strip()
            known.end_s = max(known.end_s, end_s)
        if piece.text.strip():
            self._said.append(piece.text.strip())
        _mark_peaks(self.said_peaks, start_s, piece.audio)

    def _add_control(self, control: SpeechControl) -> None:
        if control.command is not SpeechCommand.FLUSH:
            return
        stop_s = self.seconds(control.stamp_ns)
        for utterance in self.utterances:
            if control.utterance_id in (0, utterance.utterance_id) and utterance.end_s > stop_s:
                cut_s = max(stop_s, utterance.start_s)
                _clear_peaks(self.said_peaks, cut_s, utterance.end_s)
                utterance.end_s, utterance.interrupted = cut_s, True

    def _add_transcript(self, event: TranscriptEvent) -> None:
        if event.final:
            self.transcripts.append(event)
        if event.speaker == "user":
            self._heard = event.text

    def _add_metrics(self, metrics: TurnMetrics) -> None:
        self._begin(metrics.stamp_ns - MICRO_TURN_NS)
        state = self._state
        self.turns.append(
            TurnRow(
                index=metrics.window_seq,
                end_s=self.seconds(metrics.stamp_ns),
                floor=state.floor.value if state else "listen",
                agent_state=state.agent_state.name if state else "IDLE",
                user_state=state.user_state.name if state else "UNKNOWN",
                overlap=bool(state and state.overlap),
                heard=self._heard,
                said=" ".join(self._said),
                intents=tuple(self._turn_intents),
                frames=metrics.frames,
                missing_samples=metrics.missing_samples,
                late_messages=metrics.late_messages,
                inference_ms=metrics.inference_sec * 1e3,
                ingest_age_ms=metrics.ingest_age_sec * 1e3,
                queue_depth=metrics.queue_depth,
                deadline_missed=metrics.deadline_missed,
                alerts=tuple(self._turn_alerts),
                erle_db=metrics.erle_db,
                echo_delay_ms=metrics.echo_delay_sec * 1e3,
            )
        )
        self.counters = dict(metrics.counters)
        self._heard, self._said, self._turn_intents, self._turn_alerts = "", [], [], []


def _mark_peaks(peaks: list[tuple[float, float]], start_s: float, audio: NDArray[np.float32]) -> None:
    first = max(0, round(start_s * SAMPLE_RATE_HZ / PEAK_SAMPLES))
    blocks = -(-len(audio) // PEAK_SAMPLES)
    peaks.extend([(0.0, 0.0)] * (first + blocks - len(peaks)))
    for offset in range(blocks):
        block = audio[offset * PEAK_SAMPLES : (offset + 1) * PEAK_SAMPLES]
        low, high = peaks[first + offset]
        peaks[first + offset] = (min(low, float(block.min())), max(high, float(block.max())))


def _clear_peaks(peaks: list[tuple[float, float]], start_s: float, end_s: float) -> None:
    first, stop = (max(0, round(seconds * SAMPLE_RATE_HZ / PEAK_SAMPLES)) for seconds in (start_s, end_s))
    for index in range(first, min(stop, len(peaks))):
        peaks[index] = (0.0, 0.0)
