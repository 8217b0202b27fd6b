"""Write the bag that a robot would have recorded of a scene.

Messages are made one after the other in the order of their log time and written at once. An audio chunk is logged when
its last sample has been heard, a picture and a text at their own time. Knows messages as trees of fields; the format of
bags is the business of ``bags``, sound and pictures that of ``scene_audio`` and ``scene_video``.

Source: tml_interfaces/msg/AudioChunk.msg, sensor_msgs/msg/Image and CompressedImage, std_msgs/msg/String.
"""

import heapq
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from tml_ros.bags import whole_bag
from tml_ros.media import encode
from tml_ros.replay.scene import Scene
from tml_ros.replay.scene_audio import AudioMix
from tml_ros.replay.scene_video import frames, picture_count
from tml_ros.wire import INPUT_TYPES, header_tree

__all__ = ["BagSummary", "SceneMessage", "SpokenSpan", "make_bag", "message_count", "messages"]

CAMERA_FRAME, MICROPHONE_FRAME, SPEAKER_FRAME = "camera", "microphone", "loudspeaker"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SceneMessage:
    """A message of the bag. tree: its fields by ROS names."""

    log_ns: int
    topic: str
    type_name: str
    tree: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SpokenSpan:
    """Synthesised speech as it lies in the bag, [start_ns, end_ns) in the bag's time."""

    topic: str
    text: str
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class BagSummary:
    """What was written. counts: messages by topic. clipped_samples: samples that were saturated."""

    path: Path
    storage: str
    start_ns: int
    duration_ns: int
    counts: Mapping[str, int]
    clipped_samples: int
    spoken: tuple[SpokenSpan, ...]


def make_bag(
    scene: Scene,
    out: Path,
    storage: Literal["mcap", "sqlite3"] = "mcap",
    progress: Callable[[int, int], None] | None = None,
) -> BagSummary:
    """Write a rosbag2 of a scene; the same scene gives the same messages on every run. Nothing is left when it fails.

    Args:
        scene: what happens.
        out: folder to be created; it must not exist.
        storage: ``mcap`` or ``sqlite3``.
        progress: called after each message with the number of messages done and about that of all.

    Raises:
        BagError: The folder exists already or cannot be written.
        SceneError: A voice does not exist, or a film holds no pictures.
        AudioFormatError: A sound file cannot be read.
        SynthesisError: A text cannot be spoken.
        MissingDependencyError: A synthesiser is not installed.
    """
    tracks = _tracks(scene)
    counts: Counter[str] = Counter()
    total = message_count(scene)
    with whole_bag(out, storage) as writer:
        for done, message in enumerate(_merge(scene, tracks), start=1):
            writer.write(message.topic, message.type_name, message.tree, message.log_ns)
            counts[message.topic] += 1
            if progress is not None:
                progress(done, total)
    return _summary(scene, tracks, out, storage, counts)


def _summary(scene: Scene, tracks: list["_Track"], out: Path, storage: str, counts: Mapping[str, int]) -> BagSummary:
    clipped = sum(track.mix.clipped for track in tracks)
    if clipped:
        _log.warning("scene %s: %d samples were too loud and are saturated; lower gain_db", scene.name, clipped)
    spoken = tuple(
        SpokenSpan(track.topic, text, scene.start_ns + start_ns, scene.start_ns + end_ns)
        for track in tracks
        for text, start_ns, end_ns in track.mix.spoken
    )
    return BagSummary(out, storage, scene.start_ns, scene.duration_ns, dict(counts), clipped, spoken)


def messages(scene: Scene) -> Iterator[SceneMessage]:
    """Yield the messages of a scene in order of their log time; raises what ``make_bag`` raises, but BagError."""
    return _merge(scene, _tracks(scene))


def message_count(scene: Scene) -> int:
    """Return how many messages a scene has at the most; a film that ends early leaves some out."""
    audio = sum(-(-track.mix.total // track.chunk) for track in _tracks(scene))
    return audio + picture_count(scene) + len(scene.text)


def _merge(scene: Scene, tracks: list["_Track"]) -> Iterator[SceneMessage]:
    streams = [track.messages(scene) for track in tracks]
    return heapq.merge(*streams, _pictures(scene), _texts(scene), key=lambda message: message.log_ns)


# ----------------------------------------------------------------------------------------------------------- audio


@dataclass(frozen=True, slots=True)
class _Track:
    """A stream of sound on its topic. chunk: samples per message."""

    topic: str
    frame_id: str
    mix: AudioMix
    chunk: int

    def messages(self, scene: Scene) -> Iterator[SceneMessage]:
        first = 0
        for block in self.mix.blocks(self.chunk):
            stamp_ns = scene.start_ns + first * 1_000_000_000 // scene.rate_hz
            end_ns = scene.start_ns + (first + len(block)) * 1_000_000_000 // scene.rate_hz
            tree = {
                "header": header_tree(stamp_ns, self.frame_id),
                "stream_id": f"scene/{scene.name}/{self.frame_id}",
                "first_sample": first,
                "sample_rate": scene.rate_hz,
                "channels": scene.channels,
                "encoding": scene.encoding,
                "data": encode(block, scene.encoding),
            }
            yield SceneMessage(end_ns, self.topic, INPUT_TYPES["audio/in"], tree)
            first += len(block)


def _tracks(scene: Scene) -> list[_Track]:
    """Return the microphone and, when something is played, the loudspeaker; a scene without sound has neither."""
    chunk = max(1, round(scene.rate_hz * scene.topics.chunk_ms / 1000.0))
    streams = (
        (scene.topics.audio, MICROPHONE_FRAME, scene.audio),
        (scene.topics.reference, SPEAKER_FRAME, scene.reference),
    )
    return [
        _Track(scene.topics.resolve(topic), frame_id, AudioMix(scene, sounds, number), chunk)
        for number, (topic, frame_id, sounds) in enumerate(streams)
        if sounds
    ]


# -------------------------------------------------------------------------------------------------- pictures, text


def _pictures(scene: Scene) -> Iterator[SceneMessage]:
    topics = scene.topics
    compressed = topics.image_transport == "compressed"
    topic = topics.resolve(topics.image) + ("/compressed" if compressed else "")
    type_name = INPUT_TYPES["image/compressed" if compressed else "image"]
    for time_ns, picture in frames(scene):
        stamp_ns = scene.start_ns + time_ns
        content = _jpeg(picture, topics.jpeg_quality) if compressed else _raw(picture)
        yield SceneMessage(stamp_ns, topic, type_name, {"header": header_tree(stamp_ns, CAMERA_FRAME), **content})


def _raw(picture: NDArray[np.uint8]) -> dict[str, Any]:
    height, width = picture.shape[:2]
    return {
        "height": height,
        "width": width,
        "encoding": "bgr8",
        "is_bigendian": 0,
        "step": 3 * width,
        "data": picture.tobytes(),
    }


def _jpeg(picture: NDArray[np.uint8], quality: int) -> dict[str, Any]:
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return {"format": "bgr8; jpeg compressed bgr8", "data": data.tobytes()}


def _texts(scene: Scene) -> Iterator[SceneMessage]:
    topic = scene.topics.resolve(scene.topics.text)
    for text in sorted(scene.text, key=lambda item: item.at_ns):
        yield SceneMessage(scene.start_ns + text.at_ns, topic, INPUT_TYPES["text/in"], {"data": text.text})
