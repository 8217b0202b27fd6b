"""What happened in a scenario, on one time line: what came in, what the robot said and did, and when it was heard.

Times are seconds since the scenario's start; of the robot's words and voice they are those at the loudspeaker. Fed one
micro-turn at a time, so that what comes in next can depend on it. It judges nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tml_ros.evaluation import fdb
from tml_ros.evaluation.fdb import Word
from tml_ros.evaluation.room import RoomTurn
from tml_ros.records import (
    MICRO_TURN_NS,
    SAMPLE_RATE_HZ,
    DelegationEvent,
    DelegationPhase,
    IntentProposal,
    PlaybackReport,
    PlaybackState,
    SafetyAlert,
    SessionState,
    SpeechKind,
    SpeechPiece,
    TranscriptEvent,
    TurnMetrics,
)
from tml_ros.wire import Published

__all__ = ["EVENTS", "Happening", "Segment", "Timeline", "Utterance"]

EVENTS = ("robot_speaks", "robot_stops", "intent", "alert", "task", "heard")
"""What inputs and expectations may refer to, besides the inputs themselves."""

_FRAME = SAMPLE_RATE_HZ // 100
_VOICE_LEVEL = 0.002  # what the synthesisers of this package take for silence ends below it, ducked by 12 dB
_SOUND_LEVEL = 0.004
_MODEL_GAP_S = 0.5  # Full-Duplex-Bench v1.5: gaps of the model's voice that are none
_TURN_S = MICRO_TURN_NS / 1e9
_FEWEST_ALIKE = 2  # words by which an utterance is known to go on with another one


@dataclass(slots=True)
class Segment:
    """A stretch of the robot's voice. is_cut: it was flushed, so what follows it is another one."""

    start_s: float
    end_s: float
    is_cut: bool = False


@dataclass(slots=True)
class Utterance:
    """Something that the robot said. track: (samples played, time) as the loudspeaker reported them."""

    utterance_id: int
    kind: SpeechKind
    text: str = ""
    interrupted: bool = False
    audio: list[NDArray[np.float32]] = field(default_factory=list)
    track: list[tuple[int, float]] = field(default_factory=list)

    @property
    def heard(self) -> str:
        """Its words as far as they were heard."""
        return " ".join(word.text for word in self.words())

    @property
    def start_s(self) -> float | None:
        """When its first sound was heard; None if it never was."""
        words = self.words()
        return words[0].start_s if words else None

    def words(self) -> list[Word]:
        """Return the words that were heard, spread over its sound by their letters."""
        words, audio = self.text.split(), np.concatenate(self.audio)
        loud = np.flatnonzero(np.abs(audio) > _SOUND_LEVEL)
        if not (words and len(loud) and self.track):
            return []
        share = np.concatenate([[0.0], np.cumsum([len(word) for word in words])])
        places = loud[0] + share / share[-1] * (loud[-1] + 1 - loud[0])
        played = self.track[-1][0]
        samples, times = np.array(self.track, np.float64).T
        starts, ends = np.interp(places[:-1], samples, times), np.interp(places[1:], samples, times)
        heard = places[:-1] < played
        return [
            Word(word, float(at), float(to)) for word, at, to, h in zip(words, starts, ends, heard, strict=True) if h
        ]


@dataclass(frozen=True, slots=True)
class Happening:
    """A record that was published, at the end of its micro-turn."""

    at_s: float
    record: IntentProposal | SafetyAlert | DelegationEvent | TranscriptEvent


class Timeline:
    """Everything of one scenario, in order.

    Attributes:
        inputs: start and end of what came in, by name; of speech those of the voice.
        floors: (time, floor) at every change.
        counters: of the newest micro-turn.

    Thread: one caller at a time.
    """

    def __init__(self, epoch_ns: int) -> None:
        """Begin. epoch_ns: time of the room's clock at the scenario's start."""
        self.inputs: dict[str, tuple[float, float]] = {}
        self.utterances: list[Utterance] = []
        self.segments: list[Segment] = []
        self.happenings: list[Happening] = []
        self.floors: list[tuple[float, str]] = []
        self.counters: Mapping[str, int] = {}
        self.now_s = 0.0
        self._epoch_ns = epoch_ns
        self._session = ""
        self._playing: dict[int, Utterance] = {}

    @property
    def intents(self) -> list[tuple[float, IntentProposal]]:
        """The proposed intents with their times, those taken back included."""
        return [(one.at_s, one.record) for one in self.happenings if isinstance(one.record, IntentProposal)]

    @property
    def alerts(self) -> list[tuple[float, SafetyAlert]]:
        """The alerts with their times."""
        return [(one.at_s, one.record) for one in self.happenings if isinstance(one.record, SafetyAlert)]

    @property
    def tasks(self) -> list[tuple[float, DelegationEvent]]:
        """The tasks that were handed on, with their times."""
        events = [(one.at_s, one.record) for one in self.happenings if isinstance(one.record, DelegationEvent)]
        return [(at_s, event) for at_s, event in events if event.event is DelegationPhase.REQUESTED]

    @property
    def heard(self) -> list[tuple[float, TranscriptEvent]]:
        """What was understood of people, with the times at which it was."""
        return [(one.at_s, one.record) for one in self.happenings if isinstance(one.record, TranscriptEvent)]

    def words(self) -> list[Word]:
        """Return all that the robot was heard to say, in order."""
        return sorted((word for one in self.utterances for word in one.words()), key=lambda word: word.start_s)

    def told(self) -> list[fdb.Utterance]:
        """Return what was heard of every utterance, as the behaviours of Full-Duplex-Bench v1.5 are judged by.

        An utterance that goes on with the clause in which one before it was cut shows what that one meant to say.
        """
        told: list[fdb.Utterance] = []
        for _, one in self.spoken():
            words = one.words()
            for number, before in enumerate(told):
                rest = _rest(before.text.split(), one.text.split()) if before.is_cut else None
                if rest is not None:
                    told[number] = replace(before, text=" ".join([before.text, *rest]))
            told.append(fdb.Utterance(one.text, words[0].start_s, words[-1].end_s, one.interrupted))
        return told

    def times(self, event: str) -> list[float]:
        """Return when something happened so far.

        event: ``start``, one of ``EVENTS``, or ``NAME.start`` or ``NAME.end`` of an input; ``NAME`` alone is its end.
        """
        if event in self.inputs:
            return [self.inputs[event][1]]
        name, _, side = event.rpartition(".")
        if side in ("start", "end") and name:
            return [self.inputs[name][side == "end"]] if name in self.inputs else []
        if event == "start":
            return [0.0]
        if event == "robot_speaks":
            return [one.start_s for one in self.segments]
        if event == "robot_stops":
            return [one.end_s for one in self.segments if one.is_cut or self.now_s - one.end_s > _MODEL_GAP_S]
        found: Mapping[str, Sequence[tuple[float, Published]]] = {
            "intent": self.intents,
            "alert": self.alerts,
            "task": self.tasks,
            "heard": self.heard,
        }
        return [at_s for at_s, _ in found.get(event, ())]

    def add(self, turn: RoomTurn) -> None:
        """Take in a micro-turn of the room."""
        self.now_s = turn.start_s + _TURN_S
        for report in turn.playback:
            self._follow(report)
        self._listen(turn.start_s, turn.loudspeaker)
        for record in turn.records:
            self._note(record)

    def _follow(self, report: PlaybackReport) -> None:
        at_s = (report.stamp_ns - self._epoch_ns) / 1e9
        one = self._playing.get(report.utterance_id)
        if one is None or report.state is PlaybackState.IDLE:
            return
        if not one.track or report.samples_played >= one.track[-1][0]:
            one.track.append((report.samples_played, at_s))
        if report.state is PlaybackState.FLUSHED:
            self._cut(one, at_s)

    def _cut(self, one: Utterance, at_s: float) -> None:
        one.interrupted = bool(one.track and one.track[-1][0])
        if self.segments and one.interrupted and at_s - self.segments[-1].end_s <= _MODEL_GAP_S:
            self.segments[-1].is_cut = True

    def _listen(self, start_s: float, sound: NDArray[np.float32]) -> None:
        """Note where the robot's voice sounds, by 10 ms."""
        level = np.abs(sound).reshape(-1, _FRAME).max(axis=1)
        for number in np.flatnonzero(level > _VOICE_LEVEL):
            at_s = start_s + int(number) * _FRAME / SAMPLE_RATE_HZ
            end_s = at_s + _FRAME / SAMPLE_RATE_HZ
            last = self.segments[-1] if self.segments else None
            if last is not None and at_s - last.end_s <= (0.0101 if last.is_cut else _MODEL_GAP_S):
                last.end_s = end_s
            else:
                self.segments.append(Segment(at_s, end_s))

    def _note(self, record: Published) -> None:
        match record:
            case SpeechPiece():
                self._say(record)
            case TranscriptEvent():
                if record.final and record.speaker == "user":
                    self.happenings.append(Happening(self.now_s, record))
            case IntentProposal() | SafetyAlert() | DelegationEvent():
                self.happenings.append(Happening(self.now_s, record))
            case SessionState():
                if not self.floors or self.floors[-1][1] != record.floor.value:
                    self.floors.append((self.now_s, record.floor.value))
            case TurnMetrics():
                self.counters = record.counters

    def _say(self, piece: SpeechPiece) -> None:
        if piece.session_id != self._session:
            self._session, self._playing = piece.session_id, {}
        one = self._playing.get(piece.utterance_id)
        if one is None:
            one = self._playing[piece.utterance_id] = Utterance(piece.utterance_id, piece.kind)
            self.utterances.append(one)
        one.text = f"{one.text} {piece.text}".strip()
        one.audio.append(piece.audio)

    def spoken(self) -> Iterator[tuple[float, Utterance]]:
        """Yield what was heard of the robot, by the time at which each began."""
        for one in self.utterances:
            at_s = one.start_s
            if at_s is not None:
                yield at_s, one


def _rest(cut: Sequence[str], later: Sequence[str]) -> Sequence[str] | None:
    """Return what words add to those before, whose end they begin with; None if they do not."""
    for size in range(min(len(cut), len(later)), _FEWEST_ALIKE - 1, -1):
        if list(cut[-size:]) == list(later[:size]):
            return later[size:]
    return None
