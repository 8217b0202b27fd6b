"""Time and bounds of a session with a server, on a clock that stands still."""

import time
from collections import Counter

import pytest

from tml_ros.duplex.protocol import SessionInfo
from tml_ros.duplex.remote.address import Address
from tml_ros.duplex.remote.config import RemoteConfig
from tml_ros.duplex.remote.stream import RemoteStream, is_paced
from tml_ros.records import MicroTurnOutput


class ScriptedTalk:
    """Is ready, sends one message per micro-turn, and is owed as many as it is told."""

    always_sends = False
    is_ready = True

    def __init__(self, owed: int = 0) -> None:
        self.outbox: list[str] = []
        self.counters: Counter[str] = Counter()
        self.owed = owed

    @property
    def is_owed(self) -> bool:
        return self.owed > 0

    def take(self, message: str) -> None:
        self.owed -= 1

    def hear(self, turn: object) -> None:
        self.outbox.append("sound")

    def say(self, turn: object) -> MicroTurnOutput:
        return MicroTurnOutput()


class ScriptedLink:
    """Every wait takes the time that it may, unless a message comes after ``answer_s``."""

    fault = ""
    address = Address.of("moshi", "ws://localhost", "", "")

    def __init__(self, answer_s: float | None = None, *, takes: bool = True) -> None:
        self.now_s = 0.0
        self.slept: list[float] = []
        self._answer_s = answer_s
        self._takes = takes
        self._came: list[str] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 3))
        self.now_s += seconds

    def send(self, message: str) -> bool:
        return self._takes

    def take(self) -> list[str]:
        came, self._came = self._came, []
        return came

    def wait(self, timeout_s: float) -> bool:
        has_come = self._answer_s is not None and self._answer_s < timeout_s
        self.now_s += self._answer_s if has_come else timeout_s
        self._came += ["answer"] * has_come
        return has_come


def stream(link: ScriptedLink, talk: ScriptedTalk | None = None, *, paced: bool = False) -> RemoteStream:
    clock = {"monotonic": lambda: link.now_s, "sleep": link.sleep}
    return RemoteStream(RemoteConfig(wait_ms=100), talk or ScriptedTalk(), link, paced=paced, **clock)


def test_micro_turns_are_held_to_the_speed_of_life_when_they_come_faster(turn):
    link = ScriptedLink()
    session = stream(link, paced=True)
    for number in range(3):
        session.step(turn(number))
    assert link.slept == [0.0, 0.2, 0.2]


def test_lost_time_is_made_up_for_when_a_micro_turn_took_long(turn):
    link = ScriptedLink()
    session = stream(link, paced=True)
    session.step(turn(0))
    link.now_s += 0.5
    for number in range(1, 4):
        session.step(turn(number))
    assert link.slept == [0.0, 0.0, 0.0, 0.1]


def test_nothing_is_held_back_when_the_microphone_sets_the_pace(turn):
    link = ScriptedLink()
    stream(link).step(turn(0))
    assert link.slept == []


@pytest.mark.parametrize(("owed", "took_s"), [(0, 0.0), (2, 0.06), (100, 0.1)])
def test_step_waits_for_what_it_is_owed_within_its_bound_when_more_is_to_come(turn, owed, took_s):
    link = ScriptedLink(answer_s=0.03)
    stream(link, ScriptedTalk(owed)).step(turn(0))
    assert link.now_s == pytest.approx(took_s)


def test_messages_are_counted_when_the_server_takes_none(turn):
    session = stream(ScriptedLink(takes=False))
    session.step(turn(0))
    assert session.counters() == {"unsent_messages": 1}


@pytest.mark.parametrize(
    ("pace", "age_s", "expected"),
    [
        ("auto", 0.5, False),
        ("auto", 3600.0, True),
        ("auto", -60.0, True),
        ("always", 0.5, True),
        ("never", 60.0, False),
    ],
)
def test_pace_is_kept_unless_the_session_is_of_this_moment_when_nobody_says_otherwise(pace, age_s, expected):
    info = SessionInfo("session", time.time_ns() - round(age_s * 1e9))
    assert is_paced(RemoteConfig(pace=pace), info) is expected
