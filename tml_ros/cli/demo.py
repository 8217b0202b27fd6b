"""``tml demo``: the main job on this machine, every part of it real.

Makes a bag from a scene, starts the interaction node in a process of its own, plays the bag on DDS topics from another,
and shows what is heard, said and proposed. Leaves a bag of all of it and a report.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from tml_ros import __version__
from tml_ros.bags import BagWriter
from tml_ros.cli.processes import check, isolate, process
from tml_ros.cli.timeline import Timeline
from tml_ros.errors import TmlError
from tml_ros.nodes import environment
from tml_ros.replay.make_bag import make_bag
from tml_ros.replay.report import write_report
from tml_ros.replay.runlog import RunLog
from tml_ros.replay.scene import load_scene
from tml_ros.resources import find

if TYPE_CHECKING:
    from tml_ros.nodes.observer import Watch

__all__ = ["demo"]

_START_TIMEOUT_S = 60.0
_DRAIN_S = 1.5
_MARKER = ".tml_demo"


def demo(options: argparse.Namespace) -> int:
    """Run the demonstration; 0 when the robot heard and answered, 1 otherwise."""
    environment.require_ros()
    isolate()
    out = _prepare(options.out)
    scene = options.scene or find("config/scenes/demo.yaml")
    console = Console(stderr=options.json, highlight=False)
    console.print(f"scene {scene.name} -> {out / 'scene'} (a rosbag2 with synthesised speech and a rendered camera)")
    make_bag(load_scene(scene), out / "scene")
    console.print(
        f"playing it on ROS_DOMAIN_ID={os.environ['ROS_DOMAIN_ID']} to the interaction node, model {options.model}"
    )
    log = RunLog(options.model)
    _run(options, out, log, console)
    facts = {"scene": scene.name, "version": __version__, "ROS": os.environ.get("ROS_DISTRO", "from PyPI wheels")}
    write_report(log, out / "report.html", title="tml_ros demonstration", facts=facts)
    return _conclude(log, out, console, as_json=options.json)


def _prepare(out: Path) -> Path:
    """Return an empty output folder; only a folder that an earlier demonstration made is emptied."""
    if out.exists() and any(out.iterdir()) and not (out / _MARKER).exists():
        raise TmlError(f"{out} is not empty and was not made by `tml demo`; give another folder with --out")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    (out / _MARKER).touch()
    return out


def _run(options: argparse.Namespace, out: Path, log: RunLog, console: Console) -> None:
    from tml_ros.nodes.observer import observe

    with ExitStack() as stack:
        writer = stack.enter_context(BagWriter(out / "recording"))
        timeline = stack.enter_context(Timeline(console))
        node = stack.enter_context(process(_node_command(options), out / "interaction.log"))
        watch = stack.enter_context(observe(log, writer, timeline.update))
        _wait_until_active(watch, node, out)
        player = stack.enter_context(process(_player_command(options, out), out / "player.log"))
        while player.poll() is None and node.poll() is None:
            watch.work(0.05)
        watch.work(_DRAIN_S)
        check(player, out / "player.log", "the player", wanted=(0,))
        check(node, out / "interaction.log", "the interaction node", wanted=(None,))
        timeline.finish(log)


def _wait_until_active(watch: "Watch", node: "subprocess.Popen[bytes]", out: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while not watch.is_watched:
        check(node, out / "interaction.log", "the interaction node", wanted=(None,))
        if time.monotonic() > deadline:
            raise TmlError(
                f"the interaction node is not active after {_START_TIMEOUT_S:.0f} s; see {out}/interaction.log"
            )
        watch.work(0.1)


def _node_command(options: argparse.Namespace) -> list[str]:
    command = [sys.executable, "-m", "tml_ros.nodes.interaction", "--ros-args", "-r", "__ns:=/tml"]
    if options.params:
        command += ["--params-file", str(options.params)]
    return [*command, "-p", "use_sim_time:=true", "-p", f"model:={options.model}"]


def _player_command(options: argparse.Namespace, out: Path) -> list[str]:
    command = [sys.executable, "-m", "tml_ros.cli.main", "bag", "play", str(out / "scene"), "--json"]
    return [*command, "--rate", str(options.rate), "--wait-for", "20", "--subscribers", "2"]


def _conclude(log: RunLog, out: Path, console: Console, *, as_json: bool) -> int:
    answered = bool(log.utterances) and any(event.speaker == "user" for event in log.transcripts)
    console.print(f"recording (opens in Foxglove): {out / 'recording'}")
    console.print(f"report: {out / 'report.html'}")
    if not answered:
        console.print("[red]the robot did not answer: see interaction.log[/red]")
    if as_json:
        print(json.dumps({"model": log.model, "answered": answered, "out": str(out), **log.summary()}))
    return 0 if answered else 1
