"""Records to and from ROS messages, without ROS.

Going out, a record becomes a topic, a type name and a *tree*: nested dicts with the field names of the message
definition. ``nodes`` fills rclpy messages from trees and ``bags`` fills bag messages from the same trees, so both carry
the same fields. Coming in, any object with the attributes of the message will do, whichever library made it.

Source: tml_interfaces/msg/*.msg.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tml_ros.errors import InputError
from tml_ros.records import (
    SAMPLE_RATE_HZ,
    AgentState,
    AlertState,
    AudioChunk,
    DelegationEvent,
    DelegationPhase,
    Floor,
    IntentProposal,
    PlaybackReport,
    PlaybackState,
    Region,
    SafetyAlert,
    SessionState,
    SpeechCommand,
    SpeechControl,
    SpeechKind,
    SpeechPiece,
    StampedImage,
    TranscriptEvent,
    TurnMetrics,
    UserState,
)

__all__ = [
    "INPUT_TYPES",
    "OUTPUT_TYPES",
    "Digest",
    "Published",
    "audio_chunk",
    "compressed_image",
    "header_tree",
    "image",
    "playback_report",
    "published",
    "to_tree",
]

Published = (
    SpeechPiece
    | SpeechControl
    | IntentProposal
    | TranscriptEvent
    | SafetyAlert
    | DelegationEvent
    | SessionState
    | TurnMetrics
)
Tree = dict[str, Any]

LOCALE = "en-US"
INPUT_TYPES = {
    "audio/in": "tml_interfaces/msg/AudioChunk",
    "audio/reference": "tml_interfaces/msg/AudioChunk",
    "image": "sensor_msgs/msg/Image",
    "image/compressed": "sensor_msgs/msg/CompressedImage",
    "text/in": "std_msgs/msg/String",
    "playback": "tml_interfaces/msg/PlaybackStatus",
}
OUTPUT_TYPES = {
    "speech": "tml_interfaces/msg/SpeechChunk",
    "speech/control": "tml_interfaces/msg/SpeechControl",
    "action_intent": "tml_interfaces/msg/ActionIntent",
    "transcript": "tml_interfaces/msg/Transcript",
    "safety_alert": "tml_interfaces/msg/SafetyAlert",
    "delegation": "tml_interfaces/msg/DelegationEvent",
    "session_state": "tml_interfaces/msg/SessionState",
    "micro_turn": "tml_interfaces/msg/MicroTurnMetrics",
}
_TOPICS: dict[type, str] = {
    SpeechPiece: "speech",
    SpeechControl: "speech/control",
    IntentProposal: "action_intent",
    TranscriptEvent: "transcript",
    SafetyAlert: "safety_alert",
    DelegationEvent: "delegation",
    SessionState: "session_state",
    TurnMetrics: "micro_turn",
}
_WALL_CLOCK_FIELDS = {"micro_turn": ("ingest_age_sec", "inference_sec", "queue_depth", "deadline_missed")}


# ------------------------------------------------------------------------------------------------------ messages in


def audio_chunk(message: Any, received_ns: int) -> AudioChunk:
    """Read a tml_interfaces/AudioChunk; a stamp of zero is taken as the time at which the chunk was complete."""
    width = {"S16LE": 2, "F32LE": 4}.get(message.encoding, 1) * max(1, message.channels)
    seconds = len(message.data) / width / max(1, message.sample_rate)
    return AudioChunk(
        stamp_ns=_stamp_ns(message.header.stamp) or received_ns - round(seconds * 1e9),
        stream_id=str(message.stream_id),
        first_sample=int(message.first_sample),
        rate_hz=int(message.sample_rate),
        channels=int(message.channels),
        encoding=str(message.encoding),
        data=memoryview(message.data).cast("B"),
        frame_id=str(message.header.frame_id),
    )


def image(message: Any, received_ns: int) -> StampedImage:
    """Read a sensor_msgs/Image; a stamp of zero is replaced by the time of arrival."""
    return StampedImage(
        stamp_ns=_stamp_ns(message.header.stamp) or received_ns,
        encoding=str(message.encoding),
        data=memoryview(message.data).cast("B"),
        width=int(message.width),
        height=int(message.height),
        step=int(message.step),
        is_bigendian=bool(message.is_bigendian),
        frame_id=str(message.header.frame_id),
    )


def compressed_image(message: Any, received_ns: int) -> StampedImage:
    """Read a sensor_msgs/CompressedImage; a stamp of zero is replaced by the time of arrival."""
    return StampedImage(
        stamp_ns=_stamp_ns(message.header.stamp) or received_ns,
        encoding="compressed",
        data=memoryview(message.data).cast("B"),
        frame_id=str(message.header.frame_id),
    )


def playback_report(message: Any) -> PlaybackReport:
    """Read a tml_interfaces/PlaybackStatus.

    Raises:
        InputError: the state is none of the message's constants.
    """
    try:
        state = PlaybackState(int(message.state))
    except ValueError as err:
        known = ", ".join(f"{s.value} {s.name}" for s in PlaybackState)
        raise InputError(f"playback state {message.state} is unknown; expected one of {known}") from err
    return PlaybackReport(
        _stamp_ns(message.header.stamp), int(message.utterance_id), state, int(message.samples_played)
    )


def published(topic: str, message: Any) -> Published | None:
    """Read an output message back into its record, None for other topics. topic: relative, as in OUTPUT_TYPES."""
    reader = _READERS.get(topic)
    return reader(message) if reader else None


def _stamp_ns(stamp: Any) -> int:
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def _read_speech(m: Any) -> SpeechPiece:
    return SpeechPiece(
        stamp_ns=_stamp_ns(m.header.stamp),
        session_id=m.session_id,
        window_seq=int(m.window_seq),
        utterance_id=int(m.utterance_id),
        seq=int(m.seq),
        kind=SpeechKind(int(m.kind)),
        text=m.text,
        audio=_floats(m.audio.data),
        first_sample=int(m.audio.first_sample),
        priority=int(m.priority),
        interruptible=bool(m.interruptible),
        last=bool(m.last),
        revises=int(m.revises),
    )


def _read_intent(m: Any) -> IntentProposal:
    return IntentProposal(
        stamp_ns=_stamp_ns(m.header.stamp),
        intent_id=m.intent_id,
        session_id=m.session_id,
        window_seq=int(m.window_seq),
        expires_ns=_stamp_ns(m.expires_at),
        requires_confirmation=bool(m.requires_confirmation),
        intent=m.intent,
        data=m.data,
        source=m.source,
        modality=m.modality,
        priority=int(m.priority),
        confidence=float(m.confidence),
    )


def _read_transcript(m: Any) -> TranscriptEvent:
    return TranscriptEvent(m.speaker, m.text, bool(m.final), float(m.confidence), _stamp_ns(m.start), _stamp_ns(m.end))


def _read_alert(m: Any) -> SafetyAlert:
    return SafetyAlert(
        stamp_ns=_stamp_ns(m.header.stamp),
        alert_id=m.alert_id,
        state=AlertState(int(m.state)),
        severity=int(m.severity),
        rule=m.rule,
        category=m.category,
        description=m.description,
        confidence=float(m.confidence),
        observed_start_ns=_stamp_ns(m.observed_start),
        observed_end_ns=_stamp_ns(m.observed_end),
        recommended_action=m.recommended_action,
        regions=tuple(Region(int(a.x_offset), int(a.y_offset), int(a.width), int(a.height)) for a in m.regions),
        evidence=bytes(m.evidence[0].data) if len(m.evidence) else b"",
    )


def _read_delegation(m: Any) -> DelegationEvent:
    return DelegationEvent(
        stamp_ns=_stamp_ns(m.header.stamp),
        session_id=m.session_id,
        window_seq=int(m.window_seq),
        delegation_id=m.delegation_id,
        event=DelegationPhase(int(m.event)),
        task=m.task,
        stage=m.stage,
        text=m.text,
        outcome=int(m.outcome),
        result_json=m.result_json,
    )


def _read_state(m: Any) -> SessionState:
    return SessionState(
        stamp_ns=_stamp_ns(m.header.stamp),
        session_id=m.session_id,
        agent_state=AgentState(int(m.agent_state)),
        user_state=UserState(int(m.user_state)),
        floor=Floor(m.floor),
        overlap=bool(m.overlap),
        agent_since_ns=_stamp_ns(m.agent_since),
        user_since_ns=_stamp_ns(m.user_since),
        window_seq=int(m.window_seq),
        active_delegations=tuple(m.active_delegations),
        mic_muted=bool(m.mic_muted),
        degraded=bool(m.degraded),
    )


def _read_metrics(m: Any) -> TurnMetrics:
    return TurnMetrics(
        stamp_ns=_stamp_ns(m.header.stamp),
        session_id=m.session_id,
        window_seq=int(m.window_seq),
        window_sec=float(m.window_sec),
        frames=int(m.frames),
        missing_samples=int(m.missing_samples),
        late_messages=int(m.late_messages),
        av_skew_sec=float(m.av_skew_sec),
        counters={pair.key: int(pair.value) for pair in m.counters},
        # bags from before there was an echo canceller have neither
        erle_db=float(getattr(m, "erle_db", 0.0)),
        echo_delay_sec=float(getattr(m, "echo_delay_sec", 0.0)),
        ingest_age_sec=float(m.ingest_age_sec),
        inference_sec=float(m.inference_sec),
        queue_depth=int(m.queue_depth),
        deadline_missed=bool(m.deadline_missed),
    )


def _read_control(m: Any) -> SpeechControl:
    return SpeechControl(_stamp_ns(m.header.stamp), int(m.utterance_id), SpeechCommand(int(m.command)))


_READERS: Mapping[str, Callable[[Any], Published]] = {
    "speech": _read_speech,
    "speech/control": _read_control,
    "action_intent": _read_intent,
    "transcript": _read_transcript,
    "safety_alert": _read_alert,
    "delegation": _read_delegation,
    "session_state": _read_state,
    "micro_turn": _read_metrics,
}


# ----------------------------------------------------------------------------------------------------- records out


def to_tree(record: Published) -> tuple[str, str, Tree]:
    """Return topic, type name and field tree of a record that is to be published."""
    topic = _TOPICS[type(record)]
    return topic, OUTPUT_TYPES[topic], _WRITERS[topic](record)


def header_tree(stamp_ns: int, frame_id: str = "") -> Tree:
    """Return the field tree of a std_msgs/Header."""
    return {"stamp": _time(stamp_ns), "frame_id": frame_id}


def _time(ns: int) -> Tree:
    return {"sec": ns // 1_000_000_000, "nanosec": ns % 1_000_000_000}


def _speech(r: SpeechPiece) -> Tree:
    audio = {
        "header": header_tree(r.stamp_ns),
        "stream_id": f"{r.session_id}/{r.utterance_id}",
        "first_sample": r.first_sample,
        "sample_rate": SAMPLE_RATE_HZ,
        "channels": 1,
        "encoding": "S16LE",
        "data": _pcm(r.audio),
    }
    return {
        "header": header_tree(r.stamp_ns),
        "session_id": r.session_id,
        "window_seq": r.window_seq,
        "utterance_id": r.utterance_id,
        "seq": r.seq,
        "kind": int(r.kind),
        "text": r.text,
        "locale": LOCALE,
        "audio": audio,
        "priority": r.priority,
        "interruptible": r.interruptible,
        "last": r.last,
        "revises": r.revises,
    }


def _control(r: SpeechControl) -> Tree:
    return {"header": header_tree(r.stamp_ns), "utterance_id": r.utterance_id, "command": int(r.command)}


def _intent(r: IntentProposal) -> Tree:
    return {
        "header": header_tree(r.stamp_ns),
        "intent_id": r.intent_id,
        "session_id": r.session_id,
        "window_seq": r.window_seq,
        "expires_at": _time(r.expires_ns),
        "requires_confirmation": r.requires_confirmation,
        "intent": r.intent,
        "data": r.data,
        "source": r.source,
        "modality": r.modality,
        "priority": r.priority,
        "confidence": r.confidence,
    }


def _transcript(r: TranscriptEvent) -> Tree:
    return {
        "header": header_tree(r.end_ns),
        "speaker": r.speaker,
        "text": r.text,
        "final": r.final,
        "confidence": r.confidence,
        "start": _time(r.start_ns),
        "end": _time(r.end_ns),
    }


def _alert(r: SafetyAlert) -> Tree:
    return {
        "header": header_tree(r.stamp_ns),
        "alert_id": r.alert_id,
        "state": int(r.state),
        "severity": r.severity,
        "rule": r.rule,
        "category": r.category,
        "description": r.description,
        "confidence": r.confidence,
        "observed_start": _time(r.observed_start_ns),
        "observed_end": _time(r.observed_end_ns),
        "regions": [_region(one) for one in r.regions],
        "evidence": [{"header": header_tree(r.stamp_ns), "format": "jpeg", "data": r.evidence}] if r.evidence else [],
        "recommended_action": r.recommended_action,
    }


def _region(r: Region) -> Tree:
    return {"x_offset": r.x, "y_offset": r.y, "width": r.width, "height": r.height, "do_rectify": False}


def _delegation(r: DelegationEvent) -> Tree:
    return {
        "header": header_tree(r.stamp_ns),
        "session_id": r.session_id,
        "window_seq": r.window_seq,
        "delegation_id": r.delegation_id,
        "event": int(r.event),
        "task": r.task,
        "stage": r.stage,
        "text": r.text,
        "outcome": r.outcome,
        "result_json": r.result_json,
    }


def _state(r: SessionState) -> Tree:
    return {
        "header": header_tree(r.stamp_ns),
        "session_id": r.session_id,
        "agent_state": int(r.agent_state),
        "user_state": int(r.user_state),
        "floor": r.floor.value,
        "overlap": r.overlap,
        "agent_since": _time(r.agent_since_ns),
        "user_since": _time(r.user_since_ns),
        "window_seq": r.window_seq,
        "active_delegations": list(r.active_delegations),
        "mic_muted": r.mic_muted,
        "degraded": r.degraded,
    }


def _metrics(r: TurnMetrics) -> Tree:
    return {
        "header": header_tree(r.stamp_ns),
        "session_id": r.session_id,
        "window_seq": r.window_seq,
        "window_sec": r.window_sec,
        "frames": r.frames,
        "missing_samples": r.missing_samples,
        "late_messages": r.late_messages,
        "av_skew_sec": r.av_skew_sec,
        "erle_db": r.erle_db,
        "echo_delay_sec": r.echo_delay_sec,
        "ingest_age_sec": r.ingest_age_sec,
        "inference_sec": r.inference_sec,
        "queue_depth": r.queue_depth,
        "deadline_missed": r.deadline_missed,
        "counters": [{"key": name, "value": str(count)} for name, count in sorted(r.counters.items())],
    }


_WRITERS: Mapping[str, Any] = {
    "speech": _speech,
    "speech/control": _control,
    "action_intent": _intent,
    "transcript": _transcript,
    "safety_alert": _alert,
    "delegation": _delegation,
    "session_state": _state,
    "micro_turn": _metrics,
}


def _pcm(samples: NDArray[np.float32]) -> bytes:
    return bytes(np.clip(np.rint(samples * 32_768.0), -32_768, 32_767).astype("<i2").tobytes())


def _floats(data: Any) -> NDArray[np.float32]:
    return np.frombuffer(memoryview(data).cast("B"), "<i2").astype(np.float32) / np.float32(32_768)


# ---------------------------------------------------------------------------------------------------------- digest


class Digest:
    """SHA-256 over every published field but the wall-clock ones, in the order of publication."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, topic: str, tree: Tree) -> None:
        """Take in one message."""
        kept = {name: value for name, value in tree.items() if name not in _WALL_CLOCK_FIELDS.get(topic, ())}
        self._hash.update(json.dumps([topic, kept], sort_keys=True, default=_canonical).encode())

    def hexdigest(self) -> str:
        """Return the digest so far."""
        return self._hash.hexdigest()


def _canonical(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"cannot digest {type(value).__name__}; trees hold plain values and bytes only")
