"""The baselines, each through its own stream and, where sound comes out, through the whole engine."""

import numpy as np
import pytest

from tml_ros.clock import ManualClock
from tml_ros.duplex import SessionInfo, available_models, create_model
from tml_ros.evaluation.room import ClosedRoom, RoomConfig
from tml_ros.records import MICRO_TURN_NS, MICRO_TURN_SAMPLES, Floor, MicroTurn, MicroTurnOutput
from tml_ros.session.build import build

TONE = (0.3 * np.sin(0.2 * np.arange(MICRO_TURN_SAMPLES))).astype(np.float32)
QUIET = np.zeros(MICRO_TURN_SAMPLES, np.float32)


def steps(name, sounds):
    stream = create_model(name).open(SessionInfo("s", 0))
    turns = (MicroTurn(n, n * MICRO_TURN_NS, (n + 1) * MICRO_TURN_NS, sound, 1.0) for n, sound in enumerate(sounds))
    return [stream.step(turn) for turn in turns]


@pytest.mark.parametrize("name", ["always_talk", "echo", "silence"])
def test_baseline_is_in_the_registry_when_models_are_listed(name):
    assert available_models()[name].startswith("tml_ros.duplex.baselines:")


def test_echo_is_one_utterance_of_the_same_sound_when_somebody_speaks():
    outputs = steps("echo", [QUIET, TONE, 0.5 * TONE, QUIET, QUIET])
    assert outputs[0] == outputs[4] == MicroTurnOutput()
    assert [one.floor for one in outputs[1:4]] == [Floor.SPEAK] * 3
    assert [one.speech[0].last for one in outputs[1:4]] == [False, False, True]
    assert all((one.audio == sound).all() for one, sound in zip(outputs[1:4], [TONE, 0.5 * TONE, QUIET], strict=True))


def test_echo_says_nothing_when_there_is_only_noise():
    noise = (0.005 * np.random.default_rng(0).standard_normal(MICRO_TURN_SAMPLES)).astype(np.float32)
    assert steps("echo", [noise]) == [MicroTurnOutput()]


def test_sound_leaves_the_loudspeaker_a_micro_turn_later_when_the_echo_model_hears_it():
    clock = ManualClock()
    assembly = build({"model": "echo"}, clock)
    room = ClosedRoom(assembly.engine, clock, RoomConfig(echo_db=None, react_s=0.0, noise_dbfs=-120.0))
    played = [room.step(sound).loudspeaker for sound in [QUIET, TONE, QUIET, QUIET, QUIET]]
    assembly.engine.close()
    loud = [float(np.abs(one).max()) > 0.1 for one in played]
    assert loud == [False, False, True, False, False]
