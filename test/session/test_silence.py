"""How long every sensor has been silent, by a clock that may stand still or be set."""

import pytest

from tml_ros.session.silence import Silence

S = 1_000_000_000


def test_silence_is_told_after_a_moment_and_never_by_a_clock_that_is_set():
    silence = Silence()
    assert [silence.tick(round(at_s * S)) for at_s in (0, 1, 2, 3, 4)] == [0] * 5  # drivers take their time
    assert silence.tick(5 * S) == 5 * S
    silence.feed()
    assert [silence.tick(round(at_s * S)) for at_s in (5.2, 5.4, 5.6)] == [0, 0, 0]
    assert silence.tick(round(5.8 * S)) == pytest.approx(0.6 * S)
    silence.feed()
    assert silence.tick(6 * S) == 0
    assert silence.tick(3_000 * S) == 2 * S  # set ahead: as much as a slow timer
    silence.feed()
    assert [silence.tick(round(at_s * S)) for at_s in (10, 10.2, 10.2, 10.2)] == [0, 0, 0, 0]
