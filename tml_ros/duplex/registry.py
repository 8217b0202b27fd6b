"""Duplex models by name, through the entry-point group ``tml_ros.duplex_models``: ``Class(config)`` makes the model."""

from collections.abc import Mapping
from typing import Any, cast

from tml_ros.config import Parameter
from tml_ros.duplex.protocol import DuplexModel, ModelFactory
from tml_ros.plugins import Registry

__all__ = ["GROUP", "MODELS", "available_models", "create_model", "model_factory", "model_parameters"]

GROUP = "tml_ros.duplex_models"
MODELS = Registry(
    GROUP,
    "duplex model",
    {
        "cascade": "tml_ros.duplex.cascade.model:CascadeModel",
        "moshi": "tml_ros.duplex.remote.moshi:MoshiModel",
        "native": "tml_ros.duplex.native.model:NativeModel",
        "realtime": "tml_ros.duplex.remote.realtime:RealtimeModel",
        "always_talk": "tml_ros.duplex.baselines:AlwaysTalkModel",
        "echo": "tml_ros.duplex.baselines:EchoModel",
        "silence": "tml_ros.duplex.baselines:SilenceModel",
    },
)


def available_models() -> dict[str, str]:
    """Return every model's name and the ``module:Class`` behind it, sorted."""
    return MODELS.available()


def model_factory(name: str) -> ModelFactory:
    """Import the class behind a name.

    Raises:
        ModelError: no such name, or its module cannot be imported.
    """
    return cast(ModelFactory, MODELS.factory(name))


def model_parameters(name: str) -> dict[str, Parameter]:
    """Return the declarations of a model's parameters, under ``NAME.``."""
    return MODELS.parameters(name)


def create_model(name: str, values: Mapping[str, Any] | None = None) -> DuplexModel:
    """Make a model from flat parameters (``{"cascade.vad_threshold": 0.6}``); those of other models are ignored.

    Raises:
        ModelError: no such model.
        ConfigError: a parameter of this model is unknown or out of bounds.
        MissingDependencyError: the model needs a program, library or file that is absent.
    """
    return model_factory(name)(MODELS.config(name, values))
