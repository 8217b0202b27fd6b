"""Turn the pieces of a streamed reply into words that can be spoken.

Drops Markdown (emphasis, backticks, headings, bullets), folds white space, and takes out what stands between
``<think>`` and ``</think>``. What it returns for the pieces, joined, does not depend on where the reply was cut into
pieces. Links, tables and formulas are left as they are: the prompt asks for plain sentences.
"""

import re
import unicodedata

__all__ = ["SpeakableWords"]

_OPEN, _CLOSE = "<think>", "</think>"
_TAG = re.compile(f"{_OPEN}|{_CLOSE}")
_LINE_MARKS = "#-\u2022"  # marks of Markdown at the beginning of a line only
_UNSPEAKABLE = ("Cc", "Cf", "Cs", "Co", "Cn")


class SpeakableWords:
    """The state of one reply."""

    def __init__(self) -> None:
        self.is_thinking = False  # between the tags
        self._raw = ""  # the end of a piece, which may begin a tag
        self._marks = ""  # a run of one mark, whose meaning depends on the next character
        self._at_line_start = True
        self._gap = False  # white space is due before the next visible character
        self._has_words = False

    def feed(self, piece: str) -> str:
        """Return the words that a piece adds."""
        self._raw += piece
        words = ""
        while found := _TAG.search(self._raw):
            words += self._speak(self._raw[: found.start()])
            self.is_thinking = found.group() == _OPEN
            self._raw = self._raw[found.end() :]
        ready = len(self._raw) - _tag_begun(self._raw)
        words += self._speak(self._raw[:ready])
        self._raw = self._raw[ready:]
        return words

    def end(self) -> str:
        """Return what was held back. More pieces may follow, on a new line."""
        rest = self._speak(self._raw)
        self._raw, self.is_thinking = "", False
        return rest + self._speak("\n")

    def _speak(self, text: str) -> str:
        return "" if self.is_thinking else "".join(map(self._character, text))

    def _character(self, character: str) -> str:
        is_mark = character == "*" or (character in _LINE_MARKS and self._at_line_start)
        if is_mark and self._marks in ("", character * len(self._marks)):
            self._marks += character
            return ""
        words = self._resolve(character)
        if character.isspace():
            self._gap = True
            self._at_line_start = self._at_line_start or character == "\n"
        elif character != "`" and unicodedata.category(character) not in _UNSPEAKABLE:
            words += self._visible(character)
        return words

    def _resolve(self, following: str) -> str:
        """Drop the held marks where they are Markdown, say them where they are not (``3 * 4``, ``-5``)."""
        marks, self._marks = self._marks, ""
        if not marks or (self._at_line_start and following.isspace()):
            return ""
        if marks[0] == "*":
            return self._visible("*") if marks == "*" and self._gap and following.isspace() else ""
        return "".join(map(self._visible, marks))

    def _visible(self, character: str) -> str:
        gap = " " if self._gap and self._has_words else ""
        self._gap, self._at_line_start, self._has_words = False, False, True
        return gap + character


def _tag_begun(text: str) -> int:
    """Return how many characters at the end of a text may begin a tag."""
    start = text.rfind("<", -len(_CLOSE) + 1) if text else -1
    end = text[start:] if start >= 0 else ""
    return len(end) if end and (_OPEN.startswith(end) or _CLOSE.startswith(end)) else 0
