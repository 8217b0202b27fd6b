"""A run as one self-contained HTML file: a zoomable timeline of what was heard, said, seen and done, and its tables.

The page needs no network: style, script, pictures and data are inside it, and its content security policy forbids
everything else, scripts that are not ours included. The same log gives the same bytes. It knows no bag and no model.
"""

import base64
import hashlib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from string import Template

from tml_ros.replay.figures import count_rows, duration_s
from tml_ros.replay.report_data import timeline_json
from tml_ros.replay.report_tables import escape, facts_html, tables_html, tiles_html
from tml_ros.replay.runlog import RunLog

__all__ = ["render_report", "write_report"]

_SCRIPTS = ("view.js", "lanes.js", "page.js")


def write_report(log: RunLog, path: Path, *, title: str, facts: Mapping[str, str]) -> None:
    """Write the report of a run, making the folder where it is absent.

    Args:
        log: what happened; duration, counts and latencies are taken from it.
        path: the .html file.
        title: the page's heading.
        facts: what the log cannot know, such as the bag, the digest and the realtime factor, in the order to show.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render_report(log, title=title, facts=facts), encoding="utf-8", newline="\n")


def render_report(log: RunLog, *, title: str, facts: Mapping[str, str]) -> str:
    """Return the page that ``write_report`` writes."""
    style = _asset("report.css")
    script = "\n".join(_asset(name) for name in _SCRIPTS)
    return Template(_asset("page.html")).substitute(
        title=escape(title),
        policy=f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'",
        style=style,
        facts=facts_html(log.model, facts),
        tiles=tiles_html(log),
        description=escape(_description(log)),
        tables=tables_html(log),
        data=timeline_json(log),
        script=script,
    )


def _description(log: RunLog) -> str:
    counts = ", ".join(f"{count} {name}" for name, count in count_rows(log)[:7])
    return f"Timeline of {duration_s(log):.1f} seconds: {counts}. The tables below hold the same in words."


def _asset(name: str) -> str:
    return (resources.files(__package__) / "report_assets" / name).read_text(encoding="utf-8").strip()


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
