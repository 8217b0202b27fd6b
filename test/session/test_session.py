"""A session around a scripted model: speech, floor, intents, timers, state, metrics."""

import json
import threading
from dataclasses import replace

import numpy as np
import pytest

from tml_ros.clock import ManualClock
from tml_ros.config import declarations
from tml_ros.duplex.protocol import SessionInfo
from tml_ros.duplex.scripted import ScriptedDuplex
from tml_ros.errors import MissingDependencyError
from tml_ros.records import (
    MICRO_TURN_NS,
    AgentState,
    AlertDraft,
    DelegationDraft,
    Floor,
    IntentDraft,
    IntentProposal,
    MicroTurn,
    MicroTurnOutput,
    PlaybackReport,
    PlaybackState,
    SafetyAlert,
    SessionState,
    SpeechCommand,
    SpeechControl,
    SpeechKind,
    SpeechPiece,
    SpeechText,
    StampedImage,
    TextSource,
    TimerDraft,
    TranscriptEvent,
    TurnMetrics,
    UserState,
)
from tml_ros.session import AllowList, InferenceEngine, InteractionConfig, InteractionSession
from tml_ros.session.build import build
from tml_ros.session.names import session_id_for
from tml_ros.session.session import TurnConditions
from tml_ros.speech.queue import UtteranceQueue
from tml_ros.windowing import ClosedWindow, WindowReport

T0 = 1_000_000_000_000
REPORT = WindowReport(0, 0, 0, 0, 0.0, {"received_samples": 3200})


class ScriptedSynthesiser:
    name = "scripted"

    def synthesise(self, text: str) -> np.ndarray:
        return np.full(1600 * len(text.split()), 0.1, np.float32)


def turn(index: int, **fields) -> MicroTurn:
    start = T0 + index * MICRO_TURN_NS
    made = MicroTurn(index, start, start + MICRO_TURN_NS, np.full(3200, 0.5, np.float32), 1.0)
    return replace(made, **fields)


def run(script: dict, turns: int, conditions: dict[int, TurnConditions] | None = None, **fields):
    model = ScriptedDuplex(script)
    queue = UtteranceQueue(ScriptedSynthesiser(), lead_pieces=0)
    session = InteractionSession(SessionInfo("s1", T0), model, queue, AllowList.load())
    chosen = conditions or {}
    records = [session.step(turn(n, **fields), REPORT, chosen.get(n, TurnConditions())) for n in range(turns)]
    return model, session, records


def of(kind: type, records: list) -> list:
    return [record for step in records for record in step if isinstance(record, kind)]


def test_every_turn_ends_with_its_metrics_when_nothing_happens():
    _, _, records = run({}, 3)
    assert [step[-1].window_seq for step in records] == [0, 1, 2]
    assert records[2][-1].counters == {"received_samples": 3200, "model_steps": 3}
    assert len(of(SessionState, records)) == 1


def test_reply_is_spoken_in_pieces_and_transcribed_when_it_is_over():
    script = {1: MicroTurnOutput(Floor.SPEAK, speech=(SpeechText("one two three four five"),))}
    _, _, records = run(script, 8)
    pieces = of(SpeechPiece, records)
    assert [p.window_seq for p in pieces] == [1, 2, 3]
    assert pieces[0].stamp_ns == T0 + 2 * MICRO_TURN_NS
    said = of(TranscriptEvent, records)
    assert [(e.speaker, e.text, e.final) for e in said] == [("robot", "one two three four five", True)]
    assert said[0].end_ns == pieces[0].stamp_ns + 500_000_000
    states = [(s.stamp_ns - T0) // MICRO_TURN_NS for s in of(SessionState, records) if s.agent_since_ns == s.stamp_ns]
    assert states == [1, 2, 5]
    seen = [s.agent_state for s in of(SessionState, records)]
    assert list(dict.fromkeys(seen)) == [AgentState.LISTENING, AgentState.SPEAKING]


def test_model_knows_what_is_being_played_when_no_player_reports():
    script = {0: MicroTurnOutput(Floor.SPEAK, speech=(SpeechText("one two three four"),))}
    model, _, _ = run(script, 5)
    states = [t.playback.state if t.playback else None for t in model.turns]
    assert states[0] is None
    assert states[1:3] == [PlaybackState.PLAYING, PlaybackState.FINISHED]


def test_player_is_believed_when_it_reports():
    report = PlaybackReport(T0, 9, PlaybackState.PLAYING, 77)
    model, _, _ = run({0: MicroTurnOutput(Floor.SPEAK, speech=(SpeechText("one two"),))}, 3, playback=report)
    assert [t.playback for t in model.turns] == [report] * 3


def test_loudspeaker_is_flushed_when_the_model_yields_the_floor():
    script = {
        0: MicroTurnOutput(
            Floor.SPEAK, speech=(SpeechText("One two three four five. Six seven eight nine ten eleven."),)
        ),
        2: MicroTurnOutput(Floor.YIELD, UserState.SPEAKING),
    }
    _, session, records = run(script, 6)
    controls = of(SpeechControl, records)
    assert [(c.command, c.utterance_id, c.stamp_ns) for c in controls] == [
        (SpeechCommand.FLUSH, 0, T0 + 3 * MICRO_TURN_NS)
    ]
    assert max(p.window_seq for p in of(SpeechPiece, records)) == 1
    assert [e.text for e in of(TranscriptEvent, records)] == ["One two three four five."]
    assert session.counters["barge_ins"] == 1


LONG = SpeechText("One two three four five. Six seven eight nine ten. Eleven twelve.")


def test_voice_is_turned_down_and_up_when_the_model_waits_for_what_a_sound_is():
    script = {0: MicroTurnOutput(Floor.SPEAK, speech=(LONG,))} | {n: MicroTurnOutput(Floor.HOLD) for n in (2, 3, 7, 8)}
    _, _, records = run(script, 10)
    found = [(c.command, (c.stamp_ns - T0) // MICRO_TURN_NS - 1) for c in of(SpeechControl, records)]
    assert found == [(SpeechCommand.DUCK, 2), (SpeechCommand.RESUME, 4)]  # at 7 nothing is played any more


def test_voice_is_up_again_for_what_is_not_cut_when_the_floor_is_yielded():
    script = {0: MicroTurnOutput(Floor.SPEAK, speech=(LONG,)), 2: MicroTurnOutput(Floor.HOLD)}
    _, _, records = run(script | {3: MicroTurnOutput(Floor.YIELD)}, 6)
    commands = [c.command for c in of(SpeechControl, records)]
    assert commands == [SpeechCommand.DUCK, SpeechCommand.FLUSH, SpeechCommand.RESUME]


def test_voice_stops_in_the_middle_and_goes_on_there_when_the_model_hushes_it():
    script = {0: MicroTurnOutput(Floor.SPEAK, speech=(LONG,)), 2: MicroTurnOutput(Floor.HOLD)}
    script |= {n: MicroTurnOutput(Floor.HOLD, hushes=True) for n in (3, 4)} | {5: MicroTurnOutput(Floor.HOLD)}
    _, _, records = run(script, 14)
    found = [(c.command, (c.stamp_ns - T0) // MICRO_TURN_NS - 1) for c in of(SpeechControl, records)]
    assert found == [
        (SpeechCommand.DUCK, 2),
        (SpeechCommand.PAUSE, 3),
        (SpeechCommand.RESUME, 5),
        (SpeechCommand.DUCK, 5),
        (SpeechCommand.RESUME, 6),
    ]
    (said,) = of(TranscriptEvent, records)
    _, _, without = run({0: script[0]}, 14)
    (whole,) = of(TranscriptEvent, without)
    assert said.end_ns - whole.end_ns == 2 * MICRO_TURN_NS  # it was silent for two micro-turns and lost nothing


def test_what_was_said_is_known_when_a_hushed_voice_is_cut():
    script = {0: MicroTurnOutput(Floor.SPEAK, speech=(LONG,)), 4: MicroTurnOutput(Floor.YIELD)}
    script |= {n: MicroTurnOutput(Floor.HOLD, hushes=True) for n in (2, 3)}
    _, _, records = run(script, 10)
    assert [c.command for c in of(SpeechControl, records)] == [
        SpeechCommand.PAUSE,
        SpeechCommand.FLUSH,
        SpeechCommand.RESUME,
    ]
    assert [e.text for e in of(TranscriptEvent, records)] == ["One two three four five."]  # not what was due by then


def test_rest_is_said_when_the_interruption_was_none():
    script = {
        0: MicroTurnOutput(Floor.SPEAK, speech=(LONG,)),
        3: MicroTurnOutput(Floor.YIELD),
        6: MicroTurnOutput(resumes=True),
        7: MicroTurnOutput(resumes=True),
    }
    _, session, records = run(script, 14)
    assert [e.text for e in of(TranscriptEvent, records)] == [
        "One two three four five. Six seven eight nine ten.",
        "Six seven eight nine ten. Eleven twelve.",
    ]
    assert session.counters["resumed_utterances"] == 1


@pytest.mark.parametrize(
    "between",
    [
        {5: MicroTurnOutput(speech=(SpeechText("All right."),))},
        {5: MicroTurnOutput(withdraws=True)},
        {5: MicroTurnOutput(delegations=(DelegationDraft("where"),))},
        {60: MicroTurnOutput(resumes=True), 6: MicroTurnOutput()},
    ],
)
def test_rest_is_dropped_when_something_else_is_said_or_done_or_much_time_has_passed(between):
    script = {0: MicroTurnOutput(Floor.SPEAK, speech=(LONG,)), 3: MicroTurnOutput(Floor.YIELD)}
    _, session, _ = run(script | {6: MicroTurnOutput(resumes=True)} | between, 62)
    assert session.counters["resumed_utterances"] == 0


def test_overlap_is_stated_when_both_speak():
    script = {
        0: MicroTurnOutput(Floor.SPEAK, speech=(SpeechText("one two three four five six"),)),
        1: MicroTurnOutput(Floor.SPEAK, UserState.SPEAKING),
    }
    _, _, records = run(script, 3)
    assert [s.overlap for s in of(SessionState, records)] == [False, True, False]


def test_intent_is_proposed_with_expiry_when_it_is_allowed():
    draft = IntentDraft("__intent_move_by__", {"goal": "forward", "other_data": {"distance_m": 10}}, 0.9)
    _, _, records = run({1: MicroTurnOutput(intents=(draft, draft))}, 3)
    first, second = of(IntentProposal, records)
    assert json.loads(first.data) == {"goal": "forward", "other_data": {"distance_m": 10}}
    assert first.expires_ns - first.stamp_ns == 3_000_000_000
    assert first.intent_id != second.intent_id
    _, _, again = run({1: MicroTurnOutput(intents=(draft, draft))}, 3)
    assert [p.intent_id for p in of(IntentProposal, again)] == [first.intent_id, second.intent_id]


@pytest.mark.parametrize(
    ("draft", "reason"),
    [
        (IntentDraft("__intent_rm_rf__", {}), "unknown"),
        (IntentDraft("__intent_move_by__", {"goal": "into the wall"}), "data"),
        (IntentDraft("__intent_move_by__", {"goal": "left", "velocity": 9}), "data"),
        (IntentDraft("__intent_move_by__", {"goal": "left"}, confidence=0.01), "confidence"),
        (IntentDraft("__intent_move_by__", {"goal": "left"}, confidence=float("nan")), "confidence"),
    ],
)
def test_intent_is_refused_and_counted_when_it_is_not_allowed(draft, reason):
    _, session, records = run({0: MicroTurnOutput(intents=(draft,))}, 1)
    assert of(IntentProposal, records) == []
    assert session.counters["rejected_intents"] == session.counters[f"rejected_intents_{reason}"] == 1
    assert records[0][-1].counters["rejected_intents"] == 1


def test_timer_comes_back_as_text_within_one_turn_when_it_is_due():
    script = {1: MicroTurnOutput(timers=(TimerDraft("check the oven", 0.5), TimerDraft("breathe", 0.3, repeat_s=0.4)))}
    model, _, _ = run(script, 8)
    texts = [[(t.text, t.source) for t in seen.texts] for seen in model.turns]
    start = T0 + 2 * MICRO_TURN_NS
    for seen in model.turns:
        assert all(seen.start_ns <= t.stamp_ns < seen.end_ns for t in seen.texts)
    assert texts[4] == [("check the oven", TextSource.TIMER)]
    assert [t.stamp_ns - start for seen in model.turns for t in seen.texts if t.text == "breathe"] == [
        300_000_000,
        700_000_000,
        1_100_000_000,
    ]


def test_timers_are_dropped_and_counted_when_a_model_sets_no_end_of_them():
    many = MicroTurnOutput(timers=tuple(TimerDraft(f"tea {n}", after_s=60.0) for n in range(30)))
    _, session, _ = run(dict.fromkeys(range(5), many), 5)
    assert session.counters["dropped_timers"] == 50


def test_alert_is_published_and_spoken_first_when_the_model_raises_one():
    script = {
        0: MicroTurnOutput(speech=(SpeechText("a b c d e f g h"), SpeechText("later"))),
        1: MicroTurnOutput(
            alerts=(AlertDraft("spill", "There is a spill."),),
            speech=(SpeechText("Watch out.", SpeechKind.ALERT, priority=220),),
        ),
    }
    _, _, records = run(script, 9)
    assert [a.rule for a in of(SafetyAlert, records)] == ["spill"]
    assert list(dict.fromkeys(p.kind for p in of(SpeechPiece, records))) == [SpeechKind.REPLY, SpeechKind.ALERT]
    assert [e.text for e in of(TranscriptEvent, records)][:2] == ["a b c d e f g h", "Watch out."]


def test_microphone_is_silent_for_the_model_when_muted():
    model, session, records = run({}, 2, {1: TurnConditions(mic_muted=True)})
    assert model.turns[0].audio.any()
    assert not model.turns[1].audio.any()
    assert model.turns[1].audio_valid == 0.0
    assert [s.mic_muted for s in of(SessionState, records)] == [False, True]
    assert session.counters["muted_windows"] == 1


def test_replies_are_left_out_but_alerts_are_not_when_shortened():
    output = MicroTurnOutput(speech=(SpeechText("a reply"), SpeechText("an alert", SpeechKind.ALERT)))
    _, session, records = run({0: output}, 1, {0: TurnConditions(degraded=True, shorten=True)})
    assert [p.text for p in of(SpeechPiece, records)] == ["an alert"]
    assert session.counters["shortened_replies"] == 1
    assert of(SessionState, records)[0].degraded


def test_delegation_is_counted_when_no_background_model_is_there():
    _, session, _ = run({0: MicroTurnOutput(delegations=(DelegationDraft("plan lunch"),))}, 1)
    assert session.counters["unserved_delegations"] == 1


def test_own_voice_is_published_as_it_is_when_the_model_brings_it():
    voice = np.linspace(-0.5, 0.5, 4000, dtype=np.float32)
    output = MicroTurnOutput(Floor.SPEAK, speech=(SpeechText("hello"),), audio=voice)
    _, _, records = run({0: output}, 3)
    assert np.array_equal(np.concatenate([p.audio for p in of(SpeechPiece, records)]), voice)


def test_nothing_is_said_when_the_end_of_a_cut_utterance_comes():
    begun = MicroTurnOutput(Floor.SPEAK, speech=(SpeechText("one two three. four five.", last=False),))
    over = MicroTurnOutput(Floor.LISTEN, speech=(SpeechText("", last=True),))
    _, _, records = run({0: begun, 1: MicroTurnOutput(Floor.YIELD), 2: over}, 5)
    assert len({piece.utterance_id for piece in of(SpeechPiece, records)}) == 1
    _, _, records = run({0: begun, 2: over}, 5)
    pieces = of(SpeechPiece, records)
    assert (len({piece.utterance_id for piece in pieces}), pieces[-1].last) == (1, True)


def test_utterance_ends_when_its_end_comes_under_overload():
    begun = MicroTurnOutput(Floor.SPEAK, speech=(SpeechText("hello there. my", last=False),))
    over = MicroTurnOutput(Floor.SPEAK, speech=(SpeechText("friend", last=True),))
    _, session, records = run({0: begun, 1: over}, 10, {1: TurnConditions(shorten=True)})
    assert of(SpeechPiece, records)[-1].last
    assert session.counters["shortened_replies"] == 1
    assert of(SessionState, records)[-1].agent_state is AgentState.LISTENING


def test_alert_is_spoken_when_the_model_never_ends_what_it_says():
    stuck = MicroTurnOutput(Floor.SPEAK, speech=(SpeechText("hello there. my", last=False),))
    alert = MicroTurnOutput(Floor.SPEAK, speech=(SpeechText("a spill", SpeechKind.ALERT, priority=255),))
    _, _, records = run({0: stuck, 10: alert}, 14)
    said = [(piece.kind, piece.last) for piece in of(SpeechPiece, records) if piece.window_seq >= 10]
    assert said and {kind for kind, _ in said} == {SpeechKind.ALERT} and said[-1][1]


def test_nothing_is_published_when_the_own_voice_ends_after_it_was_cut():
    voice = np.full(3200, 0.1, np.float32)
    speaks = MicroTurnOutput(Floor.SPEAK, speech=(SpeechText("hello", last=False),), audio=voice)
    ends = MicroTurnOutput(Floor.YIELD, speech=(SpeechText("", last=True),), audio=voice[:0])
    _, _, records = run({0: speaks, 1: ends}, 5)
    assert len({piece.utterance_id for piece in of(SpeechPiece, records)}) == 1
    assert [event.text for event in of(TranscriptEvent, records)] == ["hello"]


# ------------------------------------------------------------------------------------------------------- engine


def window(index: int, session: int = 0, images: tuple = ()) -> ClosedWindow:
    return ClosedWindow(session, turn(index), images, REPORT)


def engine_for(model: ScriptedDuplex, clock: ManualClock | None = None, **values) -> InferenceEngine:
    config = InteractionConfig(**values)
    return InferenceEngine(model, config, ScriptedSynthesiser(), AllowList.load(), clock or ManualClock(T0))


def metrics(done) -> TurnMetrics:
    return done.records[-1]


def test_new_session_opens_when_the_windows_belong_to_another_or_a_reset_is_asked_for():
    model = ScriptedDuplex({})
    engine = engine_for(model)
    ids = [metrics(engine.process(window(0))).session_id, metrics(engine.process(window(1))).session_id]
    engine.reset()
    ids.append(metrics(engine.process(window(2))).session_id)
    ids.append(metrics(engine.process(window(0, session=1))).session_id)
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    assert ids[0] == session_id_for(T0, 0, 0)
    assert model.closed == 2


def test_failing_model_costs_its_session_only_when_it_raises():
    model = ScriptedDuplex({1: RuntimeError("out of tune")})
    engine = engine_for(model)
    done = [engine.process(window(n)) for n in range(4)]
    assert [metrics(d).window_seq for d in done] == [0, 1, 2, 3]
    assert engine.counters["model_errors"] == 1
    assert len(model.opened) == 2
    assert metrics(done[3]).counters["model_errors"] == 1
    assert any(isinstance(r, SessionState) and r.degraded for r in done[2].records)


def test_missed_deadline_is_counted_when_the_model_is_slow():
    clock = ManualClock(T0 + MICRO_TURN_NS)

    class SlowModel(ScriptedDuplex):
        def step(self, turn):
            clock.advance_ns(250_000_000 if turn.index == 1 else 10_000_000)
            return super().step(turn)

    engine = engine_for(SlowModel({}), clock)
    done = [metrics(engine.process(window(n))) for n in range(3)]
    assert [m.deadline_missed for m in done] == [False, True, False]
    assert done[1].inference_sec == pytest.approx(0.25)


def test_pictures_then_replies_give_way_when_windows_pile_up():
    image = StampedImage(T0, "mono8", b"\1" * 4, 2, 2, 2)
    model = ScriptedDuplex({n: MicroTurnOutput(speech=(SpeechText("hello"),)) for n in range(3)})
    engine = engine_for(model)
    for index, depth in enumerate((0, 2, 5)):
        engine.process(window(index, images=(image,)), depth)
    assert [len(t.frames) for t in model.turns] == [1, 0, 0]
    assert engine.counters["overload_dropped_images"] == 2
    assert all(t.audio.any() for t in model.turns)


def test_broken_picture_is_left_out_and_counted_when_it_cannot_be_decoded():
    bad = StampedImage(T0, "compressed", b"\xff\xd8\xff\xe0 truncated")
    model = ScriptedDuplex({})
    engine = engine_for(model)
    done = engine.process(window(0, images=(bad,)))
    assert model.turns[0].frames == ()
    assert metrics(done).counters["bad_images"] == 1


def test_windows_are_worked_in_order_in_a_thread_when_submitted():
    model = ScriptedDuplex({2: RuntimeError("once")})
    engine = engine_for(model)
    published = []
    engine.start(published.append)
    for index in range(20):
        engine.submit(window(index))
    deadline = 200
    while len(published) < 20 and deadline:
        engine_thread = engine._worker.thread
        engine_thread.join(timeout=0.05)
        deadline -= 1
    engine.stop()
    assert [metrics(d).window_seq for d in published] == list(range(20))
    assert model.closed == len(model.opened)


def test_phrases_are_synthesised_ahead_when_a_live_model_names_some():
    class Talker(ScriptedDuplex):
        phrases = ("Hello there. How are you.", "Yes.")

    class Listening(ScriptedSynthesiser):
        def __init__(self) -> None:
            self.texts = []
            self.is_done = threading.Event()

        def synthesise(self, text):
            self.texts.append(text)
            if len(self.texts) == 3:
                self.is_done.set()
            return super().synthesise(text)

    speech = Listening()
    engine = InferenceEngine(Talker({}), InteractionConfig(), speech, AllowList.load(), ManualClock(T0))
    engine.start(lambda done: None)
    assert speech.is_done.wait(10.0)
    engine.stop()
    assert speech.texts == ["Hello there.", "How are you.", "Yes."]


def test_oldest_window_is_given_up_and_counted_when_the_queue_is_full():
    from tml_ros.session.config import EngineConfig

    engine = engine_for(ScriptedDuplex({}), engine=EngineConfig(queue_windows=2))
    for index in range(5):
        engine.submit(window(index))
    assert engine.counters["dropped_windows"] == 3


def test_broken_publisher_does_not_stop_the_engine_when_it_raises():
    engine = engine_for(ScriptedDuplex({}))
    seen = []

    def publish(done):
        seen.append(done)
        if len(seen) == 1:
            raise RuntimeError("topic gone")

    engine.start(publish)
    for index in range(3):
        engine.submit(window(index))
    for _ in range(200):
        if len(seen) == 3:
            break
        engine._worker.thread.join(timeout=0.05)
    engine.stop()
    assert len(seen) == 3
    assert engine.counters["publish_errors"] == 1


@pytest.mark.parametrize("name", declarations(InteractionConfig)["speech.synthesiser"].choices)
def test_every_synthesiser_that_can_be_chosen_can_be_made(name):
    values = {"model": "silence", "speech.synthesiser": name}
    if name == "piper":  # its voice is a file of the user's; see test/speech/test_piper.py
        with pytest.raises(MissingDependencyError, match=r"speech\.voice is empty"):
            build(values, ManualClock())
        return
    assembly = build(values, ManualClock())
    assert assembly.config.speech.synthesiser == name
    assembly.model.close()
