"""Two witnesses of a command: the intent that the model puts out, and the sentence that its own letters nearly spell.

Letters are read as sentences of the grammar (``reading``) from one silence to the next. When the model puts out an
intent, or when a sentence has been over for a moment without one, the two are weighed: what both say is likelier than
what one says, and where they differ the better founded one wins. It knows no tensors and no session.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tml_ros.duplex.native.markup import as_timer
from tml_ros.duplex.native.reading import LetterGraph, Reader, Reading
from tml_ros.intents.file import IntentSpec
from tml_ros.intents.grammar import Grammar, Meaning
from tml_ros.records import IntentDraft, TimerDraft

__all__ = ["Draft", "Listener", "Witness", "weighed"]

Draft = IntentDraft | TimerDraft

_SETTLED = 6
"""So many tokens of 40 ms without a letter, and what the model put out is looked at: before, a sentence may go on."""
_PATIENCE_TURNS = 5
"""So many micro-turns, and it is looked at in any case."""
_OVER = 20
"""So many, and a sentence counts without an intent of the model's, which has mostly come by then."""
_APART = 25
"""So many, and what was spelled before has nothing to do with what comes."""
_MOST_TOKENS = 750
_SKIPPED_COST = 3.0
"""Cost of a letter that is left out before a sentence."""
_A_LETTER, _A_COST, _A_SENTENCE = 0.6, 0.4, -0.8
"""What speaks for a sentence, in logarithms of odds: so much each letter, so much of its cost, so much in any case."""
_UNSAID = -4.0
"""Odds of an intent that the model has not put out."""
_UNSPELLED = -1.0
"""What speaks against an intent of which no letter tells."""
_LEAST = 0.05
"""What is less sure is not worth telling."""
_TIMER_FROM = 0.5
"""So sure a timer must be that is only spelled: nobody asks later how sure it was."""
_A_TIMER = 0.7
"""How sure the model is taken to be of a timer: it does not say."""
_ANSWERED = 50
"""For so many tokens without a letter, what comes of a sentence that something has come of already is left out."""


@dataclass(frozen=True, slots=True)
class Witness:
    """What there is to weigh. reading, meaning: what was spelled; said: what the model put out; None: nothing."""

    reading: Reading | None
    meaning: Meaning | None
    said: Draft | None


class Listener:
    """Follows one stream. counters: what the model put out and was left out or read otherwise.

    Thread: one caller at a time.
    """

    def __init__(self, grammar: Grammar, graph: LetterGraph, specs: Mapping[str, IntentSpec]) -> None:
        """specs: give intents their priority."""
        self._grammar, self._reader, self._specs = grammar, Reader(graph), specs
        self._letters = self._last = 0
        self._quiet = _APART
        self._is_read = True
        self._answered = _ANSWERED  # tokens since something came of a sentence
        self._waiting: list[Draft] = []
        self._waited = 0  # micro-turns
        self.counters: Counter[str] = Counter()

    def hear(self, chances: NDArray[np.float32]) -> None:
        """Take in tokens. chances: [n, symbols] logarithms, the first of no letter."""
        for token in chances:
            letter = int(token.argmax())
            if letter:
                if self._quiet >= _APART or self._reader.tokens > _MOST_TOKENS:
                    self._begin()
                self._quiet, self._is_read, self._answered = 0, False, _ANSWERED
            else:
                self._quiet += 1
                self._answered += 1
            if self._quiet < _APART:
                self._reader.push(token, _SKIPPED_COST * self._letters)
            self._letters += letter not in (0, self._last)
            self._last = letter

    def decide(self, said: Sequence[Draft]) -> list[Draft]:
        """Return what is to be believed. said: what the model has put out in this micro-turn."""
        found = list[Draft]()
        for witness in self.witnesses(said):
            one = weighed(witness)
            if one is None or self._answered < _ANSWERED:
                self.counters["left_out"] += witness.said is not None
                continue
            self.counters["read_otherwise"] += witness.said is not None and _content(one) != _content(witness.said)
            self._answered = 0
            found.append(self._ranked(one))
        return found

    def witnesses(self, said: Sequence[Draft]) -> list[Witness]:
        """Return what can be weighed now."""
        self._waiting += said
        self._waited = self._waited + 1 if self._waiting else 0
        is_settled = self._quiet >= _SETTLED or self._waited > _PATIENCE_TURNS
        if not (self._waiting and is_settled) and not (self._quiet >= _OVER and not self._is_read):
            return []
        reading = self._reader.best() if self._letters else None
        meaning = self._grammar.parse(reading.text) if reading else None
        asked: list[Draft | None] = [*self._waiting] or [None]
        self._waiting, self._is_read = [], True
        return [Witness(reading, meaning, one) for one in asked]

    def _begin(self) -> None:
        self._reader.restart()
        self._letters = 0

    def _ranked(self, draft: Draft) -> Draft:
        if not isinstance(draft, IntentDraft) or draft.intent not in self._specs:
            return draft
        return replace(draft, priority=self._specs[draft.intent].priority)


def weighed(witness: Witness) -> Draft | None:
    """Return what is to be believed, an intent with how sure it is; None where there is nothing."""
    reading, meaning, said = witness.reading, witness.meaning, witness.said
    own = _UNSAID if said is None else _odds(said.confidence if isinstance(said, IntentDraft) else _A_TIMER)
    read = _draft(meaning) if meaning else None
    if reading is None or read is None:
        return None if said is None else _sure(said, own + _UNSPELLED)
    spelled = _A_SENTENCE + _A_LETTER * reading.letters - _A_COST * reading.cost
    if said is not None and _content(said) == _content(read):
        return _sure(said, own + spelled)
    if said is not None and own + _UNSPELLED >= spelled + _UNSAID:
        return _sure(said, own + _UNSPELLED)
    if _chance(spelled + _UNSAID) < (_LEAST if isinstance(read, IntentDraft) else _TIMER_FROM):
        return None
    return _sure(read, spelled + _UNSAID)


def _draft(meaning: Meaning) -> Draft | None:
    """Return what a meaning asks for, None of one that asks for something else."""
    if meaning.intent:
        return IntentDraft(meaning.intent, meaning.data)
    return meaning.timer if meaning.time is None else as_timer(meaning.time)


def _content(draft: Draft) -> tuple[object, ...]:
    if isinstance(draft, TimerDraft):
        return draft.after_s, draft.repeat_s
    return draft.intent, dict(draft.data)


def _sure(draft: Draft, odds: float) -> Draft:
    return replace(draft, confidence=_chance(odds)) if isinstance(draft, IntentDraft) else draft


def _odds(chance: float) -> float:
    chance = min(max(chance, 1e-4), 1 - 1e-4)
    return math.log(chance / (1 - chance))


def _chance(odds: float) -> float:
    return 1 / (1 + math.exp(-odds))
