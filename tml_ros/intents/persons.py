"""What somebody says of himself, as a robot says it to him: ``call my sister`` becomes ``call your sister``."""

from collections.abc import Iterable

__all__ = ["as_other_person"]

_OTHER_PERSON = {
    "my": "your",
    "me": "you",
    "i": "you",
    "i'm": "you are",
    "mine": "yours",
    "myself": "yourself",
    "am": "are",
}


def as_other_person(words: Iterable[str]) -> str:
    """Return words in lower case as a text, ``my``, ``me`` and their like turned round."""
    return " ".join(_OTHER_PERSON.get(word, word) for word in words)
