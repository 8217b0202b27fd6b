"""The parts that scenes are made of: one long sound and what is known of every piece of it.

A folder holds ``parts.json`` and either ``sound.i16`` (raw int16 at 16 kHz, mapped into memory, so that all workers
share it) or ``sound_NNN.opus`` (small, to be carried to another machine; unpacked when it is first loaded). It knows
neither where parts came from nor what is made of them.
"""

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tml_ros.errors import InputError
from tml_ros.records import SAMPLE_RATE_HZ

__all__ = ["KINDS", "LESSON", "SPLITS", "Corpus", "Part", "export", "save"]

Sound = NDArray[np.float32]
LESSON = "lesson"
KINDS = ("word", "sentence", "paused", "talk", "meeting", "noise", "robot", "reply", "hum", "cough", "knock", LESSON)
SPLITS = ("train", "dev", "held")
_FORMAT = 1
_SHARD_SAMPLES = 30 * 60 * SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class Part:
    """One sound.

    Attributes:
        kind: one of KINDS. word, sentence and paused are addressed to the robot, paused with silence inside; talk is
            read or spoken to nobody, by one person; robot and reply are the robot's own; lesson is what a lab teaches.
        text: its words, "" where nobody knows them.
        means: the words that are meant, where hesitations and corrections are among those that are said.
        voice: who speaks, or what sounds.
        split: train, dev (real speakers kept aside) or held (voices kept aside).
        begin, length: where it lies in the corpus, in samples.
        speech: where somebody speaks, as [begin, end) in samples from the beginning of the part.
        word_ends: where each word of the text ends, likewise; empty where unknown.
        real: whether a person said it.
    """

    kind: str
    text: str
    voice: str
    split: str
    begin: int
    length: int
    speech: tuple[tuple[int, int], ...] = ()
    word_ends: tuple[int, ...] = ()
    real: bool = False
    means: str = ""


class Corpus:
    """Parts by what they are.

    Thread: any, and any process: nothing changes after construction.
    """

    def __init__(self, parts: Iterable[Part], sound: NDArray[np.int16]) -> None:
        """Take parts of a sound [N]."""
        self.parts = tuple(parts)
        self._sound = sound
        self._chosen: dict[tuple[str, str], list[Part]] = {}
        for part in self.parts:
            self._chosen.setdefault((part.kind, part.split), []).append(part)
        self._texts = {key: list(dict.fromkeys(one.text for one in found)) for key, found in self._chosen.items()}
        self._by_text: dict[tuple[str, str, str], list[Part]] = {}
        for part in self.parts:
            self._by_text.setdefault((part.kind, part.split, part.text), []).append(part)

    @classmethod
    def load(cls, folder: Path) -> "Corpus":
        """Read a folder, unpacking its sound when that has not been done yet.

        Raises:
            InputError: there is no corpus, or one of another format.
        """
        try:
            content = json.loads((folder / "parts.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as err:
            raise InputError(
                f"no corpus in {folder}: {err}; make one: python -m tml_ros.training.corpus_build"
            ) from err
        if content["format"] != _FORMAT:
            raise InputError(f"corpus {folder} has format {content['format']}, expected {_FORMAT}; make it anew")
        raw = folder / "sound.i16"
        if not raw.is_file():
            _unpack(folder, raw)
        sound = np.memmap(raw, np.int16, "r")
        return cls([_part(fields) for fields in content["parts"]], sound)

    def all(self, kind: str, split: str = "train") -> list[Part]:
        """Return every part of a kind, in a fixed order."""
        return self._chosen.get((kind, split), [])

    def saying(self, kind: str, text: str, split: str = "train") -> list[Part]:
        """Return every part of a kind with these words."""
        return self._by_text.get((kind, split, text), [])

    def texts(self, kind: str, split: str = "train") -> list[str]:
        """Return the different texts of a kind, in a fixed order."""
        return self._texts.get((kind, split), [])

    def sound(self, part: Part) -> Sound:
        """Return a part's samples, [length] float32."""
        return np.asarray(self._sound[part.begin : part.begin + part.length], np.float32) * np.float32(1 / 32768)

    @property
    def seconds(self) -> float:
        """How long all of it is."""
        return len(self._sound) / SAMPLE_RATE_HZ


def save(folder: Path, pieces: Iterable[tuple[Part, Sound]]) -> None:
    """Write a corpus; ``begin`` and ``length`` of the parts are set here.

    What was written is a whole corpus, too, when the pieces end in an error or are interrupted: they cost hours.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts: list[dict[str, Any]] = []
    with (folder / "sound.i16").open("wb") as file:
        try:
            for part, sound in pieces:
                samples = np.clip(np.round(sound * 32768), -32768, 32767).astype("<i2")
                position = parts[-1]["begin"] + parts[-1]["length"] if parts else 0
                file.write(samples.tobytes())
                parts.append(asdict(part) | {"begin": position, "length": len(samples)})
        finally:
            samples_written = parts[-1]["begin"] + parts[-1]["length"] if parts else 0
            content = {"format": _FORMAT, "samples": samples_written, "parts": parts}
            (folder / "parts.json").write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")


def export(folder: Path, to: Path, keep: Callable[[Part], bool] = lambda part: True) -> int:
    """Write a small copy of a corpus for another machine: Opus at about 24 kbit/s. Returns its bytes.

    keep: which parts go along.
    """
    import soundfile

    corpus = Corpus.load(folder)
    to.mkdir(parents=True, exist_ok=True)
    pieces = ((part, corpus.sound(part)) for part in corpus.parts if keep(part))
    save(to, pieces)
    raw = to / "sound.i16"
    sound = np.fromfile(raw, np.int16)
    for number, first in enumerate(range(0, len(sound), _SHARD_SAMPLES)):
        shard = sound[first : first + _SHARD_SAMPLES]
        path = to / f"sound_{number:03d}.opus"
        soundfile.write(path, shard, SAMPLE_RATE_HZ, format="OGG", subtype="OPUS", compression_level=0.95)
    raw.unlink()
    return sum(path.stat().st_size for path in to.iterdir())


def _unpack(folder: Path, raw: Path) -> None:
    import soundfile

    shards = sorted(folder.glob("sound_*.opus"))
    if not shards:
        raise InputError(f"corpus {folder} has neither sound.i16 nor sound_*.opus; copy it anew")
    unfinished = raw.with_suffix(".part")
    with unfinished.open("wb") as file:
        for shard in shards:
            samples, _ = soundfile.read(shard, dtype="int16")
            file.write(samples.astype("<i2").tobytes())
    shutil.move(unfinished, raw)


def _part(fields: dict[str, Any]) -> Part:
    speech = tuple((begin, end) for begin, end in fields["speech"])
    return Part(**fields | {"speech": speech, "word_ends": tuple(fields["word_ends"])})
