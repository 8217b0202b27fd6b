"""A recorder on a clock that the test moves, fed with messages as they come from DDS."""

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from tml_ros.bags import BagReader, tree_to_message, typestore
from tml_ros.clock import ManualClock
from tml_ros.records import AlertState, SafetyAlert
from tml_ros.safety.incidents import (
    DiskConfig,
    IncidentConfig,
    IncidentRecorder,
    IncidentStore,
    PictureConfig,
    Received,
)
from tml_ros.wire import to_tree

S = 1_000_000_000
START_S = 1_750_000_000
CONFIG = IncidentConfig(
    enabled=True,
    before_s=2.0,
    after_s=3.0,
    max_s=8.0,
    pictures=PictureConfig(max_rate_hz=100.0),
    disk=DiskConfig(quota_mb=50.0, reserve_mb=0.0),
)
ALERT = SafetyAlert(
    START_S * S, "a1", AlertState.RAISED, 2, "spill", "liquid", "Something was spilled.", 0.9, START_S * S, START_S * S
)


def cdr(type_name: str, tree: dict) -> bytes:
    store = typestore()
    return bytes(store.serialize_cdr(tree_to_message(store, type_name, tree), type_name))


def stamp(ns: int) -> dict:
    return {"stamp": {"sec": ns // S, "nanosec": ns % S}, "frame_id": "bench"}


def audio(ns: int, samples: int = 320) -> tuple[str, str, bytes]:
    tree = {
        "header": stamp(ns), "stream_id": "mic", "sample_rate": 16_000, "channels": 1, "encoding": "S16LE",
        "data": bytes(2 * samples),
    }  # fmt: skip
    return "/tml/audio/in", "tml_interfaces/msg/AudioChunk", cdr("tml_interfaces/msg/AudioChunk", tree)


def picture(ns: int, rgb: np.ndarray | None = None) -> tuple[str, str, bytes]:
    rgb = np.full((48, 64, 3), 90, np.uint8) if rgb is None else rgb
    height, width = rgb.shape[:2]
    tree = {
        "header": stamp(ns), "height": height, "width": width, "encoding": "rgb8", "step": 3 * width,
        "data": rgb.tobytes(),
    }  # fmt: skip
    return "/tml/image", "sensor_msgs/msg/Image", cdr("sensor_msgs/msg/Image", tree)


def jpeg(ns: int, rgb: np.ndarray) -> tuple[str, str, bytes]:
    data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].tobytes()
    tree = {"header": stamp(ns), "format": "jpeg", "data": data}
    kind = "sensor_msgs/msg/CompressedImage"
    return "/tml/image/compressed", kind, cdr(kind, tree)


def alert_message(alert: SafetyAlert, evidence: list | None = None) -> tuple[str, str, bytes]:
    topic, kind, tree = to_tree(alert)
    return f"/tml/{topic}", kind, cdr(kind, tree | {"evidence": evidence or []})


@dataclass
class Bench:
    """A recorder, its clock, and what a test wants to know of its folder."""

    folder: Path
    config: IncidentConfig = CONFIG
    is_simulated: bool = False

    def __post_init__(self) -> None:
        self.clock = ManualClock(0)  # monotonic; ROS time is ahead by offset_ns
        self.offset_ns = START_S * S
        self.wall_s = float(START_S)
        self.open()

    def open(self) -> None:
        self.store = IncidentStore(
            self.folder,
            self.config.disk,
            now_s=lambda: self.wall_s + self.clock.now_ns() / S,
            monotonic_s=lambda: self.clock.now_ns() / S,
        )
        self.recorder = IncidentRecorder(self.config, self.store, is_simulated=self.is_simulated)

    def crash(self) -> None:
        """Forget the recorder as a kill would; the lock goes with the process."""
        self.store.close()

    @property
    def ros_ns(self) -> int:
        return self.clock.now_ns() + self.offset_ns

    def feed(self, message: tuple[str, str, bytes]) -> None:
        self.recorder.take(Received(*message, self.ros_ns, self.clock.now_ns()))

    def run(self, seconds: float, *, fps: int = 5, chunks: int = 10) -> None:
        """Let time go on with sound and pictures."""
        end_ns, step_ns = self.clock.now_ns() + round(seconds * S), S // chunks
        while self.clock.now_ns() < end_ns:
            self.feed(audio(self.ros_ns, 16_000 // chunks))
            if fps and self.clock.now_ns() // step_ns % max(1, chunks // fps) == 0:
                self.feed(picture(self.ros_ns))
            self.clock.advance_ns(step_ns)
            self.recorder.tick(self.ros_ns, self.clock.now_ns())

    def alert(self, ident: str = "a1", state: AlertState = AlertState.RAISED, **values) -> None:
        now_ns = self.ros_ns
        given = {"stamp_ns": now_ns, "observed_start_ns": now_ns, "observed_end_ns": now_ns, **values}
        self.feed(alert_message(replace(ALERT, alert_id=ident, state=state, **given)))

    @property
    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir() if not path.name.startswith("."))

    def messages(self, name: str) -> list:
        with BagReader(self.folder / name) as bag:
            return list(bag.messages())
