"""Parameters of safety monitoring in the interaction node and in replays; what is watched stands in the lab file."""

from dataclasses import dataclass, field

from tml_ros.config import param
from tml_ros.safety.eye import EyeConfig

__all__ = ["SafetyConfig"]


@dataclass(frozen=True, slots=True)
class SafetyConfig:
    """Whether and how a place is watched. Advisory, never a safety function."""

    lab_file: str = param(
        "", "Lab file with zones, watchers and rules: a path, or a file of this package; empty: nothing is watched"
    )
    allow_missing: bool = param(
        False, "Go on without the watchers whose model file or library is missing; otherwise the node refuses to start"
    )
    speak: bool = param(True, "Say alerts, before all other speech; without it they are on the topic only")
    state_file: str = param(
        "",
        "JSON file in which open alerts and stated facts outlive a restart or a crash: names, times and the words of "
        "the alerts, nothing that was heard or seen; empty: in memory only. A replay neither reads nor writes it",
    )
    share_images: bool = param(
        False, "Put the picture in which something was first seen into its alert; otherwise no picture leaves the node"
    )
    queue_windows: int = param(
        25,
        "Micro-turns that may wait for the watchers; beyond it the oldest is given up and counted",
        unit="micro-turns",
        minimum=2,
        maximum=3000,
    )
    eye: EyeConfig = field(default_factory=EyeConfig)
