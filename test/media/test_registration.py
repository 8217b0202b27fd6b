"""How far a picture is shifted, in pictures that are shifted here by a known way."""

import cv2
import numpy as np

from tml_ros.media.registration import local_contrast, moved, shift_between

NONE = np.zeros(2)


def room() -> np.ndarray:
    """A textured wall. [120, 160] float32."""
    wall = np.random.default_rng(3).uniform(20, 230, (120, 160)).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(wall, (0, 0), 3), np.float32)


def shifted(picture: np.ndarray, right: float, down: float) -> np.ndarray:
    return moved(picture, np.array([-right, -down]))


def test_shift_is_found_when_the_camera_moved_by_parts_of_a_pixel():
    picture = shifted(room(), 1.4, -0.7)
    found = shift_between(local_contrast(room()), local_contrast(picture), NONE)
    assert np.abs(found - (1.4, -0.7)).max() < 0.1
    assert np.abs(moved(picture, found) - room())[8:-8, 8:-8].mean() < 1.0


def test_shift_is_that_of_the_rest_when_what_moves_by_itself_is_set_aside():
    def picture(right: float) -> np.ndarray:
        drawn = shifted(room(), right, 0.0)
        drawn[40:60, 60 + round(4 * right) : 90 + round(4 * right)] = 250.0
        return drawn

    aside = np.zeros((120, 160), np.bool_)
    aside[34:66, 54:100] = True
    found = shift_between(local_contrast(picture(0.0)), local_contrast(picture(0.75)), NONE, aside)
    assert abs(found[0] - 0.75) < 0.15
    assert abs(found[1]) < 0.15


def test_shift_stays_what_it_was_when_there_is_nothing_to_see():
    blank = np.full((120, 160), 90.0, np.float32)
    assert shift_between(blank, blank, np.array([1.0, 2.0])).tolist() == [1.0, 2.0]
