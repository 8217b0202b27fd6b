"""How soon a robot says of its own accord what there is to say of a video. It judges no words: the scores are given.

Source: PAUC, ProactiveVideoQA (arXiv 2507.09313). The score of all that was said so far, over time: nothing said is
half a point of two, so silence is 25, and what is wrong falls below it.
"""

from collections.abc import Iterable

from tml_ros.errors import InputError
from tml_ros.evaluation.intervals import Interval

__all__ = ["OMEGA", "pauc"]

OMEGA = 0.5
"""How much of a delay is forgiven: 0 none of it, 1 all."""

_MOST = 2.0
_SILENT = 0.5


def pauc(replies: Iterable[tuple[float, float]], span: Interval, omega: float = OMEGA) -> float:
    """Return the area under the score, 0 to 100. Replies outside the span count for nothing.

    Args:
        replies: (time, accumulated score 0 to 2) of each reply in the turn.
        span: (t0, t1), when there is something to be told.
        omega: 0 to 1; a reply at t counts as if it came at t0 + (1 - omega)(t - t0).

    Raises:
        InputError: an empty span, or a score or omega out of range.
    """
    start_s, end_s = span
    if not start_s < end_s:
        raise InputError(f"a turn must have a length, got [{start_s}, {end_s}) s; swap its times or leave it out")
    if not 0.0 <= omega <= 1.0:
        raise InputError(f"omega must lie in 0..1, got {omega}; the paper has {OMEGA}")
    area, score, since_s = 0.0, _SILENT, start_s
    for at_s, reached in sorted(((at, s) for at, s in replies if start_s <= at < end_s), key=lambda one: one[0]):
        if not 0.0 <= reached <= _MOST:
            raise InputError(f"an accumulated score must lie in 0..{_MOST:g}, got {reached} at {at_s} s")
        moved_s = start_s + (1.0 - omega) * (at_s - start_s)
        area += (moved_s - since_s) * score
        score, since_s = reached, moved_s
    return 100.0 * (area + (end_s - since_s) * score) / ((end_s - start_s) * _MOST)
