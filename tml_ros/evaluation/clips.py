"""Clips for turn-taking: a person who says something and ends, or who pauses inside a sentence and goes on.

Synthesised speech, whose end is known to the sample, and recordings of people, whose end is measured by energy. The
first sound lies at another place of the 200 ms grid in every clip, evenly over all of them, and a faint noise is under
everything. The same arguments give the same samples. Voices and sentences are split in two: nothing may be tuned on
the ones that are held out. It knows no model.
"""

import csv
import itertools
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tml_ros.errors import ConfigError, MissingDependencyError, SynthesisError
from tml_ros.media import read_audio_file
from tml_ros.records import MICRO_TURN_NS, SAMPLE_RATE_HZ
from tml_ros.speech import create_synthesiser

__all__ = [
    "PAUSES_S",
    "VOICES",
    "Clip",
    "pause_clips",
    "recorded_clips",
    "recorded_pauses",
    "sound_span",
    "spoken",
    "turn_clips",
]

VOICES = {
    "tuned": ("flite:slt", "flite:awb", "flite:kal", "espeak:en-us"),
    "held out": ("flite:rms", "espeak:en-gb", "espeak:en-us+f2", "festival:ked_diphone"),
}
"""Voices by split; festival only counts where it is installed."""

TURNS = {
    "tuned": (
        "go left",
        "go forward",
        "turn around",
        "stop",
        "bring me the cup",
        "put the bottle on the table",
        "what time is it",
        "can you hear me",
        "hey robot please go to the kitchen",
        "go forward ten meters",
    ),
    "held out": (
        "go back",
        "turn right",
        "turn right ninety degrees",
        "halt",
        "give me a blue pen",
        "grab the screwdriver",
        "what do you see",
        "what is your name",
        "okay robot take me to the office please",
        "remind me in twenty seconds",
    ),
}
PAUSES = {
    "tuned": (
        ("put it on the", "table"),
        ("can you tell me", "where the goggles are"),
        ("go forward", "ten meters"),
        ("remind me to", "check the temperature"),
        ("i think we should", "clean the bench first"),
        ("bring me the", "red cup"),
        ("could you please", "follow me"),
    ),
    "held out": (
        ("where is the", "fire extinguisher"),
        ("turn left", "ninety degrees"),
        ("what do i do if there is", "an acid spill"),
        ("give me the", "yellow box"),
        ("set a timer for", "twenty seconds"),
        ("yesterday i went to the", "office and it was closed"),
    ),
}
PAUSES_S = (0.4, 1.0, 0.7, 1.5, 0.55, 1.2)

_SOUND_LEVEL = 0.004  # what the synthesisers of this package take for silence ends below it
_NOISE = 0.0005
_FRAME = SAMPLE_RATE_HZ // 100
_MOST_NOISE = 0.01
_LONGEST_WORD_S = 0.9
_LEAD_S = 0.6
_TAIL_S = 3.6
_GOLDEN = 0.6180339887498949
# recordings: data set, words that are commands with a spoken answer
_RECORDED = (
    ("gsc_v001_subset", ("go", "left", "right", "up", "down", "stop")),
    ("rosfeiyu_commands", ("left", "right", "front", "back", "stop")),
    ("an4_nemo_subset", ("go", "stop", "start", "help", "repeat")),
    ("dspspeech_en", ("open", "close")),
)
_SPLITS = {"train": "tuned", "dev": "held out"}


@dataclass(frozen=True, slots=True)
class Clip:
    """A person's sound with what is known about it. Times in seconds since the first sample.

    kind: ``turn`` or ``pause``. source: voice or data set. split: ``tuned`` or ``held out``. audio: [N] float32 at
    16 kHz, silent behind the person's end. from_s: where the (first) pause begins; of a turn, where its sound begins.
    """

    kind: str
    source: str
    split: str
    text: str
    audio: NDArray[np.float32]
    from_s: float
    end_s: float


def turn_clips(split: str, *, voices: Sequence[str] = (), texts: Sequence[str] = ()) -> Iterator[Clip]:
    """Yield every text of a split in every voice of it; voices and texts take the place of the usual ones.

    Raises:
        MissingDependencyError: flite or espeak-ng is not installed.
    """
    for number, (voice, text) in enumerate(itertools.product(_voices(split, voices), texts or TURNS[split])):
        yield _clip("turn", voice, split, text, [_speak(voice, text)], number)


def pause_clips(split: str, *, voices: Sequence[str] = (), parts: Sequence[tuple[str, str]] = ()) -> Iterator[Clip]:
    """Yield every sentence of a split in every voice of it, with a pause of 0.4 to 1.5 s between its two parts."""
    pairs = itertools.product(_voices(split, voices), parts or PAUSES[split])
    for number, (voice, (first, rest)) in enumerate(pairs):
        pause_s = PAUSES_S[(number + number // len(PAUSES_S)) % len(PAUSES_S)]
        sounds = [_speak(voice, first), _speak(voice, rest)]
        yield _clip("pause", voice, split, f"{first} ({pause_s:.2f} s) {rest}", sounds, number, pause_s)


def recorded_clips(speech: Path, split: str, per_word: int) -> Iterator[Clip]:
    """Yield real commands, at most ``per_word`` of each word and data set. speech: folder of the data sets.

    split: one of ``VOICES``, or a name in the column split. Recordings so noisy that one word seems to last longer
    than 0.9 s are left out: the person's end is not known.
    """
    numbers = itertools.count()
    for name, words in _RECORDED:
        for word in words:
            sounds = (_read(path) for path in _choose(speech / name, word, split))
            clear = (sound for sound in sounds if sound.stop - sound.start <= _LONGEST_WORD_S * SAMPLE_RATE_HZ)
            for sound in itertools.islice(clear, per_word):
                yield _clip("turn", name, split, word, [sound], next(numbers))


def recorded_pauses(speech: Path, split: str, count: int) -> Iterator[Clip]:
    """Yield real people who say "go", pause, and then say where to; both words by the same person."""
    folder = speech / "gsc_v001_subset"
    where = ("left", "right", "up", "down")
    second = {word: {_speaker(path): path for path in _choose(folder, word, split)} for word in where}
    number = 0
    for path in _choose(folder, "go", split):
        wanted = where[number % len(where)]
        if number == count or _speaker(path) not in second[wanted]:
            continue
        pause_s = PAUSES_S[number % len(PAUSES_S)]
        sounds = [_read(path, 0.1), _read(second[wanted].pop(_speaker(path)), 0.1)]
        yield _clip("pause", folder.name, split, f"go ({pause_s:.2f} s) {wanted}", sounds, number, pause_s)
        number += 1


def spoken(voice: str, text: str) -> NDArray[np.float32]:
    """Return what a voice says, from its first sound to its last; ``festival:NAME`` is one, too.

    Raises:
        MissingDependencyError, SynthesisError: it cannot be said.
    """
    sound = _speak(voice, text)
    return sound.samples[sound.start : sound.stop]


def _speaker(path: Path) -> str:
    return path.name.split("_")[0]


def sound_span(audio: NDArray[np.float32]) -> tuple[int, int]:
    """Return the first sample of the sound in a recording and the one behind its last. audio: [N] float32.

    Sound is what rises above a thirtieth of the loudest 10 ms and above twice the quietest tenth of them.
    """
    level = _levels(audio)
    loudest = float(level.max())
    loud = np.flatnonzero(level >= max(loudest / 30.0, min(2.0 * _quiet(level), loudest / 6.0)))
    return int(loud[0]) * _FRAME, min(len(audio), (int(loud[-1]) + 1) * _FRAME)


def _levels(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the root mean square of every 10 ms."""
    padded = np.pad(audio, (0, -len(audio) % _FRAME))
    level: NDArray[np.float32] = np.sqrt(np.mean(padded.reshape(-1, _FRAME) ** 2, axis=1))
    return level


def _quiet(level: NDArray[np.float32]) -> float:
    return float(np.quantile(level, 0.1))


@dataclass(frozen=True, slots=True)
class _Sound:
    """Sound with where the voice in it begins and ends, in samples. noise: level of the silence around it."""

    samples: NDArray[np.float32]
    start: int
    stop: int
    noise: float = _NOISE


def _clip(
    kind: str, source: str, split: str, text: str, sounds: Sequence[_Sound], number: int, pause_s: float = 0.0
) -> Clip:
    """Put voices one after the other. The lead differs from clip to clip by parts of the micro-turn."""
    place = round((_LEAD_S + number * _GOLDEN % 1.0 * MICRO_TURN_NS / 1e9) * SAMPLE_RATE_HZ)
    starts: list[int] = []
    for sound in sounds:
        starts.append(place - sound.start)
        place += sound.stop - sound.start + round(pause_s * SAMPLE_RATE_HZ)
    end = starts[-1] + sounds[-1].stop
    length = end + round(_TAIL_S * SAMPLE_RATE_HZ)
    noise = np.random.Generator(np.random.PCG64(number)).standard_normal(length)
    audio = (max(sound.noise for sound in sounds) * noise).astype(np.float32)
    for start, sound in zip(starts, sounds, strict=True):
        left = max(0, -start)
        audio[start + left : start + len(sound.samples)] += sound.samples[left:]
    begin = starts[0] + (sounds[0].stop if kind == "pause" else sounds[0].start)
    return Clip(kind, source, split, text, audio, begin / SAMPLE_RATE_HZ, end / SAMPLE_RATE_HZ)


# --------------------------------------------------------------------------------------------------------- sources


def _voices(split: str, chosen: Sequence[str]) -> Sequence[str]:
    if split not in VOICES:
        raise ConfigError(f"no split {split!r}; use one of {', '.join(VOICES)}")
    return chosen or [one for one in VOICES[split] if not one.startswith("festival") or shutil.which("text2wave")]


def _speak(voice: str, text: str) -> _Sound:
    """Say a text; its end is known to the sample."""
    program, _, name = voice.partition(":")
    sound = _festival(name, text) if program == "festival" else create_synthesiser(program, name).synthesise(text)
    loud = np.flatnonzero(np.abs(sound) > _SOUND_LEVEL)
    return _Sound(sound, int(loud[0]), int(loud[-1]) + 1)


def _festival(voice: str, text: str) -> NDArray[np.float32]:
    program = shutil.which("text2wave")
    if program is None:
        raise MissingDependencyError("the program text2wave is not installed; run: apt-get install festival")
    with tempfile.TemporaryDirectory(prefix="tml_clips_") as folder:
        said, wav = Path(folder) / "text.txt", Path(folder) / "speech.wav"
        said.write_text(text, encoding="ascii")
        command = [program, "-eval", f"(voice_{voice})", "-F", str(SAMPLE_RATE_HZ), "-o", str(wav), str(said)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=30.0, check=False)
        if done.returncode or not wav.exists():
            raise SynthesisError(f"text2wave failed with voice {voice!r}: {done.stderr!r}; see festival (voice.list)")
        return read_audio_file(wav)[0][:, 0]


def _choose(folder: Path, word: str, split: str) -> list[Path]:
    """Return the recordings of a word, one of every speaker first, then the second of every speaker, and so on."""
    if not (folder / "labels.csv").is_file():
        return []
    with (folder / "labels.csv").open(encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if row["transcript"] == word and _is_in(row, split)]
    seen: dict[str, int] = {}
    ranked = []
    for row in rows:
        seen[row["speaker"]] = seen.get(row["speaker"], 0) + 1
        ranked.append((seen[row["speaker"]], row["path"]))
    return [folder / path for _, path in sorted(ranked, key=lambda pair: pair[0])]


def _is_in(row: Mapping[str, str], split: str) -> bool:
    return split in (row["split"], _SPLITS.get(row["split"]))


def _read(path: Path, margin_s: float = 1.0) -> _Sound:
    """Load a recording with at most that much around its voice."""
    samples = read_audio_file(path)[0][:, 0]
    start, stop = sound_span(samples)
    margin = round(margin_s * SAMPLE_RATE_HZ)
    cut = samples[max(0, start - margin) : stop + margin]
    noise = min(_MOST_NOISE, max(_NOISE, _quiet(_levels(samples))))
    return _Sound(cut, min(start, margin), min(start, margin) + stop - start, noise)
