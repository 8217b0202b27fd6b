"""Bring what a free recogniser writes into the words of the grammar: ``Station 2, please!``: ``station two please``.

Letters of every script stay. Knows no grammar; numbers beyond one hundred stay digits.
"""

import re
import unicodedata

from tml_ros.intents.numbers import MAX_NUMBER, number_to_words

__all__ = ["spoken_words"]

_ASIDE = re.compile(r"\[[^\]]*\]|\([^)]*\)|<[^>]*>|\*[^*]*\*")  # [BLANK_AUDIO], (laughs), <unk>
_NUMBER = re.compile(r"(?<![\w.,])\d{1,3}(?![\w]|[.,]\d)")
_SIGNS = str.maketrans({"’": "'", "‘": "'", "°": " degrees ", "%": " percent "})  # noqa: RUF001
_NOT_A_WORD = re.compile(r"[^\w'.,]+|[.,](?!\d)|(?<!\d)[.,]|_")


def spoken_words(text: str) -> str:
    """Return the words in lower case, one space apart, without punctuation and remarks in brackets."""
    plain = unicodedata.normalize("NFC", text).translate(_SIGNS).lower()
    plain = _NUMBER.sub(_in_words, _ASIDE.sub(" ", plain))
    return " ".join(_NOT_A_WORD.sub(" ", plain).split())


def _in_words(number: re.Match[str]) -> str:
    value = int(number.group())
    return number_to_words(value) if value <= MAX_NUMBER else number.group()
