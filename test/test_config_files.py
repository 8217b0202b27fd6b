"""The parameter files and the parameter tables that are shipped, against the declarations that they are made from.

``python test/test_config_files.py`` writes them anew.
"""

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tml_ros.background.config import BackgroundConfig
from tml_ros.background.registry import backend_parameters
from tml_ros.config import Parameter, declarations, flatten, load_parameter_file, param
from tml_ros.devices.capture import CaptureConfig
from tml_ros.devices.playback import PlaybackConfig
from tml_ros.duplex.registry import model_parameters
from tml_ros.safety.incidents import IncidentConfig
from tml_ros.session.build import all_parameters, read_config
from tml_ros.session.config import InteractionConfig
from tml_ros.session.parameter_docs import markdown_table, yaml_text

ROOT = Path(__file__).resolve().parents[1]
TABLE_FILE = ROOT / "docs" / "parameters.md"
TABLE = re.compile(r"^\|.*\|\n(?:\|.*\|\n)+", re.MULTILINE)
MEND = "run `python test/test_config_files.py` to write it anew"
DEVICES = {"audio_capture": CaptureConfig, "speech_player": PlaybackConfig, "incident_recorder": IncidentConfig}
NODES = ("interaction", "background", *DEVICES)


def parameter_file(node: str) -> Path:
    """The shipped file of a node."""
    return ROOT / "config" / f"{node}.yaml"


def shipped(node: str) -> dict[str, Parameter]:
    """Every parameter of a node: with the duplex models that have some, or with each background model."""
    parameters = pytest.importorskip("tml_ros.nodes.parameters", reason="nodes need ROS 2", exc_type=ImportError)
    own = declarations(parameters.NodeConfig)
    if node == "interaction":
        models = [model_parameters(name) for name in ("native", "moshi", "realtime")]
        chosen = own | all_parameters(declarations(InteractionConfig)["model"].default)
        return chosen | dict(pair for one in models for pair in one.items())
    if node in DEVICES:
        return own | declarations(DEVICES[node])
    backends = [backend_parameters(name) for name in ("offline", "openai", "scripted")]
    return own | declarations(BackgroundConfig) | dict(pair for one in backends for pair in one.items())


def defaults(parameters: dict[str, Parameter]) -> dict[str, Any]:
    """Name to default, lists as YAML has them."""
    return {name: list(p.default) if p.is_list else p.default for name, p in parameters.items()}


def types(values: dict[str, Any]) -> dict[str, type]:
    """Name to type, for 1 == 1.0 == True in Python but not in ROS."""
    return {name: type(value) for name, value in values.items()}


@pytest.mark.parametrize("node", NODES)
def test_parameter_file_is_what_the_declarations_give_when_it_is_made_anew(node: str) -> None:
    assert parameter_file(node).read_text(encoding="utf-8") == yaml_text(shipped(node), node), MEND


@pytest.mark.parametrize("node", NODES)
def test_parameter_file_holds_every_default_when_it_is_read(node: str) -> None:
    expected, given = defaults(shipped(node)), load_parameter_file(parameter_file(node), node)
    assert given == expected, MEND
    assert types(given) == types(expected)


def test_configuration_is_the_default_when_it_comes_from_the_parameter_file() -> None:
    values = load_parameter_file(parameter_file("interaction"), "interaction")
    values.pop("autostart")  # the node's own; an offline replay has no use for it
    assert read_config(values) == InteractionConfig()


@pytest.mark.parametrize("node", NODES)
def test_parameters_reach_a_node_in_their_types_when_ros_reads_the_file(node: str) -> None:
    rclpy = pytest.importorskip("rclpy", reason="nodes need ROS 2")
    context = rclpy.Context()
    context.init(args=["--ros-args", "--params-file", str(parameter_file(node))])
    made = rclpy.create_node(
        node, context=context, automatically_declare_parameters_from_overrides=True, enable_rosout=False
    )
    try:
        expected = defaults(shipped(node))
        given = {name: made.get_parameter(name).value for name in expected}
        given = {name: list(value) if isinstance(expected[name], list) else value for name, value in given.items()}
        assert given == expected
        assert types(given) == types(expected)
    finally:
        made.destroy_node()
        context.try_shutdown()


def test_tables_are_what_the_declarations_give_when_they_are_made_anew() -> None:
    made = [markdown_table(shipped(node)) for node in NODES]
    assert TABLE.findall(TABLE_FILE.read_text(encoding="utf-8")) == made, MEND


def test_parameters_exist_when_the_background_page_names_them() -> None:
    text = (ROOT / "docs" / "background.md").read_text(encoding="utf-8")
    known = shipped("interaction") | shipped("background")
    named = set(re.findall(r"`((?:delegation|openai|offline|scripted|cascade)\.[a-z_]+)`", text))
    assert len(named) > 8 and named <= known.keys()
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    for block in blocks:
        content = yaml.safe_load(block)
        values = flatten(content.get("/**", {}).get("ros__parameters", content))
        for name, value in values.items():
            known[name].check(value)
    assert len(blocks) == 2


# ------------------------------------------------------------------------------------- tml_ros.session.parameter_docs


@dataclass(frozen=True, slots=True)
class Inner:
    """A group in a group."""

    step: float = param(1e-5, "Step | of something", unit="s", minimum=0, maximum=1)
    names: tuple[str, ...] = param(("a", "1"), "Names")


@dataclass(frozen=True, slots=True)
class Outer:
    """A group with a field behind its own group."""

    inner: Inner = field(default_factory=Inner)
    count: int = param(3, "Count", minimum=1)


@dataclass(frozen=True, slots=True)
class Whole:
    """Values that YAML would take for another type if they were not written with care."""

    number_like: str = param("1", "Text")
    truth_like: str = param("on", "Text")
    empty: str = param("", "Text", choices=("", "x"))
    flag: bool = param(True, "Flag")
    whole_float: float = param(2.0, "Float")
    outer: Outer = field(default_factory=Outer)
    long: str = param("x", "word " * 100)


def test_defaults_come_back_when_the_text_is_read_as_yaml() -> None:
    parameters = declarations(Whole)
    given = flatten(yaml.safe_load(yaml_text(parameters, "interaction"))["/**"]["ros__parameters"])
    assert given == defaults(parameters)
    assert types(given) == types(defaults(parameters))
    assert list(given) == list(parameters)


def test_parameter_is_explained_when_it_is_written_as_yaml() -> None:
    lines = yaml_text(declarations(Whole), "interaction").splitlines()
    assert lines[lines.index("        step: 1.0e-05") - 1] == "        # Step | of something [s] (0..1)"
    assert max(len(line) for line in lines) <= 120


def test_row_has_every_column_when_a_cell_contains_a_bar() -> None:
    rows = markdown_table(declarations(Whole)).splitlines()
    assert rows[2] == "| `number_like` | str | `'1'` |  |  | Text |"
    assert "| `outer.inner.step` | float | `1.0e-05` | s | 0..1 | Step \\| of something |" in rows
    assert "| `outer.inner.names` | str[] | `[a, '1']` |  |  | Names |" in rows
    assert "| `outer.count` | int | `3` |  | 1.. | Count |" in rows
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 7 for row in rows)


if __name__ == "__main__":
    tables = iter([markdown_table(shipped(node)) for node in NODES])
    for node in NODES:
        parameter_file(node).write_text(yaml_text(shipped(node), node), encoding="utf-8")
    TABLE_FILE.write_text(TABLE.sub(lambda _: next(tables), TABLE_FILE.read_text("utf-8")), "utf-8")
    print(f"wrote {[parameter_file(node).name for node in NODES]} and {TABLE_FILE}", file=sys.stderr)
