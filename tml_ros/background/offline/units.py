"""Unit conversions in words: ``how many grams are in two point five kilograms``, ``what is 20 celsius in fahrenheit``.

Units are looked up in pint's registry by their names, alone or combined with ``per``, ``square`` and ``cubic``; nothing
else of what was said reaches pint.
"""

import re
import threading

import pint

from tml_ros.background.offline.amounts import say_number
from tml_ros.background.protocol import Result

__all__ = ["Converter"]

_ASKED = r"(?:(?:hey|okay|robot|please|(?:can|could) you|tell me|and) )*"
_AMOUNT = r"(?P<amount>(?:-|minus )?[0-9]+(?:\.[0-9]+)?)"
_FORMS = tuple(
    re.compile(rf"{_ASKED}{form}(?: please)?")
    for form in (
        rf"(?:convert|change|turn|what is|what's|whats|what are|how much is|how much are)? ?{_AMOUNT} (?P<given>.+?) "
        r"(?:in|to|into|as) (?P<wanted>.+?)",
        r"how (?:many|much) (?P<wanted>.+?) (?:is|are|do|does|make|makes|go|have|has)(?: (?:there|in|into))* "
        rf"{_AMOUNT} (?P<given>.+?)(?: (?:have|make|contain))?",
        rf"how (?:many|much) (?P<wanted>.+?) in {_AMOUNT} (?P<given>.+?)",
        rf"{_AMOUNT} (?P<given>.+?) (?:is|are) how (?:many|much) (?P<wanted>.+?)",
    )
)
_AN = re.compile(r"\b(?:in|to|into|is|are|convert) an? (?=[a-z])")
_TEMPERATURES = {
    "celsius": "degC",
    "centigrade": "degC",
    "fahrenheit": "degF",
    "kelvin": "kelvin",
    "c": "degC",
    "f": "degF",
}
_SAID = {"degC": "degrees Celsius", "degF": "degrees Fahrenheit", "kelvin": "kelvin"}
_POWERS = {"square": 2, "cubic": 3, "squared": 2, "cubed": 3}
_MAX_WORDS = 6


class Converter:
    """The units that there are.

    Thread: any.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # the registry fills caches as it is asked
        self._registry: pint.UnitRegistry[float] = pint.UnitRegistry(autoconvert_offset_to_baseunit=False)
        self._registry.Quantity(1.0, "degC").to("degF")

    def result(self, words: str) -> Result | None:
        """Return a result when the words ask for a conversion. words: as ``amounts.plain`` gives them."""
        words = _AN.sub(lambda found: f"{found[0].split()[0]} 1 ", words)
        for form in _FORMS:
            found = form.fullmatch(words)
            if found is None:
                continue
            with self._lock:
                given, wanted = self._unit(found["given"]), self._unit(found["wanted"])
                if given and wanted:
                    amount = float(found["amount"].replace("minus ", "-"))
                    return self._convert(
                        amount, given, wanted, _said(found["given"], given), _said(found["wanted"], wanted)
                    )
        return None

    def _convert(self, amount: float, given: str, wanted: str, from_words: str, to_words: str) -> Result:
        data = {"kind": "conversion", "amount": amount, "from": given, "to": wanted}
        try:
            value = float(self._registry.Quantity(amount, given).to(wanted).magnitude)
        except pint.PintError:
            words = f"I cannot convert {from_words} to {to_words}; they do not measure the same thing."
            return Result(words, data | {"refused": [words]})
        except (OverflowError, ZeroDivisionError):
            words = "That number is too large for me."
            return Result(words, data | {"refused": [words]})
        numbers = [say_number(number).replace("-", "minus ") for number in (amount, value)]
        report = f"{numbers[0]} {from_words} is {numbers[1]} {to_words}."
        return Result(report[0].upper() + report[1:], data | {"value": value})

    def _unit(self, words: str) -> str:
        """Return an expression for pint; empty when a word is no unit."""
        parts = [word for word in words.split() if word not in ("degree", "degrees", "of")]
        if not 0 < len(parts) <= _MAX_WORDS:
            return ""
        if len(parts) == 1 and parts[0] in _TEMPERATURES:
            return _TEMPERATURES[parts[0]] if len(parts[0]) > 1 or parts[0] != words else ""
        return self._product(parts)

    def _product(self, parts: list[str]) -> str:
        factors: list[str] = []
        sign, power = "", 1
        for part in parts:
            if part == "per" and factors and sign != "/":
                sign = "/"
            elif part in _POWERS and part.endswith("ed") and factors:
                factors.append(f"**{_POWERS[part]}")
            elif part in _POWERS:
                power = _POWERS[part]
            elif part.isascii() and part.isalpha() and self._is_unit(part):
                factors.append(f"{sign}{part}" + (f"**{power}" if power > 1 else ""))
                sign, power = "*", 1
            else:
                return ""
        return "".join(factors) if power == 1 and sign == "*" else ""

    def _is_unit(self, name: str) -> bool:
        try:
            self._registry.get_name(name)
        except (pint.PintError, AttributeError, KeyError, ValueError):
            return False
        return True


def _said(words: str, unit: str) -> str:
    return _SAID.get(unit, words)
