"""Suite files: every shipped one loads, what is generated is always the same, and errors say where and what."""

from pathlib import Path

import pytest

from tml_ros.errors import ConfigError, SceneError
from tml_ros.evaluation.generator import GENERATORS, generate
from tml_ros.evaluation.matchers import MATCHERS
from tml_ros.evaluation.scenario import Scenario, Suite, Threshold, find_suite, load_suite, shipped_suites

GOOD = """\
version: 1
suite: example
title: An example
thresholds:
  - {measure: stopped, at_least: 0.5}
scenarios:
  - name: interrupts
    duration_s: 8
    input:
      - {name: question, say: what can you do, at_s: 0.5}
      - name: bid
        say: stop
        send_after: {event: robot_speaks, delay_s: 1.0, since: question}
    faults:
      - {at_s: 1.0, until_s: 1.5, lose: 0.5}
    expect:
      - {stops: true, after: bid.start, within_ms: 700, hit: stopped}
      - intent: {name: __intent_stop_activity__}
        after: bid
"""
SUITES = [*shipped_suites()]


@pytest.fixture(scope="module")
def suites() -> dict[str, Suite]:
    return {name: load_suite(path) for name, path in shipped_suites().items()}


def load(folder: Path, text: str) -> Suite:
    path = folder / "example.yaml"
    path.write_text(text, encoding="utf-8")
    return load_suite(path)


def test_shipped_suites_hold_enough_scenarios_that_are_all_different(suites):
    names = [(suite.name, one.name) for suite in suites.values() for one in suite.scenarios]
    assert len(names) >= 150
    assert len(set(names)) == len(names)
    kinds = "turn_taking pauses barge_in backchannels talking_to_others background_speech time cues delegation safety"
    assert {*kinds.split(), "faults"} <= set(suites)
    assert all(suite.name == name and suite.thresholds for name, suite in suites.items())


@pytest.mark.parametrize("name", SUITES)
def test_every_threshold_bounds_what_the_suite_observes(suites, name):
    suite = suites[name]
    by_kind = {
        "intent": {"intent_accuracy", "slot_accuracy"},
        "alert": {"alert_recall", "alert_delay_s"},
        "listens": {"backchannel_takeover", "backchannel_frequency"},
        "tasks": {"delegation_accuracy"},
    }
    always = {"false_intents_per_hour", "false_alerts_per_hour"}
    observed = {
        measure
        for one in suite.scenarios
        for wanted in one.expectations
        for measure in (*wanted.hit, *wanted.miss, *wanted.latency, *wanted.jitter, *by_kind.get(wanted.kind, ()))
    }
    assert {threshold.measure for threshold in suite.thresholds} <= observed | always


def test_sense_of_time_is_asked_for_by_enough_items_of_which_a_third_is_spoken(suites):
    items = suites["timespeak"].scenarios
    assert len(items) >= 40
    assert sum(one.tags["way"] == "spoken" for one in items) >= len(items) / 3
    hits = [[wanted.kind for wanted in one.expectations if "time_accuracy" in wanted.hit] for one in items]
    assert all(len(kinds) == 1 for kinds in hits)  # content and window of an item: both or nothing


def test_suite_is_the_same_every_time_it_is_made(suites):
    assert load_suite(find_suite("time")) == suites["time"]


def test_scenarios_of_recordings_are_added_when_the_data_are_there(suites, shared_data):
    suite = load_suite(find_suite("barge_in"), shared_data)
    assert suite.scenarios[: len(suites["barge_in"].scenarios)] == suites["barge_in"].scenarios
    assert len(suite.scenarios) > len(suites["barge_in"].scenarios)


@pytest.mark.parametrize("kind", GENERATORS)
def test_generator_gives_as_many_as_are_wanted_and_others_for_another_seed(kind):
    first, again, other = (generate(kind, seed, 3, (), None) for seed in (1, 1, 2))
    assert first == again
    if not kind.startswith("recorded"):
        assert len(first) == 3
        assert first != other


def test_only_suites_about_time_look_at_numbers(suites):
    """A number that is wrong must be found by the suites about time and by no other."""
    for name, suite in suites.items():
        for one in suite.scenarios:
            kinds = {wanted.kind for wanted in one.expectations}
            data = [wanted.wanted.get("data", {}) for wanted in one.expectations if wanted.kind == "intent"]
            numbers = "said_number" in kinds or any("other_data" in slots for slots in data)
            assert name in ("time", "timespeak") or not numbers


def test_good_file_gives_what_it_says(tmp_path):
    suite = load(tmp_path, GOOD)
    assert (suite.name, suite.thresholds) == ("example", (Threshold("stopped", at_least=0.5),))
    (one,) = suite.scenarios
    assert isinstance(one, Scenario)
    assert [item.name for item in one.inputs] == ["question", "bid"]
    assert one.inputs[1].send_after.since == "question"
    assert [wanted.anchor.event for wanted in one.expectations] == ["bid.start", "bid.end"]


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "says"),
    [
        ("stops: true", "stopps: true", 17, "scenarios[0].expect[0].stopps", "did you mean 'stops'"),
        ("duration_s: 8", "duration: 8", 8, "scenarios[0].duration", "did you mean 'duration_s'"),
        ("    duration_s: 8\n", "", 7, "scenarios[0]", "expected the key 'duration_s'"),
        ("hit: stopped", "hit: stoped", 17, "scenarios[0].expect[0].hit", "did you mean 'stopped'"),
        ("measure: stopped", "measure: stop", 5, "thresholds[0].measure", "did you mean 'stopped'"),
        ("event: robot_speaks", "event: robot_speak", 13, "input[1].send_after.event", "did you mean 'robot_speaks'"),
        ("since: question", "since: questoin", 13, "input[1].send_after.since", "did you mean 'question'"),
        ("after: bid.start", "after: bit.start", 17, "expect[0].after", "did you mean 'bid.start'"),
        ("__intent_stop_activity__", "__intent_stop_activty__", 18, "expect[1]", "mean '__intent_stop_activity__'"),
        ("at_s: 0.5", "at_s: 9.5", 10, "input[0].at_s", "less than duration_s"),
        ("at_s: 0.5", "at_s: -1", 10, "input[0].at_s", "at least 0"),
        ("at_s: 0.5", "at_s: soon", 10, "input[0].at_s", "expected number"),
        ("at_s: 0.5", "at_s: .nan", 10, "input[0].at_s", "finite"),
        ("say: stop\n", "sey: stop\n", 12, "input[1].sey", "did you mean 'say'"),
        ("say: stop\n", "say: stop\n        voice: flite:stl\n", 13, "input[1].voice", "slt"),
        ("say: stop\n", "say: stop\n        text: stop\n", 11, "input[1]", "exactly one of the keys say, file"),
        ("say: stop\n", "file: nowhere.wav\n", 12, "input[1].file", "no file 'nowhere.wav'"),
        ("name: bid", "name: question", 11, "input[1].name", "'question' is taken"),
        ("until_s: 1.5", "until_s: 0.5", 15, "faults[0].until_s", "more than at_s"),
        ("lose: 0.5", "loose: 0.5", 15, "faults[0].loose", "did you mean 'lose'"),
        ("within_ms: 700", "within_ms: 700, between: [0, 1]", 17, "expect[0]", "exclude each other"),
        ("within_ms: 700", "between: [2, 1]", 17, "expect[0]", "earlier time first"),
        ("stops: true", "said_like: '('", 17, "expect[0]", "no regular expression"),
        ("    duration_s: 8\n", "    duration_s: 8\n    duration_s: 9\n", 9, "scenarios[0].duration_s", "twice"),
        ("version: 1", "version: 2", 1, "version", "expected 1"),
        ("title: An example", "title: [", 5, "", "not valid YAML"),
    ],
)  # fmt: skip
def test_error_names_file_line_key_and_nearest_name_when_a_file_is_wrong(tmp_path, old, new, line, key, says):
    assert old in GOOD
    with pytest.raises(SceneError) as caught:
        load(tmp_path, GOOD.replace(old, new, 1))
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'example.yaml'}:{line}: ")
    assert key in message and says in message


@pytest.mark.parametrize("text", ["", "[]", "12", "a: &a [*a]", "\x00", "suite: {1: 2}"])
def test_what_is_no_suite_is_refused_with_the_file(tmp_path, text):
    with pytest.raises(SceneError, match=r"example\.yaml"):
        load(tmp_path, text)


def test_generate_names_the_nearest_generator_when_there_is_none(tmp_path):
    text = "version: 1\nsuite: s\ntitle: t\ngenerate:\n  - {kind: turns, count: 2}\n  - {kind: pausess}\n"
    with pytest.raises(SceneError, match=r"example\.yaml:6: generate\[1\]\.kind: no generator .* mean 'pauses'"):
        load(tmp_path, text)


def test_two_scenarios_of_one_name_are_refused(tmp_path):
    with pytest.raises(SceneError, match="two scenarios are named 'interrupts'"):
        load(tmp_path, GOOD + GOOD[GOOD.index("  - name") :])


def test_find_suite_takes_names_and_paths_and_names_the_nearest(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(GOOD)
    assert find_suite(str(path)) == path
    assert find_suite("pauses") == shipped_suites()["pauses"]
    with pytest.raises(ConfigError, match="did you mean 'barge_in'"):
        find_suite("barge-in")


def test_threshold_is_missed_when_nothing_was_measured():
    assert not Threshold("stopped", at_least=0.0).is_met(None)
    assert Threshold("stopped", at_least=0.5).is_met(0.5)
    assert not Threshold("stop_latency_s", at_most=0.5).is_met(0.6)
    assert Threshold("stopped", at_least=0.5, model="cascade*").concerns("cascade fast")
    assert not Threshold("stopped", at_least=0.5, model="cascade*").concerns("native")


def test_page_explains_every_kind_and_its_example_loads(tmp_path, repository):
    page = (repository / "docs" / "scenarios.md").read_text(encoding="utf-8")
    example = page.split("```yaml\n")[1].split("```")[0]
    assert load(tmp_path, example).scenarios[0].name == "cuts_in"
    missing = [name for name in (*MATCHERS, *GENERATORS, *shipped_suites()) if f"`{name}" not in page]
    assert not missing
