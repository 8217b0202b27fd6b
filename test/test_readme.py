"""The README is true: every command in it is run here or by another test that is named here."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")

# What runs every shell command of the README. A command without an entry fails the test.
COVERED = {
    "make demo": "test/cli/test_demo.py runs `tml demo`; test_make_targets_call_what_is_tested below ties the two",
    "make test": "is what runs this",
    "make test-audio": "test/audio is what it runs, after `make test`; test_make_targets_call_what_is_tested below",
    ".venv/bin/tml bag make config/scenes/demo.yaml demo_bag": "test_commands_without_ros_run below",
    ".venv/bin/tml replay demo_bag --out demo_out": "test_commands_without_ros_run below",
    "colcon build --base-paths . tml_interfaces && source install/setup.bash": "test/test_colcon.py",
    "ros2 launch tml_ros interaction.launch.py audio:=true image_topic:=/camera/image_raw": "test/launch/",
    ".venv/bin/tml zone demo_bag --name hood": "test_commands_without_ros_run below",
    "ros2 launch tml_ros lab_safety.launch.py lab_file:=my_lab.yaml image_topic:=/camera/image_raw": "test/launch/",
}


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def commands(text: str = README) -> list[str]:
    lines = [line.split("  #")[0].strip() for block in blocks("bash", text) for line in block.splitlines()]
    return [line for line in lines if line]


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    environment = os.environ | {"PYTHONPATH": path, "DISPLAY": "", "WAYLAND_DISPLAY": ""}
    return subprocess.run(command, capture_output=True, text=True, timeout=110, cwd=cwd, env=environment)


def test_every_command_is_covered_when_the_readme_changes():
    assert set(commands()) == set(COVERED)
    for where in COVERED.values():
        for path in re.findall(r"test/[\w/]+(?:\.py)?", where):
            assert (ROOT / path).exists(), path


def test_python_lines_run_and_hear_the_words(tmp_path):
    (block,) = blocks("python")
    assert 8 <= len([line for line in block.splitlines() if line.strip()]) <= 10
    done = run(sys.executable, "-c", block, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    heard, intents, digest = done.stdout.splitlines()
    assert "turn left" in heard
    assert "__intent_turn_by__" in intents
    assert re.fullmatch(r"[0-9a-f]{64}", digest)


def test_commands_without_ros_run(tmp_path):
    wanted = [command for command in commands() if command.startswith(".venv/bin/tml")]
    assert len(wanted) == 3
    (tmp_path / "config").symlink_to(ROOT / "config")
    for command in wanted:
        done = run(sys.executable, "-m", "tml_ros.cli.main", *command.split()[1:], cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "demo_out" / "report.html").exists() and (tmp_path / "zones.jpg").exists()


def test_commands_on_incidents_run_and_zones_are_as_shown(tmp_path):
    """The recorder itself is run by test/nodes/test_incident_recorder.py, its launch argument by test/launch."""
    text = (ROOT / "docs" / "incidents.md").read_text(encoding="utf-8")
    launched, *own = commands(text)
    assert launched == "ros2 launch tml_ros interaction.launch.py incidents:=true"
    assert [command.split()[1] for command in own] == ["zone", "zone", "report", "report"]
    scene = "duration_s: 2\nvideo: [{at_s: 0.0, render: bench, size: [160, 120], rate_hz: 5}]\n"
    (tmp_path / "scene.yaml").write_text(scene)
    run(sys.executable, "-m", "tml_ros.cli.main", "bag", "make", "scene.yaml", "demo_bag", cwd=tmp_path)
    for command in own[:3]:
        done = run(sys.executable, "-m", "tml_ros.cli.main", *shlex.split(command)[1:], cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    (shown,) = blocks("yaml", text)
    assert yaml.safe_load((tmp_path / "zones.yaml").read_text()) == yaml.safe_load(shown)
    assert (tmp_path / "zones.jpg").exists() and (tmp_path / "demo_bag.html").exists()


def test_make_targets_call_what_is_tested():
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^demo: setup.*\n\t.*\.venv/bin/tml demo", makefile, re.MULTILINE)
    assert re.search(r"^test: lint.*\n(?:.+\n)*?\t\$\(RUN\) ", makefile, re.MULTILINE)
    assert re.search(r"^test-audio: setup.*\n(?:\t.*\n)*?\t.*-m pytest .* test/audio ", makefile, re.MULTILINE)


def test_sections_come_in_the_promised_order():
    order = ["full-duplex presence", "![", "make demo", "## Without ROS", "ros2 launch", "## Topics", "## Limits"]
    places = [README.index(part) for part in order]
    assert places == sorted(places)


def test_topics_table_names_every_topic():
    from tml_ros.wire import INPUT_TYPES, OUTPUT_TYPES

    for topic, type_name in (INPUT_TYPES | OUTPUT_TYPES).items():
        row = next((line for line in README.splitlines() if line.startswith("|") and f"`{topic}`" in line), "")
        assert type_name.split("/")[-1] in row, topic


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_link_leads_to_a_file(link):
    assert (ROOT / link).exists()
