"""The tables of an evaluation's report as HTML text; everything that came from outside is escaped here."""

from collections.abc import Iterable, Sequence

from tml_ros.evaluation.campaign import PASSED, Outcome, limit_text
from tml_ros.evaluation.catalogue import MEASURES
from tml_ros.evaluation.comparison import Change, RunComparison
from tml_ros.evaluation.results import Aggregate, Figure, Measure
from tml_ros.evaluation.scenario import Suite
from tml_ros.evaluation.significance import ALPHA
from tml_ros.replay.figures import spread
from tml_ros.replay.report_tables import escape

__all__ = [
    "comparison_html",
    "figure_text",
    "measures_of",
    "real_time_html",
    "section_html",
    "suites_html",
    "table_html",
    "thresholds_html",
    "tile_html",
    "trials_text",
]

REAL_TIME = ("step_p50_ms", "step_p95_ms", "step_p99_ms", "deadline_miss")
_NOT_FDB = "FDB-style, our clips: the public data sets and judges are not here."


def figure_text(measure: Measure, value: float | None) -> str:
    """Return a figure with its unit; a rate in percent."""
    if value is None:
        return "-"
    if measure.aggregate in (Aggregate.RATE, Aggregate.MACRO):
        return f"{value * 100:.1f} %"
    unit = "" if measure.unit == "1" else " " + measure.unit.removeprefix("1")
    return f"{value:.2f}{unit}" if abs(value) < 100 else f"{value:.0f}{unit}"


def trials_text(figure: Figure) -> str:
    """Return how many trials there were, and how many of them hit where they can."""
    return f"{figure.trials}" if figure.hits is None else f"{figure.hits} of {figure.trials}"


def measures_of(outcome: Outcome, suite: str) -> list[Measure]:
    """Return the measures that any model has trials of in a suite, the real-time ones aside."""
    found = {name for label in outcome.campaign.labels for name in outcome.figures[suite, label]}
    return [one for one in (PASSED, *MEASURES.values()) if one.name in found and one.name not in REAL_TIME]


def tile_html(name: str, value: str, note: str, *, is_problem: bool = False) -> str:
    """Return one of the large figures at the top."""
    mark = ' class="problem"' if is_problem else ""
    return f"<div{mark}><dt>{escape(name)}</dt><dd>{escape(value)} <small>{escape(note)}</small></dd></div>\n"


def section_html(ident: str, title: str, note: str, body: str) -> str:
    """Return a section with its heading."""
    about = f"<p>{note}</p>" if note else ""
    return f'<section aria-labelledby="{ident}"><h2 id="{ident}">{title}</h2>{about}\n{body}</section>'


def table_html(heads: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]], label: str) -> str:
    """Return a table of HTML cells whose first column names the row. rows: class and cells."""
    head = "".join(
        f'<th scope="col" class="{"num" if place else "name"}">{title}</th>' for place, title in enumerate(heads)
    )
    body = "\n".join(_row(kind, cells) for kind, cells in rows)
    return (
        f'<div class="scroll fit" tabindex="0" role="region" aria-label="{escape(label)}"><table>'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def _row(kind: str, cells: Sequence[str]) -> str:
    first, *rest = cells
    mark = f' class="{kind}"' if kind else ""
    return (
        f'<tr{mark}><th scope="row" class="name">{first}</th>'
        + "".join(f'<td class="num">{cell}</td>' for cell in rest)
        + "</tr>"
    )


# ---------------------------------------------------------------------------------------------------------- sections


def thresholds_html(outcome: Outcome) -> str:
    """Return every threshold with the figure it is held against, those that were missed first."""
    rulings = sorted(outcome.rulings, key=lambda one: one.met)
    if not rulings:
        return section_html("thresholds", "Thresholds", "The suites have none.", "")
    rows = []
    for one in rulings:
        word = "met" if one.met else '<span class="missed">missed</span>'
        value = figure_text(MEASURES[one.measure], one.figure.value)
        found = f"{escape(value)} <small>{trials_text(one.figure)}</small>"
        rows.append(("", (escape(one.suite), escape(one.model), escape(one.measure), found, escape(one.limit), word)))
    heads = ("suite", "model", "measure", "figure", "wanted", "")
    return section_html("thresholds", "Thresholds", "", table_html(heads, rows, "thresholds"))


def suites_html(outcome: Outcome) -> str:
    """Return one table a suite, models in rows, measures in columns."""
    body = "\n".join(_suite_html(outcome, suite) for suite in outcome.campaign.suites)
    return section_html("measures", "Measures", f"{_NOT_FDB} Below each figure: hits of trials. Grey: baselines.", body)


def _suite_html(outcome: Outcome, suite: Suite) -> str:
    measures = measures_of(outcome, suite.name)
    beside = {spec.label for spec in outcome.campaign.baselines}
    rows = [
        (
            "beside" if label in beside else "",
            (escape(label), *(_cell(outcome, suite.name, label, one) for one in measures)),
        )
        for label in outcome.campaign.labels
    ]
    heads = [
        "model",
        *(f'<span title="{escape(one.title)}. {escape(one.source)}">{one.name}</span>' for one in measures),
    ]
    wanted = [f"{one.measure} {limit_text(one)} ({one.model})" for one in suite.thresholds]
    note = f"<p>wanted: {escape('; '.join(wanted))}</p>" if wanted else ""
    title = f"<h3>{escape(suite.name)} <small>{escape(suite.title)}, {len(suite.scenarios)} scenarios</small></h3>"
    return title + note + table_html(heads, rows, suite.name)


def _cell(outcome: Outcome, suite: str, label: str, measure: Measure) -> str:
    figure = outcome.figures[suite, label].get(measure.name)
    if figure is None:
        return "-"
    missed = any(
        (one.suite, one.model, one.measure) == (suite, label, measure.name) and not one.met for one in outcome.rulings
    )
    value = escape(figure_text(measure, figure.value))
    text = f'<span class="missed">{value}</span>' if missed else value
    return f"{text}<small>{trials_text(figure)}</small>"


def real_time_html(outcome: Outcome) -> str:
    """Return the time that a micro-turn took on the machine that ran this, by model."""
    rows = []
    for label in outcome.campaign.labels:
        steps = spread(label, outcome.steps_ms[label])
        missed = sum(step > 200.0 for step in outcome.steps_ms[label])
        rows.append(("", tuple(escape(cell) for cell in (*steps.cells(), missed))))
    heads = ("model", "micro-turns", "p50", "p95", "p99", "max", "over 200 ms")
    note = "Milliseconds of compute, on the machine and beside the other workers of this run; no part of any verdict."
    return section_html("real-time", "Real time", note, table_html(heads, rows, "real time"))


def comparison_html(comparison: RunComparison | None) -> str:
    """Return what differs from an earlier run; nothing without one."""
    if comparison is None:
        return ""
    changed = [one for one in comparison.changes if one.is_change]
    note = (
        f"Over the scenarios that both runs have, in pairs; in bold what is more than chance (p below {ALPHA:g} "
        "after Holm's correction). "
        f"{len(comparison.changes) - len(changed)} measures are the same. Only in the earlier run: "
        f"{comparison.only_before} results; only in this one: {comparison.only_after}."
    )
    heads = ("measure", "model", "before", "now", "", "pairs", "p", "p, corrected")
    body = table_html(heads, [("", _change_cells(one)) for one in changed], "comparison") if changed else ""
    for title, keys in (("Failed now, passed before", comparison.broken), ("Passes now", comparison.mended)):
        if keys:
            names = "".join(f"<li>{escape(' / '.join(key))}</li>" for key in keys)
            body += f"<h3>{title} <small>{len(keys)}</small></h3><ul>{names}</ul>"
    return section_html("comparison", "Against the earlier run", note, body)


def _change_cells(change: Change) -> tuple[str, ...]:
    mark = change.direction.value if change.is_significant else ""
    return (
        escape(change.measure.name),
        escape(change.model),
        escape(figure_text(change.measure, change.before.value)),
        escape(figure_text(change.measure, change.after.value)),
        f'<span class="{mark}">{change.direction.value}</span>',
        str(change.pairs),
        f"{change.p:.3g}",
        f"<strong>{change.corrected_p:.3g}</strong>" if change.is_significant else f"{change.corrected_p:.3g}",
    )
