"""Records survive the way over messages; the digest sees every field but the wall-clock ones."""

import dataclasses

import numpy as np
import pytest

from tml_ros import wire
from tml_ros.bags import tree_to_message, typestore
from tml_ros.errors import InputError
from tml_ros.records import (
    AgentState,
    AlertState,
    AudioChunk,
    DelegationEvent,
    DelegationPhase,
    Floor,
    IntentProposal,
    PlaybackState,
    Region,
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

NS = 1_700_000_000_123_456_789
SOUND = (np.arange(-100, 100) / 128).astype(np.float32)
RECORDS = [
    SpeechPiece(NS, "s", 7, 3, 2, SpeechKind.CORRECTION, "no, ten", SOUND, 640, 200, False, True, 2),
    SpeechControl(NS, 4, SpeechCommand.DUCK),
    IntentProposal(NS, "id", "s", 7, NS + 5, True, "__intent_greet__", '{"a": 1}', "me", "speech", 9, 0.5),
    TranscriptEvent("user", "naïve ☃", True, 0.25, NS - 10, NS),
    SafetyAlert(
        NS,
        "a",
        AlertState.CLEARED,
        2,
        "spill",
        "liquid",
        "A spill.",
        0.5,
        NS - 9,
        NS,
        "Wipe it up.",
        (Region(1, 2, 30, 40),),
        b"\xff\xd8jpeg",
    ),
    DelegationEvent(NS, "s", 7, "s/1", DelegationPhase.ENDED, "find it", "search", "It is here.", 3, '{"error": ""}'),
    SessionState(
        NS, "s", AgentState.SPEAKING, UserState.PAUSING, Floor.HOLD, True, NS - 5, NS - 6, 7, ("d1", "d2"), True, True
    ),
    TurnMetrics(NS, "s", 7, 0.2, 2, 5, 1, -0.03, {"gaps": 1, "late_messages": 2}, 24.5, 0.03125, 0.1, 0.05, 3, True),
]
WALL_CLOCK = {"ingest_age_sec", "inference_sec", "queue_depth", "deadline_missed"}


def same(a, b) -> bool:
    pairs = [(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a)]
    return all(np.array_equal(x, y) if isinstance(x, np.ndarray) else x == y for x, y in pairs)


def digest(record) -> str:
    made = wire.Digest()
    topic, _, tree = wire.to_tree(record)
    made.add(topic, tree)
    return made.hexdigest()


def changed(value):
    if isinstance(value, np.ndarray):
        return value + np.float32(1 / 128)
    if isinstance(value, bool):
        return not value
    if isinstance(value, SpeechKind | AlertState | AgentState | DelegationPhase | UserState | Floor | SpeechCommand):
        return next(member for member in type(value) if member is not value)
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, bytes):
        return value + b"x"
    if isinstance(value, tuple):
        return (*value, value[0] if value else "x")
    return dict(value) | {"x": 1}


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: type(r).__name__)
def test_record_comes_back_when_it_goes_over_a_message(record):
    topic, type_name, tree = wire.to_tree(record)
    assert wire.OUTPUT_TYPES[topic] == type_name
    assert same(wire.published(topic, tree_to_message(typestore(), type_name, tree)), record)


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: type(r).__name__)
def test_digest_changes_with_every_field_but_those_of_the_wall_clock(record):
    for field in dataclasses.fields(record):
        other = dataclasses.replace(record, **{field.name: changed(getattr(record, field.name))})
        is_wall_clock = isinstance(record, TurnMetrics) and field.name in WALL_CLOCK
        assert (digest(other) == digest(record)) == is_wall_clock, field.name


def test_every_output_is_covered_when_records_are_listed():
    assert {wire.to_tree(record)[0] for record in RECORDS} == set(wire.OUTPUT_TYPES)


def test_stamp_of_arrival_is_used_when_a_driver_stamps_nothing():
    tree = {"encoding": "S16LE", "sample_rate": 16_000, "channels": 2, "data": bytes(6400)}
    message = tree_to_message(typestore(), "tml_interfaces/msg/AudioChunk", tree)
    chunk = wire.audio_chunk(message, NS)
    assert chunk == AudioChunk(NS - 100_000_000, "", 0, 16_000, 2, "S16LE", chunk.data)


def test_playback_state_is_read_or_refused_with_the_known_ones():
    store, name = typestore(), "tml_interfaces/msg/PlaybackStatus"
    assert wire.playback_report(tree_to_message(store, name, {"state": 1})).state is PlaybackState.PLAYING
    with pytest.raises(InputError, match="playback state 99 is unknown; expected one of 0 IDLE"):
        wire.playback_report(tree_to_message(store, name, {"state": 99}))
