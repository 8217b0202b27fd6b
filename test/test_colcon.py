"""The tree builds with plain colcon and installs what ``ros2 run`` and ``ros2 launch`` look for."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("tml_ros", "tml_interfaces", "launch", "config", "models", "resource")
FILES = ("package.xml", "setup.py", "setup.cfg")


@pytest.mark.timeout(300)
def test_packages_build_and_the_node_runs_when_colcon_is_called(tmp_path):
    pytest.importorskip("rclpy", reason="rclpy is not installed: run `make setup`")
    colcon = shutil.which("colcon", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert colcon, "colcon is not installed: run `make setup`"
    for part in PARTS:
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file in FILES:
        shutil.copy(ROOT / file, tmp_path)
    environment = dict(os.environ)
    environment.pop("PYTHONPATH", None)
    environment.setdefault("AMENT_PREFIX_PATH", sys.prefix)  # what sourcing .venv/local_setup.bash or ROS does
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    build = [colcon, "build", "--base-paths", ".", "tml_interfaces", "--event-handlers", "console_direct+"]
    done = subprocess.run(build, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    installed = tmp_path / "install" / "tml_ros"
    assert os.access(installed / "lib" / "tml_ros" / "interaction", os.X_OK)
    assert (installed / "share" / "tml_ros" / "launch" / "interaction.launch.py").is_file()
    assert (installed / "share" / "ament_index" / "resource_index" / "packages" / "tml_ros").is_file()
    assert list((tmp_path / "install" / "tml_interfaces").rglob("_audio_chunk.py"))
    ran = subprocess.run(
        ["bash", "-c", "source install/setup.bash && install/tml_ros/lib/tml_ros/interaction --ros-args -p model:=x"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 1
    assert "no duplex model named 'x'" in ran.stderr
