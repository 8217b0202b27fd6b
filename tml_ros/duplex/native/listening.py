"""Three witnesses of a command: the intent that the model puts out, the sentence that its own letters nearly spell, and
a network that knows single words (``spotting``).

Letters are read as sentences of the grammar (``reading``) from one silence to the next. When the model puts out an
intent, or when a sentence has been over for a moment without one, the two are weighed: what both say is likelier than
what one says, and where they differ the better founded one wins. What adapters have taught to hear spells, too, and of
what is read there only taught sentences count. Of a single word that the network for those knows, it has a say, too,
and may be the only one who heard it. It knows no tensors and no session.
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
_A_WORD, _MOST_WORD, _LEAST_WORD = 0.8, 6.0, -1.5
"""How much counts what the network for single words says, and between which logarithms of odds it is believed."""
_UNSAID_WORD = -2.5
"""Odds of a word that is not put out, and need not be spelled."""
_SMOOTH = 3
"""Over so many tokens its odds are averaged,"""
_WORD_TOKENS = 30
"""and their most in so many counts."""
_WORD_LOOK, _WORD_PASSED = 0.0, 4
"""A word of such odds is looked at once they have not risen for so many tokens."""
_WORD_SETTLED = 12
"""So many tokens without a letter, and it has told of a single word what it can."""
_PAST = 15
"""So many tokens after something came of a word it may still be told."""
_OWN_FROM, _OWN_UNTIL = 8, 25
"""Of a word that was told just now the sound lies between so many tokens ago; if the robot spoke then, it is not
believed: the network may have heard the robot."""
_TRUSTED_TOKENS = 15
"""With nothing to believe in so many tokens, the network is not asked."""
_ANOTHER_WORD = 25
"""So many tokens after something came of a word, the next may be heard."""
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
_WITHIN_A_WORD = 2
"""So many tokens of silence, and a word that seemed to go on has ended."""
_URGENT_PRIORITY = 200  # nobody who says "stop" is waited for
_ANSWERED = 50
"""For so many tokens without a letter, what comes of a sentence that something has come of already is left out."""


@dataclass(frozen=True, slots=True)
class Witness:
    """What there is to weigh. reading, meaning: what was spelled; said: what the model put out; None: nothing.

    unsaid: odds of what was spelled where the model has not put it out. alone: what each single word would mean, and
    the odds that it was said alone.
    """

    reading: Reading | None
    meaning: Meaning | None
    said: Draft | None
    unsaid: float = _UNSAID
    alone: tuple[tuple[Draft, float], ...] = ()


class _Words:
    """What the network for single words has told of late. Thread: one caller at a time."""

    def __init__(self, meanings: Sequence[Draft | None]) -> None:
        self._meanings = meanings
        self._past = 0  # tokens
        self._odds = self._nothing(_WORD_TOKENS + _SMOOTH - 1)
        self._own = np.zeros(_OWN_UNTIL, np.bool_)  # tokens in which the robot spoke
        self._is_trusted = np.ones(_TRUSTED_TOKENS, np.bool_)

    def forget(self) -> None:
        """Begin anew: what is told for a moment is of a word of which something has come already."""
        self._odds = self._nothing(len(self._odds))
        self._past = _PAST

    def push(self, odds: NDArray[np.float32], *, is_playing: bool) -> None:
        """Take in tokens [n, words]. is_playing: the robot speaks."""
        self._own = np.concatenate([self._own, np.full(len(odds), is_playing)])[-_OWN_UNTIL - len(odds) :]
        reached = [self._own[number + 1 : number + 1 + _OWN_UNTIL - _OWN_FROM] for number in range(len(odds))]
        trusted = ~np.any(reached, axis=1)
        kept = np.clip(odds, _LEAST_WORD, _MOST_WORD)
        kept[(~trusted) | (self._past > 0)] = _LEAST_WORD
        self._past = max(0, self._past - len(odds))
        self._odds = np.concatenate([self._odds, kept])[-len(self._odds) :]
        self._is_trusted = np.concatenate([self._is_trusted, trusted])[-_TRUSTED_TOKENS:]

    @property
    def is_due(self) -> bool:
        """Whether a word has just been told, and is not going to be surer."""
        best = self._smooth().max(axis=1, initial=_LEAST_WORD)
        return best.max() >= _WORD_LOOK and int(best[::-1].argmax()) >= _WORD_PASSED

    def alone(self) -> tuple[tuple[Draft, float], ...]:
        """Return what words would mean, and their odds; nothing where it may have heard the robot itself."""
        if not self._is_trusted.any():
            return ()
        most = self._smooth().max(axis=0).tolist() if self._meanings else []
        return tuple((draft, odds) for draft, odds in zip(self._meanings, most, strict=True) if draft is not None)

    def may_be(self, draft: Draft) -> bool:
        """Tell whether something is what one of the words means, of which it will tell."""
        return bool(self._is_trusted.any()) and any(
            one is not None and _content(one) == _content(draft) for one in self._meanings
        )

    def _nothing(self, tokens: int) -> NDArray[np.float32]:
        return np.full((tokens, len(self._meanings)), _LEAST_WORD, np.float32)

    def _smooth(self) -> NDArray[np.float32]:
        shifted = [self._odds[first : first + _WORD_TOKENS] for first in range(_SMOOTH)]
        return np.asarray(np.mean(shifted, axis=0), np.float32)


class Listener:
    """Follows one stream.

    sentence: number of what is being said; behind a silence another begins. counters: what the model put out and was
    left out or read otherwise.

    Thread: one caller at a time.
    """

    def __init__(
        self,
        grammar: Grammar,
        graph: LetterGraph,
        specs: Mapping[str, IntentSpec],
        taught: Collection[str] = (),
        keywords: Sequence[str] = (),
    ) -> None:
        """Begin.

        Args:
            specs: the intents that there are, with their priority.
            taught: sentences that adapters have practised.
            keywords: the words of which ``spot`` tells.
        """
        self._reader, self._taught_reader = Reader(graph), Reader(graph)
        self._specs, self._taught = specs, frozenset(taught)
        self._means = lru_cache(_MOST_KEPT)(grammar.parse)  # the same sentence is looked at in several micro-turns
        meanings = [grammar.parse(word) for word in keywords]
        self._words = _Words([_draft(meaning) if meaning else None for meaning in meanings])
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

    def spot(self, odds: NDArray[np.float32], *, is_playing: bool) -> None:
        """Take in how likely each keyword was just said alone, logarithms of odds [n, keywords] of as many tokens.

        is_playing: the robot itself speaks.
        """
        self._words.push(odds, is_playing=is_playing)

    @property
    def is_heard(self) -> bool:
        """Whether somebody has just said something, or is saying it."""
        return bool(self._letters) and self._quiet < _BROKEN_OFF

    @property
    def is_over(self) -> bool:
        """Whether what somebody said is over, as far as the sentences of the grammar tell."""
        goes_on = self._quiet < _WITHIN_A_WORD and self._read()[0].is_inside()
        return not goes_on and self._quiet >= self._needed()

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
            self._words.forget()
            found += [self._ranked(one), *_beside(one, witness.meaning)]
        return found

    def witnesses(self, said: Sequence[Draft]) -> list[Witness]:
        """Return what can be weighed now."""
        self._waiting += said
        self._waited = self._waited + 1 if self._waiting else 0
        needed = self._needed()
        is_settled = self._quiet >= max(self._settled(), needed) or self._waited > _PATIENCE_TURNS + needed // 5
        is_over = self._quiet >= max(_OVER, needed) and not self._is_read
        is_spotted = self._words.is_due and self._answered >= _ANOTHER_WORD
        if not (self._waiting and is_settled) and not is_over and not is_spotted:
            return []
        if is_spotted:
            self._answered = _ANSWERED
        reading = self._read()[1] if self._letters and self._quiet < _APART + _OVER else None
        meaning = self._means(reading.text) if reading else None
        unsaid = _UNSAID_BUT_TAUGHT if reading and reading.text in self._taught else _UNSAID
        asked = [one if self._is_known(one) else None for one in self._waiting] or [None]
        self._waiting, self._is_read = [], True
        return [Witness(reading, meaning, one, unsaid, self._words.alone()) for one in asked]

    def _settled(self) -> int:
        """Return after how many tokens of silence is looked at what the model put out."""
        is_word = any(self._words.may_be(one) and not self._is_urgent(one) for one in self._waiting)
        return _WORD_SETTLED if is_word else _SETTLED

    def _is_urgent(self, draft: Draft) -> bool:
        known = self._specs.get(draft.intent) if isinstance(draft, IntentDraft) else None
        return known is not None and known.priority >= _URGENT_PRIORITY

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
    reading, said = witness.reading, witness.said
    read = _draft(witness.meaning) if witness.meaning else None
    spelled = _spelled(reading) if reading is not None and read is not None else _UNSPELLED
    found = list[tuple[float, Draft]]()
    if said is not None:
        own = _odds(said.confidence if isinstance(said, IntentDraft) else _A_TIMER)
        is_read = read is not None and _content(said) == _content(read)
        found.append((own + (spelled if is_read else _UNSPELLED) + _heard(witness, said), said))
    if read is not None:
        found.append((witness.unsaid + spelled + _heard(witness, read), read))
    for draft, heard in witness.alone:
        if heard > _LEAST_WORD:
            letters = spelled if read is not None and _content(draft) == _content(read) else 0.0
            found.append((_UNSAID_WORD + max(0.0, letters) + _A_WORD * heard, draft))
    odds, best = max(found, key=lambda one: one[0], default=(0.0, None))
    least = _LEAST if isinstance(best, IntentDraft) else _TIMER_FROM
    if best is None or (best is not said and _chance(odds) < least):
        return None
    return _sure(best, odds)


def _heard(witness: Witness, draft: Draft) -> float:
    """Return what the network for single words adds to the odds of something; nothing where it knows no such word."""
    odds = [odds for one, odds in witness.alone if _content(one) == _content(draft)]
    return _A_WORD * max(odds, default=0.0)


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
