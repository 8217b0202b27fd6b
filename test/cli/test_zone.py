"""``tml zone``: a polygon and a picture of it, from a picture or a bag, with and without a polygon."""

import json

import cv2
import numpy as np
import pytest
import yaml

from tml_ros.bags import BagWriter
from tml_ros.cli.main import main
from tml_ros.cli.zone import Corners

SQUARE = "0.25,0.25 0.75,0.25 0.75,0.75 0.25,0.75"


@pytest.fixture
def photo(tmp_path, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    path = tmp_path / "bench.png"
    cv2.imwrite(str(path), np.full((480, 800, 3), 60, np.uint8))
    return path


def run(capsys, *arguments) -> tuple[int, dict, str]:
    code = main(["zone", *map(str, arguments)])
    done = capsys.readouterr()
    last = done.out.strip().splitlines()[-1] if done.out.strip() else "{}"
    return code, json.loads(last) if last.startswith("{") else {}, done.err


def colour(path, x: float, y: float) -> list[int]:
    picture = cv2.imread(str(path))
    return picture[round(y * picture.shape[0]), round(x * picture.shape[1])].tolist()


def test_polygon_is_written_and_shown_when_it_is_given(photo, tmp_path, capsys):
    out = tmp_path / "lab" / "zones.yaml"
    code, found, _ = run(capsys, photo, "--out", out, "--name", "sink", "--polygon", SQUARE, "--json")
    assert code == 0 and found["area"] == 0.25
    assert yaml.safe_load(out.read_text()) == {
        "zones": {"sink": [[0.25, 0.25], [0.75, 0.25], [0.75, 0.75], [0.25, 0.75]]}
    }
    shown = out.with_suffix(".jpg")
    assert colour(shown, 0.3, 0.3) != colour(photo, 0.3, 0.3)
    assert np.abs(np.subtract(colour(shown, 0.1, 0.1), 60)).max() < 4


def test_zones_stay_when_another_is_added(photo, tmp_path, capsys):
    out = tmp_path / "zones.yaml"
    for name in ("a", "b", "a"):
        assert run(capsys, photo, "--out", out, "--name", name, "--polygon", SQUARE)[0] == 0
    assert list(yaml.safe_load(out.read_text())["zones"]) == ["a", "b"]


def test_grid_is_drawn_when_there_is_neither_polygon_nor_display(photo, tmp_path, capsys):
    out = tmp_path / "zones.yaml"
    code, found, _ = run(capsys, photo, "--out", out, "--json")
    assert (code, found["points"], out.exists()) == (0, None, False)
    shown = found["picture"]
    assert max(colour(shown, 0.35, 0.35)) < 80 < 150 < min(colour(shown, 0.35, 0.4))


def test_grid_is_drawn_when_no_window_can_be_opened(photo, tmp_path, capsys, monkeypatch):
    if "GUI:                           NONE" not in cv2.getBuildInformation():
        pytest.skip("this OpenCV can open windows")
    monkeypatch.setenv("DISPLAY", ":99")
    assert run(capsys, photo, "--out", tmp_path / "z.yaml", "--json")[1]["points"] is None


def test_picture_of_the_time_is_taken_when_a_bag_is_given(photo, tmp_path, capsys):
    with BagWriter(tmp_path / "bag") as writer:
        for number in range(10):
            rgb = np.full((120, 160, 3), 20 * number, np.uint8)
            tree = {"height": 120, "width": 160, "step": 480, "encoding": "rgb8", "data": rgb.tobytes()}
            writer.write("/camera/image_raw", "sensor_msgs/msg/Image", tree, number * 1_000_000_000)
    out = tmp_path / "zones.yaml"
    code, found, _ = run(
        capsys, tmp_path / "bag", "--out", out, "--time", 4.5, "--polygon", "0,0 0.2,0 0.2,0.2", "--json"
    )
    assert code == 0 and abs(colour(found["picture"], 0.7, 0.7)[0] - 100) < 4
    code, _, err = run(capsys, tmp_path / "bag", "--out", out, "--time", 30, "--polygon", SQUARE)
    assert code == 1 and "from 30 s on" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--polygon", "0.1,0.1 0.5"), "'0.5', expected x,y"),
        (("--polygon", "10,20 30,40 50,60"), "divide pixels"),
        (("--polygon", "0.1,0.1 0.5,0.5"), "has 2 points"),
        (("--polygon", "0,0 1,1 1,0 0,1"), "sides 1 and 3 of the polygon cross"),
        (("--polygon", "0,0 0.5,0.5 1,1"), "no area"),
        (("--polygon", SQUARE, "--name", "the sink"), "letters, digits and _"),
    ],
)
def test_polygon_is_refused_when_it_is_none(photo, tmp_path, capsys, arguments, words):
    out = tmp_path / "zones.yaml"
    code, _, err = run(capsys, photo, "--out", out, *arguments)
    assert code == 1 and words in err and not out.exists()


def test_file_is_left_alone_when_it_holds_more_than_zones(photo, tmp_path, capsys):
    out = tmp_path / "rules.yaml"
    out.write_text("zones: {}\nrules: []\n")
    code, _, err = run(capsys, photo, "--out", out, "--polygon", SQUARE)
    assert code == 1 and "expected `zones:` alone" in err and out.read_text() == "zones: {}\nrules: []\n"


@pytest.mark.parametrize(
    ("name", "words"), [("gone.png", "is not there"), ("text.txt", "no picture that OpenCV reads")]
)
def test_source_is_refused_when_it_is_no_picture(photo, tmp_path, capsys, name, words):
    (tmp_path / "text.txt").write_text("text")
    code, _, err = run(capsys, tmp_path / name, "--out", tmp_path / "z.yaml", "--polygon", SQUARE)
    assert code == 1 and words in err


def test_corners_are_shares_of_the_picture_when_they_are_clicked():
    corners = Corners(200, 100)
    for x, y in ((0, 0), (99, 49), (199, 99)):
        corners.on_mouse(cv2.EVENT_LBUTTONDOWN, x, y)
    corners.on_mouse(cv2.EVENT_MOUSEMOVE, 5, 5)
    assert corners.points == [(0.0025, 0.005), (0.4975, 0.495), (0.9975, 0.995)]
    assert corners.drawn(np.zeros((100, 200, 3), np.uint8)).any()
    corners.on_mouse(cv2.EVENT_RBUTTONDOWN, 0, 0)
    assert len(corners.points) == 2
