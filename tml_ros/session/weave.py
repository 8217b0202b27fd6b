"""Work what the background model finds into the talk: fillers, results, corrections, and what nobody needs any more.

Progress is spoken after a silence and never over the person; results wait for a free floor unless they are urgent; what
belongs to a task that was withdrawn, replaced or of another session is dropped. It decides what is said and when; the
session says it. It looks at no clock but the micro-turns' own, and knows neither ROS nor the model behind the port.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tml_ros.background import spoken
from tml_ros.background.port import BackgroundPort, DelegationRequest
from tml_ros.background.protocol import ContextPackage, Failure, Outcome, Partial, Progress, Result, Update
from tml_ros.background.recorded import end_event
from tml_ros.records import (
    DelegationDraft,
    DelegationEvent,
    DelegationPhase,
    Frame,
    IntentDraft,
    SpeechKind,
    SpeechText,
    TimerDraft,
)
from tml_ros.session.config import DelegationConfig
from tml_ros.speech.synthesis import split_sentences

__all__ = ["FloorView", "Weave", "Woven"]

_STATUS_CHARACTERS = 200
_URGENT_SPEECH = 220
_SORRY = "Sorry, I could not find that out."
_FIRST_FILLER, _NEXT_FILLER = "One moment, please.", "I am still working on that."
_NOBODY = Failure(Outcome.FAILED, spoken.NOBODY, "no background model is connected; set delegation.enabled")
_TOO_MANY = Failure(
    Outcome.REFUSED,
    spoken.BUSY,
    "delegation.max_open tasks are open",
)


@dataclass(frozen=True, slots=True)
class FloorView:
    """Who speaks in this micro-turn. quiet_ns: how long neither has spoken. is_free: whether a result may be said."""

    now_ns: int
    is_free: bool
    quiet_ns: int


@dataclass(frozen=True, slots=True)
class Woven:
    """What follows from the end of a task besides its words.

    intents: to be proposed in this order, resting on ``utterances``. texts: what the model is to know of it.
    """

    delegation_id: str = ""
    utterances: tuple[int, ...] = ()
    intents: tuple[IntentDraft, ...] = ()
    timers: tuple[TimerDraft, ...] = ()
    texts: tuple[str, ...] = ()


@dataclass(slots=True)
class _Task:
    """A task that is open, or whose end still waits for the floor. spoken_words: how many of ``partial`` were said."""

    delegation_id: str
    task: str
    priority: int
    since_ns: int
    stage: str = "sent"
    status_text: str = ""
    partial: str = ""
    spoken_words: int = 0
    utterances: list[int] = field(default_factory=list)
    fillers: int = 0
    is_quiet: bool = False
    is_silenced: bool = False
    end: Result | Failure | None = None
    ended_ns: int = 0
    contradicts: tuple[int, ...] = ()


class Weave:
    """The tasks of one session.

    Thread: one caller at a time.
    """

    def __init__(self, session_id: str, config: DelegationConfig, port: BackgroundPort | None) -> None:
        self.counters: Counter[str] = Counter()
        self._session_id = session_id
        self._config = config
        self._port = port
        self._tasks: dict[str, _Task] = {}
        self._finished: deque[_Task] = deque(maxlen=20)
        self._number = 0
        self._barged: tuple[str, int] | None = None
        self._silenced: list[tuple[_Task, bool, bool]] = []
        self._events: list[DelegationEvent] = []

    # ---------------------------------------------------------------------------------------------- open tasks

    @property
    def open_ids(self) -> tuple[str, ...]:
        """The tasks that the background model works on."""
        return tuple(one.delegation_id for one in self._tasks.values() if one.end is None)

    def open_tasks(self, now_ns: int) -> list[dict[str, Any]]:
        """Return the open tasks as the context package has them."""
        return [
            {
                "id": one.delegation_id,
                "task": one.task,
                "since_s": round((now_ns - one.since_ns) / 1e9, 1),
                "stage": one.stage,
            }
            for one in self._tasks.values()
            if one.end is None
        ]

    def start(
        self,
        draft: DelegationDraft,
        now_ns: int,
        context: Callable[[], Mapping[str, Any]],
        frames: tuple[Frame, ...],
    ) -> tuple[str, ...]:
        """Send a task; return the ids of the tasks that it takes the place of."""
        replaced = self._replaced_by(draft, now_ns)
        self._number += 1
        one = _Task(f"{self._session_id}/{self._number}", draft.task, draft.priority, now_ns)
        is_full = len(self.open_ids) >= self._config.max_open
        self._tasks[one.delegation_id] = one
        self._note(one, DelegationPhase.REQUESTED, task=one.task)
        if self._port is None or is_full:
            self.counters["unserved_delegations" if self._port is None else "refused_delegations"] += 1
            self._end(one, _NOBODY if self._port is None else _TOO_MANY, now_ns)
            return replaced
        self.counters["delegations"] += 1
        package = ContextPackage(
            draft.task, self._session_id, context(), budget_s=self._config.budget_s, priority=draft.priority
        )
        self._port.start(DelegationRequest(one.delegation_id, package, frames), now_ns)
        return replaced

    def withdraw_all(self) -> tuple[str, ...]:
        """Give up every task, those whose result is not said yet and the last that was said, too; return their ids."""
        ids = tuple(self._tasks)
        for delegation_id in ids:
            self._withdraw(delegation_id)
        return (*ids, *(one.delegation_id for one in self._finished))

    def on_cut(self, utterance_ids: Iterable[int], now_ns: int) -> None:
        """Take in that the person interrupted these utterances: a report is not gone on with, a filler not repeated."""
        cut = set(utterance_ids)
        self._silenced = []
        for one in [*self._tasks.values(), *self._finished]:
            if cut & set(one.utterances):
                self._silenced.append((one, one.is_quiet, one.is_silenced))
                one.is_quiet = True
                one.is_silenced = one.spoken_words > 0
                self._barged = (one.delegation_id, now_ns)

    def on_resumed(self, utterances: Mapping[int, int]) -> None:
        """Take in that the last interruption was none. utterances: those that were cut, and those that say the rest."""
        for one, was_quiet, was_silenced in self._silenced:
            one.is_quiet, one.is_silenced = was_quiet, was_silenced
            one.utterances += [new for old, new in utterances.items() if old in one.utterances]
        self._silenced, self._barged = [], None

    def close(self) -> None:
        """Give up everything; the session is over."""
        for delegation_id in list(self._tasks):
            self._withdraw(delegation_id)

    def _replaced_by(self, draft: DelegationDraft, now_ns: int) -> tuple[str, ...]:
        """Withdraw the task that a request takes the place of: the last one, or the one that was interrupted for it."""
        barged, self._barged = self._barged, None
        known = [*(one.delegation_id for one in self._finished), *self._tasks]
        if barged and now_ns - barged[1] <= self._config.change_window_s * 1e9:
            wanted = barged[0]
        elif draft.replaces and known:
            wanted = known[-1]
        else:
            return ()
        self._withdraw(wanted)
        return (wanted,)

    def _withdraw(self, delegation_id: str) -> None:
        one = self._tasks.pop(delegation_id, None)
        if one is None:
            return
        self.counters["withdrawn_delegations"] += 1
        self._note(one, DelegationPhase.WITHDRAWN)
        if one.end is None and self._port is not None:
            self._port.cancel(delegation_id)

    # ---------------------------------------------------------------------------------------------------- news

    def take_in(self, now_ns: int, is_known: Callable[[int], bool]) -> tuple[int, ...]:
        """Take in what has come from the background model; return the utterances that it contradicts.

        is_known: whether the robot has said an utterance in this session.
        """
        contradicted: list[int] = []
        for news in self._port.updates(now_ns) if self._port is not None else ():
            one = self._tasks.get(news.delegation_id)
            if one is None or one.end is not None:
                self.counters["stale_background_updates"] += 1
                continue
            self._apply(one, news.update, now_ns)
            if isinstance(news.update, Result) and not one.is_silenced:
                one.contradicts = tuple(number for number in news.update.contradicts if is_known(number))
                contradicted += one.contradicts
        return tuple(contradicted)

    def _apply(self, one: _Task, update: Update, now_ns: int) -> None:
        if isinstance(update, Progress):
            one.stage = update.stage or one.stage
            one.status_text = update.status_text.strip()[:_STATUS_CHARACTERS] or one.status_text
            self._note(one, DelegationPhase.PROGRESS, stage=update.stage, text=update.status_text)
        elif isinstance(update, Partial):
            one.partial = (one.partial + update.text)[: self._config.max_spoken_chars]
            self._note(one, DelegationPhase.PARTIAL, text=update.text)
        else:
            self._end(one, update, now_ns)

    def _end(self, one: _Task, end: Result | Failure, now_ns: int) -> None:
        one.end, one.ended_ns = end, now_ns
        self.counters["failed_delegations"] += isinstance(end, Failure)
        text, outcome, result_json = end_event(end)
        self._note(one, DelegationPhase.ENDED, text=text, outcome=outcome, result_json=result_json)

    def events(self, stamp_ns: int, window_seq: int) -> list[DelegationEvent]:
        """Return what has happened since the last call, for a micro-turn that ends at ``stamp_ns``."""
        events, self._events = self._events, []
        return [replace(event, stamp_ns=stamp_ns, window_seq=window_seq) for event in events]

    def _note(self, one: _Task, phase: DelegationPhase, **fields: Any) -> None:
        self._events.append(DelegationEvent(0, self._session_id, 0, one.delegation_id, phase, **fields))

    # -------------------------------------------------------------------------------------------------- speech

    def speak(self, floor: FloorView, say: Callable[[SpeechText], int]) -> Woven:
        """Say what is due now and return what else follows from it. say: takes words, gives the utterance's id."""
        for one in list(self._tasks.values()):
            if one.end is None:
                if floor.is_free and not one.is_silenced and self._say_sentences(one, say):
                    return Woven()
            elif floor.now_ns - one.ended_ns > self._config.result_ttl_s * 1e9:
                self.counters["expired_background_results"] += 1
                del self._tasks[one.delegation_id]
            elif floor.is_free or self._is_urgent(one):
                del self._tasks[one.delegation_id]
                self._finished.append(one)
                return self._say_end(one, one.end, say)
        if floor.is_free:
            self._say_filler(floor, say)
        return Woven()

    def _is_urgent(self, one: _Task) -> bool:
        wants = isinstance(one.end, Result) and one.end.data.get("urgent") is True
        return wants or one.priority >= self._config.urgent_priority

    def _say_sentences(self, one: _Task, say: Callable[[SpeechText], int]) -> bool:
        """Say what has come of a report that is still growing, by whole sentences."""
        sentences, _ = split_sentences(" ".join(one.partial.split()[one.spoken_words :]))
        if sentences:
            self._say(one, " ".join(sentences), SpeechKind.BACKGROUND, say)
            one.spoken_words += len(" ".join(sentences).split())
        return bool(sentences)

    def _say_end(self, one: _Task, end: Result | Failure, say: Callable[[SpeechText], int]) -> Woven:
        if isinstance(end, Failure):
            self._say(one, end.report or _SORRY, SpeechKind.BACKGROUND, say)
            return Woven(texts=(end.report or _SORRY,))
        if one.is_silenced:
            self.counters["silenced_results"] += 1
            return Woven()
        report = _bounded(end.report, self._config.max_spoken_chars)
        said = one.partial.split()[: one.spoken_words]
        is_going_on = end.report.split()[: len(said)] == said
        revises = max(one.contradicts, default=0) or (0 if is_going_on else one.utterances[-1])
        rest = " ".join(report.split()[len(said) if is_going_on else 0 :])
        if revises:
            self.counters["corrections"] += 1
            self._say(one, _corrected(rest), SpeechKind.CORRECTION, say, revises)
        elif rest:
            self._say(one, rest, SpeechKind.BACKGROUND, say)
        texts = (report,) if report else ()
        return Woven(one.delegation_id, tuple(one.utterances), end.intents, end.timers, texts)

    def _say_filler(self, floor: FloorView, say: Callable[[SpeechText], int]) -> None:
        """Say that the newest open task is being worked on, after a silence of both sides."""
        waiting = [one for one in self._tasks.values() if one.end is None and not one.is_quiet]
        if not waiting:
            return
        one = waiting[-1]
        due_s = self._config.filler_repeat_s if one.fillers else self._config.filler_after_s
        if min(floor.quiet_ns, floor.now_ns - one.since_ns) < due_s * 1e9:
            return
        text = one.status_text or (_NEXT_FILLER if one.fillers else _FIRST_FILLER)
        one.fillers += 1
        one.status_text = ""
        self._say(one, text, SpeechKind.FILLER, say)

    def _say(self, one: _Task, text: str, kind: SpeechKind, say: Callable[[SpeechText], int], revises: int = 0) -> None:
        priority = _URGENT_SPEECH if self._is_urgent(one) else 128
        one.utterances.append(say(SpeechText(text, kind, priority=priority, revises=revises)))


def _bounded(report: str, most: int) -> str:
    """Return a report that is not too long to be spoken, ended after a sentence."""
    text = " ".join(report.split())
    if len(text) <= most:
        return text
    sentences, _ = split_sentences(text[:most])
    return " ".join(sentences) or f"{text[:most].rsplit(' ', 1)[0]}."


def _corrected(text: str) -> str:
    begins = text.lower().startswith(("correction", "sorry", "i was wrong", "i made a mistake"))
    return text if begins else f"Correction: {text or 'what I said was wrong.'}"
