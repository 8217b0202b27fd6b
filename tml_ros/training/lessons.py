"""Lessons: what people said in recordings and what should follow, as parts and answers from which scenes are made.

A new command is heard in its recordings and, its words being known, in every synthetic voice there is, so that one
speaker's twenty recordings teach more than that speaker. Old skills are practised in the scenes between. It knows
neither bags nor weights.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tml_ros.duplex.native.markup import Record
from tml_ros.errors import InputError
from tml_ros.intents.grammar import Grammar, normalise
from tml_ros.intents.labels import Label
from tml_ros.records import SAMPLE_RATE_HZ, DelegationDraft, IntentDraft, SpeechText
from tml_ros.training.conversation import Conversation
from tml_ros.training.corpus import LESSON, Corpus, Part, save
from tml_ros.training.corpus_clips import Job, spoken_part, word_ends
from tml_ros.training.meanings import Answer, Meanings
from tml_ros.training.overlap_clips import even
from tml_ros.training.scene_cast import Cast
from tml_ros.training.scene_stage import FULL, Stage
from tml_ros.training.scene_timeline import Timeline
from tml_ros.training.scenes import WEIGHTS, compose

__all__ = ["Lessons", "Recording"]

Sound = NDArray[np.float32]
_SYNTHETIC = 24  # voices for each new text
_TAUGHT = 0.65  # share of what is said in a lesson; the rest are words and sentences that were known before
_MARGIN = SAMPLE_RATE_HZ // 20


@dataclass(frozen=True, slots=True)
class Recording:
    """A labelled recording. audio: [N] float32 at 16 kHz."""

    name: str
    audio: Sound
    labels: tuple[Label, ...]


class Lessons:
    """Makes scenes of what was labelled and of what was known before.

    Thread: any; nothing changes after construction.
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        known: Corpus,
        grammar: Grammar,
        stage: Stage = FULL,
        seed: int = 0,
        *,
        voices: int = _SYNTHETIC,
    ) -> None:
        """Cut the recordings and have the new words spoken by so many voices.

        Raises:
            InputError: nothing is labelled, or the same words should lead to different things.
        """
        self._answers = _answers(recordings)
        texts = self.texts
        pieces = [piece for recording in recordings for piece in _cut(recording)]
        pieces += [piece for number, text in enumerate(texts) for piece in _spoken(text, (seed, number), voices)]
        self._pieces, self._known = pieces, known
        self._taught = _corpus(pieces)
        self._meanings = _Taught(self._answers, grammar)
        self._stage, self._seed = stage, seed

    @property
    def texts(self) -> tuple[str, ...]:
        """What is taught, sorted."""
        return tuple(sorted(text for text in self._answers if text))

    def scene(self, index: int) -> Conversation:
        """Return the lesson of an index, the same every time."""
        rng = np.random.default_rng([self._seed, index, 7])
        cast = Cast(self._known, self._meanings, self._stage, rng)
        line, until = Timeline(LESSON), cast.seconds(*self._stage.seconds)
        at = cast.seconds(0.15, 1.0)
        while at < until:
            part, corpus = self._draw(cast)
            cast.corpus = corpus
            said = cast.say(line, part, at)
            cast.corpus = self._known
            answer = cast.meaning(part) if part.text else Answer()
            at = max(said.end + cast.seconds(0.5, 1.5), cast.answer(line, answer, said.over) + cast.seconds(0.15, 0.8))
        return cast.finish(line)

    @property
    def are_read(self) -> bool:
        """Whether everything that should follow follows from the words, by the intents file."""
        return all(_says_as_much(self._meanings.by_grammar(text), answer) for text, answer in self._answers.items())

    def save(self, folder: Path) -> None:
        """Write what is taught and what was known before as one corpus, to be drilled."""
        taught = ((replace(part, kind=LESSON), sound) for part, sound in self._pieces if part.text)
        save(folder, (*taught, *((part, self._known.sound(part)) for part in self._known.parts)))

    def rehearsal(self, index: int) -> Conversation:
        """Return a scene of what was known before."""
        return compose(self._known, WEIGHTS, self._seed, index, self._stage)

    def _draw(self, cast: Cast) -> tuple[Part, Corpus]:
        """Draw a text first, so that rare ones are practised as often, then somebody who says it."""
        if not cast.chance(_TAUGHT):
            return cast.pick(cast.parts("word", "sentence")), self._known
        text = str(cast.rng.choice(self._taught.texts("word")))
        parts = self._taught.saying("word", text)
        real = [part for part in parts if part.real]
        made = [part for part in parts if not part.real]
        return cast.pick(real if real and (not made or cast.chance(0.6)) else made), self._taught


class _Taught(Meanings):
    """What was labelled goes before the grammar."""

    def __init__(self, answers: Mapping[str, Answer], grammar: Grammar) -> None:
        super().__init__(grammar)
        self.by_grammar = known = self.of
        self.of = lambda text: answers[normalise(text)] if normalise(text) in answers else known(text)  # type: ignore


def _says_as_much(meant: Answer, wanted: Answer) -> bool:
    """Tell whether the records are those that are wanted, and the words where some are."""
    records = [[_content(one) for one in answer.records] for answer in (meant, wanted)]
    return records[0] == records[1] and wanted.reply in ("", meant.reply)


def _content(record: Record) -> Record:
    return replace(record, priority=0) if isinstance(record, IntentDraft) else record


def _answers(recordings: Sequence[Recording]) -> dict[str, Answer]:
    found: dict[str, Answer] = {}
    for recording in recordings:
        for label in recording.labels:
            text, answer = normalise(label.said), _answer(label)
            if not text and not answer.is_none:
                raise InputError(
                    f"{recording.name} at {label.start_s:g} s: what was said is missing; fill in the column said"
                )
            if found.setdefault(text, answer) != answer:
                raise InputError(
                    f"{recording.name} at {label.start_s:g} s: {label.said!r} should lead to something else than "
                    "before; make its lines alike"
                )
    if not any(found):
        raise InputError("nothing is labelled: no line has something in the column said; fill the tables in")
    return found


def _answer(label: Label) -> Answer:
    records: list[Record] = []
    if label.intent:
        records.append(IntentDraft(label.intent, label.data))
    if label.task:
        records.append(DelegationDraft(label.task))
    return Answer((SpeechText(label.reply),) if label.reply else (), tuple(records))


def _cut(recording: Recording) -> Iterator[tuple[Part, Sound]]:
    """Yield what lies between the times of each label."""
    for label in recording.labels:
        first = max(0, round(label.start_s * SAMPLE_RATE_HZ) - _MARGIN)
        last = round(label.end_s * SAMPLE_RATE_HZ) + _MARGIN
        sound = recording.audio[first:last]
        if len(sound) < 2 * _MARGIN:
            raise InputError(
                f"{recording.name} at {label.start_s:g} s: the recording ends before it "
                f"({len(recording.audio) / SAMPLE_RATE_HZ:.1f} s); correct start_s and end_s"
            )
        text, speech = normalise(label.said), ((_MARGIN, len(sound) - _MARGIN),)
        yield Part("word", text, recording.name, "train", 0, 0, speech, word_ends(text, speech), True), even(sound)


def _spoken(text: str, seed: tuple[int, int], voices: int) -> Iterator[tuple[Part, Sound]]:
    """Yield a text in voices that are drawn."""
    for number in range(voices):
        piece = spoken_part(Job("word", text, (seed[0] * 1000 + seed[1], number)))
        if piece is not None:
            yield piece


def _corpus(pieces: Sequence[tuple[Part, Sound]]) -> Corpus:
    """Return a corpus in memory."""
    parts, sounds, begin = [], [], 0
    for part, sound in pieces:
        parts.append(replace(part, begin=begin, length=len(sound)))
        sounds.append(np.clip(np.round(sound * 32768), -32768, 32767).astype(np.int16))
        begin += len(sound)
    return Corpus(parts, np.concatenate(sounds))
