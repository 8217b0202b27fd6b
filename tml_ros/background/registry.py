"""Background models by name, through the entry-point group ``tml_ros.background_models``.

``Class(config, surroundings)`` makes the model, see ``protocol.BackgroundFactory``.
"""

from collections.abc import Mapping
from typing import Any, cast

from tml_ros.background.protocol import BackgroundFactory, BackgroundModel, Surroundings
from tml_ros.config import Parameter
from tml_ros.plugins import Registry

__all__ = ["BACKENDS", "GROUP", "available_backends", "backend_parameters", "create_background"]

GROUP = "tml_ros.background_models"
BACKENDS = Registry(
    GROUP,
    "background model",
    {
        "offline": "tml_ros.background.offline.model:OfflineModel",
        "openai": "tml_ros.background.openai.model:OpenAIModel",
        "scripted": "tml_ros.background.scripted:ScriptedModel",
    },
)


def available_backends() -> dict[str, str]:
    """Return every background model's name and the ``module:Class`` behind it, sorted."""
    return BACKENDS.available()


def backend_parameters(name: str) -> dict[str, Parameter]:
    """Return the declarations of a background model's parameters, under ``NAME.``."""
    return BACKENDS.parameters(name)


def create_background(name: str, values: Mapping[str, Any], surroundings: Surroundings) -> BackgroundModel:
    """Make a background model from flat parameters; those of other models are ignored.

    Raises:
        ModelError: no such model.
        ConfigError: a parameter of this model, or a file that it names, is wrong.
        MissingDependencyError: a library is absent.
    """
    return cast(BackgroundFactory, BACKENDS.factory(name))(BACKENDS.config(name, values), surroundings)
