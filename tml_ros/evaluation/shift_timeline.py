"""The time line of a shift as SVG: a lane a rule, and when robot, eyes and ears were there."""

from collections.abc import Callable

from tml_ros.evaluation.report_plots import axis_ticks
from tml_ros.evaluation.shift import Coverage, Shift
from tml_ros.evaluation.shift_alerts import AlertStory
from tml_ros.replay.report_tables import escape

__all__ = ["timeline_svg"]

_WIDTH, _LEFT, _RIGHT = 1100, 150, 14
_LANE, _BAR = 24, 14
_MOST_RULES = 20
_MOST_BARS = 2000
_LEAST_PX = 3.0
_KINDS = ("calm", "warn", "alarm")


def timeline_svg(shift: Shift, clock: Callable[[int], str]) -> str:
    """Return the drawing. clock: how a time is written, in ns."""
    scale = (_WIDTH - _LEFT - _RIGHT) / max(shift.duration_s, 0.2)
    rules = list(dict.fromkeys(story.first.alert.rule for story in shift.stories))
    lanes = [_rule_lane(shift, rule, scale, clock) for rule in rules[:_MOST_RULES]]
    lanes += [_coverage_lane(shift, one, scale, clock) for one in (shift.robot, shift.sight, shift.hearing)]
    drawn = "".join(f'<g transform="translate(0 {place * _LANE})">{lane}</g>' for place, lane in enumerate(lanes))
    height = len(lanes) * _LANE
    more = f" and {len(rules) - _MOST_RULES} more rules" if len(rules) > _MOST_RULES else ""
    label = (
        f"{len(shift.stories)} alerts of {len(rules)} rules{more}, {shift.duration_s:.0f} s; the tables hold the same"
    )
    return (
        f'<svg class="drawing" viewBox="0 0 {_WIDTH} {height + 18}" role="img" aria-label="{escape(label)}">'
        f"<defs>{_HATCH}</defs>{_axis(shift, height, scale, clock)}{drawn}</svg>"
    )


_HATCH = (
    '<pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect width="2" height="6" class="hatch"></rect></pattern>'
)


def _rule_lane(shift: Shift, rule: str, scale: float, clock: Callable[[int], str]) -> str:
    stories = [story for story in shift.stories if story.first.alert.rule == rule]
    return _caption(rule or "(no rule)") + "".join(_bar(shift, story, scale, clock) for story in stories[:_MOST_BARS])


def _bar(shift: Shift, story: AlertStory, scale: float, clock: Callable[[int], str]) -> str:
    start_ns, end_ns = story.first.at_ns, story.end_ns or shift.end_ns
    kind = _KINDS[min(max(story.severity, 0), 2)]
    until = clock(story.end_ns) if story.end_ns else "the end"
    title = f"{clock(start_ns)} to {until}: {story.first.alert.description}"
    bar = _rectangle(shift, start_ns, end_ns, scale, kind, title)
    if story.spoken is None or story.spoken.heard_ns is None:
        return bar
    x = _x(shift, story.spoken.heard_ns, scale)
    said = f"{clock(story.spoken.heard_ns)}: {story.spoken.text}"
    return f'{bar}<path class="ink" d="M{x:.1f},16l5,8h-10Z"><title>{escape(said)}</title></path>'


def _coverage_lane(shift: Shift, one: Coverage, scale: float, clock: Callable[[int], str]) -> str:
    caption = _caption(one.name)
    if not one.is_recorded:
        return f'{caption}<text class="muted" x="{_LEFT}" y="15">not recorded</text>'
    whole = _rectangle(shift, shift.start_ns, shift.end_ns, scale, "soft person", one.name)
    gaps = "".join(
        _rectangle(
            shift, start, end, scale, "alarm", f"no {one.name} from {clock(start)} for {(end - start) / 1e9:.1f} s"
        )
        for start, end in one.gaps[:_MOST_BARS]
    )
    return caption + whole + gaps


def _rectangle(shift: Shift, start_ns: int, end_ns: int, scale: float, kind: str, title: str) -> str:
    x = _x(shift, start_ns, scale)
    width = max(_LEAST_PX, (end_ns - start_ns) / 1e9 * scale)
    return (
        f'<rect class="{kind}" x="{x:.1f}" y="3" width="{width:.1f}" height="{_BAR}" rx="2">'
        f"<title>{escape(title)}</title></rect>"
    )


def _caption(name: str) -> str:
    shown = name if len(name) <= 20 else name[:19] + "…"
    return f'<text class="lane" x="0" y="15">{escape(shown)}</text>'


def _x(shift: Shift, at_ns: int, scale: float) -> float:
    return _LEFT + min(max(shift.seconds(at_ns), 0.0), shift.duration_s) * scale


def _axis(shift: Shift, height: int, scale: float, clock: Callable[[int], str]) -> str:
    ticks = [tick for tick in axis_ticks(max(shift.duration_s, 0.2)) if tick <= shift.duration_s]
    return "".join(_tick(_LEFT + tick * scale, height, clock(shift.start_ns + round(tick * 1e9))) for tick in ticks)


def _tick(x: float, height: int, label: str) -> str:
    return (
        f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height}"></line>'
        f'<text class="muted" x="{x:.1f}" y="{height + 13}" text-anchor="middle">{escape(label)}</text>'
    )
