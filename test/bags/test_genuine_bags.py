"""Bags that ROS itself recorded: each is read to the last message, or refused with a reason."""

from pathlib import Path
from typing import Any

import pytest

from tml_ros.bags import BagReader, message_to_tree
from tml_ros.errors import BagError

TALKER = {"/rosout": 10, "/topic": 10}
SERVICES = {"/test_topic1": 1, "/test_topic2": 1}
EVENTS = {"/test_service1/_service_event": 4, "/test_service2/_service_event": 4}
CDR = {"/test_topic": 3, "/array_topic": 4}
CONVERTED = {"a_empty": 100, "b_basictypes": 50}
TESTS = "rosbag2_tests/resources"

# bag, messages that are read, messages that are left out because nothing defines their type
BAGS = [
    ("rosbag2_py/sqlite3/talker", TALKER, {}),
    ("rosbag2_py/mcap/talker", TALKER, {}),
    ("rosbag2_py/sqlite3/convert_a", {}, CONVERTED),
    ("rosbag2_py/mcap/convert_a", CONVERTED, {}),
    (f"{TESTS}/sqlite3/cdr_test", CDR, {}),
    (f"{TESTS}/mcap/cdr_test", CDR, {}),
    (f"{TESTS}/sqlite3/bag_with_topics_and_service_events", SERVICES, EVENTS),
    (f"{TESTS}/mcap/bag_with_topics_and_service_events", SERVICES, EVENTS),
]


@pytest.mark.parametrize("single_file", [False, True])
@pytest.mark.parametrize(("name", "decoded", "skipped"), BAGS)
def test_every_message_is_read_or_counted_when_ros_recorded_it(
    shared_data: Path, name: str, decoded: dict[str, int], skipped: dict[str, int], single_file: bool
) -> None:
    path = shared_data / "bags" / name
    if single_file:
        path = next(file for file in path.iterdir() if file.suffix in (".mcap", ".db3"))
    with BagReader(path) as bag:
        times, counts = [], dict.fromkeys(decoded, 0)
        for item in bag.messages():
            message_to_tree(bag.typestore(item.type), item.message)
            times.append(item.log_ns)
            counts[item.topic] += 1
        assert counts == decoded and bag.skipped == skipped and times == sorted(times)
        assert bag.info.message_count == sum(decoded.values()) + sum(skipped.values())


@pytest.mark.parametrize("storage", ["sqlite3", "mcap"])
def test_text_is_right_when_talker_is_read(shared_data: Path, storage: str) -> None:
    with BagReader(shared_data / "bags" / "rosbag2_py" / storage / "talker") as bag:
        assert [item.message.data for item in bag.messages(["/topic"])] == [f"Hello, world! {n}" for n in range(10)]
        first: Any = next(bag.messages(["/rosout"])).message
        assert (first.name, first.level, first.msg) == ("minimal_publisher", 20, "Publishing: 'Hello, world! 0'")
        assert bag.info.duration_ns == 4_531_096_768


@pytest.mark.parametrize(
    "name", ["sqlite3/wrong_rmw_test", "mcap/wrong_rmw_test", "mcap/wrong_rmw_test/wrong_rmw_test_0.mcap"]
)
def test_bag_is_refused_when_its_serialisation_is_foreign(shared_data: Path, name: str) -> None:
    with (
        pytest.raises(BagError, match=r"serialised as 'wrong_format', expected 'cdr'.*ros2 bag convert"),
        BagReader(shared_data / "bags" / TESTS / name),
    ):
        pass


@pytest.mark.parametrize("storage", ["sqlite3", "mcap"])
def test_service_events_are_refused_when_asked_for(shared_data: Path, storage: str) -> None:
    path = shared_data / "bags" / TESTS / storage / "bag_with_topics_and_service_events"
    with BagReader(path) as bag, pytest.raises(BagError, match="BasicTypes_Event"):
        bag.messages(["/test_service1/_service_event"])
