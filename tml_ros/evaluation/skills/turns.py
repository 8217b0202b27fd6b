"""Item 3: how soon a model takes its turn, and how often it takes one in a pause; on the clips of ``turn_taking``.

Latency is that of Full-Duplex-Bench: from the person's end to the robot's first word at the loudspeaker, transport,
compute and play-out counted. For compute 60 ms are allowed in each micro-turn, so that the figure is the same on every
machine; on one whose median micro-turn takes longer, what each really took counts instead. Both are told.
"""

import functools
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tml_ros.background import create_background
from tml_ros.background.config import BackgroundConfig, surroundings
from tml_ros.background.inline import InlineBackground
from tml_ros.evaluation.clips import Clip, pause_clips, recorded_clips, recorded_pauses, turn_clips
from tml_ros.evaluation.fdb import is_takeover
from tml_ros.evaluation.runner import ModelSpec
from tml_ros.evaluation.skills.bench import Bench
from tml_ros.evaluation.skills.counts import counted
from tml_ros.evaluation.skills.material import HELD_VOICES, Material, present_voices
from tml_ros.evaluation.turn_taking import Delays, Outcome, TurnTakingRun, score

__all__ = ["Turns"]

MOST_LATENCY_S, MOST_PAUSES = 0.40, 0.10
_PIECE = 16  # clips
_PER_WORD = 3
ALLOWED_S = 0.060
_DELAYS = (Delays(compute_s=None), Delays(compute_s=ALLOWED_S))
_MEASURED, _ALLOWED = 0, 1


@dataclass(frozen=True, slots=True)
class Answered:
    """A clip, without its sound, with compute as measured and as allowed for."""

    outcomes: tuple[Outcome, ...]
    compute_s: tuple[float, ...]


class Turns:
    """Turn-taking and pauses."""

    name, number, alone = "turn_taking", 3, False

    def pieces(self, material: Material) -> int:
        """Return the number of groups of clips."""
        return -(-len(_clips(material)) // _PIECE)

    def play(self, material: Material, number: int, bench: Bench, label: str) -> list[Answered]:
        """Let a model answer some clips."""
        run = bench.take("turns", label, _run)
        found = []
        for clip in _clips(material)[number * _PIECE : (number + 1) * _PIECE]:
            outcomes, compute_s = run.run_with(clip, _DELAYS)
            bare = replace(clip, audio=np.zeros(0, np.float32))
            found.append(Answered(tuple(replace(one, clip=bare) for one in outcomes), tuple(compute_s)))
        return found

    def figures(self, parts: Sequence[list[Answered]]) -> dict[str, Any]:
        """Return the figures of a model; ``figure`` is the median latency in seconds."""
        answered = [one for part in parts for one in part]
        compute_s = [value for one in answered for value in one.compute_s]
        keeps_up = bool(compute_s) and float(np.median(compute_s)) <= ALLOWED_S
        both = [[one.outcomes[which] for one in answered] for which in (_MEASURED, _ALLOWED)]
        chosen = both[_ALLOWED if keeps_up else _MEASURED]
        taken = {kind: [is_takeover(o.counted) for o in chosen if o.clip.kind == kind] for kind in ("turn", "pause")}
        return {
            **counted(sum(taken["turn"]), len(taken["turn"])),
            "figure": score(chosen)["turns"]["latency_median_s"],
            "pauses": counted(sum(taken["pause"]), len(taken["pause"])),
            "measured": score(both[_MEASURED]),
            "with_60_ms_of_compute": score(both[_ALLOWED]),
            "by_source": _sources(chosen),
            "compute_ms": dict(zip(("p50", "p95", "max"), _quantiles(compute_s), strict=True)),
        }

    def is_met(self, figures: Mapping[str, Any]) -> bool:
        """Whether the figures of a model are as good as wanted."""
        latency, pauses = figures["figure"], figures["pauses"]["figure"]
        return latency is not None and latency <= MOST_LATENCY_S and pauses is not None and pauses <= MOST_PAUSES


def _run(spec: ModelSpec) -> TurnTakingRun:
    port = InlineBackground(create_background("offline", {}, surroundings(BackgroundConfig())))
    return TurnTakingRun({**spec.values, "model": spec.model}, port=port)


@functools.lru_cache(maxsize=4)
def _clips(material: Material) -> list[Clip]:
    """Return synthesised and recorded clips, the same number of each kind where there is a limit."""
    voices, split, per_word = present_voices(HELD_VOICES), material.split, _PER_WORD
    if material.limit is not None:
        per_word = max(1, min(per_word, material.limit // 4))
    kinds = (
        turn_clips("held out", voices=voices),
        pause_clips("held out", voices=voices),
        recorded_clips(material.speech, split, per_word),
        recorded_pauses(material.speech, split, 4 * per_word),
    )
    return [clip for kind in kinds for clip in itertools.islice(kind, material.limit)]


def _sources(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    names = sorted({one.clip.source for one in outcomes})
    return {name: score([one for one in outcomes if one.clip.source == name]) for name in names}


def _quantiles(values: Sequence[float]) -> list[float]:
    return [round(1e3 * float(value), 1) for value in np.quantile(values or [0.0], (0.5, 0.95, 1.0))]
