"""Launch the interaction node in a namespace, with parameters from a file and the topics of the robot's drivers.

The node configures and activates itself unless ``autostart:=false`` leaves that to a lifecycle manager. It knows no
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
    "params_file": (str(find("config/interaction.yaml")), "ROS parameter file of the node"),
    "namespace": ("tml", "Namespace of the node and of its topics"),
    "use_sim_time": ("false", "Follow /clock: true with a simulator or a bag"),
    "autostart": ("true", "Configure and activate at start; false leaves it to a lifecycle manager"),
    "log_level": ("info", "debug, info, warn, error or fatal"),
    "model": ("", "Duplex model, see `tml models`; empty for the one in params_file"),
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


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and start the node with them."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=_start)])


def _start(context: LaunchContext) -> list[LifecycleNode]:
    """Make the node; a function, because a model that is not given must not be passed on."""
    params_file = LaunchConfiguration("params_file").perform(context)
    if not Path(params_file).is_file():
        raise ConfigError(f"params_file {params_file!r} is no file; give the path of a ROS parameter file")
    overrides = {name: _typed(name, bool) for name in ("use_sim_time", "autostart")}
    if LaunchConfiguration("model").perform(context):
        overrides["model"] = _typed("model", str)
    node = LifecycleNode(
        package="tml_ros",
        executable="interaction",
        name="interaction",
        namespace=LaunchConfiguration("namespace"),
        parameters=[params_file, overrides],
        remappings=[(topic, LaunchConfiguration(argument)) for topic, argument in INPUTS.items()],
        ros_arguments=["--log-level", LaunchConfiguration("log_level")],
        additional_env=_environment(),
        output="screen",
    )
    return [node]


def _typed(name: str, kind: type) -> ParameterValue:
    return ParameterValue(LaunchConfiguration(name), value_type=kind)


def _environment() -> dict[str, str]:
    """Return what the node's process gets beyond the environment of the launch."""
    return {name: value for name, value in child_environment().items() if os.environ.get(name) != value}
