"""A run of ``tml eval`` as one self-contained HTML file, in the manner of the report of a replay.

Tables with the baselines beside every model, how latencies are spread, what changed since an earlier run, and for every
scenario that failed what both sides did, to see and to hear. The page has no script and needs no network, and its
content security policy allows nothing else. It knows no model.
"""

import base64
import hashlib
from collections.abc import Iterable
from importlib import resources
from string import Template

from tml_ros import __version__
from tml_ros.evaluation.campaign import Outcome
from tml_ros.evaluation.comparison import RunComparison
from tml_ros.evaluation.report_failures import failures_html
from tml_ros.evaluation.report_plots import latencies_html
from tml_ros.evaluation.report_tables import comparison_html, real_time_html, suites_html, thresholds_html, tile_html
from tml_ros.evaluation.results import Verdict
from tml_ros.evaluation.store import Store
from tml_ros.replay.report_tables import escape, facts_html

__all__ = ["render_page", "render_report"]


def render_report(outcome: Outcome, comparison: RunComparison | None, store: Store) -> str:
    """Return the page. store: where the frames and the sound of what failed lie."""
    title = "Evaluation of " + ", ".join(spec.label for spec in outcome.campaign.models)
    parts = (
        thresholds_html(outcome),
        suites_html(outcome),
        comparison_html(comparison),
        latencies_html(outcome),
        real_time_html(outcome),
        failures_html(outcome, store),
    )
    return render_page("tml_ros evaluation", title, _tiles(outcome), _facts(outcome), parts)


def render_page(kind: str, title: str, tiles: str, facts: str, parts: Iterable[str], media: str = "media-src") -> str:
    """Return a page without script that needs nothing from outside.

    Args:
        kind: what it is, above the title.
        title: its heading, as text.
        tiles, facts, parts: HTML; empty parts are left out.
        media: directive of the content security policy for what is inside: ``media-src`` sound, ``img-src`` pictures.
    """
    style = _asset("tml_ros.replay", "report.css") + "\n" + _asset("tml_ros.evaluation", "evaluation.css")
    return Template(_asset("tml_ros.evaluation", "page.html")).substitute(
        kind=escape(kind),
        title=escape(title),
        policy=f"default-src 'none'; {media} data:; style-src '{_digest(style)}'",
        style=style,
        tiles=tiles,
        facts=facts,
        parts="\n".join(part for part in parts if part),
    )


def _tiles(outcome: Outcome) -> str:
    missed = sum(not one.met for one in outcome.rulings)
    failed = sum(one.verdict is not Verdict.PASSED for one in outcome.judged)
    hours = sum(one.seconds for one in outcome.results) / 3600.0
    scenarios = sum(len(suite.scenarios) for suite in outcome.campaign.suites)
    return "".join(
        (
            tile_html("scenarios", str(scenarios), f"in {len(outcome.campaign.suites)} suites"),
            tile_html("passed", str(len(outcome.judged) - failed), f"of {len(outcome.judged)}"),
            tile_html("thresholds missed", str(missed), f"of {len(outcome.rulings)}", is_problem=missed > 0),
            tile_html("errors", str(len(outcome.errors)), "could not be run", is_problem=bool(outcome.errors)),
            tile_html("sound", f"{hours:.2f} h", "of all models"),
        )
    )


def _facts(outcome: Outcome) -> str:
    digest = hashlib.sha256("".join(one.digest for one in outcome.results).encode()).hexdigest()
    facts = {
        "suites": ", ".join(suite.name for suite in outcome.campaign.suites),
        "version": __version__,
        "digest of all outputs": digest[:16],
    }
    settings = {name: value for spec in outcome.campaign.models for name, value in spec.values.items()}
    if settings:
        facts["set"] = ", ".join(f"{name}={value}" for name, value in settings.items())
    return facts_html(", ".join(outcome.campaign.labels), facts)


def _asset(package: str, name: str) -> str:
    return (resources.files(package) / "report_assets" / name).read_text(encoding="utf-8").strip()


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
