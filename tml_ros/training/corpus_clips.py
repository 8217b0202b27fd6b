"""Recordings and synthetic speech as parts of a corpus: cut, levelled, with times of speech and of words.

Word times are espeak-ng's own, or shares of the time in which somebody speaks, by the length of the words: good to
about 0.1 s. Speakers and voices that are kept aside for measuring are marked, never mixed in.

Source: a folder with speech/*/labels.csv (path, transcript, speaker, split) and dialogue/*/labels.csv.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tml_ros.duplex.cascade.vad import FRAME_SAMPLES, SileroVad
from tml_ros.errors import SynthesisError
from tml_ros.intents.grammar import normalise
from tml_ros.records import SAMPLE_RATE_HZ
from tml_ros.speech.synthesis import EspeakSynthesiser
from tml_ros.training.corpus import Part
from tml_ros.training.espeak_words import espeak
from tml_ros.training.overlap_clips import MS, even, levels, onset, trim
from tml_ros.training.overlap_recordings import read, rows, speech_from
from tml_ros.training.overlap_voices import draw_voice

__all__ = ["Job", "Piece", "as_part", "real_parts", "spoken_part", "timed_ends", "word_ends"]

Sound = NDArray[np.float32]
Piece = tuple[Part, Sound]
_WORD_FOLDERS = (
    "gsc_v001_subset", "dspspeech_en", "fsdd", "an4_nemo_subset", "precise_community", "rosfeiyu_commands",
)  # fmt: skip
_LONGEST = 12 * SAMPLE_RATE_HZ
_SHORTEST_WORD = 140 * MS
_MOST_WORDS = 3
_SPANISH = ("aspirador", "ventilador", "televisor", "frescor", "estor")
_NOISE_PIECE = 20 * SAMPLE_RATE_HZ
_DOUBT = 60 * MS
"""So much later than estimated a word is taken to end: it must not be expected before it was said."""
_WORD = re.compile(r"[a-z0-9']+")
_GAP = 80 * MS  # a shorter silence belongs to the speech around it


@dataclass(frozen=True, slots=True)
class Job:
    """Something to be spoken. said: as a synthesiser reads it, with commas. means: see ``Part``; held: by which voices.

    voice: name of one of the robot's voices, "" to draw one.
    """

    kind: str
    said: str
    seed: tuple[int, int]
    held: bool = False
    means: str = ""


def real_parts(data: Path) -> Iterator[Piece]:
    """Yield words, read speech, meetings and noise; nothing of a folder that is absent."""
    vad = SileroVad()
    for name in _WORD_FOLDERS:
        for row in rows(data / "speech" / name):
            yield from _word(data / "speech" / name / row["path"], row, vad)
    for folder, kind in (
        (data / "speech" / "librispeech_snips", "talk"),
        (data / "dialogue" / "ami_meeting", "meeting"),
    ):
        for row in rows(folder):
            sound = even(read(folder / row["path"]))
            spoken = _heard_speech(vad, sound)
            yield Part(kind, "", row["speaker"], row["split"], 0, 0, spoken, (), True), sound
    for row in rows(data / "speech" / "noise"):
        sound = read(data / "speech" / "noise" / row["path"])
        for begin in range(0, max(1, len(sound) - SAMPLE_RATE_HZ), _NOISE_PIECE):
            yield (
                Part("noise", "", row["path"], row["split"], 0, 0, real=True),
                even(sound[begin : begin + _NOISE_PIECE]),
            )


def spoken_part(job: Job) -> Piece | None:
    """Return a text spoken by a voice that is drawn from the job's seed; None when the voice cannot say it."""
    rng = np.random.default_rng(job.seed)
    name, voice = draw_voice(rng, job.held)
    starts: list[tuple[int, int]] = []
    try:
        if isinstance(voice, EspeakSynthesiser):
            sound, starts = espeak(job.said, voice.voice, voice.speed, voice.pitch)
        else:
            sound = voice.synthesise(job.said)
    except SynthesisError:
        return None
    if len(sound) < 60 * MS or np.abs(sound).max() < 1e-3:
        return None
    cut = onset(sound)
    return as_part(job, name, trim(sound, _LONGEST), [(place, max(0, at - cut)) for place, at in starts])


def as_part(job: Job, voice: str, sound: Sound, starts: Sequence[tuple[int, int]] = ()) -> Piece:
    """Return clean speech with the times of its words. starts: first character and first sample of words."""
    text, speech = normalise(job.said), _loud(sound)
    split = "held" if job.held else "train"
    ends = timed_ends(job.said, starts, speech) if starts else _by_clauses(job.said, speech)
    return Part(job.kind, text, voice, split, 0, 0, speech, ends, False, job.means), sound


def timed_ends(said: str, starts: Sequence[tuple[int, int]], speech: tuple[tuple[int, int], ...]) -> tuple[int, ...]:
    """Return where each word ends, given where words begin; those without a time share what is between."""
    known, places = dict(starts), [found.start() for found in _WORD.finditer(said.lower())]
    last = speech[-1][1]
    begins = np.array([known.get(place, -1) for place in places[1:]] + [last], np.float64)
    is_known, numbers = begins >= 0, np.arange(len(begins))
    ends = np.interp(numbers, numbers[is_known], begins[is_known])
    # A word ends before the pause in front of the next one.
    spoken = [max((end for begin, end in speech if begin < at - 50 * MS), default=at) for at in ends]
    return tuple(round(min(at, end, last)) for at, end in zip(ends, spoken, strict=True))


def word_ends(text: str, speech: tuple[tuple[int, int], ...]) -> tuple[int, ...]:
    """Return where about each word ends. speech: [begin, end) in samples."""
    words = text.split()
    if not words or not speech:
        return ()
    shares = np.cumsum([len(word) + 1.5 for word in words])
    spoken = np.array([end - begin for begin, end in speech])
    wanted = shares / shares[-1] * spoken.sum()
    interval = np.minimum(np.searchsorted(np.cumsum(spoken), wanted - 1), len(spoken) - 1)
    before = np.cumsum(spoken) - spoken
    ends = [(speech[i][0] + at - before[i] + _DOUBT, speech[i][1]) for i, at in zip(interval, wanted, strict=True)]
    return tuple(round(min(end, latest)) for end, latest in ends)


def _by_clauses(said: str, speech: tuple[tuple[int, int], ...]) -> tuple[int, ...]:
    """Return where about each word ends, a comma lying in the silence nearest to where it should."""
    head, comma, tail = said.partition(",")
    if not comma or len(speech) < 2:
        return word_ends(normalise(said), speech)
    estimated = word_ends(normalise(said), speech)[len(normalise(head).split()) - 1] - _DOUBT
    before = 1 + min(range(len(speech) - 1), key=lambda number: abs(speech[number][1] - estimated))
    return word_ends(normalise(head), speech[:before]) + _by_clauses(tail, speech[before:])


def _word(path: Path, row: dict[str, str], vad: SileroVad) -> Iterator[Piece]:
    text = row["transcript"]
    if "<" in text or len(text.split()) > _MOST_WORDS:
        return
    sound = speech_from(vad, trim(read(path)))
    if len(sound) < _SHORTEST_WORD:
        return
    sound = even(sound)
    text = "" if any(word in text for word in _SPANISH) else normalise(text)
    speech = ((0, len(sound)),)
    yield Part("word", text, row["speaker"], row["split"], 0, 0, speech, word_ends(text, speech), True), sound


def _heard_speech(vad: SileroVad, sound: Sound) -> tuple[tuple[int, int], ...]:
    return _joined(np.array(vad.open().push(sound)) >= 0.5, FRAME_SAMPLES)


def _loud(sound: Sound) -> tuple[tuple[int, int], ...]:
    """Return where a sound without noise is audible; all of it when that is nowhere."""
    level = levels(sound)
    return _joined(level > level.max() - 38, 10 * MS) or ((0, len(sound)),)


def _joined(is_speech: NDArray[np.bool_], frame: int) -> tuple[tuple[int, int], ...]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_speech, [False]]).astype(np.int8)))
    found: list[tuple[int, int]] = []
    for begin, end in (edges.reshape(-1, 2) * frame).tolist():
        if found and begin - found[-1][1] < _GAP:
            found[-1] = (found[-1][0], end)
        else:
            found.append((begin, end))
    return tuple((begin, end) for begin, end in found if end - begin >= 30 * MS)
