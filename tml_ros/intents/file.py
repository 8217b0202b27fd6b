"""Read and check ``intents.yaml``: slot types, intents with the schema of their data, and rules.

The file's own schema lies next to the shipped file, ``config/intents.schema.json``. What is checked here is the shape
and the names; phrases are read by ``grammar``. Nothing here knows recognisers or sessions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema

from tml_ros.errors import ConfigError, nearest_name
from tml_ros.resources import find
from tml_ros.schema_files import read_checked

__all__ = ["IntentSpec", "IntentsFile", "load_intents"]


@dataclass(frozen=True, slots=True)
class IntentSpec:
    """What is allowed of one intent. data_schema: JSON schema (2020-12) with the slots as ``$defs``."""

    name: str
    description: str
    ttl_s: float
    requires_confirmation: bool
    priority: int
    min_confidence: float
    data_schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class IntentsFile:
    """The checked content. slots and rules are as in the file. pronunciations: word -> sounds in ARPAbet."""

    path: Path
    before: str
    after: str
    instead: str
    pronunciations: Mapping[str, str]
    slots: Mapping[str, Mapping[str, Any]]
    intents: Mapping[str, IntentSpec]
    rules: tuple[Mapping[str, Any], ...]


def load_intents(path: Path | None = None) -> IntentsFile:
    """Read a file, the shipped one when no path is given.

    Raises:
        ConfigError: the file is missing, no YAML, against the schema, or a rule names an unknown intent.
    """
    path = path or find("config/intents.yaml")
    content = read_checked(path, "intents file", "intents.schema.json")
    intents = {name: _intent(name, body, content["slots"], path) for name, body in content["intents"].items()}
    for index, rule in enumerate(content["rules"]):
        if "intent" in rule and rule["intent"] not in intents:
            hint = nearest_name(rule["intent"], intents)
            raise ConfigError(f"{path}: rules.{index}.intent {rule['intent']!r} is not under intents:{hint}")
    return IntentsFile(
        path=path,
        before=content.get("before", ""),
        after=content.get("after", ""),
        instead=content.get("instead", ""),
        pronunciations=content.get("pronunciations", {}),
        slots=content["slots"],
        intents=intents,
        rules=tuple(content["rules"]),
    )


def _intent(name: str, body: Mapping[str, Any], slots: Mapping[str, Mapping[str, Any]], path: Path) -> IntentSpec:
    schema = {"type": "object", "additionalProperties": False, **body["data"]}
    schema["$defs"] = {slot: _slot_schema(spec) for slot, spec in slots.items()}
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as err:
        raise ConfigError(f"{path}: intents.{name}.data is no JSON schema: {err.message}") from err
    return IntentSpec(
        name=name,
        description=body["description"],
        ttl_s=float(body["ttl_s"]),
        requires_confirmation=body.get("requires_confirmation", False),
        priority=body.get("priority", 128),
        min_confidence=float(body.get("min_confidence", 0.5)),
        data_schema=schema,
    )


def _slot_schema(spec: Mapping[str, Any]) -> dict[str, Any]:
    if "words" in spec:
        return {"type": "string", "minLength": 1}
    if "values" in spec:
        return {"enum": list(spec["values"])}
    if "longest_s" in spec:
        return {"type": "number", "exclusiveMinimum": 0, "maximum": spec["longest_s"]}
    return {"type": "integer", "minimum": spec["minimum"], "maximum": spec["maximum"]}
