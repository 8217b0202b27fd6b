"""Suites times models: which scenarios are to be run, and what their results come to.

The models that were asked for are judged by the thresholds of the suites; the baselines stand beside them, so that a
figure can be read against silence, endless talk and an echo. It knows no process, no file format and no page.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tml_ros import __version__
from tml_ros.errors import ConfigError, nearest_name
from tml_ros.evaluation.catalogue import MEASURES, measure
from tml_ros.evaluation.results import Aggregate, Figure, Measure, Observation, ScenarioResult, Verdict, figure
from tml_ros.evaluation.runner import ModelSpec
from tml_ros.evaluation.scenario import Bag, Suite, Threshold
from tml_ros.evaluation.store import Store
from tml_ros.evaluation.workers import Engine, Finished, Job
from tml_ros.records import MICRO_TURN_NS

__all__ = ["BASELINES", "PASSED", "Campaign", "Outcome", "Ruling", "execute", "observations_of"]

BASELINES = ("silence", "always_talk", "echo")
PASSED = Measure("passed", "scenarios that passed", "1", Aggregate.RATE, "high", "tml_ros, docs/scenarios.md")

Figures = dict[str, Figure]
_DEADLINE_MS = MICRO_TURN_NS / 1e6


@dataclass(frozen=True, slots=True)
class Campaign:
    """What is to be run. models: those that are judged, by label. baselines: those that stand beside them."""

    suites: tuple[Suite, ...]
    models: tuple[ModelSpec, ...]
    baselines: tuple[ModelSpec, ...] = ()

    def __post_init__(self) -> None:
        for kind, names in (
            ("model", [spec.label for spec in self.specs]),
            ("suite", [suite.name for suite in self.suites]),
            ("scenario", [f"{one.suite}/{one.name}" for suite in self.suites for one in suite.scenarios]),
        ):
            name, times = next(iter(Counter(names).most_common(1)), ("", 0))
            if times > 1:
                raise ConfigError(f"{kind} {name!r} is there {times} times; name each once")

    @property
    def specs(self) -> tuple[ModelSpec, ...]:
        """Everything that is run, in the order of the tables."""
        return self.models + self.baselines

    @property
    def labels(self) -> tuple[str, ...]:
        """The models' labels, in the order of the tables."""
        return tuple(spec.label for spec in self.specs)

    def jobs(self, done: Mapping[tuple[str, str, str], ScenarioResult]) -> list[Job]:
        """Return what is left to do, model by model, so that a worker seldom loads another."""
        judged = {spec.label for spec in self.models}
        every = (
            Job(spec, scenario, spec.label in judged)
            for spec in self.specs
            for suite in self.suites
            for scenario in suite.scenarios
        )
        return [job for job in every if job.key not in done]

    def asked(self) -> dict[str, Any]:
        """Return what decides the verdicts, as plain values: a run of the same may go on where it was ended."""
        return {
            "version": __version__,
            "models": {spec.label: {"model": spec.model, "values": dict(spec.values)} for spec in self.specs},
            "suites": {
                suite.name: {
                    "file": hashlib.sha256(suite.path.read_bytes()).hexdigest(),
                    "scenarios": {one.name: one.mark if isinstance(one, Bag) else one.seed for one in suite.scenarios},
                }
                for suite in self.suites
            },
        }


@dataclass(frozen=True, slots=True)
class Ruling:
    """A threshold of a suite held against a model's figure. limit: such as ``at most 0.7``."""

    suite: str
    model: str
    measure: str
    figure: Figure
    limit: str
    met: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to.

    figures: by suite and model; by ``""`` and model over all suites. steps_ms: of every micro-turn, by model.
    """

    campaign: Campaign
    results: tuple[ScenarioResult, ...]
    figures: Mapping[tuple[str, str], Figures]
    rulings: tuple[Ruling, ...]
    steps_ms: Mapping[str, Sequence[float]]

    @property
    def errors(self) -> list[ScenarioResult]:
        """The scenarios that a judged model did not come to the end of."""
        return [one for one in self.judged if one.verdict is Verdict.ERROR]

    @property
    def judged(self) -> list[ScenarioResult]:
        """The results of the models that were asked for."""
        labels = {spec.label for spec in self.campaign.models}
        return [one for one in self.results if one.model in labels]

    def failures(self) -> list[tuple[ScenarioResult, int]]:
        """Return what a judged model did not pass, errors first.

        Of errors of a model in the same words only the first is there, with how many more there are: a model that
        cannot be loaded has one in every scenario.
        """
        same = Counter((one.model, one.error) for one in self.errors)
        first = {(one.model, one.error): one for one in reversed(self.errors)}
        failed = [one for one in self.judged if one.verdict is Verdict.FAILED]
        return [*((one, same[key] - 1) for key, one in sorted(first.items())), *((one, 0) for one in failed)]

    @property
    def is_good(self) -> bool:
        """Whether every threshold was met and every scenario of a judged model could be run."""
        return all(ruling.met for ruling in self.rulings) and not self.errors

    def as_dict(self) -> dict[str, Any]:
        """Return figures, hits and trials as plain values: the line that ``tml eval`` ends with."""
        plain = {
            key: {name: {"figure": one.value, "hits": one.hits, "trials": one.trials} for name, one in figures.items()}
            for key, figures in self.figures.items()
        }
        return {
            "good": self.is_good,
            "errors": len(self.errors),
            "missed": [
                {"suite": one.suite, "model": one.model, "measure": one.measure, "limit": one.limit}
                for one in self.rulings
                if not one.met
            ],
            "models": {label: plain["", label] for label in self.campaign.labels},
            "suites": {
                suite.name: {label: plain[suite.name, label] for label in self.campaign.labels}
                for suite in self.campaign.suites
            },
        }


def execute(
    campaign: Campaign, engine: Engine, store: Store, on_finished: Callable[[Finished], None] | None = None
) -> Outcome:
    """Run what is left to do, keep it, and return what the whole comes to.

    Args:
        on_finished: called after every scenario, when it is kept.
    """
    for finished in engine.run(campaign.jobs(store.done)):
        store.add(finished)
        if on_finished is not None:
            on_finished(finished)
    return _conclude(campaign, store)


def observations_of(result: ScenarioResult) -> list[Observation]:
    """Return the trials of a scenario, among them whether it passed."""
    return [Observation(PASSED.name, float(result.verdict is Verdict.PASSED)), *result.observations]


def known_measure(name: str) -> Measure:
    """Return a measure by name, ``passed`` among them.

    Raises:
        ConfigError: there is none of that name.
    """
    return PASSED if name == PASSED.name else measure(name)


def pick_suites(names: Sequence[str], shipped: Mapping[str, Any]) -> list[str]:
    """Return the suites that were named, ``all`` standing for every shipped one; each once, in order."""
    found = [one for name in names for one in (sorted(shipped) if name == "all" else [name])]
    return list(dict.fromkeys(found))


def pick_models(names: Sequence[str], available: Iterable[str]) -> list[str]:
    """Return the models that were named, each once, in order.

    ``all`` stands for every registered one but the baselines, which stand beside them.

    Raises:
        ConfigError: one is not registered.
    """
    known = sorted(available)
    every = [name for name in known if name not in BASELINES]
    found = [one for name in names for one in (every if name == "all" else [name])]
    for name in found:
        if name not in known:
            raise ConfigError(f"no model named {name!r}{nearest_name(name, known)}; known: {', '.join(known)}")
    return list(dict.fromkeys(found))


# --------------------------------------------------------------------------------------------------------- figures


def _conclude(campaign: Campaign, store: Store) -> Outcome:
    results = store.finish()
    observed: dict[tuple[str, str], list[Observation]] = {("", label): [] for label in campaign.labels}
    observed |= {(suite.name, label): [] for suite in campaign.suites for label in campaign.labels}
    steps_ms: dict[str, list[float]] = {label: [] for label in campaign.labels}
    for result in results:
        steps = [float(frame["inference_ms"]) for frame in store.frames(result)]
        steps_ms[result.model] += steps
        for key in ((result.suite, result.model), ("", result.model)):
            observed[key] += [*observations_of(result), *_clocked(steps)]
    figures = {key: _figures(observations) for key, observations in observed.items()}
    rulings = tuple(_rulings(campaign, figures))
    return Outcome(campaign, tuple(results), figures, rulings, steps_ms)


def _clocked(steps_ms: Sequence[float]) -> list[Observation]:
    """Return the real-time measures of one scenario; they are no part of its verdict."""
    if not steps_ms:
        return []
    shares = dict(
        zip(("step_p50_ms", "step_p95_ms", "step_p99_ms"), np.percentile(steps_ms, (50, 95, 99)), strict=True)
    )
    missed = [Observation("deadline_miss", float(step > _DEADLINE_MS)) for step in steps_ms]
    return [*(Observation(name, float(value)) for name, value in shares.items()), *missed]


def _figures(observations: Sequence[Observation]) -> Figures:
    """Return every measure that has trials, in the order of the catalogue."""
    by_name: dict[str, list[Observation]] = {}
    for one in observations:
        by_name.setdefault(one.measure, []).append(one)
    for name in by_name:
        known_measure(name)
    known = {PASSED.name: PASSED, **MEASURES}
    return {name: figure(one, by_name[name]) for name, one in known.items() if name in by_name}


def _rulings(campaign: Campaign, figures: Mapping[tuple[str, str], Figures]) -> list[Ruling]:
    rulings = []
    for suite in campaign.suites:
        for threshold in suite.thresholds:
            for label in (spec.label for spec in campaign.models if threshold.concerns(spec.label)):
                found = figures[suite.name, label].get(threshold.measure, Figure(None, None, 0))
                met = threshold.is_met(found.value)
                rulings.append(Ruling(suite.name, label, threshold.measure, found, limit_text(threshold), met))
    return rulings


def limit_text(threshold: Threshold) -> str:
    """Return the bounds of a threshold in words, such as ``at most 0.7``."""
    bounds = {"at least": threshold.at_least, "at most": threshold.at_most}
    return " and ".join(f"{words} {bound:g}" for words, bound in bounds.items() if bound is not None)
