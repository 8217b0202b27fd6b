"""A camera and a microphone under load: 640x480 bgr8 at 30 Hz and 16 kHz sound in 20 ms chunks, in real time.

Run as ``python load_publisher.py SECONDS WAVE.npy``; the wave, [N] int16 at 16 kHz, is repeated. Prints how far it fell
behind its own schedule.
"""

import sys
import time

import numpy as np
import rclpy
from rclpy.node import Node
from sensor_msgs.msg import Image

from tml_interfaces.msg import AudioChunk
from tml_ros.nodes.messages import fill
from tml_ros.replay.scene_bench import BenchRenderer

CHUNK = 320


def main(seconds: float, wave: np.ndarray) -> None:
    rclpy.init()
    node = Node("load_publisher", namespace="tml")
    sound = node.create_publisher(AudioChunk, "audio/in", 64)
    camera = node.create_publisher(Image, "image", 5)
    bench = BenchRenderer((640, 480), (), 0)
    pictures = [bench.render(number * 100_000_000).tobytes() for number in range(10)]
    while not (sound.get_subscription_count() and camera.get_subscription_count()):
        time.sleep(0.05)
    start_ns, began = time.time_ns(), time.monotonic()
    due = sorted(
        [((n + 1) * 0.02, "sound", n) for n in range(int(seconds * 50))]
        + [(n / 30, "picture", n) for n in range(int(seconds * 30))]
    )
    worst = 0.0
    for at_s, what, number in due:
        behind = time.monotonic() - began - at_s
        worst = max(worst, behind)
        if behind < 0:
            time.sleep(-behind)
        if what == "sound":
            stamp_ns = start_ns + number * 20_000_000
            samples = np.take(wave, range(number * CHUNK, (number + 1) * CHUNK), mode="wrap")
            fields = {
                "stream_id": "load",
                "first_sample": number * CHUNK,
                "sample_rate": 16_000,
                "channels": 1,
                "encoding": "S16LE",
                "data": samples.astype("<i2").tobytes(),
            }
            message, publisher = AudioChunk(), sound
        else:
            stamp_ns = start_ns + int(at_s * 1e9)
            fields = {"width": 640, "height": 480, "step": 1920, "encoding": "bgr8", "data": pictures[number % 10]}
            message, publisher = Image(), camera
        header = {"stamp": {"sec": stamp_ns // 10**9, "nanosec": stamp_ns % 10**9}}
        publisher.publish(fill(message, {"header": header} | fields))
    print(f"worst lateness of the publisher: {worst * 1e3:.0f} ms")
    time.sleep(0.5)
    rclpy.shutdown()


if __name__ == "__main__":
    main(float(sys.argv[1]), np.load(sys.argv[2]))
