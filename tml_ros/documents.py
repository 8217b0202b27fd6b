"""Read a YAML file with the line of every key, check it against its JSON schema, and say where it is wrong.

An error names file, line, key, what was found and expected, and the nearest valid name. It knows nothing of what a file
means: who does reads the content, and refuses through ``Document.fail``.

Source: the schemas in config/, JSON schema 2020-12.
"""

import functools
import json
import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import jsonschema
import yaml
from referencing import Registry, Resource

from tml_ros.errors import ConfigError, nearest_name
from tml_ros.resources import find

__all__ = ["Document", "Key", "explain", "read_document"]

Key = tuple[str | int, ...]
_MOST_FAULTS = 20
TYPES = {"array": "a list", "integer": "a whole number", "object": "a mapping", "string": "a text"}
LIMITS = {
    "exclusiveMinimum": "more than",
    "maxItems": "a list as long as",
    "maxLength": "a length of at most",
    "maximum": "at most",
    "minItems": "a list as long as",
    "minLength": "a length of at least",
    "minimum": "at least",
}


class Document:
    """A file that was read. content: plain values; ``lines``: of every key and entry, by its path from the top.

    error: what it is refused with.
    """

    def __init__(
        self, path: Path, content: Any, lines: Mapping[Key, int], error: type[ConfigError] = ConfigError
    ) -> None:
        self.path = path
        self.content = content
        self._lines = lines
        self._error = error

    def line(self, key: Key) -> int:
        """Return the line of a key, or of the nearest one above it."""
        while key and key not in self._lines:
            key = key[:-1]
        return self._lines.get(key, 1)

    def fail(self, key: Key, reason: str) -> NoReturn:
        """Refuse what stands at a key.

        Raises:
            ConfigError: always; it names file, line and key.
        """
        raise self._error(self.worded(key, reason))

    def fail_all(self, faults: Sequence[str]) -> NoReturn:
        """Refuse the file for several faults, each in a line of its own, as ``fail`` words them.

        Raises:
            ConfigError: always.
        """
        shown = list(dict.fromkeys(faults))
        more = [f"and {len(shown) - _MOST_FAULTS} more"] if len(shown) > _MOST_FAULTS else []
        raise self._error("\n".join([*shown[:_MOST_FAULTS], *more]))

    def worded(self, key: Key, reason: str) -> str:
        """Return a fault with file, line and key."""
        return f"{self.path}:{self.line(key)}: {_written(key)}: {reason}"

    def unknown(self, key: Key, name: str, what: str, known: Iterable[str]) -> NoReturn:
        """Refuse a name that is none of those known.

        Raises:
            ConfigError: always; it names the nearest valid name, or all of them.
        """
        names = sorted(known)
        hint = nearest_name(name, names) or f"; known: {', '.join(names) or 'none'}"
        self.fail(key, f"no {what} {name!r}{hint}")


def read_document(
    path: Path, what: str, schema: str, others: tuple[str, ...] = (), error: type[ConfigError] = ConfigError
) -> Document:
    """Read a file and check it against its schema.

    Args:
        what: what a message calls it, such as ``rules file``.
        schema: file in config/; others: schemas that it refers to.
        error: what is raised.

    Raises:
        ConfigError: it is missing, no YAML, holds a key twice, or is against the schema.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise error(f"cannot read {what} {path}: {err}; check the path") from err
    document = _compose(path, text, error)
    _check_values(document, document.content, ())
    errors = list(_validator(schema, others).iter_errors(document.content))
    if errors:
        _refuse(document, errors)
    return document


def _compose(path: Path, text: str, error: type[ConfigError]) -> Document:
    lines: dict[Key, int] = {}
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is not None:
            _find_lines(path, node, (), lines, error)
        content = loader.construct_document(node) if node is not None else None
    except yaml.MarkedYAMLError as err:
        line = err.problem_mark.line + 1 if err.problem_mark else 1
        raise error(f"{path}:{line}: not valid YAML: {err.problem or err.context}; mend the line") from err
    except (yaml.YAMLError, RecursionError, ValueError) as err:
        raise error(f"{path}:1: not valid YAML: {' '.join(str(err).split())}") from err
    return Document(path, content, lines, error)


def _find_lines(path: Path, node: yaml.Node, key: Key, lines: dict[Key, int], error: type[ConfigError]) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: set[Hashable] = set()
        for name, value in node.value:
            below = (*key, str(name.value))
            lines[below] = name.start_mark.line + 1
            if name.value in seen:
                raise error(f"{path}:{lines[below]}: {_written(below)}: stands there twice; remove one")
            seen.add(name.value)
            _find_lines(path, value, below, lines, error)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[(*key, index)] = value.start_mark.line + 1
            _find_lines(path, value, (*key, index), lines, error)


def _check_values(document: Document, value: Any, key: Key) -> None:
    """Refuse what YAML can write and JSON cannot: keys that are no strings, numbers without end, dates."""
    if isinstance(value, dict):
        for name, item in value.items():
            if not isinstance(name, str):
                document.fail((*key, str(name)), f"the key {name!r} is no string; put it in quotes")
            _check_values(document, item, (*key, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_values(document, item, (*key, index))
    elif isinstance(value, float) and not math.isfinite(value):
        document.fail(key, f"got {value}, expected a finite number")
    elif value is not None and not isinstance(value, str | int | float):
        document.fail(key, f"got {value!r}, expected a text or a number; put it in quotes")


@functools.cache
def _validator(schema: str, others: tuple[str, ...]) -> jsonschema.Draft202012Validator:
    own, *more = (json.loads(find(f"config/{name}").read_text(encoding="utf-8")) for name in (schema, *others))
    registry: Registry[Any] = Registry().with_resources(
        (name, Resource.from_contents(content)) for name, content in zip(others, more, strict=True)
    )
    return jsonschema.Draft202012Validator(own, registry=registry)


def _refuse(document: Document, errors: list[jsonschema.ValidationError]) -> NoReturn:
    """Name the errors of the file; unknown keys go first, for they explain the others."""

    def order(error: jsonschema.ValidationError) -> tuple[bool, int]:
        return error.validator != "additionalProperties", document.line(tuple(error.absolute_path))

    document.fail_all([fault for error in sorted(errors, key=order) for fault in _faults(document, error)])


def _faults(document: Document, error: jsonschema.ValidationError) -> Iterator[str]:
    """Yield the faults of one error in words."""
    key: Key = tuple(error.absolute_path)
    schema: Any = error.schema
    known = schema.get("properties", {}) if isinstance(schema, Mapping) else {}
    if error.validator != "additionalProperties" or not known:
        yield document.worded(key, _explain(error))
        return
    instance: Any = error.instance
    for unknown in (name for name in instance if name not in known):
        hint = nearest_name(unknown, known) or f"; known: {', '.join(sorted(known))}"
        yield document.worded((*key, unknown), f"unknown key {unknown!r}{hint}")


def _explain(error: jsonschema.ValidationError) -> str:
    """Say what was found and expected; what scene files have as well is said as there."""
    limit: Any = error.validator_value
    match error.validator:
        case "type" if isinstance(limit, list):
            return f"got {error.instance!r}, expected one of the types {', '.join(limit)}"
        case "anyOf":
            return f"expected at least one of the keys {', '.join(branch['required'][0] for branch in limit)}; add one"
        case "not":
            return f"{' and '.join(limit['required'])} exclude each other; remove one"
        case "const":
            return f"got {error.instance!r}, expected {limit!r}"
        case "pattern":
            return f"got {error.instance!r}, expected letters, digits and _, such as question_1"
        case "exclusiveMaximum":
            return f"got {error.instance!r}, expected less than {limit}"
    return explain(error)


def _written(key: Key) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key).lstrip(".") or "top level"


def explain(error: jsonschema.ValidationError) -> str:
    """Say what was found and what is expected, with the nearest known key or value."""
    value: Any = error.instance
    limit: Any = error.validator_value
    match error.validator:
        case "additionalProperties":
            return _unknown_key(value, _properties(error))
        case "required":
            missing = [name for name in limit if name not in value]
            return f"got {_brief(value)}, expected the key {missing[0]!r}; add it"
        case "oneOf":
            kinds = [branch["required"][0] for branch in limit]
            found = [kind for kind in kinds if kind in value]
            return f"got {_brief(found or sorted(value))}, expected exactly one of the keys {', '.join(kinds)}"
        case "dependentRequired":
            needed = ((key, name) for key, names in limit.items() if key in value for name in names)
            key, name = next((key, name) for key, name in needed if name not in value)
            return f"{key!r} ({_brief(value[key])}) goes with {name!r} only; add {name!r} or remove {key!r}"
        case "enum":
            return f"got {_brief(value)}, expected one of {', '.join(limit)}{nearest_name(str(value), limit)}"
        case "type":
            return f"got {_brief(value)}, expected {TYPES.get(limit, limit)}"
        case "pattern":
            return f"got {_brief(value)}, expected a ROS name such as audio/in (letters, digits, _ and /)"
        case _:
            return f"got {_brief(value)}, expected {LIMITS.get(str(error.validator), error.validator)} {limit}"


def _properties(error: jsonschema.ValidationError) -> Mapping[str, Any]:
    schema: Any = error.schema
    known: Mapping[str, Any] = schema["properties"]
    return known


def _unknown_key(value: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    unknown = next(name for name in value if name not in known)
    hint = nearest_name(unknown, known) or f"; known: {', '.join(sorted(known))}"
    return f"unknown key {unknown!r} with value {_brief(value[unknown])}{hint}"


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
