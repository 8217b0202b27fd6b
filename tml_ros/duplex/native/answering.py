"""When the robot answers what somebody said, and with which words: the model's wish, held against what was spelled.

The model wants to answer soon, and in the pauses of a sentence as well; the letters tell whether the sentence is over
(``listening``). An answer to one that may go on waits, and is dropped when it goes on. What was spelled well and is
over is answered at once, with the words of the intents file, whether the model wants to or not. The transformer is told
nothing of all this: to it, it is as if nobody had played back what it said. What the session's clock answers is not
answered here. It knows no tensors.
"""

from collections import Counter
from dataclasses import dataclass, field, replace

from tml_ros.duplex.native.listening import Listener
from tml_ros.records import DelegationDraft, Floor, SpeechKind, SpeechText

__all__ = ["Answers", "Said"]


@dataclass(frozen=True, slots=True)
class Said:
    """What a micro-turn puts out of it. speech: pieces, see ``SpeechText``."""

    floor: Floor
    speech: tuple[SpeechText, ...] = ()
    tasks: tuple[DelegationDraft, ...] = ()


@dataclass(slots=True)
class _Wish:
    """What the model wants to say to a sentence, and has not said yet."""

    speech: list[SpeechText] = field(default_factory=list)
    tasks: list[DelegationDraft] = field(default_factory=list)


class Answers:
    """Follows one session, after the listener has heard each micro-turn.

    Thread: one caller at a time. counters: answers that waited and were dropped, and those that were read.
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._sentence = 0
        self._wish: _Wish | None = None
        self._is_answered = False
        self._is_open = self._is_said = False  # an utterance of the model's goes on; its words go out
        self.counters: Counter[str] = Counter()

    def take(self, said: Said, *, is_playing: bool) -> Said:
        """Return what goes out of what the model has put out. is_playing: the robot is speaking."""
        if self._listener.sentence != self._sentence:
            self._sentence, self._is_answered = self._listener.sentence, False
            self.counters["answers_dropped"] += self._wish is not None
            self._wish = None
        out = self._sort(said)
        reply = self._due(is_playing=is_playing)
        if reply is not None:
            out = replace(out, speech=(*out.speech, *reply.speech), tasks=(*out.tasks, *reply.tasks))
        if out.speech and any(one.kind is SpeechKind.REPLY for one in out.speech):
            return replace(out, floor=Floor.SPEAK)
        return replace(out, floor=Floor.LISTEN) if said.speech and not out.speech else out

    def forget(self) -> None:
        """Drop what waits: what the model says now has to do with something else than what was said."""
        self._wish, self._is_open, self._is_said = None, False, False
        self._sentence, self._is_answered = self._listener.sentence, True

    def _sort(self, said: Said) -> Said:
        """Return what goes out at once, and keep what has to wait."""
        out, tasks = list[SpeechText](), said.tasks
        for one in said.speech:
            if not self._is_open:
                waits = one.kind is SpeechKind.REPLY and self._listener.is_heard
                self._is_said = not waits
                if waits and not self._is_answered and self._wish is None:
                    self._wish = _Wish()
            self._is_open = not one.last
            if self._is_said:
                out.append(one)
            elif self._wish is not None:
                self._wish.speech.append(one)
        if self._wish is not None:
            self._wish.tasks += tasks
            tasks = ()
        return Said(said.floor, tuple(out), tasks)

    def _due(self, *, is_playing: bool) -> _Wish | None:
        """Return what is to be said now to the sentence."""
        if self._is_answered or not self._listener.is_over:
            return None
        wish = self._wish
        words = None if wish is None and is_playing else self._listener.reply(is_wanted=wish is not None)
        if words is None and wish is None:
            return None
        self._is_answered, self._wish = True, None
        if words == "":
            self.counters["answers_left_to_the_clock"] += 1
            return None
        if words is None:
            self._is_said = self._is_open  # the rest of it follows
            return wish
        self.counters["answers_read"] += 1
        return _Wish([SpeechText(words)], [] if wish is None else wish.tasks)
