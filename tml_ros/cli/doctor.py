"""``tml doctor``: what this machine has for tml_ros, what it lacks, and how to get it."""

import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import sys
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tml_ros.background import create_background
from tml_ros.background.config import BackgroundConfig, surroundings
from tml_ros.duplex.registry import available_models, create_model
from tml_ros.errors import MissingDependencyError, TmlError
from tml_ros.nodes import environment
from tml_ros.speech.piper import find_piper

__all__ = ["Finding", "doctor"]

_PACKAGES = (
    "numpy",
    "soxr",
    "rosbags",
    "opencv-python-headless",
    "onnxruntime",
    "silero-vad",
    "pocketsphinx",
    "soundfile",
    "sounddevice",
    "PyYAML",
    "jsonschema",
    "rich",
    "bm25s",
    "pint",
    "pystemmer",
    "text2num",
    "markdown-it-py",
    "openai",
    "httpx2",
    "mcp",
)
_RECOGNIZERS = ("sherpa-onnx", "faster-whisper")
_PROGRAMS = {"flite": "flite", "espeak-ng": "espeak-ng"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked for. needed: whether the nodes cannot run as they are shipped without it."""

    name: str
    present: bool
    needed: bool
    detail: str
    remedy: str = ""


def doctor(*, as_json: bool, with_dds: bool) -> int:
    """Print what was found; 1 when something is missing that is needed."""
    findings = [*_python(), *_programs(), *_ros(), *_models()]
    if with_dds:
        findings.append(_dds())
    if not as_json:
        _show(findings)
    healthy = all(finding.present for finding in findings if finding.needed)
    print(json.dumps({"healthy": healthy, "findings": [asdict(finding) for finding in findings]}))
    return 0 if healthy else 1


def _show(findings: list[Finding]) -> None:
    table = Table("", "what", "found", "how to get it")
    for one in findings:
        mark = (
            "[green]ok[/green]" if one.present else ("[red]missing[/red]" if one.needed else "[yellow]absent[/yellow]")
        )
        table.add_row(mark, escape(one.name), escape(one.detail), escape("" if one.present else one.remedy))
    Console().print(table)


def _python() -> list[Finding]:
    version = platform.python_version()
    found = [Finding("Python", sys.version_info >= (3, 11), True, version, "use Python 3.11 or newer")]
    for name in _PACKAGES:
        try:
            found.append(Finding(name, True, True, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            remedy = f"pip install {name}" + (" --no-deps" if name == "silero-vad" else "")
            found.append(Finding(name, _has_cv2(name), True, "from another package" if _has_cv2(name) else "", remedy))
    return [*found, *(_recognizer(name) for name in _RECOGNIZERS)]


def _recognizer(name: str) -> Finding:
    """Look for a package that only another recogniser of the cascade needs."""
    try:
        return Finding(name, True, False, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, False, False, "", f"pip install {name}; only for cascade.recognizer: {name}")


def _has_cv2(name: str) -> bool:
    """Tell whether OpenCV is there under another name, as in a ROS installation."""
    return name == "opencv-python-headless" and importlib.util.find_spec("cv2") is not None


def _programs() -> list[Finding]:
    found = []
    for program, package in _PROGRAMS.items():
        path = shutil.which(program) or ""
        found.append(Finding(program, bool(path), program == "flite", path, f"apt install {package}"))
    return [*found, _piper(), _portaudio()]


def _piper() -> Finding:
    try:
        return Finding("piper", True, False, find_piper())
    except MissingDependencyError as err:
        return Finding("piper", False, False, "", f"{err}; only for speech.synthesiser: piper")


def _portaudio() -> Finding:
    try:
        import sounddevice

        devices = sounddevice.query_devices()
        return Finding("PortAudio", True, False, f"{len(devices)} audio devices")
    except (ImportError, OSError) as err:
        return Finding("PortAudio", False, False, str(err), "apt install libportaudio2")


def _ros() -> list[Finding]:
    found = []
    for module, needed, remedy in (
        ("rclpy", True, "make setup, or source a ROS 2 installation (Jazzy or newer)"),
        (
            "tml_interfaces",
            True,
            "make setup, or colcon build --base-paths . tml_interfaces and source install/setup.bash",
        ),
        ("launch_ros", False, "comes with a ROS 2 installation; `ros2 launch` needs it"),
        ("cv_bridge", False, "comes with a ROS 2 installation; our own converter is used without it"),
        ("hri_actions_msgs", False, "comes with ROS4HRI; intents are then published on /intents, too"),
    ):
        present = importlib.util.find_spec(module) is not None
        found.append(Finding(module, present, needed, os.environ.get("ROS_DISTRO", "") if present else "", remedy))
    chosen = [os.environ[name] for name in environment.PROFILE_VARIABLES if os.environ.get(name)]
    detail = chosen[0] if chosen else "config/fastdds.xml of this package is used by our commands and launch files"
    return [*found, Finding("Fast DDS profile", True, False, detail)]


def _models() -> list[Finding]:
    return [*(_model(name) for name in available_models()), _offline()]


def _model(name: str) -> Finding:
    try:
        create_model(name).close()
        return Finding(f"model {name}", True, name == "cascade", "can be made")
    except TmlError as err:
        return Finding(f"model {name}", False, name == "cascade", "", str(err))


def _offline() -> Finding:
    """Try the background model that is shipped as the default, with the example lab."""
    try:
        create_background("offline", {}, surroundings(BackgroundConfig())).close()
    except TmlError as err:
        return Finding("background model offline", False, True, "", str(err))
    return Finding("background model offline", True, True, "can be made")


def _dds() -> Finding:
    try:
        environment.require_ros()
        from tml_ros.nodes.dds_check import measure_image_loss

        lost = measure_image_loss()
    except TmlError as err:
        return Finding("DDS, camera images", False, False, str(err), "")
    detail = f"{lost:.0%} of 640x480 best-effort images lost between two processes"
    return Finding("DDS, camera images", lost < 0.02, False, detail, "use config/fastdds.xml, or reliable publishers")
