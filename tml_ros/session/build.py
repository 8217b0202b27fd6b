"""Build an engine from flat parameters: the one place where configuration becomes objects, for node and replay."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tml_ros.background.port import BackgroundPort
from tml_ros.clock import Clock
from tml_ros.config import Parameter, check_known, declarations, flatten, from_mapping
from tml_ros.duplex.protocol import DuplexModel
from tml_ros.duplex.registry import available_models, create_model, model_parameters
from tml_ros.intents.allow_list import AllowList
from tml_ros.resources import locate
from tml_ros.session.config import InteractionConfig
from tml_ros.session.context import read_facts
from tml_ros.session.counting import Counting
from tml_ros.session.engine import InferenceEngine
from tml_ros.session.runs import Runs
from tml_ros.session.timekeeper import Timekeeper
from tml_ros.speech.synthesis import CachedSynthesiser, create_synthesiser

__all__ = ["Assembly", "all_parameters", "build", "read_config"]


@dataclass(frozen=True, slots=True)
class Assembly:
    """An engine with what it was built from; close the model after the engine."""

    config: InteractionConfig
    model: DuplexModel
    engine: InferenceEngine


def all_parameters(model: str) -> dict[str, Parameter]:
    """Return every parameter that holds for a model, its own included, by dotted name."""
    return declarations(InteractionConfig) | model_parameters(model)


def read_config(values: Mapping[str, Any]) -> InteractionConfig:
    """Check flat or nested values and return the configuration; groups of other models are let through.

    Raises:
        ConfigError: an unknown key, a wrong type or a value out of bounds.
        ModelError: no such model.
    """
    flat = flatten(values)
    own = declarations(InteractionConfig)
    model = own["model"].check(flat.get("model", own["model"].default))
    others = [name for name in available_models() if name != model]
    check_known(flat, own | model_parameters(model), others)
    return from_mapping(InteractionConfig, {name: value for name, value in flat.items() if name in own})


def build(
    values: Mapping[str, Any], clock: Clock, port: BackgroundPort | None = None, *, keeps_history: bool = False
) -> Assembly:
    """Make model, synthesiser and engine.

    Args:
        values: parameters, flat or nested.
        clock: what time is told by.
        port: where tasks are sent; without it there is nobody to ask.
        keeps_history: whether processes that are timed go into ``time.history_file``; not in a replay.

    Raises:
        ConfigError: a parameter, the intents file or the history's file is wrong.
        ModelError: no such model.
        MissingDependencyError: a program, library or model file is absent.
    """
    config = read_config(values)
    flat = flatten(values)
    synthesiser = create_synthesiser(config.speech.synthesiser, config.speech.voice, config.speech.speed)
    allow_list = AllowList.load(locate(config.intents_file))
    own_intents = f"{config.model}.intents_file"
    if own_intents in model_parameters(config.model) and not flat.get(own_intents):
        flat[own_intents] = config.intents_file  # what a model understands and what it may propose are one file
    model = create_model(config.model, flat)
    read_facts(config.delegation.facts)
    speech = CachedSynthesiser(synthesiser)
    file = config.time.history_file if keeps_history else ""
    runs = Runs(Path(file).expanduser() if file else None)
    timekeeper = Timekeeper(runs, Counting(config.time.count_region))
    return Assembly(config, model, InferenceEngine(model, config, speech, allow_list, clock, port, timekeeper))
