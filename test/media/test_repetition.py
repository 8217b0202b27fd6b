"""Repetitions of a motion, counted in pictures that are drawn here with an exact truth."""

import cv2
import numpy as np
import pytest

from tml_ros.errors import ConfigError
from tml_ros.media.repetition import RepetitionCounter

SIZE = (160, 120)


def room(seed: int) -> np.ndarray:
    """A wall with furniture. [120, 160] uint8."""
    rng = np.random.default_rng(seed)
    wall = cv2.GaussianBlur(rng.integers(70, 150, (120, 160)).astype(np.uint8), (0, 0), 4)
    for _ in range(6):
        x, y, w, h = rng.integers(0, 120, 4)
        cv2.rectangle(wall, (int(x), int(y)), (int(x + w // 3), int(y + h // 4)), int(rng.integers(40, 220)), -1)
    return wall


def film(depth, *, seed: int = 0, shake: float = 0.0, light: float = 0.0, hz: float = 10.0, length_s: float = 30.0):
    """Yield (picture, time): a figure that is as low as ``depth`` of the time says, 0 to 1."""
    wall, rng = room(seed), np.random.default_rng(seed + 1)
    for number in range(round(length_s * hz)):
        at_s = number / hz
        view = wall.copy()
        y = round(30 + 32 * depth(at_s))
        cv2.ellipse(view, (80, y), (9, 9), 0, 0, 360, 225, -1, cv2.LINE_AA)
        cv2.rectangle(view, (66, y + 10), (94, y + 46), 35, -1)
        moved = np.float32([[1, 0, rng.normal(0, shake)], [0, 1, rng.normal(0, shake)]])
        view = cv2.warpAffine(view, moved, SIZE, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
        view = view * (1 + light * np.sin(at_s / 3.0)) + rng.normal(0, 3.0, view.shape)
        yield np.repeat(np.clip(view, 0, 255).astype(np.uint8)[..., None], 3, axis=2), at_s


def drill(count: int, period_s: float, begin_s: float = 2.0):
    """Return the depth of a motion that is repeated, and the time at which it is over."""
    end_s = begin_s + count * period_s
    return (
        lambda at_s: 0.5 - 0.5 * np.cos(2 * np.pi * (at_s - begin_s) / period_s) if begin_s < at_s < end_s else 0.0,
        end_s,
    )


def counts(pictures, counter: RepetitionCounter | None = None) -> list[int]:
    counter = counter or RepetitionCounter()
    return [counter.look(rgb, round(at_s * 1e9)) for rgb, at_s in pictures]


@pytest.mark.parametrize(("count", "period_s"), [(1, 3.0), (6, 1.2), (8, 2.0), (4, 5.0)])
def test_repetitions_are_counted_when_they_are_over(count, period_s):
    depth, end_s = drill(count, period_s)
    found = counts(film(depth, length_s=end_s + 3.0))
    assert found[-1] == count
    assert all(abs(number - (index / 10 - 2.0) / period_s) <= 1.0 for index, number in enumerate(found[60:-30], 60))


def test_repetitions_are_counted_when_the_camera_shakes_and_the_light_changes():
    depth, end_s = drill(7, 2.2)
    assert counts(film(depth, seed=3, shake=0.8, light=0.15, length_s=end_s + 4.0))[-1] == 7


@pytest.mark.parametrize("hz", [5.0, 15.0])
def test_count_is_the_same_when_the_camera_has_another_rate(hz):
    depth, end_s = drill(5, 2.4)
    assert counts(film(depth, hz=hz, length_s=end_s + 2.0))[-1] == 5


def test_nothing_is_counted_when_nothing_moves():
    assert set(counts(film(lambda at_s: 0.0, light=0.1, length_s=15.0))) == {0}


def test_somebody_who_walks_away_and_stays_away_is_no_repetition():
    assert counts(film(lambda at_s: min(1.0, max(0.0, at_s - 3.0)), length_s=15.0))[-1] == 0


def test_what_moves_elsewhere_is_not_counted_when_there_is_a_region():
    pictures = list(film(drill(6, 2.0)[0], length_s=16.0))
    assert counts(pictures, RepetitionCounter((0.3, 0.0, 0.7, 1.0)))[-1] == 6
    assert counts(pictures, RepetitionCounter((0.0, 0.0, 0.3, 1.0)))[-1] == 0


def test_count_goes_on_when_the_clock_is_set_or_pictures_are_missing():
    depth, end_s = drill(6, 2.0)
    pictures = list(film(depth, length_s=end_s + 2.0))
    jumped = [(rgb, at_s - 3_600.0 if at_s > 7.0 else at_s) for rgb, at_s in pictures]
    assert counts(jumped)[-1] == 6
    assert counts(pictures[:40] + pictures[43:])[-1] == 6


def test_motion_is_counted_anew_when_what_was_counted_was_a_small_thing_beside_it():
    depth, end_s = drill(5, 2.0, begin_s=8.0)

    def blink(pictures):
        for number, (rgb, at_s) in enumerate(pictures):
            if number % 16 < 8:
                rgb[100:112, 4:16] = 255
            yield rgb, at_s

    assert abs(counts(blink(film(depth, length_s=end_s + 2.0)))[-1] - 5) <= 1


def test_region_is_refused_when_it_is_empty_or_outside_of_the_picture():
    for region in ((0.5, 0.0, 0.5, 1.0), (0.0, 0.2, 1.0, 0.1), (0.0, 0.0, 1.2, 1.0), (0.0, 1.0)):
        with pytest.raises(ConfigError, match="left, top, right, bottom"):
            RepetitionCounter(region)


def test_bottles_that_are_lifted_and_put_back_are_counted_in_a_real_film(shared_data):
    path = shared_data / "video" / "bottle-detection.mp4"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    film_of_bottles, counter, next_s = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG), RepetitionCounter(), 0.0
    while True:
        found, picture = film_of_bottles.read()
        if not found:
            break
        at_s = film_of_bottles.get(cv2.CAP_PROP_POS_MSEC) / 1e3
        if at_s >= next_s:
            next_s += 0.1
            counter.look(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), round(at_s * 1e9))
    assert abs(counter.count - 4) <= 1  # four bottles, two of them at once
