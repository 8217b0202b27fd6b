"""A stand-in for launch and launch_ros that records what a launch file makes, for machines without ROS 2.

It accepts only names that the genuine packages have (Jazzy and newer) and evaluates only what the launch files use.
"""

import runpy
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

NAMES = {
    "launch": "Action LaunchContext",
    "launch.actions": "DeclareLaunchArgument ExecuteProcess IncludeLaunchDescription OpaqueFunction "
    "RegisterEventHandler Shutdown TimerAction",
    "launch.event_handlers": "OnProcessExit",
    "launch.events": "",
    "launch.events.process": "ProcessExited",
    "launch.launch_description_sources": "PythonLaunchDescriptionSource",
    "launch_ros": "",
    "launch_ros.actions": "LifecycleNode Node",
    "launch_ros.parameter_descriptions": "ParameterValue",
    "launch_ros.substitutions": "ExecutableInPackage",
}


class Recorded:
    """Anything that a launch file makes; ``made_from`` holds the keyword arguments, ``args`` the others."""

    def __init__(self, *args: Any, **made_from: Any) -> None:
        self.args, self.made_from = args, made_from

    @property
    def kind(self) -> str:
        return type(self).__name__

    @property
    def node_executable(self) -> Any:
        return self.made_from["executable"]


class LaunchConfiguration(Recorded):
    def perform(self, context: SimpleNamespace) -> str:
        return context.values[self.args[0]]


class LaunchDescription(Recorded):
    pass


@dataclass
class Loaded:
    """A launch file as it would run, includes unfolded. arguments: name to (default in words, description)."""

    context: SimpleNamespace
    arguments: dict[str, tuple[str | None, str]] = field(default_factory=dict)
    actions: list[Recorded] = field(default_factory=list)

    def of(self, *kinds: str) -> list[Recorded]:
        """Return the actions of some kinds."""
        return [action for action in self.actions if action.kind in kinds]

    def text(self, value: Any) -> str:
        """Return what launch would make of a value."""
        if isinstance(value, str):
            return value
        return value.perform(self.context) if isinstance(value, LaunchConfiguration) else self.text(value.args[0])

    def run(self, entities: list[Recorded]) -> None:
        """Go through the entities as launch does."""
        for entity in entities:
            if entity.kind == "DeclareLaunchArgument":
                name, default = entity.args[0], entity.made_from["default_value"]
                default = None if default is None else self.text(default)
                self.arguments.setdefault(name, (default, entity.made_from["description"]))
                if default is not None:
                    self.context.values.setdefault(name, default)
            elif entity.kind == "OpaqueFunction":
                self.run(entity.made_from["function"](self.context))
            elif entity.kind == "IncludeLaunchDescription":
                self.run(_describe(entity.args[0].args[0]))
            else:
                self.actions.append(entity)


def _describe(path: str | Path) -> list[Recorded]:
    return runpy.run_path(str(path))["generate_launch_description"]().args[0]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Loaded]]:
    """Load a launch file with arguments against the stand-in."""
    for module_name, names in NAMES.items():
        module = ModuleType(module_name)
        for name in names.split():
            setattr(module, name, type(name, (Recorded,), {}))
        monkeypatch.setitem(sys.modules, module_name, module)
    sys.modules["launch"].LaunchDescription = LaunchDescription
    substitutions = ModuleType("launch.substitutions")
    substitutions.LaunchConfiguration = LaunchConfiguration
    monkeypatch.setitem(sys.modules, "launch.substitutions", substitutions)

    def loaded(path: Path, **given: str) -> Loaded:
        launch = Loaded(SimpleNamespace(values=dict(given), is_shutdown=False))
        launch.run(_describe(path))
        return launch

    yield loaded
