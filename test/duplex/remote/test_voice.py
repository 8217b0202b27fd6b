"""Sound and words of a server, between its messages and the micro-turns."""

import numpy as np
import pytest

from tml_ros.duplex.remote.voice import SERVER_RATE_HZ, Voice

BLOCK = SERVER_RATE_HZ // 5


def sound(blocks: float) -> np.ndarray:
    return np.full(round(BLOCK * blocks), 0.5, np.float32)


def test_at_most_a_micro_turn_is_handed_out_when_the_answer_comes_at_once():
    voice = Voice()
    voice.add_sound("a", sound(2.5))
    voice.end("a")
    pieces = [voice.take() for _ in range(4)]
    assert [len(piece.audio) for piece in pieces[:2]] == [3_200, 3_200]
    assert 1_600 <= len(pieces[2].audio) <= 1_640  # and what the resampler held back
    assert [piece.last for piece in pieces[:3]] == [False, False, True]
    assert pieces[3] is None and not voice
    assert np.allclose(np.concatenate([piece.audio for piece in pieces[:3]])[200:7_800], 0.5, atol=1e-3)


def test_what_came_late_is_caught_up_with_when_the_sound_stumbles():
    voice = Voice()
    sizes = []
    for came in (1.0, 0.25, 0.0, 1.75, 1.0):
        voice.add_sound("a", sound(came))
        piece = voice.take()
        sizes.append(len(piece.audio) if piece else 0)
    assert sizes == [3_200, 800, 0, 5_600, 3_200]


def test_whole_words_go_with_their_sound_when_text_comes_in_pieces():
    voice = Voice()
    for text, blocks in ((" go", 1), (" for", 1), ("ward", 0), (" now", 1)):
        voice.add_words("a", text)
        voice.add_sound("a", sound(blocks))
    voice.end("a")
    assert [piece.text for piece in (voice.take(), voice.take(), voice.take())] == ["", "go", "forward now"]


def test_utterances_follow_one_another_when_two_have_come():
    voice = Voice()
    for key in "ab":
        voice.add_sound(key, sound(0.5))
    voice.end()
    assert [(piece.key, piece.last) for piece in (voice.take(), voice.take())] == [("a", True), ("b", True)]


@pytest.mark.parametrize(("taken", "expected"), [(0, ("a", 0.0)), (2, ("a", 0.4)), (3, ("b", 0.0)), (4, ("b", 0.2))])
def test_what_was_handed_out_is_told_when_the_rest_is_cut(taken, expected):
    voice = Voice()
    voice.add_sound("a", sound(2.5))
    voice.add_sound("b", sound(1))
    voice.end("a")
    for _ in range(taken):
        voice.take()
    assert voice.cut() == expected
    assert not voice and voice.cut() is None
    assert not voice.add_sound("b", sound(1)) and not voice.add_words("b", "late")
