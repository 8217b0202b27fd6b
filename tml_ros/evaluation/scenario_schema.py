"""Read a YAML file with the line of every key, check it against its JSON schema, and say where it is wrong.

An error names file, line, key, what was found and expected, and the nearest valid name. It knows nothing of what a
scenario means: ``scenario`` reads that, and refuses through ``Document.fail``.

Source: config/scenario.schema.json.
"""

import functools
import json
import math
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import jsonschema
import yaml
from referencing import Registry, Resource

from tml_ros.errors import SceneError, nearest_name
from tml_ros.replay.scene_schema import explain
from tml_ros.resources import find

__all__ = ["Document", "Key", "read_document"]

Key = tuple[str | int, ...]
_SCHEMA, _SCENE_SCHEMA = "scenario.schema.json", "scene.schema.json"


class Document:
    """A file that was read. content: plain values; ``lines``: of every key and entry, by its path from the top."""

    def __init__(self, path: Path, content: Any, lines: Mapping[Key, int]) -> None:
        self.path = path
        self.content = content
        self._lines = lines

    def line(self, key: Key) -> int:
        """Return the line of a key, or of the nearest one above it."""
        while key and key not in self._lines:
            key = key[:-1]
        return self._lines.get(key, 1)

    def fail(self, key: Key, reason: str) -> NoReturn:
        """Refuse what stands at a key.

        Raises:
            SceneError: always; it names file, line and key.
        """
        raise SceneError(f"{self.path}:{self.line(key)}: {_written(key)}: {reason}")

    def unknown(self, key: Key, name: str, what: str, known: Iterable[str]) -> NoReturn:
        """Refuse a name that is none of those known.

        Raises:
            SceneError: always; it names the nearest valid name, or all of them.
        """
        names = sorted(known)
        hint = nearest_name(name, names) or f"; known: {', '.join(names) or 'none'}"
        self.fail(key, f"no {what} {name!r}{hint}")


def read_document(path: Path) -> Document:
    """Read a suite file and check it against the schema.

    Raises:
        SceneError: it is missing, no YAML, holds a key twice, or is against the schema.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise SceneError(
            f"cannot read suite file {path}: {err}; give the path of a YAML file or a suite's name"
        ) from err
    document = _compose(path, text)
    _check_values(document, document.content, ())
    errors = list(_validator().iter_errors(document.content))
    if errors:
        _refuse(document, errors)
    return document


def _compose(path: Path, text: str) -> Document:
    lines: dict[Key, int] = {}
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is not None:
            _find_lines(path, node, (), lines)
        content = loader.construct_document(node) if node is not None else None
    except yaml.MarkedYAMLError as err:
        line = err.problem_mark.line + 1 if err.problem_mark else 1
        raise SceneError(f"{path}:{line}: not valid YAML: {err.problem or err.context}; mend the line") from err
    except (yaml.YAMLError, RecursionError, ValueError) as err:
        raise SceneError(f"{path}:1: not valid YAML: {' '.join(str(err).split())}") from err
    return Document(path, content, lines)


def _find_lines(path: Path, node: yaml.Node, key: Key, lines: dict[Key, int]) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: set[Hashable] = set()
        for name, value in node.value:
            below = (*key, str(name.value))
            lines[below] = name.start_mark.line + 1
            if name.value in seen:
                raise SceneError(f"{path}:{lines[below]}: {_written(below)}: stands there twice; remove one")
            seen.add(name.value)
            _find_lines(path, value, below, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[(*key, index)] = value.start_mark.line + 1
            _find_lines(path, value, (*key, index), lines)


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
def _validator() -> jsonschema.Draft202012Validator:
    schema, scene = (
        json.loads(find(f"config/{name}").read_text(encoding="utf-8")) for name in (_SCHEMA, _SCENE_SCHEMA)
    )
    registry: Registry[Any] = Registry().with_resource(_SCENE_SCHEMA, Resource.from_contents(scene))
    return jsonschema.Draft202012Validator(schema, registry=registry)


def _refuse(document: Document, errors: list[jsonschema.ValidationError]) -> NoReturn:
    """Name the first error of the file; unknown keys go first, for they explain the others."""

    def order(error: jsonschema.ValidationError) -> tuple[bool, int]:
        return error.validator != "additionalProperties", document.line(tuple(error.absolute_path))

    error = min(errors, key=order)
    key: Key = tuple(error.absolute_path)
    schema: Any = error.schema
    instance: Any = error.instance
    known = schema.get("properties", {}) if isinstance(schema, Mapping) else {}
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    if error.validator == "additionalProperties" and known:
        unknown = next(name for name in instance if name not in known)
        hint = nearest_name(unknown, known) or f"; known: {', '.join(sorted(known))}"
        document.fail((*key, unknown), f"unknown key {unknown!r}{hint}{more}")
    document.fail(key, _explain(error) + more)


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
