"""The words of a grammar as places that follow each other, for whoever reads it from left to right.

A place is one word at one place of one phrase, slots written out: what may come first, what may follow it, and whether
a phrase may end with it. It knows neither sound nor letters.

Source: Glushkov 1961, automata without empty steps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tml_ros.intents.phrases import Choice, Maybe, Node, Slot, Word

__all__ = ["WordGraph", "word_graph"]


@dataclass(frozen=True, slots=True)
class WordGraph:
    """words: of every place. before: the places that may stand before each, -1: the beginning. lasts: how it ends.

    goes_on: the places behind which the phrase is not over, or may go on and mean something else then.
    """

    words: tuple[str, ...]
    before: tuple[frozenset[int], ...]
    lasts: frozenset[int]
    goes_on: frozenset[int]


def word_graph(node: Node, forms: Callable[[str], Sequence[Node]], after: Sequence[Node] = ()) -> WordGraph:
    """Return the graph of a phrase. forms: how each slot type is spoken. after: what may follow and changes nothing."""
    words: list[str] = []
    before: list[frozenset[int]] = []

    def follow(one: Node, ends: frozenset[int]) -> frozenset[int]:
        """Write down the places of a node that comes behind ``ends``; return where it may end."""
        if isinstance(one, Word):
            words.append(one.text)
            before.append(ends)
            return frozenset({len(words) - 1})
        if isinstance(one, Maybe):
            return ends | follow(one.item, ends)
        if isinstance(one, Choice):
            return frozenset().union(*(follow(item, ends) for item in one.items))
        if isinstance(one, Slot):
            return frozenset().union(*(follow(item, ends) for item in forms(one.type)))
        for item in one.items:
            ends = follow(item, ends)
        return ends

    lasts = follow(node, frozenset({-1}))
    goes_on = frozenset().union(*before) - {-1}
    for item in after:
        lasts = follow(item, lasts)
    return WordGraph(tuple(words), tuple(before), lasts - {-1}, goes_on)
