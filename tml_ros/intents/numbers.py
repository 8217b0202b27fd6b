"""English number words from zero to one hundred and back. Knows no ordinals, fractions or signs."""

__all__ = ["MAX_NUMBER", "number_phrases", "number_to_words", "words_to_number"]

MAX_NUMBER = 100
_SMALL = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = dict(
    zip(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], range(20, 100, 10), strict=True)
)


def number_to_words(value: int) -> str:
    """Return ``twenty one`` for 21.

    Raises:
        ValueError: the value lies outside 0..100.
    """
    if not 0 <= value <= MAX_NUMBER:
        raise ValueError(f"number must lie in 0..{MAX_NUMBER}, got {value}")
    if value < len(_SMALL):
        return _SMALL[value]
    if value == MAX_NUMBER:
        return "one hundred"
    tens = next(word for word, worth in _TENS.items() if worth == value // 10 * 10)
    return tens if value % 10 == 0 else f"{tens} {_SMALL[value % 10]}"


_BY_WORDS = {number_to_words(value): value for value in range(MAX_NUMBER + 1)} | {"a hundred": MAX_NUMBER}


def words_to_number(words: str) -> int | None:
    """Return 21 for ``twenty one`` or ``21``, None when the words are no number from 0 to 100."""
    if words.isascii() and words.isdigit():
        value = int(words) if len(words) <= len(str(MAX_NUMBER)) else MAX_NUMBER + 1
        return value if value <= MAX_NUMBER else None
    return _BY_WORDS.get(words)


def number_phrases(low: int, high: int) -> list[str]:
    """Return phrases that cover low..high: ``thirty [one|two|...]`` keeps the recogniser's graph small."""
    phrases = [number_to_words(value) for value in range(low, high + 1) if value < len(_SMALL) or value == MAX_NUMBER]
    for word, worth in _TENS.items():
        units = [_SMALL[unit] for unit in range(1, 10) if low <= worth + unit <= high]
        if low <= worth <= high:
            phrases.append(f"{word} [{'|'.join(units)}]" if units else word)
        elif units:
            phrases.append(f"{word} ({'|'.join(units)})")
    return phrases
