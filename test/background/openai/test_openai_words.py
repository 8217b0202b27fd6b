"""Words that can be spoken, whatever pieces the reply came in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tml_ros.background.openai.words import SpeakableWords


def spoken(*pieces):
    words = SpeakableWords()
    return "".join(words.feed(piece) for piece in pieces) + words.end()


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("It **is** `cold`.", "It is cold."),
        ("# Result\n\nIt is *very*  cold.\n", "Result It is very cold."),
        ("Take:\n- acid\n* water\n• salt", "Take: acid water salt"),
        ("-5 degrees", "-5 degrees"),
        ("3 * 4 is 12, 2**3", "3 * 4 is 12, 23"),
        ("room #5\n#6", "room #5 #6"),
        ("a\n---\nb", "a b"),
        ("<think>\nhm\n</think>\n\nYes.", "Yes."),
        ("hm</think>Yes. 1 < 2 <thin", "hmYes. 1 < 2 <thin"),
        ("<think>never closed", ""),
        ("bell\x07 and \u200bzero", "bell and zero"),
        ("  \n ", ""),
    ],
)
def test_marks_are_dropped_when_they_are_markdown(written, said):
    assert spoken(written) == said
    assert spoken(*written) == said


@given(st.text(alphabet="<think/>*#-`. \nab5"), st.data())
def test_words_do_not_depend_on_the_pieces(text, data):
    cut = data.draw(st.integers(0, len(text)))
    assert spoken(text[:cut], text[cut:]) == spoken(text) == spoken(*text)


def test_a_space_stands_between_replies_when_there_are_two():
    words = SpeakableWords()
    said = words.feed("Let me look.") + words.end() + words.feed("It is cold.") + words.end()
    assert said == "Let me look. It is cold."
