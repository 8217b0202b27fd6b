"""Find phrases anywhere in what was said or typed. The notation is that of intents.yaml, without slots.

What is heard is untrusted: a phrase can state a fact or acknowledge an alert of the rules file, and nothing else.
"""

from collections.abc import Iterable, Iterator

from tml_ros.errors import ConfigError
from tml_ros.intents.grammar import normalise
from tml_ros.intents.phrases import Slot, match, parse_phrase, walk

__all__ = ["Phrases"]

_MOST_WORDS = 60  # an utterance is cut here, so that matching stays cheap whatever is typed


class Phrases:
    """A set of phrases."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Read every phrase.

        Raises:
            ConfigError: one cannot be read, or has a slot.
        """
        self._nodes = tuple(parse_phrase(text) for text in texts)
        if any(isinstance(part, Slot) for node in self._nodes for part in walk(node)):
            raise ConfigError("a phrase here cannot have a {slot}; write its words")

    def found_in(self, text: str) -> bool:
        """Tell whether any of them stands somewhere in a text."""
        words = normalise(text).split()[:_MOST_WORDS]
        return any(end > start for start in range(len(words)) for end in self._ends(words, start))

    def are(self, text: str) -> bool:
        """Tell whether one of them is all of a text."""
        words = normalise(text).split()
        return 0 < len(words) <= _MOST_WORDS and len(words) in self._ends(words, 0)

    def _ends(self, words: list[str], start: int) -> Iterator[int]:
        for node in self._nodes:
            for end, _ in match(node, words, start, {}, lambda *_: iter(())):
                yield end
