"""Lengths of time as people say them, and as a robot says them: ``an hour and a half``, ``4 min and ten seconds``.

English only, to the second. What can be heard of it is smaller than what can be read: a recogniser pays for every way
to say something. It knows no clock.
"""

import re
from collections.abc import Iterator, Sequence

from tml_ros.intents.numbers import MAX_NUMBER, number_phrases, number_to_words, words_to_number

__all__ = ["duration_phrases", "match_duration", "say_duration"]

_UNITS = (("hour", 3600.0), ("minute", 60.0), ("second", 1.0))
_UNIT_S = {name: worth for unit, worth in _UNITS for name in (unit, f"{unit}s")} | {
    "sec": 1.0,
    "secs": 1.0,
    "min": 60.0,
    "mins": 60.0,
}
_SHARES = (
    (("half", "a"), 0.5),
    (("half", "an"), 0.5),
    (("a", "half"), 0.5),
    (("a", "quarter", "of", "an"), 0.25),
    (("quarter", "of", "an"), 0.25),
    (("three", "quarters", "of", "an"), 0.75),
    (("a", "couple", "of"), 2.0),
    (("a",), 1.0),
    (("an",), 1.0),
    (("another",), 1.0),
)
_GLUED = re.compile(r"([0-9]{1,5})(s|sec|m|min|h)")
_GLUED_S = {"s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_LONGEST_DIGITS = 5
_MOST_HEARD = 60


def match_duration(words: Sequence[str], at: int) -> Iterator[tuple[int, float]]:
    """Yield every (position after it, seconds) of a duration that begins at ``at``, the longest first."""
    found = list(_parts(words, at, float("inf")))
    yield from sorted(dict(found).items(), reverse=True)


def duration_phrases() -> list[str]:
    """Return phrases for what a recogniser hears of durations."""
    numbers = "|".join(number_phrases(2, _MOST_HEARD))
    return [
        f"({numbers}) (seconds|minutes|hours)",
        "(one|a) (second|minute)",
        "(one|an) hour",
        "half (a minute|an hour)",
        f"({'|'.join(number_phrases(1, 5))}) and a half (minutes|hours)",
    ]


def say_duration(seconds: float) -> str:
    """Return ``four minutes and ten seconds`` for 250, to the nearest second; of more than an hour no seconds."""
    left = max(0, round(seconds))
    if left >= _UNIT_S["hour"]:
        left = round(left / 60) * 60
    parts: list[str] = []
    for unit, worth in _UNITS:
        whole, left = divmod(left, int(worth))
        if whole or (unit == "second" and not parts):
            number = number_to_words(whole) if whole <= MAX_NUMBER else str(whole)
            parts.append(f"{number} {unit}{'' if whole == 1 else 's'}")
    return " and ".join(parts)


def _parts(words: Sequence[str], at: int, below_s: float) -> Iterator[tuple[int, float]]:
    """Yield durations made of a part and, behind it, of smaller ones: ``1 hour and 5 minutes``."""
    for end, amount, unit_s in _part(words, at):
        if unit_s >= below_s:
            continue
        yield end, amount * unit_s
        if tuple(words[end : end + 3]) == ("and", "a", "half"):
            yield end + 3, (amount + 0.5) * unit_s
        follows = end + (end < len(words) and words[end] == "and")
        for last, more_s in _parts(words, follows, unit_s):
            yield last, amount * unit_s + more_s


def _part(words: Sequence[str], at: int) -> Iterator[tuple[int, float, float]]:
    """Yield (position after it, amount, seconds of its unit)."""
    glued = _GLUED.fullmatch(words[at]) if at < len(words) else None
    if glued is not None:
        yield at + 1, float(glued[1]), _GLUED_S[glued[2]]
    for end, amount in _amounts(words, at):
        if end < len(words) and words[end] in _UNIT_S:
            yield end + 1, amount, _UNIT_S[words[end]]


def _amounts(words: Sequence[str], at: int) -> Iterator[tuple[int, float]]:
    for said, share in _SHARES:
        if tuple(words[at : at + len(said)]) == said:
            yield at + len(said), share
    for end in range(min(at + 2, len(words)), at, -1):
        number = _number(" ".join(words[at:end]))
        if number is not None:
            yield end, float(number)
            if tuple(words[end : end + 3]) == ("and", "a", "half"):
                yield end + 3, number + 0.5


def _number(words: str) -> int | None:
    if words.isascii() and words.isdigit() and len(words) <= _LONGEST_DIGITS:
        return int(words)
    return words_to_number(words)
