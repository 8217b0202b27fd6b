"""Fill replies and intent data with slot values.

A data template is JSON in which the string ``{slot}`` stands for the slot's value; a role whose slot was not said is
left out. A reply template is text in which ``[...]`` goes when a slot in it was not said and ``(s)`` is the plural of
the number before it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tml_ros.intents.numbers import number_to_words

__all__ = ["fill_data", "fill_reply", "placeholders"]

_SLOT = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_BRACKET = re.compile(r"\[([^\[\]]*)\]")


def fill_data(template: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the template with slot values; roles without a value, and groups without a role, are left out."""
    filled: dict[str, Any] = {}
    for key, item in template.items():
        if isinstance(item, Mapping):
            group = fill_data(item, values)
            if group:
                filled[key] = group
            continue
        slot = _SLOT.fullmatch(item) if isinstance(item, str) else None
        if slot is None:
            filled[key] = item
        elif slot[1] in values:
            filled[key] = values[slot[1]]
    return filled


def fill_reply(template: str, values: Mapping[str, Any]) -> str:
    """Return the reply as it is spoken, numbers as words."""
    kept = _BRACKET.sub(lambda part: part[1] if set(_SLOT.findall(part[1])) <= set(values) else "", template)
    plural = "" if 1 in [values.get(slot) for slot in _SLOT.findall(kept)] else "s"
    return _SLOT.sub(lambda slot: _spoken(values.get(slot[1], "")), kept).replace("(s)", plural)


def placeholders(template: Any) -> Iterator[str]:
    """Yield the slot names that a reply or data template uses."""
    if isinstance(template, str):
        yield from _SLOT.findall(template)
    elif isinstance(template, Mapping):
        for item in template.values():
            yield from placeholders(item)


def _spoken(value: Any) -> str:
    return number_to_words(value) if isinstance(value, int) else str(value).replace("_", " ")
