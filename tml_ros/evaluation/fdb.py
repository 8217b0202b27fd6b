"""The measures of Full-Duplex-Bench on words and voice segments: takeover, latencies, back-channels.

Pure functions of times in seconds: no sound, no model, no files but the ``output.json`` of words. Our tables are made
of our own clips and are called "FDB-style"; the published data and judges are not here.

Source: Full-Duplex-Bench v1 (Lin et al., arXiv 2503.04721), sections 3 and 4; own code from the definitions.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tml_ros.errors import InputError

__all__ = [
    "Backchannels",
    "Word",
    "backchannels",
    "divergence",
    "interruption_latency_s",
    "is_takeover",
    "read_words",
    "turn_taking_latency_s",
    "words_within",
]

_SHORT_SPAN_S = 1.0
_FEW_WORDS = 3
_LONG_SEGMENT_S = 3.0
_BACKCHANNEL_S = 1.0
_BACKCHANNEL_WORDS = 2
_BIN_S = 0.2


@dataclass(frozen=True, slots=True)
class Word:
    """A word that the robot said. Times in seconds since the first sample of the input."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Backchannels:
    """What the robot uttered while the person had the floor. starts_s: of its back-channels."""

    takeover: bool
    starts_s: tuple[float, ...]
    per_second: float


def is_takeover(words: Sequence[Word]) -> bool:
    """Tell whether the robot took the turn (TOR): it said words, and not just up to three within less than a second."""
    if not words:
        return False
    span_s = words[-1].end_s - words[0].start_s
    return span_s >= _SHORT_SPAN_S or len(words) > _FEW_WORDS


def turn_taking_latency_s(words: Sequence[Word], user_end_s: float) -> float | None:
    """Return the time from the person's end to the robot's first word, floored at 0; None without a takeover."""
    return max(0.0, words[0].start_s - user_end_s) if is_takeover(words) else None


def interruption_latency_s(words: Sequence[Word], interruption_end_s: float) -> float | None:
    """Return the time from the end of the interrupting speech to the first word after it; None without a takeover."""
    return turn_taking_latency_s(words_within(words, interruption_end_s), interruption_end_s)


def words_within(words: Iterable[Word], start_s: float, end_s: float = float("inf")) -> list[Word]:
    """Return the words that begin in [start_s, end_s)."""
    return [word for word in words if start_s <= word.start_s < end_s]


def backchannels(segments: Sequence[tuple[float, float]], words: Sequence[Word], duration_s: float) -> Backchannels:
    """Judge the robot's voice segments in a clip in which the person never gives the turn away.

    Args:
        segments: (start, end) of the robot's voice in seconds, by a voice activity detector.
        words: what it said.
        duration_s: length of the clip.
    """
    starts = []
    for start, end in segments:
        inside = sum(word.start_s < end and word.end_s > start for word in words)
        if end - start > _LONG_SEGMENT_S or inside > _FEW_WORDS:
            return Backchannels(True, (), 0.0)
        if end - start < _BACKCHANNEL_S and inside <= _BACKCHANNEL_WORDS:
            starts.append(start)
    return Backchannels(False, tuple(starts), len(starts) / duration_s)


def divergence(starts_s: Sequence[float], human: Sequence[float]) -> float:
    """Return how far the times of back-channels are from people's: 0 (alike) to 0.83, and 1.0 if there are none.

    Square root of the Jensen-Shannon divergence with natural logarithms. human: weight of each bin of 200 ms.
    """
    wanted = np.asarray(human, np.float64)
    found = np.zeros_like(wanted)
    for start in starts_s:
        found[min(int(start / _BIN_S), len(found) - 1)] += 1.0
    if not found.sum() or not wanted.sum():
        return 1.0
    found, wanted = found / found.sum(), wanted / wanted.sum()
    middle = (found + wanted) / 2.0
    parts = [float(np.sum(p[p > 0] * np.log(p[p > 0] / middle[p > 0]))) for p in (found, wanted)]
    return float(np.sqrt(max(0.0, sum(parts) / 2.0)))


def read_words(path: Path) -> list[Word]:
    """Read an ``output.json``: {"text", "chunks": [{"text": word, "timestamp": [start, end]}]}.

    Raises:
        InputError: the file is not of that form.
    """
    try:
        chunks = json.loads(path.read_text(encoding="utf-8"))["chunks"]
        return [Word(one["text"].strip(), *map(float, one["timestamp"])) for one in chunks]
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise InputError(
            f"{path} is no list of words ({err!r}); expected the output.json of Full-Duplex-Bench"
        ) from err
