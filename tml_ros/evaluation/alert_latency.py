"""How soon alerts came: from the first evidence to the topic, and from there to the first sound, block by block.

An event is found by the first alert of its rule that is raised between its evidence and shortly after it; an alert that
belongs to no event is false. It knows no ROS and looks at no clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from tml_ros.evaluation.shift_alerts import AlertEvent, Spoken, match_sounds, tell_stories
from tml_ros.records import AlertState

__all__ = ["Latency", "compare", "figures", "find_latencies"]

_LATE_NS = 3_000_000_000


class Evidence(Protocol):
    """Something that was shown; times in ns on the clock of the alerts."""

    @property
    def kind(self) -> str: ...
    @property
    def block(self) -> str: ...
    @property
    def begin_ns(self) -> int: ...
    @property
    def end_ns(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Latency:
    """What came of one event. to_topic_s: None when it was missed; to_sound_s: None when nothing was heard of it."""

    kind: str
    block: str
    to_topic_s: float | None
    to_sound_s: float | None


def find_latencies(
    shown: Sequence[Evidence], alerts: Sequence[AlertEvent], spoken: Sequence[Spoken]
) -> tuple[list[Latency], list[str]]:
    """Return one latency per event, and the rules of false alerts."""
    stories = [story for story in tell_stories(alerts) if story.first.alert.state is AlertState.RAISED]
    match_sounds(stories, spoken)
    left, found = list(stories), []
    for one in shown:
        mine = [
            story
            for story in left
            if story.first.alert.rule == one.kind and one.begin_ns <= story.first.at_ns <= one.end_ns + _LATE_NS
        ]
        if not mine:
            found.append(Latency(one.kind, one.block, None, None))
            continue
        left.remove(mine[0])
        found.append(Latency(one.kind, one.block, (mine[0].first.at_ns - one.begin_ns) / 1e9, mine[0].to_sound_s))
    return found, [story.first.alert.rule for story in left]


def figures(latencies: Sequence[Latency]) -> dict[str, Any]:
    """Return counts, and medians and 95th percentiles in ms."""
    topic = [one.to_topic_s for one in latencies if one.to_topic_s is not None]
    sound = [one.to_sound_s for one in latencies if one.to_sound_s is not None]
    return {
        "events": len(latencies),
        "found": len(topic),
        "heard": len(sound),
        **_quantiles("alert", topic),
        **_quantiles("sound", sound),
    }


def compare(latencies: Sequence[Latency], plain: str) -> dict[str, float]:
    """Return, for each other block, the median to the alert over that of the plain block."""
    medians = {
        block: figures([one for one in latencies if one.block == block])["alert_median_ms"]
        for block in dict.fromkeys(one.block for one in latencies)
    }
    if not medians.get(plain):
        return {}
    return {
        block: round(median / medians[plain], 3)
        for block, median in medians.items()
        if block != plain and median is not None
    }


def _quantiles(name: str, values_s: Sequence[float]) -> dict[str, float | None]:
    parts = {"median": 0.5, "p95": 0.95, "max": 1.0}
    return {
        f"{name}_{part}_ms": round(float(np.quantile(values_s, share)) * 1e3, 1) if values_s else None
        for part, share in parts.items()
    }
