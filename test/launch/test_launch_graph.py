"""The launch files with the genuine launch and launch_ros: the graph comes up, works, and goes down again."""

import os
import signal
import sys
from pathlib import Path

import pytest

pytest.importorskip("launch_ros", reason="launch_ros is part of a ROS 2 installation and not on PyPI")
pytest.importorskip("tml_interfaces.msg", reason="tml_interfaces is not built: run `make setup`")

from rcl_interfaces.srv import GetParameters
from std_srvs.srv import Trigger

from tml_interfaces.msg import MicroTurnMetrics, SafetyAlert
from tml_ros.nodes.qos import OUTPUT_QOS
from tml_ros.replay import load_scene, make_bag

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = {
    "interaction": "tml_ros.nodes.interaction",
    "background": "tml_ros.nodes.background",
    "incident_recorder": "tml_ros.nodes.incident_recorder",
    "tml": "tml_ros.cli.main",
}
# What `ros2 launch FILE name:=value ...` does. A background job of a shell has SIGINT ignored.
RUNNER = """
import signal, sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import AnyLaunchDescriptionSource
signal.signal(signal.SIGINT, signal.default_int_handler)
given = [tuple(word.split(":=", 1)) for word in sys.argv[2:]]
included = IncludeLaunchDescription(AnyLaunchDescriptionSource(sys.argv[1]), launch_arguments=given)
service = LaunchService(argv=sys.argv[2:])
service.include_launch_description(LaunchDescription([included]))
sys.exit(service.run())
"""


def install(prefix: Path) -> None:
    """Make a package of the checkout as launch_ros looks for it, with the programs of setup.py."""
    marker = prefix / "share" / "ament_index" / "resource_index" / "packages" / "tml_ros"
    marker.parent.mkdir(parents=True)
    marker.touch()
    folder = prefix / "lib" / "tml_ros"
    folder.mkdir(parents=True)
    for name, module in PROGRAMS.items():
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
        program.chmod(0o755)


@pytest.fixture
def graph(tmp_path: Path, helpers):
    """A graph that can launch; the package looks installed to it."""
    made = helpers("test/nodes/conftest.py").Graph(tmp_path)
    install(tmp_path / "prefix")
    prefixes = (str(tmp_path / "prefix"), os.environ.get("AMENT_PREFIX_PATH") or sys.prefix)
    paths = (str(ROOT), os.environ.get("PYTHONPATH", ""))
    made.environment |= {
        "AMENT_PREFIX_PATH": os.pathsep.join(prefixes),
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "ROS_LOG_DIR": str(tmp_path / "log"),
    }
    yield made
    made.close()


def launch(graph, name: str, *arguments: str):
    return graph.start("-c", RUNNER, str(ROOT / "launch" / f"{name}.launch.py"), "model:=silence", *arguments)


def test_lab_is_watched_and_an_alert_is_acknowledged_when_it_is_launched(graph, tmp_path: Path) -> None:
    shipped = ROOT / "config" / "lab_safety.yaml"
    mine = tmp_path / "my_lab_safety.yaml"
    mine.write_text(shipped.read_text(encoding="utf-8").replace("~/", f"{tmp_path}/"), encoding="utf-8")
    process = launch(graph, "lab_safety", f"params_file:={mine}", "incidents:=true", "audio:=false")
    for name in ("interaction", "background", "incident_recorder"):
        graph.wait(
            lambda name=name: process.poll() is not None or graph.state(name) == "active", f"{name} to be active"
        )
    alerts = graph.collect(SafetyAlert, "safety_alert", OUTPUT_QOS["safety_alert"])
    graph.wait(lambda: any(alert.rule == "no_pictures" for alert in alerts), "somebody to miss the camera")
    answer = graph.call(Trigger, "interaction/acknowledge", Trigger.Request())
    assert (answer.success, answer.message) == (True, "acknowledged: no_pictures")
    graph.wait(lambda: alerts[-1].state == SafetyAlert.ACKNOWLEDGED, "the answer on the topic")
    graph.wait(lambda: any((tmp_path / "tml_incidents").glob(".open/*")), "the incident to be recorded")
    assert graph.stop(process, signal.SIGINT) == 0
    assert "Traceback" not in graph.log_text()


def subscribed(graph) -> set[str]:
    return {topic for topic, _ in graph.client.get_subscriber_names_and_types_by_node("interaction", "/tml")}


def test_graph_comes_up_and_goes_down_when_interaction_is_launched(graph) -> None:
    process = launch(graph, "interaction", "image_topic:=/camera/image_raw", "audio_topic:=microphone")
    graph.wait(lambda: process.poll() is not None or graph.state() == "active", "interaction to be active")
    graph.wait(lambda: {"/camera/image_raw", "/tml/microphone", "/tml/image/compressed"} <= subscribed(graph), "inputs")
    answer = graph.call(GetParameters, "interaction/get_parameters", GetParameters.Request(names=["model"]))
    assert answer.values[0].string_value == "silence"
    graph.wait(lambda: graph.state("background") == "active", "background to be active")
    assert graph.stop(process, signal.SIGINT) == 0
    assert "finished cleanly" in graph.log_text()
    assert "Traceback" not in graph.log_text()


def test_node_waits_for_a_manager_when_autostart_is_false(graph) -> None:
    process = launch(graph, "interaction", "autostart:=false")
    graph.wait(lambda: process.poll() is not None or graph.state() != "", "interaction to answer")
    assert graph.state() == "unconfigured"
    assert graph.change_state(1)  # lifecycle_msgs/Transition.TRANSITION_CONFIGURE
    assert graph.state() == "inactive"
    assert graph.stop(process, signal.SIGINT) == 0


def test_launch_ends_by_itself_when_the_bag_has_been_played(graph, tmp_path: Path) -> None:
    bag = make_bag(load_scene(ROOT / "config" / "scenes" / "silence.yaml"), tmp_path / "bag")
    turns = graph.collect(MicroTurnMetrics, "micro_turn", OUTPUT_QOS["micro_turn"])
    # At the speed of life: DDS may take 3 s until this process hears a node that started together with another one.
    process = launch(graph, "replay", f"bag:={bag.path}", "grace:=1")
    graph.wait(lambda: process.poll() is not None, "the end of the replay")
    assert process.returncode == 0, graph.log_text()
    assert f'"/tml/audio/in": {bag.counts["/tml/audio/in"]}' in graph.log_text()
    assert graph.log_text().count("finished cleanly") == 3
    ends_ns = [turn.header.stamp.sec * 10**9 + turn.header.stamp.nanosec for turn in turns]
    assert ends_ns
    assert all(bag.start_ns < end_ns <= bag.start_ns + bag.duration_ns for end_ns in ends_ns)


def test_launch_ends_when_the_node_cannot_start(graph, tmp_path: Path) -> None:
    bag = make_bag(load_scene(ROOT / "config" / "scenes" / "silence.yaml"), tmp_path / "bag")
    process = launch(graph, "replay", f"bag:={bag.path}", "model:=nothing", "wait:=60")
    graph.wait(lambda: process.poll() is not None, "the end of the replay")
    assert "no duplex model named 'nothing'" in graph.log_text()
