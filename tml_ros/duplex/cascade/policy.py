"""What to say and to propose for what was understood. Words in, replies and intents out; no sound, no timing.

Text that was heard or typed is untrusted: only what the grammar covers has any effect.
"""

from dataclasses import dataclass

from tml_ros.duplex.cascade.recognizer import Heard
from tml_ros.duplex.cascade.vision import Sight
from tml_ros.intents.grammar import Grammar, Meaning
from tml_ros.intents.numbers import number_to_words
from tml_ros.records import IntentDraft, MicroTurn, SpeechKind, SpeechText, TextInput, TextSource, TimerDraft

__all__ = ["Policy", "Reaction"]

_NOT_UNDERSTOOD = "Sorry, I did not understand that."


@dataclass(slots=True)
class Reaction:
    """What a micro-turn leads to."""

    speech: tuple[SpeechText, ...] = ()
    intents: tuple[IntentDraft, ...] = ()
    timers: tuple[TimerDraft, ...] = ()

    def add(self, other: "Reaction") -> None:
        """Take in another reaction of the same micro-turn."""
        self.speech += other.speech
        self.intents += other.intents
        self.timers += other.timers


class Policy:
    """Answers from the grammar's rules, the session's clock and the newest pictures."""

    def __init__(self, grammar: Grammar, sight: Sight, start_ns: int, *, answer_unknown: bool) -> None:
        self._grammar = grammar
        self._sight = sight
        self._start_ns = start_ns
        self._answer_unknown = answer_unknown
        self._last_said = ""

    def on_speech(self, heard: Heard, turn: MicroTurn) -> Reaction:
        """React to an utterance that ended."""
        if heard.meaning is None:
            unknown = _NOT_UNDERSTOOD if self._answer_unknown and heard.text else ""
            return self._say(unknown, SpeechKind.REPLY)
        return self._react(heard.meaning, turn, heard.confidence, "speech")

    def on_text(self, text: TextInput, turn: MicroTurn) -> Reaction:
        """React to a line of text: typed words are read like spoken ones, timers and results are spoken."""
        if text.source is TextSource.TIMER:
            return self._say(text.text, SpeechKind.REPLY)
        if text.source is TextSource.BACKGROUND:
            return self._say(text.text, SpeechKind.BACKGROUND)
        if text.source is not TextSource.USER:
            return Reaction()
        meaning = self._grammar.parse(text.text)
        if meaning is None:
            return self._say(_NOT_UNDERSTOOD, SpeechKind.REPLY)
        return self._react(meaning, turn, 1.0, "other")

    def _react(self, meaning: Meaning, turn: MicroTurn, confidence: float, modality: str) -> Reaction:
        reaction = self._say(meaning.reply or self._answer(meaning.answer, turn), SpeechKind.REPLY)
        if meaning.intent:
            draft = IntentDraft(
                meaning.intent, meaning.data, confidence, "__unknown_agent__", modality, meaning.priority
            )
            reaction.intents = (draft,)
        if meaning.timer is not None:
            reaction.timers = (meaning.timer,)
        return reaction

    def _say(self, text: str, kind: SpeechKind) -> Reaction:
        if not text:
            return Reaction()
        self._last_said = text
        return Reaction(speech=(SpeechText(text, kind),))

    def _answer(self, question: str, turn: MicroTurn) -> str:
        if question == "scene":
            return self._sight.describe(turn.end_ns)
        if question == "elapsed":
            return f"We have been at it for {_spoken_duration(turn.end_ns - self._start_ns)}."
        if question == "clock":
            minutes = turn.end_ns // 60_000_000_000
            return f"It is {minutes // 60 % 24:02d}:{minutes % 60:02d} universal time."
        if question == "repeat":
            return self._last_said or "I have not said anything yet."
        return ""


def _spoken_duration(duration_ns: int) -> str:
    seconds = duration_ns // 1_000_000_000
    minutes, hours = seconds // 60, seconds // 3600
    if hours:
        return f"{_count(hours, 'hour')} and {_count(minutes % 60, 'minute')}"
    if minutes:
        return f"{_count(minutes, 'minute')} and {_count(seconds % 60, 'second')}"
    return _count(seconds, "second")


def _count(number: int, unit: str) -> str:
    words = number_to_words(number) if number <= 100 else str(number)
    return f"{words} {unit}{'' if number == 1 else 's'}"
