"""``tml report``: one HTML page of a shift, from a recording of a robot or an incident."""

import argparse
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tml_ros.errors import BagError, ConfigError
from tml_ros.evaluation.shift import Shift, read_shift
from tml_ros.evaluation.shift_report import ADVISORY, render_shift, shift_figures
from tml_ros.replay.figures import printable
from tml_ros.safety.incidents import SUMMARY_FILE, read_summary

__all__ = ["report"]


def report(options: argparse.Namespace) -> int:
    """Write the page, show the alerts, and end with one line of JSON."""
    bag: Path = options.bag
    summary = read_summary(bag) if (bag / SUMMARY_FILE).is_file() else None
    if summary is not None and not summary.get("has_bag", True):
        raise BagError(
            f"incident {bag.name} has no bag ({summary.get('why_no_bag')}); its alerts are in {bag / SUMMARY_FILE}"
        )
    out: Path = options.out or bag.with_name(f"{bag.name}.html")
    shift = read_shift(bag)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(render_shift(shift, summary), encoding="utf-8", newline="\n")
    except OSError as err:
        raise ConfigError(f"cannot write {out}: {err.strerror}; give another --out") from err
    figures = shift_figures(shift)
    _show(Console(quiet=options.json, highlight=False), shift, out)
    print(json.dumps({"bag": str(bag), "out": str(out), **figures}, sort_keys=True))
    return 0


def _show(console: Console, shift: Shift, out: Path) -> None:
    table = Table("at", "severity", "rule", "what", "to alert", "to sound")
    for story in shift.stories:
        delays = (
            f"{value * 1e3:.0f} ms" if value is not None else "-" for value in (story.to_topic_s, story.to_sound_s)
        )
        alert = story.first.alert
        texts = (Text(printable(alert.rule)), Text(printable(alert.description)))
        table.add_row(f"{shift.seconds(story.first.at_ns):.1f} s", str(story.severity), *texts, *delays)
    console.print(table)
    console.print(f"alerts are {ADVISORY}; {out} has the whole shift", soft_wrap=True)
