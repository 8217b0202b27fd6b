"""Whether the person's turn is over: how long the silence is, held against what the words so far leave open.

A whole command that nothing can follow needs little silence, a command that may go on ("go forward", "ten meters")
more, and words that cannot be the end ("put it on the", "could you tell me") the most. What can follow is read off the
recogniser's own grammar. It knows words and times, no sound: a network that judges by ear (smart-turn v3.2) told ends
from inner pauses no better than chance on real recordings, and costs 60 ms a call; see docs/recognition.md.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from tml_ros.intents.grammar import Grammar, Meaning, normalise
from tml_ros.intents.phrases import Choice, Maybe, Node, Slot, Word, parse_phrase

__all__ = ["TurnEnd", "TurnEndConfig", "is_fragment", "longest_ms"]

_URGENT_PRIORITY = 200  # from here on an intent does not wait for more words: a robot that is told to stop stops
_LATE_WORDS_MS = 400  # silence up to which the last words may still come: streaming recognisers lag by 100 to 400 ms
_AROUND_MS = 400  # what the voice activity detector adds around speech
_MOST_KEPT = 64  # texts whose openness is remembered; a text stays the same from one micro-turn of a pause to the next

_RULE = re.compile(r"^(?:public )?<([a-z0-9_]+)> = (.*);$", re.MULTILINE)
_DETERMINERS = {"the", "a", "an", "my", "your", "our", "their", "every"}
_JOINS = {"and", "or", "but", "because", "if", "when", "while", "until", "unless", "than"}
_SUBJECTS = {"i", "we", "he", "she", "they"}
_HELPERS = {"should", "would", "could", "will", "must", "might"}
_HESITATIONS = {"um", "uh", "er"}
_OPEN_WORDS = frozenset(_DETERMINERS | _JOINS | _SUBJECTS | _HELPERS | _HESITATIONS)
_PREPOSITIONS = frozenset({"to", "of", "for", "with", "from", "at", "in", "into", "onto", "by", "about", "between"})
_QUESTION_WORDS = frozenset({"what", "which", "who", "where"})  # these may leave a preposition behind: "what for"
_OPENING = re.compile(
    r"(can|could|would|will) you( please)?( (tell|show|give|bring|help) me)?"
    r"|do you (know|think)|i (want|need|think|would like)( you)?|(let|remind|tell|show|give|bring) me"
    r"|(what|where|who|which|how|why|when) (is|are|do|does|did|can|should)( i| you)?"
)


class TurnEndConfig(Protocol):
    """The parameters it needs; CascadeConfig has them."""

    @property
    def command_silence_ms(self) -> int:
        """Silence after a whole command that nothing can follow."""

    @property
    def open_silence_ms(self) -> int:
        """Silence after a whole command that may go on and then means something else."""

    @property
    def end_silence_ms(self) -> int:
        """Silence after other words."""

    @property
    def fragment_silence_ms(self) -> int:
        """Silence after words that cannot be the end."""

    @property
    def slowest_letter_ms(self) -> int:
        """Longest time per letter of a command."""


class TurnEnd:
    """Decides for one pause after the other.

    Thread: one caller at a time.
    """

    def __init__(self, config: TurnEndConfig, grammar: Grammar) -> None:
        self._config = config
        self._grammar = grammar
        self._rules = _rules(grammar)
        self._following: dict[str, frozenset[str]] = {}
        self._needed_ms: int | None = None

    def is_over(self, silence_ms: int, spoken_ms: int, words: Callable[[], str], command: Callable[[], str]) -> bool:
        """Tell whether the turn is over; to be asked in every micro-turn of an utterance.

        What counts are the words at the beginning of the pause, for recognisers make words of silence, too.

        Args:
            silence_ms: how long nothing has been said.
            spoken_ms: how long something was said in this utterance, without pauses.
            words: returns what was said so far; called once or twice in a pause.
            command: the same as the recogniser of commands hears it, whole or cut off; empty where there is none.
        """
        if silence_ms < self._config.command_silence_ms:
            self._needed_ms = None
            return False
        if self._needed_ms is None or silence_ms < _LATE_WORDS_MS:
            said = command()  # first: a recogniser that hears by the piece may listen to the last one now
            needed_ms = self.needed_ms(words(), said, spoken_ms)
            self._needed_ms = min(needed_ms, self._needed_ms or needed_ms)
        return silence_ms >= self._needed_ms

    def reset(self) -> None:
        """Forget the pause: the utterance has ended."""
        self._needed_ms = None

    def needed_ms(self, words: str, command: str, spoken_ms: int = 0) -> int:
        """Return the silence after which a turn with these words is over; arguments as for ``is_over``."""
        command = normalise(command)
        whole = self._grammar.parse(command)
        is_cut_off = whole is None and self._is_cut_off(command, words)
        meaning = whole or (None if is_cut_off else self._grammar.parse(words))
        if meaning is not None and self._is_credible(meaning.text, words, spoken_ms):
            is_open = meaning.priority < _URGENT_PRIORITY and self._may_go_on(meaning)
            return self._config.open_silence_ms if is_open else self._config.command_silence_ms
        return self._config.fragment_silence_ms if is_cut_off or is_fragment(words) else self._config.end_silence_ms

    def next_words(self, text: str) -> frozenset[str]:
        """Return the words that may follow in the grammar; none when nothing may, or when no rule begins so."""
        known = self._following.get(text)
        if known is None:
            if len(self._following) >= _MOST_KEPT:
                self._following.clear()
            known = self._following[text] = _next_words(self._rules, text.split())
        return known

    def _may_go_on(self, meaning: Meaning) -> bool:
        """Tell whether a word may follow that does more than repeat or soften the command ("hello robot", "please")."""
        longer = (self._grammar.parse(f"{meaning.text} {word}") for word in self.next_words(meaning.text))
        return any(one is None or _sense(one) != _sense(meaning) for one in longer)

    def _is_credible(self, command: str, words: str, spoken_ms: int) -> bool:
        """Tell whether it can have been the command: not too long, and no fragment speaks against it.

        A fragment does when it ends within the command ("where is the", not "where is the exit": its end is made of
        silence), or when it is longer and has nothing in common with it ("could you please", not "hello").
        """
        if spoken_ms > longest_ms(command, self._config.slowest_letter_ms):
            return False
        if not is_fragment(words):
            return True
        heard, wanted = normalise(words).split(), command.split()
        if len(heard) < len(wanted):
            return heard[-1] != wanted[len(heard) - 1]
        return len(heard) <= len(wanted) + 1 or bool(set(heard) & set(wanted))

    def _is_cut_off(self, command: str, words: str) -> bool:
        """Tell whether a command has begun and not ended, and the free recogniser has not heard more than that."""
        heard = command.split()
        return len(heard) > 1 and len(normalise(words).split()) <= len(heard) and bool(self.next_words(command))


def longest_ms(command: str, slowest_letter_ms: int) -> int:
    """Return how long a command may take that is spoken without a pause; longer speech was something else."""
    return _AROUND_MS + slowest_letter_ms * len(command.replace(" ", ""))


def is_fragment(text: str) -> bool:
    """Tell whether an English sentence cannot end here: after an article, a conjunction, "could you tell me" ..."""
    words = normalise(text).split()
    if len(words) < 2:  # a lone "the" is rather something else that was misheard
        return False
    if words[-1] in _OPEN_WORDS:
        return True
    if words[-1] in _PREPOSITIONS and words[0] not in _QUESTION_WORDS:
        return True
    return _OPENING.fullmatch(" ".join(words)) is not None


def _sense(meaning: Meaning) -> tuple[object, ...]:
    """Return all of a meaning but its words."""
    said = (meaning.reply, meaning.answer, meaning.timer, meaning.delegate, meaning.withdraws)
    return (meaning.intent, dict(meaning.data), *said)


# --------------------------------------------------------------------------------------------------- what follows


def _rules(grammar: Grammar) -> Mapping[str, Node]:
    """Return the rules of the recogniser's grammar by name; ``phrase`` is the whole."""
    return {
        name: parse_phrase(re.sub(r"<([a-z0-9_]+)>", r"{\1}", expansion))
        for name, expansion in _RULE.findall(grammar.to_jsgf())
    }


def _next_words(rules: Mapping[str, Node], words: Sequence[str]) -> frozenset[str]:
    found: set[str] = set()
    _advance(rules["phrase"], words, frozenset({0}), rules, found)
    return frozenset(found)


def _advance(
    node: Node, words: Sequence[str], starts: frozenset[int], rules: Mapping[str, Node], found: set[str]
) -> frozenset[int]:
    """Return where ``node`` can end when it begins at any of ``starts``; note the words it wants behind the last."""
    if not starts:
        return starts
    if isinstance(node, Word):
        if len(words) in starts:
            found.add(node.text)
        return frozenset(at + 1 for at in starts if at < len(words) and words[at] == node.text)
    if isinstance(node, Slot):
        return _advance(rules[node.type], words, starts, rules, found)
    if isinstance(node, Maybe):
        return starts | _advance(node.item, words, starts, rules, found)
    if isinstance(node, Choice):
        return frozenset().union(*(_advance(item, words, starts, rules, found) for item in node.items))
    for item in node.items:
        starts = _advance(item, words, starts, rules, found)
    return starts
