"""Bags on real topics: what is played, and what is left out."""

import json

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: run `make setup`")

from std_msgs.msg import String

from tml_interfaces.msg import Transcript
from tml_ros.bags import BagWriter

T0 = 1_700_000_000_000_000_000


def test_recorded_outputs_are_left_out_when_a_live_node_makes_its_own(graph):
    with BagWriter(graph.folder / "bag") as writer:
        for number in range(10):
            log_ns = T0 + number * 20_000_000
            writer.write("/tml/text/in", "std_msgs/msg/String", {"data": str(number)}, log_ns)
            writer.write("/tml/transcript", "tml_interfaces/msg/Transcript", {"text": str(number)}, log_ns)
    texts, transcripts = graph.collect(String, "text/in"), graph.collect(Transcript, "transcript")
    command = ("-m", "tml_ros.cli.main", "bag", "play", str(graph.folder / "bag"), "--wait-for", "20", "--json")
    for options, wanted in ((("--no-outputs",), 0), ((), 10)):
        texts.clear()
        player = graph.start(*command, *options, log="player.log")
        graph.wait(lambda player=player: player.poll() is not None, "the end of the bag")
        graph.wait(lambda: len(texts) == 10, "the texts")
        assert player.returncode == 0, graph.log_text("player.log")
        assert [message.data for message in texts] == [str(number) for number in range(10)]
        played = json.loads(graph.log_text("player.log").splitlines()[-1])["published"]
        assert played.get("/tml/transcript", 0) == wanted
    assert [message.text for message in transcripts] == [str(number) for number in range(10)]
