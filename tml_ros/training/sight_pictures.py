"""Rendered pictures with what the sight network is to say of them, on disk, to be learned from in any order.

Each scene gives the newest picture of each micro-turn, a map of what lies where, and what happens when. A picture that
shows something not quite yet, or no longer quite, asks nothing of that kind. It knows no network.
"""

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tml_ros.duplex.native.seeing import FINE, KINDS
from tml_ros.errors import InputError
from tml_ros.sights import SightEvent, SightKind, SightScene, make_scene, to_be_told

__all__ = ["ROLE_BITS", "TURNS", "UNASKED", "Shown", "load", "render", "shown"]

TURNS = 100
ROLE_BITS = 4
"""Of ``Shown.roles``: which role; the bits above are marks."""
UNASKED = 2
"""Stands for a kind of which nothing is asked."""
_TURN_S = 0.2
_MAP = (120, 160)
_LARGE = ("pictures", "roles")
_BEFORE_S, _AFTER_S, _FAULT_S = 0.1, 0.5, 1.2  # what a picture longer before shows would be told before it begins
_FAULTS = (SightKind.LENS_COVERED, SightKind.TOO_DARK)
_NUMBERED = tuple(SightKind)


@dataclass(frozen=True)
class Shown:
    """A scene. pictures: [T, 240, 320, 3], at times [T] in seconds. roles: [T, 120, 160], see ``sights.labels``, in
    ROLE_BITS, and ``SightScene.marks`` above. zone: [120, 160], 0 or 1. events: [E, 3], number of the SightKind, begin
    and end in seconds.
    """

    pictures: NDArray[np.uint8]
    roles: NDArray[np.uint8]
    zone: NDArray[np.uint8]
    times: NDArray[np.float32]
    events: NDArray[np.float32]

    def spans(self, kind: str) -> list[tuple[float, float]]:
        """Return begin and end of everything of a kind, in order."""
        own = self.events[self.events[:, 0] == _NUMBERED.index(SightKind(kind))]
        return sorted((round(float(begin_s), 4), round(float(end_s), 4)) for _, begin_s, end_s in own)  # float32

    def told(self, kind: SightKind) -> list[tuple[float, float]]:
        """Return the same without what is part of something before: what is to be told."""
        events = to_be_told(SightEvent(kind, begin_s, end_s) for begin_s, end_s in self.spans(kind))
        return [(event.begin_s, event.end_s) for event in events]

    @cached_property
    def mapped(self) -> NDArray[np.bool_]:
        """Of each picture, whether its roles can be seen, [T]."""
        blind = [span for kind in _FAULTS for span in self.spans(kind)]
        return ~self._inside(blind, _FAULT_S, _FAULT_S)

    @cached_property
    def kinds(self) -> NDArray[np.uint8]:
        """0, 1 or UNASKED for each picture and kind, [T, K]."""
        made = np.zeros((len(self.times), len(KINDS)), np.uint8)
        for column, kind in enumerate(KINDS):
            spans = self.spans(kind)
            made[self._inside(spans, _BEFORE_S, _AFTER_S), column] = UNASKED
            made[self._inside(spans, 0.0, 0.0), column] = 1
            if kind not in _FAULTS:
                made[~self.mapped, column] = UNASKED
        return made

    @cached_property
    def fresh(self) -> NDArray[np.uint8]:
        """How many pictures have shown each kind by then, 0 for none, [T, K]."""
        made = np.zeros_like(self.kinds)
        for turn in range(len(made)):
            made[turn] = np.where(self.kinds[turn] == 1, np.minimum((made[turn - 1] if turn else 0) + 1, 100), 0)
        return made

    def _inside(self, spans: Sequence[tuple[float, float]], before_s: float, after_s: float) -> NDArray[np.bool_]:
        found = np.zeros(len(self.times), np.bool_)
        for begin_s, end_s in spans:
            found |= (self.times > begin_s - before_s - 1e-4) & (self.times < end_s + after_s + 1e-4)
        return found


def shown(scene: SightScene, phase_s: float) -> Shown:
    """Render a scene. phase_s: of the pictures in their micro-turns."""
    times = np.round(np.arange(TURNS) * _TURN_S + phase_s, 6)
    zone = np.zeros(_MAP, np.uint8)
    if scene.zone:
        corners = np.rint(np.array(scene.zone) * (_MAP[1], _MAP[0]) - 0.5).astype(np.int32)
        cv2.fillPoly(zone, [corners], (1,))
    events = [(_NUMBERED.index(event.kind), event.begin_s, event.end_s) for event in scene.truth()]
    return Shown(
        pictures=np.stack([scene.picture(float(time_s), (FINE[1], FINE[0])) for time_s in times]),
        roles=np.stack([_roles(scene, scene.taken_at(float(time_s))) for time_s in times]),
        zone=zone,
        times=times.astype(np.float32),
        events=np.array(events, np.float32).reshape(-1, 3),
    )


def _roles(scene: SightScene, time_s: float) -> NDArray[np.uint8]:
    labels = scene.labels(time_s)
    return np.asarray(labels % (1 << ROLE_BITS) + (scene.marks(labels, time_s) << ROLE_BITS), np.uint8)


def render(folder: Path, seed: int, scenes: range, workers: int = 1, themes: Sequence[str] = ()) -> None:
    """Write scenes of a seed that are not there yet, each whole or not at all.

    Args:
        folder: to write to; it may hold others.
        seed: of the scenes.
        scenes: their indices.
        workers: processes that draw.
        themes: that take turns; none: as ``make_scene`` has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [index for index in scenes if not (folder / f"{index:05d}.npz").is_file()]
    chosen = [themes[index % len(themes)] if themes else None for index in missing]
    # Not forked: threads of torch and OpenCV are not in the copy, their locks are, and it would wait for ever.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        for _ in pool.map(partial(_write, folder, seed), missing, chosen, chunksize=1):
            pass


def _write(folder: Path, seed: int, index: int, theme: str | None) -> None:
    cv2.setNumThreads(1)
    made = shown(make_scene(seed, index, theme), 0.1 if index % 3 else 0.0)
    for name in _LARGE:
        np.save(folder / f"{index:05d}.{name}.npy", getattr(made, name))
    draft = folder / f".{index:05d}.npz"
    np.savez(draft, zone=made.zone, times=made.times, events=made.events)
    draft.rename(folder / f"{index:05d}.npz")


def load(folder: Path) -> list[Shown]:
    """Return the scenes of a folder, their pictures and roles mapped into memory.

    Raises:
        InputError: there are none.
    """
    found = [_load(path) for path in sorted(folder.glob("[0-9]*.npz"))]
    if not found:
        raise InputError(
            f"no rendered scenes in {folder}; make some: python -m tml_ros.training.sight_net --pictures DIR"
        )
    return found


def _load(path: Path) -> Shown:
    large = (np.load(path.with_suffix(f".{name}.npy"), mmap_mode="r") for name in _LARGE)
    with np.load(path, allow_pickle=False) as file:
        return Shown(*large, *(file[name] for name in ("zone", "times", "events")))
