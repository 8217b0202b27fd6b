"""The pictures of a scene: files of every kind, pace, size, and the rendered bench."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tml_ros.errors import SceneError
from tml_ros.replay.scene import RenderEvent, parse_scene
from tml_ros.replay.scene_bench import BenchRenderer
from tml_ros.replay.scene_video import frames, picture_count

S = 1_000_000_000


def show(folder: Path, *videos: dict[str, Any], duration_s: float = 2) -> list[tuple[int, NDArray[np.uint8]]]:
    return list(frames(parse_scene({"duration_s": duration_s, "video": list(videos)}, folder=folder)))


@pytest.fixture
def grey(tmp_path: Path) -> Path:
    """A folder ``grey`` of 12 pictures of 24x16, whose grey value is ten times their number."""
    (tmp_path / "grey").mkdir()
    for number in range(12):
        cv2.imwrite(str(tmp_path / "grey" / f"{number}.png"), np.full((16, 24, 3), 10 * number, np.uint8))
    return tmp_path


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A film of 10 pictures of 64x48 at 10 Hz, whose grey value is 20 times their number."""
    writer = cv2.VideoWriter(str(tmp_path / "film.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (64, 48))
    for number in range(10):
        writer.write(np.full((48, 64, 3), 20 * number, np.uint8))
    writer.release()
    return tmp_path


def numbers(shown: list[tuple[int, NDArray[np.uint8]]], step: int) -> list[int]:
    return [round(float(picture.mean()) / step) for _, picture in shown]


def test_folder_plays_in_order_of_numbers_when_names_have_no_zeros(grey: Path) -> None:
    shown = show(grey, {"at_s": 0.5, "file": "grey", "rate_hz": 10})
    assert numbers(shown, 10) == list(range(12))
    assert [time_ns for time_ns, _ in shown] == [S // 2 + n * S // 10 for n in range(12)]
    assert shown[0][1].shape == (16, 24, 3)


def test_pictures_repeat_or_drop_when_paces_differ(grey: Path) -> None:
    assert numbers(show(grey, {"at_s": 0, "file": "grey", "rate_hz": 10, "source_hz": 5}), 10)[:6] == [0, 0, 1, 1, 2, 2]
    assert numbers(show(grey, {"at_s": 0, "file": "grey", "rate_hz": 5, "source_hz": 10}), 10) == [0, 2, 4, 6, 8, 10]


def test_video_starts_again_when_it_loops(grey: Path, film: Path) -> None:
    assert numbers(show(grey, {"at_s": 0, "file": "grey", "loop": True}), 10)[10:14] == [10, 11, 0, 1]
    assert numbers(show(film, {"at_s": 0, "file": "film.avi", "loop": True}), 20)[8:12] == [8, 9, 0, 1]


def test_film_plays_at_its_pace_when_rate_differs(film: Path) -> None:
    assert numbers(show(film, {"at_s": 0, "file": "film.avi", "rate_hz": 10}), 20) == list(range(10))
    assert numbers(show(film, {"at_s": 0, "file": "film.avi", "rate_hz": 5}), 20) == [0, 2, 4, 6, 8]
    assert numbers(show(film, {"at_s": 0, "file": "film.avi", "rate_hz": 20}), 20) == [n // 2 for n in range(20)]


@pytest.mark.parametrize("rate_hz", [24.0, 30.0])
def test_every_picture_comes_once_when_stamps_of_the_film_are_rounded(rate_hz: float, tmp_path: Path) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "film.mkv"), cv2.VideoWriter.fourcc(*"MJPG"), rate_hz, (64, 48))
    for number in range(24):
        writer.write(np.full((48, 64, 3), 10 * number, np.uint8))
    writer.release()
    assert numbers(show(tmp_path, {"at_s": 0, "file": "film.mkv", "rate_hz": rate_hz}), 10) == list(range(24))


def test_beginning_is_skipped_when_from_is_given(film: Path) -> None:
    shown = show(film, {"at_s": 1, "file": "film.avi", "from_s": 0.7})
    assert numbers(shown, 20) == [7, 8, 9]
    assert shown[0][0] == S


def test_picture_is_scaled_when_size_is_given(film: Path) -> None:
    assert show(film, {"at_s": 0, "file": "film.avi", "size": [32, 20]})[0][1].shape == (20, 32, 3)
    assert show(film, {"at_s": 0, "file": "film.avi", "size": [100, 90]})[0][1].shape == (90, 100, 3)


def test_still_stands_until_the_end_when_file_is_one_picture(grey: Path) -> None:
    shown = show(grey, {"at_s": 0, "until_s": 1, "file": "grey/3.png", "rate_hz": 4})
    assert numbers(shown, 10) == [3, 3, 3, 3]


def test_next_video_takes_over_when_it_starts(grey: Path) -> None:
    shown = show(grey, {"at_s": 1, "file": "grey/5.png"}, {"at_s": 0, "file": "grey/2.png"})
    assert numbers(shown, 10) == [2] * 10 + [5] * 10
    assert len({time_ns for time_ns, _ in shown}) == 20


def test_percent_sign_is_no_pattern_when_in_a_file_name(film: Path) -> None:
    (film / "film.avi").rename(film / "f%02d.avi")
    assert len(show(film, {"at_s": 0, "file": "f%02d.avi"})) == 10


def test_error_names_file_when_it_holds_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    for name in ("empty", "broken.mp4", "broken.png"):
        with pytest.raises(SceneError, match=f"{name} .*expected"):
            show(tmp_path, {"at_s": 0, "file": name})


@pytest.mark.parametrize("name", ["bottle-detection.mp4", "people-detection.gif"])
def test_real_film_plays_at_the_asked_rate_when_it_is_mp4_or_gif(name: str, shared_data: Path) -> None:
    shown = show(shared_data / "video", {"at_s": 0, "file": name, "rate_hz": 5}, duration_s=1.5)
    assert [time_ns for time_ns, _ in shown] == [n * S // 5 for n in range(8)]
    differences = [np.abs(a[1].astype(int) - b[1]).mean() for a, b in pairwise(shown)]
    assert shown[0][1].ndim == 3 and max(differences) > 0.1


def test_count_is_that_of_the_frames_when_nothing_ends_early(grey: Path) -> None:
    scene = parse_scene({"duration_s": 1.05, "video": [{"at_s": 0, "render": "bench", "size": [32, 24], "rate_hz": 7}]})
    assert picture_count(scene) == len(list(frames(scene))) == 8


# ----------------------------------------------------------------------------------------------------------- bench


def bench(*events: tuple[float, float, str], size: tuple[int, int] = (160, 120), seed: int = 0) -> BenchRenderer:
    return BenchRenderer(size, [RenderEvent(int(a * S), int(b * S), what) for a, b, what in events], seed)


def difference(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return [12, 16], the mean change in every tile of 10x10 pixels."""
    change = np.abs(a.astype(float) - b).mean(axis=2)
    return change.reshape(12, 10, 16, 10).mean(axis=(1, 3))


@pytest.mark.parametrize("what", ["hand", "flame", "spill", "person", "cover"])
def test_picture_changes_only_while_it_happens_when_event_is(what: str) -> None:
    calm, eventful = bench(), bench((2, 6, what))
    assert np.array_equal(calm.render(int(1.9 * S)), eventful.render(int(1.9 * S)))
    assert np.array_equal(calm.render(6 * S), eventful.render(6 * S))
    assert difference(calm.render(4 * S), eventful.render(4 * S)).max() > 20


@pytest.mark.parametrize(
    ("what", "rows", "columns"),
    [
        ("hand", (5, 10), (10, 16)),
        ("spill", (7, 12), (4, 12)),
        ("person", (2, 9), (5, 11)),
        ("cover", (0, 12), (0, 16)),
    ],
)
def test_change_lies_where_it_belongs_when_event_is(what: str, rows: tuple[int, int], columns: tuple[int, int]) -> None:
    changed = difference(bench().render(4 * S), bench((2, 6, what)).render(4 * S)) > 20
    inside = changed[slice(*rows), slice(*columns)]
    assert inside.sum() >= 3
    assert inside.sum() == changed.sum()


def test_picture_stands_still_when_frozen() -> None:
    frozen = bench((1, 3, "freeze"))
    assert np.array_equal(frozen.render(1 * S), frozen.render(int(2.9 * S)))
    assert not np.array_equal(frozen.render(1 * S), frozen.render(3 * S))


def test_picture_is_dark_when_lens_is_covered() -> None:
    assert bench((1, 3, "cover")).render(2 * S).mean() < 40 < 120 < bench().render(2 * S).mean()


def test_frames_differ_and_repeat_when_rendered_again() -> None:
    first, again = bench(seed=5), bench(seed=5)
    assert np.array_equal(first.render(S), again.render(S))
    assert not np.array_equal(first.render(S), first.render(S + S // 10))
    assert not np.array_equal(first.render(S), bench(seed=6).render(S))


@pytest.mark.parametrize("size", [(16, 16), (640, 480), (321, 97)])
def test_picture_has_the_size_when_asked_for(size: tuple[int, int]) -> None:
    everything = bench(*((0, 4, what) for what in ("hand", "flame", "spill", "person", "cover")), size=size)
    for time_s in (0.0, 0.1, 1.7, 3.95):
        assert everything.render(int(time_s * S)).shape == (size[1], size[0], 3)
