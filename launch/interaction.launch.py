"""Launch the interaction node and the background node in a namespace, with parameters from files and the topics of the
robot's drivers; with ``audio:=true`` this machine's own microphone and loudspeaker, too.

The nodes configure and activate themselves unless ``autostart:=false`` leaves that to a lifecycle manager. They know no
driver: name the topics of camera and microphone with the ``*_topic`` arguments. See docs/launch.md.
"""

import os
from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode
from launch_ros.parameter_descriptions import ParameterValue

from tml_ros.errors import ConfigError
from tml_ros.nodes.environment import child_environment
from tml_ros.resources import find

ARGUMENTS = {
    # name: (default, description)
    "params_file": (str(find("config/interaction.yaml")), "ROS parameter file of the interaction node"),
    "background": ("true", "Start the background node, too: documents, plans, or a model behind an endpoint"),
    "background_params_file": (str(find("config/background.yaml")), "ROS parameter file of the background node"),
    "audio": ("false", "Start audio_capture and speech_player, too: the microphone and loudspeaker of this machine"),
    "audio_capture_params_file": (str(find("config/audio_capture.yaml")), "ROS parameter file of audio_capture"),
    "speech_player_params_file": (str(find("config/speech_player.yaml")), "ROS parameter file of speech_player"),
    "incidents": ("false", "Record what was seen, heard and said around every alert, see docs/incidents.md"),
    "incident_recorder_params_file": (
        str(find("config/incident_recorder.yaml")),
        "ROS parameter file of incident_recorder",
    ),
    "microphone": ("", "Microphone by name or index, see `tml devices`; empty for the one in its params_file"),
    "loudspeaker": ("", "Loudspeaker by name or index, see `tml devices`; empty for the one in its params_file"),
    "namespace": ("tml", "Namespace of the nodes and of their topics"),
    "use_sim_time": ("false", "Follow /clock: true with a simulator or a bag"),
    "autostart": ("true", "Configure and activate at start; false leaves it to a lifecycle manager"),
    "log_level": ("info", "debug, info, warn, error or fatal"),
    "model": ("", "Duplex model, see `tml models`; empty for the one in params_file"),
    "lab_file": ("", "Lab file of what is watched, see docs/lab_safety.md; empty for the one in params_file"),
    "image_topic": ("image", "Raw pictures, sensor_msgs/Image; a name without leading / is below the namespace"),
    "compressed_topic": ("image/compressed", "Compressed pictures, sensor_msgs/CompressedImage"),
    "audio_topic": ("audio/in", "Microphone, tml_interfaces/AudioChunk"),
    "reference_topic": ("audio/reference", "What the loudspeaker plays, tml_interfaces/AudioChunk"),
}
INPUTS = {
    "image": "image_topic",
    "image/compressed": "compressed_topic",
    "audio/in": "audio_topic",
    "audio/reference": "reference_topic",
}

DEVICES = (("audio_capture", "microphone", "audio/in"), ("speech_player", "loudspeaker", "audio/reference"))


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and start the nodes with them."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=_start)])


def _start(context: LaunchContext) -> list[LifecycleNode]:
    """Make the nodes; a function, because what is not given must not be passed on."""
    chosen = _given(context, **{"model": "model", "safety.lab_file": "lab_file"})
    nodes = [_node(context, "interaction", "params_file", INPUTS, chosen)]
    if _is_wanted(context, "background"):
        cameras = {topic: argument for topic, argument in INPUTS.items() if topic.startswith("image")}
        nodes.append(_node(context, "background", "background_params_file", cameras, {}))
    if _is_wanted(context, "audio"):
        for name, device, topic in DEVICES:
            topics = {topic: INPUTS[topic]}
            nodes.append(_node(context, name, f"{name}_params_file", topics, _given(context, device=device)))
    if _is_wanted(context, "incidents"):
        switched_on = {"enabled": _typed("incidents", bool)}
        nodes.append(_node(context, "incident_recorder", "incident_recorder_params_file", INPUTS, switched_on))
    return nodes


def _given(context: LaunchContext, **arguments: str) -> dict[str, ParameterValue]:
    """Return the parameters whose arguments were given. arguments: parameter to argument."""
    given = {name: one for name, one in arguments.items() if LaunchConfiguration(one).perform(context)}
    return {name: _typed(argument, str) for name, argument in given.items()}


def _is_wanted(context: LaunchContext, argument: str) -> bool:
    wanted = LaunchConfiguration(argument).perform(context).lower()
    if wanted not in ("true", "false"):
        raise ConfigError(f"{argument} must be true or false, got {wanted!r}")
    return wanted == "true"


def _node(
    context: LaunchContext,
    name: str,
    params_argument: str,
    topics: dict[str, str],
    overrides: dict[str, ParameterValue],
) -> LifecycleNode:
    """Make one node. topics: name in the node to the argument that names the driver's topic."""
    params_file = LaunchConfiguration(params_argument).perform(context)
    if not Path(params_file).is_file():
        raise ConfigError(f"{params_argument} {params_file!r} is no file; give the path of a ROS parameter file")
    common = {argument: _typed(argument, bool) for argument in ("use_sim_time", "autostart")}
    return LifecycleNode(
        package="tml_ros",
        executable=name,
        name=name,
        namespace=LaunchConfiguration("namespace"),
        parameters=[params_file, common | overrides],
        remappings=[(topic, LaunchConfiguration(argument)) for topic, argument in topics.items()],
        ros_arguments=["--log-level", LaunchConfiguration("log_level")],
        additional_env=_environment(),
        output="screen",
    )


def _typed(name: str, kind: type) -> ParameterValue:
    return ParameterValue(LaunchConfiguration(name), value_type=kind)


def _environment() -> dict[str, str]:
    """Return what a node's process gets beyond the environment of the launch."""
    return {name: value for name, value in child_environment().items() if os.environ.get(name) != value}
