"""``tml bag make`` and ``tml bag info``: write a bag from a scene file, and say what a bag holds."""

import json
import shutil
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tml_ros.bags import BagInfo, BagReader, BagTopic
from tml_ros.errors import BagError
from tml_ros.replay.make_bag import BagSummary, make_bag, message_count
from tml_ros.replay.scene import load_scene

__all__ = ["info", "make"]


def make(scene: Path, out: Path, *, storage: str, force: bool, as_json: bool) -> int:
    """Write the bag of a scene, show what is in it and end with one line of JSON.

    Args:
        scene: scene file.
        out: folder to be created.
        storage: ``mcap`` or ``sqlite3``.
        force: replace ``out`` when it is a bag; anything else is never removed.
        as_json: print nothing but the JSON.

    Raises:
        TmlError: What ``load_scene`` and ``make_bag`` raise, or ``out`` exists.
    """
    console = Console(quiet=as_json)
    checked = load_scene(scene)
    if out.exists():
        _remove_bag(out, force)
    progress = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
    )
    with progress if not as_json else nullcontext():
        task = progress.add_task(f"scene {checked.name} -> {out}", total=message_count(checked))
        summary = make_bag(
            checked,
            out,
            cast(Literal["mcap", "sqlite3"], storage),
            lambda done, total: progress.update(task, completed=done, total=total),
        )
        progress.update(task, total=sum(summary.counts.values()))
    _show_summary(console, summary)
    print(json.dumps(_summary_as_dict(summary), sort_keys=True))
    return 0


def info(bag: Path, *, as_json: bool) -> int:
    """Show topics, types, counts, QoS and times of a bag, and end with one line of JSON.

    Raises:
        BagError: No bag, or one that cannot be read.
    """
    with BagReader(bag) as reader:
        found = reader.info
    console = Console(quiet=as_json)
    _show_info(console, found)
    print(json.dumps(_info_as_dict(found), sort_keys=True))
    return 0


def _remove_bag(out: Path, force: bool) -> None:
    if not force:
        raise BagError(f"{out} exists already; choose another name or replace it with --force")
    if out.is_symlink() or not (out / "metadata.yaml").is_file():
        raise BagError(f"{out} is no bag folder (it has no metadata.yaml) and is not removed; choose another name")
    shutil.rmtree(out)


def _bytes_of(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


# ----------------------------------------------------------------------------------------------------------- shown


def _show_summary(console: Console, summary: BagSummary) -> None:
    console.print(
        f"{summary.path} ({summary.storage}), {_bytes_of(summary.path) / 1e6:.1f} MB", highlight=False, soft_wrap=True
    )
    table = Table("topic", "messages")
    for topic, count in sorted(summary.counts.items()):
        table.add_row(topic, str(count))
    console.print(table)
    for span in summary.spoken:
        start_s, end_s = ((time_ns - summary.start_ns) / 1e9 for time_ns in (span.start_ns, span.end_ns))
        console.print(
            f"  {start_s:6.2f} to {end_s:6.2f} s  {span.text!r} on {span.topic}", highlight=False, soft_wrap=True
        )
    if summary.clipped_samples:
        console.print(f"  {summary.clipped_samples} samples were too loud and are saturated; lower gain_db")


def _show_info(console: Console, found: BagInfo) -> None:
    start = datetime.fromtimestamp(found.start_ns / 1e9, UTC).isoformat(timespec="milliseconds")
    size = f"{found.message_count} messages, {_bytes_of(found.path) / 1e6:.1f} MB"
    console.print(
        f"{found.path} ({found.storage}): {size}, {found.duration_ns / 1e9:.3f} s from {start}",
        highlight=False,
        soft_wrap=True,
    )
    table = Table("topic", "type", "messages", "Hz", "offered QoS")
    for topic in found.topics.values():
        table.add_row(topic.name, topic.type, str(topic.message_count), f"{_rate_hz(topic, found):.1f}", _qos(topic))
    console.print(table)


def _rate_hz(topic: BagTopic, found: BagInfo) -> float:
    return (topic.message_count - 1) / (found.duration_ns / 1e9) if found.duration_ns and topic.message_count else 0.0


def _qos(topic: BagTopic) -> str:
    return ", ".join(f"{qos.reliability} {qos.durability} {qos.history} {qos.depth}" for qos in topic.qos)


# ------------------------------------------------------------------------------------------------------------ JSON


def _summary_as_dict(summary: BagSummary) -> dict[str, Any]:
    return {
        "bag": str(summary.path),
        "storage": summary.storage,
        "start_ns": summary.start_ns,
        "duration_s": summary.duration_ns / 1e9,
        "bytes": _bytes_of(summary.path),
        "messages": dict(summary.counts),
        "clipped_samples": summary.clipped_samples,
        "spoken": [
            {"topic": span.topic, "text": span.text, "start_ns": span.start_ns, "end_ns": span.end_ns}
            for span in summary.spoken
        ],
    }


def _info_as_dict(found: BagInfo) -> dict[str, Any]:
    return {
        "bag": str(found.path),
        "storage": found.storage,
        "start_ns": found.start_ns,
        "duration_s": found.duration_ns / 1e9,
        "bytes": _bytes_of(found.path),
        "message_count": found.message_count,
        "topics": {
            topic.name: {"type": topic.type, "messages": topic.message_count, "qos": _qos(topic)}
            for topic in found.topics.values()
        },
    }
