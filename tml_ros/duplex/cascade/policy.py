"""What to say and to propose for what was understood. Words in, replies and intents out; no sound, no timing.

Text that was heard or typed is untrusted: only what the grammar covers has any effect.
"""

import re
from dataclasses import dataclass, replace

from tml_ros.duplex.cascade.config import CascadeConfig
from tml_ros.duplex.cascade.recognizer import Heard
from tml_ros.duplex.cascade.vision import Sight
from tml_ros.intents.grammar import Grammar, Meaning
from tml_ros.records import (
    AlertDraft,
    DelegationDraft,
    IntentDraft,
    MicroTurn,
    SpeechKind,
    SpeechText,
    TextInput,
    TextSource,
    TimerDraft,
    TimeRequest,
)

__all__ = ["Policy", "Reaction"]

_ALERT_SPEECH = 240
_NOT_UNDERSTOOD = "Sorry, I did not understand that."
_SHORTEST_QUESTION = 4  # words; shorter ones are too often something else that was misheard
_VERBS = "is|are|was|were|do|does|did|can|could|should|would|will|has|have"
_QUESTION = re.compile(
    rf"(what|which) ({_VERBS}|time|kind|happens|happened) |(where|when|why|who) ({_VERBS}) "
    rf"|how ({_VERBS}|much|many|long|far|often|old|big|hot|heavy) "
    r"|(can|could) you tell me |do you know |remind me (to|every|that) "
)


@dataclass(slots=True)
class Reaction:
    """What a micro-turn leads to. reminds: it holds what is due now, whoever speaks."""

    speech: tuple[SpeechText, ...] = ()
    intents: tuple[IntentDraft, ...] = ()
    timers: tuple[TimerDraft, ...] = ()
    times: tuple[TimeRequest, ...] = ()
    delegations: tuple[DelegationDraft, ...] = ()
    alerts: tuple[AlertDraft, ...] = ()
    withdraws: bool = False
    reminds: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing is said or done."""
        said_or_done = self.speech or self.intents or self.timers or self.times or self.delegations or self.alerts
        return not (said_or_done or self.withdraws)

    def add(self, other: "Reaction") -> None:
        """Take in another reaction of the same micro-turn."""
        self.speech += other.speech
        self.intents += other.intents
        self.timers += other.timers
        self.times += other.times
        self.delegations += other.delegations
        self.alerts += other.alerts
        self.withdraws |= other.withdraws
        self.reminds |= other.reminds


class Policy:
    """Answers from the grammar's rules, the clock and the newest pictures."""

    def __init__(self, grammar: Grammar, sight: Sight, config: CascadeConfig) -> None:
        self._grammar = grammar
        self._sight = sight
        self._config = config
        self._last_said = ""

    def on_speech(self, heard: Heard, turn: MicroTurn, end_ns: int) -> Reaction:
        """React to an utterance that is over. end_ns: when the person fell silent."""
        if heard.meaning is None:
            wanted = self._config.delegate_speech
            if heard.text and (wanted == "all" or (wanted == "questions" and self._is_question(heard.text))):
                return self._hand_on(heard.text)
            unknown = _NOT_UNDERSTOOD if self._config.answer_unknown and heard.text else ""
            return self._say(unknown, SpeechKind.REPLY)
        return self._react(heard.meaning, turn, end_ns, heard.confidence, "speech")

    def on_text(self, text: TextInput, turn: MicroTurn) -> Reaction:
        """React to a line of text: typed words are read like spoken ones, timers are spoken, results were already."""
        if text.source is TextSource.TIMER:
            self._last_said = text.text
            return Reaction(speech=(SpeechText(text.text, interruptible=False),), reminds=True)
        if text.source is TextSource.BACKGROUND:
            self._last_said = text.text
            return Reaction()
        if text.source is not TextSource.USER:
            return Reaction()
        meaning = self._grammar.parse(text.text)
        if meaning is None and self._config.delegate_text:
            return self._hand_on(text.text)
        if meaning is None:
            return self._say(_NOT_UNDERSTOOD, SpeechKind.REPLY)
        reaction = self._react(meaning, turn, text.stamp_ns, 1.0, "other")
        if self._config.delegate_text:  # speech may have been misheard; what is typed somebody else may know of
            reaction.times = tuple(replace(one, otherwise=text.text) for one in reaction.times)
        return reaction

    def _react(self, meaning: Meaning, turn: MicroTurn, at_ns: int, confidence: float, modality: str) -> Reaction:
        kind = SpeechKind.REPLY if meaning.alert is None else SpeechKind.ALERT
        reaction = self._say(meaning.reply or self._answer(meaning.answer, turn), kind)
        if meaning.intent:
            draft = IntentDraft(
                meaning.intent, meaning.data, confidence, "__unknown_agent__", modality, meaning.priority
            )
            reaction.intents = (draft,)
        if meaning.timer is not None:
            reaction.timers = (meaning.timer,)
        if meaning.time is not None:
            reaction.times = (replace(meaning.time, at_ns=at_ns),)
        if meaning.alert is not None:
            reaction.alerts = (replace(meaning.alert, confidence=confidence),)
        if meaning.delegate:
            reaction.delegations = (DelegationDraft(meaning.delegate, replaces=meaning.replaces),)
        reaction.withdraws = meaning.withdraws
        return reaction

    def _is_question(self, text: str) -> bool:
        words = self._grammar.request(text)[0].split()
        return len(words) >= _SHORTEST_QUESTION and _QUESTION.match(" ".join(words)) is not None

    def _hand_on(self, text: str) -> Reaction:
        """Make a task of words that no rule covers: as they are, but for what only says that they are another one."""
        request, replaces = self._grammar.request(text)
        return Reaction(delegations=(DelegationDraft(request if replaces else text.strip(), replaces=replaces),))

    def _say(self, text: str, kind: SpeechKind) -> Reaction:
        if not text:
            return Reaction()
        self._last_said = text
        if kind is SpeechKind.ALERT:
            return Reaction(speech=(SpeechText(text, kind, priority=_ALERT_SPEECH, interruptible=False),))
        return Reaction(speech=(SpeechText(text, kind),))

    def _answer(self, question: str, turn: MicroTurn) -> str:
        if question == "scene":
            return self._sight.describe(turn.end_ns)
        if question == "clock":
            minutes = turn.end_ns // 60_000_000_000
            return f"It is {minutes // 60 % 24:02d}:{minutes % 60:02d} universal time."
        if question == "repeat":
            return self._last_said or "I have not said anything yet."
        return ""
