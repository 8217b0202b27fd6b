"""Bags whose sound is in the messages of other projects."""

from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from tml_ros.bags import BagReader
from tml_ros.errors import BagError
from tml_ros.replay.inputs import find_audio_info, find_inputs
from tml_ros.replay.run import ReplayOptions, replay

DEFINITIONS = Path(__file__).resolve().parents[1] / "interfaces" / "tml_test_interfaces" / "msg"
PACKAGE = "tml_test_interfaces/msg/"
S = 1_000_000_000
NOISE = np.random.default_rng(0).integers(-20_000, 20_000, (100, 320)).astype(np.int16)


@pytest.fixture(scope="module")
def types():
    """The store with the messages of other projects, as their recorders have them."""
    store = get_typestore(Stores.ROS2_KILTED)
    found = {}
    for path in DEFINITIONS.glob("*.msg"):
        found |= get_types_from_msg(path.read_text("utf-8"), PACKAGE + path.stem)
    store.register(found)
    return store


class Recording:
    """A bag that is being written."""

    def __init__(self, path, store):
        self._writer = Writer(path, version=9, storage_plugin=StoragePlugin.MCAP)
        self._store = store
        self._connections = {}
        self._writer.open()

    def add(self, topic, name, at_ns, **fields):
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(topic, name, typestore=self._store)
        message = self.make(name, **fields)
        self._writer.write(self._connections[topic], at_ns, self._store.serialize_cdr(message, name))

    def make(self, name, **fields):
        return self._store.types[name](**fields)

    def header(self, at_ns):
        stamp = self.make("builtin_interfaces/msg/Time", sec=at_ns // S, nanosec=at_ns % S)
        return self.make("std_msgs/msg/Header", stamp=stamp, frame_id="mic")

    def close(self):
        self._writer.close()


def add_bytes(bag, number, at_ns, piece):
    if number in (30, 60):  # the driver tells it now and then
        fields = {"channels": 1, "sample_rate": 16_000, "sample_format": "S16BE", "bitrate": 0, "coding_format": "wave"}
        bag.add("/audio/audio_info", f"{PACKAGE}AudioInfo", at_ns, **fields)
    data = bag.make(f"{PACKAGE}AudioData", data=np.frombuffer(piece.astype(">i2").tobytes(), np.uint8))
    bag.add("/audio/audio_stamped", f"{PACKAGE}AudioDataStamped", at_ns, header=bag.header(at_ns), audio=data)


def add_typed(bag, number, at_ns, piece):
    arrays = {"float32_data": "f4", "int32_data": "i4", "int16_data": "i2", "int8_data": "i1", "uint8_data": "u1"}
    values = {name: np.zeros(0, kind) for name, kind in arrays.items()} | {"int16_data": piece}
    data = bag.make(f"{PACKAGE}TypedAudioData", **values)
    info = bag.make(f"{PACKAGE}TypedAudioInfo", format=8, channels=1, rate=16_000, chunk=320)
    audio = bag.make(f"{PACKAGE}TypedAudio", audio_data=data, info=info)
    bag.add("/audio", f"{PACKAGE}AudioStamped", at_ns, header=bag.header(at_ns), audio=audio)


def add_array(bag, number, at_ns, piece):
    layout = bag.make("std_msgs/msg/MultiArrayLayout", dim=[], data_offset=0)
    bag.add("/robot/audio/in", "std_msgs/msg/Int16MultiArray", at_ns + S // 50, layout=layout, data=piece)


def record(path, types, add):
    bag = Recording(path, types)
    for number, piece in enumerate(NOISE):
        add(bag, number, 1_000 * S + number * S // 50, piece)
    bag.close()
    return path


@pytest.mark.parametrize("add", [add_bytes, add_typed, add_array])
def test_every_sample_is_heard_when_a_bag_has_messages_of_another_project(tmp_path, types, add):
    result = replay(record(tmp_path / "bag", types, add), ReplayOptions(values={"model": "silence"}))
    assert result.as_dict()["missing_samples"] == 0
    expected = np.stack([NOISE.min(axis=1), NOISE.max(axis=1)], axis=1) / 32_768
    assert np.allclose(result.log.heard_peaks[: len(NOISE)], expected, atol=2e-3)


def test_plain_numbers_are_no_sound_when_their_topic_is_named_otherwise(tmp_path, types):
    bag = Recording(tmp_path / "bag", types)
    layout = bag.make("std_msgs/msg/MultiArrayLayout", dim=[], data_offset=0)
    bag.add("/joints", "std_msgs/msg/Int16MultiArray", S, layout=layout, data=NOISE[0])
    bag.close()
    with BagReader(tmp_path / "bag") as reader:
        with pytest.raises(BagError, match="neither sound"):
            find_inputs(tmp_path / "bag", reader.info, {})
        assert find_inputs(tmp_path / "bag", reader.info, {"audio/in": "/joints"}) == {"/joints": "audio/in"}
        assert find_audio_info(reader.info, {"/joints": "audio/in"}) == []
