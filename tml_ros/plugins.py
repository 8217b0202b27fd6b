"""Find models by name through an entry-point group, their parameters included.

A package adds a model with one line in its setup: ``NAME = module:Class``, where ``Class.config_type`` declares its
parameters with ``tml_ros.config.param``. Models of this package are found without being installed, too.
"""

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from tml_ros.config import Parameter, declarations, from_mapping
from tml_ros.errors import ModelError, nearest_name

__all__ = ["Registry"]


class Registry:
    """The models of one kind. kind: what a message calls them, such as ``duplex model``."""

    def __init__(self, group: str, kind: str, built_in: Mapping[str, str]) -> None:
        self.kind = kind
        self._group = group
        self._built_in = dict(built_in)

    def available(self) -> dict[str, str]:
        """Return every model's name and the ``module:Class`` behind it, sorted."""
        found = self._built_in | {entry.name: entry.value for entry in entry_points(group=self._group)}
        return dict(sorted(found.items()))

    def add(self, name: str, value: str) -> None:
        """Make one more known in this process. value: its ``module:Class``."""
        self._built_in[name] = value

    def factory(self, name: str) -> Any:
        """Import the class behind a name.

        Raises:
            ModelError: no such name, or its module cannot be imported.
        """
        known = self.available()
        if name not in known:
            raise ModelError(f"no {self.kind} named {name!r}{nearest_name(name, known)}; known: {', '.join(known)}")
        try:
            return EntryPoint(name, known[name], self._group).load()
        except (ImportError, AttributeError) as err:
            raise ModelError(
                f"{self.kind} {name!r} ({known[name]}) cannot be imported: {err}; install what it needs"
            ) from err

    def parameters(self, name: str) -> dict[str, Parameter]:
        """Return the declarations of a model's parameters, under ``NAME.``."""
        return declarations(self.factory(name).config_type, name)

    def config(self, name: str, values: Mapping[str, Any] | None = None) -> Any:
        """Read a model's configuration from flat parameters; those of other models are ignored.

        Raises:
            ModelError: no such model.
            ConfigError: a parameter of this model is unknown or out of bounds.
        """
        own = {key: value for key, value in (values or {}).items() if key.startswith(f"{name}.")}
        return from_mapping(self.factory(name).config_type, own, name)
