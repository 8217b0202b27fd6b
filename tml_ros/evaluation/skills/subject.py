"""A model that listens to a stream through the engine, and everything that it then suggested, with its confidence.

The room gives back what the loudspeaker does, but no echo of it. What a model suggests is taken where it comes out of
the model, so that a threshold can be looked at afterwards; whether it may be proposed at all, the allow-list says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tml_ros.clock import BagClock
from tml_ros.config import flatten
from tml_ros.duplex.native.markup import as_timer
from tml_ros.duplex.protocol import DuplexModel, DuplexStream, SessionInfo
from tml_ros.evaluation.room import ClosedRoom, RoomConfig
from tml_ros.evaluation.runner import ModelSpec
from tml_ros.evaluation.skills.streams import Stream
from tml_ros.intents import AllowList
from tml_ros.intents.numbers import words_to_number
from tml_ros.records import (
    MICRO_TURN_SAMPLES,
    AlertDraft,
    IntentDraft,
    MicroTurn,
    MicroTurnOutput,
    SpeechText,
    StampedImage,
    TextInput,
    TimerDraft,
    TranscriptEvent,
)
from tml_ros.resources import locate
from tml_ros.session.build import Assembly, build
from tml_ros.session.engine import InferenceEngine
from tml_ros.speech.synthesis import CachedSynthesiser, create_synthesiser
from tml_ros.wire import Published

__all__ = ["Draft", "Subject", "Suggested"]

_ROOM = RoomConfig(echo_db=None)


@dataclass(frozen=True, slots=True)
class Draft:
    """Something that a model suggested. at_s: end of its micro-turn. is_allowed: the allow-list takes it."""

    at_s: float
    what: IntentDraft | TimerDraft | AlertDraft
    is_allowed: bool = True

    @property
    def confidence(self) -> float:
        """That of an intent or an alert; a timer has none."""
        return 1.0 if isinstance(self.what, TimerDraft) else self.what.confidence


@dataclass(frozen=True, slots=True)
class Suggested:
    """What came of a stream. speech: time and words of the model's, as they came. counts: what was counted, put out by
    the model or said by the robot, in order. seconds: how long it was.
    """

    drafts: tuple[Draft, ...]
    seconds: float
    speech: tuple[tuple[float, SpeechText], ...] = ()
    counts: tuple[int, ...] = ()

    def actions(self) -> list[Draft]:
        """Return the intents that may be proposed, and the timers."""
        return [one for one in self.drafts if one.is_allowed and not isinstance(one.what, AlertDraft)]

    def within(self, start_s: float, end_s: float) -> list[Draft]:
        """Return the actions that were suggested in (start_s, end_s]."""
        return [one for one in self.actions() if start_s < one.at_s <= end_s]

    def warnings(self) -> list[tuple[float, str]]:
        """Return when each utterance and alert began, and its words; what is raised and said at once is there once."""
        found = [(one.at_s, one.what.description) for one in self.drafts if isinstance(one.what, AlertDraft)]
        begun_s, words = 0.0, list[str]()
        for at_s, piece in self.speech:
            begun_s = begun_s if words else at_s
            words += [piece.text] if piece.text else []
            if piece.last and words:
                found.append((begun_s, " ".join(words)))
                words = []
        return sorted({*found, *([(begun_s, " ".join(words))] if words else [])})


class Subject:
    """One model with one session per stream.

    Thread: one caller at a time.
    """

    def __init__(self, spec: ModelSpec) -> None:
        """Load the model.

        Raises:
            ConfigError, ModelError, MissingDependencyError: it cannot be made from the values.
        """
        self._assembly: Assembly = build({**flatten(spec.values), "model": spec.model}, BagClock())
        config = self._assembly.config
        speech = create_synthesiser(config.speech.synthesiser, config.speech.voice, config.speech.speed)
        self._speech = CachedSynthesiser(speech, max_items=4096)
        self._allow_list = AllowList.load(locate(config.intents_file))

    def play(
        self,
        stream: Stream,
        images: Mapping[int, list[StampedImage]] | None = None,
        texts: Mapping[int, list[TextInput]] | None = None,
    ) -> Suggested:
        """Let the model hear a stream. images, texts: what is seen and typed, by micro-turn, stamped from 0 on."""
        clock, tapped = BagClock(), _Tapped(self._assembly.model)
        engine = InferenceEngine(tapped, self._assembly.config, self._speech, self._allow_list, clock)
        room = ClosedRoom(engine, clock, _ROOM)
        begin_ns = room.now_ns
        try:
            for turn in range(len(stream.audio) // MICRO_TURN_SAMPLES):
                first = turn * MICRO_TURN_SAMPLES
                seen = [replace(one, stamp_ns=one.stamp_ns + begin_ns) for one in (images or {}).get(turn, ())]
                typed = [replace(one, stamp_ns=room.now_ns) for one in (texts or {}).get(turn, ())]
                happened = room.step(stream.audio[first : first + MICRO_TURN_SAMPLES], seen, typed)
                tapped.counts += _numbers(happened.records)
        finally:
            engine.close()
        drafts = [self._draft((at_ns - begin_ns) / 1e9, one) for at_ns, one in tapped.found]
        speech = tuple(((at_ns - begin_ns) / 1e9, one) for at_ns, one in tapped.speech)
        return Suggested(tuple(drafts), stream.seconds, speech, tuple(tapped.counts))

    def close(self) -> None:
        """Free the model."""
        self._assembly.model.close()

    def _draft(self, at_s: float, one: IntentDraft | TimerDraft | AlertDraft) -> Draft:
        is_allowed = not isinstance(one, IntentDraft) or self._allow_list.check(replace(one, confidence=1.0)) is None
        return Draft(at_s, one, is_allowed)


def _numbers(records: Sequence[Published]) -> list[int]:
    """Return the numbers that the robot has said alone, as it does when it counts."""
    said = [one.text for one in records if isinstance(one, TranscriptEvent) and one.speaker == "robot" and one.final]
    numbers = [words_to_number(text.lower().rstrip(".")) for text in said]
    return [number for number in numbers if number is not None]


class _Tapped:
    """A model whose suggestions are written down. found: end of the micro-turn and what was suggested."""

    def __init__(self, model: DuplexModel) -> None:
        self.name = model.name
        self.found: list[tuple[int, IntentDraft | TimerDraft | AlertDraft]] = []
        self.speech: list[tuple[int, SpeechText]] = []
        self.counts: list[int] = []
        self._model = model

    def open(self, info: SessionInfo) -> DuplexStream:
        return _TappedStream(self._model.open(info), self)

    def close(self) -> None:
        """Do nothing: the model belongs to somebody else."""


class _TappedStream:
    def __init__(self, stream: DuplexStream, tapped: _Tapped) -> None:
        self._stream, self._tapped = stream, tapped

    def step(self, turn: MicroTurn) -> MicroTurnOutput:
        output = self._stream.step(turn)
        found: list[IntentDraft | TimerDraft | AlertDraft] = [*output.intents, *output.timers, *output.alerts]
        found += [timer for timer in map(as_timer, output.times) if timer is not None]
        self._tapped.found += [(turn.end_ns, one) for one in found]
        self._tapped.speech += [(turn.end_ns, one) for one in output.speech]
        self._tapped.counts += [draft.count for draft in output.counts]
        return output

    def counters(self) -> dict[str, int]:
        return self._stream.counters()

    def close(self) -> None:
        self._stream.close()
