"""Utterances in clauses and pieces, in order, ahead of the loudspeaker by a set time."""

import numpy as np

from tml_ros.errors import SynthesisError
from tml_ros.records import MICRO_TURN_NS, PlaybackState, SpeechKind, SpeechText
from tml_ros.speech.queue import UtteranceQueue

T0 = 1_000_000_000


class ScriptedSynthesiser:
    """0.1 s of sound per word, every sample the number of the call."""

    name = "scripted"

    def __init__(self) -> None:
        self.texts: list[str] = []

    def synthesise(self, text: str) -> np.ndarray:
        self.texts.append(text)
        return np.full(1600 * len(text.split()), len(self.texts), np.float32)


class BrokenSynthesiser:
    name = "broken"

    def synthesise(self, text: str) -> np.ndarray:
        raise SynthesisError("no voice")


def take_all(queue: UtteranceQueue, turns: int = 40) -> list:
    return [piece for n in range(turns) for piece in queue.take(T0 + n * MICRO_TURN_NS, "s", n)]


def test_pieces_are_contiguous_and_end_once_when_an_utterance_is_spoken():
    queue = UtteranceQueue(ScriptedSynthesiser(), lead_pieces=0)
    queue.say(SpeechText("one two three four five"))
    pieces = take_all(queue)
    assert [len(p.audio) for p in pieces] == [3200, 3200, 1600]
    assert [p.first_sample for p in pieces] == [0, 3200, 6400]
    assert [p.last for p in pieces] == [False, False, True]
    assert [p.stamp_ns for p in pieces] == [T0, T0 + MICRO_TURN_NS, T0 + 2 * MICRO_TURN_NS]
    assert [p.text for p in pieces] == ["one two three four five", "", ""]


def test_lead_is_sent_ahead_when_it_is_set():
    queue = UtteranceQueue(ScriptedSynthesiser(), lead_pieces=2)
    queue.say(SpeechText("a b c d e f g h i j k l"))
    assert [len(queue.take(T0 + n * MICRO_TURN_NS, "s", n)) for n in range(4)] == [3, 1, 1, 1]


def test_later_clauses_are_synthesised_only_when_they_are_due():
    synthesiser = ScriptedSynthesiser()
    queue = UtteranceQueue(synthesiser, lead_pieces=0)
    queue.say(SpeechText("One two three four five six. Seven eight nine ten eleven twelve."))
    queue.take(T0, "s", 0)
    assert synthesiser.texts == ["One two three four five six."]
    assert len(take_all(queue)) == 5
    assert synthesiser.texts[1:] == ["Seven eight nine ten eleven twelve."]


def test_deltas_form_one_utterance_when_the_model_speaks_word_by_word():
    queue = UtteranceQueue(ScriptedSynthesiser(), lead_pieces=0)
    for word in ("Good ", "morning. ", "How "):
        queue.say(SpeechText(word, last=False))
    first = queue.take(T0, "s", 0)
    assert [p.text for p in first] == ["Good morning."]
    assert not first[0].last
    queue.say(SpeechText("are you?", last=True))
    rest = queue.take(T0 + MICRO_TURN_NS, "s", 1) + queue.take(T0 + 2 * MICRO_TURN_NS, "s", 2)
    assert {p.utterance_id for p in first + rest} == {1}
    assert rest[0].text == "How are you?"
    assert rest[-1].last


def test_flush_cuts_what_is_not_played_and_says_what_was_when_the_person_speaks():
    queue = UtteranceQueue(ScriptedSynthesiser(), lead_pieces=0)
    queue.say(SpeechText("One two three four. Five six seven eight. Nine ten eleven twelve."))
    queue.take(T0, "s", 0)
    queue.take(T0 + MICRO_TURN_NS, "s", 1)
    queue.take(T0 + 2 * MICRO_TURN_NS, "s", 2)
    cut = queue.flush(T0 + 2 * MICRO_TURN_NS + 100_000_000)
    assert [s.text for s in cut] == ["One two three four. Five six seven eight."]
    assert cut[0].interrupted
    assert cut[0].end_ns == T0 + 500_000_000
    assert take_all(queue) == []
    assert queue.playback(T0 + 3 * MICRO_TURN_NS) is None


def test_rest_begins_with_the_clause_that_was_cut_when_it_is_asked_for():
    queue = UtteranceQueue(ScriptedSynthesiser(), lead_pieces=0)
    first = queue.say(SpeechText("One two three four. Five six seven eight. Nine ten."))
    second = queue.say(SpeechText("Eleven twelve.", SpeechKind.BACKGROUND, priority=100))
    queue.say(SpeechText("Fire!", SpeechKind.ALERT, interruptible=False))
    for number in range(4):
        queue.take(T0 + number * MICRO_TURN_NS, "s", 0)
    queue.flush(T0 + 5 * MICRO_TURN_NS - 1)
    assert queue.take_cut() == []  # the alert is still to be said
    queue = UtteranceQueue(ScriptedSynthesiser(), lead_pieces=0)
    queue.say(SpeechText("One two three four. Five six seven eight. Nine ten."))
    queue.say(SpeechText("Eleven twelve.", SpeechKind.BACKGROUND, priority=100))
    for number in range(3):
        queue.take(T0 + number * MICRO_TURN_NS, "s", 0)
    queue.flush(T0 + 2 * MICRO_TURN_NS + 100_000_000)
    assert queue.take_cut() == [
        (first, SpeechText("Five six seven eight. Nine ten.")),
        (second, SpeechText("Eleven twelve.", SpeechKind.BACKGROUND, priority=100)),
    ]
    assert queue.take_cut() == []


def test_rest_is_not_said_when_it_has_turned_out_wrong():
    queue = UtteranceQueue(ScriptedSynthesiser(), lead_pieces=0)
    wrong = queue.say(SpeechText("It is left. Go there now."))
    queue.take(T0, "s", 0)
    queue.flush(T0 + MICRO_TURN_NS)
    queue.withdraw(wrong)
    assert queue.take_cut() == []


def test_nothing_is_left_when_an_utterance_was_over_or_in_the_voice_of_the_model():
    queue = UtteranceQueue(ScriptedSynthesiser(), lead_pieces=0)
    queue.say(SpeechText("One two."))
    queue.take(T0, "s", 0)
    queue.flush(T0 + MICRO_TURN_NS)
    assert queue.take_cut() == []
    queue.say_audio(SpeechText("One two three."), np.ones(9600, np.float32))
    queue.take(T0 + MICRO_TURN_NS, "s", 1)
    queue.flush(T0 + 2 * MICRO_TURN_NS - 1)
    assert queue.take_cut() == []


def test_uninterruptible_speech_stays_when_flushed():
    queue = UtteranceQueue(ScriptedSynthesiser())
    queue.say(SpeechText("Fire in zone two.", SpeechKind.ALERT, interruptible=False))
    assert queue.flush(T0) == []
    assert take_all(queue)[-1].last


def test_urgent_speech_goes_first_when_others_wait():
    queue = UtteranceQueue(ScriptedSynthesiser(), lead_pieces=0)
    queue.say(SpeechText("First reply of the robot."))
    queue.say(SpeechText("Second reply of it."))
    queue.take(T0, "s", 0)
    alert = queue.say(SpeechText("Spill!", SpeechKind.ALERT, priority=220))
    order = list(dict.fromkeys(p.utterance_id for p in take_all(queue)))
    assert order == [1, alert, 2]


def test_playback_follows_the_pieces_when_no_player_reports():
    queue = UtteranceQueue(ScriptedSynthesiser(), lead_pieces=0)
    queue.say(SpeechText("one two three"))
    assert queue.playback(T0) is None
    queue.take(T0, "s", 0)
    queue.take(T0 + MICRO_TURN_NS, "s", 1)
    report = queue.playback(T0 + MICRO_TURN_NS)
    assert (report.state, report.samples_played) == (PlaybackState.PLAYING, 3200)
    assert queue.playback(T0 + 300_000_000).state is PlaybackState.FINISHED
    assert [s.text for s in queue.finished(T0 + 300_000_000)] == ["one two three"]
    assert queue.finished(T0 + 300_000_000) == []


def test_everything_comes_later_when_the_loudspeaker_was_held_for_a_micro_turn():
    queue = UtteranceQueue(ScriptedSynthesiser(), lead_pieces=1)
    queue.say(SpeechText("one two three four five six"))
    queue.take(T0, "s", 0)
    queue.delay(T0 + MICRO_TURN_NS)
    assert queue.take(T0 + MICRO_TURN_NS, "s", 1) == []  # the lead is still there
    assert [p.stamp_ns for p in queue.take(T0 + 2 * MICRO_TURN_NS, "s", 2)] == [T0 + 3 * MICRO_TURN_NS]
    assert queue.finished(T0 + 3 * MICRO_TURN_NS + 1) == []
    (said,) = queue.finished(T0 + 4 * MICRO_TURN_NS)
    assert said.end_ns == T0 + 4 * MICRO_TURN_NS


def test_words_are_published_without_sound_when_the_synthesiser_fails():
    queue = UtteranceQueue(BrokenSynthesiser())
    queue.say(SpeechText("Can you hear me? Hello."))
    pieces = take_all(queue)
    assert [p.text for p in pieces] == ["Can you hear me? Hello."]
    assert pieces[0].last
    assert queue.counters["synthesis_failures"] >= 1
