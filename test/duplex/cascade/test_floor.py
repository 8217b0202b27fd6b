"""Who wants the floor, on a clock of frames: onsets, looks, talk aside, false alarms, back-channels of the robot."""

import numpy as np
import pytest

from tml_ros.duplex.cascade.config import CascadeConfig
from tml_ros.duplex.cascade.floor import Bid, Mumbler, OverlapJudge, is_backchannel

FRAME, TURN = 512, 3200
MS = 1_000_000


class Room:
    """Feeds a judge micro-turn by micro-turn; somebody sounds from one millisecond to another."""

    def __init__(self, sounds, *, probability=lambda audio: 0.0, level=0.1, **settings) -> None:
        self.asked = []
        self.judge = OverlapJudge(
            CascadeConfig(**settings), lambda audio: self.asked.append(audio) or probability(audio)
        )
        self.level = level
        self.sounds = sounds
        self.turns = 0

    def is_sounding(self, sample: int) -> bool:
        return any(start <= sample / 16 < end for start, end in self.sounds)

    def turn(self, *, attends: bool = True) -> Bid:
        start, end = self.turns * TURN, (self.turns + 1) * TURN
        audio = np.array([self.level * (-1) ** n * self.is_sounding(n) for n in range(start, end)], np.float32)
        frames = [
            0.9 if self.is_sounding(n * FRAME + FRAME // 2) else 0.05 for n in range(start // FRAME, end // FRAME)
        ]
        self.turns += 1
        self.judge.hear(audio, frames, attends=attends)
        return self.judge.judge()

    def run(self, turns: int, **options) -> list[Bid]:
        return [self.turn(**options) for _ in range(turns)]


def test_nothing_is_asked_when_nobody_makes_a_sound():
    room = Room([])
    assert room.run(10) == [Bid.NONE] * 10
    assert room.asked == []


def test_floor_is_wanted_at_the_first_look_when_the_classifier_is_sure():
    room = Room([(400, 2000)], probability=lambda audio: 0.9)
    assert room.run(3) == [Bid.NONE, Bid.NONE, Bid.FLOOR]


def test_the_chance_of_a_bid_is_told_while_a_sound_lasts_and_once_after_it():
    room = Room([(400, 800)], probability=lambda audio: 0.3)
    chances = []
    for _ in range(8):
        room.turn()
        chances.append(room.judge.chance())
    heard = [number for number, chance in enumerate(chances) if chance == 0.3]
    assert heard == list(range(heard[0], heard[-1] + 1)) and 2 <= heard[0] < heard[-1] < 7
    assert all(chance is None for number, chance in enumerate(chances) if number not in heard)


def test_second_look_asks_for_less_when_the_first_was_not_sure():
    room = Room([(400, 2000)], probability=lambda audio: 0.5, overlap_first=0.6, overlap_later=0.4)
    assert room.run(4)[2:] == [Bid.LIKELY, Bid.FLOOR]


def test_too_little_is_not_judged_when_the_sound_has_just_begun():
    room = Room([(500, 2000)], probability=lambda audio: 0.9, overlap_first_ms=130)
    assert room.run(4)[2:] == [Bid.OPEN, Bid.FLOOR]
    assert len(room.asked) == 1


def test_classifier_hears_the_sound_from_just_before_its_onset_and_a_second_at_most():
    room = Room([(400, 3000)], barge_in_ms=3000)
    room.run(9)
    before, sound = room.asked[0][: 64 * 16], room.asked[0][64 * 16 :]
    assert np.abs(before[: 32 * 16]).max() == 0.0
    assert np.abs(sound[32 * 16 :]).min() > 0.0
    assert [len(audio) / 16_000 for audio in room.asked][-1] == 1.0
    assert all(len(a) < len(b) or len(b) == 16_000 for a, b in zip(room.asked, room.asked[1:], strict=False))


def test_beginning_is_what_counts_when_a_sound_goes_on_for_long():
    room = Room([(400, 5000)], barge_in_ms=3000)
    room.run(15)
    onset = room.asked[-1][: 96 * 16]
    assert np.abs(onset[: 32 * 16]).max() == 0.0 and np.abs(onset).max() > 0.0
    room.run(13)
    room.judge.was_false()
    assert np.array_equal(room.asked[-1][: 96 * 16], onset)


def test_robot_is_stopped_by_whoever_talks_on_when_the_classifier_says_no():
    bids = Room([(400, 4000)], barge_in_ms=700).run(8)
    assert bids.index(Bid.FLOOR) in (5, 6)


def test_sound_is_forgotten_when_it_is_over():
    room = Room([(400, 700)])
    assert room.run(7) == [Bid.NONE, Bid.NONE, Bid.OPEN, Bid.OPEN, Bid.NONE, Bid.NONE, Bid.NONE]
    assert room.judge.was_false()


def test_robot_hushes_for_a_while_when_the_classifier_is_not_sure():
    settings = {"overlap_later": 0.45, "overlap_hush": 0.3, "overlap_hush_ms": 400, "barge_in_ms": 3000}
    room = Room([(400, 2000)], probability=lambda audio: 0.35, **settings)
    assert room.run(6)[2:] == [Bid.LIKELY, Bid.LIKELY, Bid.OPEN, Bid.OPEN]
    room.sounds.append((3000, 4000))
    assert Bid.LIKELY in room.run(12)  # another sound, another doubt


def test_robot_does_not_hush_when_the_classifier_hears_no_bid():
    settings = {"overlap_later": 0.45, "overlap_hush": 0.4, "barge_in_ms": 3000}
    room = Room([(400, 2000)], probability=lambda audio: 0.39, **settings)
    assert set(room.run(10)) == {Bid.NONE, Bid.OPEN}


def test_short_word_stops_the_robot_when_only_the_whole_of_it_tells():
    room = Room([(400, 560)], probability=lambda audio: float(len(audio) > 6000))
    bids = room.run(7)
    assert bids[:4] == [Bid.NONE, Bid.NONE, Bid.OPEN, Bid.FLOOR]
    assert bids[4:] == [Bid.NONE] * 3


@pytest.mark.parametrize(("begins", "stops"), [(540, False), (410, True)])
def test_sound_is_nobodys_when_it_begins_just_before_a_turn_that_was_taken_out(begins, stops):
    room = Room([(begins, 600)], probability=lambda audio: 0.5)
    assert (Bid.FLOOR in room.run(7)) is stops


@pytest.mark.parametrize(("level", "is_own"), [(0.1, False), (0.003, True)])
def test_words_are_the_robots_own_when_nothing_of_them_is_as_loud_as_a_person(level, is_own):
    room = Room([(400, 1000)], probability=lambda audio: 0.9, level=level)
    room.run(8)
    assert room.judge.is_unlikely() is is_own


@pytest.mark.parametrize(("wanted", "stops"), [(0.2, True), (0.3, False)])
def test_sound_that_is_over_stops_the_robot_from_a_probability_of_its_own(wanted, stops):
    room = Room([(400, 560)], probability=lambda audio: 0.25, overlap_over=wanted)
    assert (Bid.FLOOR in room.run(7)) is stops


def test_sounds_are_not_added_up_when_there_is_silence_between():
    room = Room([(400, 700), (1200, 1500), (2000, 2300), (2800, 3100)], barge_in_ms=700)
    assert Bid.FLOOR not in room.run(18)


def test_nothing_is_followed_when_the_robot_is_silent():
    room = Room([(400, 3000)], probability=lambda audio: 1.0)
    assert room.run(10, attends=False) == [Bid.NONE] * 10
    assert room.turn() is not Bid.NONE  # who still talks when the robot begins is heard


def test_talk_aside_does_not_stop_the_robot_when_it_is_much_softer():
    room = Room([(400, 1400)], probability=lambda audio: 1.0, aside_db=15.0)
    room.run(8, attends=False)
    room.judge.note_addressed(400 * 16, 1400 * 16)
    room.sounds, room.level = [(2000, 5000)], 0.01
    assert set(room.run(12)) == {Bid.NONE}
    room.sounds, room.level = [(6000, 9000)], 0.05
    assert Bid.FLOOR in room.run(20)


@pytest.mark.parametrize("stop", [480, 5000])
def test_what_is_left_of_an_echo_does_not_stop_the_robot_whatever_it_sounds_like(stop):
    faint, loud = (Room([(400, stop)], probability=lambda audio: 0.95, level=level) for level in (0.004, 0.02))
    assert set(faint.run(12)) == {Bid.NONE}
    assert Bid.FLOOR in loud.run(12)


@pytest.mark.parametrize(("first", "whole", "was_false"), [(0.8, 0.1, True), (0.8, 0.8, False), (0.98, 0.1, False)])
def test_whole_of_a_sound_tells_whether_it_was_nothing_when_it_is_over_and_was_not_sure_before(first, whole, was_false):
    room = Room([(400, 900)], probability=lambda audio: first if len(audio) < 6000 else whole, overlap_first=0.7)
    assert Bid.FLOOR in room.run(3)
    room.run(5)
    assert room.judge.was_false() is was_false


def test_words_that_only_show_listening_are_told_apart():
    assert all(map(is_backchannel, ("mm hmm", "yeah", "OK right", "uh huh", "")))
    assert not any(map(is_backchannel, ("stop", "yeah but stop", "what")))


def test_robot_shows_that_it_listens_when_somebody_talks_at_length():
    mumbler = Mumbler(CascadeConfig(backchannel_after_ms=4000, backchannel_gap_ms=6000, backchannel_pause_ms=200))
    assert not mumbler.is_due(0, 3900, 300)
    assert not mumbler.is_due(0, 4100, 150)
    assert mumbler.is_due(0, 4100, 200)
    assert not mumbler.is_due(5_900 * MS, 9000, 300)
    assert mumbler.is_due(6_000 * MS, 9000, 300)
    assert not Mumbler(CascadeConfig(backchannel="")).is_due(0, 9000, 300)
