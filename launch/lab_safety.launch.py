"""Watch a lab: the interaction node with a lab file, this machine's microphone and loudspeaker, and, when it is
switched on, the incident recorder.

Takes every argument of interaction.launch.py, with defaults for a monitor; one file, config/lab_safety.yaml, holds the
parameters of all nodes. Alerts are advisory: this is no safety function. See docs/lab_safety.md.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from tml_ros.resources import find

PARAMS_FILE = LaunchConfiguration("params_file")
ARGUMENTS = {
    # name: (default, description)
    "params_file": (str(find("config/lab_safety.yaml")), "ROS parameter file of all nodes, a section for each"),
    "lab_file": (
        str(find("config/labs/fume_hood.yaml")),
        "Lab file with your zones and rules, see docs/lab_safety.md",
    ),
    "audio": ("true", "Start audio_capture and speech_player: the microphone and loudspeaker of this machine"),
    "background_params_file": (PARAMS_FILE, "ROS parameter file of the background node, if it is another one"),
    "audio_capture_params_file": (PARAMS_FILE, "ROS parameter file of audio_capture, if it is another one"),
    "speech_player_params_file": (PARAMS_FILE, "ROS parameter file of speech_player, if it is another one"),
    "incident_recorder_params_file": (PARAMS_FILE, "ROS parameter file of incident_recorder, if it is another one"),
}


def generate_launch_description() -> LaunchDescription:
    """Include the interaction launch, which takes over the arguments declared here."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    source = PythonLaunchDescriptionSource(str(find("launch/interaction.launch.py")))
    return LaunchDescription([*declared, IncludeLaunchDescription(source)])
