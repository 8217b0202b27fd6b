"""Round trips: every message type survives as CDR and in a bag, and ROS itself reads and writes the very same bytes."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rosbags.interfaces import Nodetype

from tml_ros.bags import BagReader, BagWriter, message_to_tree, tree_to_message, typestore
from tml_ros.bags.decoding import deserialize

PACKAGES = ("builtin_interfaces", "diagnostic_msgs", "sensor_msgs", "std_msgs", "tml_interfaces")
MESSAGE_TYPES = sorted(name for name in typestore().fielddefs if name.startswith(PACKAGES))

_RANGES = {f"{sign}int{bits}": (bits, sign) for sign in ("", "u") for bits in (8, 16, 32, 64)}
_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)


def trees(type_name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Build complete trees of a type from its definition: they can be compared with what is read back."""
    fields = [field for field in typestore().fielddefs[type_name][1] if not field[0].startswith("structure_needs")]
    return st.fixed_dictionaries({name: _field(desc) for name, desc in fields})


def _field(desc: Any) -> st.SearchStrategy[Any]:
    if desc[0] == Nodetype.NAME:
        return trees(desc[1])
    if desc[0] == Nodetype.BASE:
        return _scalar(desc[1][0])
    element, size = desc[1]
    least, most = (size, size) if desc[0] == Nodetype.ARRAY else (0, min(size or 3, 3))
    if element[0] == Nodetype.BASE and element[1][0] in ("byte", "char", "uint8"):
        return st.binary(min_size=least, max_size=most)
    return st.lists(_field(element), min_size=least, max_size=most)


def _scalar(name: str) -> st.SearchStrategy[Any]:
    if name in _RANGES:
        bits, sign = _RANGES[name]
        return st.integers(0, 2**bits - 1) if sign else st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return {
        "bool": st.booleans(),
        "byte": st.integers(0, 255),
        "char": st.integers(0, 255),
        "float32": st.floats(width=32, allow_nan=False),
        "float64": st.floats(allow_nan=False),
        "string": _TEXT,
    }[name]


MESSAGES = st.lists(
    st.sampled_from(MESSAGE_TYPES).flatmap(
        lambda name: st.tuples(st.just(name), trees(name), st.integers(0, 2**63 - 1) | st.integers(0, 3))
    ),
    max_size=5,
)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@given(MESSAGES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_messages_survive_in_log_time_order_when_written_to_a_bag(
    storage: Any, messages: list[tuple[str, dict[str, Any], int]]
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "bag"
        with BagWriter(path, storage) as writer:
            for name, tree, log_ns in messages:
                writer.write(f"/{name}", name, tree, log_ns)
        with BagReader(path) as bag:
            found = [(item.type, message_to_tree(typestore(), item.message), item.log_ns) for item in bag.messages()]
            assert bag.info.message_count == len(messages) and not bag.skipped
    assert found == sorted(messages, key=lambda item: item[2])


@given(st.sampled_from(MESSAGE_TYPES).flatmap(lambda name: st.tuples(st.just(name), trees(name))))
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_tree_survives_when_serialised(case: tuple[str, dict[str, Any]]) -> None:
    name, tree = case
    data = typestore().serialize_cdr(tree_to_message(typestore(), name, tree), name)
    assert message_to_tree(typestore(), typestore().deserialize_cdr(data, name)) == tree


@pytest.mark.parametrize("name", MESSAGE_TYPES)
def test_missing_fields_get_defaults_when_tree_is_empty(name: str) -> None:
    message = tree_to_message(typestore(), name, {})
    tree = message_to_tree(typestore(), message)
    assert message_to_tree(typestore(), tree_to_message(typestore(), name, tree)) == tree
    typestore().serialize_cdr(message, name)


@pytest.mark.parametrize("name", MESSAGE_TYPES)
def test_bytes_equal_those_of_ros_when_rclpy_is_installed(name: str) -> None:
    """Padding is left out: ROS leaves whatever was in memory there."""
    serialization = pytest.importorskip("rclpy.serialization", reason="no rclpy: ROS 2 is not installed")
    package, _, word = name.split("/")
    module = pytest.importorskip(f"{package}.msg", reason=f"the Python messages of {package} are not installed")
    ros_type = getattr(module, word)

    @given(trees(name))
    @settings(max_examples=3, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
    def compare(tree: dict[str, Any]) -> None:
        ours = bytes(typestore().serialize_cdr(tree_to_message(typestore(), name, tree), name))
        theirs = serialization.serialize_message(serialization.deserialize_message(ours, ros_type))
        assert message_to_tree(typestore(), deserialize(typestore(), name, theirs)) == tree
        assert [there for here, there in zip(ours, theirs, strict=False) if here] == [here for here in ours if here]
        assert len(theirs) >= len(ours)

    compare()


@pytest.mark.parametrize("name", [name for name in MESSAGE_TYPES if name.startswith("tml_interfaces/")])
def test_type_hash_equals_that_of_ros_when_interfaces_are_built(name: str) -> None:
    """A hash that differs makes ``ros2 bag play`` warn, or refuse."""
    index = pytest.importorskip("ament_index_python.packages", reason="no ament index: ROS 2 is not installed")
    package, _, word = name.split("/")
    try:
        share = Path(index.get_package_share_directory(package))
    except (LookupError, OSError):
        pytest.skip(f"{package} is not built, or AMENT_PREFIX_PATH does not name the place")
    described = json.loads((share / "msg" / f"{word}.json").read_text())["type_hashes"]
    assert {"type_name": name, "hash_string": typestore().hash_rihs01(name)} in described


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_bytes_survive_when_a_bag_is_copied_raw(tmp_path: Path, storage: Any) -> None:
    with BagWriter(tmp_path / "first", storage) as writer:
        for number in range(5):
            writer.write("/a", "std_msgs/msg/String", {"data": "x" * number}, number)
    with BagReader(tmp_path / "first") as reader, BagWriter(tmp_path / "second", storage) as writer:
        for message in reader.messages(raw=True):
            assert isinstance(message.message, bytes)
            writer.write_raw(message.topic, message.type, message.message, message.log_ns)
    with BagReader(tmp_path / "second") as reader:
        assert [(m.log_ns, m.message.data) for m in reader.messages()] == [(n, "x" * n) for n in range(5)]
