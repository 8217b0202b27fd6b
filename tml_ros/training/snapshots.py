"""The state of a training on disk: written whole or not at all, so that it may be killed at any moment.

    OUT/state/00000120/{tensors.safetensors, state.json}

A snapshot is written into a folder beside it, flushed to the disk and renamed; older ones go after that. Nothing is
ever unpickled. It knows no model.
"""

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from tml_ros.errors import ConfigError, ModelError

__all__ = ["Snapshot", "Snapshots"]

_TENSORS, _STATE = "tensors.safetensors", "state.json"
_NUMBER = re.compile(r"\d{8}")
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A training after ``step`` steps. seconds: of training so far. identity: what it depends on."""

    step: int
    seconds: float
    identity: Mapping[str, Any]
    tensors: Mapping[str, Tensor]


class Snapshots:
    """The snapshots of one training.

    Thread: one caller, in one process.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self._folder = folder
        self._keep = keep

    def steps(self) -> list[int]:
        """Return the steps that there are snapshots of, in order."""
        if not self._folder.is_dir():
            return []
        return sorted(int(path.name) for path in self._folder.iterdir() if _NUMBER.fullmatch(path.name))

    def save(self, snapshot: Snapshot) -> None:
        """Write a snapshot and remove the oldest ones.

        Raises:
            ModelError: it cannot be written.
        """
        final, draft = self._path(snapshot.step), self._folder / f".{snapshot.step:08d}.part"
        try:
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(parents=True)
            tensors = {name: each.cpu().contiguous().clone() for name, each in snapshot.tensors.items()}
            save_file(tensors, draft / _TENSORS)
            state = {"format": _FORMAT, "step": snapshot.step, "seconds": snapshot.seconds}
            (draft / _STATE).write_text(json.dumps(state | {"identity": snapshot.identity}), encoding="utf-8")
            for path in (draft / _TENSORS, draft / _STATE, draft):
                _flush(path)
            shutil.rmtree(final, ignore_errors=True)
            draft.rename(final)
            _flush(self._folder)
        except OSError as err:
            raise ModelError(f"cannot save the state of training in {final}: {err}; make room there") from err
        for step in self.steps()[: -self._keep]:
            shutil.rmtree(self._path(step), ignore_errors=True)

    def load(self, identity: Mapping[str, Any]) -> Snapshot | None:
        """Return the newest snapshot, None when there is none.

        Raises:
            ConfigError: it is of a training with other settings.
            ModelError: it cannot be read.
        """
        steps = self.steps()
        if not steps:
            return None
        path = self._path(steps[-1])
        try:
            state = json.loads((path / _STATE).read_text(encoding="utf-8"))
            tensors = load_file(path / _TENSORS)
        except (OSError, ValueError, SafetensorError) as err:
            raise ModelError(
                f"cannot read the state of training {path}: {err}; remove it to use the one before"
            ) from err
        _check_same(path, state["identity"], json.loads(json.dumps(identity)))
        return Snapshot(state["step"], state["seconds"], state["identity"], tensors)

    def _path(self, step: int) -> Path:
        return self._folder / f"{step:08d}"


def _check_same(path: Path, saved: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    odd = sorted(name for name in saved.keys() | given.keys() if saved.get(name) != given.get(name))
    if odd:
        name = odd[0]
        raise ConfigError(
            f"{path} is of a training with {name} {saved.get(name)!r:.200}, now it is {given.get(name)!r:.200}; give "
            "the settings back their value, or begin anew in another folder"
        )


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
