"""Models that fail on a typed word, and how to have them in the registry of this process and of its workers."""

import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

from tml_ros.config import param
from tml_ros.duplex.protocol import DuplexStream, SessionInfo
from tml_ros.records import Floor, MicroTurn, MicroTurnOutput, SpeechText

SUITE = """\
version: 1
suite: typed
title: a person types, and the robot says it back
thresholds:
  - {measure: turn_taking_tor, at_least: 0.7}
scenarios:
"""
SCENARIO = """\
  - name: {name}
    duration_s: 1.6
    input:
      - {{name: line, at_s: 0.2, text: "{text}"}}
    expect:
      - {{said_like: "{wanted}", after: line, within_ms: 900, hit: turn_taking_tor, latency: turn_taking_latency_s}}
"""


@dataclass(frozen=True, slots=True)
class ParrotConfig:
    """Parameters of the parrot."""

    marker: str = param("", "file that is made before it kills once")


class ParrotModel:
    """Says typed lines back. ``crash``: raises. ``die``: ends its process, every time. ``die once``: the first time.
    ``kill the run``: ends the process that started its own, the first time."""

    name = "parrot"
    config_type = ParrotConfig

    def __init__(self, config: ParrotConfig) -> None:
        self._marker = Path(config.marker)

    def open(self, info: SessionInfo) -> DuplexStream:
        return self

    def step(self, turn: MicroTurn) -> MicroTurnOutput:
        said = " ".join(one.text for one in turn.texts)
        if said == "crash":
            raise ValueError("the parrot is <b>ill</b>")
        if said == "die" or (said == "die once" and self._is_first()):
            os.kill(os.getpid(), signal.SIGKILL)
        if said == "kill the run" and self._is_first():
            os.kill(os.getppid(), signal.SIGKILL)
        return MicroTurnOutput(floor=Floor.SPEAK, speech=(SpeechText(said),)) if said else MicroTurnOutput()

    def counters(self) -> dict[str, int]:
        return {}

    def close(self) -> None:
        return

    def _is_first(self) -> bool:
        is_first = not self._marker.exists()
        self._marker.touch()
        return is_first


class UnloadableModel(ParrotModel):
    """Cannot be made."""

    def __init__(self, config: ParrotConfig) -> None:
        raise OSError("no such weights")


def install(folder: Path) -> Path:
    """Make a package of this file in a folder that then belongs on the path, and return the folder."""
    shutil.copy(__file__, folder / "faulty_models.py")
    info = folder / "faulty_models-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty-models\nVersion: 1.0\n")
    lines = ("parrot = faulty_models:ParrotModel", "unloadable = faulty_models:UnloadableModel")
    (info / "entry_points.txt").write_text("\n".join(("[tml_ros.duplex_models]", *lines)))
    return folder


def write_suite(path: Path, texts: dict[str, str], wanted: str = ".") -> Path:
    """Write a suite with one scenario for each name and typed line."""
    scenarios = "".join(SCENARIO.format(name=name, text=text, wanted=wanted) for name, text in texts.items())
    path.write_text(SUITE + scenarios)
    return path
