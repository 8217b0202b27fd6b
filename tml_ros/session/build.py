"""Build an engine from flat parameters: the one place where configuration becomes objects, for node and replay."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

from tml_ros.background.port import BackgroundPort
from tml_ros.clock import Clock
from tml_ros.config import Parameter, check_known, declarations, flatten, from_mapping
from tml_ros.duplex.protocol import DuplexModel
from tml_ros.duplex.registry import available_models, create_model, model_parameters
from tml_ros.intents.allow_list import AllowList
from tml_ros.resources import locate
from tml_ros.safety import SafetyMonitor, load_lab
from tml_ros.safety.kept import read_kept
from tml_ros.session.config import InteractionConfig
from tml_ros.session.context import read_facts
from tml_ros.session.counting import Counting
from tml_ros.session.engine import InferenceEngine, TurnRecords
from tml_ros.session.runs import Runs
from tml_ros.session.safety_path import SafetyPath
from tml_ros.session.timekeeper import Timekeeper
from tml_ros.speech.synthesis import CachedSynthesiser, Synthesiser, create_synthesiser
from tml_ros.windowing import ClosedWindow
from tml_ros.wire import Published

__all__ = ["Assembly", "all_parameters", "build", "read_config"]


@dataclass(frozen=True, slots=True)
class Assembly:
    """An engine with what it was built from; close the model after the engine. safety: alerts, beside the model."""

    config: InteractionConfig
    model: DuplexModel
    engine: InferenceEngine
    safety: SafetyPath
    timekeeper: Timekeeper

    @property
    def counters(self) -> Counter[str]:
        """What engine and watchers counted so far."""
        return self.engine.counters + self.safety.counters

    def start(self, publish: Callable[[TurnRecords], None], publish_one: Callable[[Published], None]) -> None:
        """Begin to work in threads; ``publish`` is called from the engine's, ``publish_one`` from that of safety."""
        self.safety.start(publish_one)

        def hear_and_publish(done: TurnRecords) -> None:
            self.safety.hear(done.records)
            publish(done)

        self.engine.start(hear_and_publish)

    def submit(self, window: ClosedWindow) -> None:
        """Hand a window to the watchers and to the model; neither waits for the other."""
        self.safety.submit(window)
        self.engine.submit(window)

    def tick(self, now_ns: int) -> None:
        """Take note of the clock, a few times a second; what is watched goes on when no window comes."""
        self.safety.tick(now_ns)

    def process(self, window: ClosedWindow) -> TurnRecords:
        """Run a window through both in the caller's thread: what the watchers say comes first."""
        alerts = tuple(self.safety.process(window))
        done = self.engine.process(window)
        self.safety.hear(done.records)
        return replace(done, records=alerts + done.records)

    def stop(self) -> None:
        """Finish what is at work and end the session."""
        self.safety.stop()
        self.engine.stop()


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
    """Make model, synthesiser, engine and watchers.

    Args:
        values: parameters, flat or nested.
        clock: what time is told by.
        port: where tasks are sent; without it there is nobody to ask.
        keeps_history: whether ``time.history_file`` and ``safety.state_file`` are read and written; not in a replay.

    Raises:
        ConfigError: a parameter, the intents file, the lab file or the history's file is wrong.
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
    engine = InferenceEngine(model, config, speech, allow_list, clock, port, timekeeper)
    safety = _safety(config, engine, speech, allow_list, timekeeper, keeps_state=keeps_history)
    return Assembly(config, model, engine, safety, timekeeper)


def _safety(
    config: InteractionConfig,
    engine: InferenceEngine,
    speech: Synthesiser,
    allow_list: AllowList,
    timekeeper: Timekeeper,
    *,
    keeps_state: bool,
) -> SafetyPath:
    """Return the way of alerts, with what watches the place where one is to be watched."""
    monitor, state_file = None, None
    if config.safety.lab_file:
        lab = load_lab(locate(config.safety.lab_file), allow_list)
        monitor = SafetyMonitor(
            lab,
            eye=config.safety.eye,
            allow_missing=config.safety.allow_missing,
            share_images=config.safety.share_images,
        )
        if keeps_state and config.safety.state_file:
            state_file = Path(config.safety.state_file).expanduser()
            monitor.restore(read_kept(state_file))
    backend = cast(Literal["own", "cv_bridge"], config.image_backend)
    return SafetyPath(monitor, config.safety, speech, allow_list, engine.tell, backend, timekeeper, state_file)
