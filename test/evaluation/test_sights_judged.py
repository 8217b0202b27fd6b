"""What a model says of pictures is held against their truth: in time, late, of nothing, or an answer."""

import pytest

from tml_ros.evaluation.skills.sights import judged
from tml_ros.evaluation.skills.subject import Draft, Suggested
from tml_ros.records import AlertDraft, SpeechText
from tml_ros.sights import PHRASES, SightEvent, SightKind

FLAME = SightEvent(SightKind.FLAME, 4.0, 6.0)


def suggested(raised: list[tuple[float, SightKind]], said: list[tuple[float, str]]) -> Suggested:
    drafts = tuple(Draft(at_s, AlertDraft(f"seen_{kind}", PHRASES[kind]), True) for at_s, kind in raised)
    return Suggested(drafts, 20.0, tuple((at_s, SpeechText(words)) for at_s, words in said))


@pytest.mark.parametrize(("at_s", "late_s", "false"), [(4.4, 0.4, 0), (4.8, None, 0), (3.8, None, 1), (8.2, None, 1)])
def test_warning_counts_when_it_is_in_time_and_is_false_before_and_long_after(at_s, late_s, false):
    told, wrong = judged([FLAME], suggested([(at_s, SightKind.FLAME)], []))
    assert told == (("flame", late_s),) and len(wrong) == false


def test_warning_that_is_raised_and_said_at_once_is_one():
    at_s = 9.0
    phrase = PHRASES[SightKind.FLAME]
    assert judged([], suggested([(at_s, SightKind.FLAME)], [(at_s, phrase)]))[1] == ((at_s, phrase),)
    assert len(judged([], suggested([(at_s, SightKind.FLAME)], [(at_s + 0.4, phrase)]))[1]) == 2


def test_answer_to_a_request_is_no_warning_and_other_words_are_false():
    words = [(0.4, "Good."), (0.6, PHRASES[SightKind.FLAME]), (9.0, "Good.")]
    assert judged([], suggested([], words), answered_s=2.2)[1] == (words[1], words[2])
    assert len(judged([], suggested([], words))[1]) == 3
