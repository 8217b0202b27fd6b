"""What the model spells, read as sentences of a grammar: the likeliest of them, and how much it costs to believe it.

The tokens of sound are trained to spell what people say (CTC). Letters alone are too often wrong to be read as words;
but of all sentences that the intents file knows, one may be what was nearly spelled. The cost of a sentence is the
logarithm of the likelihood that the letters lose when they have to be that sentence, beside the likeliest letter of
every token. Sentences are read as they come in, in constant time a token. It knows no tensors, and what follows from a
sentence it does not decide.

Source: Graves et al. 2006, connectionist temporal classification; token passing, Young et al. 1989.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tml_ros.intents.graph import WordGraph

__all__ = ["LetterGraph", "Reader", "Reading"]

Scores = NDArray[np.float32]
_Number = TypeVar("_Number", np.float32, np.int32)
_NEVER = -1e4
"""Logarithm of the likelihood of what cannot be."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A sentence, or its beginning. cost: at least 0. tokens: from where it begins to now. letters: how many it has."""

    text: str
    cost: float
    tokens: int
    letters: int


class LetterGraph:
    """The letters of a graph of words, as arrays. Thread: any; nothing changes after construction."""

    def __init__(self, graph: WordGraph, letters: str) -> None:
        """letters: in the order of the symbols, from 1 on; 0 is no letter."""
        spelled = [[1 + letters.index(letter) for letter in word if letter in letters] for word in graph.words]
        self.words = graph.words
        self.symbols = np.array([symbol for each in spelled for symbol in each], np.int64)
        sizes = np.array([len(each) for each in spelled], np.int64)
        self.firsts, self.lasts = np.cumsum(sizes) - sizes, np.cumsum(sizes) - 1
        self.is_double = np.concatenate([[False], self.symbols[1:] == self.symbols[:-1]])
        # words with the same first letter behind the same words are entered alike; the beginning stands behind all
        keys = [(before, each[0]) for before, each in zip(graph.before, spelled, strict=True)]
        groups = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        self.group = np.array([groups[key] for key in keys], np.int64)
        members = [sorted(len(spelled) if place < 0 else place for place in before) for before, _ in groups]
        self.members = np.array([place for each in members for place in each], np.int64)
        self.begins = np.cumsum([0, *map(len, members[:-1])])
        self.counts = np.array([len(each) for each in members], np.int64)
        finals = [*(each[-1] for each in spelled), 0]
        opens = np.repeat([first for _, first in groups], self.counts)
        self.is_repeated = np.array(finals, np.int64)[self.members] == opens
        self.finals = np.array(sorted(graph.lasts), np.int64)
        self.goes_on = np.array(sorted(graph.goes_on), np.int64)


class Reader:
    """Reads one stream. Thread: one caller at a time."""

    def __init__(self, graph: LetterGraph) -> None:
        self._graph = graph
        self.restart()

    def restart(self) -> None:
        """Forget what was read: a sentence may begin now."""
        states = len(self._graph.symbols)
        self._letter, self._blank = (np.full(states, _NEVER, np.float32) for _ in range(2))
        self._letter_from, self._blank_from = (np.full(states, -1, np.int32) for _ in range(2))
        # of each entry into a word: the word before it and the entry of that
        self._entries: list[tuple[NDArray[np.int32], NDArray[np.int32]]] = []
        self._exit = np.full(len(self._graph.words) + 1, _NEVER, np.float32)
        self._exit_from = np.full(len(self._graph.words) + 1, -1, np.int32)
        self._rest, self._rest_from = self._exit.copy(), self._exit_from.copy()
        self.tokens = 0

    def push(self, chances: Scores, skipping: float) -> None:
        """Read a token. chances: [symbols] logarithms. skipping: cost of beginning a sentence at this token."""
        graph = self._graph
        lost = (chances - chances.max()).astype(np.float32)
        self._exit[-1] = -skipping
        # who is entered from where; the same letter again only after a token without one
        offered = np.where(graph.is_repeated, self._rest[graph.members], self._exit[graph.members])
        best = np.maximum.reduceat(offered, graph.begins)
        places = np.where(offered == np.repeat(best, graph.counts), np.arange(len(offered)), -1)
        at = np.maximum.reduceat(places, graph.begins)
        entered, came = best[graph.group], graph.members[at][graph.group].astype(np.int32)
        is_repeated = graph.is_repeated[at][graph.group]
        self._entries.append((came, np.where(is_repeated, self._rest_from[came], self._exit_from[came])))
        # into a letter: from itself, from the blank before it, from the letter before it unless that is the same
        before, before_from = _moved(self._letter, _NEVER), _moved(self._letter_from, -1)
        gap, gap_from = _moved(self._blank, _NEVER), _moved(self._blank_from, -1)
        before = np.where(graph.is_double, _NEVER, before)
        came_score, came_from = np.where(gap > before, gap, before), np.where(gap > before, gap_from, before_from)
        came_score[graph.firsts] = entered
        came_from[graph.firsts] = self.tokens * len(graph.words) + np.arange(len(graph.words))
        stays = self._letter >= came_score
        letter = np.where(stays, self._letter, came_score)
        letter_from = np.where(stays, self._letter_from, came_from)
        closes = self._letter > self._blank
        blank = np.where(closes, self._letter, self._blank) + lost[0]
        blank_from = np.where(closes, self._letter_from, self._blank_from)
        self._letter, self._letter_from = np.maximum(letter + lost[graph.symbols], _NEVER), letter_from
        self._blank, self._blank_from = np.maximum(blank, _NEVER), blank_from
        ends, rests = self._letter[graph.lasts], self._blank[graph.lasts]
        self._rest[:-1], self._rest_from[:-1] = rests, self._blank_from[graph.lasts]
        self._exit[:-1] = np.maximum(ends, rests)
        self._exit_from[:-1] = np.where(rests > ends, self._rest_from[:-1], self._letter_from[graph.lasts])
        self.tokens += 1

    def best(self) -> Reading | None:
        """Return the cheapest whole sentence that ends now, None before there is any."""
        return self._cheapest(self._graph.finals)

    def begun(self) -> Reading | None:
        """Return the cheapest one that is not over, or may go on after its last word; None before there is any."""
        return self._cheapest(self._graph.goes_on)

    def is_inside(self) -> bool:
        """Tell whether it is likelier that a word has begun and is not over than that a sentence has just ended."""
        within = np.maximum(self._letter, self._blank)
        within[self._graph.lasts] = _NEVER
        return bool(within.max(initial=_NEVER) > self._exit[self._graph.finals].max(initial=_NEVER))

    def _cheapest(self, places: NDArray[np.int64]) -> Reading | None:
        graph = self._graph
        if not len(places):
            return None
        number = int(places[int(self._exit[places].argmax())])
        if self._exit[number] <= _NEVER / 2:
            return None
        words, at, entry = list[str](), number, int(self._exit_from[number])
        while True:
            words.append(graph.words[at])
            begin, place = divmod(entry, len(graph.words))
            came, came_from = self._entries[begin]
            at, entry = int(came[place]), int(came_from[place])
            if at == len(graph.words):
                break
        text = " ".join(words[::-1])
        letters = sum(len(word) for word in words)
        return Reading(text, max(0.0, -float(self._exit[number])), self.tokens - begin, letters)


def _moved(values: NDArray[_Number], filler: float) -> NDArray[_Number]:
    """Return values one place further on."""
    moved = np.empty_like(values)
    moved[0], moved[1:] = filler, values[:-1]
    return moved
