"""The tables of an evaluation as Markdown, as in docs/results.md; everything that came from outside is escaped here."""

import html
import re
from collections.abc import Iterable, Sequence

from tml_ros import __version__
from tml_ros.evaluation.campaign import PASSED, Outcome, limit_text
from tml_ros.evaluation.comparison import RunComparison
from tml_ros.evaluation.report_tables import figure_text, measures_of, trials_text
from tml_ros.evaluation.results import Measure, ScenarioResult, Verdict
from tml_ros.evaluation.scenario import Suite
from tml_ros.replay.figures import printable, spread

__all__ = ["render_markdown"]

_NOTE = (
    "Each cell: the figure, and hits of trials or the number of trials. What a measure is: "
    "[measures.md](measures.md); what a scenario is: [scenarios.md](scenarios.md). A latency counts only where the "
    "model took its turn, so read it with the takeover beside it.\n"
)


def render_markdown(outcome: Outcome, comparison: RunComparison | None, command: str) -> str:
    """Return the tables, one a suite. command: what made them."""
    campaign = outcome.campaign
    scenarios = sum(len(suite.scenarios) for suite in campaign.suites)
    minutes = sum(one.duration_s for suite in campaign.suites for one in suite.scenarios) / 60.0
    parts = [
        "# Results\n",
        f"tml_ros {__version__}; suites: {len(campaign.suites)}, scenarios: {scenarios}, sound for each model: "
        f"{minutes:.1f} minutes. FDB-style, our clips: the public data sets and judges are not here. Made by\n",
        f"    {command}\n",
        _NOTE,
        *(f"- `{label}` could not be run here: {_plain(why)}\n" for label, why in _unusable(outcome).items()),
        *(["## All suites\n", _table(outcome, "")] if len(campaign.suites) > 1 else []),
        *(part for suite in campaign.suites for part in _suite(outcome, suite)),
        *_real_time(outcome),
        *_compared(comparison),
    ]
    return "\n".join(parts)


def _unusable(outcome: Outcome) -> dict[str, str]:
    """Return the models of which not one scenario could be run, and why."""
    found: dict[str, list[ScenarioResult]] = {}
    for one in outcome.results:
        found.setdefault(one.model, []).append(one)
    return {
        label: results[0].error
        for label, results in found.items()
        if all(one.verdict is Verdict.ERROR for one in results)
    }


def _suite(outcome: Outcome, suite: Suite) -> list[str]:
    return [
        f"## {_plain(suite.name)}\n",
        f"{_plain(suite.title)}; {len(suite.scenarios)} scenarios.\n",
        _table(outcome, suite.name),
        _wanted(outcome, suite),
    ]


def _wanted(outcome: Outcome, suite: Suite) -> str:
    """Return each threshold with the judged models that meet it and those that do not."""
    unusable = _unusable(outcome)
    lines = []
    for threshold in suite.thresholds:
        held: dict[bool, list[str]] = {True: [], False: []}
        for one in outcome.rulings:
            if (one.suite, one.measure, one.limit) == (suite.name, threshold.measure, limit_text(threshold)):
                held[one.met] += [] if one.model in unusable else [_plain(one.model)]
        verdicts = [
            f"{word} by {', '.join(held[met])}" for met, word in ((True, "met"), (False, "missed")) if held[met]
        ]
        lines.append(f"- `{threshold.measure}` {limit_text(threshold)}: {'; '.join(verdicts) or 'nobody is judged'}\n")
    return "".join(lines)


def _table(outcome: Outcome, suite: str) -> str:
    """Return measures in rows and models in columns: there are more measures than models."""
    unusable = _unusable(outcome)
    labels = [label for label in outcome.campaign.labels if label not in unusable]
    rows = [
        (_name(one), *(_cell(outcome, suite, label, one) for label in labels)) for one in measures_of(outcome, suite)
    ]
    return _markdown(("measure", *(_plain(label) for label in labels)), rows)


def _name(measure: Measure) -> str:
    return f"`{measure.name}`" if measure is PASSED else f"`{measure.name}`, {measure.better} is better"


def _cell(outcome: Outcome, suite: str, label: str, measure: Measure) -> str:
    figure = outcome.figures[suite, label].get(measure.name)
    return "-" if figure is None else f"{figure_text(measure, figure.value)} ({trials_text(figure)})"


def _real_time(outcome: Outcome) -> list[str]:
    rows = []
    for label in (label for label in outcome.campaign.labels if outcome.steps_ms[label]):
        steps = spread(_plain(label), outcome.steps_ms[label])
        rows.append((*steps.cells(), str(sum(step > 200.0 for step in outcome.steps_ms[label]))))
    heads = ("model", "micro-turns", "p50", "p95", "p99", "max", "over 200 ms")
    note = "Milliseconds of compute a micro-turn, on the machine that made this and beside its other workers.\n"
    return ["## Real time\n", note, _markdown(heads, rows)]


def _compared(comparison: RunComparison | None) -> list[str]:
    if comparison is None:
        return []
    rows = [
        (
            f"`{one.measure.name}`",
            _plain(one.model),
            figure_text(one.measure, one.before.value),
            figure_text(one.measure, one.after.value),
            f"**{one.direction.value}**" if one.is_significant else one.direction.value,
            f"{one.corrected_p:.3g}",
        )
        for one in comparison.changes
        if one.is_change
    ]
    if not rows:
        return ["## Against the earlier run\n", "No measure differs.\n"]
    return ["## Against the earlier run\n", _markdown(("measure", "model", "before", "now", "", "p, corrected"), rows)]


def _markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Return text that cannot be taken for Markdown or HTML."""
    return re.sub(r"([\\`*_{}\[\]|#])", r"\\\1", html.escape(printable(text), quote=False))
