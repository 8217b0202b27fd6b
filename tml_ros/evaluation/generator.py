"""Scenarios made of parts: sentences, voices, pauses and places on the grid of 200 ms, the same for the same seed.

A generator yields scenarios as they would stand in a suite file, so each of them goes through the same checks. Only the
suite ``time`` says anything about numbers, and only ``turn_taking`` bounds how soon an answer comes; every other
window leaves room for a slower robot, so that a fault is found where it belongs. It makes no sound.
"""

import itertools
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tml_ros.evaluation import generator_recorded, generator_tasks, generator_turns
from tml_ros.evaluation.generator_parts import VOICES, Parts

__all__ = ["GENERATORS", "generate"]

GENERATORS: Mapping[str, Callable[[Parts], Iterator[dict[str, Any]]]] = {
    "turns": generator_turns.turns,
    "pauses": generator_turns.pauses,
    "bids": generator_turns.bids,
    "listener_sounds": generator_turns.listener_sounds,
    "long_turns": generator_turns.long_turns,
    "asides": generator_turns.asides,
    "talk_to_others": generator_turns.talk_to_others,
    "background_talk": generator_turns.background_talk,
    "timers": generator_tasks.timers,
    "elapsed": generator_tasks.elapsed,
    "amounts": generator_tasks.amounts,
    "spoken_cues": generator_tasks.spoken_cues,
    "seen_cues": generator_tasks.seen_cues,
    "agreed_cues": generator_tasks.agreed_cues,
    "questions": generator_tasks.questions,
    "plans": generator_tasks.plans,
    "slow_tasks": generator_tasks.slow_tasks,
    "stop_commands": generator_tasks.stop_commands,
    "confirmations": generator_tasks.confirmations,
    "untrusted_texts": generator_tasks.untrusted_texts,
    "hazards": generator_tasks.hazards,
    "faults": generator_tasks.faults,
    "recorded_turns": generator_recorded.recorded_turns,
    "recorded_bids": generator_recorded.recorded_bids,
    "recorded_talk": generator_recorded.recorded_talk,
}


def generate(
    kind: str, seed: int, count: int | None, voices: tuple[str, ...], data: Path | None
) -> list[dict[str, Any]]:
    """Make scenarios of a kind.

    Args:
        kind: one of ``GENERATORS``.
        count: how many; None: one of every part. What is made of recordings may be fewer.
        voices: instead of the usual ones.
        data: folder of recordings, None: there are none.

    Raises:
        OSError, KeyError, ValueError: the data are not laid out as expected.
    """
    rng = np.random.default_rng([seed, zlib.crc32(kind.encode())])
    parts = Parts(kind, rng, voices or VOICES, data, count)
    return list(itertools.islice(GENERATORS[kind](parts), count))
