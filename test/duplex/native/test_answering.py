"""What the robot says to what was spelled: at once, after a while, or not at all."""

from dataclasses import dataclass

from tml_ros.duplex.native.answering import Answers, Said
from tml_ros.records import DelegationDraft, Floor, SpeechKind, SpeechText

QUIET = Said(Floor.LISTEN)
LEFT = Said(Floor.SPEAK, (SpeechText("Turning left."),))
TASK = DelegationDraft("where is the cup")


@dataclass
class Ear:
    """A listener whose sentence is over when the test says so."""

    sentence: int = 0
    is_heard: bool = True
    is_over: bool = False
    wanted: str | None = None
    trusted: str | None = None

    def reply(self, *, is_wanted):
        return self.wanted if is_wanted else self.trusted


def texts(said):
    return [one.text for one in said.speech]


def test_an_answer_waits_until_the_sentence_is_over():
    ear = Ear()
    answers = Answers(ear)
    held = answers.take(LEFT, is_playing=False)
    assert (held.floor, held.speech) == (Floor.LISTEN, ())
    assert answers.take(QUIET, is_playing=False) == QUIET
    ear.is_over = True
    late = answers.take(QUIET, is_playing=False)
    assert (late.floor, texts(late)) == (Floor.SPEAK, ["Turning left."])
    assert answers.take(QUIET, is_playing=False) == QUIET


def test_an_answer_is_dropped_when_the_sentence_goes_on():
    ear = Ear()
    answers = Answers(ear)
    answers.take(Said(Floor.SPEAK, LEFT.speech, (TASK,)), is_playing=False)
    ear.sentence, ear.is_over = 1, True
    assert answers.take(QUIET, is_playing=False) == QUIET
    assert answers.counters == {"answers_dropped": 1}
    assert texts(answers.take(LEFT, is_playing=False)) == ["Turning left."]


def test_the_words_are_those_that_were_read_when_the_model_wants_to_answer():
    ear = Ear(is_over=True, wanted="Going left.")
    answers = Answers(ear)
    pieces = [SpeechText("Turning", last=False), SpeechText("left.", last=True)]
    first = answers.take(Said(Floor.SPEAK, (pieces[0],), (TASK,)), is_playing=False)
    assert (texts(first), first.tasks) == (["Going left."], (TASK,))
    assert texts(answers.take(Said(Floor.SPEAK, (pieces[1],)), is_playing=True)) == []
    assert answers.take(LEFT, is_playing=False).speech == ()  # one sentence, one answer
    assert answers.counters["answers_read"] == 1


def test_the_own_words_go_on_when_nothing_was_read():
    answers = Answers(Ear(is_over=True))
    pieces = [SpeechText("Turning", last=False), SpeechText("left.", last=True)]
    assert [texts(answers.take(Said(Floor.SPEAK, (one,)), is_playing=False)) for one in pieces] == [
        ["Turning"],
        ["left."],
    ]


def test_a_sentence_is_answered_when_the_model_says_nothing_unless_the_robot_speaks():
    ear = Ear(is_over=True, trusted="Going left.")
    assert Answers(ear).take(QUIET, is_playing=True) == QUIET
    answers = Answers(ear)
    said = answers.take(QUIET, is_playing=False)
    assert (said.floor, texts(said)) == (Floor.SPEAK, ["Going left."])
    assert answers.take(QUIET, is_playing=False) == QUIET


def test_what_has_nothing_to_do_with_a_sentence_is_said_as_it_comes():
    report = Said(Floor.SPEAK, (SpeechText("The pump has stopped."),), (TASK,))
    assert Answers(Ear(is_heard=False)).take(report, is_playing=False) == report
    murmur = Said(Floor.BACKCHANNEL, (SpeechText("Uh-huh.", SpeechKind.BACKCHANNEL),))
    assert Answers(Ear()).take(murmur, is_playing=False) == murmur


def test_what_waits_is_forgotten_when_something_else_is_to_be_said():
    ear = Ear(trusted="Going left.")
    answers = Answers(ear)
    answers.take(LEFT, is_playing=False)
    answers.forget()
    ear.is_over = True
    assert answers.take(QUIET, is_playing=False) == QUIET
    ear.sentence = 1
    assert texts(answers.take(QUIET, is_playing=False)) == ["Going left."]


def test_model_adds_nothing_when_the_session_answers_what_was_asked_of_its_clock():
    answers = Answers(Ear(is_over=True, wanted=""))
    said = Said(Floor.SPEAK, (SpeechText("Good.", last=False),), (TASK,))
    assert answers.take(said, is_playing=False) == QUIET
    assert answers.take(Said(Floor.SPEAK, (SpeechText("", last=True),)), is_playing=False) == QUIET
    assert answers.counters["answers_left_to_the_clock"] == 1
