"""What is said of an alert: templates with the numbers of watchers in them, as they are spoken.

``{hood.people}`` is a watcher's value: whole numbers as words, others with one digit. A value that is not known is left
out. It knows neither rules nor speech.
"""

import re
from collections.abc import Iterator, Mapping

from tml_ros.intents.numbers import MAX_NUMBER, number_to_words

__all__ = ["Wording", "placeholders"]

_PLACE = re.compile(r"\{([a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)?)\}")


class Wording:
    """Fills templates. values: by ``watcher.value``. names: other words to put in."""

    def __init__(self, values: Mapping[str, float | None], names: Mapping[str, str] | None = None) -> None:
        self._values = values
        self._names = dict(names or {})

    def fill(self, template: str) -> str:
        """Return the text with everything put in that is known."""
        text = _PLACE.sub(lambda found: self._spoken(found[1]), template)
        return " ".join(text.split())

    def _spoken(self, name: str) -> str:
        if name in self._names:
            return self._names[name]
        value = self._values.get(name)
        if value is None:
            return ""
        if abs(value) < 10 and round(value, 1) != round(value):
            return f"{value:.1f}"
        whole = round(value)
        return number_to_words(whole) if 0 <= whole <= MAX_NUMBER else str(whole)


def placeholders(template: str) -> Iterator[str]:
    """Yield the names that a template uses."""
    yield from _PLACE.findall(template)
