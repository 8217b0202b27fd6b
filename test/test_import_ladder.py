"""Imports go down the ladder only; ROS and torch stay where they belong. Walks the syntax trees, imports nothing."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "tml_ros"
LEVELS = [
    {"errors", "records", "config", "clock", "wire", "resources", "plugins", "schema_files", "documents"},
    {"media", "intents", "sights"},
    {"windowing", "bags", "speech", "background", "safety", "devices"},
    {"duplex"},
    {"session"},
    {"replay", "training"},
    {"evaluation"},
    {"nodes"},
    {"cli", "pytest_plugin"},
]
ROS = {"rclpy", "launch", "launch_ros", "builtin_interfaces", "rosgraph_msgs", "ament_index_python", "cv_bridge"}
TORCH_HOMES = ("duplex/native/", "training/")


def level(part: str) -> int:
    for number, parts in enumerate(LEVELS):
        if part in parts:
            return number
    raise AssertionError(f"tml_ros/{part} has no place on the ladder; add it to LEVELS and to docs/architecture.md")


def imports(path: Path) -> list[tuple[int, str]]:
    """Return line and full name of everything a file imports, in functions too."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import; write it in full"
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
    return found


def upward(path: Path, package: Path) -> list[str]:
    own = path.relative_to(package).parts[0].removesuffix(".py")
    if own == "__init__":
        return []
    wrong = []
    for line, name in imports(path):
        parts = name.split(".")
        if parts[0] == "tml_ros" and len(parts) > 1 and parts[1] not in ("__version__", own):
            same_level_is_fine = level(own) == level(parts[1]) == 0
            if level(parts[1]) >= level(own) and not same_level_is_fine:
                wrong.append(f"{path.relative_to(package)}:{line} imports {name}")
    return wrong


def is_ros(name: str) -> bool:
    top = name.split(".")[0]
    return top in ROS or top.endswith(("_msgs", "_srvs", "_interfaces"))


FILES = sorted(PACKAGE.rglob("*.py"))


def test_no_file_imports_upwards():
    assert len(FILES) > 30
    assert [fault for path in FILES for fault in upward(path, PACKAGE)] == []


def test_ros_is_imported_only_under_nodes():
    # cv_bridge is an option of media/: it is imported only when it is asked for
    allowed = {PACKAGE / "media" / "cv_bridge_backend.py"}
    faults = [
        f"{path.relative_to(PACKAGE)}:{line} imports {name}"
        for path in FILES
        if path.relative_to(PACKAGE).parts[0] != "nodes" and path not in allowed
        for line, name in imports(path)
        if is_ros(name)
    ]
    assert faults == []


def test_torch_is_imported_only_where_models_live():
    faults = [
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in FILES
        if not str(path.relative_to(PACKAGE)).startswith(TORCH_HOMES)
        for line, name in imports(path)
        if name.split(".")[0] == "torch"
    ]
    assert faults == []


@pytest.mark.parametrize(
    ("where", "line"),
    [
        ("windowing/bad.py", "from tml_ros.session import InteractionConfig"),
        ("windowing/bad.py", "import tml_ros.speech.queue"),
        ("records.py", "from tml_ros.media import decode"),
        ("replay/bad.py", "def f():\n    from tml_ros.nodes import qos"),
    ],
)
def test_upward_import_is_found_when_there_is_one(tmp_path, where, line):
    path = tmp_path / where
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(line + "\n")
    assert len(upward(path, tmp_path)) == 1
