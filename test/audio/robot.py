"""A robot with ears and a mouth in a room: sound server, room, the four nodes, and everything that they publish.

Knows how to make the robot talk at length and how to talk over it, and gives the recording of both sides in the end;
what it means is in measure.py.
"""

import contextlib
import time
from collections.abc import Callable
from typing import Any

import yaml
from diagnostic_msgs.msg import DiagnosticArray
from std_msgs.msg import String

from tml_interfaces.msg import (
    ActionIntent,
    AudioChunk,
    MicroTurnMetrics,
    PlaybackStatus,
    SessionState,
    SpeechChunk,
    SpeechControl,
    Transcript,
)
from tml_ros.nodes.qos import OUTPUT_QOS

# Two minutes, full of what the robot would act upon if it took its own voice for a person's.
REPORT = """
There are three tables in the lab, and each of them is used for something else. On the first one you find the balance
and the small red cup that everybody looks for. If you go forward from there, you come to the sink, and you turn left
to reach the second table. Please do not stop in front of the door, because people come in and go out there all day.
The second table is for the samples of the week, and they are sorted by the day on which they came. When you are done
with one of them, bring it back to the shelf, and write your name on the list that hangs beside it. The third table is
empty at the moment, since the robot arm that stood on it is being repaired. You can follow the yellow line on the
floor, which leads around the tables and back to the door. Never mind the noise that comes from the corner, it is only
the pump that cools the freezer. The gloves are in the drawer below the window, the large ones on the left and the small
ones on the right. If the drawer is empty, there are more of them in the store room at the end of the corridor. Wait
until the light above that door is green before you open it, because somebody may be working with the laser. The bottles
with the blue labels must stay upright, so do not put more than four of them on a tray. When the bell rings, everybody
goes home, and the last one turns off the light and closes the windows. In the morning the machines are turned on one
after the other, which takes about ten minutes. After that the first samples can be measured, and the results appear on
the screen beside the door.
"""
SPEAK_TIMEOUT_S = 20.0
PULSE_VARIABLES = ("PULSE_", "ALSA_", "XDG_RUNTIME_DIR")


TOPICS = {
    "speech": SpeechChunk,
    "speech/control": SpeechControl,
    "action_intent": ActionIntent,
    "transcript": Transcript,
    "session_state": SessionState,
    "micro_turn": MicroTurnMetrics,
}
SENSED = {"audio/in": AudioChunk, "audio/reference": AudioChunk, "playback": PlaybackStatus}


class Received(list):
    """Messages with when they came, in seconds of the system's clock: [(time, message)]."""

    @property
    def messages(self) -> list[Any]:
        return [message for _, message in self]

    def between(self, begin_s: float, end_s: float) -> list[Any]:
        return [message for at_s, message in self if begin_s <= at_s < end_s]


def seconds(stamp: Any) -> float:
    """Return a ROS stamp in seconds."""
    return stamp.sec + stamp.nanosec / 1e9


class Robot:
    """All four nodes at work in a room.

    Args:
        graph: see test/nodes/conftest.py.
        server: a running pulse.PulseServer.
        room: makes the room: (environment, folder, speaker, microphone) -> room.Room.
        options: parameters of single nodes, such as ``interaction=("cascade.resume:=false",)``.
    """

    def __init__(self, graph: Any, server: Any, room: Callable[..., Any], **options: tuple[str, ...]) -> None:
        self.graph = graph
        graph.environment.update(
            {name: value for name, value in server.environment().items() if name.startswith(PULSE_VARIABLES)}
        )
        server.add_sink("robot_speaker")
        server.add_sink("robot_room")
        self.received = {name: self._collect(kind, name, OUTPUT_QOS[name]) for name, kind in TOPICS.items()}
        self.received |= {name: self._collect(kind, name, 100) for name, kind in SENSED.items()}
        self.diagnostics = self._collect(DiagnosticArray, "/diagnostics", 50)
        self._text = graph.client.create_publisher(String, "text/in", 10)
        try:
            self._start_nodes(options)
        except AssertionError as err:
            raise AssertionError(f"{err}\n{self.log_texts()}") from err
        self.room = room(server.environment(), graph.folder / "room", "robot_speaker", "robot_room")

    def _start_nodes(self, options: dict[str, tuple[str, ...]]) -> None:
        script = self.graph.folder / "script.yaml"
        script.write_text(yaml.safe_dump({"tasks": [{"updates": [{"result": {"report": " ".join(REPORT.split())}}]}]}))
        self.graph.start_background(f"scripted.script:={script}", *options.get("background", ()))
        self.graph.start_interaction("delegation.max_spoken_chars:=4000", *options.get("interaction", ()))
        self.start("audio_capture", "device:=microphone", *options.get("audio_capture", ()))
        self.start("speech_player", "device:=loudspeaker", *options.get("speech_player", ()))
        for topic, number in (("audio/in", 20), ("audio/reference", 20), ("micro_turn", 3)):
            received = self.received[topic]
            self.graph.wait(
                lambda received=received, number=number: len(received) >= number, f"{topic} to come", timeout_s=20.0
            )

    def start(self, name: str, *parameters: str) -> Any:
        """Start a device node; it activates itself."""
        given = [word for parameter in parameters for word in ("-p", parameter)]
        return self.graph.start(
            "-m", f"tml_ros.nodes.{name}", "--ros-args", "-r", "__ns:=/tml", *given, log=f"{name}.log"
        )

    def _collect(self, kind: Any, topic: str, qos: Any) -> Received:
        received = Received()
        self.graph.client.create_subscription(kind, topic, lambda m: received.append((time.time(), m)), qos)
        return received

    # ---------------------------------------------------------------------------------------------------------- talk

    @property
    def is_speaking(self) -> bool:
        states = self.received["session_state"]
        return bool(states) and states[-1][1].agent_state == SessionState.AGENT_SPEAKING

    @property
    def spoken_for_s(self) -> float:
        """How long the robot has been speaking without a break."""
        states = self.received["session_state"]
        return time.time() - seconds(states[-1][1].agent_since) if self.is_speaking else 0.0

    def talk(self) -> None:
        """Make the robot talk for two minutes, unless it is at it."""
        end = time.monotonic() + SPEAK_TIMEOUT_S
        while not self.is_speaking:
            assert time.monotonic() < end, f"asked for {SPEAK_TIMEOUT_S} s in vain for the robot to talk"
            self._text.publish(String(data="tell me about the lab"))
            with contextlib.suppress(AssertionError):  # a person's turn may still be going on: ask again
                self.graph.wait(lambda: self.is_speaking, "the robot to talk", timeout_s=4.0)

    def say(self, sound: Any, after_s: float = 0.0) -> tuple[int, float]:
        """Talk over the robot; return the number of the clip and when it began (system time)."""
        number = self.room.say(sound, after_s, when_loud=True)
        end = time.monotonic() + SPEAK_TIMEOUT_S
        while number not in self.room.begun:
            assert time.monotonic() < end, f"waited {SPEAK_TIMEOUT_S} s in vain for the robot to be loud"
            self.talk()
            self.graph.spin(0.05)
        return number, time.time()

    def heard(self) -> list[str]:
        """What the robot took for words of a person, final ones only."""
        return [m.text for m in self.received["transcript"].messages if m.speaker == "user" and m.final]

    def counters(self) -> dict[str, int]:
        """The session's counters."""
        return {pair.key: int(pair.value) for pair in self.received["micro_turn"][-1][1].counters}

    def log_texts(self) -> str:
        """What the nodes wrote, for a failed test."""
        return "\n".join(f"--- {path.name}\n{path.read_text()[-2000:]}" for path in self.graph.folder.glob("*.log"))
