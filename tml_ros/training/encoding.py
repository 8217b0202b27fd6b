"""Scenes to tensors: what a session would take in and what it shall put out, for whole rows of micro-turns.

The inputs are those that ``NativeStream.inputs`` makes of the same micro-turns, texts queued alike; sound is measured
here already (levels of dMel, one byte each), so that workers do it and little is carried. Text to be put out is laid
over the micro-turns as the model may put it out: at most ``text_out_tokens`` each, what is left goes on in the next.
It knows no weights and no generator.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tml_ros.duplex.native.dmel import LogMel, quantise
from tml_ros.duplex.native.inputs import ABSENT, StreamInputs, StreamTargets
from tml_ros.duplex.native.markup import Record, encode
from tml_ros.duplex.native.patches import fit
from tml_ros.duplex.native.shape import NativeShape
from tml_ros.duplex.native.texts import TextQueue
from tml_ros.duplex.native.tokens import FLOOR_MARKERS, SOURCE_MARKERS, Marker
from tml_ros.duplex.native.vocabulary import LETTERS, Vocabulary
from tml_ros.records import MICRO_TURN_SAMPLES, TextSource, TranscriptEvent
from tml_ros.training.conversation import Conversation, Target

__all__ = ["DRILLED", "Arrays", "Batch", "Encoder", "spelled"]

Arrays = dict[str, NDArray[np.generic]]
DRILLED = "drilled."
"""Before the names of what belongs to rows of drills beside the scenes."""
_MARKER_OF = {floor: int(marker) for marker, floor in FLOOR_MARKERS.items()}


@dataclass(frozen=True, slots=True)
class Batch:
    """B rows of T micro-turns.

    skill: [B, T] int64, index into ``skills``. spelled: [B, L] int64, what people say in a row, letter by letter, as
    indices into ``letters``, ABSENT behind the last. letters: [28] int64, tokens; the first stands for no letter.
    aligned: [B, T, n] int64, about which letter each token of sound holds, or None where nobody knows. drilled: rows
    that are only to be spelled, beside these.
    """

    inputs: StreamInputs
    targets: StreamTargets
    skill: Tensor
    skills: tuple[str, ...]
    spelled: Tensor
    letters: Tensor
    aligned: Tensor | None = None
    drilled: "Batch | None" = None

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[np.generic]], skills: Sequence[str]) -> "Batch":
        """Wrap the arrays that ``Encoder.arrays`` made."""
        apart = {name.removeprefix(DRILLED): array for name, array in arrays.items() if name.startswith(DRILLED)}
        drilled = cls.of(apart, skills) if apart else None
        made = {name: torch.from_numpy(array) for name, array in arrays.items() if not name.startswith(DRILLED)}
        skill, spelled, letters = (made.pop(name) for name in ("skill", "spelled", "letters"))
        aligned = made.pop("aligned", None)
        wanted = {name.removeprefix("wanted."): made.pop(name) for name in list(made) if name.startswith("wanted.")}
        made["audio"] = torch.zeros(*skill.shape, 0)
        inputs, targets = StreamInputs(**made), StreamTargets(**wanted)
        return cls(inputs, targets, skill, tuple(skills), spelled, letters, aligned, drilled)

    def to(self, device: torch.device | str) -> "Batch":
        """Return the batch on a device."""
        skill, spelled, letters = (each.to(device) for each in (self.skill, self.spelled, self.letters))
        aligned = None if self.aligned is None else self.aligned.to(device)
        inputs, targets = self.inputs.to(device), self.targets.to(device)
        drilled = self.drilled and self.drilled.to(device)
        return Batch(inputs, targets, skill, self.skills, spelled, letters, aligned, drilled)

    def rows(self, begin: int, end: int) -> "Batch":
        """Return the rows [begin, end); there must be no pictures, which are not kept by rows."""
        parts = (self.inputs.rows(begin, end), self.targets.rows(begin, end), self.skill[begin:end], self.skills)
        aligned = None if self.aligned is None else self.aligned[begin:end]
        return Batch(*parts, self.spelled[begin:end], self.letters, aligned)

    @property
    def audio_s(self) -> float:
        """Seconds of sound that something is asked of."""
        return float((self.targets.floor != ABSENT).sum()) * MICRO_TURN_SAMPLES / 16_000


class Encoder:
    """Makes batches for models of one shape and vocabulary.

    Thread: one caller at a time.
    """

    def __init__(self, shape: NativeShape, vocabulary: Vocabulary) -> None:
        self._shape = shape
        self._vocabulary = vocabulary
        self._log_mel = LogMel(shape.mel_channels, torch.float32)
        self._letters = np.array(vocabulary.letters, np.int64)

    def batch(self, rows: Sequence[Sequence[Conversation]], turns: int) -> Batch:
        """Return rows of scenes, one after the other, each cut or filled up to ``turns`` micro-turns.

        Raises:
            ConfigError: a record cannot be put in the model's words.
        """
        skills = sorted({scene.skill for row in rows for scene in row})
        return Batch.of(self.arrays(rows, turns, skills), skills)

    def arrays(self, rows: Sequence[Sequence[Conversation]], turns: int, skills: Sequence[str]) -> Arrays:
        """Return the same as plain arrays by name, to be carried from one process to another.

        skills: names; the last one stands for skills that are not among them, too. Raises: as ``batch``.
        """
        made = [_Row(row, turns) for row in rows]
        arrays: Arrays = {
            "levels": self._levels([row.sound("audio") for row in made]),
            "audio_present": np.stack([row.filled for row in made]),
            "playing": np.stack([row.playing() for row in made]),
            "skill": np.stack([row.skill(skills) for row in made]),
        }
        if any(scene.reference is not None for row in rows for scene in row):
            arrays["reference_levels"] = self._levels([row.sound("reference") for row in made])
            arrays["reference_present"] = np.stack([row.reference_present() for row in made])
        arrays |= self._pictures(made) | self._texts_in(made) | self._wanted(made)
        arrays |= {"spelled": spelled([row.heard() for row in made]), "letters": self._letters}
        return arrays

    # ------------------------------------------------------------------------------------------------- inputs

    @property
    def letters(self) -> NDArray[np.int64]:
        """The tokens that what people say is spelled with, that for no letter before them."""
        return self._letters

    def _levels(self, sounds: list[NDArray[np.float32]]) -> NDArray[np.uint8]:
        """sounds: B of [T * 3200] -> [B, T, 20, M]."""
        audio = torch.from_numpy(np.stack(sounds)).view(len(sounds), -1, MICRO_TURN_SAMPLES)
        log_mel = self._log_mel(audio, torch.ones(audio.shape[:2], dtype=torch.bool))
        return np.asarray(quantise(log_mel, self._shape).to(torch.uint8).numpy())

    def _pictures(self, rows: "list[_Row]") -> Arrays:
        frames = [(number, *frame) for number, row in enumerate(rows) for frame in row.frames()]
        if not frames:
            return {}
        present = np.zeros((len(rows), rows[0].turns), np.bool_)
        for number, turn, _ in frames:
            present[number, turn] = True
        grid = (self._shape.patch_rows, self._shape.patch_columns)
        return {"frames": np.stack([fit(rgb, *grid) for *_, rgb in frames]), "frame_present": present}

    def _texts_in(self, rows: "list[_Row]") -> Arrays:
        """Queue the texts of each row as a session does."""
        most = self._shape.text_in_tokens
        made = np.full((len(rows), rows[0].turns, most), ABSENT, np.int64)
        for number, row in enumerate(rows):
            texts, queue = row.texts(), TextQueue()
            for turn in range(row.turns):
                for source, text in texts.get(turn, ()):
                    ids = [int(SOURCE_MARKERS[source]), *self._vocabulary.encode(text), int(Marker.DONE)]
                    queue.add(ids, is_urgent=source is TextSource.USER)
                taken = queue.take(most)
                made[number, turn, : len(taken)] = taken
        return {"text": made} if (made != ABSENT).any() else {}

    # ------------------------------------------------------------------------------------------------ targets

    def _wanted(self, rows: "list[_Row]") -> Arrays:
        most, turns = self._shape.text_out_tokens, rows[0].turns
        floor = np.full((len(rows), turns), ABSENT, np.int64)
        text = np.full((len(rows), turns, most), ABSENT, np.int64)
        auxiliary = np.full((len(rows), turns, 3), np.nan, np.float32)
        for number, row in enumerate(rows):
            waiting: deque[int] = deque()
            for turn, target in row.targets():
                floor[number, turn] = _MARKER_OF[target.floor]
                auxiliary[number, turn] = target.user_speaking, target.turn_end, target.speech_present
                for record in target.records:
                    waiting.extend(self._spelled(record))
                said = [waiting.popleft() for _ in range(min(most, len(waiting)))]
                text[number, turn, : len(said)] = said
        return {"wanted.floor": floor, "wanted.text": text, "wanted.auxiliary": auxiliary}

    def _spelled(self, record: Record) -> Sequence[int]:
        try:
            return _encoded(self._vocabulary, record)
        except TypeError:  # data of an intent cannot be hashed
            return encode(self._vocabulary, record)


def spelled(rows: list[str]) -> NDArray[np.int64]:
    """Return texts letter by letter, [B, L] indices into a batch's letters; what is no letter is left out."""
    found = [[1 + LETTERS.index(letter) for letter in text.lower() if letter in LETTERS] for text in rows]
    made = np.full((len(rows), max(1, *(len(each) for each in found))), ABSENT, np.int64)
    for number, letters in enumerate(found):
        made[number, : len(letters)] = letters
    return made


@lru_cache(maxsize=4096)
def _encoded(vocabulary: Vocabulary, record: Record) -> tuple[int, ...]:
    return tuple(encode(vocabulary, record))


class _Row:
    """Scenes one after the other, cut at the last micro-turn."""

    def __init__(self, scenes: Sequence[Conversation], turns: int) -> None:
        self.turns = turns
        self._scenes: list[tuple[int, Conversation]] = []
        begin = 0
        for scene in scenes:
            if begin < turns:
                self._scenes.append((begin, scene))
            begin += scene.turns
        self.filled = np.arange(turns) < begin

    def sound(self, name: str) -> NDArray[np.float32]:
        made = np.zeros(self.turns * MICRO_TURN_SAMPLES, np.float32)
        for begin, scene in self._scenes:
            sound: NDArray[np.float32] | None = getattr(scene, name)
            if sound is not None:
                room = made[begin * MICRO_TURN_SAMPLES :][: len(sound)]
                room[:] = sound[: len(room)]
        return made

    def playing(self) -> NDArray[np.bool_]:
        made = np.zeros(self.turns, np.bool_)
        for begin, scene in self._scenes:
            if scene.playing is not None:
                room = made[begin : begin + scene.turns]
                room[:] = scene.playing[: len(room)]
        return made

    def reference_present(self) -> NDArray[np.bool_]:
        made = np.zeros(self.turns, np.bool_)
        for begin, scene in self._scenes:
            made[begin : begin + scene.turns] = scene.reference is not None
        return made

    def skill(self, names: Sequence[str]) -> NDArray[np.int64]:
        made = np.zeros(self.turns, np.int64)
        for begin, scene in self._scenes:
            made[begin : begin + scene.turns] = names.index(scene.skill) if scene.skill in names else len(names) - 1
        return made

    def frames(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield the pictures in order."""
        for begin, scene in self._scenes:
            for turn in sorted(scene.frames):
                if begin + turn < self.turns:
                    yield begin + turn, scene.frames[turn]

    def texts(self) -> dict[int, tuple[tuple[TextSource, str], ...]]:
        return {begin + turn: texts for begin, scene in self._scenes for turn, texts in scene.texts.items()}

    def heard(self) -> str:
        """Return all that people say, where it is to be written down."""
        records = [record for _, target in self.targets() for record in target.records]
        return " ".join(one.text for one in records if isinstance(one, TranscriptEvent) and one.speaker == "user")

    def targets(self) -> Iterator[tuple[int, Target]]:
        for begin, scene in self._scenes:
            yield from enumerate(scene.targets[: self.turns - begin], start=begin)
