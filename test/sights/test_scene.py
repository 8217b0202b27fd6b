"""Rendered scenes: the same from the same numbers, and truth that is really in the pictures."""

from itertools import pairwise

import cv2
import numpy as np
import pytest

from tml_ros.errors import ConfigError
from tml_ros.sights import EVIDENCE, THEMES, SightEvent, SightKind, SightScene, make_scene
from tml_ros.sights.labels import Role, label, shares
from tml_ros.sights.scene import NEWCOMER, SLOUCHER
from tml_ros.sights.sheet import main
from tml_ros.sights.theme_parts import random_stage
from tml_ros.sights.tracks import Repetitions, Track

SEED = 11


def find(theme: str, kind: SightKind, *, after_s: float = 0.5) -> tuple[SightScene, SightEvent]:
    """Return the first scene of a theme in which something happens that is not there from the start."""
    for index in range(60):
        scene = make_scene(SEED, index, theme, 10.0)
        for event in scene.truth():
            if event.kind is kind and event.begin_s > after_s:
                return scene, event
    raise AssertionError(f"no {kind} in 60 scenes of {theme}")


@pytest.mark.parametrize("theme", sorted(THEMES))
def test_pictures_are_the_same_when_seed_and_index_are(theme):
    one, two, other = (make_scene(3, index, theme, 8.0) for index in (5, 5, 6))
    times = (0.0, 6.3, 3.1)
    backwards = {time_s: two.picture(time_s, (160, 120)) for time_s in reversed(times)}
    for time_s in times:
        picture = one.picture(time_s, (160, 120))
        assert picture.shape == (120, 160, 3) and picture.dtype == np.uint8 and picture.flags.c_contiguous
        assert np.array_equal(picture, backwards[time_s])
    assert one.truth() == two.truth()
    assert not np.array_equal(one.picture(0.0, (160, 120)), other.picture(0.0, (160, 120)))


def test_frames_have_the_rate_and_size_when_asked_for():
    frames = list(make_scene(3, 0, "quiet", 8.0).frames(2.5, (160, 90)))
    assert [time_s for time_s, _ in frames] == pytest.approx(np.arange(20) / 2.5)
    assert frames[0][1].shape == (90, 160, 3)


def test_truth_names_nothing_when_there_are_only_look_alikes():
    kinds = [event.kind for index in range(8) for event in make_scene(SEED, index, "quiet", 8.0).truth()]
    assert kinds == []


@pytest.mark.parametrize(
    ("theme", "kind", "role"),
    [
        ("hazards", SightKind.FLAME, Role.FLAME),
        ("hazards", SightKind.SMOKE, Role.SMOKE),
        ("hazards", SightKind.SPILL, Role.SPILL),
    ],
)
def test_event_begins_when_its_area_reaches_the_threshold(theme, kind, role):
    scene, event = find(theme, kind)
    now, before = (
        shares(scene.labels(time_s)).get(label(role, event.actor), 0.0)
        for time_s in (event.begin_s, event.begin_s - 0.1)
    )
    assert before < EVIDENCE[kind] <= now
    changed = np.abs(scene.picture(event.end_s).astype(int) - scene.picture(0.0).astype(int)).max(axis=2) > 24
    left, up, right, down = (np.array(event.box) * (320, 240, 320, 240)).astype(int)
    assert changed[up:down, left:right].mean() > 0.05


def test_hand_is_in_the_zone_when_truth_says_so():
    scene, event = find("hands", SightKind.HAND_IN_ZONE)
    xs, ys = zip(*scene.zone, strict=True)
    left, up, right, down = event.box
    assert min(xs) - 0.02 <= left < right <= max(xs) + 0.02
    assert min(ys) - 0.02 <= up < down <= max(ys) + 0.02


def test_pictures_repeat_only_when_the_camera_is_frozen():
    scene, event = find("faults", SightKind.FROZEN)
    frames = list(scene.frames(10.0, (160, 120)))
    repeated = [now for (_, old), (now, new) in pairwise(frames) if np.array_equal(old, new)]
    assert repeated[0] == pytest.approx(event.begin_s) and repeated[-1] == pytest.approx(event.end_s)
    assert len(repeated) == round((event.end_s - event.begin_s) * 10) + 1


def test_picture_is_dark_when_truth_says_so():
    scene, event = find("faults", SightKind.TOO_DARK)
    middle = scene.picture((event.begin_s + event.end_s) / 2)
    assert np.asarray(cv2.cvtColor(middle, cv2.COLOR_RGB2GRAY)).mean() < 45
    assert scene.picture(event.begin_s - 0.5).mean() > middle.mean()


def test_half_of_the_picture_is_hidden_when_the_lens_is_covered():
    scene, event = find("faults", SightKind.LENS_COVERED)
    during, before = scene.picture(event.begin_s + 0.5), scene.picture(event.begin_s - 0.9)
    assert (np.abs(during.astype(int) - before.astype(int)).max(axis=2) > 12).mean() > 0.4


def test_face_is_bare_when_goggles_are_missing():
    scene, event = find("eyewear", SightKind.GOGGLES_MISSING)
    found = shares(scene.labels(event.begin_s))
    face, eyes = (found[label(role, event.actor)] for role in (Role.FACE, Role.EYES))
    assert face + eyes >= EVIDENCE[SightKind.GOGGLES_MISSING] and label(Role.EYEWEAR, event.actor) not in found


@pytest.mark.parametrize(
    ("theme", "kind", "mark", "least"),
    [("walks", SightKind.PERSON_ENTERS, NEWCOMER, 0.004), ("desk", SightKind.SLOUCHING, SLOUCHER, 0.02)],
)
def test_people_are_marked_when_truth_says_so_of_them(theme, kind, mark, least):
    scene, event = find(theme, kind)
    before_s = event.begin_s - 0.1
    shown = {
        time_s: float((scene.marks(scene.labels(time_s), time_s) & mark > 0).mean())
        for time_s in (before_s, event.begin_s)
    }
    others = [one for one in scene.truth() if one is not event and one.kind is kind]
    assert shown[event.begin_s] >= least
    assert shown[before_s] < least or any(one.begin_s <= before_s <= one.end_s for one in others)
    if kind is SightKind.PERSON_ENTERS:
        assert not (scene.marks(scene.labels(0.0), 0.0) & mark).any()


def test_repetitions_are_counted_when_they_are_complete():
    scene = make_scene(SEED, 1, "exercise", 15.0)
    found = [event for event in scene.truth() if event.kind is SightKind.REPETITION]
    assert [event.number for event in found] == list(range(1, len(found) + 1)) and len(found) >= 3
    assert all(one.end_s == two.begin_s for one, two in pairwise(found))
    rest, turn = scene.labels(found[0].begin_s), scene.labels((found[0].begin_s + found[0].end_s) / 2 - 0.1)
    assert (rest != turn).mean() > 0.005


def test_depth_is_one_in_the_middle_when_motion_does_not_rest():
    moves = Repetitions("squats", (1.0, 3.0, 4.0))
    assert [round(moves.depth(time_s), 6) for time_s in (0.0, 1.0, 2.0, 3.5, 4.0, 9.0)] == [
        0.0,
        0.0,
        1.0,
        1.0,
        0.0,
        0.0,
    ]
    assert Repetitions("squats", (0.0, 2.0), hold=0.5).depth(1.5) == pytest.approx(0.0)


def test_track_stays_when_it_is_before_its_first_or_after_its_last_key():
    track = Track.of((1.0, 2.0), (2.0, 4.0))
    assert [track.at(time_s) for time_s in (0.0, 1.0, 1.5, 2.0, 9.0)] == [2.0, 2.0, 3.0, 4.0, 4.0]


def test_stage_keeps_bright_enough_when_its_light_is_switched():
    for seed in range(40):
        stage = random_stage("x", np.random.default_rng(seed), 10.0, lambda canvas: None, (), faults=0.0)
        assert min(stage.camera.light.values) >= 0.4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"seed": -1, "index": 0}, "must not be negative"),
        ({"seed": 0, "index": 0, "theme": "hand"}, "hands"),
        ({"seed": 0, "index": 0, "duration_s": 2.0}, "at least 8"),
    ],
)
def test_scene_is_refused_when_an_argument_is_wrong(arguments, words):
    with pytest.raises(ConfigError, match=words):
        make_scene(**arguments)


def test_frames_are_refused_when_the_rate_is_zero():
    with pytest.raises(ConfigError, match="above 0"):
        next(make_scene(0, 0).frames(0.0))


def test_contact_sheet_is_written_when_asked_for(tmp_path):
    out = tmp_path / "sheet.png"
    main([str(out), "--theme", "hands", "--index", "1", "--columns", "3", "--rows", "2"])
    assert cv2.imread(str(out)).shape == (480, 960, 3)
