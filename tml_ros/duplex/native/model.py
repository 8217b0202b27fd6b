"""The native model as a ``DuplexModel``: micro-turns to tensors, tokens to outputs.

It owns no rule of conversation: what the transformer says is parsed and handed on. What it says outside of the grammar
is dropped and counted, and what may be done with the rest, the session decides.
"""

import logging
import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tml_ros.duplex.native.adapters import merge_adapters
from tml_ros.duplex.native.answering import Answers, Said
from tml_ros.duplex.native.checkpoint import TOKENIZER, fill, load_checkpoint, locate_checkpoint
from tml_ros.duplex.native.config import NativeConfig
from tml_ros.duplex.native.inputs import ABSENT, StreamInputs
from tml_ros.duplex.native.listening import Listener
from tml_ros.duplex.native.markup import MarkupParser, Parsed
from tml_ros.duplex.native.noticing import Sights, SightStream
from tml_ros.duplex.native.overlapping import Overlap, OverlapStream
from tml_ros.duplex.native.patches import fit
from tml_ros.duplex.native.precision import Precision, prepare
from tml_ros.duplex.native.reading import LetterGraph
from tml_ros.duplex.native.spotting import Keywords, KeywordStream
from tml_ros.duplex.native.stepping import StepOptions, Stepper, StepResult
from tml_ros.duplex.native.texts import TextQueue
from tml_ros.duplex.native.tokens import FLOOR_MARKERS, SOURCE_MARKERS, Marker
from tml_ros.duplex.native.transformer import AUXILIARY, HEARD, HEARD_TOO, InteractionTransformer
from tml_ros.duplex.native.vocabulary import LETTERS, Vocabulary
from tml_ros.duplex.native.vocoder import DELAY_SAMPLES
from tml_ros.duplex.protocol import SessionInfo
from tml_ros.errors import ConfigError
from tml_ros.intents.file import load_intents
from tml_ros.intents.grammar import Grammar
from tml_ros.records import (
    SAMPLE_RATE_HZ,
    AlertDraft,
    Floor,
    IntentDraft,
    MicroTurn,
    MicroTurnOutput,
    SpeechKind,
    SpeechText,
    TextInput,
    TextSource,
    TimerDraft,
    TimeRequest,
    UserState,
)
from tml_ros.resources import locate
from tml_ros.sights import PHRASES

__all__ = ["Beside", "NativeModel", "NativeStream"]

_TOLD_TURNS = 10  # for so long, 2 s, what the model says may be about text that came in
_WARN_WITHIN_NS = 1_000_000_000  # what was seen longer ago may be over, and has been published anyway
_SILENT_S = 0.6  # without speech the person pauses for so long, then is silent
_log = logging.getLogger(__name__)


class NativeModel:
    """One transformer over sound, pictures and text; from a checkpoint, on CPU or CUDA."""

    name = "native"
    config_type = NativeConfig

    def __init__(self, config: NativeConfig) -> None:
        folder = locate_checkpoint(config.checkpoint)
        manifest, weights = load_checkpoint(folder, dtype=None)
        self._device = _device(config.device)
        if config.threads:
            torch.set_num_threads(config.threads)
        model = InteractionTransformer(manifest.shape)
        fill(model, weights, folder)
        adapters = merge_adapters(model, config.adapters, manifest)
        if not manifest.trained:
            _log.warning("checkpoint %s is not trained: what it says means nothing; set native.checkpoint", folder.name)
        self._config = config
        self._vocabulary = Vocabulary.load(folder / TOKENIZER)
        intents = load_intents(locate(config.intents_file or "config/intents.yaml"))
        self._specs = intents.intents
        self._grammar = Grammar(intents)
        self._taught = [text for adapter in adapters for text in adapter.teaches]
        self._letters: LetterGraph | None = None
        if config.spelling and manifest.trained and manifest.shape.sound_layers:
            self._letters = LetterGraph(self._grammar.graph(), LETTERS)
        self._keywords: Keywords | None = None
        if config.keywords and self._letters is not None:
            self._keywords = Keywords(locate(config.keywords))
        self._overlap = Overlap() if config.overlap and manifest.trained else None
        self._sees = manifest.sees
        self._sights = Sights(locate(config.sights)) if config.sights and not manifest.sees else None
        options = StepOptions(
            temperature=config.temperature,
            voice=config.voice,
            compile=config.compile,
            cuda_graphs=config.cuda_graphs and self._device.type == "cuda",
        )
        self.stepper = Stepper(prepare(model.to(self._device), cast(Precision, config.precision)), options)
        if config.compile:  # now, and not in the first micro-turn
            self.stepper.step(StreamInputs.silent(1, device=self._device), self.stepper.model.new_state([0]))

    def open(self, info: SessionInfo) -> "NativeStream":
        """Begin a session: a state of its own on the shared weights."""
        stepper = self.stepper
        if stepper.options.cuda_graphs:  # recordings belong to one state
            stepper = Stepper(stepper.model, stepper.options)
        parser = MarkupParser(self._vocabulary, self._specs)
        listener, keywords = None, None if self._keywords is None else self._keywords.open()
        if self._letters is not None:
            words = () if keywords is None else keywords.words
            listener = Listener(self._grammar, self._letters, self._specs, self._taught, words)
        overlap = None if self._overlap is None else self._overlap.open()
        sights = None if self._sights is None else self._sights.open()
        beside = Beside(listener, keywords, overlap, sights)
        return NativeStream(self._config, stepper, self._vocabulary, parser, info, self._grammar, beside, self._sees)

    def close(self) -> None:
        """Do nothing: memory is freed with the object."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What listens and looks beside the transformer in one session.

    Attributes:
        listener: weighs what the model puts out against what it spells; without one all of it is taken.
        keywords: tells the listener of single words.
        overlap: has a say in whether a sound over the robot's voice takes the floor.
        sights: looks at the pictures and warns of what it sees.
    """

    listener: Listener | None = None
    keywords: KeywordStream | None = None
    overlap: OverlapStream | None = None
    sights: SightStream | None = None


class NativeStream:
    """One session. state: what the transformer keeps of it."""

    def __init__(
        self,
        config: NativeConfig,
        stepper: Stepper,
        vocabulary: Vocabulary,
        parser: MarkupParser,
        info: SessionInfo,
        grammar: Grammar,
        beside: Beside,
        sees: bool = True,
    ) -> None:
        """Begin.

        Args:
            grammar: knows which typed lines are for the session's clock.
            beside: what listens and looks beside the transformer.
            sees: the transformer gets the pictures.
        """
        self._config = config
        self._stepper = stepper
        self._shape = stepper.model.shape
        self._vocabulary = vocabulary
        self._parser = parser
        self._device = stepper.model.embedding.weight.device
        self.state = stepper.model.new_state([info.seed])
        self._grammar, self._sees = grammar, sees
        self._listener, self._keywords = beside.listener, beside.keywords
        self._overlap, self._sights = beside.overlap, beside.sights
        self._spelled_with = stepper.model.embedding.weight[list(vocabulary.letters)] if self._listener else None
        self._texts = TextQueue()
        self._counters: Counter[str] = Counter()
        self._silence_s = math.inf
        self._voice_kind: SpeechKind | None = None
        self._untold = _TOLD_TURNS  # micro-turns since text came in
        self._answers = None if self._listener is None or config.voice else Answers(self._listener)
        self._warnings: list[tuple[int, SpeechText]] = []
        self._is_open = False  # an utterance goes on in the next micro-turn

    def step(self, turn: MicroTurn) -> MicroTurnOutput:
        """Take in, run, read what came out."""
        inputs = self.inputs(turn).to(self._device)
        result = self._stepper.step(inputs, self.state, lean=lambda: self._lean(turn))
        floor = FLOOR_MARKERS[Marker(int(result.floor))]
        ids = [token for token in result.text[0].tolist() if token != ABSENT]
        parsed = self._parser.push(ids, floor, turn, result.probability[0, : len(ids)].tolist())
        self._counters += parsed.counters
        self._counters["text_tokens"] += len(ids)
        said = self._answered(Said(floor, parsed.speech, parsed.delegations), turn)
        speech, audio = self._speak(said.speech, result, floor)
        intents, timers, times = self._believed(parsed)
        typed = [replace(one, otherwise=text.text) for text in turn.texts for one in self._for_clock(text)[0]]
        alerts = self._look(turn)
        is_free = not self._is_open and audio is None
        warnings = self._due_warnings(turn.end_ns) if is_free else ()
        if speech:
            self._is_open = not speech[-1].last
        speech = (*warnings, *speech)
        return MicroTurnOutput(
            floor=Floor.SPEAK if warnings else said.floor,
            user_state=self._user_state(result, turn),
            speech=speech,
            audio=audio,
            intents=self._sure(intents),
            delegations=said.tasks,
            timers=timers,
            times=tuple(replace(one, at_ns=turn.end_ns) for one in (*times, *typed)),
            alerts=alerts,
            counts=parsed.counts,
            transcripts=parsed.transcripts,
        )

    def counters(self) -> dict[str, int]:
        """Return what was malformed, left out or dropped, and the text tokens that were put out."""
        own = self._counters + self._texts.counters
        own += Counter() if self._listener is None else self._listener.counters
        return dict(own if self._answers is None else own + self._answers.counters)

    def close(self) -> None:
        """Do nothing: memory is freed with the object."""

    # ------------------------------------------------------------------------------------------------- inputs

    def inputs(self, turn: MicroTurn) -> StreamInputs:
        """Return one micro-turn as tensors with one row."""
        for text in turn.texts:
            if self._for_clock(text)[1]:
                continue  # what is answered is told as news in the next micro-turn
            ids = [int(SOURCE_MARKERS[text.source]), *self._vocabulary.encode(text.text), int(Marker.DONE)]
            self._texts.add(ids, is_urgent=text.source is TextSource.USER)
        there, reference, frames = torch.tensor([True]), turn.reference, self._picture(turn)
        return StreamInputs(
            audio=_row(turn.audio),
            audio_present=torch.tensor([turn.audio_valid > 0]),
            playing=torch.tensor([turn.is_playing]),
            reference=None if reference is None else _row(reference),
            reference_present=None if reference is None else there,
            frames=frames,
            frame_present=None if frames is None else there,
            text=self._text(),
        )

    def _lean(self, turn: MicroTurn) -> Tensor | None:
        """Hear; return what a sound over the robot's voice adds to the chances of each floor, None for nothing."""
        if self._listener is not None and turn.audio_valid:
            tails = self.state.tails
            taught = self._spelled(tails[HEARD_TOO]) if HEARD_TOO in tails else None
            self._listener.hear(self._spelled(tails[HEARD]), taught)
            if self._keywords is not None:
                self._listener.spot(self._keywords.hear(turn.audio), is_playing=turn.is_playing)
        lean = 0.0 if self._overlap is None else self._overlap.lean(turn)
        if not lean or self._parser.is_typed:
            return None
        return torch.tensor([[lean if floor is Floor.YIELD else 0.0 for floor in FLOOR_MARKERS.values()]])

    def _picture(self, turn: MicroTurn) -> Tensor | None:
        """Return the newest picture, [1, H, W, 3] uint8, where the transformer is to see it."""
        self._counters["skipped_frames"] += max(0, len(turn.frames) - 1)
        if not turn.frames or not self._sees:
            return None
        return torch.tensor(fit(turn.frames[-1].rgb, self._shape.patch_rows, self._shape.patch_columns))[None]

    def _text(self) -> Tensor | None:
        """Return the next waiting text tokens, [1, n] with ABSENT behind the last."""
        ids = self._texts.take(self._shape.text_in_tokens)
        if not ids:
            return None
        return torch.tensor([ids + [ABSENT] * (self._shape.text_in_tokens - len(ids))])

    # ------------------------------------------------------------------------------------------------ outputs

    def _look(self, turn: MicroTurn) -> tuple[AlertDraft, ...]:
        """Return alerts of what the newest picture shows, and keep the same to be said when nothing else is."""
        if self._sights is None or not turn.frames:
            return ()
        begun = self._sights.look(turn.frames[-1].rgb)
        alerts = tuple(
            AlertDraft(f"seen_{kind}", PHRASES[kind], category=str(kind), confidence=self._sights.confidence(kind))
            for kind in begun
        )
        self._warnings += [(turn.end_ns, SpeechText(alert.description)) for alert in alerts]
        return alerts

    def _due_warnings(self, now_ns: int) -> tuple[SpeechText, ...]:
        """Return what is to be said now, and forget it; a warning that is too late would be of what is over."""
        due = tuple(text for seen_ns, text in self._warnings if now_ns - seen_ns <= _WARN_WITHIN_NS)
        self._warnings.clear()
        return due

    def _speak(
        self, speech: tuple[SpeechText, ...], result: StepResult, floor: Floor
    ) -> tuple[tuple[SpeechText, ...], NDArray[np.float32] | None]:
        """Return the words, and their sound where the model speaks with its own voice.

        An utterance of the own voice lasts as long as the floor is held, whatever structures its words come in.
        """
        has_floor = floor in (Floor.SPEAK, Floor.BACKCHANNEL)
        if result.audio is None or not (has_floor or self._voice_kind is not None):
            return speech, None
        if self._voice_kind is None:
            self._voice_kind = SpeechKind.BACKCHANNEL if floor is Floor.BACKCHANNEL else SpeechKind.REPLY
        words = " ".join(one.text for one in speech if one.text)
        whole = SpeechText(words, self._voice_kind, last=not has_floor)
        audio = np.asarray(result.audio[0].cpu(), np.float32)
        if not has_floor:
            self._voice_kind, audio = None, audio[: 0 if floor is Floor.YIELD else DELAY_SAMPLES]
        return (whole,), audio

    def _answered(self, said: Said, turn: MicroTurn) -> Said:
        """Return what goes out of what the model says: answers to speech may wait, to reports and typed text not."""
        self._untold = 0 if turn.texts else self._untold + 1
        if self._answers is None:
            return said
        if self._parser.is_typed or self._untold < _TOLD_TURNS:
            self._answers.forget()
            return said
        return self._answers.take(said, is_playing=turn.is_playing)

    def _believed(
        self, parsed: Parsed
    ) -> tuple[tuple[IntentDraft, ...], tuple[TimerDraft, ...], tuple[TimeRequest, ...]]:
        """Return what the model puts out, weighed against what it spells of what was said."""
        if self._listener is None or self._parser.is_typed:
            return parsed.intents, parsed.timers, ()
        found = self._listener.decide([*parsed.intents, *parsed.timers])
        return (
            tuple(one for one in found if isinstance(one, IntentDraft)),
            tuple(one for one in found if isinstance(one, TimerDraft)),
            tuple(one for one in found if isinstance(one, TimeRequest)),
        )

    def _for_clock(self, text: TextInput) -> tuple[tuple[TimeRequest, ...], bool]:
        """Return what a typed line asks of the session's clock, such as a reminder or a count, and whether that is all:
        then the clock answers it."""
        meaning = self._grammar.parse(text.text) if text.source is TextSource.USER else None
        if meaning is None or meaning.time is None:
            return (), False
        return (meaning.time,), not meaning.intent

    def _spelled(self, tail: Tensor) -> NDArray[np.float32]:
        """Return how likely each letter is in each token of the micro-turn's sound, logarithms [n, letters]."""
        assert self._spelled_with is not None
        heard = tail[0].to(self._spelled_with.dtype)
        chances = torch.log_softmax(torch.nn.functional.linear(heard, self._spelled_with).float(), dim=-1)
        return np.asarray(chances.detach().cpu().numpy(), np.float32)

    def _sure(self, intents: tuple[IntentDraft, ...]) -> tuple[IntentDraft, ...]:
        """Return the intents that the model is sure enough of; count the others."""
        kept = tuple(one for one in intents if one.confidence >= self._config.intent_threshold)
        self._counters["unsure_intents"] += len(intents) - len(kept)
        return kept

    def _user_state(self, result: StepResult, turn: MicroTurn) -> UserState:
        """Return what the auxiliary predictions say of the person."""
        if not turn.audio_valid:
            return UserState.UNKNOWN
        chance = dict(zip(AUXILIARY, torch.sigmoid(result.auxiliary[0]).tolist(), strict=True))
        if chance["user_speaking"] >= self._config.speaking_threshold:
            self._silence_s = 0.0
            return UserState.SPEAKING
        self._silence_s += len(turn.audio) / SAMPLE_RATE_HZ
        if chance["turn_end"] >= self._config.speaking_threshold:
            self._silence_s = math.inf
        return UserState.PAUSING if self._silence_s < _SILENT_S else UserState.SILENT


def _device(wanted: str) -> torch.device:
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ConfigError("native.device is cuda, but torch finds no CUDA here; use auto or cpu")
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


def _row(samples: NDArray[np.float32]) -> Tensor:
    return torch.tensor(samples, dtype=torch.float32)[None]
