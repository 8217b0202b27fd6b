"""Measure how many raw camera images get lost between two processes on this machine, as configured now."""

import subprocess
import sys
import time

import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from tml_ros.errors import TmlError
from tml_ros.nodes import environment
from tml_ros.nodes.messages import fill

__all__ = ["measure_image_loss"]

_TOPIC = "tml_dds_check/image"
_IMAGES = 90
_RATE_HZ = 30.0
_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)


def measure_image_loss() -> float:
    """Publish 90 best-effort 640x480 images from a second process and return the share that is lost, 0 to 1.

    Raises:
        TmlError: the second process failed.
    """
    environment.prepare()
    rclpy.init()
    node = Node("tml_dds_check")
    received: list[int] = []
    node.create_subscription(Image, _TOPIC, lambda message: received.append(len(message.data)), _QOS)
    command = [sys.executable, "-m", "tml_ros.nodes.dds_check"]
    publisher = subprocess.Popen(command, env=environment.child_environment(), stderr=subprocess.PIPE)
    try:
        end = None
        while end is None or time.monotonic() < end:
            rclpy.spin_once(node, timeout_sec=0.05)
            if end is None and publisher.poll() is not None:
                end = time.monotonic() + 0.5
    finally:
        publisher.kill()
        node.destroy_node()
        rclpy.try_shutdown()
    if publisher.returncode:
        raise TmlError(
            f"the publishing process failed: {(publisher.stderr.read() if publisher.stderr else b'').decode()}"
        )
    return 1.0 - len(received) / _IMAGES


def _publish() -> None:
    rclpy.init()
    node = Node("tml_dds_check_camera")
    publisher = node.create_publisher(Image, _TOPIC, _QOS)
    deadline = time.monotonic() + 10.0
    while not publisher.get_subscription_count() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    message = fill(
        Image(), {"width": 640, "height": 480, "step": 1920, "encoding": "bgr8", "data": bytes(640 * 480 * 3)}
    )
    for _ in range(_IMAGES):
        publisher.publish(message)
        time.sleep(1.0 / _RATE_HZ)
    rclpy.shutdown()


if __name__ == "__main__":
    _publish()
