"""Check a scene document against its JSON schema and say in plain words what is wrong with it.

Knows the schema and its own error texts, not what a scene means.

Source: config/scene.schema.json.
"""

import functools
import json
import math
from typing import Any

import jsonschema

from tml_ros.documents import explain
from tml_ros.errors import SceneError
from tml_ros.resources import find

__all__ = ["check_schema"]


@functools.cache
def _validator() -> jsonschema.Draft202012Validator:
    schema = json.loads(find("config/scene.schema.json").read_text(encoding="utf-8"))
    return jsonschema.Draft202012Validator(schema)


def check_schema(document: Any, source: str) -> None:
    """Check a scene that was read from YAML.

    Args:
        document: anything; only a mapping that follows the schema passes.
        source: the file name, for errors.

    Raises:
        SceneError: Names file, key path, value, what is expected and the nearest known key.
    """
    _check_numbers(document, source, "")
    errors = sorted(_validator().iter_errors(document), key=lambda error: [str(part) for part in error.absolute_path])
    if not errors:
        return
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    raise SceneError(f"{source}: {_key_path(errors[0])}: {explain(errors[0])}{more}")


def _check_numbers(value: Any, source: str, key: str) -> None:
    """Refuse what YAML can write and JSON cannot: keys that are no strings, and .nan, which passes every limit."""
    if isinstance(value, dict):
        for name, item in value.items():
            if not isinstance(name, str):
                raise SceneError(f"{source}: {key or 'top level'}: key {name!r} is no string; put it in quotes")
            _check_numbers(item, source, f"{key}.{name}".lstrip("."))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_numbers(item, source, f"{key}[{index}]")
    elif isinstance(value, float) and not math.isfinite(value):
        raise SceneError(f"{source}: {key}: got {value}, expected a finite number")


def _key_path(error: jsonschema.ValidationError) -> str:
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path]
    return "".join(parts).lstrip(".") or "top level"
