"""The life of alerts: durations, hysteresis, unknown values, cool-down, acknowledgement, escalation, clock jumps."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tml_ros.errors import ConfigError
from tml_ros.intents import AllowList
from tml_ros.records import AlertState, TextInput, TranscriptEvent
from tml_ros.resources import find
from tml_ros.safety import SafetyMonitor, load_lab
from tml_ros.safety.conditions import AllOf, AnyOf, FactIs, Held, NotSo, Situation, ValueIs

sys.path.insert(0, str(Path(__file__).parent))
from safety_scenes import turn

LABS = sorted(find("config/labs").glob("*.yaml"))
LOUD = np.sign(np.sin(np.arange(3200) * 0.7)).astype(np.float32) * 0.5
HEAD = """
version: 1
lab: test bench
watchers: {level: {kind: sound_level, loud_db: -20}}
facts: {pump_on: {true_when: ["the pump is on"], false_when: ["the pump is off"]}}
rules:
"""
NOISE = "  noise: {when: {value: level.loud_s, above: 0.3}, describe: It is loud., clear_after_s: 0.4%s}\n"


@pytest.fixture
def make(tmp_path):
    """Make a monitor of rules."""

    def _make(rules: str) -> SafetyMonitor:
        path = tmp_path / "lab.yaml"
        path.write_text(HEAD + rules)
        return SafetyMonitor(load_lab(path))

    return _make


def run(monitor: SafetyMonitor, sounds: list[np.ndarray | None], at: int = 0) -> list[tuple[int, AlertState]]:
    """Step through turns and return (turn, state) of every alert."""
    found = []
    for index, sound in enumerate(sounds, start=at):
        found += [(index, alert.state) for alert in monitor.step(turn(index, [], sound)).alerts]
    return found


def said(monitor: SafetyMonitor, index: int, text: str) -> list[AlertState]:
    one = replace(turn(index, [], LOUD), texts=(TextInput(0, text),))
    return [alert.state for alert in monitor.step(one).alerts]


# --------------------------------------------------------------------------------------------------------- conditions


def situation(end: int, **values: float | None) -> Situation:
    return Situation((end - 1) * 10**9, end * 10**9, {name.replace("_", "."): one for name, one in values.items()})


def test_value_holds_until_its_release_when_it_has_a_hysteresis():
    condition = ValueIs("a.b", 0.5, True, 0.2)
    assert [condition.test(situation(1, a_b=value)) for value in (0.4, 0.6, 0.3, 0.1, 0.3)] == [
        False, True, True, False, False,
    ]  # fmt: skip


def test_unknown_value_decides_nothing_when_the_other_part_does():
    blind, yes = ValueIs("a.b", 0.5, True, 0.5), FactIs("fact")
    now = replace(situation(1, a_b=None), facts={"fact": True})
    assert AnyOf((blind, yes)).test(now) is True
    assert AllOf((blind, yes)).test(now) is None
    assert AllOf((blind, NotSo(yes))).test(now) is False


def test_duration_goes_on_when_a_value_is_unknown_for_a_while():
    held = Held(ValueIs("a.b", 0.5, True, 0.5), for_s=3.0)
    assert [held.test(situation(n, a_b=v)) for n, v in enumerate((1.0, None, 1.0, 0.0, 1.0), start=1)] == [
        False, None, True, False, False,
    ]  # fmt: skip


# --------------------------------------------------------------------------------------------------------- life


def test_alert_is_raised_and_cleared_once_when_the_condition_comes_and_goes(make):
    monitor = make(NOISE % "")
    assert run(monitor, [None] * 3 + [LOUD] * 5 + [None] * 5) == [(4, AlertState.RAISED), (9, AlertState.CLEARED)]


def test_alert_has_one_name_from_raised_to_cleared_and_another_one_the_next_time(make):
    monitor = make(NOISE % "")
    alerts = [
        alert
        for index, sound in enumerate(([LOUD] * 4 + [None] * 4) * 2)
        for alert in monitor.step(turn(index, [], sound)).alerts
    ]
    names = [alert.alert_id for alert in alerts]
    assert names[0] == names[1] != names[2] == names[3]
    assert alerts[0].observed_start_ns < alerts[0].stamp_ns


def test_no_new_alert_is_raised_when_the_rule_cools_down(make):
    monitor = make(NOISE % ", cool_down_s: 3")
    found = run(monitor, ([LOUD] * 4 + [None] * 4) * 4)
    assert [index for index, state in found if state is AlertState.RAISED] == [1, 25]


def test_alert_is_escalated_and_said_again_when_nobody_acknowledges(make):
    monitor = make(NOISE % ", acknowledge: {within_s: 1, again_s: 2, escalate: {say: Please answer.}}")
    said_at = []
    for index in range(25):
        output = monitor.step(turn(index, [], LOUD))
        said_at += [(index, speech.text) for speech in output.say]
    assert said_at == [(1, "It is loud."), (6, "Please answer."), (16, "It is loud.")]


@pytest.mark.parametrize("how", ["typed", "spoken", "called"])
def test_alert_is_acknowledged_when_a_person_says_so(make, how):
    monitor = make(NOISE % ", acknowledge: {within_s: 1}")
    run(monitor, [LOUD] * 3)
    if how == "called":
        states = [alert.state for alert in monitor.acknowledge().alerts]
    elif how == "typed":
        states = said(monitor, 3, "Understood.")
    else:
        heard = TranscriptEvent("user", "understood", True, 0.8, 0, 1)
        states = [alert.state for alert in monitor.step(turn(3, [], LOUD), [heard]).alerts]
    assert states == [AlertState.ACKNOWLEDGED]
    assert run(monitor, [LOUD] * 10, at=4) == []


def test_alert_waits_for_the_one_who_must_acknowledge_when_there_is_one(make):
    monitor = make(NOISE % ", acknowledge: {who: Supervisor}")
    run(monitor, [LOUD] * 3)
    assert said(monitor, 3, "understood") == []
    assert monitor.acknowledge("someone else").alerts == ()
    assert [alert.state for alert in monitor.acknowledge("supervisor").alerts] == [AlertState.ACKNOWLEDGED]


def test_fact_counts_from_when_it_is_stated_until_it_is_taken_back(make):
    monitor = make("  pump: {when: {fact: pump_on, for_s: 0.4}, describe: The pump is on., clear_after_s: 0}\n")
    assert said(monitor, 0, "well, the pump is on now") == []
    assert run(monitor, [None] * 2, at=1) == [(1, AlertState.RAISED)]
    assert said(monitor, 3, "the pump is off") == [AlertState.CLEARED]


@pytest.mark.parametrize("jump", [-10_000, 10_000])
def test_open_alert_survives_and_no_time_is_made_up_when_the_clock_jumps(make, jump):
    monitor = make(NOISE.replace("clear_after_s: 0.4", "clear_after_s: 1") % "")
    assert run(monitor, [LOUD] * 3) == [(1, AlertState.RAISED)]
    assert run(monitor, [None] * 4, at=jump) == []
    found = run(monitor, [None] * 2, at=jump + 4)
    assert found == [(jump + 4, AlertState.CLEARED)]


def test_cue_and_intent_go_with_an_alert(make):
    monitor = make(NOISE % ", intent: {name: __intent_stop_device__, data: {object: pump}}")
    outputs = [monitor.step(turn(index, [], LOUD)) for index in range(2)]
    assert [cue.text for cue in outputs[1].cues] == ["alert raised: It is loud."]
    assert [draft.intent for draft in outputs[1].intents] == ["__intent_stop_device__"]


# --------------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_shipped_lab_is_read_and_built(path):
    monitor = SafetyMonitor(load_lab(path, AllowList.load()))
    assert monitor.step(turn(0, [])).alerts == ()
    assert len(monitor.phrases) > 5


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("  a: {when: {value: level.loud, above: 1}, describe: x}\n", "7: rules.a.when.value: .*'level.loud_s'"),
        ("  a: {when: {value: level.bang}, describe: x}\n", "7: rules.a.when: expected either above or below"),
        ("  a:\n    when: {fact: pump_onn}\n    describe: x\n", "8: rules.a.when.fact: .*did you mean 'pump_on'"),
        ("  a: {when: {fact: pump_on}, describe: x, sevrity: danger}\n", "7: rules.a.sevrity: .*'severity'"),
        ("  a: {when: {said: ['(x']}, describe: x}\n", r"7: rules.a.when.said\[0\]: .*never closed"),
        ("  a: {when: {alert: b}, describe: x}\n", "7: rules.a.when.alert: no rule 'b'"),
        ("  a: {when: {fact: pump_on}, describe: '{level.peak}'}\n", "7: rules.a.describe: no value 'level.peak'"),
    ],
)
def test_fault_is_told_with_line_and_key_when_a_rule_is_wrong(make, rules, message):
    with pytest.raises(ConfigError, match=message):
        make(rules)


@pytest.mark.parametrize(
    ("watcher", "message"),
    [
        ("{kind: sound_levl}", "did you mean 'sound_level'"),
        ("{kind: zone, zone: bench}", "no zone 'bench'"),
        ("{kind: flame, redd: 3}", "did you mean 'red'"),
        ("{kind: flame, red: 300}", "must lie in 0..255"),
    ],
)
def test_fault_is_told_with_line_and_key_when_a_watcher_is_wrong(tmp_path, watcher, message):
    path = tmp_path / "lab.yaml"
    path.write_text(
        f"version: 1\nlab: x\nwatchers:\n  w: {watcher}\nrules: {{a: {{when: {{fact: f}}, describe: x}}}}\n"
    )
    with pytest.raises(ConfigError, match=f"lab.yaml:4: watchers.w.*{message}"):
        load_lab(path)


def test_intent_is_refused_when_the_allow_list_has_none_like_it(tmp_path):
    path = tmp_path / "lab.yaml"
    path.write_text(HEAD + NOISE % ", intent: {name: __intent_stop_devise__}")
    with pytest.raises(ConfigError, match="did you mean '__intent_stop_device__'"):
        load_lab(Path(path), AllowList.load())
