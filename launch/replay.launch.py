"""Play a bag to a live interaction node on the bag's clock, and end when the bag or the node ends.

Takes every argument of interaction.launch.py too. For the same answers every time, without ROS, use `tml replay`.
"""

import shlex

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
    Shutdown,
    TimerAction,
)
from launch.event_handlers import OnProcessExit
from launch.events.process import ProcessExited
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode
from launch_ros.substitutions import ExecutableInPackage

from tml_ros.resources import find

ARGUMENTS = {
    # name: (default, description); None has to be given
    "bag": (None, "Bag to play: a folder, a .mcap or a .db3 file"),
    "rate": ("1.0", "Speed of playback, 1 is the speed of life"),
    "wait": ("10.0", "Seconds to wait at most until every topic of the bag has a subscriber"),
    "grace": ("2.0", "Seconds between the end of the bag and the end of the launch, for the last answer"),
    "player_arguments": ("", "Further options of `tml bag play`, such as --loop"),
    "use_sim_time": ("true", "Follow the clock of the bag"),
}


def generate_launch_description() -> LaunchDescription:
    """Include the interaction launch, which takes over the arguments declared here, and play the bag beside it."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    source = PythonLaunchDescriptionSource(str(find("launch/interaction.launch.py")))
    interaction = IncludeLaunchDescription(source)
    return LaunchDescription([*declared, interaction, OpaqueFunction(function=_play)])


def _play(context: LaunchContext) -> list[Action]:
    """Make the player; a function, because further options have to be split into words."""
    further = shlex.split(LaunchConfiguration("player_arguments").perform(context))
    player = ExecuteProcess(
        cmd=[
            ExecutableInPackage(package="tml_ros", executable="tml"),
            *("bag", "play", LaunchConfiguration("bag")),
            *("--rate", LaunchConfiguration("rate"), "--wait-for", LaunchConfiguration("wait")),
            *("--no-outputs", *further),  # the live node publishes its own
        ],
        name="bag_player",
        output="screen",
    )
    grace = TimerAction(period=LaunchConfiguration("grace"), actions=[Shutdown(reason="the bag has ended")])

    def end(event: ProcessExited, context: LaunchContext) -> list[Action]:
        """Shut down once only: launch fails at a second time."""
        if context.is_shutdown:
            return []
        return [grace if event.action is player else Shutdown(reason="the interaction node has ended")]

    ends = OnProcessExit(target_action=lambda action: action is player or _is_interaction(action), on_exit=end)
    return [RegisterEventHandler(ends), player]


def _is_interaction(action: Action) -> bool:
    return isinstance(action, LifecycleNode) and action.node_executable == "interaction"
