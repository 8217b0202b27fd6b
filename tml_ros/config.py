"""Typed configuration: one declaration per parameter gives type, default, bounds, unit and description.

A configuration is a frozen dataclass whose fields are made with ``param``; nested dataclasses become dotted groups
(``window.lateness_ms``). The same declaration makes the ROS parameter descriptor, checks YAML files and documents
itself. Nothing here knows ROS: nodes turn ``Parameter`` into descriptors.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from tml_ros.errors import ConfigError, nearest_name
from tml_ros.schema_files import read_yaml

__all__ = ["Parameter", "check_known", "declarations", "flatten", "from_mapping", "load_parameter_file", "param"]

T = TypeVar("T")
_SCALARS = (bool, int, float, str)


@dataclasses.dataclass(frozen=True, slots=True)
class Parameter:
    """What is known of one parameter. kind: bool, int, float, str, or list of one of them (``is_list``)."""

    name: str
    kind: type[Any]
    is_list: bool
    default: Any
    description: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a declaration whose own default breaks it."""
        self.check(self.default)

    def describe(self) -> str:
        """Return description, unit and bounds in one line."""
        parts = [self.description]
        if self.unit:
            parts.append(f"[{self.unit}]")
        if self.minimum is not None or self.maximum is not None:
            parts.append(f"({_bound(self.minimum)}..{_bound(self.maximum)})")
        if self.choices:
            parts.append(f"(one of {', '.join(self.choices)})")
        return " ".join(parts)

    def check(self, value: Any) -> Any:
        """Return ``value`` in the declared type.

        Raises:
            ConfigError: the type, a bound or the choice is not met.
        """
        if self.is_list:
            if isinstance(value, str) or not isinstance(value, Iterable):
                raise ConfigError(f"{self.name} must be a list of {self.kind.__name__}, got {value!r}")
            return tuple(self._check_one(item) for item in value)
        return self._check_one(value)

    def _check_one(self, value: Any) -> Any:
        if self.kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, self.kind) or (self.kind is not bool and isinstance(value, bool)):
            raise ConfigError(
                f"{self.name} must be a {self.kind.__name__}, got {value!r} ({type(value).__name__}); "
                f"the default is {self.default!r}"
            )
        if self.kind is float and not math.isfinite(value):
            raise ConfigError(f"{self.name} must be a finite number, got {value!r}; the default is {self.default!r}")
        below = self.minimum is not None and value < self.minimum
        above = self.maximum is not None and value > self.maximum
        if below or above:
            raise ConfigError(
                f"{self.name} must lie in {_bound(self.minimum)}..{_bound(self.maximum)} {self.unit}".rstrip()
                + f", got {value!r}; the default is {self.default!r}"
            )
        if self.choices and value not in self.choices:
            hint = nearest_name(value, self.choices)
            raise ConfigError(f"{self.name} must be one of {', '.join(self.choices)}, got {value!r}{hint}")
        return value


def param(
    default: Any,
    description: str,
    *,
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """Declare a parameter as a dataclass field; its type comes from the field's annotation."""
    metadata = {"description": description, "unit": unit, "minimum": minimum, "maximum": maximum, "choices": choices}
    return dataclasses.field(default=default, metadata=metadata)


def declarations(config: type, prefix: str = "") -> dict[str, Parameter]:
    """Return every parameter of a configuration class by its dotted name."""
    return {parameter.name: parameter for parameter in _walk(config, prefix)}


def from_mapping(config: type[T], values: Mapping[str, Any], prefix: str = "") -> T:
    """Build a configuration from dotted or nested values, defaults for what is not given.

    Raises:
        ConfigError: an unknown key, a wrong type or a value out of bounds.
    """
    flat = flatten(values)
    known = declarations(config, prefix)
    check_known(flat, known)
    return _build(config, prefix, {name: known[name].check(value) for name, value in flat.items()})


def check_known(names: Iterable[str], known: Mapping[str, Parameter], groups: Iterable[str] = ()) -> None:
    """Refuse names that are neither declared nor in one of the ``groups`` that somebody else checks.

    Raises:
        ConfigError: names the unknown key and the nearest known one.
    """
    foreign = tuple(f"{group}." for group in groups)
    for name in names:
        if name not in known and not (foreign and name.startswith(foreign)):
            raise ConfigError(f"unknown parameter {name!r}{nearest_name(name, known)}")


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn nested groups into dotted names."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def load_parameter_file(path: Path, node: str = "") -> dict[str, Any]:
    """Read a ROS parameter file and return the flat values that hold for ``node`` (all nodes when empty).

    Sections named ``/**`` or ending in the node's name (``node``, ``/tml/node``, ``/**/node``) apply, in file order.

    Raises:
        ConfigError: the file is missing, no YAML, or not laid out as ``NODE: ros__parameters:``.
    """
    content = read_yaml(path, "parameter file")
    if not isinstance(content, Mapping):
        raise ConfigError(f"{path} must hold 'NODE: ros__parameters: ...', got {type(content).__name__}")
    flat: dict[str, Any] = {}
    for section, body in content.items():
        if not isinstance(body, Mapping) or not isinstance(body.get("ros__parameters"), Mapping):
            raise ConfigError(f"{path}: section {section!r} has no 'ros__parameters:' group; put the values under it")
        if not node or section == "/**" or str(section).rpartition("/")[2] == node:
            flat |= flatten(body["ros__parameters"])
    return flat


def _bound(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _walk(config: type, prefix: str) -> Iterator[Parameter]:
    hints = typing.get_type_hints(config)
    for field in dataclasses.fields(config):
        name, hint = f"{prefix}.{field.name}".lstrip("."), hints[field.name]
        if dataclasses.is_dataclass(hint):
            yield from _walk(typing.cast(type, hint), name)
            continue
        is_list = typing.get_origin(hint) is tuple
        kind = typing.get_args(hint)[0] if is_list else hint
        if kind not in _SCALARS or isinstance(kind, types.UnionType):
            raise TypeError(f"{config.__name__}.{field.name}: {hint!r} is not a parameter type")
        yield Parameter(name, kind, is_list, field.default, **field.metadata)


def _build(config: type[T], prefix: str, values: Mapping[str, Any]) -> T:
    hints = typing.get_type_hints(config)
    given: dict[str, Any] = {}
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        name = f"{prefix}.{field.name}".lstrip(".")
        if dataclasses.is_dataclass(hints[field.name]):
            given[field.name] = _build(hints[field.name], name, values)
        elif name in values:
            given[field.name] = values[name]
    return config(**given)
