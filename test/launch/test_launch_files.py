"""Every launch file against the rest of the package: programs, parameters, topics, arguments.

Runs without ROS, on the stand-in of conftest.py; test_launch_graph.py brings the same files up for real.
"""

import os
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from tml_ros.cli.main import _parser
from tml_ros.config import check_known, declarations, load_parameter_file
from tml_ros.duplex.registry import model_parameters
from tml_ros.errors import ConfigError
from tml_ros.nodes.environment import PROFILE_VARIABLES
from tml_ros.session.build import all_parameters
from tml_ros.session.config import InteractionConfig
from tml_ros.wire import INPUT_TYPES, OUTPUT_TYPES

ROOT = Path(__file__).resolve().parents[2]
INTERACTION, REPLAY, LAB = (ROOT / "launch" / f"{name}.launch.py" for name in ("interaction", "replay", "lab_safety"))
FILES = sorted((ROOT / "launch").glob("*"))
BAG = {"bag": "some_bag"}
NODES = ("LifecycleNode", "Node")


def programs() -> set[str]:
    """The programs that setup.py installs."""
    pytest.importorskip("setuptools", reason="setuptools is not installed")
    from distutils.core import run_setup

    lines = run_setup(str(ROOT / "setup.py"), stop_after="init").entry_points["console_scripts"]
    return {line.split(" = ")[0] for line in lines}


def declared() -> dict:
    """The parameters of the interaction node and of the models that have some."""
    parameters = pytest.importorskip("tml_ros.nodes.parameters", reason="nodes need ROS 2", exc_type=ImportError)
    default = declarations(InteractionConfig)["model"].default
    others = [model_parameters(name) for name in ("native", "moshi", "realtime")]
    own = declarations(parameters.NodeConfig) | all_parameters(default)
    return own | dict(pair for one in others for pair in one.items())


def node_of(launch, name: str):
    (node,) = (action for action in launch.of(*NODES) if action.node_executable == name)
    return node


def interaction_of(launch):
    return node_of(launch, "interaction")


def overrides_of(launch) -> dict:
    """The parameters that the launch file sets, as (text, type)."""
    given = {}
    for item in interaction_of(launch).made_from["parameters"]:
        if isinstance(item, dict):
            given |= {name: (launch.text(value), value.made_from["value_type"]) for name, value in item.items()}
    return given


def command_of(launch) -> list[str]:
    (player,) = launch.of("ExecuteProcess")
    return [launch.text(word) for word in player.made_from["cmd"][1:]]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_argument_is_described_when_the_file_is_loaded(load, path: Path) -> None:
    arguments = load(path, **BAG).arguments
    assert all(len(description) > 10 for _, description in arguments.values())
    required = {"params_file", "namespace", "use_sim_time", "autostart", "log_level", "model"}
    assert required | {"image_topic", "compressed_topic", "audio_topic", "reference_topic"} <= arguments.keys()
    must_be_given = {name for name, (default, _) in arguments.items() if default is None}
    assert must_be_given == ({"bag"} if path == REPLAY else set())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_argument_is_documented_with_its_default_when_the_file_has_it(load, path: Path) -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (?:`(.*?)`)?.* \|$", (ROOT / "docs" / "launch.md").read_text("utf-8"), re.MULTILINE
    )
    declared_here = {name: default or "" for name, (default, _) in load(path, **BAG).arguments.items()}
    declared_here |= {
        name: "" for name, default in declared_here.items() if default.startswith("/")
    }  # paths differ between machines
    assert declared_here.items() <= set(rows)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_program_is_installed_when_the_file_starts_it(load, path: Path) -> None:
    launch = load(path, **BAG)
    started = [action.made_from for action in launch.of(*NODES)]
    started += [action.made_from["cmd"][0].made_from for action in launch.of("ExecuteProcess")]
    assert started
    assert {made_from["package"] for made_from in started} == {"tml_ros"}
    assert {made_from["executable"] for made_from in started} <= programs()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_remaps_change_nothing_when_no_topic_is_given(load, path: Path) -> None:
    launch = load(path, **BAG)
    remaps = {old: launch.text(new) for old, new in interaction_of(launch).made_from["remappings"]}
    assert remaps.keys() <= INPUT_TYPES.keys() | OUTPUT_TYPES.keys()
    assert all(old == new for old, new in remaps.items())


@pytest.mark.parametrize(
    ("argument", "topic"),
    [
        ("image_topic", "image"),
        ("compressed_topic", "image/compressed"),
        ("audio_topic", "audio/in"),
        ("reference_topic", "audio/reference"),
    ],
)
def test_input_is_remapped_when_its_topic_is_given(load, argument: str, topic: str) -> None:
    launch = load(INTERACTION, **{argument: "/robot/sensor"})
    remaps = {old: launch.text(new) for old, new in interaction_of(launch).made_from["remappings"]}
    assert {old for old, new in remaps.items() if new == "/robot/sensor"} == {topic}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_parameter_file_holds_declared_parameters_when_it_is_the_default(load, path: Path) -> None:
    file = Path(interaction_of(load(path, **BAG)).made_from["parameters"][0])
    assert file.is_file()
    known = declared()
    values = load_parameter_file(file, "interaction")
    check_known(values, known)
    for name, value in values.items():
        known[name].check(value)


def test_parameters_are_typed_as_declared_when_arguments_set_them(load) -> None:
    given = overrides_of(load(INTERACTION, model="silence", autostart="false", use_sim_time="true"))
    assert given == {"use_sim_time": ("true", bool), "autostart": ("false", bool), "model": ("silence", str)}
    known = declared()
    assert all(known[name].kind is kind for name, (_, kind) in given.items() if name != "use_sim_time")


def test_model_of_the_parameter_file_holds_when_no_model_is_given(load) -> None:
    assert "model" not in overrides_of(load(INTERACTION))


@pytest.mark.parametrize("argument", ["params_file", "background_params_file"])
def test_launch_is_refused_when_the_parameter_file_is_not_there(load, argument: str) -> None:
    with pytest.raises(ConfigError, match=rf"{argument} 'nowhere\.yaml'"):
        load(INTERACTION, **{argument: "nowhere.yaml"})


def test_background_node_is_started_beside_the_other_unless_it_is_switched_off(load) -> None:
    launch = load(INTERACTION, compressed_topic="/camera/compressed", use_sim_time="true", namespace="robot_1")
    made_from = node_of(launch, "background").made_from
    file, overrides = made_from["parameters"]
    assert {name: launch.text(value) for name, value in overrides.items()} == {
        "use_sim_time": "true",
        "autostart": "true",
    }
    assert load_parameter_file(Path(file), "background")["backend"] == "offline"
    assert (made_from["name"], launch.text(made_from["namespace"])) == ("background", "robot_1")
    remaps = {old: launch.text(new) for old, new in made_from["remappings"]}
    assert remaps == {"image": "image", "image/compressed": "/camera/compressed"}
    names = [node.node_executable for node in load(INTERACTION, background="false").of(*NODES)]
    assert names == ["interaction"]
    with pytest.raises(ConfigError, match="background must be true or false, got 'maybe'"):
        load(INTERACTION, background="maybe")


def test_ears_and_mouth_are_started_when_audio_is_wanted(load) -> None:
    given = {"audio": "true", "microphone": "array", "loudspeaker": "3", "audio_topic": "/mic"}
    launch = load(INTERACTION, **given)
    ears, mouth = (node_of(launch, name).made_from for name in ("audio_capture", "speech_player"))
    for made_from, device in ((ears, "array"), (mouth, "3")):
        file, overrides = made_from["parameters"]
        assert "device" in load_parameter_file(Path(file), made_from["executable"])
        assert launch.text(overrides["device"]) == device
        assert overrides["device"].made_from["value_type"] is str  # an index is text, too
    remaps = [{old: launch.text(new) for old, new in made_from["remappings"]} for made_from in (ears, mouth)]
    assert remaps == [{"audio/in": "/mic"}, {"audio/reference": "audio/reference"}]
    others = load(INTERACTION, audio="true")
    assert "device" not in node_of(others, "audio_capture").made_from["parameters"][1]
    with pytest.raises(ConfigError, match="audio must be true or false, got 'yes'"):
        load(INTERACTION, audio="yes")


def test_incidents_are_recorded_when_that_is_switched_on(load) -> None:
    launch = load(INTERACTION, incidents="true", image_topic="/camera/image_raw")
    made_from = node_of(launch, "incident_recorder").made_from
    file, overrides = made_from["parameters"]
    assert load_parameter_file(Path(file), "incident_recorder")["enabled"] is False
    assert (launch.text(overrides["enabled"]), overrides["enabled"].made_from["value_type"]) == ("true", bool)
    remaps = {old: launch.text(new) for old, new in made_from["remappings"]}
    assert (remaps["image"], remaps["audio/in"]) == ("/camera/image_raw", "audio/in")
    names = [node.node_executable for node in load(INTERACTION).of(*NODES)]
    assert "incident_recorder" not in names


def test_one_file_serves_all_nodes_when_a_lab_is_watched(load) -> None:
    launch = load(LAB, incidents="true")
    names = [node.node_executable for node in launch.of(*NODES)]
    assert names == ["interaction", "background", "audio_capture", "speech_player", "incident_recorder"]
    files = {Path(node.made_from["parameters"][0]) for node in launch.of(*NODES)}
    assert files == {ROOT / "config" / "lab_safety.yaml"}
    config_files = ROOT / "config"
    for name in names:
        known = load_parameter_file(config_files / f"{name}.yaml", name)
        own = load_parameter_file(config_files / "lab_safety.yaml", name)
        assert own and own.keys() <= known.keys(), name
    assert not load_parameter_file(config_files / "lab_safety.yaml", "incident_recorder")["enabled"]
    assert [node.node_executable for node in load(LAB, audio="false").of(*NODES)] == ["interaction", "background"]


@pytest.mark.parametrize("path", [INTERACTION, LAB], ids=["interaction", "lab_safety"])
def test_lab_file_is_the_one_that_was_given(load, path: Path) -> None:
    assert overrides_of(load(path, lab_file="/my/lab.yaml"))["safety.lab_file"] == ("/my/lab.yaml", str)


def test_a_shipped_lab_is_watched_when_none_is_given(load) -> None:
    (lab_file, kind) = overrides_of(load(LAB))["safety.lab_file"]
    assert Path(lab_file).is_file() and kind is str
    assert "safety.lab_file" not in overrides_of(load(INTERACTION))


def test_node_is_named_and_placed_when_it_is_launched(load) -> None:
    launch = load(INTERACTION, namespace="robot_1", log_level="debug")
    made_from = interaction_of(launch).made_from
    assert (made_from["name"], launch.text(made_from["namespace"])) == ("interaction", "robot_1")
    assert [launch.text(word) for word in made_from["ros_arguments"]] == ["--log-level", "debug"]


def test_fast_dds_gets_the_profile_when_the_user_chose_none(load, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PROFILE_VARIABLES, "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"):
        monkeypatch.delenv(name, raising=False)
    added = interaction_of(load(INTERACTION)).made_from["additional_env"]
    profiles = [value for name, value in added.items() if name in PROFILE_VARIABLES]
    assert profiles and all(Path(value).is_file() for value in profiles)
    assert {"MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"} <= added.keys()
    assert not added.keys() & os.environ.keys()


@pytest.mark.parametrize("name", PROFILE_VARIABLES)
def test_profile_is_left_alone_when_the_user_chose_one(load, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for other in PROFILE_VARIABLES:
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, "mine.xml")
    assert not set(PROFILE_VARIABLES) & interaction_of(load(INTERACTION)).made_from["additional_env"].keys()


def test_bag_is_played_as_asked_when_replay_is_launched(load) -> None:
    command = command_of(load(REPLAY, bag="b", rate="2.5", wait="7", player_arguments="--loop --subscribers 2"))
    options = _parser().parse_args(command)
    assert (str(options.bag), options.rate, options.wait_for) == ("b", 2.5, 7.0)
    assert (options.loop, options.subscribers, options.no_clock) == (True, 2, False)


def test_node_follows_the_clock_of_the_bag_when_replay_is_launched(load) -> None:
    assert overrides_of(load(INTERACTION))["use_sim_time"] == ("false", bool)
    assert overrides_of(load(REPLAY, **BAG))["use_sim_time"] == ("true", bool)


@pytest.mark.parametrize("is_player", [True, False], ids=["bag", "node"])
def test_replay_ends_once_when_a_process_has_ended(load, is_player: bool) -> None:
    launch = load(REPLAY, **BAG, grace="3")
    player, node = launch.of("ExecuteProcess")[0], interaction_of(launch)
    (handler,) = (action.args[0].made_from for action in launch.of("RegisterEventHandler"))
    assert handler["target_action"](player) and handler["target_action"](node)
    event = SimpleNamespace(action=player if is_player else node)
    (action,) = handler["on_exit"](event, launch.context)
    if is_player:  # the answer to the last words of the bag takes its time
        assert launch.text(action.made_from["period"]) == "3"
        (action,) = action.made_from["actions"]
    assert action.kind == "Shutdown"
    launch.context.is_shutdown = True
    assert handler["on_exit"](event, launch.context) == []


def test_replay_goes_on_when_a_process_of_somebody_else_has_ended(load) -> None:
    launch = load(REPLAY, **BAG)
    (handler,) = (action.args[0].made_from for action in launch.of("RegisterEventHandler"))
    other = type(interaction_of(launch))(executable="another")
    assert not handler["target_action"](other)
    assert not handler["target_action"](SimpleNamespace())
