"""What shall follow from words: the grammar's reply, intent, timer and task, and reminders, as records to learn.

The mapping is the grammar's own, so that the native model proposes what ``cascade`` does. Three things go beyond it,
because a model that hears free words can do them: reminders with a text and a repetition, questions that no rule covers
(handed on as they are), and a filler for whatever is handed on. It knows no sound and no time.
"""

import functools
import re
from dataclasses import dataclass

from tml_ros.duplex.native.markup import MAX_TIMER_S, Record, as_timer
from tml_ros.intents.file import load_intents
from tml_ros.intents.grammar import Grammar, Meaning, normalise
from tml_ros.intents.numbers import words_to_number
from tml_ros.intents.questions import is_question
from tml_ros.records import DelegationDraft, IntentDraft, SpeechText, TimerDraft

__all__ = ["BACKCHANNEL", "FILLER", "Answer", "Meanings", "reminder"]

FILLER = "Let me check."
"""Said when a task is handed on."""
BACKCHANNEL = "Uh-huh."
"""What synthesisers can say of an mm-hm; they spell that."""
_UNITS_S = {"second": 1, "minute": 60, "hour": 3600}
_WHEN = r"(?P<how>every|in) (?:(?P<amount>[a-z ]+?) )?(?P<unit>second|minute|hour)s?"
_REMINDERS = (
    re.compile(rf"(?:please )?remind me to (?P<what>.+?) {_WHEN}(?: please)?"),
    re.compile(rf"(?:please )?remind me {_WHEN} to (?P<what>.+?)(?: please)?"),
    re.compile(rf"(?:please )?{_WHEN} remind me to (?P<what>.+?)(?: please)?"),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What follows from a turn. speech comes first, for the sake of latency; records: intents, timers, tasks."""

    speech: tuple[SpeechText, ...] = ()
    records: tuple[Record, ...] = ()

    @property
    def is_none(self) -> bool:
        """Whether nothing follows."""
        return not (self.speech or self.records)

    @property
    def reply(self) -> str:
        """The words that are said."""
        return " ".join(one.text for one in self.speech)

    @property
    def all(self) -> tuple[Record, ...]:
        """What is put out, in order."""
        return (*self.speech, *self.records)


class Meanings:
    """The answers to texts; each is worked out once.

    Thread: any; workers that race only do the same work twice.
    """

    def __init__(self, grammar: Grammar | None = None) -> None:
        """Take a grammar, that of the shipped intents file when none is given."""
        self.grammar = grammar or Grammar(load_intents())
        self.of = functools.lru_cache(maxsize=None)(self._of)

    def _of(self, text: str) -> Answer:
        """Return what follows from a whole turn with these words."""
        words = normalise(text)
        timer = reminder(words)
        if timer is not None:
            return Answer((SpeechText("Okay."),), (timer,))
        meaning = self.grammar.parse(words)
        if meaning is not None:
            return _from_grammar(meaning)
        request, replaces = self.grammar.request(words)
        if is_question(request):
            return Answer((SpeechText(FILLER),), (DelegationDraft(request, replaces=replaces),))
        return Answer()


def reminder(words: str) -> TimerDraft | None:
    """Return the timer of ``remind me to stir every four minutes`` and its like, None when the words are none."""
    for form in _REMINDERS:
        found = form.fullmatch(words)
        if found is None:
            continue
        amount = 1 if found["amount"] in (None, "a", "an") else words_to_number(found["amount"])
        after_s = float((amount or 0) * _UNITS_S[found["unit"]])
        if 0 < after_s <= MAX_TIMER_S:
            return TimerDraft(found["what"], after_s, after_s if found["how"] == "every" else 0.0)
    return None


def _from_grammar(meaning: Meaning) -> Answer:
    task = meaning.delegate or (meaning.text if meaning.answer not in ("", "repeat") else "")
    reply = meaning.reply or (FILLER if task else "")
    records: list[Record] = []
    if meaning.intent:
        records.append(IntentDraft(meaning.intent, meaning.data, priority=meaning.priority))
    if meaning.timer is not None and meaning.timer.after_s > 0:
        records.append(meaning.timer)
    if meaning.time is not None and (timer := as_timer(meaning.time)) is not None:
        records.append(timer)
    if task:
        records.append(DelegationDraft(task, replaces=meaning.replaces))
    return Answer((SpeechText(reply),) if reply else (), tuple(records))
