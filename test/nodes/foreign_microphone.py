"""A microphone driver in a process of its own that sends a sound file as messages of other projects, one after another.

``foreign_microphone.py SOUND.npy KIND...``: SOUND holds [N] int16 at 16 kHz; KIND is one of SENDERS.
"""

import array
import sys
import time

import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Float32MultiArray, Int16MultiArray
from tml_test_interfaces.msg import AudioDataStamped, AudioInfo, AudioStamped

from tml_ros.nodes.messages import fill

CHUNK = 320
BEST_EFFORT = QoSProfile(depth=64, reliability=ReliabilityPolicy.BEST_EFFORT)


class Driver:
    """Sends the sound once per kind. Stamps begin early enough for what is sent faster than it was spoken."""

    def __init__(self, node, sound):
        self._node = node
        self._sound = np.pad(sound, (0, -len(sound) % CHUNK)).reshape(-1, CHUNK)
        self._stamp_ns = time.time_ns() - 2_500_000_000 * len(sound) // 16_000

    def send(self, kind, is_last):
        make, message_type, qos, speed = SENDERS[kind]
        publisher = self._node.create_publisher(message_type, "audio/in", qos)
        info = self._node.create_publisher(AudioInfo, "/driver/audio_info", 1) if kind == "bytes" else None
        until = time.monotonic() + 20.0
        while kind != "floats" and not publisher.get_subscription_count() and time.monotonic() < until:
            time.sleep(0.01)
        if kind == "floats":  # nobody listens to these
            time.sleep(0.6)
        began = time.monotonic()
        for number, piece in enumerate(self._sound):
            stamp = {"sec": self._stamp_ns // 10**9, "nanosec": self._stamp_ns % 10**9}
            publisher.publish(make(piece, {"stamp": stamp, "frame_id": "mic"}))
            self._stamp_ns += 20_000_000
            if info is not None and number == 10:
                while not info.get_subscription_count() and time.monotonic() < until:
                    time.sleep(0.01)
                fields = {"channels": 2, "sample_rate": 48_000, "sample_format": "S32LE", "coding_format": "wave"}
                info.publish(fill(AudioInfo(), fields))
            time.sleep(max(0.0, began + (number + 1) * 0.02 / speed - time.monotonic()))
        time.sleep(0.1)
        if is_last:
            time.sleep(60.0)  # until the test is over
        self._node.destroy_publisher(publisher)
        if info is not None:
            self._node.destroy_publisher(info)


def as_bytes(piece, header):
    wide = np.repeat(piece.astype("<i4") << 16, 6)  # stereo at 48 kHz
    return fill(AudioDataStamped(), {"header": header, "audio": {"data": wide.tobytes()}})


def as_typed(piece, header):
    message = fill(AudioStamped(), {"header": header})
    message.audio.audio_data.float32_data = array.array("f", (piece / 32_768).astype("f4").tobytes())
    fill(message.audio.info, {"format": 1, "channels": 1, "rate": 16_000, "chunk": CHUNK})
    return message


def as_array(piece, header):
    return Int16MultiArray(data=array.array("h", piece.tobytes()))


SENDERS = {  # kind: message of a piece, its type, quality of service, how many times faster than it was spoken
    "bytes": (as_bytes, AudioDataStamped, 64, 2),
    "typed": (as_typed, AudioStamped, BEST_EFFORT, 2),
    "array": (as_array, Int16MultiArray, 64, 1),
    "floats": (lambda piece, header: Float32MultiArray(), Float32MultiArray, 10, 1000),
}


def main():
    rclpy.init()
    driver = Driver(Node("driver", namespace="tml"), np.load(sys.argv[1]))
    for kind in sys.argv[2:]:
        driver.send(kind, kind == sys.argv[-1])


if __name__ == "__main__":
    main()
