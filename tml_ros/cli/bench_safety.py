"""``tml bench safety``: alerts through a real graph, from the first evidence to the topic and to the first sound.

Real nodes, each in a process of its own, on a domain that nobody else is on; pictures and sound go over DDS at the
speed of life. Blocks take turns in one run: nothing wrong, the model stalling for seconds at a time, the background
model hanging; evidence begins at the same places of a micro-turn in all of them. With ``--minutes`` it is a shift
instead, one incident a minute, recorded, with the memory of every node.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import Any

from rich.console import Console
from rich.table import Table

from tml_ros.cli.processes import check, isolate, process
from tml_ros.errors import ConfigError, TmlError
from tml_ros.evaluation.alert_latency import Latency, compare, figures, find_latencies
from tml_ros.evaluation.alert_stage import KINDS, QUIET, Segment, lab_text, make_segments
from tml_ros.evaluation.shift_alerts import find_spoken
from tml_ros.nodes import environment
from tml_ros.nodes.alert_room import AlertRoom, alert_room

__all__ = ["BLOCKS", "bench_safety"]

PLAIN, STALLED, HANGING = "plain", "stalled", "hanging"
BLOCKS = (PLAIN, STALLED, HANGING)
_SIZE = (640, 480)
_TASK_S = 10.0
_QUESTION = "where is the manual of the balance"
_SCRIPT = 'tasks: [{match: ".", updates: [{after_s: 0.1, hang: true}]}]\n'
_MEDIAN_MS, _P95_MS, _SOUND_MS, _RATIO = 400.0, 800.0, 300.0, 1.1
_GOLDEN = 0.618  # spreads the tours evenly over a micro-turn
_AROUND_S = 5.0  # of an incident


def bench_safety(options: argparse.Namespace) -> int:
    """Run it, show the figures and end with one line of JSON; 1 when they are not what they have to be.

    Raises:
        ConfigError: an option is out of bounds.
        TmlError: a node does not start, or ends.
    """
    environment.require_ros()
    if options.fps <= 0 or options.tours < 1 or options.minutes < 0:
        raise ConfigError(
            f"--fps and --tours must be above 0 and --minutes at least 0, got {options.fps:g}, {options.tours} and "
            f"{options.minutes:g}"
        )
    isolate()
    console = Console(quiet=options.json, stderr=True, highlight=False)
    options.out.mkdir(parents=True, exist_ok=True)
    segments = make_segments(options.fps, _SIZE)
    with ExitStack() as stack:
        graph = _Graph(options)
        graph.start(stack)
        room = stack.enter_context(alert_room(options.fps, has_player=options.player))
        _rest(room, segments, 6.0)
        if options.minutes:
            more = _work_shift(room, segments, graph, options, console)
        else:
            more = _take_turns(room, segments, graph, options, console)
        graph.check()
        notes = room.notes
    latencies, false = find_latencies(notes.shown, notes.alerts, find_spoken(notes.pieces, notes.reports))
    (options.out / "events.json").write_text(json.dumps([asdict(one) for one in latencies]), encoding="utf-8")
    return _conclude(latencies, false, more, console, is_shift=bool(options.minutes))


@dataclass(slots=True)
class _Graph:
    """The nodes of a run."""

    options: argparse.Namespace
    running: dict[str, "Popen[bytes]"] = field(default_factory=dict)

    @property
    def switch(self) -> Path:
        """The file that makes the model stall."""
        return Path(self.options.out).resolve() / "stall"

    @property
    def incidents(self) -> Path:
        """Where incidents are recorded."""
        return Path(self.options.out).resolve() / "incidents"

    def start(self, stack: ExitStack) -> None:
        """Start every node in a process of its own."""
        out = Path(self.options.out).resolve()
        self.switch.unlink(missing_ok=True)
        (out / "lab.yaml").write_text(lab_text(), encoding="utf-8")
        (out / "script.yaml").write_text(_SCRIPT, encoding="utf-8")
        commands = {
            "stalled_interaction": [
                "model:=stalling",
                f"stalling.inner:={self.options.model}",
                f"stalling.switch:={self.switch}",
                f"stalling.is_busy:={str(self.options.busy).lower()}",
                f"safety.lab_file:={out / 'lab.yaml'}",
                f"delegation.budget_s:={_TASK_S}",
            ],
            "background": ["backend:=scripted", f"scripted.script:={out / 'script.yaml'}", *_nothing_to_read()],
        }
        if self.options.player:
            commands["speech_player"] = []
        if self.options.minutes:
            commands["incident_recorder"] = [
                "enabled:=true",
                f"folder:={self.incidents}",
                f"before_s:={_AROUND_S}",
                f"after_s:={_AROUND_S}",
                f"disk.quota_mb:={self.options.quota_mb}",
                "disk.reserve_mb:=0.0",
            ]
        for name, parameters in commands.items():
            given = [word for parameter in parameters for word in ("-p", parameter)]
            command = [sys.executable, "-m", f"tml_ros.nodes.{name}", "--ros-args", "-r", "__ns:=/tml", *given]
            self.running[name] = stack.enter_context(process(command, out / f"{name}.log"))

    def check(self) -> None:
        """Raise unless every node still runs.

        Raises:
            TmlError: one does not.
        """
        for name, one in self.running.items():
            check(one, Path(self.options.out) / f"{name}.log", name, wanted=(None,))

    def memory_mb(self) -> dict[str, float]:
        """Return the resident memory of every node."""
        return {name: _resident_mb(one.pid) for name, one in self.running.items()}


def _nothing_to_read() -> list[str]:
    return ["documents:=''", "skills_file:=''"]


def _resident_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0


# ------------------------------------------------------------------------------------------------------------ blocks


def _take_turns(
    room: AlertRoom, segments: dict[str, Segment], graph: _Graph, options: argparse.Namespace, console: Console
) -> dict[str, Any]:
    """Play every kind of evidence in every kind of block, over and over."""
    turns = Counter[str]()
    for tour in range(options.tours):
        for block in options.blocks:
            graph.check()
            with _burden(room, segments, graph, block):
                before = room.notes.came["micro_turn"]
                for number, kind in enumerate(KINDS[: options.kinds]):
                    if block == HANGING:
                        room.type(_QUESTION)
                    room.play(segments[QUIET])
                    room.play(segments[kind], block, phase=(tour * _GOLDEN + number / len(KINDS)) % 1.0)
                turns[block] += room.notes.came["micro_turn"] - before
            console.print(f"tour {tour + 1} of {options.tours}, {block}: {len(room.notes.alerts)} alert messages")
    _rest(room, segments, 3.0)
    return {"tasks": room.notes.came["delegation"], "model_turns": dict(turns)}


@contextmanager
def _burden(room: AlertRoom, segments: dict[str, Segment], graph: _Graph, block: str) -> Iterator[None]:
    """Let the model stall for as long as the block lasts; afterwards wait until nothing of it is left."""
    if block == STALLED:
        graph.switch.touch()
        _rest(room, segments, 1.0)
    try:
        yield
    finally:
        graph.switch.unlink(missing_ok=True)
    if block == STALLED:
        before = room.notes.came["micro_turn"]
        for _ in range(10):
            _rest(room, segments, 1.0)
            if room.notes.came["micro_turn"] > before + 10:
                break
        else:
            raise TmlError("the model has not gone on within 10 s after it was to stall no more; see its log")
        _rest(room, segments, 2.0)
    elif block == HANGING:
        _rest(room, segments, _TASK_S)


def _rest(room: AlertRoom, segments: dict[str, Segment], seconds: float) -> None:
    """Show that nothing happens."""
    quiet = segments[QUIET]
    length_s = len(quiet.sound) / 16_000
    for _ in range(max(1, round(seconds / length_s))):
        room.play(quiet)


# ------------------------------------------------------------------------------------------------------------- shift


def _work_shift(
    room: AlertRoom, segments: dict[str, Segment], graph: _Graph, options: argparse.Namespace, console: Console
) -> dict[str, Any]:
    """Play one incident a minute."""
    memory: list[dict[str, float]] = []
    quiet_s = len(segments[QUIET].sound) / 16_000
    for minute in range(round(options.minutes)):
        segment = segments[KINDS[minute % len(KINDS)]]
        room.play(segment, PLAIN)
        left_s = 60.0 - len(segment.sound) / 16_000
        for _ in range(round(left_s / quiet_s)):
            room.play(segments[QUIET])
        graph.check()
        memory.append(graph.memory_mb())
        on_disk = _incidents(graph.incidents)
        console.print(
            f"minute {minute + 1}: {memory[-1]} MB, {on_disk['incidents']} incidents, {on_disk['disk_mb']} MB"
        )
    first = memory[min(1, len(memory) - 1)]  # the first minute fills rings and caches
    return {
        "minutes": len(memory),
        "memory_mb_start": first,
        "memory_mb_end": memory[-1],
        "quota_mb": options.quota_mb,
        **_incidents(graph.incidents),
    }


def _incidents(folder: Path) -> dict[str, Any]:
    """Return what is on disk."""
    whole = [path for path in folder.iterdir() if path.is_dir() and path.name[0] != "."] if folder.is_dir() else []
    size = sum(file.stat().st_size for path in whole for file in path.iterdir())
    bags = sum(any(path.glob("*.mcap")) for path in whole)
    return {"incidents": len(whole), "with_bag": bags, "disk_mb": round(size / 1e6, 1)}


# ----------------------------------------------------------------------------------------------------------- the end


def _conclude(
    latencies: Sequence[Latency], false: Sequence[str], more: dict[str, Any], console: Console, *, is_shift: bool
) -> int:
    """Show the tables and print the line of JSON; return the exit code."""
    blocks = {block: figures([one for one in latencies if one.block == block]) for block in _in(latencies, "block")}
    kinds = {
        kind: figures([one for one in latencies if one.kind == kind and one.block == PLAIN])
        for kind in _in(latencies, "kind")
    }
    ratios = compare(latencies, PLAIN)
    faults = _faults(blocks, ratios, len(false), is_shift=is_shift)
    console.print(_table("block", blocks))
    console.print(_table("evidence, block plain", kinds))
    for fault in faults:
        console.print(f"[red]{fault}[/red]")
    line = {"blocks": blocks, "kinds": kinds, "ratios": ratios, "false_alerts": list(false), "faults": faults, **more}
    print(json.dumps(line, sort_keys=True))
    return 1 if faults else 0


def _in(latencies: Sequence[Latency], name: str) -> list[str]:
    return list(dict.fromkeys(getattr(one, name) for one in latencies))


def _faults(blocks: dict[str, dict[str, Any]], ratios: dict[str, float], false: int, *, is_shift: bool) -> list[str]:
    """Return what is not as it has to be, in words."""
    faults = [f"{false} false alerts"] if false else []
    for name, one in blocks.items():
        if one["found"] < one["events"] or one["heard"] < one["found"]:
            faults.append(f"{name}: of {one['events']} events {one['found']} were told and {one['heard']} heard")
        limits = {"alert_median_ms": _MEDIAN_MS, "alert_p95_ms": _P95_MS, "sound_p95_ms": _SOUND_MS}
        for figure, limit in () if is_shift else limits.items():
            if one[figure] is not None and one[figure] > limit:
                faults.append(f"{name}: {figure} is {one[figure]:g}, expected at most {limit:g}")
    return faults + [
        f"{name}: the median is {ratio:g} of that of {PLAIN}, expected at most {_RATIO:g}"
        for name, ratio in ratios.items()
        if ratio > _RATIO
    ]


def _table(title: str, rows: dict[str, dict[str, Any]]) -> Table:
    columns = ("events", "found", "alert_median_ms", "alert_p95_ms", "alert_max_ms", "sound_median_ms", "sound_p95_ms")
    table = Table(title, *(column.replace("_", " ") for column in columns))
    for name, one in rows.items():
        table.add_row(name, *("-" if one[column] is None else f"{one[column]:g}" for column in columns))
    return table
