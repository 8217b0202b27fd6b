"""Measure skills: every item of every model, piece by piece in worker processes, and what it comes to.

A piece depends on nothing but the material, the model and its number, so the figures do not depend on the number of
processes; only compute times do.
"""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any, Protocol

from tml_ros.errors import ConfigError, nearest_name
from tml_ros.evaluation.runner import ModelSpec
from tml_ros.evaluation.skills.barge_in import BargeIn
from tml_ros.evaluation.skills.bench import Bench
from tml_ros.evaluation.skills.carriers import Carriers
from tml_ros.evaluation.skills.commands import Commands
from tml_ros.evaluation.skills.finetune import Finetune
from tml_ros.evaluation.skills.material import Material
from tml_ros.evaluation.skills.sights import Sights
from tml_ros.evaluation.skills.turns import Turns

__all__ = ["ITEMS", "Item", "SkillRun", "pick_items", "run_skills"]


class Item(Protocol):
    """One skill. number: that of the requirement. What ``play`` returns goes between processes.

    alone: it takes long and holds for the first model only, so it is measured only when it is asked for.
    """

    name: str
    number: int
    alone: bool

    def pieces(self, material: Material) -> int:
        """Return into how many pieces the work falls."""

    def play(self, material: Material, number: int, bench: Bench, label: str) -> Any:
        """Do one piece with one model."""

    def figures(self, parts: Sequence[Any]) -> dict[str, Any]:
        """Return hits, trials, figure and more, of all pieces in order."""

    def is_met(self, figures: Mapping[str, Any]) -> bool:
        """Whether a model is as good as wanted."""


ITEMS: Mapping[str, Item] = {
    item.name: item for item in (Commands(), Carriers(), Turns(), BargeIn(), Sights(), Finetune())
}


@dataclass(frozen=True, slots=True)
class SkillRun:
    """What is measured. specs: models by label, the first is the one that it is about."""

    material: Material
    specs: tuple[ModelSpec, ...]
    items: tuple[str, ...] = field(default_factory=lambda: _usual())
    workers: int = 1


@dataclass(frozen=True, slots=True)
class _Piece:
    item: str
    label: str
    number: int


def pick_items(wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the items with these names or numbers; when there are none all that do not take long.

    Raises:
        ConfigError: one of them is neither.
    """
    numbers = {str(item.number): name for name, item in ITEMS.items()}
    names = [numbers.get(one, one) for one in wanted]
    for one in names:
        if one not in ITEMS:
            raise ConfigError(f"no item {one!r}{nearest_name(one, ITEMS) or ''}; known: {', '.join(ITEMS)}")
    return tuple(name for name in ITEMS if name in names) or _usual()


def _usual() -> tuple[str, ...]:
    return tuple(name for name, item in ITEMS.items() if not item.alone)


def _specs(run: "SkillRun", name: str) -> tuple[ModelSpec, ...]:
    """Return the models of an item."""
    return run.specs[:1] if ITEMS[name].alone else run.specs


def run_skills(run: SkillRun, progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Return the figures by item; those of the other models stand in each under their labels.

    Args:
        run: what is measured.
        progress: is told pieces done and in all.

    Raises:
        TmlError: whatever a piece raises.
    """
    pieces = [
        _Piece(name, spec.label, number)
        for name in run.items
        for spec in _specs(run, name)
        for number in range(ITEMS[name].pieces(run.material))
    ]
    found: dict[_Piece, Any] = {}
    for piece, result in _finished(run, pieces):
        found[piece] = result
        if progress is not None:
            progress(len(found), len(pieces))
    return {f"item_{ITEMS[name].number}_{name}": _figures(run, name, found, pieces) for name in run.items}


def _figures(run: SkillRun, name: str, found: Mapping[_Piece, Any], pieces: Sequence[_Piece]) -> dict[str, Any]:
    item = ITEMS[name]
    parts = {
        spec.label: [found[one] for one in pieces if (one.item, one.label) == (name, spec.label)]
        for spec in _specs(run, name)
    }
    figures = {label: item.figures(some) for label, some in parts.items()}
    first, *others = (spec.label for spec in _specs(run, name))
    beside = {label: figures[label] for label in others}
    return {**figures[first], "model": first, "met": item.is_met(figures[first]), **beside}


def _finished(run: SkillRun, pieces: Sequence[_Piece]) -> Iterator[tuple[_Piece, Any]]:
    """Do the pieces, here or in processes of their own; yield each when it is done."""
    if run.workers == 1:
        bench = Bench({spec.label: spec for spec in run.specs})
        for piece in pieces:
            yield piece, ITEMS[piece.item].play(run.material, piece.number, bench, piece.label)
        bench.close()
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(run.workers, context, _start, (run,)) as pool:
        futures: dict[Future[Any], _Piece] = {pool.submit(_play, piece): piece for piece in pieces}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


_own: dict[str, Any] = {}


def _start(run: SkillRun) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _own.update(run=run, bench=Bench({spec.label: spec for spec in run.specs}))


def _end_with_parent() -> None:
    """Leave nothing behind when the run is killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _play(piece: _Piece) -> Any:
    run: SkillRun = _own["run"]
    return ITEMS[piece.item].play(run.material, piece.number, _own["bench"], piece.label)
