"""A closed room: the robot's own voice comes back, decisions take effect late, everything is the same every time."""

from collections.abc import Mapping

import numpy as np
import pytest

from tml_ros.clock import ManualClock
from tml_ros.duplex.scripted import ScriptedDuplex
from tml_ros.errors import ConfigError
from tml_ros.evaluation.room import ClosedRoom, RoomConfig, RoomTurn, room_response
from tml_ros.intents import AllowList
from tml_ros.records import Floor, MicroTurnOutput, PlaybackState, SpeechPiece, SpeechText, TextInput, TextSource
from tml_ros.resources import locate
from tml_ros.session import InteractionConfig
from tml_ros.session.engine import InferenceEngine

TURN = 3_200
QUIET = np.zeros(TURN, np.float32)
_USUAL = RoomConfig()
Script = Mapping[int, MicroTurnOutput | Exception]


class ScriptedSynthesiser:
    """A tone of 0.2 s per word."""

    name = "scripted"

    def synthesise(self, text: str) -> np.ndarray:
        return (0.3 * np.sin(np.arange(TURN * len(text.split())) * 0.4)).astype(np.float32)


def room_with(script: Script, config: RoomConfig = _USUAL) -> tuple[ScriptedDuplex, ClosedRoom]:
    model, clock = ScriptedDuplex(script), ManualClock()
    allowed = AllowList.load(locate("config/intents.yaml"))
    engine = InferenceEngine(model, InteractionConfig(), ScriptedSynthesiser(), allowed, clock)
    return model, ClosedRoom(engine, clock, config)


def loud(sound: np.ndarray) -> np.ndarray:
    return np.flatnonzero(np.abs(sound) > 0.01)


def run(room: ClosedRoom, turns: int) -> list[RoomTurn]:
    return [room.step(QUIET) for _ in range(turns)]


SAYS = {1: MicroTurnOutput(Floor.SPEAK, speech=(SpeechText("one two three four five six seven eight"),))}


def test_answer_sounds_after_the_time_that_the_player_needs_when_the_model_speaks():
    _, room = room_with(SAYS, RoomConfig(react_s=0.1))
    said = np.concatenate([turn.loudspeaker for turn in run(room, 6)])
    assert 2 * TURN + 1_600 <= loud(said)[0] < 2 * TURN + 1_600 + 400


def test_microphone_hears_the_loudspeaker_late_and_softer_when_there_is_an_echo():
    model, room = room_with(SAYS, RoomConfig(echo_db=-10.0, echo_delay_s=0.05, noise_dbfs=-100.0))
    turns = run(room, 12)
    said = np.concatenate([turn.loudspeaker for turn in turns])
    heard = np.concatenate([turn.microphone for turn in turns])
    assert loud(heard)[0] - loud(said)[0] == pytest.approx(800, abs=40)
    assert model.turns[4].reference is not None
    assert np.array_equal(model.turns[4].reference, turns[4].loudspeaker)
    assert float(np.sum(room_response(RoomConfig(echo_db=-10.0)) ** 2)) == pytest.approx(0.1, rel=1e-3)


def test_microphone_hears_the_person_only_when_there_is_no_echo():
    model, room = room_with(SAYS, RoomConfig(echo_db=None, noise_dbfs=-100.0))
    assert all(np.abs(turn.microphone).max() < 1e-3 for turn in run(room, 8))
    assert all(turn.reference is None for turn in model.turns)
    assert room.step(np.full(TURN, 0.5, np.float32)).microphone == pytest.approx(0.5, abs=1e-3)


def test_loudspeaker_falls_silent_when_the_model_yields_and_is_told_of_it():
    model, room = room_with(SAYS | {4: MicroTurnOutput(Floor.YIELD)}, RoomConfig(react_s=0.05))
    said = np.concatenate([turn.loudspeaker for turn in run(room, 10)])
    assert loud(said)[-1] < 5 * TURN + 800 + 200
    states = [turn.playback.state for turn in model.turns if turn.playback is not None]
    assert PlaybackState.PLAYING in states
    assert states[-1] in (PlaybackState.FLUSHED, PlaybackState.IDLE)


def test_voice_goes_on_where_it_was_hushed():
    hushed = {n: MicroTurnOutput(Floor.HOLD, hushes=True) for n in (3, 4)}
    without, with_pause = (run(room_with(script)[1], 14) for script in (SAYS, SAYS | hushed))
    sounds = [np.concatenate([turn.loudspeaker for turn in turns]) for turns in (without, with_pause)]
    gap = np.diff(loud(sounds[1])).max()
    assert 2 * TURN - 400 < gap < 2 * TURN + 400
    total = [len(loud(sound)) for sound in sounds]
    assert total[1] == pytest.approx(total[0], rel=0.02)  # no sound was lost


def test_typed_line_reaches_the_model_when_it_is_given():
    model, room = room_with({})
    room.step(QUIET, texts=[TextInput(0, "hello", TextSource.USER)])
    assert [text.text for text in model.turns[0].texts] == ["hello"]
    assert room.now_s == pytest.approx(0.2)


def test_two_rooms_give_the_same_when_everything_is_the_same():
    one, other = (run(room_with(SAYS, RoomConfig(seed=3))[1], 8) for _ in range(2))
    for a, b in zip(one, other, strict=True):
        assert np.array_equal(a.microphone, b.microphone)
        pieces = [[r.text for r in turn.records if isinstance(r, SpeechPiece)] for turn in (a, b)]
        assert pieces[0] == pieces[1]


def test_room_is_refused_when_it_would_react_later_than_it_can_simulate():
    with pytest.raises(ConfigError, match="react_s"):
        room_with({}, RoomConfig(react_s=0.2))
