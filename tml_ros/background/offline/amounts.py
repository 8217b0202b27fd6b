"""Numbers and durations as people say them, and numbers as a robot says them.

``two hundred fifty`` is 250, ``two and a half hours`` 9000 s. It knows English only.
"""

import re

from text_to_num import alpha2digit

__all__ = ["plain", "say_duration", "say_number", "seconds"]

_HALVES = (
    (re.compile(r"\bpoint (?:oh|o)\b"), "point zero"),
    (re.compile(r"\b(?:a )?half an? hour\b"), "30 minutes"),
    (re.compile(r"\b(?:a )?quarter of an hour\b"), "15 minutes"),
    (re.compile(r"\bthree quarters of an hour\b"), "45 minutes"),
    (re.compile(r"\b(?:a )?half a minute\b"), "30 seconds"),
    (re.compile(r"\b(an?|one) (hour|minute) and a half\b"), r"1.5 \2"),
    (re.compile(r"\band a half\b"), "point five"),
    (re.compile(r"\b(?:a )?half (?:a|an|of an?)\b"), "0.5"),
    (re.compile(r"\ba hundred\b"), "one hundred"),
    (re.compile(r"\ba thousand\b"), "one thousand"),
    (re.compile(r"\ban? (hour|minute|second)\b"), r"1 \1"),
)
_POINT_FIVE = re.compile(r"\b([0-9]+) point 5\b")
_SECOND, _SEC = re.compile(r"\bsecond\b"), re.compile(r"\bsec\b")
_UNIT_S = {"second": 1.0, "minute": 60.0, "min": 60.0, "hour": 3600.0}
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?) (second|minute|min|hour)s?")
_DURATION = re.compile(rf"{_DURATION_PART.pattern}(?: (?:and )?{_DURATION_PART.pattern}){{0,2}}")
_THOUSANDS = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")
_GLUED = re.compile(r"([0-9])([a-z%])")
_NOT_SAID = re.compile(r"[^a-z0-9'.+\-*/^()%\u00d7\u00f7]+|(?<![0-9])\.(?![0-9])|\.(?![0-9])|(?<=[a-z])-(?=[a-z])")


def plain(text: str) -> str:
    """Return words in lower case, numbers in digits and the signs of arithmetic, without punctuation."""
    text = " ".join(
        _NOT_SAID.sub(
            " ", _GLUED.sub(r"\1 \2", _THOUSANDS.sub("", text.lower().replace("\u00b0", " degrees ")))
        ).split()
    )
    for pattern, said in _HALVES:
        text = pattern.sub(said, text)
    read = alpha2digit(_SECOND.sub("sec", text), "en", threshold=0)  # it would take "second" for an ordinal
    return _POINT_FIVE.sub(r"\1.5", _SEC.sub("second", read))


def seconds(text: str) -> float | None:
    """Return the length of a duration in digits, such as ``1 hour and 30 minutes``; None when it is none."""
    if _DURATION.fullmatch(text) is None:
        return None
    return sum(float(amount) * _UNIT_S[unit] for amount, unit in _DURATION_PART.findall(text))


def say_number(value: float) -> str:
    """Return a number with at most six significant digits, very large and very small ones as powers of ten."""
    rounded = float(f"{value:.6g}")
    if rounded == 0 or 1e-6 <= abs(rounded) < 1e15:
        if isinstance(value, int):
            return str(value)
        return f"{rounded:.12f}".rstrip("0").rstrip(".")
    mantissa, _, exponent = f"{rounded:.5e}".partition("e")
    power = f"minus {-int(exponent)}" if int(exponent) < 0 else str(int(exponent))
    return f"{mantissa.rstrip('0').rstrip('.')} times ten to the power of {power}"


def say_duration(seconds_: float) -> str:
    """Return ``1 hour and 30 minutes`` for 5400."""
    left, parts = seconds_, []
    for unit, worth in (("hour", 3600), ("minute", 60)):
        whole, left = divmod(left, worth)
        if whole:
            parts.append(f"{int(whole)} {unit}{'' if whole == 1 else 's'}")
    if left or not parts:
        parts.append(f"{say_number(left)} second{'' if left == 1 else 's'}")
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
