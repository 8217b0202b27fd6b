"""The scripted background model, and tasks on the time of a bag: run inline, or as they were recorded."""

import json
import threading
import time
from pathlib import Path

import pytest

from tml_ros.background import Cancel, ContextPackage, DelegationRequest, Failure, Outcome, Partial, Progress, Result
from tml_ros.background.inline import InlineBackground
from tml_ros.background.recorded import RecordedBackground, end_event
from tml_ros.background.scripted import ScriptedConfig, ScriptedModel
from tml_ros.errors import ConfigError, InputError
from tml_ros.records import MICRO_TURN_NS, DelegationEvent, DelegationPhase, IntentDraft, TimerDraft

S = 1_000_000_000


def run(model, task="anything"):
    return list(model.run(ContextPackage(task), Cancel()))


def test_first_entry_that_fits_is_played_when_a_task_comes():
    updates = [{"progress": {"stage": "search"}}, {"partial": "Yes"}, {"result": {"report": "Yes."}}]
    model = ScriptedModel.of({"match": "cup", "updates": updates}, {"updates": [{"failure": {"report": "No."}}]})
    assert run(model, "where is the CUP") == [Progress("search"), Partial("Yes"), Result("Yes.")]
    assert run(model, "where is it") == [Failure(Outcome.FAILED, "No.", "")]


def test_script_is_read_when_it_is_a_file(tmp_path):
    (tmp_path / "script.yaml").write_text(
        "tasks: [{match: cup, updates: [{result: {report: Here., contradicts: [3]}}]}]"
    )
    model = ScriptedModel(ScriptedConfig(str(tmp_path / "script.yaml")))
    assert run(model, "cup") == [Result("Here.", contradicts=(3,))]
    assert run(model, "jug")[0].outcome is Outcome.FAILED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tasks: 3", "must hold"),
        ("tasks: [{updates: [{shout: x}]}]", r"tasks\.0.*'shout' is no update"),
        ("tasks: [{match: '(', updates: []}]", r"tasks\.0"),
        ("a: [", "not valid YAML"),
    ],
)
def test_error_names_what_is_wrong_when_a_script_cannot_be_read(tmp_path, text, message):
    path = tmp_path / "script.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        ScriptedModel(ScriptedConfig(str(path)))


def test_error_names_the_file_when_a_script_is_missing():
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        ScriptedModel(ScriptedConfig("nowhere.yaml"))


def test_model_that_hangs_stops_when_it_is_cancelled():
    cancel = Cancel()
    threading.Timer(0.05, cancel.set).start()
    began = time.monotonic()
    assert list(ScriptedModel.of({"updates": [{"hang": True}]}).run(ContextPackage("x"), cancel)) == []
    assert time.monotonic() - began < 5


# --------------------------------------------------------------------------------------------------------- inline


def port_for(*updates, **package):
    port = InlineBackground(ScriptedModel.of({"updates": list(updates)}), latency_s=0.5)
    port.start(DelegationRequest("d1", ContextPackage("x", **package)), 10 * S)
    return port


def test_updates_come_at_their_time_when_a_model_runs_inline():
    port = port_for({"after_s": 1.0, "partial": "a"}, {"after_s": 3600.0, "result": {"report": "b"}}, budget_s=1e4)
    assert port.updates(11 * S) == ()
    assert [news.update for news in port.updates(12 * S)] == [Partial("a")]
    assert port.updates(3611 * S) == ()
    (last,) = port.updates(3612 * S)
    assert (last.delegation_id, last.stamp_ns, last.update) == ("d1", round(3611.5 * S), Result("b"))


def test_task_times_out_when_its_budget_is_used_up():
    (news,) = port_for({"after_s": 3.0, "result": {"report": "b"}}, budget_s=2.0).updates(100 * S)
    assert news.update.outcome is Outcome.TIMED_OUT
    assert news.stamp_ns == round(12.5 * S)


def test_nothing_comes_when_a_task_was_cancelled():
    port = port_for({"result": {"report": "b"}})
    port.cancel("d1")
    assert port.updates(100 * S) == ()


def test_failure_comes_when_the_model_raises():
    class BrokenModel:
        name = "broken"

        def run(self, package, cancel):
            yield Progress("go")
            raise RuntimeError("boom")

        def close(self):
            pass

    port = InlineBackground(BrokenModel())
    port.start(DelegationRequest("d1", ContextPackage("x")), 0)
    progress, failure = (news.update for news in port.updates(S))
    assert progress == Progress("go")
    assert (failure.outcome, failure.error) == (Outcome.FAILED, "boom")


# ------------------------------------------------------------------------------------------------------- recorded


@pytest.mark.parametrize(
    "end",
    [
        Failure(Outcome.TIMED_OUT, "Too long.", "30 s"),
        Result(
            "Here.",
            {"a": [1]},
            (IntentDraft("__intent_turn_by__", {"goal": "left"}, 0.5, priority=7),),
            (TimerDraft("tea", 180.0, 60.0),),
            (3, 4),
        ),
    ],
)
def test_end_of_a_task_comes_back_when_it_was_recorded(end):
    text, outcome, result_json = end_event(end)
    requested = DelegationEvent(0, "s", 10, "s/1", DelegationPhase.REQUESTED, task="find it")
    ended = DelegationEvent(
        0, "s", 13, "s/1", DelegationPhase.ENDED, text=text, outcome=outcome, result_json=result_json
    )
    port = RecordedBackground([requested, ended])
    port.start(DelegationRequest("other/9", ContextPackage("find it")), 100 * S)
    assert port.updates(100 * S + 2 * MICRO_TURN_NS) == ()
    (news,) = port.updates(100 * S + 3 * MICRO_TURN_NS)
    assert (news.delegation_id, news.update) == ("other/9", end)


def test_what_json_has_not_becomes_text_when_it_is_recorded():
    assert json.loads(end_event(Result("Here.", {"where": Path("shelf")}))[2])["data"] == {"where": "shelf"}


@pytest.mark.parametrize("text", ["", "[]", '{"data": 1}', '{"intents": [{"x": 1}]}'])
def test_error_names_the_task_when_its_record_cannot_be_read(text):
    with pytest.raises(InputError, match=r"task 's/1' cannot be read"):
        RecordedBackground([DelegationEvent(0, "s", 1, "s/1", DelegationPhase.ENDED, result_json=text)])
