"""The repository as a package: what lies at its root, versions, requirements, entry points, installation."""

import os
import re
import subprocess
import sys
from fnmatch import fnmatch
from importlib.metadata import EntryPoint
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tml_ros import __version__, resources
from tml_ros.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {".ci", "config", "docs", "launch", "models", "resource", "test", "tml_interfaces", "tml_ros"}
FILES = {".gitignore", "CHANGELOG.md", "LICENSE", "Makefile", "README.md", "package.xml", "pyproject.toml"}
FILES |= {"setup.cfg", "setup.py"}
REQUIREMENTS = sorted(ROOT.glob("requirements*.txt"))
LOCK = ROOT / "requirements-lock.txt"
ENTRY_POINTS = {
    ("console_scripts", "tml = tml_ros.cli.main:main"),
    ("console_scripts", "interaction = tml_ros.nodes.interaction:main"),
    ("console_scripts", "background = tml_ros.nodes.background:main"),
    ("console_scripts", "audio_capture = tml_ros.nodes.audio_capture:main"),
    ("console_scripts", "speech_player = tml_ros.nodes.speech_player:main"),
    ("console_scripts", "incident_recorder = tml_ros.nodes.incident_recorder:main"),
    ("pytest11", "tml_ros = tml_ros.pytest_plugin"),
    ("tml_ros.background_models", "offline = tml_ros.background.offline.model:OfflineModel"),
    ("tml_ros.background_models", "openai = tml_ros.background.openai.model:OpenAIModel"),
    ("tml_ros.background_models", "scripted = tml_ros.background.scripted:ScriptedModel"),
    ("tml_ros.duplex_models", "always_talk = tml_ros.duplex.baselines:AlwaysTalkModel"),
    ("tml_ros.duplex_models", "cascade = tml_ros.duplex.cascade.model:CascadeModel"),
    ("tml_ros.duplex_models", "echo = tml_ros.duplex.baselines:EchoModel"),
    ("tml_ros.duplex_models", "moshi = tml_ros.duplex.remote.moshi:MoshiModel"),
    ("tml_ros.duplex_models", "native = tml_ros.duplex.native.model:NativeModel"),
    ("tml_ros.duplex_models", "realtime = tml_ros.duplex.remote.realtime:RealtimeModel"),
    ("tml_ros.duplex_models", "silence = tml_ros.duplex.baselines:SilenceModel"),
}


def canonical(name: str) -> str:
    """Spell a package name as PEP 503 does, without extras."""
    return re.sub(r"[-_.]+", "-", name.split("[")[0]).lower()


def pins(path: Path) -> dict[str, str]:
    """Read the lines of a requirements file as name -> version; every line has to be pinned."""
    lines = (re.split("[#;]", line)[0].strip() for line in path.read_text().splitlines())
    found = {}
    for line in filter(None, lines):
        name, _, version = line.partition("==")
        assert re.fullmatch(r"[\w.]+", version), f"not pinned: {line}"
        found[canonical(name)] = version
    return found


@pytest.fixture(scope="module")
def distribution():
    """What setup.py declares, as setuptools sees it."""
    pytest.importorskip("setuptools", reason="setuptools is not installed")
    from distutils.core import run_setup

    return run_setup(str(ROOT / "setup.py"), stop_after="init")


def test_nothing_else_lies_at_the_root_when_ignored_files_are_left_out() -> None:
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines() if line]
    names = {path.name for path in ROOT.iterdir() if not any(fnmatch(path.name, pattern) for pattern in ignored)}
    assert names - FOLDERS - FILES - {path.name for path in REQUIREMENTS} - {".git"} == set()


def test_version_is_the_same_when_asked_in_different_places(distribution) -> None:
    manifests = [ROOT / "package.xml", ROOT / "tml_interfaces" / "package.xml"]
    versions = [ElementTree.parse(path).findtext("version") for path in manifests]
    assert [*versions, distribution.get_version()] == [__version__] * 3


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.name)
def test_requirement_is_pinned_as_in_the_lock_when_it_is_listed(path: Path) -> None:
    assert pins(path).items() <= pins(LOCK).items()


def test_requirements_are_pinned_when_setup_asks_for_them(distribution) -> None:
    asked = {canonical(re.split(r"[<>=]", line)[0]) for line in distribution.install_requires}
    assert asked == pins(ROOT / "requirements.txt").keys()
    extras = dict(distribution.extras_require)
    native = extras.pop("native")
    assert {re.split(r"[<>=]", line)[0] for line in native} == pins(ROOT / "requirements-native.txt").keys()
    others = {re.split(r"[<>=]", line)[0] for lines in extras.values() for line in lines}
    assert others <= pins(ROOT / "requirements-dev.txt").keys()  # what is optional is tested all the same


def test_entry_points_are_declared_when_others_rely_on_them(distribution) -> None:
    declared = {(group, line) for group, lines in distribution.entry_points.items() for line in lines}
    assert declared == ENTRY_POINTS


@pytest.mark.parametrize(("group", "line"), sorted(ENTRY_POINTS))
def test_entry_point_loads_when_it_is_declared(group: str, line: str) -> None:
    name, target = line.split(" = ")
    if target.startswith("tml_ros.nodes."):
        pytest.importorskip("rclpy", reason="nodes need ROS 2")
    found = EntryPoint(name, target, group).load()
    assert callable(found) or group == "pytest11"  # whose plugins are modules


def test_everything_shipped_is_listed_when_setup_collects_data(distribution) -> None:
    pairs = [(Path(folder), Path(name)) for folder, names in distribution.data_files for name in names]
    installed = {folder / name.name: ROOT / name for folder, name in pairs}
    definitions = {path.relative_to(ROOT) for path in ROOT.glob("tml_interfaces/*/*.*")}
    found = [path for base in ("config", "models") for path in (ROOT / base).rglob("*")]
    shipped = {path.relative_to(ROOT) for path in found if path.is_file() and "__pycache__" not in path.parts}
    expected = {Path("share/tml_ros/interfaces") / path for path in definitions}
    expected |= {Path("share/tml_ros") / path for path in shipped | {Path("package.xml")}}
    expected |= {Path("share/tml_ros/launch") / path.name for path in ROOT.glob("launch/*.launch.py")}
    expected |= {Path("share/ament_index/resource_index/packages/tml_ros")}
    assert installed.keys() == expected
    assert all(path.is_file() for path in installed.values())


@pytest.mark.parametrize("target", ["clean", "demo", "help", "lint", "lock", "setup", "test", "test-audio"])
def test_target_exists_when_make_is_asked(target: str) -> None:
    plan = subprocess.run(["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert plan and "Nothing to be done" not in plan


def test_style_types_and_tests_are_checked_when_make_test_runs() -> None:
    plan = subprocess.run(["make", "--dry-run", "test"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    positions = [plan.find(tool) for tool in (".ci/setup", "ruff check", "mypy", "pytest", "executed.py")]
    assert -1 not in positions
    assert positions == sorted(positions)


@pytest.mark.parametrize("name", ["run", "setup"])
def test_script_is_executable_bash_when_it_is_called(name: str) -> None:
    script = ROOT / ".ci" / name
    assert os.access(script, os.X_OK)
    assert "set -euo pipefail" in script.read_text()
    subprocess.run(["bash", "-n", script], check=True)


@pytest.mark.parametrize(("tests", "skipped", "accepted"), [(3, 2, True), (3, 3, False), (0, 0, False)])
def test_run_is_accepted_when_a_test_was_executed(tmp_path: Path, tests: int, skipped: int, accepted: bool) -> None:
    results = tmp_path / "results.xml"
    results.write_text(f'<testsuites><testsuite tests="{tests}" skipped="{skipped}"/></testsuites>')
    run = subprocess.run([sys.executable, ROOT / ".ci" / "executed.py", results], capture_output=True, text=True)
    assert (run.returncode == 0) is accepted
    assert accepted or "no test was executed" in run.stderr


def test_programs_and_data_are_where_ros2_looks_when_colcon_installs(tmp_path: Path) -> None:
    pytest.importorskip("colcon_core", reason="colcon is not installed for this interpreter")
    folders = ["--build-base", tmp_path / "build", "--install-base", tmp_path / "install"]
    command = [sys.executable, "-m", "colcon", "--log-base", tmp_path / "log", "build", "--base-paths", ROOT]
    subprocess.run([*command, "--packages-select", "tml_ros", *folders], cwd=tmp_path, check=True, capture_output=True)
    prefix = tmp_path / "install" / "tml_ros"
    assert os.access(prefix / "lib/tml_ros/interaction", os.X_OK)
    assert os.access(prefix / "lib/tml_ros/background", os.X_OK)
    assert os.access(prefix / "lib/tml_ros/tml", os.X_OK)
    assert (prefix / "share/tml_ros/config/fastdds.xml").is_file()
    assert (prefix / "share/tml_ros/interfaces/tml_interfaces/msg/AudioChunk.msg").is_file()
    assert (prefix / "share/ament_index/resource_index/packages/tml_ros").is_file()


def test_fast_dds_profile_gives_images_room_when_it_is_read() -> None:
    profile = ElementTree.parse(resources.find("config/fastdds.xml"))
    sizes = {item.tag.split("}")[1]: int(item.text or 0) for item in profile.iter() if item.tag.endswith("ize")}
    assert sizes["segment_size"] >= 4 * 1280 * 720 * 3
    assert sizes["maxMessageSize"] > 1280 * 720 * 3


# --------------------------------------------------------------------------------------------------- tml_ros.resources


@pytest.mark.parametrize(
    ("relative", "expected"),
    [
        ("config/fastdds.xml", "config/fastdds.xml"),
        ("interfaces/tml_interfaces/msg/AudioChunk.msg", "tml_interfaces/msg/AudioChunk.msg"),
        ("launch", "launch"),
    ],
)
def test_resource_is_found_when_running_from_a_checkout(relative: str, expected: str) -> None:
    assert resources.find(relative) == ROOT / expected


@pytest.mark.parametrize(
    ("package", "share"),
    [
        ("lib/python3.11/site-packages/tml_ros", "share/tml_ros"),
        ("local/lib/python3.12/dist-packages/tml_ros", "local/share/tml_ros"),
        ("install/tml_ros/lib/python3.12/site-packages/tml_ros", "install/tml_ros/share/tml_ros"),
    ],
    ids=["pip", "debian", "colcon"],
)
def test_resource_is_found_when_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, share: str
) -> None:
    (tmp_path / package).mkdir(parents=True)
    file = tmp_path / share / "config" / "intents.yaml"
    file.parent.mkdir(parents=True)
    file.touch()
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / package)
    assert resources.find("config/intents.yaml") == file


def test_error_names_the_file_and_the_place_when_a_resource_is_absent() -> None:
    with pytest.raises(ConfigError, match=rf"'config/absent\.yaml'.*{re.escape(str(ROOT))}/config/absent\.yaml"):
        resources.find("config/absent.yaml")


def test_error_says_where_it_looked_when_nothing_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "tml_ros")
    with pytest.raises(ConfigError, match=re.escape(str(tmp_path))):
        resources.find("config/intents.yaml")


def test_every_test_is_run_once_when_make_test_divides_them() -> None:
    plan = subprocess.run(["make", "--dry-run", "test"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    shared, graphs, alone = (line.split() for line in plan.splitlines() if "-m pytest" in line)
    left_out, apart = (
        {word.removeprefix("--ignore=") for word in run if "--ignore=" in word} for run in (shared, graphs)
    )
    named = [{word for word in run if word.startswith("test/")} for run in (graphs, alone)]
    assert left_out == named[0] | named[1] | {"test/audio"}  # which `make test-audio` runs
    assert apart == named[1]
    assert left_out and all((ROOT / path).exists() for path in left_out)
