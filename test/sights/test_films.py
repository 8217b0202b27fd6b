"""Real films with their labels as pictures and truth."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tml_ros.errors import InputError
from tml_ros.sights import SightKind, load_films

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "video"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a film of 20 pictures of 64x48 at 10 Hz, whose grey value is ten times their number."""
    writer = cv2.VideoWriter(str(tmp_path / "film.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (64, 48))
    for number in range(20):
        writer.write(np.full((48, 64, 3), 10 * number, np.uint8))
    writer.release()
    return tmp_path


def label(folder: Path, **labels: object) -> None:
    (folder / "labels.json").write_text(json.dumps({"film.avi": labels}))


def test_film_gives_its_pictures_when_another_rate_is_asked_for(folder):
    label(folder)
    (film,) = load_films(folder)
    shown = list(film.frames(5.0, (32, 24)))
    assert [round(time_s, 6) for time_s, _ in shown] == [n / 5 for n in range(10)]
    assert [round(float(rgb.mean()) / 10) for _, rgb in shown] == list(range(0, 20, 2))
    assert shown[0][1].shape == (24, 32, 3) and len(list(film.frames())) == 20


def test_film_has_the_removals_when_they_are_labelled(folder):
    label(folder, events=["0.2 left out", "0.5 right out", "1.0 left back"], zone=[[0, 0], [1, 0], [1, 1]])
    (film,) = load_films(folder)
    found = [(event.kind, event.begin_s, event.end_s, event.what) for event in film.truth()]
    away = SightKind.OBJECT_AWAY
    assert found == [(away, 0.2, 1.0, "left"), (away, 0.5, pytest.approx(1.9), "right")]
    assert film.zone == ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))


def test_film_has_events_of_any_kind_when_they_are_labelled(folder):
    label(folder, truth=[{"kind": "person_enters", "begin_s": 0.4, "end_s": 1.2, "box": [0, 0.1, 0.5, 1]}])
    (event,) = load_films(folder)[0].truth()
    assert (event.kind, event.begin_s, event.box) == (SightKind.PERSON_ENTERS, 0.4, (0.0, 0.1, 0.5, 1.0))


@pytest.mark.parametrize("wrong", [{"events": ["0.2 left"]}, {"truth": [{"kind": "ufo", "begin_s": 0, "end_s": 1}]}])
def test_film_is_refused_when_a_label_makes_no_sense(folder, wrong):
    label(folder, **wrong)
    with pytest.raises(InputError, match=r"film\.avi"):
        load_films(folder)


def test_folder_is_refused_when_it_has_no_labels(tmp_path):
    with pytest.raises(InputError, match=r"labels\.json"):
        load_films(tmp_path)


@pytest.mark.skipif(not SHARED.is_dir(), reason="real films are not here")
def test_real_films_have_their_removals_when_they_are_here():
    films = {film.theme: film for film in load_films(SHARED)}
    assert len(films["bottle-detection"].truth()) == 4
    assert next(films["worker-zone-detection"].frames(10.0, (320, 240)))[1].shape == (240, 320, 3)
