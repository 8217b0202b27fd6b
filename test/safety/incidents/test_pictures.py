"""Faces are blurred before anything is written, in the evidence of alerts, too; what cannot be read is left out."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from tml_ros.safety.incidents import PictureConfig, read_summary
from tml_ros.safety.incidents.faces import FaceBlur


@pytest.fixture(scope="module")
def person(shared_data):
    """A person who looks into the camera. [H, W, 3] uint8."""
    video = cv2.VideoCapture(str(shared_data / "video" / "face-demographics-walking-and-pause.gif"))
    frames = []
    while (got := video.read())[0]:
        frames.append(got[1])
    return cv2.resize(cv2.cvtColor(frames[-1], cv2.COLOR_BGR2RGB), (384, 288), interpolation=cv2.INTER_AREA)


@pytest.fixture
def blurring(bench):
    bench.config = replace(bench.config, pictures=PictureConfig(max_rate_hz=100, blur_faces=True))
    bench.crash()
    bench.open()
    return bench


def is_recognised(rgb: np.ndarray, boxes: list) -> bool:
    """Whether a face is found where one was."""
    middles = [(x + w / 2, y + h / 2) for x, y, w, h in FaceBlur().find(rgb)]
    return any(x < at_x < x + w and y < at_y < y + h for at_x, at_y in middles for x, y, w, h in boxes)


def decoded(message) -> np.ndarray:
    return cv2.cvtColor(cv2.imdecode(message.data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def test_no_face_is_left_when_a_person_is_seen(blurring, tools, person):
    boxes = FaceBlur().find(person)
    assert is_recognised(person, boxes)
    blurring.feed(tools.picture(blurring.ros_ns, person))
    blurring.clock.advance_ns(100_000_000)
    evidence = {"format": "jpeg", "data": cv2.imencode(".jpg", person[..., ::-1])[1].tobytes()}
    blurring.feed(tools.alert_message(tools.ALERT, [evidence]))
    blurring.clock.advance_ns(100_000_000)
    blurring.feed(tools.jpeg(blurring.ros_ns, person))
    blurring.recorder.close()
    (name,) = blurring.names
    before, alert, after = blurring.messages(name)
    for kept in (before.message, alert.message.evidence[0], after.message):
        assert kept.format == "jpeg" and not is_recognised(decoded(kept), boxes)
    assert alert.message.description == "Something was spilled."
    summary = read_summary(blurring.folder / name)
    assert summary["faces_blurred"] >= 3


def test_place_stays_blurred_when_the_face_is_missed_for_a_moment(person):
    finder = FaceBlur()
    finder.blur(person.copy(), 0)
    empty = np.tile(np.arange(256, dtype=np.uint8), (person.shape[0], -(-person.shape[1] // 256)))[:, : person.shape[1]]
    soon, later = (np.repeat(empty[..., None], 3, axis=2).copy() for _ in range(2))
    assert finder.blur(soon, 300_000_000) and not np.array_equal(soon[..., 0], empty)
    assert not finder.blur(later, 600_000_000) and np.array_equal(later[..., 0], empty)


def test_picture_is_left_out_and_the_alert_kept_when_it_cannot_be_searched(blurring, tools):
    broken = {"format": "jpeg", "data": b"\xff\xd8 no picture"}
    blurring.feed(("/tml/image/compressed", "sensor_msgs/msg/CompressedImage", tools.cdr(
        "sensor_msgs/msg/CompressedImage", broken
    )))  # fmt: skip
    blurring.clock.advance_ns(100_000_000)
    blurring.feed(tools.alert_message(tools.ALERT, [broken]))
    blurring.recorder.close()
    (alert,) = blurring.messages(blurring.names[0])
    assert len(alert.message.evidence) == 0 and alert.message.rule == "spill"
    assert read_summary(blurring.folder / blurring.names[0])["lost"]["pictures_left_out"] == 2


def test_picture_is_kept_as_it_came_when_it_cannot_be_read_and_nothing_is_to_be_blurred(bench, tools):
    foreign = {"height": 2, "width": 2, "encoding": "rgb99", "step": 6, "data": bytes(12)}
    kind = "sensor_msgs/msg/Image"
    bench.feed(("/tml/image", kind, tools.cdr(kind, foreign)))
    bench.clock.advance_ns(100_000_000)
    bench.alert()
    bench.recorder.close()
    assert bench.messages(bench.names[0])[0].message.encoding == "rgb99"


def test_people_are_told_what_to_install_when_opencv_has_no_cascades(monkeypatch):
    from tml_ros.errors import MissingDependencyError
    from tml_ros.safety.incidents import faces

    monkeypatch.setattr(faces.cv2, "data", None)
    monkeypatch.setattr(faces, "_DEBIAN", faces.Path("/nowhere"))
    with pytest.raises(MissingDependencyError, match="install opencv-data"):
        FaceBlur()
