"""The recordings that skills are measured on: data sets with a ``labels.csv`` each, one split of them.

Columns: path, transcript, speaker, split. A transcript in angle brackets says what kind of sound it is. It opens no
recording and knows no model.
"""

import csv
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tml_ros.errors import InputError
from tml_ros.evaluation.clips import sound_span
from tml_ros.records import SAMPLE_RATE_HZ
from tml_ros.training.overlap_recordings import read

__all__ = ["CHECK_OUT", "HELD_VOICES", "Material", "Row", "find_material", "present_voices", "voice_of"]

Sound = NDArray[np.float32]
CHECK_OUT = Path("../shared/data/speech")
"""Where the recordings lie beside a check-out."""
HELD_VOICES = (
    "flite:awb",
    "espeak:en-us+m4",
    "espeak:en-us+f4",
    "espeak:en-gb+Andrea",
    "espeak:en-gb+steph",
    "festival:ked_diphone",
)
"""Voices that nothing is trained on."""
_MARGIN = SAMPLE_RATE_HZ // 10
_COLUMNS = {"path", "transcript", "speaker", "split"}


@dataclass(frozen=True, slots=True)
class Row:
    """A recording. data: name of its data set."""

    path: Path
    text: str
    speaker: str
    data: str


@dataclass(frozen=True, slots=True)
class Material:
    """What skills are measured on.

    speech, dialogue, video: folders; the last two may be absent. limit: most recordings of a word, sentences of a
    voice, clips of a kind; None takes what there is.
    """

    speech: Path
    dialogue: Path
    video: Path
    split: str = "dev"
    limit: int | None = None

    def rows(self, folder: Path) -> Iterator[Row]:
        """Yield the recordings of the split in every data set of a folder.

        Raises:
            InputError: a labels.csv lacks a column.
        """
        for labels in sorted(folder.glob("*/labels.csv")):
            with labels.open(encoding="utf-8", newline="") as file:
                reader = csv.DictReader(file)
                if missing := _COLUMNS - set(reader.fieldnames or ()):
                    raise InputError(
                        f"{labels} lacks the column {min(missing)}; expected {', '.join(sorted(_COLUMNS))}"
                    )
                for row in reader:
                    if row["split"] == self.split:
                        yield Row(labels.parent / row["path"], row["transcript"], row["speaker"], labels.parent.name)

    def kind(self, name: str) -> list[Row]:
        """Return what is no word: ``<noise>``, ``<speech>``, ``<conversation>``."""
        folders = (self.speech, self.dialogue)
        return [row for folder in folders for row in self.rows(folder) if row.text == f"<{name}>"]


def find_material(
    speech: Path | None, dialogue: Path | None, video: Path | None, split: str, limit: int | None
) -> Material:
    """Return the material; what is not given lies beside the speech, and the speech beside the check-out.

    Raises:
        InputError: there are no data sets, or none has anything of the split.
    """
    folder = CHECK_OUT if speech is None else speech
    if not any(folder.glob("*/labels.csv")):
        raise InputError(
            f"no recordings in {folder.absolute()}: expected folders with a labels.csv each; name it with --speech DIR"
        )
    material = Material(folder, dialogue or folder.parent / "dialogue", video or folder.parent / "video", split, limit)
    if next(material.rows(folder), None) is None:
        raise InputError(f"{folder.absolute()} holds nothing of the split {split!r}; look at the column split")
    return material


def present_voices(voices: Sequence[str]) -> list[str]:
    """Return the voices that can be made here: festival is not installed everywhere."""
    return [one for one in voices if not one.startswith("festival") or shutil.which("text2wave")]


def voice_of(path: Path) -> Sound:
    """Return a recording cut to its voice, a tenth of a second before and behind it, its ends softened. [N] float32."""
    sound = read(path)
    if not np.abs(sound).max(initial=0.0) > 0.0:
        raise InputError(f"{path} holds no sound; take it out of labels.csv")
    start, stop = sound_span(sound)
    cut = sound[max(0, start - _MARGIN) : stop + _MARGIN].copy()
    ramp = np.linspace(0.0, 1.0, min(_MARGIN // 2, len(cut) // 2), dtype=np.float32)
    cut[: len(ramp)] *= ramp
    cut[len(cut) - len(ramp) :] *= ramp[::-1]
    return cut
