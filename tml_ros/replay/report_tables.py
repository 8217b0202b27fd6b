"""The report's tables, tiles and facts as HTML text; everything that came from outside is escaped here."""

import html
import json
import math
from collections.abc import Iterable, Mapping, Sequence

from tml_ros.records import SAMPLE_RATE_HZ
from tml_ros.replay.figures import count_rows, duration_s, echo_rows, latency_spreads, printable, turn_taking_s
from tml_ros.replay.runlog import RunLog

__all__ = ["MAX_ROWS", "escape", "facts_html", "tables_html", "tiles_html"]

MAX_ROWS = 2_000
_SEVERITIES = ("information", "warning", "danger")
_Row = Sequence[str]


def escape(text: object) -> str:
    """Return ``text`` for use in HTML text and quoted attributes, with control characters made visible."""
    return html.escape(printable(str(text)), quote=True)


def facts_html(model: str, facts: Mapping[str, str]) -> str:
    """Return a description list: the model, if there is one, then the caller's facts in their order."""
    pairs = {"model": model, **facts} if model else facts
    return "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>\n" for name, value in pairs.items())


def tiles_html(log: RunLog) -> str:
    """Return the handful of figures that a reader wants first; a tile with a problem is marked."""
    inference, _, turn_taking = latency_spreads(log)
    turns = len(log.turns)
    missing = sum(turn.missing_samples for turn in log.turns)
    late = sum(turn.late_messages for turn in log.turns)
    missed = sum(turn.deadline_missed for turn in log.turns)
    answers = f"{turn_taking.count} answer" + ("s" if turn_taking.count != 1 else "")
    tiles = (
        ("duration", _clock(duration_s(log)), f"{turns} micro-turns", False),
        ("turn-taking", _ms(turn_taking.p50), f"median of {answers}", False),
        ("inference p99", _ms(inference.p99), f"p50 {_ms(inference.p50)}", False),
        ("deadlines missed", str(missed), f"of {turns}", missed > 0),
        ("missing audio", _ms(missing / SAMPLE_RATE_HZ * 1e3), f"{missing} samples", missing > 0),
        ("late messages", str(late), "came after their micro-turn", late > 0),
    )
    return "".join(_tile(*tile) for tile in tiles)


def tables_html(log: RunLog) -> str:
    """Return every table of the report."""
    return "\n".join(
        (
            _section(
                "Transcript", "", ("time", "until", "who", "text", "confidence"), _transcript(log), "num num word"
            ),
            _section(
                "Utterances",
                "Turn-taking latency: start of the utterance minus the end of the words that it answers.",
                ("time", "until", "kind", "text", "turn-taking", "interrupted"),
                _utterances(log),
                "num num word",
            ),
            _section(
                "Intents",
                "Proposals that passed the allow-list; never commands to an actuator.",
                ("time", "micro-turn", "intent", "data", "confidence", "source", "confirm"),
                _intents(log),
                "num num word code",
            ),
            _section(
                "Alerts",
                "Advisory, not a safety function.",
                ("time", "state", "severity", "rule", "description", "advice", "confidence"),
                _alerts(log),
                "num word word",
            ),
            '<div class="pair">',
            _section(
                "Latency",
                "Milliseconds; percentiles over micro-turns, for turn-taking over answers.",
                ("what", "n", "p50", "p95", "p99", "max"),
                [_plain(row.cells()) for row in latency_spreads(log)],
                "name num num num num num",
            ),
            _section(
                "Counters",
                "",
                ("what", "count"),
                [_plain(row) for row in (*count_rows(log), *echo_rows(log))],
                "name num",
            ),
            "</div>",
        )
    )


def _transcript(log: RunLog) -> list[_Row]:
    return [
        (
            _at(log.seconds(e.start_ns)),
            _seconds(log.seconds(e.end_ns)),
            _who(e.speaker),
            escape(e.text),
            f"{e.confidence:.2f}",
        )
        for e in sorted(log.transcripts, key=lambda event: event.start_ns)
    ]


def _utterances(log: RunLog) -> list[_Row]:
    rows = sorted(zip(log.utterances, turn_taking_s(log), strict=True), key=lambda row: row[0].start_s)
    return [
        (
            _at(said.start_s),
            _seconds(said.end_s),
            escape(said.kind.lower()),
            escape(said.text),
            "" if latency is None else f"{latency * 1e3:.0f} ms",
            f"cut at {_seconds(said.end_s)}" if said.interrupted else "",
        )
        for said, latency in rows
    ]


def _intents(log: RunLog) -> list[_Row]:
    return [
        (
            _at(log.seconds(i.stamp_ns)),
            str(i.window_seq),
            escape(i.intent),
            f"<code>{escape(_compact(i.data))}</code>",
            f"{i.confidence:.2f}",
            escape(f"{i.modality}, {i.source}"),
            "asks first" if i.requires_confirmation else "",
        )
        for i in log.intents
    ]


def _alerts(log: RunLog) -> list[_Row]:
    return [
        (
            _at(log.seconds(a.stamp_ns)),
            a.state.name.lower(),
            f"{a.severity} {_SEVERITIES[min(max(a.severity, 0), 2)]}",
            escape(a.rule),
            escape(a.description),
            escape(a.recommended_action),
            f"{a.confidence:.2f}",
        )
        for a in log.alerts
    ]


def _section(name: str, note: str, heads: Sequence[str], rows: Sequence[_Row], classes: str) -> str:
    """Return a captioned table whose first rows are shown; classes: one CSS class a column, from the left."""
    if len(rows) > MAX_ROWS:
        note = f"{note} The first {MAX_ROWS} of {len(rows)} rows.".strip()
    ident = f"table-{name.lower()}"
    caption = f'<h2 id="{ident}">{name} <small>{len(rows)}</small></h2>' + (f"<p>{note}</p>" if note else "")
    if not rows:
        return f'<section aria-labelledby="{ident}">{caption}<p class="none">None in this run.</p></section>'
    column = [*classes.split(), *("text" for _ in heads)][: len(heads)]
    head = "".join(f'<th scope="col" class="{kind}">{title}</th>' for title, kind in zip(heads, column, strict=True))
    body = "\n".join("<tr>" + _cells(row, column) + "</tr>" for row in rows[:MAX_ROWS])
    return (
        f'<section aria-labelledby="{ident}">{caption}<div class="scroll" tabindex="0" role="region"'
        f' aria-labelledby="{ident}"><table><thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div></section>"
    )


def _cells(row: _Row, column: Sequence[str]) -> str:
    return "".join(f'<td class="{kind}">{cell}</td>' for cell, kind in zip(row, column, strict=True))


def _plain(cells: Iterable[object]) -> tuple[str, ...]:
    return tuple(escape(cell) for cell in cells)


def _who(speaker: str) -> str:
    kind = {"user": "person", "robot": "robot"}.get(speaker, "other")
    return f'<span class="{kind}">{escape("person" if speaker == "user" else speaker)}</span>'


def _compact(data: str) -> str:
    try:
        return json.dumps(json.loads(data), ensure_ascii=False, sort_keys=True)
    except ValueError:
        return data


def _tile(name: str, value: str, note: str, problem: bool) -> str:
    mark = ' class="problem"' if problem else ""
    return f"<div{mark}><dt>{name}</dt><dd>{value} <small>{note}</small></dd></div>\n"


def _at(seconds: float) -> str:
    return f'<a href="#at={seconds:.2f}">{_seconds(seconds)}</a>'


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s"


def _ms(milliseconds: float) -> str:
    if math.isnan(milliseconds):
        return "none"
    return f"{milliseconds:.0f} ms" if milliseconds < 10_000 else f"{milliseconds / 1e3:.1f} s"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"
