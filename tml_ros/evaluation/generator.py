"""Scenarios made of parts, the same for the same seed."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["GENERATORS", "generate"]
GENERATORS: Mapping[str, Callable[..., Iterator[dict[str, Any]]]] = {}


def generate(
    kind: str, seed: int, count: int | None, voices: tuple[str, ...], data: Path | None
) -> list[dict[str, Any]]:
    return []
