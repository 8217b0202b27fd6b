"""Check a scene document against its JSON schema and say in plain words what is wrong with it.

Knows the schema and its own error texts, not what a scene means.

Source: config/scene.schema.json.
"""

import functools
import json
import math
from collections.abc import Mapping
from typing import Any

import jsonschema

from tml_ros.errors import SceneError, nearest_name
from tml_ros.resources import find

__all__ = ["check_schema", "explain"]

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
