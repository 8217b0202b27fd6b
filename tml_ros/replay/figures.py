"""The numbers of a run that reports and timelines show: latencies, counts, text that is safe to print.

Pure functions over a RunLog; they know neither HTML nor a terminal.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tml_ros.replay.runlog import RunLog

__all__ = [
    "Spread",
    "conversation",
    "count_rows",
    "duration_s",
    "echo_rows",
    "latency_spreads",
    "printable",
    "spread",
    "turn_taking_s",
]

_TAKES_NO_TURN = frozenset({"ALERT", "BACKCHANNEL"})


@dataclass(frozen=True, slots=True)
class Spread:
    """How a latency is spread, in milliseconds; everything is nan when there was nothing to measure."""

    name: str
    count: int
    p50: float
    p95: float
    p99: float
    maximum: float

    def cells(self) -> tuple[str, ...]:
        """Return name, count and the four figures as text, ``-`` where there is none."""
        figures = (self.p50, self.p95, self.p99, self.maximum)
        return (self.name, str(self.count), *("-" if math.isnan(f) else f"{f:.1f}" for f in figures))


def spread(name: str, values_ms: Iterable[float]) -> Spread:
    """Return the percentiles (linear interpolation) of the finite values."""
    values = np.array([v for v in values_ms if math.isfinite(v)], dtype=np.float64)
    if not len(values):
        return Spread(name, 0, math.nan, math.nan, math.nan, math.nan)
    p50, p95, p99 = (float(p) for p in np.percentile(values, (50, 95, 99)))
    return Spread(name, len(values), p50, p95, p99, float(values.max()))


def turn_taking_s(log: RunLog) -> list[float | None]:
    """Return for each utterance of ``log`` its start minus the end of the person's words that it answers.

    None where it answers none: only the first utterance after the end of a final user transcript takes the turn, and
    back-channels and alerts never do.
    """
    ends = sorted(log.seconds(e.end_ns) for e in log.transcripts if e.final and e.speaker == "user")
    latencies: list[float | None] = [None] * len(log.utterances)
    answered = 0
    for place in sorted(range(len(latencies)), key=lambda place: log.utterances[place].start_s):
        utterance = log.utterances[place]
        ended = bisect_right(ends, utterance.start_s)
        if utterance.kind not in _TAKES_NO_TURN and ended > answered:
            latencies[place], answered = utterance.start_s - ends[ended - 1], ended
    return latencies


def latency_spreads(log: RunLog) -> tuple[Spread, ...]:
    """Return inference time and ingest age over the micro-turns, and turn-taking latency over the utterances."""
    return (
        spread("inference", (turn.inference_ms for turn in log.turns)),
        spread("ingest age", (turn.ingest_age_ms for turn in log.turns)),
        spread("turn-taking", (latency * 1e3 for latency in turn_taking_s(log) if latency is not None)),
    )


def conversation(log: RunLog) -> list[tuple[float, str, str, str]]:
    """Return what both said, by time: seconds, ``person`` or ``robot``, text, a note on latency and interruption."""
    words = [e for e in log.transcripts if e.final and e.speaker == "user"]
    rows = [(log.seconds(e.start_ns), "person", e.text, "") for e in words]
    for said, latency in zip(log.utterances, turn_taking_s(log), strict=True):
        notes = [said.kind.lower()] if said.kind != "REPLY" else []
        notes += [f"after {latency * 1e3:.0f} ms"] if latency is not None else []
        notes += [f"cut at {said.end_s:.1f} s"] if said.interrupted else []
        rows.append((said.start_s, "robot", said.text, ", ".join(notes)))
    return sorted(rows)


def count_rows(log: RunLog) -> tuple[tuple[str, int], ...]:
    """Return what is worth counting in a run, then the session's own counters by name."""
    turns = log.turns
    return (
        ("micro-turns", len(turns)),
        ("frames", sum(turn.frames for turn in turns)),
        ("user transcripts", sum(e.speaker == "user" for e in log.transcripts)),
        ("utterances", len(log.utterances)),
        ("interrupted", sum(utterance.interrupted for utterance in log.utterances)),
        ("intents", len(log.intents)),
        ("alert events", len(log.alerts)),
        ("missing samples", sum(turn.missing_samples for turn in turns)),
        ("late messages", sum(turn.late_messages for turn in turns)),
        ("deadlines missed", sum(turn.deadline_missed for turn in turns)),
        ("deepest queue", max((turn.queue_depth for turn in turns), default=0)),
        *sorted(log.counters.items()),
    )


def echo_rows(log: RunLog) -> tuple[tuple[str, str], ...]:
    """Return how well the robot's own voice was taken out of what it heard; nothing where no echo was heard."""
    echo = log.echo()
    if echo is None:
        return ()
    return (
        ("echo return loss enhancement", f"{echo['erle_db']:.1f} dB"),
        ("echo delay", f"{echo['delay_ms']:.0f} ms"),
    )


def duration_s(log: RunLog) -> float:
    """Return seconds from the first window's start to the last thing that happened."""
    ends = [turn.end_s for turn in log.turns[-1:]]
    ends += [utterance.end_s for utterance in log.utterances]
    ends += [log.seconds(event.end_ns) for event in log.transcripts]
    return max((end for end in ends if math.isfinite(end)), default=0.0)


def printable(text: str) -> str:
    """Return ``text`` on one line, with every control, format and surrogate character shown as U+FFFD.

    What was heard or seen is untrusted: it must not steer a terminal or reorder a page.
    """
    return "".join(c if c.isprintable() else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in text)
