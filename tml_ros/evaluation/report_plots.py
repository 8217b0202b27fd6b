"""How latencies are spread, one drawing a measure: a dot a trial, a box for the middle half, a line for the median."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from tml_ros.evaluation.campaign import Outcome
from tml_ros.evaluation.catalogue import MEASURES
from tml_ros.evaluation.report_tables import REAL_TIME, section_html
from tml_ros.evaluation.results import Aggregate, Measure
from tml_ros.replay.report_tables import escape

__all__ = ["axis_ticks", "latencies_html"]

_WIDTH = 640
_LEFT, _RIGHT = 120, 20
_ROW = 26
_MOST_DOTS = 400
_SPREAD_PX = 8.0
_GOLDEN = 0.6180339887498949


def latencies_html(outcome: Outcome) -> str:
    """Return the drawings of every measure of time, and of what a micro-turn cost; nothing where there is none."""
    drawings = []
    for measure in MEASURES.values():
        values = _values(outcome, measure)
        if measure.unit == "s" and measure.aggregate is Aggregate.MEDIAN and any(values.values()):
            drawings.append(_figure(outcome, measure.title, "seconds", values))
    if any(outcome.steps_ms.values()):
        drawings.append(_figure(outcome, "compute of a micro-turn", "milliseconds", outcome.steps_ms))
    if not drawings:
        return ""
    note = "Every trial is a dot; box: the middle half; line: median. A model without dots gave no trial."
    return section_html("latencies", "Latencies", note, f'<div class="plots">{"".join(drawings)}</div>')


def _values(outcome: Outcome, measure: Measure) -> dict[str, list[float]]:
    values: dict[str, list[float]] = {label: [] for label in outcome.campaign.labels}
    if measure.name not in REAL_TIME:
        for result in outcome.results:
            values[result.model] += [one.value for one in result.observations if one.measure == measure.name]
    return values


def axis_ticks(most: float) -> list[float]:
    """Return at most eight round places from 0 to ``most`` or just above."""
    step = 10.0 ** math.floor(math.log10(max(most, 1e-6)))
    step = next(step * part for part in (0.2, 0.5, 1.0, 2.0) if most / (step * part) <= 7.0)
    return [round(step * place, 9) for place in range(math.ceil(most / step - 1e-9) + 1)]


def _figure(outcome: Outcome, title: str, unit: str, values: Mapping[str, Sequence[float]]) -> str:
    """Return a drawing with one row a model."""
    beside = {spec.label for spec in outcome.campaign.baselines}
    ticks = axis_ticks(max(max(found, default=0.0) for found in values.values()) or 1.0)
    height = _ROW * len(values) + 24
    scale = (_WIDTH - _LEFT - _RIGHT) / ticks[-1]
    lines = [_tick(tick, _LEFT + tick * scale, height) for tick in ticks]
    for place, (label, found) in enumerate(values.items()):
        kind = "beside" if label in beside else "robot"
        lines.append(_model(label, found, kind, place * _ROW + _ROW / 2, scale))
    words = "; ".join(f"{label}: {_in_words(found)}" for label, found in values.items())
    return (
        f"<figure><figcaption>{escape(title)} <small>{unit}</small></figcaption>"
        f'<svg class="drawing" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(words)}">'
        f"{''.join(lines)}</svg></figure>"
    )


def _in_words(found: Sequence[float]) -> str:
    return f"median {np.median(found):.3g} of {len(found)}" if len(found) else "none"


def _tick(tick: float, x: float, height: int) -> str:
    return (
        f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height - 18}"></line>'
        f'<text class="muted" x="{x:.1f}" y="{height - 5}" text-anchor="middle">{tick:g}</text>'
    )


def _model(label: str, found: Sequence[float], kind: str, y: float, scale: float) -> str:
    name = f'<text x="{_LEFT - 10}" y="{y + 4:.1f}" text-anchor="end">{escape(label)}</text>'
    if not len(found):
        return name
    low, middle, high = (_LEFT + float(one) * scale for one in np.percentile(found, (25, 50, 75)))
    box = f'<rect class="box" x="{low:.1f}" y="{y - 9:.1f}" width="{high - low:.1f}" height="18"></rect>'
    line = f'<line class="middle" x1="{middle:.1f}" x2="{middle:.1f}" y1="{y - 10:.1f}" y2="{y + 10:.1f}"></line>'
    return name + box + "".join(_dots(found, kind, y, scale)) + line


def _dots(found: Sequence[float], kind: str, y: float, scale: float) -> list[str]:
    """Return the trials, evenly thinned; what lies at the same place is spread up and down."""
    shown = np.sort(found)[np.linspace(0, len(found) - 1, min(len(found), _MOST_DOTS)).round().astype(int)]
    return [
        f'<circle class="dot {kind}" cx="{_LEFT + value * scale:.1f}" '
        f'cy="{y + (place * _GOLDEN % 1.0 - 0.5) * 2.0 * _SPREAD_PX:.1f}" r="2.2"></circle>'
        for place, value in enumerate(shown)
    ]
