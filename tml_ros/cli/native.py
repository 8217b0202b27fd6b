"""Reach the native model from a command: torch takes seconds to import, and not every machine has it."""

from importlib import import_module
from typing import Any

from tml_ros.errors import MissingDependencyError

__all__ = ["native_module"]


def native_module(name: str) -> Any:
    """Import a module of ``tml_ros.duplex.native``.

    Raises:
        MissingDependencyError: torch, or what else it needs, is not installed.
    """
    try:
        return import_module(f"tml_ros.duplex.native.{name}")
    except ModuleNotFoundError as err:
        raise MissingDependencyError(f"{err.name} is not installed, the native model needs it; pip install it") from err
