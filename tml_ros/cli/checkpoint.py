"""``tml checkpoint``: random weights for a preset, the mean of checkpoints, and what is in one.

torch is imported only when one of them runs: it takes seconds, and not every machine has it.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from tml_ros.cli.native import native_module

if TYPE_CHECKING:
    from tml_ros.duplex.native.checkpoint import CheckpointManifest

__all__ = ["info", "make", "mean"]

_FULL = 1 << 40  # tokens of a context that fills every window


def make(preset: str, out: Path, *, seed: int, dtype: str, force: bool, as_json: bool) -> int:
    """Write a checkpoint with random weights, show it and end with one line of JSON.

    Args:
        preset: checkpoint whose sizes and tokenizer are taken.
        out: folder to be created.
        seed: of the weights.
        dtype: ``float32`` or ``bfloat16``.
        force: replace ``out`` when it is a checkpoint and nothing else.
        as_json: print nothing but the JSON.

    Raises:
        ModelError: ``preset`` is none or cannot be used, or ``out`` exists.
        ConfigError: the preset's configuration is wrong.
        MissingDependencyError: torch is not installed.
    """
    module = native_module("checkpoint")
    manifest = module.make_untrained(module.locate_checkpoint(preset), out, seed=seed, dtype=dtype, replace=force)
    return _show(manifest, as_json)


def mean(checkpoints: Sequence[str], out: Path, *, force: bool, as_json: bool) -> int:
    """Write the mean of checkpoints, show it and end with one line of JSON.

    Raises:
        ModelError: they do not go together, one cannot be used, or ``out`` exists.
        ConfigError: a configuration is wrong.
        MissingDependencyError: torch is not installed.
    """
    return _show(native_module("averaging").average(checkpoints, out, replace=force), as_json)


def info(checkpoint: str, *, as_json: bool) -> int:
    """Check every file of a checkpoint, show what it is and costs, and end with one line of JSON.

    Raises:
        ModelError: no checkpoint, or a file of it is wrong.
        ConfigError: its configuration is wrong.
        MissingDependencyError: torch is not installed.
    """
    module = native_module("checkpoint")
    return _show(module.check_checkpoint(module.locate_checkpoint(checkpoint)), as_json)


def _show(manifest: "CheckpointManifest", as_json: bool) -> int:
    row = _as_dict(manifest)
    console = Console(quiet=as_json)
    weights = "trained" if manifest.trained else "untrained"
    console.print(
        f"{manifest.folder}: {manifest.name}, {weights if manifest.has_weights else 'a preset without weights'}, "
        f"{manifest.licence}",
        highlight=False,
        soft_wrap=True,
    )
    table = Table("file", "bytes", "sha256, verified")
    for name, file in manifest.files.items():
        table.add_row(name, f"{file.bytes}", f"{file.sha256[:16]}...")
    if manifest.files:
        console.print(table)
    sizes = Table("what", "how much")
    for what, how_much in _costs(row):
        sizes.add_row(what, how_much)
    console.print(sizes)
    print(json.dumps(row, sort_keys=True))
    return 0


def _costs(row: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("parameters", f"{row['parameters']:,}"),
        ("of them active for a token", f"{row['active_parameters']:,}"),
        *((f"  in {part}", f"{number:,}") for part, number in row["parameters_by_part"].items() if number),
        ("keys and values of a session, float32", f"{row['kv_bytes_float32'] / 1e6:,.1f} MB"),
        ("keys and values of a session, bfloat16", f"{row['kv_bytes_bfloat16'] / 1e6:,.1f} MB"),
        ("operations of a token, no context", f"{row['flops_per_token_empty'] / 1e6:,.1f} MFLOP"),
        ("operations of a token, windows full", f"{row['flops_per_token_full'] / 1e6:,.1f} MFLOP"),
        ("operations of a micro-turn with a picture, windows full", f"{row['flops_per_turn_full'] / 1e6:,.1f} MFLOP"),
    ]


def _as_dict(manifest: "CheckpointManifest") -> dict[str, Any]:
    from tml_ros.duplex.native import costs

    shape = manifest.shape
    parameters = costs.parameter_count(shape)
    return {
        "checkpoint": str(manifest.folder),
        "name": manifest.name,
        "trained": manifest.trained,
        "sees": manifest.sees,
        "has_weights": manifest.has_weights,
        "licence": manifest.licence,
        "files": {name: {"sha256": file.sha256, "bytes": file.bytes} for name, file in manifest.files.items()},
        "parameters": parameters.total,
        "active_parameters": parameters.active,
        "parameters_by_part": dict(parameters.by_part),
        "kv_bytes_float32": costs.kv_bytes_per_session(shape, 4),
        "kv_bytes_bfloat16": costs.kv_bytes_per_session(shape, 2),
        "flops_per_token_empty": costs.flops_per_token(shape, 1, 0),
        "flops_per_token_full": costs.flops_per_token(shape, _FULL, _FULL),
        "flops_per_turn_full": costs.flops_per_turn(shape, _FULL, _FULL).total,
        "shape": shape.as_mapping(),
    }
