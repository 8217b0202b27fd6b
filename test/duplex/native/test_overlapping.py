"""What a sound over the robot's voice adds to the chance that it stops."""

import numpy as np
import pytest

from tml_ros.duplex.cascade.config import CascadeConfig
from tml_ros.duplex.cascade.echo import EchoGuard
from tml_ros.duplex.cascade.floor import OverlapJudge
from tml_ros.duplex.native.overlapping import Overlap, OverlapStream
from tml_ros.records import MICRO_TURN_NS, MicroTurn, PlaybackReport, PlaybackState
from tml_ros.speech.synthesis import EspeakSynthesiser


class Vad:
    """Hears speech where a micro-turn is loud."""

    def push(self, audio):
        return [0.9 if np.abs(audio).max() > 0.01 else 0.0] * 6


def turn(number, audio, *, plays=True, reference=None):
    begin = number * MICRO_TURN_NS
    state = PlaybackState.PLAYING if plays else PlaybackState.IDLE
    playback = PlaybackReport(begin, 1, state, 0)
    return MicroTurn(number, begin, begin + MICRO_TURN_NS, audio, 1.0, reference=reference, playback=playback)


def leans(chance, sounds, **options):
    stream = OverlapStream(Vad(), OverlapJudge(CascadeConfig(), lambda audio: chance), EchoGuard(0.5))
    return [stream.lean(turn(number, audio, **options)) for number, audio in enumerate(sounds)]


LOUD, SILENT = (0.1 * np.random.default_rng(n).standard_normal(3200).astype(np.float32) * n for n in (1, 0))


def test_a_bid_leans_to_silence_and_a_murmur_to_talking_on():
    (silent, bid, *_), (_, murmur, *_) = (leans(chance, [SILENT, LOUD, LOUD]) for chance in (0.9, 0.05))
    assert murmur < silent < 0 < bid


def test_nothing_leans_when_the_robot_is_silent_or_hears_itself():
    assert leans(0.9, [SILENT, LOUD, LOUD], plays=False) == [0.0, 0.0, 0.0]
    assert leans(0.9, [LOUD], reference=LOUD)[0] == leans(0.9, [SILENT])[0] < 0


def test_a_sound_is_looked_at_once_more_when_it_has_ended():
    found = leans(0.9, [LOUD, SILENT, SILENT, SILENT])
    assert found[1] > 0 or found[2] > 0
    assert found[3] < 0


@pytest.mark.parametrize(("text", "is_bid"), [("stop talking please", True), ("mm-hm", False)])
def test_the_shipped_network_tells_a_bid_from_a_murmur(text, is_bid):
    sound = EspeakSynthesiser("en-us+f3").synthesise(text)
    sound = np.concatenate([np.zeros(2000, np.float32), sound, np.zeros(6400, np.float32)])
    sound = 0.5 * sound[: len(sound) // 3200 * 3200].reshape(-1, 3200)
    stream = Overlap().open()
    assert (max(stream.lean(turn(number, audio)) for number, audio in enumerate(sound)) > 3) is is_bid
