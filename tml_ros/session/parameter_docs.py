"""Parameter declarations as a commented ROS parameter file and as a Markdown table.

Both are made from the declarations alone, so that a test can tell whether the files that are shipped still tell the
truth. It neither reads nor writes files.
"""

import textwrap
from collections.abc import Mapping
from typing import Any

import yaml

from tml_ros.config import Parameter

__all__ = ["markdown_table", "yaml_text"]

_WIDTH = 100
_HEAD = """\
# Every parameter of the {node} node at its default. Copy this file, keep what you change, and pass the copy with
#   ros2 launch tml_ros interaction.launch.py {argument}:=COPY
# Brackets give the unit, parentheses the bounds. Made from the declarations in tml_ros; do not edit.
"""


def yaml_text(parameters: Mapping[str, Parameter], node: str) -> str:
    """Return a ROS parameter file with every parameter at its default, a comment above each.

    Args:
        node: its name, such as interaction.
        parameters: by dotted name, those of one group one after the other, as ``declarations`` gives them.
    """
    lines = [
        _HEAD.format(node=node, argument="params_file" if node == "interaction" else f"{node}_params_file"),
        "/**:",
        "  ros__parameters:",
    ]
    opened: list[str] = []
    for parameter in parameters.values():
        *groups, leaf = parameter.name.split(".")
        for depth in range(len(groups)):
            if opened[: depth + 1] != groups[: depth + 1]:
                lines.append(f"{_indent(depth)}{groups[depth]}:")
                opened = groups[: depth + 1]
        opened = groups
        indent = _indent(len(groups))
        lines += textwrap.wrap(
            parameter.describe(), _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# "
        )
        lines.append(f"{indent}{leaf}: {_scalar(parameter.default)}")
    return "\n".join(lines) + "\n"


def markdown_table(parameters: Mapping[str, Parameter]) -> str:
    """Return one row per parameter: name, type, default, unit, bounds or choices, description."""
    rows = ["| parameter | type | default | unit | range | what it does |", "|---|---|---|---|---|---|"]
    rows += [_row(parameter) for parameter in parameters.values()]
    return "\n".join(rows) + "\n"


def _row(parameter: Parameter) -> str:
    kind = f"{parameter.kind.__name__}[]" if parameter.is_list else parameter.kind.__name__
    bounds = ""
    if parameter.minimum is not None or parameter.maximum is not None:
        low, high = ("" if bound is None else f"{bound:g}" for bound in (parameter.minimum, parameter.maximum))
        bounds = f"{low}..{high}"
    cells = (
        f"`{parameter.name}`",
        kind,
        f"`{_scalar(parameter.default)}`",
        parameter.unit,
        ", ".join(parameter.choices) or bounds,
        parameter.description,
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _scalar(value: Any) -> str:
    """Write a value so that YAML reads it back in its type: ``1.0`` stays a float and ``"1"`` a string."""
    plain = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(plain, default_flow_style=True, width=float("inf")).removesuffix("...\n").strip()


def _indent(depth: int) -> str:
    return "  " * (depth + 2)
