"""Run bags through one model: what a bag gives, held against what its golden file says that it gave.

A bag is played offline, as by ``tml replay BAG --expect GOLDEN --model MODEL``: with the parameters of the golden file,
over them those of the evaluation. Nothing of the wall clock is in a result; it is in the last field of every frame.
"""

from dataclasses import replace

import numpy as np

from tml_ros.config import flatten
from tml_ros.evaluation.results import Check, Observation, ScenarioResult, Verdict
from tml_ros.evaluation.runner import ModelSpec, ScenarioRun
from tml_ros.evaluation.scenario import Bag
from tml_ros.records import MICRO_TURN_NS
from tml_ros.replay.golden import Difference, compare, make_golden, read_golden

__all__ = ["run_bag"]

_TURN_S = MICRO_TURN_NS / 1e9
_SILENCE = np.zeros(0, np.float32)


def run_bag(spec: ModelSpec, bag: Bag) -> ScenarioRun:
    """Play a bag and compare. It has one check and one observation; its sound is in the bag and not handed back.

    Raises:
        InputError: the golden file is missing or damaged.
        BagError, ConfigError, ModelError, MissingDependencyError: as ``replay``.
    """
    golden = read_golden(bag.golden)
    values = {**flatten(golden.values), **flatten(spec.values), "model": spec.model}
    got, played = make_golden(bag.bag, replace(golden.options, values=values))
    difference = compare(golden.turns, got.turns)
    is_same = difference is None
    detail = _in_a_line(difference) if difference else f"all {len(golden.turns)} micro-turns are"
    result = ScenarioResult(
        suite=bag.suite,
        scenario=bag.name,
        model=spec.label,
        verdict=Verdict.PASSED if is_same else Verdict.FAILED,
        checks=(Check("as before", is_same, detail, difference.at_s if difference else None),),
        observations=(Observation("golden_match", float(is_same)),),
        seconds=round(played.seconds, 3),
        digest=played.digest,
        tags=bag.tags,
    )
    frames = tuple(
        {**turn, "user_state": turn["user"], "inference_ms": row.inference_ms}
        for turn, row in zip(got.turns, played.log.turns, strict=True)
    )
    return ScenarioRun(result, frames, _SILENCE, _SILENCE)


def _in_a_line(difference: Difference) -> str:
    """Say where and in what a bag differs first: the first field with both values, the others by name."""
    (name, expected, got), *others = difference.fields
    also = f", also {', '.join(other for other, *_ in others)}" if others else ""
    return (
        f"micro-turn {difference.turn} ({difference.at_s:.1f} to {difference.at_s + _TURN_S:.1f} s): {name} {got!r}, "
        f"expected {expected!r}{also}; the first of {difference.differing} that differ, of {difference.of}"
    )
