"""The reader: order, selection, what it cannot decode, compression, and every kind of damage."""

import logging
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from tml_ros.bags import BagReader, BagWriter, message_to_tree, typestore
from tml_ros.errors import BagError

STORAGES = ["mcap", "sqlite3"]
SUFFIXES = {"mcap": ".mcap", "sqlite3": ".db3"}


def write(path: Path, storage: Any = "mcap", times: tuple[int, ...] = (1, 2, 3)) -> Path:
    """Write a string on /a and a number on /b at every time."""
    with BagWriter(path, storage) as writer:
        for log_ns in times:
            writer.write("/a", "std_msgs/msg/String", {"data": f"at {log_ns}"}, log_ns)
            writer.write("/b", "std_msgs/msg/Int32", {"data": log_ns}, log_ns)
    return path


def write_raw(path: Path, storage: Any, **connection: Any) -> Path:
    """Write one message, with whatever rosbags lets one claim about its topic."""
    data = bytes(typestore().serialize_cdr(typestore().types["std_msgs/msg/String"]("text"), "std_msgs/msg/String"))
    with Writer(path, version=9, storage_plugin=StoragePlugin[storage.upper()]) as writer:
        known = writer.add_connection("/known", "std_msgs/msg/String", typestore=typestore())
        odd = writer.add_connection(**connection)
        writer.write(odd, 1, data)
        writer.write(known, 2, data)
    return path


def edit_metadata(bag: Path, **changes: Any) -> None:
    content = yaml.safe_load((bag / "metadata.yaml").read_text())
    content["rosbag2_bagfile_information"].update(changes)
    (bag / "metadata.yaml").write_text(yaml.safe_dump(content))


def read(path: Path, topics: Any = None) -> list[tuple[str, int, Any]]:
    with BagReader(path) as bag:
        return [(item.topic, item.log_ns, item.message.data) for item in bag.messages(topics)]


# -------------------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize("storage", STORAGES)
def test_messages_come_by_log_time_and_then_as_written_when_unordered(tmp_path: Path, storage: str) -> None:
    found = read(write(tmp_path / "bag", storage, (5, 3, 5)))
    assert found == [("/a", 3, "at 3"), ("/b", 3, 3), *[("/a", 5, "at 5"), ("/b", 5, 5)] * 2]


@pytest.mark.parametrize("storage", STORAGES)
def test_only_asked_topics_come_when_topics_are_given(tmp_path: Path, storage: str) -> None:
    path = write(tmp_path / "bag", storage)
    assert read(path, ["/b"]) == [("/b", 1, 1), ("/b", 2, 2), ("/b", 3, 3)]
    assert read(path, []) == []


@pytest.mark.parametrize("storage", STORAGES)
def test_single_file_is_read_when_given_without_metadata(tmp_path: Path, storage: str) -> None:
    path = write(tmp_path / "bag", storage)
    assert read(next(path.glob(f"*{SUFFIXES[storage]}"))) == read(path)


def test_bag_is_read_again_when_iterated_twice(tmp_path: Path) -> None:
    with BagReader(write(tmp_path / "bag")) as bag:
        assert len(list(bag.messages())) == len(list(bag.messages())) == 6


@pytest.mark.parametrize("storage", STORAGES)
def test_files_are_merged_by_log_time_when_bag_is_split(tmp_path: Path, storage: str) -> None:
    parts = [write(tmp_path / f"part{index}", storage, times) for index, times in enumerate([(1, 4), (2, 3, 9), (5,)])]
    bag = shutil.copytree(parts[0], tmp_path / "bag")
    for part in parts[1:]:
        shutil.copy(next(part.glob(f"*{SUFFIXES[storage]}")), bag)
    names = [f"part{index}{SUFFIXES[storage]}" for index in range(3)]
    topics = yaml.safe_load((bag / "metadata.yaml").read_text())["rosbag2_bagfile_information"][
        "topics_with_message_count"
    ]
    for topic in topics:
        topic["message_count"] = 6
    edit_metadata(bag, relative_file_paths=names, message_count=12, topics_with_message_count=topics)
    assert [log_ns for _, log_ns, _ in read(bag)] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 9, 9]
    with BagReader(bag) as reader:
        assert (reader.info.start_ns, reader.info.end_ns, reader.info.message_count) == (1, 10, 12)


@pytest.mark.parametrize(
    ("storage", "mode"),
    [
        ("mcap", CompressionMode.FILE),
        ("mcap", CompressionMode.MESSAGE),
        ("mcap", CompressionMode.STORAGE),
        ("sqlite3", CompressionMode.FILE),
        ("sqlite3", CompressionMode.MESSAGE),
    ],
)
def test_messages_come_when_bag_is_compressed(tmp_path: Path, storage: str, mode: CompressionMode) -> None:
    writer = Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin[storage.upper()])
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection("/a", "std_msgs/msg/String", typestore=typestore())
        message = typestore().types["std_msgs/msg/String"]("text" * 100)
        for log_ns in range(3):
            writer.write(connection, log_ns, typestore().serialize_cdr(message, "std_msgs/msg/String"))
    assert read(tmp_path / "bag") == [("/a", log_ns, "text" * 100) for log_ns in range(3)]
    if mode is CompressionMode.FILE:
        packed = next((tmp_path / "bag").glob("*.zstd"))
        assert read(packed) == read(tmp_path / "bag")
        packed.write_bytes(packed.read_bytes()[:-20])
        with pytest.raises(BagError, match="not intact zstd"):
            read(packed)


# -------------------------------------------------------------------------------------------------------- types


@pytest.mark.parametrize("storage", STORAGES)
def test_unknown_type_is_counted_or_refused_when_nothing_defines_it(
    tmp_path: Path, storage: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_raw(
        tmp_path / "bag", storage, topic="/odd", msgtype="x_msgs/msg/Odd", msgdef="no definition", rihs01="x"
    )
    with BagReader(path) as bag, caplog.at_level(logging.WARNING):
        assert [item.topic for item in bag.messages()] == ["/known"]
        assert bag.skipped == {"/odd": 1} and "/odd" in caplog.text
        assert [item.topic for item in bag.messages(["/known"])] == ["/known"] and not bag.skipped
        with pytest.raises(BagError, match=r"'x_msgs/msg/Odd' is unknown.*no usable definition"):
            bag.messages(["/odd"])


def idl(msgtype: str) -> str:
    package, folder, name = msgtype.split("/")
    text = f"module {package} {{ module {folder} {{ struct {name} {{ string words; }}; }}; }};"
    return f"{'=' * 80}\nIDL: {msgtype}\n{text}\n"


@pytest.mark.parametrize(("msgtype", "known"), [("x_msgs/msg/Text", True), ("x_msgs/elsewhere/Text", False)])
def test_definition_of_the_bag_is_used_when_it_is_idl(tmp_path: Path, msgtype: str, known: bool) -> None:
    path = write_raw(tmp_path / "bag", "mcap", topic="/odd", msgtype=msgtype, msgdef=idl(msgtype), rihs01="x")
    with BagReader(path) as bag:
        words = [item.message.words for item in bag.messages() if item.topic == "/odd"]
        assert (words, bag.skipped) == ((["text"], {}) if known else ([], {"/odd": 1}))


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("msgtype", ["x_msgs/msg/Text", "tml_interfaces/msg/SpeechControl"])
def test_definition_of_the_bag_is_used_when_it_has_its_own(tmp_path: Path, storage: str, msgtype: str) -> None:
    path = write_raw(tmp_path / "bag", storage, topic="/odd", msgtype=msgtype, msgdef="string words\n", rihs01="x")
    with BagReader(path) as bag:
        (item,) = bag.messages(["/odd"])
        assert message_to_tree(bag.typestore(item.type), item.message) == {"words": "text"}


@pytest.mark.parametrize("storage", STORAGES)
def test_our_definition_is_used_when_that_of_the_bag_does_not_fit(tmp_path: Path, storage: str) -> None:
    path = write_raw(
        tmp_path / "bag", storage, topic="/odd", msgtype="std_msgs/msg/String", msgdef="uint8 level", rihs01="x"
    )
    assert read(path, ["/odd"]) == [("/odd", 1, "text")]


@pytest.mark.parametrize("msgtype", ["x/msg/Y:\n    1/0\nclass Z", "../msg/Y", "std_msgs.msg.String", ""])
def test_definition_is_not_compiled_when_its_name_is_none(tmp_path: Path, msgtype: str) -> None:
    path = write_raw(tmp_path / "bag", "mcap", topic="/odd", msgtype=msgtype, msgdef="string data\n", rihs01="x")
    with BagReader(path) as bag:
        assert [item.topic for item in bag.messages()] == ["/known"] and bag.skipped == {"/odd": 1}


@pytest.mark.parametrize(("unused", "fits"), [(0, True), (3, True), (8, True), (35, True), (36, False)])
def test_unused_bytes_are_accepted_when_empty_sequences_explain_them(tmp_path: Path, unused: int, fits: bool) -> None:
    """A JointState has four sequences; ROS allots up to 8 bytes for the alignment of elements that are not there."""
    store, name = typestore(), "sensor_msgs/msg/JointState"
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/joints", name, typestore=store)
        with BagWriter(tmp_path / "other") as other:
            other.write("/joints", name, {"header": {"frame_id": "arm"}}, 1)
        with BagReader(tmp_path / "other") as bag:
            data = store.serialize_cdr(next(bag.messages()).message, name)
        writer.write(connection, 1, bytes(data) + b"\x55" * unused)
    with BagReader(tmp_path / "bag") as bag:
        if fits:
            assert next(bag.messages()).message.header.frame_id == "arm"
        else:
            with pytest.raises(BagError, match=f"{unused} bytes are left over"):
                next(bag.messages())


@pytest.mark.parametrize("damage", ["0001000064000000", "000700000500000061626300", "00", ""])
def test_message_is_refused_with_topic_and_time_when_it_is_damaged(tmp_path: Path, damage: str) -> None:
    path = write(tmp_path / "bag", "sqlite3")
    with sqlite3.connect(path / "bag.db3") as database:
        database.execute(f"UPDATE messages SET data = x'{damage}' WHERE id = 3")
    with pytest.raises(BagError, match=r"message on /a at 2 ns .* is not a std_msgs/msg/String"):
        read(path)


# -------------------------------------------------------------------------------------------------------- counts


@pytest.mark.parametrize("storage", STORAGES)
def test_count_check_fires_when_metadata_promises_more(tmp_path: Path, storage: str) -> None:
    path = write(tmp_path / "bag", storage)
    topics = yaml.safe_load((path / "metadata.yaml").read_text())["rosbag2_bagfile_information"][
        "topics_with_message_count"
    ]
    topics[1]["message_count"] = 7
    edit_metadata(path, topics_with_message_count=topics)
    with pytest.raises(BagError, match=r"found 3 messages on topic /b, expected 7 .*ros2 bag reindex"):
        read(path)
    with pytest.raises(BagError, match="found 3 messages on topic /b, expected 7"):
        read(path, ["/b"])
    assert len(read(path, ["/a"])) == 3


def test_count_check_fires_when_total_differs(tmp_path: Path) -> None:
    path = write(tmp_path / "bag")
    edit_metadata(path, message_count=20)
    with pytest.raises(BagError, match="found 6 messages on all topics, expected 20"):
        read(path)


@pytest.mark.parametrize("removed", ["DELETE FROM messages WHERE id = 2", "DELETE FROM topics WHERE name = '/b'"])
def test_count_check_fires_when_messages_are_gone(tmp_path: Path, removed: str) -> None:
    path = write(tmp_path / "bag", "sqlite3")
    with sqlite3.connect(path / "bag.db3") as database:
        database.execute(removed)
    with pytest.raises(BagError, match=r"found \d messages on topic /b, expected 3"):
        read(path)


def test_qos_does_not_matter_when_metadata_and_storage_differ(tmp_path: Path) -> None:
    path = write(tmp_path / "bag", "sqlite3")
    with sqlite3.connect(path / "bag.db3") as database:
        database.execute("UPDATE topics SET offered_qos_profiles = ''")
    assert len(read(path)) == 6


# -------------------------------------------------------------------------------------------------------- damage


@pytest.mark.parametrize("storage", STORAGES)
def test_cut_off_file_is_refused_or_read_whole_at_any_length(tmp_path: Path, storage: str) -> None:
    path = write(tmp_path / "bag", storage, tuple(range(100)))
    whole = read(path)
    file = next(path.glob(f"*{SUFFIXES[storage]}"))
    content = file.read_bytes()
    refused = 0
    for step in range(40):
        file.write_bytes(content[: len(content) * step // 40])
        try:
            assert read(path) == whole
        except BagError as err:
            refused += 1
            assert str(file) in str(err) or "found" in str(err)
    assert refused == 40


@pytest.mark.parametrize("storage", STORAGES)
def test_lone_cut_off_file_names_repair_when_it_has_no_metadata(tmp_path: Path, storage: str) -> None:
    file = next(write(tmp_path / "bag", storage).glob(f"*{SUFFIXES[storage]}"))
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(BagError, match=r"cannot be read .* expected a complete .*(mcap recover|\.recover)"):
        read(file)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("gone", None, "is not there"),
        ("notes.txt", b"text", "is not a bag"),
        ("notes.mcap", b"text", "cannot be read"),
        ("empty.mcap", b"", "cannot be read"),
        ("notes.db3", b"text" * 1000, "cannot be read"),
        ("empty.db3", b"", "cannot be read"),
    ],
)
def test_path_is_named_when_there_is_no_bag(tmp_path: Path, name: str, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BagError, match=f"{name}.*{words}"):
        read(tmp_path / name)


def test_folder_is_refused_when_metadata_is_missing(tmp_path: Path) -> None:
    path = write(tmp_path / "bag")
    (path / "metadata.yaml").unlink()
    with pytest.raises(BagError, match=r"has no metadata.yaml; .*ros2 bag reindex.*give the \.mcap or \.db3"):
        read(path)


@pytest.mark.parametrize(
    "text",
    ["{", "", "[]", "rosbag2_bagfile_information: 5", "rosbag2_bagfile_information: {version: x}", "\0", "a: &a [*a]"],
)
def test_metadata_is_refused_with_path_when_it_is_broken(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "bag")
    (path / "metadata.yaml").write_text(text)
    with pytest.raises(BagError, match=r"metadata\.yaml .*(not readable YAML|wrong form)"):
        read(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": 10}, "version 10, expected at most 9"),
        ({"storage_identifier": "sqlite3"}, "'sqlite3' but the file bag.mcap"),
        ({"storage_identifier": "sqlit"}, "'sqlit'.*did you mean 'sqlite3'"),
        ({"relative_file_paths": ["part.mcap"]}, "names part.mcap, which is not in"),
        ({"relative_file_paths": ["../../../etc/passwd"]}, "names passwd, which is not in"),
        ({"compression_mode": "FILE", "compression_format": "lz4"}, "'lz4' by 'file'"),
        ({"compression_mode": "message", "compression_format": "zstd"}, "cannot be read"),
        ({"message_count": "many"}, "wrong form"),
    ],
)
def test_metadata_is_refused_with_value_when_it_is_wrong(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    path = write(tmp_path / "bag")
    edit_metadata(path, **changes)
    with pytest.raises(BagError, match=words):
        read(path)


def test_topic_is_named_with_nearest_when_it_is_not_in_the_bag(tmp_path: Path) -> None:
    with (
        BagReader(write(tmp_path / "bag")) as bag,
        pytest.raises(BagError, match=r"no topic '/aa', expected one of /a, /b; did you mean '/a'"),
    ):
        bag.messages(["/b", "/aa"])


def test_database_is_refused_when_a_journal_lies_beside_it(tmp_path: Path) -> None:
    path = write(tmp_path / "bag", "sqlite3")
    (path / "bag.db3-wal").write_bytes(b"pending")
    with pytest.raises(BagError, match=r"unfinished changes in bag\.db3-wal"):
        read(path)


def test_database_is_refused_when_path_has_characters_of_an_address(tmp_path: Path) -> None:
    path = write(tmp_path / "bag", "sqlite3").rename(tmp_path / "run#1")
    with pytest.raises(BagError, match=r"run#1.* contains #"):
        read(path)


def test_reader_is_refused_when_it_is_not_open(tmp_path: Path) -> None:
    reader = BagReader(write(tmp_path / "bag"))
    with pytest.raises(BagError, match="not open"):
        reader.messages()
    with reader:
        pass
    with pytest.raises(BagError, match="not open"):
        reader.messages()
