"""What the sight network tells of rendered scenes: in time, late or of nothing; and from which odds it had best."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tml_ros.duplex.native.noticing import Gathering
from tml_ros.duplex.native.seeing import KINDS, SightNet
from tml_ros.sights import STILL_S, WITHIN_S, SightKind
from tml_ros.training.sight_pictures import TURNS, Shown

__all__ = ["Tally", "choose", "report", "say", "tallies"]

_TURN_S = 0.2
_FALSE_COSTS = 1.0  # told in time, that many make up for one that is false
_LADDER = tuple(np.arange(-1.0, 8.01, 0.25).tolist())


@dataclass(frozen=True, slots=True)
class Tally:
    """What came of a kind. told: in time, of so many; false: told of nothing."""

    told: int
    of: int
    false: int


def tallies(
    scenes: Sequence[Shown], said: Sequence[NDArray[np.float32]], thresholds: dict[str, float]
) -> dict[SightKind, Tally]:
    """Return what comes of each kind at some thresholds."""
    sums: dict[SightKind, list[int]] = {}
    for scene, logits in zip(scenes, said, strict=True):
        gathering = Gathering(thresholds)
        begun = [(turn, kind) for turn, row in enumerate(logits.tolist()) for kind in gathering.look(row)]
        for kind in KINDS:
            own = [turn for turn, one in begun if one is kind]
            found = sums.setdefault(kind, [0, 0, 0])
            for index, count in enumerate(_counted(scene.told(kind), [(turn + 1) * _TURN_S for turn in own])):
                found[index] += count
    return {kind: Tally(*found) for kind, found in sums.items()}


def _counted(events: list[tuple[float, float]], told_s: list[float]) -> tuple[int, int, int]:
    in_time = sum(any(-1e-6 <= at_s - begin_s <= WITHIN_S + 1e-6 for at_s in told_s) for begin_s, _ in events)
    false = sum(not any(begin - 1e-6 <= at_s <= end + STILL_S for begin, end in events) for at_s in told_s)
    return in_time, len(events), false


def choose(scenes: Sequence[Shown], said: Sequence[NDArray[np.float32]]) -> dict[str, float]:
    """Return from which odds each kind is told: where most are in time and few are false."""
    found = dict[str, float]()
    worth: dict[SightKind, dict[float, float]] = {kind: {} for kind in KINDS}
    for least in _LADDER:
        made = tallies(scenes, said, {str(kind): least for kind in KINDS})
        for kind in KINDS:
            tally = made[kind]
            worth[kind][least] = tally.told - _FALSE_COSTS * tally.false
    for kind in KINDS:
        most = max(worth[kind].values())
        best = [least for least in _LADDER if worth[kind][least] == most]
        found[str(kind)] = best[len(best) // 2]
    return found


def report(net: SightNet, scenes: Sequence[Shown], said: Sequence[NDArray[np.float32]], folder: Path) -> None:
    """Choose thresholds on what the network says of scenes, write them with its weights, and write and say what comes
    of it."""
    thresholds = choose(scenes, said)
    net.save(folder, thresholds)
    made = tallies(scenes, said, thresholds)
    text = "\n".join(_lines(made, thresholds, len(scenes) * TURNS * _TURN_S / 60))
    (folder / "report.txt").write_text(text + "\n", encoding="utf-8")
    say(text)


def _lines(made: dict[SightKind, Tally], thresholds: dict[str, float], minutes: float) -> Iterator[str]:
    for kind, tally in made.items():
        yield f"{kind:16} {tally.told:3} of {tally.of:3} in time, {tally.false:3} false, told from {thresholds[kind]:g}"
    told, of, false = (sum(getattr(tally, name) for tally in made.values()) for name in ("told", "of", "false"))
    yield f"{'all':16} {told:3} of {of:3} in time, {false:3} false in {minutes:.0f} minutes"


def say(text: str) -> None:
    """Say how far a training is."""
    print(text, file=sys.stderr, flush=True)
