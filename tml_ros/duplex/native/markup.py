"""The grammar of the model's text output: ids to speech, intents, tasks, timers, counts and transcripts, and back.

    <say> words <done>
    <intent> name (<slot> key <is> value)* <done>          a dotted key, other_data.distance_m, is a role in a group
    <delegate> task <done>
    <timer> seconds (<repeat> seconds)? <is> text <done>
    <count> what <is> number <done>
    <heard> words <done>

A structure may span micro-turns, and <end> between them says nothing. Whatever ids come, nothing is raised: what breaks
the grammar is dropped and counted. Two kinds are streamed, <say> and <heard>, and what was put out of them stays: they
end where they break. Whether an intent is allowed is not decided here, and tensors are unknown.
"""

import copy
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tml_ros.duplex.native.tokens import OPENING_MARKERS, Marker
from tml_ros.duplex.native.vocabulary import Vocabulary, normalise, split_words, to_text
from tml_ros.errors import ConfigError
from tml_ros.intents.file import IntentSpec
from tml_ros.records import (
    CountDraft,
    DelegationDraft,
    Floor,
    IntentDraft,
    MicroTurn,
    SpeechKind,
    SpeechText,
    TextSource,
    TimeAction,
    TimerDraft,
    TimeRequest,
    TranscriptEvent,
)

__all__ = [
    "HEARD_TURNS",
    "MAX_STREAMED_TOKENS",
    "MAX_TIMER_S",
    "MAX_TOKENS",
    "MarkupParser",
    "MarkupState",
    "Parsed",
    "Record",
    "as_timer",
    "encode",
]

MAX_TOKENS = 96
"""Longest structure, its closing marker included."""
MAX_STREAMED_TOKENS = 512
"""Longest <say> or <heard>."""
MAX_QUIET_TURNS = 10
"""Longest pause within a structure, 2 s: one that the model does not go on with would stay open for ever."""
TYPED_TURNS = 25
"""For so long, 5 s, what the model proposes is taken for an answer to what was typed."""
HEARD_TURNS = 10
"""For so long, 2 s, what was heard belongs to one turn of the person's: what follows from it is no surer than it."""
MAX_TIMER_S = 86_400.0
MIN_REPEAT_S = 1.0
MAX_COUNT = 1_000_000

Record = SpeechText | IntentDraft | DelegationDraft | TimerDraft | CountDraft | TranscriptEvent

_SILENT = (Floor.LISTEN, Floor.YIELD)
_STREAMED = (Marker.SAY, Marker.HEARD)
_INNER = (Marker.SLOT, Marker.IS, Marker.REPEAT)
_NO_TURN = MicroTurn(0, 0, 0, np.zeros(0, np.float32), 0.0)
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,9})?")


@dataclass(frozen=True, slots=True)
class Parsed:
    """What one push led to. counters: what was dropped, by reason, such as ``malformed_intent`` or ``stray_text``."""

    speech: tuple[SpeechText, ...] = ()
    intents: tuple[IntentDraft, ...] = ()
    delegations: tuple[DelegationDraft, ...] = ()
    timers: tuple[TimerDraft, ...] = ()
    counts: tuple[CountDraft, ...] = ()
    transcripts: tuple[TranscriptEvent, ...] = ()
    counters: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class _Open:
    """A structure that has begun. parts: each marker so far with the bytes behind it; the first is the opening one."""

    marker: Marker
    kind: SpeechKind
    modality: str
    start_ns: int
    parts: list[tuple[Marker, bytearray]]
    said: int = 0  # bytes that were put out
    is_said: bool = False  # whether any words were
    tokens: int = 0
    quiet: int = 0  # micro-turns since its last token
    log_probability: float = 0.0

    @property
    def confidence(self) -> float:
        """Geometric mean of the probabilities of its tokens, the opening marker's included."""
        return math.exp(self.log_probability / (self.tokens + 1))

    @property
    def name(self) -> str:
        return self.marker.name.lower()


@dataclass(slots=True)
class MarkupState:
    """What a parser keeps between micro-turns.

    skipping: up to <done> or the next structure, everything is ignored. untyped: micro-turns since somebody typed.
    heard: probability of the least sure transcript of the person's turn; unheard: micro-turns since the last one.
    """

    open: _Open | None = None
    skipping: bool = False
    untyped: int = TYPED_TURNS
    heard: float = 1.0
    unheard: int = 0


class MarkupParser:
    """Reads the text output of one session.

    Thread: one caller at a time.
    """

    def __init__(self, vocabulary: Vocabulary, specs: Mapping[str, IntentSpec] | None = None) -> None:
        """Begin outside of any structure. specs: give intents their priority, 128 for those that it does not name."""
        self._vocabulary = vocabulary
        self._specs = specs or {}
        self._state = MarkupState()

    def reset(self) -> None:
        """Forget what is open."""
        self._state = MarkupState()

    @property
    def is_typed(self) -> bool:
        """Whether what the model proposes now is taken for an answer to what was typed."""
        return self._state.untyped < TYPED_TURNS

    def snapshot(self) -> MarkupState:
        """Return a copy of what is kept between micro-turns."""
        return copy.deepcopy(self._state)

    def restore(self, state: MarkupState) -> None:
        """Go on from a snapshot."""
        self._state = copy.deepcopy(state)

    def push(
        self, ids: Sequence[int], floor: Floor, turn: MicroTurn, probabilities: Sequence[float] | None = None
    ) -> Parsed:
        """Take in the text of one micro-turn.

        Args:
            ids: any numbers.
            floor: who has the floor in it; with LISTEN and YIELD an open utterance ends and none begins.
            turn: gives its times, and whether somebody typed.
            probabilities: that of each id; 1 when they are not given.

        Raises:
            ValueError: there are not as many probabilities as ids.
        """
        push = _Push(self._vocabulary, self._specs, self._state, floor, turn)
        push.check_open()
        for token, probability in zip(ids, probabilities or [1.0] * len(ids), strict=True):
            push.take(token, probability)
        push.stream(has_tokens=len(ids) > 0)
        return push.parsed()


class _Push:
    """One call of ``MarkupParser.push``: changes the state, collects what comes of it."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        specs: Mapping[str, IntentSpec],
        state: MarkupState,
        floor: Floor,
        turn: MicroTurn,
    ) -> None:
        self._vocabulary, self._specs, self._state = vocabulary, specs, state
        self._floor, self._turn = floor, turn
        self._records: list[Record] = []
        self._counters: Counter[str] = Counter()

    def parsed(self) -> Parsed:
        found = self._records
        return Parsed(
            speech=tuple(record for record in found if isinstance(record, SpeechText)),
            intents=tuple(record for record in found if isinstance(record, IntentDraft)),
            delegations=tuple(record for record in found if isinstance(record, DelegationDraft)),
            timers=tuple(record for record in found if isinstance(record, TimerDraft)),
            counts=tuple(record for record in found if isinstance(record, CountDraft)),
            transcripts=tuple(record for record in found if isinstance(record, TranscriptEvent)),
            counters=self._counters,
        )

    def check_open(self) -> None:
        """End what the model does not go on with, and an open utterance when the robot no longer has the floor."""
        is_typed = any(text.source is TextSource.USER for text in self._turn.texts)
        self._state.untyped = 0 if is_typed else min(self._state.untyped + 1, TYPED_TURNS)
        self._state.unheard += 1
        if is_typed or self._state.unheard > HEARD_TURNS:
            self._state.heard = 1.0
        one = self._state.open
        if one is not None and one.quiet >= MAX_QUIET_TURNS:
            self._break_off(f"stalled_{one.name}")
            one = None
        if one is not None and one.marker is Marker.SAY and self._floor in _SILENT:
            self._break_off("cut_say", keeps_end=False)

    def take(self, token: int, probability: float) -> None:
        if token == Marker.END:
            return
        if token in OPENING_MARKERS:
            self._begin(Marker(token), probability)
        elif self._state.open is not None:
            self._go_on(self._state.open, token, probability)
        elif self._state.skipping:
            self._state.skipping = token != Marker.DONE
        else:
            self._counters["stray_text" if self._vocabulary.is_piece(token) else "stray_marker"] += 1

    def stream(self, *, has_tokens: bool) -> None:
        """Put out the words that have become whole."""
        one = self._state.open
        if one is not None:
            one.quiet = 0 if has_tokens else one.quiet + 1
        if one is None or one.marker not in _STREAMED:
            return
        text = bytes(one.parts[0][1])
        words, rest = split_words(text[one.said :])
        if words and one.marker is Marker.SAY:
            self._records.append(SpeechText(words, one.kind, last=False))
        elif words:
            self._records.append(self._heard(one, to_text(text[: len(text) - len(rest)]), is_final=False))
        one.said = len(text) - len(rest)
        one.is_said |= bool(words)

    def _begin(self, marker: Marker, probability: float) -> None:
        if self._state.open is not None:
            self._break_off(f"malformed_{self._state.open.name}")
        self._state.skipping = False
        if marker is Marker.SAY and self._floor in _SILENT:
            self._counters["cut_say"] += 1
            self._state.skipping = True
            return
        kind = SpeechKind.BACKCHANNEL if self._floor is Floor.BACKCHANNEL else SpeechKind.REPLY
        modality = "other" if self._state.untyped < TYPED_TURNS else "speech"
        self._state.open = _Open(
            marker, kind, modality, self._turn.start_ns, [(marker, bytearray())], log_probability=_log(probability)
        )

    def _go_on(self, one: _Open, token: int, probability: float) -> None:
        one.tokens += 1
        one.log_probability += _log(probability)
        if one.tokens > (MAX_STREAMED_TOKENS if one.marker in _STREAMED else MAX_TOKENS):
            self._break_off(f"overlong_{one.name}")
            self._state.skipping = token != Marker.DONE
        elif self._vocabulary.is_piece(token):
            one.parts[-1][1].extend(self._vocabulary.piece(token))
        elif token == Marker.DONE:
            self._end(one)
        elif token in _INNER and one.marker not in _STREAMED:
            one.parts.append((Marker(token), bytearray()))
        else:
            self._break_off(f"malformed_{one.name}")

    def _break_off(self, reason: str, *, keeps_end: bool = True) -> None:
        """Drop what is open, but for the words of a streamed structure; ignore what follows of it."""
        one = self._state.open
        self._counters[reason] += 1
        if one is not None and one.marker in _STREAMED:
            if not keeps_end:
                del one.parts[0][1][one.said :]
            self._end_streamed(one)
        self._state.open, self._state.skipping = None, True

    def _end(self, one: _Open) -> None:
        self._state.open = None
        if one.marker in _STREAMED:
            if not self._end_streamed(one):
                self._counters[f"malformed_{one.name}"] += 1
            return
        record = _BUILDERS[one.marker](one, [(marker, to_text(bytes(text))) for marker, text in one.parts])
        if record is None:
            self._counters[f"malformed_{one.name}"] += 1
            return
        self._records.append(self._completed(record) if isinstance(record, IntentDraft) else record)

    def _end_streamed(self, one: _Open) -> bool:
        """Put out the last words; return whether there were any words at all."""
        text = bytes(one.parts[0][1])
        if one.marker is Marker.HEARD:
            self._state.heard = min(self._state.heard, math.exp(one.log_probability))
            self._state.unheard = 0
            if whole := to_text(text):
                self._records.append(self._heard(one, whole, is_final=True))
            return bool(whole)
        words = to_text(text[one.said :])
        if words or one.is_said:
            self._records.append(SpeechText(words, one.kind, last=True))
        return bool(words or one.is_said)

    def _heard(self, one: _Open, text: str, *, is_final: bool) -> TranscriptEvent:
        return TranscriptEvent("user", text, is_final, one.confidence, one.start_ns, self._turn.end_ns)

    def _completed(self, draft: IntentDraft) -> IntentDraft:
        """Return an intent with its priority, no surer than what was heard."""
        spec = self._specs.get(draft.intent)
        priority = draft.priority if spec is None else spec.priority
        return replace(draft, priority=priority, confidence=draft.confidence * self._state.heard)


def as_timer(request: TimeRequest) -> TimerDraft | None:
    """Return a reminder as a timer, all that a model can ask of the session's clock; None of other requests."""
    if request.action is not TimeAction.REMIND or not 0 < request.span_s <= MAX_TIMER_S:
        return None
    return TimerDraft(request.name or request.text, request.span_s, request.span_s if request.repeats else 0.0)


def _log(probability: float) -> float:
    return math.log(min(max(probability, 1e-9), 1.0)) if math.isfinite(probability) else math.log(1e-9)


# ------------------------------------------------------------------------------------------------ parts to records

_Parts = list[tuple[Marker, str]]


def _intent(one: _Open, parts: _Parts) -> IntentDraft | None:
    (_, name), *slots = parts
    if not _is_word(name) or len(slots) % 2:
        return None
    data: dict[str, Any] = {}
    for (slot, key), (is_, value) in zip(slots[::2], slots[1::2], strict=True):
        if slot is not Marker.SLOT or is_ is not Marker.IS or not value or not _put(data, key, _value(value)):
            return None
    return IntentDraft(name, data, one.confidence, modality=one.modality)


def _delegation(one: _Open, parts: _Parts) -> DelegationDraft | None:
    return DelegationDraft(parts[0][1]) if len(parts) == 1 and parts[0][1] else None


def _timer(one: _Open, parts: _Parts) -> TimerDraft | None:
    (_, after), *inner = parts
    markers = [marker for marker, _ in inner]
    if markers not in ([Marker.IS], [Marker.REPEAT, Marker.IS]) or not inner[-1][1]:
        return None
    after_s, repeat_s = _value(after), _value(inner[0][1]) if len(inner) == 2 else MIN_REPEAT_S
    if isinstance(after_s, str) or isinstance(repeat_s, str):
        return None
    if not (0 < after_s <= MAX_TIMER_S and MIN_REPEAT_S <= repeat_s <= MAX_TIMER_S):
        return None
    return TimerDraft(inner[-1][1], float(after_s), float(repeat_s) if len(inner) == 2 else 0.0)


def _count(one: _Open, parts: _Parts) -> CountDraft | None:
    if [marker for marker, _ in parts] != [Marker.COUNT, Marker.IS] or not parts[0][1]:
        return None
    count = _value(parts[1][1])
    return CountDraft(parts[0][1], count) if isinstance(count, int) and 0 <= count <= MAX_COUNT else None


_BUILDERS: Mapping[Marker, Callable[[_Open, _Parts], Record | None]] = {
    Marker.INTENT: _intent,
    Marker.DELEGATE: _delegation,
    Marker.TIMER: _timer,
    Marker.COUNT: _count,
}


def _is_word(text: str) -> bool:
    return bool(text) and " " not in text


def _value(text: str) -> int | float | str:
    """Return the number that a text is, the text when it is none."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        return text
    return float(text) if found[1] else int(text)


def _put(data: dict[str, Any], key: str, value: Any) -> bool:
    """Put a value under a dotted key; False when the key is no key or taken."""
    *groups, last = key.split(".")
    if not all(map(_is_word, (*groups, last))):
        return False
    for group in groups:
        inner = data.setdefault(group, {})
        if not isinstance(inner, dict):
            return False
        data = inner
    if last in data:
        return False
    data[last] = value
    return True


# ------------------------------------------------------------------------------------------------ records to ids


def encode(vocabulary: Vocabulary, record: Record) -> list[int]:
    """Return the structure from which the parser reads a record, as targets for training have it.

    Only what the grammar carries is kept: no priority or confidence, and of speech and transcripts the words alone.

    Raises:
        ConfigError: the parser would not read the record from it: it is empty, too long, out of range, or has data
            other than words, numbers and groups of them.
    """
    ids: list[int] = []
    for marker, text in _parts_of(record):
        ids += [int(marker), *vocabulary.encode(text)]
    ids.append(int(Marker.DONE))
    parsed = MarkupParser(vocabulary).push(ids, Floor.SPEAK, _NO_TURN)
    every = (parsed.speech, parsed.transcripts, parsed.delegations, parsed.counts, parsed.timers, parsed.intents)
    read: list[Record] = [one for records in every for one in records]
    if [_carried(one) for one in read] != [_carried(record)]:
        found = f"{read[0]!r:.200}" if read else str(dict(parsed.counters))
        raise ConfigError(
            f"{record!r:.200} cannot be put in the model's words, it would be read as {found}; use plain words and "
            f"numbers, at most {MAX_TOKENS} tokens"
        )
    return ids


def _parts_of(record: Record) -> _Parts:
    if isinstance(record, SpeechText):
        return [(Marker.SAY, record.text)]
    if isinstance(record, TranscriptEvent):
        return [(Marker.HEARD, record.text)]
    if isinstance(record, DelegationDraft):
        return [(Marker.DELEGATE, record.task)]
    if isinstance(record, CountDraft):
        return [(Marker.COUNT, record.what), (Marker.IS, _spelled(record.count))]
    if isinstance(record, TimerDraft):
        repeat = [(Marker.REPEAT, _spelled(record.repeat_s))] if record.repeat_s else []
        return [(Marker.TIMER, _spelled(record.after_s)), *repeat, (Marker.IS, record.text)]
    slots: _Parts = []
    for key, value in _flat(record.data, ""):
        slots += [(Marker.SLOT, key), (Marker.IS, _spelled(value))]
    return [(Marker.INTENT, record.intent), *slots]


def _flat(data: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in data.items():
        found += _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [(f"{prefix}{key}", value)]
    return found


def _spelled(value: Any) -> str:
    is_fraction = isinstance(value, float) and math.isfinite(value)
    return f"{value:.9f}".rstrip("0").rstrip(".") if is_fraction else str(value)


def _carried(record: Record) -> object:
    """Return what the grammar carries of a record, to compare."""
    if isinstance(record, SpeechText | TranscriptEvent):
        return type(record), normalise(record.text)
    if isinstance(record, DelegationDraft):
        return type(record), normalise(record.task)
    if isinstance(record, CountDraft):
        return type(record), normalise(record.what), record.count
    if isinstance(record, TimerDraft):
        return type(record), normalise(record.text), record.after_s, record.repeat_s
    return type(record), record.intent, dict(record.data)
