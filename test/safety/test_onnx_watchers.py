"""Watchers that run ONNX files: what they tell comes from the picture by the file, and a missing file is told."""

import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from tml_ros.errors import ConfigError, MissingDependencyError
from tml_ros.safety import SafetyMonitor, load_lab
from tml_ros.safety.equipment import EquipmentConfig, EquipmentWatcher
from tml_ros.safety.objects import ObjectsConfig, ObjectsWatcher
from tml_ros.safety.onnx_boxes import BoxesConfig, read_boxes
from tml_ros.safety.onnx_model import Fitted, OnnxConfig
from tml_ros.safety.people_finder import DetectorConfig, PeopleConfig, PeopleFinder
from tml_ros.safety.person import PersonConfig, PersonWatcher
from tml_ros.safety.posture import PostureConfig, PostureWatcher
from tml_ros.safety.watcher import Surroundings
from tml_ros.safety.zones import Zone

sys.path.insert(0, str(Path(__file__).parent))
import onnx_models
from safety_scenes import noisy, room, turn, watch

NOWHERE = Surroundings()
LEFT = Surroundings({"left": Zone("left", ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)))})
GREY = (
    np.where((np.indices((120, 160)).sum(axis=0) // 16 % 2)[..., None] == 0, 100, 150)
    .repeat(3, axis=2)
    .astype(np.uint8)
)
NAMES = ("red", "green")
BOX = np.array([[[32.0, 16.0, 64.0, 32.0]]])


def marked(*spots: tuple[int, int, tuple[int, int, int]]) -> np.ndarray:
    """A grey picture with squares of 24 pixels: where their middles are, and their colours."""
    picture = GREY.copy()
    for x, y, colour in spots:
        picture[y - 12 : y + 12, x - 12 : x + 12] = colour
    return picture


def detector(path: Path) -> DetectorConfig:
    return DetectorConfig(OnnxConfig(str(path)), BoxesConfig(score=0.5), NAMES)


@pytest.mark.parametrize("make", [onnx_models.yolo, onnx_models.detr])
def test_things_are_found_where_they_are_when_a_detector_looks(make, tmp_path):
    config = ObjectsConfig(detector(make(tmp_path / "model.onnx")), wanted=("red",), every_s=0.0)
    watcher = ObjectsWatcher(config, NOWHERE)
    pictures = [GREY, marked((50, 50, (255, 0, 0))), marked((110, 30, (0, 255, 0)))]
    assert [one["count"] > 0 for one in watch(watcher, pictures)] == [False, True, False]


def test_box_is_where_the_thing_is_when_the_picture_is_letterboxed(tmp_path):
    finder = PeopleFinder(PeopleConfig(detector=detector(onnx_models.yolo(tmp_path / "m.onnx")), person="red"))
    from tml_ros.records import Frame
    from tml_ros.safety.eye import Eye

    boxes = finder.find(Eye().look(Frame(0, marked((50, 50, (255, 0, 0))))))
    assert boxes
    assert all(
        0.28 < 0.5 * (left + right) < 0.35 and 0.37 < 0.5 * (top + bottom) < 0.46 for left, top, right, bottom in boxes
    )


def test_only_what_is_in_the_zone_counts_when_one_is_given(tmp_path):
    config = ObjectsConfig(detector(onnx_models.yolo(tmp_path / "m.onnx")), zone="left", every_s=0.0)
    values = watch(ObjectsWatcher(config, LEFT), [marked((130, 50, (255, 0, 0))), marked((50, 50, (255, 0, 0)))])
    assert values[0]["count"] == 0
    assert values[1]["count"] > 0


def test_names_are_those_in_the_file_when_none_are_given(tmp_path):
    path = onnx_models.yolo(tmp_path / "m.onnx")
    model = onnx.load(str(path))
    model.metadata_props.add(key="names", value="{0: 'person', 1: 'bottle'}")
    onnx.save(model, str(path))
    find = PeopleConfig(detector=DetectorConfig(OnnxConfig(str(path)), BoxesConfig(score=0.5)), every_s=0.0)
    values = watch(PersonWatcher(PersonConfig(find=find), NOWHERE), [GREY, marked((50, 50, (255, 0, 0)))])
    assert [one["people"] > 0 for one in values] == [False, True]


def test_boxes_that_say_the_same_are_one_when_they_are_of_one_class():
    rows = np.zeros((1, 6, 3), np.float32)
    rows[0, :4] = np.array([[30, 31, 100], [30, 30, 100], [20, 20, 20], [20, 20, 20]])
    rows[0, 4] = (0.9, 0.8, 0.7)
    found = read_boxes({"out": rows}, Fitted(160, 160, 160.0, 160.0), 2, BoxesConfig())
    assert [round(one.score, 1) for one in found] == [0.9, 0.7]


@pytest.mark.parametrize(
    ("outputs", "corners"),
    [
        ({"boxes": BOX / 64.0, "labels": np.array([[1]]), "scores": np.array([[0.9]])}, "auto"),
        ({"boxes": BOX[..., [1, 0, 3, 2]], "scores": np.array([[0.9]]), "classes": np.array([[1.0]])}, "yxyx"),
        ({"out": np.concatenate([BOX, [[[0.9, 1.0]]]], axis=2)}, "auto"),
        ({"dets": BOX, "scores": np.array([[[0.1, 0.9]]])}, "auto"),
    ],
)
def test_boxes_are_read_when_detectors_put_them_out_in_other_ways(outputs, corners):
    arrays = {name: array.astype(np.int64 if name == "labels" else np.float32) for name, array in outputs.items()}
    found = read_boxes(arrays, Fitted(64, 64, 64.0, 64.0), 2, BoxesConfig(corners=corners))
    assert [(one.number, one.box) for one in found] == [(1, (0.5, 0.25, 1.0, 0.5))]


def test_outputs_are_refused_when_no_boxes_can_be_read_from_them():
    with pytest.raises(ConfigError, match=r"outputs out \[3, 9\].*2 classes"):
        read_boxes({"out": np.zeros((1, 3, 9), np.float32)}, Fitted(64, 64, 64.0, 64.0), 2, BoxesConfig())


def worker(x: int, colour: tuple[int, int, int]) -> np.ndarray:
    picture = room()
    cv2.rectangle(picture, (x - 8, 40), (x + 8, 110), colour, -1)
    return picture


def test_person_without_a_vest_is_told_when_several_looks_agree(tmp_path):
    config = EquipmentConfig(
        OnnxConfig(str(onnx_models.classifier(tmp_path / "m.onnx"))),
        names=("vest", "bare"),
        wrong=("bare",),
        every_s=0.2,
        find=PeopleConfig(method="motion"),
    )
    walk = range(30, 130, 4)
    wrong = []
    for colour in ((230, 40, 30), (30, 40, 60)):
        pictures = [noisy(room(), n) for n in range(15)] + [noisy(worker(x, colour), x) for x in walk]
        wrong.append([one["wrong"] for one in watch(EquipmentWatcher(config, NOWHERE), pictures)][15:])
    assert max(one or 0.0 for one in wrong[0]) == 0.0
    assert max(one or 0.0 for one in wrong[1]) == 1.0
    assert not any(wrong[1][:3])


def test_lean_is_measured_when_a_pose_model_tells_where_trunk_and_head_are(tmp_path):
    config = PostureConfig(
        OnnxConfig(str(onnx_models.pose(tmp_path / "m.onnx"))),
        shoulders=(0,), hips=(1,), ears=(2,), every_s=0.0,
    )  # fmt: skip
    hips, shoulders, ear = (0, 200, 0), (200, 0, 0), (0, 0, 200)
    upright = marked((80, 100, hips), (80, 60, shoulders), (80, 20, ear))
    bent = marked((80, 100, hips), (120, 60, shoulders), (140, 20, ear))
    values = watch(PostureWatcher(config, NOWHERE), [GREY, upright, bent, bent])
    assert values[0]["people"] == 0
    assert values[1]["trunk_deg"] == pytest.approx(0.0, abs=4.0)
    assert values[2]["trunk_deg"] == pytest.approx(45.0, abs=6.0)
    assert [one["slouching_s"] > 0.05 for one in values[1:]] == [False, True, True]


LAB = """version: 1
lab: bench
watchers:
  camera: {kind: camera}
  things: {kind: objects, detector: {model: {path: %s}, names: [red, green]}}
rules:
  thing: {when: {value: things.count, above: 0.5}, describe: There is something., severity: warning}
  frozen: {when: {value: camera.frozen, above: 0.5}, describe: Frozen.}
"""


def test_deployment_refuses_to_start_when_a_model_file_is_missing_unless_told_to(tmp_path, caplog):
    path = tmp_path / "lab.yaml"
    path.write_text(LAB % "nowhere.onnx", encoding="utf-8")
    with pytest.raises(
        MissingDependencyError, match=r"lab\.yaml:5: watchers\.things: .*'nowhere\.onnx'.*allow_missing"
    ):
        SafetyMonitor(load_lab(path))
    path.write_text(LAB % "nowhere.onnx" + "allow_missing: true\n", encoding="utf-8")
    monitor = SafetyMonitor(load_lab(path))
    assert "nowhere.onnx" in monitor.missing[0]
    assert "not watched" in caplog.text
    frozen = noisy(room(), 9)
    pictures = [[noisy(room(), 2 * n), noisy(room(), 2 * n + 1)] for n in range(6)] + [[frozen, frozen]] * 3
    raised = [alert.rule for n, one in enumerate(pictures) for alert in monitor.step(turn(n, one)).alerts]
    assert raised[0] == "frozen"
    assert "thing" not in raised


def test_file_is_refused_when_it_is_no_model_or_takes_no_picture(tmp_path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    with pytest.raises(ConfigError, match="onnxruntime cannot read"):
        ObjectsWatcher(ObjectsConfig(detector(broken)), NOWHERE)
    with pytest.raises(ConfigError, match="none that boxes of 2 classes"):
        ObjectsWatcher(ObjectsConfig(detector(onnx_models.classifier(tmp_path / "c.onnx"))), NOWHERE)
    with pytest.raises(ConfigError, match=r"no class 'rde'.*did you mean 'red'"):
        ObjectsWatcher(ObjectsConfig(detector(onnx_models.yolo(tmp_path / "m.onnx")), wanted=("rde",)), NOWHERE)
