"""What the tests with a sound server share. Each file starts what it needs once: real time is dear.

How long they take is for the environment to say: TRIALS (interruptions), MINUTES (of the robot's own voice, nobody else
there), HOURS (of capture and playback in all). `make test-audio` sets them.
"""

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).resolve().parent


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _why_not() -> str:
    """Return why a sound server or ROS cannot run here, empty where they can."""
    if missing := _load("pulse").missing_packages():
        return f"missing: {' '.join(missing)}; run: apt-get install {' '.join(missing)}"
    return "" if importlib.util.find_spec("rclpy") else "rclpy is not installed: run `make setup`"


def pytest_collection_modifyitems(items):
    reason = "" if os.environ.get("SOUND_SERVER") else _why_not()  # asked for, then it is a failure
    for item in items:
        if HERE in Path(item.path).parents and item.path.stem != "test_measure" and reason:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def audio():
    """Return ``audio(name)``: a module of this folder."""
    return _load


@pytest.fixture(scope="session")
def amount():
    """Return ``amount(name, default)``: how much of something, by the environment."""
    return lambda name, default: float(os.environ.get(name) or default)


@pytest.fixture(scope="module")
def server(audio) -> Iterator:
    """A sound server without sinks, for one file."""
    with audio("pulse").PulseServer() as running:
        yield running


@pytest.fixture(scope="module")
def graph(helpers) -> Iterator:
    """An empty ROS graph for one file."""
    folder = Path(tempfile.mkdtemp(prefix="tml_audio_"))
    made = helpers("test/nodes/conftest.py").Graph(folder)
    yield made
    made.close()
    shutil.rmtree(folder, ignore_errors=True)
