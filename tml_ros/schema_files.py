"""YAML files: read, checked against a JSON schema in config/, and explained when they are wrong."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from tml_ros.errors import ConfigError, nearest_name
from tml_ros.resources import find

__all__ = ["read_checked", "read_yaml"]


def read_yaml(path: Path, what: str) -> Any:
    """Return the content of a file. what: what a message calls it, such as ``intents file``.

    Raises:
        ConfigError: the file is missing or no YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as err:
        raise ConfigError(f"cannot read {what} {path}: {err.strerror}; check the path") from err
    except (yaml.YAMLError, UnicodeDecodeError) as err:
        raise ConfigError(f"{path} is not valid YAML: {err}") from err


def read_checked(path: Path, what: str, schema_name: str) -> Any:
    """Return the content of a file that follows its schema.

    Args:
        what: as in ``read_yaml``.
        schema_name: file in config/, JSON schema 2020-12.

    Raises:
        ConfigError: the file is missing, no YAML, or against the schema.
    """
    content = read_yaml(path, what)
    schema = json.loads(find(f"config/{schema_name}").read_text(encoding="utf-8"))
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(content))
    if error is not None:
        where = ".".join(map(str, error.absolute_path)) or "the file"
        raise ConfigError(f"{path}: {where}: {error.message}{_nearest_key(error)}; see {schema_name}")
    return content


def _nearest_key(error: jsonschema.ValidationError) -> str:
    if error.validator != "additionalProperties" or not isinstance(error.instance, Mapping):
        return ""
    known = error.schema.get("properties", {}) if isinstance(error.schema, Mapping) else {}
    unknown = [key for key in error.instance if key not in known]
    return nearest_name(str(unknown[0]), known) if unknown else ""
