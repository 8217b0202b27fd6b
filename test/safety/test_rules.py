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
from tml_ros.safety.kept import read_kept, write_kept

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


@pytest.mark.parametrize("jump", [-10_000, 10_000])
def test_alert_keeps_its_name_when_the_clock_jumps(make, jump):
    monitor = make(NOISE.replace("clear_after_s: 0.4", "clear_after_s: 1") % "")
    turns = [turn(index, [], LOUD) for index in range(3)] + [turn(jump + index, []) for index in range(6)]
    alerts = [alert for one in turns for alert in monitor.step(one).alerts]
    assert [alert.state for alert in alerts] == [AlertState.RAISED, AlertState.CLEARED]
    assert len({alert.alert_id for alert in alerts}) == 1


# --------------------------------------------------------------------------------------------------------- restart

ACKNOWLEDGED = ", acknowledge: {within_s: 60}"


def restarted(make, rules: str, monitor: SafetyMonitor, path: Path) -> SafetyMonitor:
    """What a monitor left behind, taken up by another one."""
    write_kept(path, monitor.kept)
    again = make(rules)
    again.restore(read_kept(path))
    return again


@pytest.mark.parametrize("away", [10, -10_000, 10_000_000], ids=["a while", "clock set back", "clock set ahead"])
def test_open_alert_is_told_again_under_its_name_when_the_monitor_starts_again(make, tmp_path, away):
    before = make(NOISE % ACKNOWLEDGED)
    (raised,) = [alert for index in range(3) for alert in before.step(turn(index, [], LOUD)).alerts]
    monitor = restarted(make, NOISE % ACKNOWLEDGED, before, tmp_path / "open.json")
    output = monitor.step(turn(3 + away, []))
    assert [(one.alert_id, one.state) for one in output.alerts] == [(raised.alert_id, AlertState.UPDATED)]
    assert [one.text for one in output.say] == ["It is loud."]
    assert [a for index in range(4, 30) for a in monitor.step(turn(index + away, [])).alerts] == []  # nobody saw it end
    assert said(monitor, 31 + away, "understood") == [AlertState.ACKNOWLEDGED]
    assert run(monitor, [None] * 4, at=32 + away)[-1][1] == AlertState.CLEARED


def test_open_alert_ends_by_itself_after_a_restart_when_its_condition_was_seen_again(make, tmp_path):
    before = make(NOISE % ACKNOWLEDGED)
    run(before, [LOUD] * 3)
    monitor = restarted(make, NOISE % ACKNOWLEDGED, before, tmp_path / "open.json")
    assert run(monitor, [LOUD] * 3 + [None] * 3, at=10) == [(10, AlertState.UPDATED), (14, AlertState.CLEARED)]


def test_facts_and_answers_outlive_a_restart(make, tmp_path):
    rules = "  pump: {when: {fact: pump_on}, describe: x, acknowledge: {within_s: 1, again_s: 1}}\n"
    before = make(rules)
    assert said(before, 0, "the pump is on") == [AlertState.RAISED]
    assert said(before, 1, "understood") == [AlertState.ACKNOWLEDGED]
    monitor = restarted(make, rules, before, tmp_path / "open.json")
    output = monitor.step(turn(10, []))
    assert [one.state for one in output.alerts] == [AlertState.UPDATED] and output.say == ()
    assert run(monitor, [None] * 20, at=11) == []  # answered already, so it is not said again
    assert said(monitor, 40, "the pump is off") == [] and run(monitor, [None] * 6, at=41)[0][1] == AlertState.CLEARED


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"version": 2}',
        '{"version": 1, "lab": "test bench", "at_ns": 1, "facts": {}, "alerts": {"a": 1}}',
    ],
)
def test_watching_goes_on_when_the_state_file_is_damaged(make, tmp_path, caplog, text):
    (tmp_path / "open.json").write_text(text)
    monitor = make(NOISE % "")
    monitor.restore(read_kept(tmp_path / "open.json"))
    assert run(monitor, [LOUD] * 3) == [(1, AlertState.RAISED)]
    assert "cannot be read, alerts that were open are forgotten" in caplog.text


def test_state_file_is_refused_when_its_folder_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"safety.state_file .* cannot be written"):
        read_kept(tmp_path / "file" / "open.json")


def test_state_file_is_for_its_owner_only(make, tmp_path):
    monitor = make(NOISE % "")
    run(monitor, [LOUD] * 3)
    write_kept(tmp_path / "open.json", monitor.kept)
    assert (tmp_path / "open.json").stat().st_mode & 0o077 == 0
    assert list(read_kept(tmp_path / "open.json").alerts) == ["noise"]


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


FAULTY = """version: 1
lab: x
zones: {bench: [[0, 0], [1, 0], [1, 1]]}
watchers:
  level: {kind: sound_level, loud_db: 20}
  area: {kind: zone, zone: bensh}
  odd: {kind: smell}
facts: {hot: {true_when: ["(x"]}}
rules:
  a: {when: {value: level.loud, above: 1}, describe: "{level.loudness}", say: "{odd.smell}"}
  b: {when: {all: [{fact: of}, {value: odd.smell, above: 1}]}, describe: x}
"""


def test_every_fault_is_told_with_line_and_key_when_there_are_several(tmp_path):
    path = tmp_path / "lab.yaml"
    path.write_text(FAULTY)
    with pytest.raises(ConfigError) as told:
        load_lab(path)
    places = [":".join(line.split(":")[1:3]).strip() for line in str(told.value).splitlines()]
    assert places == [
        "5: watchers.level.loud_db", "6: watchers.area.zone", "7: watchers.odd.kind", "8: facts.hot.true_when[0]",
        "10: rules.a.describe", "10: rules.a.when.value", "11: rules.b.when.all[0].fact",
    ]  # fmt: skip


def test_every_fault_of_the_layout_is_told_when_there_are_several(tmp_path):
    path = tmp_path / "lab.yaml"
    path.write_text(
        "version: 1\nlab: x\nwatchers: {level: {kind: sound_level}}\nrules:\n"
        "  a: {when: {value: level.bang, above: high}, describe: x, sevrity: danger, colour: red}\n"
        "  b: {when: {fact: y}}\n"
    )
    with pytest.raises(ConfigError) as told:
        load_lab(path)
    lines = str(told.value).splitlines()
    assert [line.split(":")[1] for line in lines] == ["5", "5", "5", "6"]
    assert "rules.a.sevrity: unknown key 'sevrity'; did you mean 'severity'?" in lines[0] and "colour" in lines[1]
    assert "rules.a.when.above: got 'high'" in lines[2] and "rules.b: got" in lines[3]


def test_intent_is_refused_when_the_allow_list_has_none_like_it(tmp_path):
    path = tmp_path / "lab.yaml"
    path.write_text(HEAD + NOISE % ", intent: {name: __intent_stop_devise__}")
    with pytest.raises(ConfigError, match="did you mean '__intent_stop_device__'"):
        load_lab(Path(path), AllowList.load())
