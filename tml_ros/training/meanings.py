"""What shall follow from words: the grammar's reply, intent, timer and task as records to learn.

The mapping is the grammar's own, so that the native model proposes what ``cascade`` does. Three things go beyond it:
questions that no rule covers (handed on as they are), a filler for whatever is handed on, and a word of consent to what
is to be remembered. It knows no sound and no time.
"""

import functools
from dataclasses import dataclass

from tml_ros.duplex.native.markup import Record, as_timer
from tml_ros.intents.file import load_intents
from tml_ros.intents.grammar import Grammar, Meaning, normalise
from tml_ros.intents.questions import is_question
from tml_ros.records import DelegationDraft, IntentDraft, SpeechText

__all__ = ["AGREED", "BACKCHANNEL", "FILLER", "Answer", "Meanings"]

FILLER = "Let me check."
"""Said when a task is handed on."""
BACKCHANNEL = "Uh-huh."
"""What synthesisers can say of an mm-hm; they spell that."""
AGREED = "Okay."
"""Said when something is to be remembered."""


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
        meaning = self.grammar.parse(words)
        if meaning is not None:
            return _from_grammar(meaning)
        request, replaces = self.grammar.request(words)
        if is_question(request):
            return Answer((SpeechText(FILLER),), (DelegationDraft(request, replaces=replaces),))
        return Answer()


def _from_grammar(meaning: Meaning) -> Answer:
    task = meaning.delegate or (meaning.text if meaning.answer not in ("", "repeat") else "")
    timer = None if meaning.time is None else as_timer(meaning.time)
    reply = meaning.reply or (FILLER if task else AGREED if timer is not None else "")
    records: list[Record] = []
    if meaning.intent:
        records.append(IntentDraft(meaning.intent, meaning.data, priority=meaning.priority))
    if meaning.timer is not None and meaning.timer.after_s > 0:
        records.append(meaning.timer)
    if timer is not None:
        records.append(timer)
    if task:
        records.append(DelegationDraft(task, replaces=meaning.replaces))
    return Answer((SpeechText(reply),) if reply else (), tuple(records))
