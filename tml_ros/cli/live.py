"""``tml live``: scenarios through the real graph at the speed of life, judged as ``tml eval`` judges them.

Each gets an interaction node of its own, in a process and on a domain that nobody else is on. What cannot be brought
about from outside, faults and a scripted background model, is left to ``tml eval``.
"""

import argparse
import json
import sys
from collections.abc import Sequence

from tml_ros.cli.processes import check, isolate, process
from tml_ros.errors import ConfigError, nearest_name
from tml_ros.evaluation.catalogue import measure
from tml_ros.evaluation.expectations import judge
from tml_ros.evaluation.results import Observation, figure
from tml_ros.evaluation.room import RoomConfig
from tml_ros.evaluation.scenario import Scenario, find_suite, load_suite
from tml_ros.evaluation.stage import Stage
from tml_ros.evaluation.timeline import Timeline
from tml_ros.nodes import environment
from tml_ros.nodes.live_room import live_room

__all__ = ["live"]

_REACT_S = 0.02


def live(options: argparse.Namespace) -> int:
    """Run scenarios one after the other and end with one line of JSON; 1 when one did not pass.

    Raises:
        ConfigError: the suite or a scenario is not there, or cannot be run live.
        TmlError: the node does not start, or ends.
    """
    environment.require_ros()
    isolate()
    scenarios = _choose(options)
    options.out.mkdir(parents=True, exist_ok=True)
    observations: list[Observation] = []
    verdicts: dict[str, bool] = {}
    for scenario in scenarios:
        passed, found = _run(scenario, options)
        verdicts[scenario.name] = passed
        observations += found
    names = sorted({one.measure for one in observations})
    figures = {name: figure(measure(name), observations).value for name in names}
    print(
        json.dumps({"passed": sum(verdicts.values()), "of": len(verdicts), "verdicts": verdicts, "measures": figures})
    )
    return 0 if all(verdicts.values()) else 1


def _choose(options: argparse.Namespace) -> Sequence[Scenario]:
    """Return the scenarios that are named, or some from all over the suite."""
    suite = load_suite(find_suite(options.suite), options.data)
    able = {
        one.name: one
        for one in suite.scenarios
        if isinstance(one, Scenario) and not one.faults and one.background is None
    }
    for name in options.only:
        if name not in able:
            raise ConfigError(f"no scenario {name!r} of {suite.name} can be run live{nearest_name(name, able)}")
    if options.only:
        return [able[name] for name in options.only]
    if not able:
        raise ConfigError(f"no scenario of {suite.name} can be run live: all have faults or a scripted background")
    count = min(options.items, len(able))
    return [one for number, one in enumerate(able.values()) if number * count % len(able) < count]


def _run(scenario: Scenario, options: argparse.Namespace) -> tuple[bool, list[Observation]]:
    log = options.out / f"{scenario.name}.log"
    command = [sys.executable, "-m", "tml_ros.nodes.interaction", "--ros-args", "-r", "__ns:=/tml"]
    if options.params:
        command += ["--params-file", str(options.params)]
    with process([*command, "-p", f"model:={options.model}"], log) as robot:
        timeline = _play(scenario)
        check(robot, log, "the interaction node", wanted=(None,))
    checks, found = zip(*(judge(one, timeline) for one in scenario.expectations), strict=True)
    for one in checks:
        mark = "right" if one.passed else "WRONG"
        print(f"{mark} {scenario.name}: {one.name}: {one.detail}", file=sys.stderr, flush=True)
    return all(one.passed for one in checks), [one for each in found for one in each]


def _play(scenario: Scenario) -> Timeline:
    values = {name: getattr(scenario.room, name) for name in RoomConfig.__slots__}
    with live_room(RoomConfig(**{**values, "react_s": _REACT_S})) as room:
        timeline = Timeline(room.now_ns)
        stage = Stage(scenario, timeline, room.now_ns)
        while room.now_s < scenario.duration_s - 1e-6:
            now_s = room.now_s
            timeline.add(room.step(stage.sound(now_s), list(stage.images(now_s)), stage.texts(now_s)))
    return timeline
