"""Run scenarios through one model: the real engine in a closed room, every scenario in a session of its own.

The model stays loaded; engine, player, room and background are made anew, so a scenario's result depends on nothing but
the scenario, the model and its values: not on the order, not on the process. What the wall clock says is kept apart, in
the last fields of every frame. Nothing here knows files, processes or reports.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tml_ros.background import BackgroundPort, create_background
from tml_ros.background.config import BackgroundConfig, surroundings
from tml_ros.background.inline import InlineBackground
from tml_ros.background.scripted import ScriptedModel
from tml_ros.clock import BagClock
from tml_ros.config import flatten
from tml_ros.duplex.protocol import DuplexModel
from tml_ros.evaluation.expectations import judge
from tml_ros.evaluation.results import Check, Observation, ScenarioResult, Verdict
from tml_ros.evaluation.room import ClosedRoom, RoomTurn
from tml_ros.evaluation.room_faults import FaultyRoom, Watched
from tml_ros.evaluation.scenario import Scenario
from tml_ros.evaluation.stage import Stage
from tml_ros.evaluation.timeline import Timeline
from tml_ros.evaluation.understood import observe_alerts_of, observe_intents_of
from tml_ros.intents import AllowList
from tml_ros.replay.runlog import RunLog, TurnRow
from tml_ros.resources import locate
from tml_ros.session.build import Assembly, build
from tml_ros.session.engine import InferenceEngine
from tml_ros.speech.synthesis import CachedSynthesiser, create_synthesiser
from tml_ros.wire import Digest, to_tree

__all__ = ["ModelSpec", "Runner", "ScenarioRun"]

Sound = NDArray[np.float32]
_WALL_CLOCK = ("inference_ms", "ingest_age_ms", "queue_depth", "deadline_missed")
_ERROR_CHARACTERS = 300
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model of the registry with its parameters. label: what tables call it. values: flat, as for a replay."""

    label: str
    model: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScenarioRun:
    """What came of a run. frames: one mapping per micro-turn, the wall clock's fields ``wall_ns`` and
    ``inference_ms`` last. heard, said: [N] float32 at 16 kHz, microphone and loudspeaker, both from the start."""

    result: ScenarioResult
    frames: tuple[Mapping[str, Any], ...]
    heard: Sound
    said: Sound


class Runner:
    """Keeps one model and runs any number of scenarios.

    Thread: one caller at a time.
    """

    def __init__(self, spec: ModelSpec, wrap: Callable[[DuplexModel], DuplexModel] | None = None) -> None:
        """Load the model. wrap: what to put around it, such as a fault to be found.

        Raises:
            ConfigError, ModelError, MissingDependencyError: the model cannot be made from the values.
        """
        self._spec = spec
        values = {**flatten(spec.values), "model": spec.model}
        self._assembly: Assembly = build(values, BagClock())
        self._model = wrap(self._assembly.model) if wrap else self._assembly.model
        config = self._assembly.config
        speech = create_synthesiser(config.speech.synthesiser, config.speech.voice, config.speech.speed)
        self._speech = CachedSynthesiser(speech, max_items=4096)
        self._allow_list = AllowList.load(locate(config.intents_file))
        self._background = create_background("offline", {}, surroundings(BackgroundConfig()))

    def run(self, scenario: Scenario) -> ScenarioRun:
        """Run one scenario. Whatever the model or an input raises becomes a result with the verdict ERROR."""
        play = _Play()
        try:
            timeline = self._play(scenario, play)
        except Exception as err:
            _log.info("scenario %s of %s could not be run", scenario.name, self._spec.label, exc_info=True)
            return play.run(self._result(scenario, play, error=_one_line(err)))
        judged = [judge(one, timeline) for one in scenario.expectations]
        checks = tuple(check for check, _ in judged)
        observations = [one for _, found in judged for one in found]
        hours = scenario.duration_s / 3600.0
        observations += observe_intents_of(scenario.expectations, timeline, hours)
        observations += observe_alerts_of(scenario.expectations, timeline, hours)
        return play.run(self._result(scenario, play, checks, tuple(observations)))

    def close(self) -> None:
        """Free the model."""
        self._assembly.engine.close()
        self._assembly.model.close()
        self._background.close()

    def _play(self, scenario: Scenario, play: "_Play") -> Timeline:
        clock = BagClock()
        watched = Watched(self._model, [one.at_s for one in scenario.faults if one.kind == "crash"])
        config = self._assembly.config
        engine = InferenceEngine(watched, config, self._speech, self._allow_list, clock, self._port(scenario))
        try:
            room = (
                FaultyRoom(engine, clock, scenario.room, scenario.faults, config.window)
                if scenario.faults
                else ClosedRoom(engine, clock, scenario.room)
            )
            start_ns = room.now_ns
            timeline = Timeline(start_ns)
            stage = Stage(scenario, timeline, start_ns)
            while room.now_s < scenario.duration_s - 1e-6:
                now_s = room.now_s
                turn = room.step(stage.sound(now_s), list(stage.images(now_s)), stage.texts(now_s))
                timeline.add(turn)
                play.add(turn)
                if watched.error is not None:
                    raise watched.error
            return timeline
        finally:
            engine.close()

    def _port(self, scenario: Scenario) -> BackgroundPort:
        script = scenario.background
        return InlineBackground(self._background if script is None else ScriptedModel.of(*script))

    def _result(
        self,
        scenario: Scenario,
        play: "_Play",
        checks: tuple[Check, ...] = (),
        observations: tuple[Observation, ...] = (),
        error: str = "",
    ) -> ScenarioResult:
        passed = Verdict.PASSED if all(check.passed for check in checks) else Verdict.FAILED
        return ScenarioResult(
            suite=scenario.suite,
            scenario=scenario.name,
            model=self._spec.label,
            verdict=Verdict.ERROR if error else passed,
            checks=checks,
            observations=observations,
            seconds=round(scenario.duration_s, 3),
            digest=play.digest.hexdigest(),
            error=error,
            tags=scenario.tags,
        )


class _Play:
    """What a run gives, gathered as it goes."""

    def __init__(self) -> None:
        self.digest = Digest()
        self._log = RunLog("")
        self._frames: list[dict[str, Any]] = []
        self._heard: list[Sound] = []
        self._said: list[Sound] = []

    def add(self, turn: RoomTurn) -> None:
        """Take in a micro-turn of the room, in which the engine may have worked on none or several of its own."""
        self._heard.append(turn.microphone)
        self._said.append(turn.loudspeaker)
        for record in turn.records:
            topic, _, tree = to_tree(record)
            self.digest.add(topic, tree)
            self._log.add(record)
        for row in self._log.turns[len(self._frames) :]:
            self._frames.append(_frame(row, len(self._frames), turn))

    def run(self, result: ScenarioResult) -> ScenarioRun:
        """Return everything."""
        none = np.zeros(0, np.float32)
        heard, said = (np.concatenate([none, *parts]) for parts in (self._heard, self._said))
        return ScenarioRun(result, tuple(self._frames), heard, said)


def _frame(row: TurnRow, index: int, turn: RoomTurn) -> dict[str, Any]:
    """Return a micro-turn as plain values. start_s: since the scenario's start; stamp_ns: end of the micro-turn."""
    values = asdict(row)
    kept = {name: value for name, value in values.items() if name not in (*_WALL_CLOCK, "index", "end_s")}
    kept["intents"], kept["alerts"] = list(row.intents), list(row.alerts)
    stamp_ns = round((turn.start_s + 0.2) * 1e9)
    sounding = float(np.abs(turn.loudspeaker).max())
    return {
        "index": index,
        "stamp_ns": stamp_ns,
        "start_s": round(turn.start_s, 3),
        **kept,
        "heard_dbfs": _dbfs(turn.microphone),
        "said_dbfs": _dbfs(turn.loudspeaker),
        "speaking": sounding > 0.002,
        "wall_ns": time.time_ns(),
        "inference_ms": row.inference_ms,
    }


def _dbfs(sound: Sound) -> float:
    power = float(np.mean(sound.astype(np.float64) ** 2))
    return round(10.0 * float(np.log10(power + 1e-12)), 1)


def _one_line(err: Exception) -> str:
    return " ".join(f"{type(err).__name__}: {err}".split())[:_ERROR_CHARACTERS]
