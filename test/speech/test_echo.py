"""The echo canceller on simulated rooms, with the real library: what goes away, what stays, what it costs nobody."""

import importlib.util
import logging
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from tml_ros.clock import ManualClock
from tml_ros.config import from_mapping
from tml_ros.duplex.baselines import SilenceModel
from tml_ros.duplex.cascade.vad import SileroVad
from tml_ros.errors import MissingDependencyError
from tml_ros.intents.allow_list import AllowList
from tml_ros.records import MICRO_TURN_NS, MicroTurn, TurnMetrics
from tml_ros.session.config import InteractionConfig
from tml_ros.session.engine import InferenceEngine
from tml_ros.speech import echo
from tml_ros.speech.echo import EchoCanceller, EchoConfig
from tml_ros.speech.echo_filter import BLOCK_SAMPLES, EchoFilter
from tml_ros.speech.synthesis import FliteSynthesiser
from tml_ros.windowing import ClosedWindow, WindowReport

RATE = 16_000
WINDOW = 3_200
DELAY = 340  # samples by which what was heard comes later
WORDS = (
    "The red bottle stands on the second shelf next to the blue one. I can bring it to the table if you like. "
    "First unscrew the lid and put it aside. Then pour two hundred millilitres of water into the beaker."
)


def db(sound: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.asarray(sound, np.float64) ** 2) + 1e-12))


def at_level(sound: np.ndarray, level_db: float) -> np.ndarray:
    return (sound * 10 ** ((level_db - db(sound)) / 20)).astype(np.float32)


def echo_of(played: np.ndarray, delay_ms: int = 40, gain_db: float = -10.0) -> np.ndarray:
    """Return what a room with a reverberation time of 0.3 s makes of it, and noise at -60 dBFS."""
    draw = np.random.default_rng(3)
    time = np.arange(int(0.3 * RATE)) / RATE
    room = draw.standard_normal(len(time)) * 10 ** (-3 * time / 0.3) * 0.015
    room[0] = 1.0
    heard = np.convolve(played, room)[: len(played)] * 10 ** (gain_db / 20)
    heard = np.roll(heard, delay_ms * RATE // 1000)
    heard[: max(0, delay_ms) * RATE // 1000] = 0.0
    return (heard + draw.standard_normal(len(heard)) * 1e-3).astype(np.float32)


def cancel(heard: np.ndarray, played: np.ndarray, **options) -> tuple[np.ndarray, EchoCanceller]:
    canceller = EchoCanceller(EchoConfig(**options))
    starts = range(0, len(heard) // WINDOW * WINDOW, WINDOW)
    return np.concatenate([canceller.process(heard[s : s + WINDOW], played[s : s + WINDOW]) for s in starts]), canceller


@pytest.fixture(scope="module")
def robot() -> np.ndarray:
    """Return 10 s of the robot's voice in whole windows at -20 dBFS."""
    said = FliteSynthesiser("slt").synthesise(WORDS)
    return at_level(np.tile(said, 2)[: 50 * WINDOW], -20.0)


@pytest.fixture(scope="module")
def person() -> np.ndarray:
    return at_level(FliteSynthesiser("rms").synthesise("Please go to the kitchen and wait there."), -20.0)


@pytest.mark.parametrize("delay_ms", [10, 40, 250])
def test_echo_goes_away_and_is_measured_when_only_the_robot_speaks(robot, delay_ms):
    heard = echo_of(robot, delay_ms)
    left, canceller = cancel(heard, robot)
    late = slice(5 * RATE, len(left))
    assert db(heard[late]) - db(left[late]) > 18
    assert canceller.meter.erle_db == pytest.approx(db(heard[7 * RATE :]) - db(left[7 * RATE :]), abs=4)
    assert canceller.meter.delay_sec == pytest.approx(delay_ms / 1e3, abs=1e-3)


def test_echo_goes_away_when_the_reference_is_stamped_later_than_it_sounds(robot):
    heard = echo_of(robot, -20)
    left, canceller = cancel(heard, robot)
    assert db(heard[6 * RATE :]) - db(left[6 * RATE :]) > 15
    assert canceller.meter.delay_sec == pytest.approx(-0.02, abs=1e-3)


def test_person_is_kept_when_he_speaks_over_the_robot(robot, person):
    alone, at = np.zeros_like(robot), slice(5 * RATE, 5 * RATE + len(person))
    alone[at] = person
    left, _ = cancel(echo_of(robot) + alone, robot)
    wanted, _ = cancel(alone, np.zeros_like(robot))
    assert db(left[at]) > db(person) - 3
    assert np.corrcoef(left[at], wanted[at])[0, 1] > 0.8


def near_of(heard: np.ndarray, played: np.ndarray) -> np.ndarray:
    """Return how surely somebody else sounds, block by block."""
    linear = EchoFilter()
    found = []
    for start in range(0, len(heard) // WINDOW * WINDOW, WINDOW):
        linear.process(heard[start : start + WINDOW], played[start : start + WINDOW])
        found.append(linear.near)
    return np.concatenate(found)


def test_short_word_is_not_pressed_down_when_it_is_softer_than_the_echo(robot):
    long = np.tile(robot, 2)
    heard = echo_of(long)
    word = FliteSynthesiser("rms").synthesise("up")
    soft, at = at_level(word, db(heard) - 6.0), slice(12 * RATE + 3000, 12 * RATE + 3000 + len(word))
    heard[at] += soft
    left, _ = cancel(heard, long)
    delayed = slice(at.start + DELAY, at.stop + DELAY)
    assert abs(db(left[delayed]) - db(soft)) < 1.0  # AEC3 alone takes 4 dB off
    without, _ = cancel(echo_of(long), long)
    assert db(without[delayed]) < db(soft) - 20.0


def test_filter_tells_where_somebody_else_sounds_once_it_knows_the_room(robot, person):
    long = np.tile(robot, 2)
    heard = echo_of(long)
    first = 12 * RATE // BLOCK_SAMPLES
    alone = near_of(heard, long)
    assert not alone[first:].any()
    heard[12 * RATE : 12 * RATE + len(person)] += at_level(person, db(heard) - 3.0)
    both = near_of(heard, long)
    assert np.mean(both[first + 5 : first + len(person) // BLOCK_SAMPLES] > 0.5) > 0.5
    assert not both[: 5 * RATE // BLOCK_SAMPLES].any()  # a filter that still learns does not tell


def test_microphone_is_not_held_back_for_a_wrong_delay_when_the_filter_works(robot):
    canceller, heard = EchoCanceller(EchoConfig()), echo_of(robot)
    for start in range(0, len(robot) // WINDOW * WINDOW, WINDOW):
        left = canceller.process(heard[start : start + WINDOW], robot[start : start + WINDOW])
        if start >= 6 * RATE:
            canceller.meter.delay_samples = -WINDOW  # as it has been found in the voice of a person
    assert len(canceller._held) == 160
    assert db(left) < db(heard[start : start + WINDOW]) - 18


def skipping(played: np.ndarray, at: int, skipped_ms: int) -> np.ndarray:
    """Return what a loudspeaker plays that falls silent for so long, or leaves out so much where that is negative."""
    gap = np.zeros(abs(skipped_ms) * RATE // 1000, np.float32)
    parts = [played[:at], gap, played[at:]] if skipped_ms > 0 else [played[:at], played[at + len(gap) :], gap]
    return np.concatenate(parts)[: len(played)]


@pytest.mark.parametrize("skipped_ms", [-30, 10, 77, 145])
def test_robot_does_not_hear_itself_when_the_loudspeaker_skips(robot, skipped_ms):
    long, at = np.tile(robot, 3), 15 * RATE + 5_000
    left, canceller = cancel(echo_of(skipping(long, at, skipped_ms)), long)
    speech = np.array(SileroVad().open().push(left)) >= 0.3
    assert np.sum(speech[at // 512 : (at + 3 * RATE) // 512]) <= 2  # 28 to 56 of 94 frames without any care
    assert np.sum(left[at : at + 3 * RATE] == 0.0) <= 0.6 * RATE  # deaf for two or three micro-turns
    assert canceller._filter.erle_db > 25.0


@pytest.mark.parametrize("after", [1_000, 2_500, 4_000, 9_000])
def test_robot_does_not_hear_itself_when_one_skip_follows_another(robot, after):
    long, at = np.tile(robot, 3), 15 * RATE + 5_000
    left, canceller = cancel(echo_of(skipping(skipping(long, at, 13), at + after, 44)), long)
    speech = np.array(SileroVad().open().push(left)) >= 0.3
    assert np.sum(speech[at // 512 : (at + 3 * RATE) // 512]) <= 3
    assert canceller._filter.erle_db > 25.0


def test_robot_does_not_hear_itself_when_its_windows_follow_a_clock_that_wanders(robot):
    long = np.tile(robot, 3)
    long[np.arange(len(long)) // RATE % 2 == 1] = 0.0  # nothing can be learnt in its pauses
    heard = echo_of(long)
    follows = np.maximum(0, np.arange(len(heard)) - 20 * RATE) // 4_000  # a sample left out every quarter of a second
    near = near_of(heard[np.minimum(np.arange(len(heard)) + follows, len(heard) - 1)], long)
    assert np.sum(near[20 * RATE // BLOCK_SAMPLES :] > 0.3) <= 4


def test_person_is_not_silenced_when_the_windows_move_by_a_sample_meanwhile(robot, person):
    long, at = np.tile(robot, 2), 12 * RATE
    heard = echo_of(long)
    for moved in range(at + 1_000, at + len(person), 2 * WINDOW):
        heard[moved + 1 :] = heard[moved:-1].copy()
    heard[at : at + len(person)] += at_level(person, db(heard))
    left, _ = cancel(heard, long)
    assert np.sum(left[at : at + len(person)] == 0.0) < WINDOW // 4


def blocks_db(sound: np.ndarray) -> np.ndarray:
    return np.array([db(block) for block in sound[: len(sound) // 960 * 960].reshape(-1, 960)])


def cancel_without_gate(heard: np.ndarray, played: np.ndarray) -> np.ndarray:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(echo, "_SHUT", 1.0)
        return cancel(heard, played)[0]


def test_rest_of_the_echo_is_pressed_down_when_it_comes_a_little_later_after_a_pause(robot):
    long = np.tile(robot, 3)
    long[np.arange(len(long)) // RATE % 3 == 2] = 0.0
    heard = echo_of(long)
    heard[20 * RATE :] = np.roll(heard, 5)[20 * RATE :]
    after = slice(21 * RATE, 22 * RATE)
    rest = cancel_without_gate(heard, long)
    assert blocks_db(rest[after]).max() > -56.0
    left, _ = cancel(heard, long)
    assert blocks_db(left[after]).max() < blocks_db(rest[after]).max() - 12.0


@pytest.mark.parametrize("level_db", [-10.0, 0.0])
def test_person_is_as_loud_as_without_the_gate_when_he_is_softer_than_the_echo(robot, person, level_db):
    long = np.tile(robot, 2)
    heard = echo_of(long)
    spoken = slice(12 * RATE, 12 * RATE + len(person))
    heard[spoken] += at_level(person, db(heard) + level_db)
    with_gate, without = cancel(heard, long)[0][spoken], cancel_without_gate(heard, long)[spoken]
    assert db(with_gate) > db(without) - 0.5
    assert np.corrcoef(with_gate, without)[0, 1] > 0.98


def test_gate_is_open_when_a_person_is_softer_than_a_hum_and_nothing_is_played(person):
    sound = np.zeros(10 * RATE, np.float32)
    sound[6 * RATE : 6 * RATE + len(person)] = at_level(person, -45.0)
    hum = 0.1 * np.sin(2 * np.pi * 50 * np.arange(len(sound)) / RATE).astype(np.float32)
    silent = np.zeros_like(sound)
    np.testing.assert_array_equal(cancel(sound + hum, silent)[0], cancel_without_gate(sound + hum, silent))


def test_person_is_kept_when_the_loudspeaker_skipped_a_second_before(robot, person):
    long, at = np.tile(robot, 3), 15 * RATE + 5_000
    heard = echo_of(skipping(long, at, 77))
    soft, spoken = at_level(person, db(heard) - 3.0), slice(at + RATE, at + RATE + len(person))
    heard[spoken] += soft
    left, _ = cancel(heard, long)
    delayed = slice(spoken.start + DELAY, spoken.stop + DELAY)
    assert db(left[delayed]) > db(soft) - 3.0  # 29 lower where the room is learnt anew


@pytest.mark.parametrize("level_db", [-12.0, 0.0, 6.0])
def test_person_is_not_taken_for_a_skip_when_he_speaks_over_the_robot(robot, person, level_db):
    long = np.tile(robot, 2)
    heard = echo_of(long)
    heard[12 * RATE : 12 * RATE + len(person)] += at_level(person, db(heard) + level_db)
    linear = EchoFilter()
    for start in range(0, len(heard) // WINDOW * WINDOW, WINDOW):
        linear.process(heard[start : start + WINDOW], long[start : start + WINDOW])
        assert not linear.lost.any()


def test_sound_is_untouched_when_nothing_is_known_of_what_is_played(person):
    canceller = EchoCanceller(EchoConfig())
    assert canceller.process(person[:WINDOW], None) is not None
    assert np.array_equal(canceller.process(person[:WINDOW], None), person[:WINDOW])
    off = EchoCanceller(EchoConfig(canceller="off"))
    assert np.array_equal(off.process(person[:WINDOW], person[:WINDOW]), person[:WINDOW])
    assert (canceller.meter.erle_db, canceller.meter.delay_sec) == (0.0, 0.0)


def test_robot_does_not_hear_itself_when_its_reference_is_late_and_hears_again_when_it_stays_away(robot):
    heard, canceller = echo_of(robot), EchoCanceller(EchoConfig())
    for start in range(0, 8 * RATE, WINDOW):
        canceller.process(heard[start : start + WINDOW], robot[start : start + WINDOW])
    without = [canceller.process(heard[s : s + WINDOW], None) for s in range(8 * RATE, 9 * RATE, WINDOW)]
    assert [bool(window.any()) for window in without] == [False, False, False, True, True]
    np.testing.assert_array_equal(without[4], heard[9 * RATE - WINDOW : 9 * RATE])


def test_person_is_hardly_changed_when_the_loudspeaker_is_silent(person):
    sound = person[: len(person) // WINDOW * WINDOW]
    left, canceller = cancel(sound, np.zeros_like(sound))
    assert abs(db(left) - db(sound)) < 1
    assert (canceller.meter.erle_db, canceller.meter.delay_sec) == (0.0, 0.0)


def test_echo_still_goes_away_when_both_streams_have_gaps(robot):
    heard, played = echo_of(robot), robot.copy()
    for start in range(WINDOW, len(heard), 7 * WINDOW):
        heard[start : start + 800] = 0.0
        played[start + 4 * WINDOW : start + 4 * WINDOW + 1200] = 0.0
    left, _ = cancel(heard, played)
    assert np.isfinite(left).all()
    assert db(heard[-RATE:]) - db(left[-RATE:]) > 15


def test_noise_goes_down_when_noise_suppression_is_on_and_nothing_is_played():
    noise = np.random.default_rng(1).standard_normal(20 * WINDOW).astype(np.float32) * 0.01
    canceller = EchoCanceller(EchoConfig(noise_suppression=True))
    left = np.concatenate([canceller.process(noise[s : s + WINDOW], None) for s in range(0, len(noise), WINDOW)])
    assert db(left[-RATE:]) < db(noise[-RATE:]) - 6


def test_one_line_says_what_to_do_when_the_wheel_is_missing(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"^[^\n]*pip install livekit[^\n]*echo\.canceller to off$"):
        EchoCanceller(EchoConfig())
    EchoCanceller(EchoConfig(canceller="off"))


PROGRAM = """
import hashlib, os, sys
import numpy as np
from tml_ros.speech.echo import EchoCanceller, EchoConfig
assert not any(name.startswith("livekit") for name in sys.modules)
draw = np.random.default_rng(0)
played = (draw.standard_normal(48_000) * 0.1).astype(np.float32)
heard = (np.roll(played, 640) * 0.3 + draw.standard_normal(48_000) * 0.01).astype(np.float32)
canceller, digest = EchoCanceller(EchoConfig()), hashlib.sha256()
for start in range(0, 48_000, 3_200):
    digest.update(canceller.process(heard[start : start + 3_200], played[start : start + 3_200]).tobytes())
print(digest.hexdigest(), canceller.meter.erle_db, canceller.meter.delay_sec)
paths = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
links = [os.readlink(path) for path in paths if os.path.islink(path)]
inodes = {link[8:-1] for link in links if link.startswith("socket:")}
for table in ("tcp", "tcp6", "udp", "udp6"):
    for line in open(f"/proc/self/net/{table}"):
        assert line.split()[9] not in inodes, f"a {table} socket is open"
"""


def test_sound_is_the_same_and_no_network_is_used_when_another_process_cancels_it():
    lines = []
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
        lines.append(done.stdout)
    assert lines[0] == lines[1]


# ------------------------------------------------------------------------------------------------------ the engine


def window(index: int, heard: np.ndarray, played: np.ndarray, session: int = 0) -> ClosedWindow:
    part = slice(index * WINDOW, (index + 1) * WINDOW)
    start_ns = 10**18 + index * MICRO_TURN_NS
    turn = MicroTurn(index, start_ns, start_ns + MICRO_TURN_NS, heard[part], 1.0, played[part])
    return ClosedWindow(session, turn, (), WindowReport(0, 0, 0, 0, 0.0, {}))


def engine(**values) -> InferenceEngine:
    config = from_mapping(InteractionConfig, {f"echo.{name}": value for name, value in values.items()})
    model = SilenceModel(SilenceModel.config_type())
    return InferenceEngine(model, config, FliteSynthesiser("slt"), AllowList.load(), ManualClock(10**18))


def test_model_hears_no_echo_and_metrics_say_so_when_the_engine_runs(robot):
    heard, running = echo_of(robot), engine()
    done = [running.process(window(index, heard, robot)) for index in range(50)]
    left = np.concatenate([one.turn.audio for one in done])
    assert db(heard[5 * RATE :]) - db(left[5 * RATE :]) > 18
    metrics = done[-1].records[-1]
    assert isinstance(metrics, TurnMetrics)
    assert metrics.erle_db > 15
    assert metrics.echo_delay_sec == pytest.approx(0.04, abs=1e-3)
    fresh = running.process(replace(window(0, heard, robot), session=1)).records[-1]
    assert (fresh.erle_db, fresh.echo_delay_sec) == (0.0, 0.0)


def test_sound_is_left_alone_when_the_microphone_is_muted_or_the_canceller_is_off(robot):
    heard = echo_of(robot)
    off = engine(canceller="off")
    assert np.array_equal(off.process(window(3, heard, robot)).turn.audio, heard[3 * WINDOW : 4 * WINDOW])
    muted = engine()
    muted.is_muted = True
    assert np.array_equal(muted.process(window(3, heard, robot)).turn.audio, heard[3 * WINDOW : 4 * WINDOW])


def test_talk_goes_on_with_the_echo_when_the_library_cannot_be_loaded(robot, monkeypatch, caplog):
    def broken(config):
        raise MissingDependencyError("the echo canceller needs livekit, but it is broken")

    monkeypatch.setattr(echo, "_load", broken)
    running, heard = engine(), echo_of(robot)
    with caplog.at_level(logging.ERROR):
        done = [running.process(window(index, heard, robot)) for index in range(3)]
    assert np.array_equal(done[2].turn.audio, heard[2 * WINDOW : 3 * WINDOW])
    assert done[2].records[-1].counters["echo_failures"] == 3
    assert [record.message for record in caplog.records].count(caplog.records[0].message) == 1
