"""Trees: what a field takes, what it becomes, and how a wrong tree is refused."""

from typing import Any

import numpy as np
import pytest

from tml_ros.bags import message_to_tree, tree_to_message, typestore
from tml_ros.errors import BagError


def test_message_has_same_fields_as_ros_when_rclpy_is_installed() -> None:
    serialization = pytest.importorskip("rclpy.serialization", reason="no rclpy: ROS 2 is not installed")
    image_type = pytest.importorskip("sensor_msgs.msg", reason="sensor_msgs is not installed").Image
    tree = {"header": {"stamp": {"sec": -3, "nanosec": 7}, "frame_id": "käse"}, "width": 2, "step": 2, "data": b"\1\2"}
    ours = typestore().serialize_cdr(
        tree_to_message(typestore(), "sensor_msgs/msg/Image", tree), "sensor_msgs/msg/Image"
    )
    image = serialization.deserialize_message(bytes(ours), image_type)
    assert (image.header.stamp.sec, image.header.stamp.nanosec, image.header.frame_id) == (-3, 7, "käse")
    assert (image.width, image.height, image.step, bytes(image.data)) == (2, 0, 2, b"\1\2")


@pytest.mark.parametrize(
    ("name", "tree", "words"),
    [
        ("std_msgs/msg/Strng", {}, ("'std_msgs/msg/Strng'", "did you mean 'std_msgs/msg/String'")),
        ("std_msgs/msg/String", {"dat": ""}, ("no field 'dat'", "did you mean 'data'")),
        ("std_msgs/msg/Empty", {"data": 1}, ("no field 'data'", "expected none")),
        ("std_msgs/msg/Header", {"stamp": {"secs": 1}}, ("Header.stamp", "'secs'", "did you mean 'sec'")),
        ("std_msgs/msg/Header", {"stamp": 5}, ("Header.stamp is 5", "dict")),
        ("std_msgs/msg/Header", {"frame_id": b"map"}, ("Header.frame_id is b'map'", "str")),
        ("std_msgs/msg/UInt8", {"data": 256}, ("data is 256", "uint8")),
        ("std_msgs/msg/UInt8", {"data": 1.5}, ("data is 1.5", "uint8")),
        ("std_msgs/msg/Bool", {"data": 1}, ("data is 1", "bool")),
        ("std_msgs/msg/Byte", {"data": b"ab"}, ("data is b'ab'", "byte")),
        ("std_msgs/msg/Float32", {"data": 1e39}, ("data is 1e+39", "float32")),
        ("std_msgs/msg/Float64", {"data": "5"}, ("data is '5'", "float64")),
        ("sensor_msgs/msg/Image", {"data": [0, 256]}, ("data[1] is 256", "uint8")),
        ("sensor_msgs/msg/Image", {"data": np.zeros((2, 2), np.uint8)}, ("data is", "ndarray [N]")),
        ("sensor_msgs/msg/Image", {"data": "text"}, ("data is 'text'",)),
        ("sensor_msgs/msg/Image", {"data": [0.5]}, ("data[0] is 0.5",)),
        ("sensor_msgs/msg/Image", {"data": np.array([256])}, ("data is array([256])", "within its range")),
        ("sensor_msgs/msg/Image", {"data": np.array([0.5])}, ("data is array([0.5])",)),
        ("std_msgs/msg/Float32MultiArray", {"data": np.array([1e39])}, ("data is array([1.e+39])", "float32")),
        ("sensor_msgs/msg/CameraInfo", {"k": [1.0]}, ("k has 1 elements", "expected 9")),
        ("sensor_msgs/msg/JointState", {"name": "arm"}, ("name is 'arm'", "a list")),
        ("sensor_msgs/msg/JointState", {"name": ["arm", 1]}, ("name[1] is 1", "str")),
        ("tml_interfaces/msg/SafetyAlert", {"evidence": [{}, {}]}, ("evidence has 2 elements", "at most 1")),
        ("tml_interfaces/msg/SafetyAlert", {"regions": [{"widht": 1}]}, ("regions[0]", "did you mean 'width'")),
    ],
)
def test_tree_is_refused_with_path_when_it_does_not_fit(
    name: str, tree: dict[str, Any], words: tuple[str, ...]
) -> None:
    with pytest.raises(BagError) as caught:
        tree_to_message(typestore(), name, tree)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize("data", [b"\1\2", bytearray(b"\1\2"), memoryview(b"\1\2"), [1, 2], np.array([1, 2])])
def test_octets_are_accepted_when_bytes_list_or_array(data: Any) -> None:
    message = tree_to_message(typestore(), "sensor_msgs/msg/Image", {"data": data})
    assert message.data.dtype == np.uint8 and message.data.tobytes() == b"\1\2"


@pytest.mark.parametrize("data", [[0, 2**64 - 1], np.array([0, 2**64 - 1], np.uint64)])
def test_large_integers_stay_exact_when_they_exceed_floats(data: Any) -> None:
    message = tree_to_message(typestore(), "std_msgs/msg/UInt64MultiArray", {"data": data})
    assert message.data.tolist() == [0, 2**64 - 1]


def test_bytes_are_not_copied_when_they_become_a_field() -> None:
    pixels = np.zeros(1000, np.uint8)
    message = tree_to_message(typestore(), "sensor_msgs/msg/Image", {"data": memoryview(pixels)})
    assert np.shares_memory(message.data, pixels)


@pytest.mark.parametrize(("value", "stored"), [(255, 255), (b"\xff", 255), (0, 0)])
def test_byte_field_is_unsigned_when_read_back(value: Any, stored: int) -> None:
    message = tree_to_message(typestore(), "std_msgs/msg/Byte", {"data": value})
    assert message_to_tree(typestore(), message) == {"data": stored}


def test_message_is_accepted_inside_a_tree_when_type_fits() -> None:
    stamp = tree_to_message(typestore(), "builtin_interfaces/msg/Time", {"sec": 5})
    header = tree_to_message(typestore(), "std_msgs/msg/Header", {"stamp": stamp})
    assert header.stamp.sec == 5


def test_message_to_tree_refuses_when_it_is_no_message() -> None:
    with pytest.raises(BagError, match="'int' is unknown"):
        message_to_tree(typestore(), 5)
