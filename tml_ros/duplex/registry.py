"""Find duplex models by name through the entry-point group ``tml_ros.duplex_models``.

A package adds a model with one line in its setup: ``NAME = module:Class``, where ``Class(config)`` makes the model and
``Class.config_type`` declares its parameters. Models of this package are found without being installed, too.
"""

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from tml_ros.config import Parameter, declarations, from_mapping
from tml_ros.duplex.protocol import DuplexModel, ModelFactory
from tml_ros.errors import ModelError, nearest_name

__all__ = ["GROUP", "available_models", "create_model", "model_factory", "model_parameters"]

GROUP = "tml_ros.duplex_models"
_BUILT_IN = {
    "cascade": "tml_ros.duplex.cascade.model:CascadeModel",
    "silence": "tml_ros.duplex.baselines:SilenceModel",
}


def available_models() -> dict[str, str]:
    """Return every model's name and the ``module:Class`` behind it, sorted."""
    found = dict(_BUILT_IN)
    found |= {entry.name: entry.value for entry in entry_points(group=GROUP)}
    return dict(sorted(found.items()))


def model_factory(name: str) -> ModelFactory:
    """Import the class behind a name.

    Raises:
        ModelError: no such name, or its module cannot be imported.
    """
    known = available_models()
    if name not in known:
        raise ModelError(f"no duplex model named {name!r}{nearest_name(name, known)}; known: {', '.join(known)}")
    try:
        return cast(ModelFactory, EntryPoint(name, known[name], GROUP).load())
    except (ImportError, AttributeError) as err:
        raise ModelError(f"model {name!r} ({known[name]}) cannot be imported: {err}; install what it needs") from err


def model_parameters(name: str) -> dict[str, Parameter]:
    """Return the declarations of a model's parameters, under ``NAME.``."""
    return declarations(model_factory(name).config_type, name)


def create_model(name: str, values: Mapping[str, Any] | None = None) -> DuplexModel:
    """Make a model from flat parameters (``{"cascade.vad_threshold": 0.6}``); those of other models are ignored.

    Raises:
        ModelError: no such model.
        ConfigError: a parameter of this model is unknown or out of bounds.
        MissingDependencyError: the model needs a program, library or file that is absent.
    """
    factory = model_factory(name)
    own = {key: value for key, value in (values or {}).items() if key.startswith(f"{name}.")}
    return factory(from_mapping(factory.config_type, own, name))
