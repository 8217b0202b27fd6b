"""What the background model finds, worked into the talk: a scripted person and a scripted background model."""

import json

import numpy as np
import pytest

from tml_ros.background import DelegationUpdate, Progress, Result
from tml_ros.background.inline import InlineBackground
from tml_ros.background.scripted import ScriptedModel
from tml_ros.duplex.protocol import SessionInfo
from tml_ros.duplex.scripted import ScriptedDuplex
from tml_ros.intents import AllowList
from tml_ros.records import (
    MICRO_TURN_NS,
    AgentState,
    DelegationDraft,
    Floor,
    IntentDraft,
    IntentProposal,
    MicroTurn,
    MicroTurnOutput,
    SessionState,
    SpeechKind,
    SpeechPiece,
    SpeechText,
    TextInput,
    TextSource,
    TranscriptEvent,
    UserState,
)
from tml_ros.session import InteractionSession
from tml_ros.session.config import DelegationConfig
from tml_ros.session.session import TurnConditions
from tml_ros.speech.queue import UtteranceQueue
from tml_ros.windowing import WindowReport

T0 = 1_700_000_000_000_000_000
REPORT = WindowReport(0, 0, 0, 0, 0.0, {})
LEFT = {"intent": "__intent_turn_by__", "data": {"goal": "left"}}
BRING = {"intent": "__intent_bring_object__", "data": {"object": "cup", "recipient": "speaker"}}
SPEAKING = UserState.SPEAKING


class ScriptedSynthesiser:
    """Every word takes a tenth of a second."""

    name = "scripted"

    def synthesise(self, text: str) -> np.ndarray:
        return np.full(1600 * len(text.split()), 0.1, np.float32)


class RecordingPort:
    """Keeps what it was told, gives what the test puts in."""

    def __init__(self):
        self.started, self.cancelled, self.news = [], [], []

    def start(self, request, now_ns):
        self.started.append(request)

    def cancel(self, delegation_id):
        self.cancelled.append(delegation_id)

    def updates(self, now_ns):
        news, self.news = tuple(self.news), []
        return news


def ask(task: str, **fields) -> MicroTurnOutput:
    return MicroTurnOutput(delegations=(DelegationDraft(task, **fields),))


def turn(index: int, texts=()) -> MicroTurn:
    start = T0 + index * MICRO_TURN_NS
    return MicroTurn(index, start, start + MICRO_TURN_NS, np.zeros(3200, np.float32), 1.0, texts=tuple(texts))


def session_of(model: ScriptedDuplex, port=None, **config) -> InteractionSession:
    queue = UtteranceQueue(ScriptedSynthesiser(), lead_pieces=0)
    return InteractionSession(SessionInfo("s1", T0), model, queue, AllowList.load(), DelegationConfig(**config), port)


def inline(*tasks) -> InlineBackground:
    return InlineBackground(ScriptedModel.of(*tasks), latency_s=0.0)


def talk(script, tasks=(), turns=40, texts=None, port=None, **config):
    """Run a session and return all records, each step's by itself, and the session."""
    session = session_of(ScriptedDuplex(script), port or inline(*tasks), **config)
    steps = [session.step(turn(index, (texts or {}).get(index, ())), REPORT) for index in range(turns)]
    return steps, session


def spoken(steps):
    """Return (micro-turn, kind, words) of every utterance that was begun."""
    found = {}
    for index, records in enumerate(steps):
        for record in records:
            if isinstance(record, SpeechPiece):
                at, kind, text = found.get(record.utterance_id, (index, record.kind, ""))
                found[record.utterance_id] = (at, kind, f"{text} {record.text}".strip())
    return list(found.values())


def proposals(steps):
    return [(n, r) for n, records in enumerate(steps) for r in records if isinstance(r, IntentProposal)]


def result(report="The answer.", after_s=0.0, **fields):
    return {"after_s": after_s, "result": {"report": report, **fields}}


def counter(steps, name):
    return steps[-1][-1].counters.get(name, 0)


# ------------------------------------------------------------------------------------------------------- results


def test_result_is_spoken_when_the_floor_is_free():
    steps, _ = talk({2: ask("where is it")}, [{"match": "where", "updates": [result(after_s=1.0)]}])
    assert spoken(steps) == [(7, SpeechKind.BACKGROUND, "The answer.")]


def test_result_waits_when_the_person_speaks():
    script = {2: ask("where")} | {n: MicroTurnOutput(user_state=SPEAKING) for n in range(4, 20)}
    steps, _ = talk(script, [{"match": "where", "updates": [result(after_s=0.6)]}])
    assert spoken(steps) == [(20, SpeechKind.BACKGROUND, "The answer.")]


def test_result_waits_when_the_robot_speaks():
    script = {
        2: MicroTurnOutput(
            Floor.SPEAK, speech=(SpeechText("one two three four five six"),), delegations=(DelegationDraft("where"),)
        )
    }
    steps, _ = talk(script, [{"match": "where", "updates": [result()]}])
    assert [(kind, text) for _, kind, text in spoken(steps)] == [
        (SpeechKind.REPLY, "one two three four five six"),
        (SpeechKind.BACKGROUND, "The answer."),
    ]
    assert spoken(steps)[1][0] >= 5


def test_result_waits_when_compute_is_short():
    session = session_of(ScriptedDuplex({2: ask("where")}), inline({"updates": [result(after_s=0.6)]}))
    steps = [session.step(turn(n), REPORT, TurnConditions(shorten=n < 9)) for n in range(20)]
    assert spoken(steps) == [(9, SpeechKind.BACKGROUND, "The answer.")]


@pytest.mark.parametrize("urgent", [{"priority": 220}, {}], ids=["task", "result"])
def test_result_does_not_wait_when_it_is_urgent(urgent):
    script = {2: ask("where", **urgent)} | {n: MicroTurnOutput(user_state=SPEAKING) for n in range(3, 30)}
    data = {} if urgent else {"urgent": True}
    steps, _ = talk(script, [{"match": "where", "updates": [result(after_s=0.6, data=data)]}])
    assert spoken(steps)[0][:2] == (5, SpeechKind.BACKGROUND)


def test_result_is_dropped_when_the_floor_is_never_free():
    script = {2: ask("where")} | {n: MicroTurnOutput(user_state=SPEAKING) for n in range(3, 40)}
    steps, _ = talk(script, [{"updates": [result()]}], result_ttl_s=3.0)
    assert spoken(steps) == []
    assert counter(steps, "expired_background_results") == 1


def test_sentences_are_spoken_as_they_come_when_the_report_streams():
    updates = [
        {"after_s": 0.4, "partial": "It is here. And"},
        {"after_s": 2.0, "partial": " it is there."},
        result("It is here. And it is there."),
    ]
    steps, _ = talk({2: ask("where")}, [{"updates": updates}])
    assert spoken(steps) == [
        (4, SpeechKind.BACKGROUND, "It is here."),
        (14, SpeechKind.BACKGROUND, "And it is there."),
    ]


def test_robot_corrects_itself_when_the_report_differs_from_what_it_streamed():
    updates = [{"partial": "It is here. And"}, result("It is not here.", after_s=2.0)]
    steps, _ = talk({2: ask("where")}, [{"updates": updates}])
    assert [(kind, text) for _, kind, text in spoken(steps)] == [
        (SpeechKind.BACKGROUND, "It is here."),
        (SpeechKind.CORRECTION, "Correction: It is not here."),
    ]


def test_long_report_ends_after_a_sentence_when_it_is_spoken():
    steps, _ = talk({2: ask("where")}, [{"updates": [result("One two three. " * 40)]}], max_spoken_chars=50, turns=60)
    assert spoken(steps)[0][2] == "One two three. One two three. One two three."


def test_model_is_told_when_a_result_was_spoken():
    model = ScriptedDuplex({2: ask("where")})
    session = session_of(model, inline({"updates": [result()]}))
    for index in range(8):
        session.step(turn(index), REPORT)
    told = [(one.index, text.text) for one in model.turns for text in one.texts]
    assert told == [(4, "The answer.")]
    assert model.turns[4].texts[0].source is TextSource.BACKGROUND


# ------------------------------------------------------------------------------------------------------- fillers


def test_filler_is_spoken_when_both_have_been_silent():
    steps, _ = talk({2: ask("where")}, [{"updates": [result(after_s=20.0)]}], turns=80, filler_repeat_s=4.0)
    fillers = [(at, text) for at, kind, text in spoken(steps) if kind is SpeechKind.FILLER]
    assert fillers[0] == (12, "One moment, please.")
    assert [text for _, text in fillers[1:]] == ["I am still working on that."] * 3
    assert fillers[1][0] - fillers[0][0] >= 20


def test_filler_says_what_is_being_done_when_the_model_told_it():
    updates = [{"progress": {"stage": "search", "status_text": "I am looking it up."}}, result(after_s=9.0)]
    steps, _ = talk({2: ask("where")}, [{"updates": updates}])
    assert spoken(steps)[0] == (12, SpeechKind.FILLER, "I am looking it up.")


def test_filler_is_never_spoken_over_the_person():
    script = {2: ask("where")} | {n: MicroTurnOutput(user_state=SPEAKING) for n in range(3, 39)}
    steps, _ = talk(script, [{"updates": [result(after_s=60.0)]}])
    assert spoken(steps) == []


def test_filler_is_not_repeated_when_the_person_cut_it_short():
    cut = MicroTurnOutput(Floor.YIELD, user_state=SPEAKING)
    steps, _ = talk({2: ask("where"), 13: cut}, [{"updates": [result(after_s=25.0)]}], turns=140, filler_repeat_s=4.0)
    assert [(kind, text) for _, kind, text in spoken(steps)] == [
        (SpeechKind.FILLER, "One moment, please."),
        (SpeechKind.BACKGROUND, "The answer."),
    ]


def test_report_is_gone_on_with_when_the_person_only_coughed():
    report = {"match": "where", "updates": [result("One two three four five. Six seven eight nine.", after_s=1.0)]}
    script = {2: ask("where"), 11: MicroTurnOutput(Floor.YIELD), 14: MicroTurnOutput(resumes=True), 20: ask("when")}
    steps, session = talk(script, [report, {"updates": [result("Noon.", after_s=1.0)]}])
    words = [text for _, kind, text in spoken(steps) if kind is SpeechKind.BACKGROUND]
    assert words == ["One two three four five. Six seven eight nine.", "Six seven eight nine.", "Noon."]
    assert session.counters["withdrawn_delegations"] == 0  # the next request is no substitute for what was cut


# ----------------------------------------------------------------------------------------------------- corrections


def test_robot_corrects_itself_when_a_result_contradicts_what_it_said():
    script = {
        2: MicroTurnOutput(Floor.SPEAK, speech=(SpeechText("It is left."),), delegations=(DelegationDraft("where"),))
    }
    steps, _ = talk(script, [{"updates": [result("It is right.", after_s=2.0, contradicts=[1, 77])]}])
    pieces = [r for records in steps for r in records if isinstance(r, SpeechPiece) and r.kind is SpeechKind.CORRECTION]
    assert pieces[0].text == "Correction: It is right."
    assert pieces[0].revises == 1
    assert counter(steps, "corrections") == 1


def test_intents_are_withdrawn_before_they_expire_when_what_they_rest_on_was_wrong():
    script = {
        2: MicroTurnOutput(
            Floor.SPEAK,
            speech=(SpeechText("I bring the cup."),),
            intents=(IntentDraft(BRING["intent"], BRING["data"]),),
            delegations=(DelegationDraft("check"),),
        )
    }
    steps, _ = talk(script, [{"updates": [result("There is no cup.", after_s=2.0, contradicts=[1])]}])
    (at, first), (later, second) = proposals(steps)
    assert (at, later) == (2, 12)
    assert second.intent_id == first.intent_id
    assert first.expires_ns > second.stamp_ns >= second.expires_ns
    assert counter(steps, "withdrawn_intents") == 1


def test_words_are_not_said_when_they_turn_out_wrong_before_their_turn():
    script = {
        2: MicroTurnOutput(speech=(SpeechText("one two three four five six seven eight nine ten"),)),
        3: MicroTurnOutput(speech=(SpeechText("It is left.", priority=100),), delegations=(DelegationDraft("where"),)),
    }
    steps, _ = talk(script, [{"updates": [result("It is right.", after_s=0.2, contradicts=[2])]}])
    assert "It is left." not in [text for _, _, text in spoken(steps)]


def test_nothing_is_corrected_when_the_utterance_was_never_said():
    steps, _ = talk({2: ask("where")}, [{"updates": [result("It is right.", contradicts=[5])]}])
    assert spoken(steps) == [(3, SpeechKind.BACKGROUND, "It is right.")]


# --------------------------------------------------------------------------------------------- plans and proposals


def test_plan_is_proposed_in_order_with_its_words_when_a_result_brings_one():
    steps, _ = talk({2: ask("go")}, [{"updates": [result("I will.", after_s=0.4, intents=[LEFT, BRING])]}])
    (_, words), plan = spoken(steps)[0][1:], proposals(steps)
    assert words == "I will."
    assert [(at, p.intent) for at, p in plan] == [(4, LEFT["intent"]), (4, BRING["intent"])]
    assert all(p.requires_confirmation for _, p in plan)
    holds = [(p.expires_ns - p.stamp_ns) / 1e9 for _, p in plan]
    assert holds == [3.0, 23.0]  # the second step waits for the first


def test_whole_plan_is_refused_in_words_when_a_step_is_not_allowed():
    intents = [LEFT, {"intent": "__intent_rm_rf__", "data": {}}]
    steps, _ = talk({2: ask("go")}, [{"updates": [result("I will.", intents=intents)]}])
    assert proposals(steps) == []
    assert spoken(steps)[-1][2] == "But I am not allowed to do that."
    assert counter(steps, "rejected_plans") == 1


def test_timer_runs_when_a_result_brings_one():
    timer = {"text": "Check it.", "after_s": 1.0}
    model = ScriptedDuplex({2: ask("remind me")})
    session = session_of(model, inline({"updates": [result("Okay.", timers=[timer])]}))
    for index in range(12):
        session.step(turn(index), REPORT)
    timers = [t.index for t in model.turns for text in t.texts if text.source is TextSource.TIMER]
    assert timers == [9]


# ------------------------------------------------------------------------------------- withdrawn, replaced, stale


def test_nothing_is_said_or_proposed_when_the_question_was_withdrawn():
    script = {2: ask("where"), 5: MicroTurnOutput(withdraws=True)}
    steps, _ = talk(script, [{"updates": [result(after_s=2.0, intents=[LEFT])]}])
    assert spoken(steps) == []
    assert proposals(steps) == []
    assert counter(steps, "withdrawn_delegations") == 1


def test_proposals_of_a_plan_are_withdrawn_when_the_person_withdraws_it():
    script = {2: ask("go"), 8: MicroTurnOutput(withdraws=True)}
    steps, _ = talk(script, [{"updates": [result("I will.", intents=[BRING])]}])
    assert [(at, not p.is_withdrawn) for at, p in proposals(steps)] == [(3, True), (8, False)]


def test_port_is_told_when_a_task_is_withdrawn_and_its_late_result_is_counted():
    port = RecordingPort()
    _, session = talk({2: ask("where"), 5: MicroTurnOutput(withdraws=True)}, port=port, turns=7)
    assert port.cancelled == [port.started[0].delegation_id]
    port.news = [DelegationUpdate(port.started[0].delegation_id, T0, Progress("late"))]
    session.step(turn(7), REPORT)
    assert session.counters["stale_background_updates"] == 1


def test_result_of_another_session_is_dropped_when_it_comes_late():
    port = RecordingPort()
    port.news = [DelegationUpdate("an-earlier-session/1", T0, Progress("late"))]
    steps, _ = talk({}, port=port, turns=3)
    assert spoken(steps) == []
    assert counter(steps, "stale_background_updates") == 1


def test_first_end_of_a_task_holds_when_another_one_comes():
    port = RecordingPort()
    session = session_of(ScriptedDuplex({2: ask("where")}), port)
    steps = [session.step(turn(index), REPORT) for index in range(3)]
    only = port.started[0].delegation_id
    port.news = [DelegationUpdate(only, T0, Result(report)) for report in ("The first.", "The second.")]
    steps += [session.step(turn(index), REPORT) for index in range(3, 12)]
    assert [text for _, _, text in spoken(steps)] == ["The first."]
    assert counter(steps, "stale_background_updates") == 1


def test_open_tasks_are_cancelled_when_the_session_ends():
    port = RecordingPort()
    _, session = talk({2: ask("where")}, port=port, turns=5)
    session.close()
    assert port.cancelled == [port.started[0].delegation_id]


def test_new_request_takes_the_place_of_the_old_one_when_the_person_says_so():
    port = RecordingPort()
    talk({2: ask("where is a"), 6: ask("where is b", replaces=True)}, port=port, turns=9)
    assert port.cancelled == [port.started[0].delegation_id]
    assert port.started[1].package.task == "where is b"


def test_new_request_takes_the_place_of_the_old_one_when_the_person_cut_in_on_it():
    port = RecordingPort()
    cut = MicroTurnOutput(Floor.YIELD, user_state=SPEAKING)
    talk({2: ask("where is a"), 13: cut, 18: ask("where is b")}, port=port, turns=25)
    assert port.cancelled == [port.started[0].delegation_id]


def test_both_are_worked_on_when_a_second_question_changes_nothing():
    port = RecordingPort()
    steps, _ = talk({2: ask("where is a"), 6: ask("where is b")}, port=port, turns=9)
    assert port.cancelled == []
    state = [r for records in steps for r in records if isinstance(r, SessionState)][-1]
    assert state.active_delegations == tuple(request.delegation_id for request in port.started)
    assert state.agent_state is AgentState.THINKING


def test_plan_is_withdrawn_when_the_person_cuts_in_with_another_one():
    tasks = [{"match": "two", "updates": [result("I will do this and that and more of it.", intents=[BRING])]}]
    tasks += [{"match": "three", "updates": [result("I will.", intents=[LEFT])]}]
    cut = MicroTurnOutput(Floor.YIELD, user_state=SPEAKING)
    steps, _ = talk({2: ask("station two"), 5: cut, 8: ask("station three")}, tasks)
    made = [(at, p.intent, not p.is_withdrawn) for at, p in proposals(steps)]
    assert made == [(3, BRING["intent"], True), (8, BRING["intent"], False), (9, LEFT["intent"], True)]


def test_rest_of_a_report_is_left_out_when_the_person_cuts_in():
    updates = [{"partial": "One two three four. Five"}, result("One two three four. Five six.", after_s=3.0)]
    cut = MicroTurnOutput(Floor.YIELD, user_state=SPEAKING)
    steps, _ = talk({2: ask("where"), 4: cut}, [{"updates": updates}])
    assert [text for _, _, text in spoken(steps)] == ["One two three four."]
    assert counter(steps, "silenced_results") == 1


# ------------------------------------------------------------------------------------------------------- failures


def test_robot_says_so_when_a_task_fails():
    failure = {"after_s": 1.0, "failure": {"report": "I cannot reach it.", "error": "refused"}}
    steps, _ = talk({2: ask("where")}, [{"updates": [failure]}])
    assert spoken(steps) == [(7, SpeechKind.BACKGROUND, "I cannot reach it.")]
    assert counter(steps, "failed_delegations") == 1


def test_robot_says_so_when_nobody_is_there_to_ask():
    session = session_of(ScriptedDuplex({0: ask("where")}))
    steps = [session.step(turn(index), REPORT) for index in range(5)]
    assert spoken(steps)[0][2] == "I have nobody to ask at the moment."
    assert session.counters["unserved_delegations"] == 1


def test_robot_says_so_when_too_much_is_asked_at_once():
    script = {n: ask(f"where {n}") for n in range(4)}
    steps, _ = talk(script, [{"updates": [result(after_s=30.0)]}], max_open=3)
    assert spoken(steps)[0][2].startswith("I am still busy")
    assert counter(steps, "refused_delegations") == 1


def test_model_that_hangs_ends_when_its_budget_is_used_up():
    steps, _ = talk({2: ask("where")}, [{"updates": [{"hang": True}]}], budget_s=2.0)
    assert spoken(steps)[-1][2] == "Sorry, that took me too long."


# -------------------------------------------------------------------------------------------------------- context


def test_task_carries_the_conversation_when_it_is_sent():
    port = RecordingPort()
    heard = TranscriptEvent("user", "where is the cup", True, 0.7, T0, T0 + 1)
    script = {
        1: MicroTurnOutput(transcripts=(heard,), speech=(SpeechText("one two three four five six seven eight"),)),
        4: MicroTurnOutput(Floor.YIELD, user_state=SPEAKING),
        6: ask("where is it"),
    }
    typed = {5: (TextInput(T0 + 5 * MICRO_TURN_NS, "the red one"),)}
    talk(script, port=port, texts=typed, turns=8, robot="a small arm", facts=("goggles_on=true",))
    context = port.started[0].package.context
    assert context["robot"] == "a small arm"
    assert context["facts"]["goggles_on"] is True
    user, robot, again = context["conversation"]
    assert (user["text"], user["untrusted"], user["confidence"]) == ("where is the cup", True, 0.7)
    assert (robot["utterance_id"], robot["interrupted"], robot["kind"]) == (1, True, "reply")
    assert robot["heard"] == "one two three four five six seven eight"  # one clause: it had begun
    assert again["text"] == "the red one" and again["untrusted"]
    json.dumps(context)
