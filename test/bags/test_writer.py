"""The writer: what it writes opens anywhere, stays readable after a failure, and wrong input is refused."""

import sqlite3
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from rosbags.rosbag2 import Reader

from tml_ros.bags import BagReader, BagWriter, TopicQos, tree_to_message, typestore
from tml_ros.errors import BagError

STORAGES = ["mcap", "sqlite3"]


def test_mcap_carries_definitions_when_written(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as writer:
        writer.write("/speech", "tml_interfaces/msg/SpeechChunk", {"text": "hello"}, 5)
    data = (tmp_path / "bag" / "bag.mcap").read_bytes()
    assert data.startswith(b"\x89MCAP0\r\n") and data.endswith(b"\x89MCAP0\r\n")
    for part in (b"ros2msg", b"MSG: tml_interfaces/AudioChunk", b"MSG: std_msgs/Header", b"offered_qos_profiles"):
        assert part in data
    with Reader(tmp_path / "bag") as opinion:
        assert [(item.topic, item.msgtype, item.msgcount) for item in opinion.connections] == [
            ("/speech", "tml_interfaces/msg/SpeechChunk", 1)
        ]
        assert sum(1 for _ in opinion.messages()) == 1


@pytest.mark.parametrize("storage", STORAGES)
def test_metadata_describes_the_bag_when_written(tmp_path: Path, storage: Any) -> None:
    with BagWriter(tmp_path / "bag", storage) as writer:
        for log_ns in (10, 30):
            writer.write("/a", "std_msgs/msg/String", {"data": "x"}, log_ns)
        writer.write("/state", "tml_interfaces/msg/SessionState", {}, 20)
    information = yaml.safe_load((tmp_path / "bag" / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert information["storage_identifier"] == storage and information["message_count"] == 3
    assert information["starting_time"]["nanoseconds_since_epoch"] == 10
    assert information["duration"]["nanoseconds"] == 20
    with BagReader(tmp_path / "bag") as bag:
        assert (bag.info.start_ns, bag.info.end_ns, bag.info.duration_ns, bag.info.storage) == (10, 31, 20, storage)
        assert {name: topic.message_count for name, topic in bag.info.topics.items()} == {"/a": 2, "/state": 1}
        assert bag.info.topics["/state"].qos == (TopicQos("reliable", "transient_local", "keep_last", 1),)
        assert bag.info.topics["/a"].qos == (TopicQos("reliable", "volatile", "keep_last", 50),)


@pytest.mark.parametrize("storage", STORAGES)
def test_bag_is_readable_when_nothing_was_written(tmp_path: Path, storage: Any) -> None:
    with BagWriter(tmp_path / "bag", storage):
        pass
    with BagReader(tmp_path / "bag") as bag:
        assert list(bag.messages()) == [] and (bag.info.start_ns, bag.info.end_ns, bag.info.duration_ns) == (0, 0, 0)


@pytest.mark.parametrize("storage", STORAGES)
def test_bag_is_readable_when_block_ends_with_an_exception(tmp_path: Path, storage: Any) -> None:
    with pytest.raises(RuntimeError), BagWriter(tmp_path / "bag", storage) as writer:
        writer.write("/a", "std_msgs/msg/String", {"data": "kept"}, 1)
        raise RuntimeError
    with BagReader(tmp_path / "bag") as bag:
        assert [item.message.data for item in bag.messages()] == ["kept"]


def test_message_object_is_written_when_it_is_of_the_store(tmp_path: Path) -> None:
    message = tree_to_message(typestore(), "std_msgs/msg/String", {"data": "x"})
    with BagWriter(tmp_path / "bag") as writer:
        writer.write("/a", "std_msgs/msg/String", message, 1)
        with pytest.raises(BagError, match="int on /a is not a valid std_msgs/msg/String"):
            writer.write("/a", "std_msgs/msg/String", 5, 1)
    with BagReader(tmp_path / "bag") as bag:
        assert [item.message for item in bag.messages()] == [message]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("/a", "std_msgs/msg/Strin", {}, 1), ("'std_msgs/msg/Strin'", "did you mean 'std_msgs/msg/String'")),
        (("/a", "std_msgs/msg/String", {"date": "x"}, 1), ("no field 'date'", "did you mean 'data'")),
        (("/a", "std_msgs/msg/String", {}, -1), ("-1 ns", "2**63 - 1")),
        (("/a", "std_msgs/msg/String", {}, 2**63), (str(2**63),)),
        (("/taken", "std_msgs/msg/String", {}, 1), ("/taken", "std_msgs/msg/Bool", "got std_msgs/msg/String")),
    ],
)
def test_write_refuses_with_value_when_message_is_wrong(
    tmp_path: Path, arguments: tuple[Any, ...], words: tuple[str, ...]
) -> None:
    with BagWriter(tmp_path / "bag") as writer:
        writer.write("/taken", "std_msgs/msg/Bool", {"data": True}, 1)
        with pytest.raises(BagError) as caught:
            writer.write(*arguments)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    with BagReader(tmp_path / "bag") as bag:
        assert [item.topic for item in bag.messages()] == ["/taken"]


def test_writer_refuses_when_target_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(BagError, match="exists already"):
        BagWriter(tmp_path)
    with pytest.raises(BagError, match=r"'sqlite' is unknown.*did you mean 'sqlite3'"):
        BagWriter(tmp_path / "bag", "sqlite")  # type: ignore[arg-type]
    with pytest.raises(BagError, match="run#1 contains #"):
        BagWriter(tmp_path / "run#1", "sqlite3")
    (tmp_path / "file").touch()
    with pytest.raises(BagError, match="cannot be created"), BagWriter(tmp_path / "file" / "bag"):
        pass


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """Let the operating system refuse what goes beyond, as a full disk does."""
    resource = pytest.importorskip("resource", reason="file size limits are there on POSIX only")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("size", "words"), [(3_000_000, "does not take a message on /a"), (50_000, "cannot be completed")]
)
def test_writer_says_so_when_disk_is_full(tmp_path: Path, size: int, words: str) -> None:
    """Of the larger one a chunk is due at once, the smaller one waits for the end."""
    with files_limited_to(10_000), pytest.raises(BagError, match=words), BagWriter(tmp_path / "bag") as writer:
        writer.write("/a", "std_msgs/msg/String", {"data": "x" * size}, 1)


def test_mcap_is_written_when_path_has_odd_characters(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "run #1 50%?") as writer:
        writer.write("/a", "std_msgs/msg/Empty", {}, 1)
    with BagReader(tmp_path / "run #1 50%?") as bag:
        assert len(list(bag.messages())) == 1


@pytest.mark.parametrize("storage", STORAGES)
def test_memory_stays_bounded_when_bag_is_large(tmp_path: Path, storage: Any) -> None:
    """20 MB of images pass through less than 5 MB, both ways: a chunk of an mcap file is 1 MiB."""
    picture = np.random.default_rng(0).integers(0, 256, 100_000, np.uint8)
    with BagWriter(tmp_path / "bag", storage) as writer:
        writer.write("/image", "sensor_msgs/msg/CompressedImage", {"data": picture}, 0)  # compiles the type
        tracemalloc.start()
        for index in range(1, 200):
            writer.write("/image", "sensor_msgs/msg/CompressedImage", {"data": picture}, index)
        written = tracemalloc.get_traced_memory()[1]
    with BagReader(tmp_path / "bag") as bag:
        tracemalloc.reset_peak()
        count = sum(len(item.message.data) == 100_000 for item in bag.messages())
        read = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 200 and written < 5_000_000 and read < 5_000_000


def test_sqlite_holds_definitions_and_an_index_when_written(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag", "sqlite3") as writer:
        writer.write("/a", "std_msgs/msg/String", {"data": "x"}, 1)
    with sqlite3.connect(tmp_path / "bag" / "bag.db3") as database:
        assert database.execute("SELECT topic_type, encoding FROM message_definitions").fetchall() == [
            ("std_msgs/msg/String", "ros2msg")
        ]
        assert database.execute("SELECT count(*) FROM sqlite_master WHERE name = 'timestamp_idx'").fetchone() == (1,)
