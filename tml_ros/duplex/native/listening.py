"""Two witnesses of a command: the intent that the model puts out, and the sentence that its own letters nearly spell.

Letters are read as sentences of the grammar (``reading``) from one silence to the next. When the model puts out an
intent, or when a sentence has been over for a moment without one, the two are weighed: what both say is likelier than
what one says, and where they differ the better founded one wins. What adapters have taught to hear spells, too, and of
what is read there only taught sentences count. It knows no tensors and no session.
"""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tml_ros.duplex.native.markup import as_timer
from tml_ros.duplex.native.reading import LetterGraph, Reader, Reading
from tml_ros.intents.file import IntentSpec
from tml_ros.intents.grammar import Grammar, Meaning
from tml_ros.records import IntentDraft, TimerDraft, TimeRequest

__all__ = ["Draft", "Listener", "Witness", "weighed"]

Draft = IntentDraft | TimerDraft | TimeRequest

_SETTLED = 6
"""So many tokens of 40 ms without a letter, and what the model put out is looked at: before, a sentence may go on."""
_PATIENCE_TURNS = 5
"""So many micro-turns, and it is looked at in any case."""
_OVER = 20
"""So many, and a sentence counts without an intent of the model's, which has mostly come by then."""
_APART = 25
"""So many, and what was spelled before has nothing to do with what comes."""
_MOST_TOKENS, _MOST_KEPT = 750, 64
_SKIPPED_COST = 3.0
"""Cost of a letter that is left out before a sentence."""
_A_LETTER, _A_COST, _A_SENTENCE = 0.6, 0.4, -0.8
"""What speaks for a sentence, in logarithms of odds: so much each letter, so much of its cost, so much in any case."""
_UNSAID = -4.0
"""Odds of an intent that the model has not put out."""
_UNSAID_BUT_TAUGHT = -1.5
"""The same where a lab has taught the sentence: its letters are practised, and somebody wants it to be heard."""
_UNSPELLED = -1.0
"""What speaks against an intent of which no letter tells."""
_LEAST = 0.05
"""What is less sure is not worth telling."""
_TIMER_FROM = 0.5
"""So sure must be what the clock is asked, a timer that is only spelled, too: nobody asks later how sure it was."""
_A_TIMER = 0.7
"""How sure the model is taken to be of a timer: it does not say."""
_OPEN, _BROKEN_OFF = 10, 40
"""So many tokens of silence end a sentence that may go on, and one that has only begun."""
_AS_LIKELY = 1.5
"""Within so much of its cost, one reading is as good as another."""
_MAY_GO_ON, _HAS_BEGUN = 0.0, 2.0
"""Odds from which it counts that a sentence may go on, and that one has only begun."""
_TRUSTED, _HINTED = 2.0, -1.0
"""Odds from which a reading is answered by itself, and from which when the model wants to answer, too."""
_LEAST_SILENCE = 2
"""So many tokens of silence has a sentence behind it that nothing can follow: the letters come late themselves."""
_URGENT_PRIORITY = 200  # nobody who says "stop" is waited for
_ANSWERED = 50
"""For so many tokens without a letter, what comes of a sentence that something has come of already is left out."""


@dataclass(frozen=True, slots=True)
class Witness:
    """What there is to weigh. reading, meaning: what was spelled; said: what the model put out; None: nothing.

    unsaid: odds of what was spelled where the model has not put it out.
    """

    reading: Reading | None
    meaning: Meaning | None
    said: Draft | None
    unsaid: float = _UNSAID


class Listener:
    """Follows one stream.

    sentence: number of what is being said; behind a silence another begins. counters: what the model put out and was
    left out or read otherwise.

    Thread: one caller at a time.
    """

    def __init__(
        self, grammar: Grammar, graph: LetterGraph, specs: Mapping[str, IntentSpec], taught: Collection[str] = ()
    ) -> None:
        """specs: the intents that there are, with their priority. taught: sentences that adapters have practised."""
        self._reader, self._taught_reader = Reader(graph), Reader(graph)
        self._specs, self._taught = specs, frozenset(taught)
        self._means = lru_cache(_MOST_KEPT)(grammar.parse)  # the same sentence is looked at in several micro-turns
        self._letters = self._last = 0
        self._quiet = _APART
        self._is_read = True
        self._answered = _ANSWERED  # tokens since something came of a sentence
        self.sentence = 0
        self._wait: int | None = None  # tokens of silence that end what was spelled, once it was looked at
        self._waiting: list[Draft] = []
        self._waited = 0  # micro-turns
        self.counters: Counter[str] = Counter()

    def hear(self, chances: NDArray[np.float32], taught: NDArray[np.float32] | None = None) -> None:
        """Take in tokens. chances: [n, symbols] logarithms, the first of no letter. taught: as adapters hear them."""
        for number, token in enumerate(chances):
            other = token if taught is None else taught[number]
            letter = int(token.argmax()) or int(other.argmax())
            if letter:
                if self._quiet >= _APART or self._reader.tokens > _MOST_TOKENS:
                    self._begin()
                self.sentence += self._quiet >= _SETTLED
                self._quiet, self._is_read, self._answered = 0, False, _ANSWERED
                self._wait = None
            else:
                self._quiet += 1
                self._answered += 1
            if self._quiet < _APART:
                self._reader.push(token, _SKIPPED_COST * self._letters)
                if taught is not None:
                    self._taught_reader.push(other, _SKIPPED_COST * self._letters)
            self._letters += letter not in (0, self._last)
            self._last = letter

    @property
    def is_heard(self) -> bool:
        """Whether somebody has just said something, or is saying it."""
        return bool(self._letters) and self._quiet < _BROKEN_OFF

    @property
    def is_over(self) -> bool:
        """Whether what somebody said is over, as far as the sentences of the grammar tell."""
        return self._quiet >= max(_LEAST_SILENCE, self._needed())

    def reply(self, *, is_wanted: bool) -> str | None:
        """Return what is to be said to the sentence that was just spelled; None where that is the model's to know, and
        nothing, but not by the model, where the session's clock answers it.

        is_wanted: the model wants to answer.
        """
        if not self.is_heard:
            return None
        _, reading = self._read()
        least = _HINTED if is_wanted else _TRUSTED
        meaning = self._means(reading.text) if reading and _spelled(reading) >= least else None
        if meaning is not None and isinstance(_draft(meaning), TimeRequest):
            return ""
        return (meaning.reply or None) if meaning else None

    def _read(self) -> tuple[Reader, Reading | None]:
        """Return the likeliest sentence and who reads it: only what was taught is read by what was taught to hear."""
        reading, other = self._reader.best(), self._taught_reader.best()
        is_other = other is not None and other.text in self._taught and (reading is None or other.cost < reading.cost)
        return (self._taught_reader, other) if is_other else (self._reader, reading)

    def _needed(self) -> int:
        """Return how many tokens of silence end what was spelled, by what the sentences of the grammar leave open."""
        if not self.is_heard:
            return 0
        if self._wait is None or self._quiet <= _SETTLED:  # the last letters come late
            self._wait = self._opens()
        return self._wait

    def _opens(self) -> int:
        reader, whole = self._read()
        begun = reader.begun()
        if begun is None or _spelled(begun) < _MAY_GO_ON or (whole and whole.cost + _AS_LIKELY < begun.cost):
            return 0
        if whole is None or whole.cost > begun.cost + _AS_LIKELY:
            return _BROKEN_OFF if _spelled(begun) >= _HAS_BEGUN else 0
        meaning = self._means(whole.text)
        return 0 if meaning is not None and meaning.priority >= _URGENT_PRIORITY else _OPEN

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
            found += [self._ranked(one), *_beside(one, witness.meaning)]
        return found

    def witnesses(self, said: Sequence[Draft]) -> list[Witness]:
        """Return what can be weighed now."""
        self._waiting += said
        self._waited = self._waited + 1 if self._waiting else 0
        needed = self._needed()
        is_settled = self._quiet >= max(_SETTLED, needed) or self._waited > _PATIENCE_TURNS + needed // 5
        if not (self._waiting and is_settled) and not (self._quiet >= max(_OVER, needed) and not self._is_read):
            return []
        reading = self._read()[1] if self._letters else None
        meaning = self._means(reading.text) if reading else None
        unsaid = _UNSAID_BUT_TAUGHT if reading and reading.text in self._taught else _UNSAID
        asked = [one if self._is_known(one) else None for one in self._waiting] or [None]
        self._waiting, self._is_read = [], True
        return [Witness(reading, meaning, one, unsaid) for one in asked]

    def _is_known(self, draft: Draft) -> bool:
        """Tell whether there is such an intent; a name that is none says only that the model wanted one."""
        return not isinstance(draft, IntentDraft) or draft.intent in self._specs

    def _begin(self) -> None:
        self._reader.restart()
        self._taught_reader.restart()
        self._letters = 0

    def _ranked(self, draft: Draft) -> Draft:
        if not isinstance(draft, IntentDraft) or draft.intent not in self._specs:
            return draft
        return replace(draft, priority=self._specs[draft.intent].priority)


def weighed(witness: Witness) -> Draft | None:
    """Return what is to be believed, an intent with how sure it is; None where there is nothing."""
    reading, meaning, said = witness.reading, witness.meaning, witness.said
    own = witness.unsaid if said is None else _odds(said.confidence if isinstance(said, IntentDraft) else _A_TIMER)
    read = _draft(meaning) if meaning else None
    if reading is None or read is None:
        return None if said is None else _sure(said, own + _UNSPELLED)
    spelled = _spelled(reading)
    if said is not None and _content(said) == _content(read):
        return _sure(said, own + spelled)
    if said is not None and own + _UNSPELLED >= spelled + witness.unsaid:
        return _sure(said, own + _UNSPELLED)
    if _chance(spelled + witness.unsaid) < (_LEAST if isinstance(read, IntentDraft) else _TIMER_FROM):
        return None
    return _sure(read, spelled + witness.unsaid)


def _beside(draft: Draft, meaning: Meaning | None) -> list[TimeRequest]:
    """Return what is asked of the clock beside an intent that is sure enough: "stop" ends a reminder, too."""
    if meaning is None or meaning.time is None or not isinstance(draft, IntentDraft):
        return []
    return [meaning.time] if draft.intent == meaning.intent and draft.confidence >= _TIMER_FROM else []


def _spelled(reading: Reading) -> float:
    """Return what speaks for a reading by itself, the logarithm of its odds."""
    return _A_SENTENCE + _A_LETTER * reading.letters - _A_COST * reading.cost


def _draft(meaning: Meaning) -> Draft | None:
    """Return what a meaning asks for, None of one that asks for something else."""
    if meaning.intent:
        return IntentDraft(meaning.intent, meaning.data)
    return meaning.timer if meaning.time is None else as_timer(meaning.time) or meaning.time


def _content(draft: Draft) -> tuple[object, ...]:
    if isinstance(draft, TimeRequest):
        return draft.action, draft.name
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
