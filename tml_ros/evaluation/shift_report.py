"""A shift as one self-contained HTML page and as figures: alerts, latencies, stills, and what was not seen or heard.

In the manner of the other reports, and like them without a script and without the network. Knows no bag.
"""

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tml_ros import __version__
from tml_ros.evaluation.report import render_page
from tml_ros.evaluation.report_tables import section_html, table_html, tile_html
from tml_ros.evaluation.shift import Coverage, Shift, iterate_gaps
from tml_ros.evaluation.shift_alerts import AlertStory
from tml_ros.evaluation.shift_timeline import timeline_svg
from tml_ros.records import AlertState
from tml_ros.replay.figures import Spread, spread
from tml_ros.replay.report_tables import escape, facts_html

__all__ = ["ADVISORY", "render_shift", "shift_figures"]

ADVISORY = "advisory, not a safety function"
MAX_ROWS = 500
_EPOCH_NS = 10**18  # what lies before is no time of day but that of a simulation
_SEVERITIES = ("information", "warning", "danger")


def render_shift(shift: Shift, incident: Mapping[str, Any] | None = None) -> str:
    """Return the page. incident: its summary where the bag is that of one."""
    parts = (
        f'<p class="advisory">Alerts are {ADVISORY}.</p>',
        section_html("timeline", "Timeline", _timeline_note(shift), timeline_svg(shift, lambda ns: _clock(shift, ns))),
        _alerts_html(shift),
        _stills_html(shift),
        _latencies_html(shift),
        _gaps_html(shift),
    )
    title = f"Incident {shift.path.name}" if incident else f"Shift of {shift.path.name}"
    return render_page("tml_ros shift report", title, _tiles(shift), _facts(shift, incident), parts, "img-src")


def shift_figures(shift: Shift) -> dict[str, Any]:
    """Return what the page says as plain values; times in seconds from the start."""
    return {
        "note": ADVISORY,
        "duration_s": round(shift.duration_s, 3),
        "alerts": [_figures(shift, story) for story in shift.stories],
        "latency_ms": {one.name: _spread(one) for one in _spreads(shift)},
        "uptime": _rounded(shift.robot.share(shift.duration_s)),
        "sight": _coverage(shift, shift.sight),
        "hearing": _coverage(shift, shift.hearing),
        "sessions": shift.sessions,
        "missing_sound_s": round(shift.missing_s, 3),
        "late_messages": shift.late_messages,
        "deadlines_missed": shift.deadlines_missed,
        "degraded_s": round(shift.degraded_s, 3),
        "bad_messages": shift.bad_messages,
    }


def _figures(shift: Shift, story: AlertStory) -> dict[str, Any]:
    return {
        "alert_id": story.first.alert.alert_id,
        "rule": story.first.alert.rule,
        "severity": story.severity,
        "description": story.first.alert.description,
        "at_s": round(shift.seconds(story.first.at_ns), 3),
        "states": [event.alert.state.name for event in story.events],
        "to_topic_s": _rounded(story.to_topic_s),
        "to_sound_s": _rounded(story.to_sound_s),
        "sound_is_measured": story.spoken.is_measured if story.spoken else None,
        "acknowledged_after_s": _rounded(story.after_s(AlertState.ACKNOWLEDGED)),
        "cleared_after_s": _rounded(story.after_s(AlertState.CLEARED)),
    }


def _coverage(shift: Shift, coverage: Coverage) -> dict[str, Any]:
    gaps = [[round(shift.seconds(start), 3), round((end - start) / 1e9, 3)] for start, end in coverage.gaps]
    return {
        "recorded": coverage.is_recorded,
        "share": _rounded(coverage.share(shift.duration_s)),
        "gap_s": round(coverage.gap_s, 3),
        "gaps": gaps[:MAX_ROWS],
    }


def _spreads(shift: Shift) -> tuple[Spread, ...]:
    measures: dict[str, Callable[[AlertStory], float | None]] = {
        "evidence to alert": lambda story: story.to_topic_s,
        "alert to sound": lambda story: story.to_sound_s,
        "evidence to sound": lambda story: _sum(story.to_topic_s, story.to_sound_s),
    }
    return tuple(
        spread(name, [value * 1e3 for story in shift.stories if (value := measure(story)) is not None])
        for name, measure in measures.items()
    )


def _sum(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first + second


def _spread(one: Spread) -> dict[str, Any]:
    figures = {"p50": one.p50, "p95": one.p95, "max": one.maximum}
    return {"n": one.count} | {name: None if math.isnan(f) else round(f, 1) for name, f in figures.items()}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


# -------------------------------------------------------------------------------------------------------------- page


def _tiles(shift: Shift) -> str:
    to_alert, _, to_sound = _spreads(shift)
    unseen = [one for one in shift.stories if one.after_s(AlertState.ACKNOWLEDGED) is None]
    worst = max((story.severity for story in shift.stories), default=0)
    tiles = [
        tile_html("duration", _long(shift.duration_s), f"{shift.sessions} sessions"),
        tile_html("alerts", str(len(shift.stories)), f"highest severity {worst}" if shift.stories else "none"),
        tile_html("evidence to alert", _ms(to_alert.p50), f"median; 95 %: {_ms(to_alert.p95)}"),
        tile_html("evidence to sound", _ms(to_sound.p50), f"median; 95 %: {_ms(to_sound.p95)}"),
        tile_html("not acknowledged", str(len(unseen)), f"of {len(shift.stories)}"),
    ]
    for title, one in (("uptime", shift.robot), ("sight", shift.sight), ("hearing", shift.hearing)):
        share = one.share(shift.duration_s)
        note = f"{len(one.gaps)} gaps, {one.gap_s:.1f} s" if one.is_recorded else "not recorded"
        value = "-" if share is None else f"{share * 100:.1f} %"
        tiles.append(tile_html(title, value, note, is_problem=bool(one.gaps)))
    return "".join(tiles)


def _facts(shift: Shift, incident: Mapping[str, Any] | None) -> str:
    facts = {
        "bag": shift.path.name,
        "from": _date(shift.start_ns),
        "until": _date(shift.end_ns),
        "missing sound": f"{shift.missing_s:.2f} s",
        "late messages": str(shift.late_messages),
        "deadlines missed": str(shift.deadlines_missed),
        "degraded": f"{shift.degraded_s:.1f} s",
        "version": __version__,
    }
    if incident:
        blurred = incident.get("faces_blurred")
        facts |= {
            "incident ended": str(incident.get("end", "")),
            "faces blurred": "off" if blurred is None else str(blurred),
        }
    return facts_html("", facts)


def _timeline_note(shift: Shift) -> str:
    zone = "UTC; " if shift.start_ns > _EPOCH_NS else ""
    return (
        f"{zone}bars: from the first message of an alert until it was cleared; triangles: first sound; hatched: gaps."
    )


def _alerts_html(shift: Shift) -> str:
    title = f"Alerts <small>{len(shift.stories)}</small>"
    if not shift.stories:
        return section_html("alerts", title, "", '<p class="none">None in this recording.</p>')
    heads = (
        "at",
        "severity",
        "rule",
        "what",
        "evidence to alert",
        "alert to sound",
        "acknowledged",
        "cleared",
        "states",
    )
    rows = [("", _alert_cells(shift, story)) for story in shift.stories[:MAX_ROWS]]
    note = (
        "Evidence to alert: from observed_start to the message in this recording. Alert to sound: to the first sound "
        "of the utterance that speaks of it, at the loudspeaker where playback was recorded, otherwise (~) the "
        "earliest that speech allows."
    )
    if len(shift.stories) > MAX_ROWS:
        note += f" The first {MAX_ROWS} of {len(shift.stories)}."
    return section_html("alerts", title, note, table_html(heads, rows, "alerts"))


def _alert_cells(shift: Shift, story: AlertStory) -> Sequence[str]:
    alert = story.first.alert
    about = "~" if story.spoken is not None and not story.spoken.is_measured else ""
    advice = f"<small>{escape(alert.recommended_action)}</small>" if alert.recommended_action else ""
    said = f"<small>said: {escape(story.spoken.text)}</small>" if story.spoken else ""
    return (
        _clock(shift, story.first.at_ns),
        f"{story.severity} {_SEVERITIES[min(max(story.severity, 0), 2)]}",
        escape(alert.rule),
        f"{escape(alert.description)}{advice}{said}",
        _delay(story.to_topic_s),
        f"{about}{_delay(story.to_sound_s)}" if story.to_sound_s is not None else "not heard",
        _after(story.after_s(AlertState.ACKNOWLEDGED), "no"),
        _after(story.after_s(AlertState.CLEARED), "goes on"),
        escape(" ".join(dict.fromkeys(event.alert.state.name.lower() for event in story.events))),
    )


def _stills_html(shift: Shift) -> str:
    shown = [story for story in shift.stories if story.still]
    if not shown:
        return ""
    figures = "\n".join(_still(shift, story) for story in shown)
    note = "The evidence that came with the alert, or else the picture nearest to it."
    return section_html("stills", f"Stills <small>{len(shown)}</small>", note, f'<div class="stills">{figures}</div>')


def _still(shift: Shift, story: AlertStory) -> str:
    data = base64.b64encode(story.still).decode("ascii")
    what = "evidence" if story.still_is_evidence else "nearest picture"
    alert = story.first.alert
    return (
        f'<figure><img src="data:image/jpeg;base64,{data}" alt="{escape(alert.description)}"><figcaption>'
        f"{_clock(shift, story.first.at_ns)} {escape(alert.rule)} <small>{what}</small></figcaption></figure>"
    )


def _latencies_html(shift: Shift) -> str:
    rows = [("", tuple(escape(cell) for cell in one.cells())) for one in _spreads(shift)]
    heads = ("what", "n", "p50", "p95", "p99", "max")
    return section_html(
        "latencies", "Latencies", "Milliseconds, over the alerts.", table_html(heads, rows, "latencies")
    )


def _gaps_html(shift: Shift) -> str:
    gaps = list(iterate_gaps(shift))
    absent = [one.name for one in (shift.robot, shift.sight, shift.hearing) if not one.is_recorded]
    note = f"Not recorded, so that nothing is known of it: {', '.join(absent)}." if absent else ""
    title = f"Gaps <small>{len(gaps)}</small>"
    if not gaps:
        return section_html("gaps", title, note, '<p class="none">None in what was recorded.</p>')
    rows = [
        ("", (name, _clock(shift, start), _clock(shift, end), f"{(end - start) / 1e9:.1f} s"))
        for name, start, end in gaps[:MAX_ROWS]
    ]
    return section_html("gaps", title, note, table_html(("of", "from", "until", "for"), rows, "gaps"))


def _clock(shift: Shift, at_ns: int) -> str:
    if shift.start_ns > _EPOCH_NS:
        return datetime.fromtimestamp(at_ns / 1e9, UTC).strftime("%H:%M:%S")
    return f"{shift.seconds(at_ns):.1f} s"


def _date(at_ns: int) -> str:
    if at_ns > _EPOCH_NS:
        return datetime.fromtimestamp(at_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{at_ns / 1e9:.1f} s"


def _delay(seconds: float | None) -> str:
    return "not told" if seconds is None else _ms(seconds * 1e3)


def _after(seconds: float | None, otherwise: str) -> str:
    return otherwise if seconds is None else f"after {_long(seconds)}"


def _ms(milliseconds: float) -> str:
    if math.isnan(milliseconds):
        return "-"
    return f"{milliseconds:.0f} ms" if abs(milliseconds) < 10_000 else _long(milliseconds / 1e3)


def _long(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
