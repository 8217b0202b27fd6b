"""A RunLog as the plain lists that the report's timeline draws, small enough for a browser whatever the run's length.

Sound becomes at most ``MAX_PEAKS`` byte pairs, states become runs, latencies are merged by their maximum and the
pictures are thinned to a budget. It knows nothing of HTML; times are seconds from the first window's start.
"""

import base64
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tml_ros.records import MICRO_TURN_NS, SAMPLE_RATE_HZ, AlertState
from tml_ros.replay.figures import duration_s, printable, turn_taking_s
from tml_ros.replay.runlog import PEAK_SAMPLES, RunLog, TurnRow

__all__ = ["MAX_PEAKS", "MAX_PICTURES", "MAX_TURNS", "timeline_data", "timeline_json"]

MAX_PEAKS = 90_000
MAX_TURNS = 20_000
MAX_PICTURES = 600
MAX_MARKS = 4_000
PICTURE_BUDGET_BYTES = 2_000_000
DEADLINE_MS = MICRO_TURN_NS // 1_000_000

_TURN_S = MICRO_TURN_NS / 1e9
_SAME_S = 0.01
_QUIET = 0.02
_LABEL_CHARS = 300


def timeline_data(log: RunLog) -> dict[str, Any]:
    """Return what the timeline draws."""
    return {
        "duration": _second(max(duration_s(log), _TURN_S)),
        "deadline_ms": DEADLINE_MS,
        "heard": _sound(log.heard_peaks),
        "said": _sound(log.said_peaks),
        "words": _words(log),
        "utterances": _utterances(log),
        "bands": _bands(log.turns),
        "intents": _intents(log),
        "alerts": _alerts(log),
        "latency": _latency(log.turns),
        "pictures": _pictures(log.thumbnails),
        "pictures_taken": len(log.thumbnails),
    }


def timeline_json(log: RunLog) -> str:
    """Return ``timeline_data`` as JSON that cannot end the script element that holds it."""
    text = json.dumps(timeline_data(log), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _second(value: float) -> float:
    return round(value, 3) if math.isfinite(value) else 0.0


def _label(text: str) -> str:
    text = printable(text)
    return text if len(text) <= _LABEL_CHARS else text[: _LABEL_CHARS - 1] + "…"


def _sound(peaks: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Return peaks merged to at most MAX_PEAKS and scaled to the loudest, as base64 of interleaved int8 (min, max)."""
    merge = max(1, -(-len(peaks) // MAX_PEAKS))
    flat = np.zeros((-(-len(peaks) // merge) * merge, 2), dtype=np.float64)
    flat[: len(peaks)] = np.asarray(peaks, dtype=np.float64).reshape(-1, 2)
    groups = np.nan_to_num(flat, posinf=1.0, neginf=-1.0).reshape(-1, merge, 2)
    lows, highs = groups[:, :, 0].min(axis=1, initial=0.0), groups[:, :, 1].max(axis=1, initial=0.0)
    loudest = max(_QUIET, float(np.abs(lows).max(initial=0.0)), float(highs.max(initial=0.0)))
    scaled = np.round(np.stack([lows, highs], axis=1) / loudest * 127).astype(np.int8)
    return {
        "step": merge * PEAK_SAMPLES / SAMPLE_RATE_HZ,
        "loudest": round(loudest, 4),
        "peaks": base64.b64encode(scaled.tobytes()).decode("ascii"),
    }


def _words(log: RunLog) -> list[list[Any]]:
    finals = [e for e in log.transcripts if e.final and e.speaker == "user"][:MAX_MARKS]
    rows = [[_second(log.seconds(e.start_ns)), _second(log.seconds(e.end_ns)), _label(e.text)] for e in finals]
    return sorted(rows)


def _utterances(log: RunLog) -> list[list[Any]]:
    """Return rows of start, end, text, kind, interrupted, turn-taking latency in ms or None."""
    rows: list[list[Any]] = []
    for said, latency in zip(log.utterances[:MAX_MARKS], turn_taking_s(log), strict=False):
        waited = None if latency is None else round(latency * 1e3)
        kind = said.kind.lower()
        rows.append([_second(said.start_s), _second(said.end_s), _label(said.text), kind, said.interrupted, waited])
    return sorted(rows, key=lambda row: row[0])


def _bands(turns: Sequence[TurnRow]) -> dict[str, list[list[Any]]]:
    return {
        "floor": _runs(turns, lambda turn: turn.floor),
        "agent": _runs(turns, lambda turn: turn.agent_state.lower()),
        "user": _runs(turns, lambda turn: turn.user_state.lower()),
        "overlap": [run for run in _runs(turns, lambda turn: turn.overlap) if run[2]],
        "missing": [run for run in _runs(turns, lambda turn: turn.missing_samples > 0) if run[2]],
    }


def _runs(turns: Sequence[TurnRow], value: Callable[[TurnRow], Any]) -> list[list[Any]]:
    """Return [start, end, value] of each stretch of equal values; a gap between micro-turns ends a stretch."""
    runs: list[list[Any]] = []
    for turn in turns:
        start, end, now = _second(turn.end_s - _TURN_S), _second(turn.end_s), value(turn)
        if runs and runs[-1][2] == now and abs(start - runs[-1][1]) < _SAME_S:
            runs[-1][1] = end
        else:
            runs.append([start, end, now])
    return runs


def _intents(log: RunLog) -> list[list[Any]]:
    """Return rows of time, name, data, confidence, needs confirmation."""
    return [
        [
            _second(log.seconds(i.stamp_ns)),
            _label(f"{'withdrawn: ' if i.is_withdrawn else ''}{i.intent}"),
            _label(i.data),
            _second(i.confidence),
            i.requires_confirmation,
        ]
        for i in log.intents[:MAX_MARKS]
    ]


def _alerts(log: RunLog) -> list[list[Any]]:
    """Return one row for each incident: raised, cleared or None, rule, description, severity, recommended action."""
    open_rows: dict[str, list[Any]] = {}
    rows: list[list[Any]] = []
    for alert in log.alerts[:MAX_MARKS]:
        at, row = _second(log.seconds(alert.stamp_ns)), open_rows.get(alert.alert_id)
        if row is None:
            texts = (_label(alert.rule), _label(alert.description))
            row = [at, None, *texts, alert.severity, _label(alert.recommended_action)]
            open_rows[alert.alert_id] = row
            rows.append(row)
        row[4] = max(row[4], alert.severity)
        if alert.state is AlertState.CLEARED:
            row[1] = at
            del open_rows[alert.alert_id]
    return rows


def _latency(turns: Sequence[TurnRow]) -> dict[str, list[float]]:
    """Return columns of at most MAX_TURNS points; where micro-turns are merged, the worst of them counts."""
    merge = max(1, -(-len(turns) // MAX_TURNS))
    groups = [turns[first : first + merge] for first in range(0, len(turns), merge)]
    return {
        "end": [_second(group[-1].end_s) for group in groups],
        "index": [group[-1].index for group in groups],
        "inference": [_tenth(max(turn.inference_ms for turn in group)) for group in groups],
        "ingest": [_tenth(max(turn.ingest_age_ms for turn in group)) for group in groups],
        "missed": [place for place, group in enumerate(groups) if any(turn.deadline_missed for turn in group)],
    }


def _tenth(value: float) -> float:
    return round(value, 1) if math.isfinite(value) else 0.0


def _pictures(thumbnails: Sequence[tuple[float, bytes]]) -> list[list[Any]]:
    """Return rows of time and base64 JPEG, evenly thinned to MAX_PICTURES and PICTURE_BUDGET_BYTES."""
    if not thumbnails:
        return []
    mean_bytes = sum(len(jpeg) for _, jpeg in thumbnails) / len(thumbnails)
    wanted = min(len(thumbnails), MAX_PICTURES, max(1, int(PICTURE_BUDGET_BYTES / max(mean_bytes, 1))))
    chosen = np.linspace(0, len(thumbnails) - 1, wanted).round().astype(int)
    rows: list[list[Any]] = []
    left = PICTURE_BUDGET_BYTES
    for at, jpeg in (thumbnails[place] for place in chosen):
        left -= len(jpeg)
        if left >= 0:
            rows.append([_second(at), base64.b64encode(jpeg).decode("ascii")])
    return rows
