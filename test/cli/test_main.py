"""The ``tml`` command as a person calls it: exit codes, one-line errors, JSON on the last line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tml_ros import __version__
from tml_ros.cli.main import main


def tml(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "tml_ros.cli.main", *map(str, arguments)]
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    given = os.environ | {"PYTHONPATH": path} | environment
    return subprocess.run(command, capture_output=True, text=True, timeout=110, cwd=cwd, env=given)


def test_version_is_printed_when_asked(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"tml {__version__}\n"


def test_usage_is_shown_when_no_command_is_given():
    with pytest.raises(SystemExit) as end:
        main([])
    assert end.value.code == 2


def test_models_are_listed_with_what_they_are(capsys):
    assert main(["models", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out.splitlines()[-1])}
    assert rows["cascade"]["usable"] and rows["silence"]["usable"]
    assert rows["cascade"]["parameters"] > 3
    assert {name for name, row in rows.items() if row["kind"] == "background model"} == {
        "offline",
        "openai",
        "scripted",
    }
    assert rows["openai"]["usable"]


def test_doctor_says_what_is_missing_and_how_to_get_it_when_a_program_is_not_there(tmp_path):
    done = tml("doctor", "--json", cwd=tmp_path, PATH=str(tmp_path))
    findings = {one["name"]: one for one in json.loads(done.stdout.splitlines()[-1])["findings"]}
    assert done.returncode == 1
    assert not findings["flite"]["present"]
    assert findings["flite"]["remedy"] == "apt install flite"
    assert findings["numpy"]["present"]


def test_doctor_is_content_when_everything_is_there(tmp_path):
    pytest.importorskip("rclpy", reason="rclpy is not installed: run `make setup`")
    done = tml("doctor", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout.splitlines()[-1])["healthy"]


def test_bag_is_made_and_described_when_a_scene_is_given(tmp_path):
    (tmp_path / "scene.yaml").write_text("duration_s: 1\naudio:\n  - {at_s: 0, noise: white, gain_db: -40}\n")
    assert tml("bag", "make", "scene.yaml", "out", "--json", cwd=tmp_path).returncode == 0
    info = tml("bag", "info", "out", "--json", cwd=tmp_path)
    assert info.returncode == 0
    assert "/tml/audio/in" in info.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bag", "make", "nowhere.yaml", "out"], "nowhere.yaml"),
        (["bag", "info", "nowhere"], "nowhere"),
        (["replay", "nowhere"], "nowhere"),
        (["replay", "nowhere", "--topic", "audio/inn=/x"], "did you mean 'audio/in'"),
        (["replay", "nowhere", "--params", "nowhere.yaml"], "cannot read parameter file"),
        (["bag", "play", "nowhere", "--rate", "0"], "--rate must lie in"),
    ],
)
def test_error_is_one_line_when_arguments_are_wrong(arguments, said, tmp_path):
    done = tml(*arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_folder_of_others_is_left_alone_when_the_demo_is_told_to_use_it(tmp_path):
    pytest.importorskip("rclpy", reason="rclpy is not installed: run `make setup`")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    done = tml("demo", "--out", "mine", cwd=tmp_path)
    assert done.returncode == 1
    assert "was not made by `tml demo`" in done.stderr
    assert (tmp_path / "mine" / "thesis.tex").exists()


def test_devices_are_listed_for_the_node_that_they_are_for_when_there_are_some(capsys, monkeypatch):
    from tml_ros.cli import devices
    from tml_ros.devices.portaudio import Device

    known = {"input": [Device(3, "array", 4, 48_000, "ALSA")], "output": [Device(0, "box", 2, 44_100, "ALSA")]}
    monkeypatch.setattr(devices, "list_devices", known.__getitem__)
    assert main(["devices"]) == 0
    table, rows = capsys.readouterr().out.rsplit("\n", 2)[:2]
    assert "array" in table and "44100" in table
    found = [(row["for"], row["index"], row["name"], row["channels"], row["rate_hz"]) for row in json.loads(rows)]
    assert found == [("audio_capture", 3, "array", 4, 48_000), ("speech_player", 0, "box", 2, 44_100)]
    monkeypatch.setattr(devices, "list_devices", lambda kind: [])
    assert main(["devices"]) == 0
    assert "plug one in" in capsys.readouterr().out
