"""Parameters of the background node; a backend's own come under the backend's name."""

from dataclasses import dataclass
from typing import Any

from tml_ros.background.protocol import Surroundings
from tml_ros.config import param
from tml_ros.intents import AllowList
from tml_ros.resources import locate

__all__ = ["BackgroundConfig", "surroundings"]


@dataclass(frozen=True, slots=True)
class BackgroundConfig:
    """Which model works on tasks, how many at once, and what it may read."""

    backend: str = param("offline", "Background model: offline, openai, scripted, or one that a package adds")
    max_goals: int = param(
        4, "Tasks and questions worked on at once; one more is refused with a reason", minimum=1, maximum=64
    )
    budget_s: float = param(
        30.0,
        "Time for a task that names no budget of its own, and for a question",
        unit="s",
        minimum=0.5,
        maximum=3600.0,
    )
    max_budget_s: float = param(
        300.0, "Longest budget that a task may name; more is cut to it", unit="s", minimum=0.5, maximum=36000.0
    )
    documents: str = param(
        "config/lab/documents", "Folder of Markdown documents, a path or a folder of this package; empty: none"
    )
    skills_file: str = param(
        "config/lab/skills.yaml", "Library of plans, a path or a file of this package; empty: none"
    )
    intents_file: str = param("config/intents.yaml", "Intents that may be proposed: a path, or a file of this package")
    topics: tuple[str, ...] = param(
        ("",), "Topics whose newest message a model may read, each as NAME=package/msg/Type; everything else is closed"
    )
    camera_topic: str = param("image", "Camera that a model may look at, sensor_msgs/Image; empty: none")
    nice: int = param(
        10,
        "Added to the niceness of the process, so that it never takes a core from the interaction node",
        minimum=0,
        maximum=19,
    )


def surroundings(config: BackgroundConfig, **sight: Any) -> Surroundings:
    """Return what a model may read: the files that the configuration names, and what ``sight`` gives of the robot.

    Raises:
        ConfigError: a file or folder is missing, or the intents file is wrong.
    """
    return Surroundings(
        allow_list=AllowList.load(locate(config.intents_file)),
        documents=locate(config.documents) if config.documents else None,
        skills_file=locate(config.skills_file) if config.skills_file else None,
        **sight,
    )
