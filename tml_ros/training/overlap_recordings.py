"""Real sounds for the overlap classifier: words, read sentences, turns of meetings, noise.

Some recorded words are also cut so that they sound like a back-channel ("oh" of go). Speakers are either learnt from or
measured on, as labels.csv says. It knows no synthesis.

Source: a folder with speech/*/labels.csv (path, transcript, speaker, split) and dialogue/*/*.rttm beside recordings.
"""

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.random import Generator

from tml_ros.duplex.cascade.vad import FRAME_SAMPLES, SileroVad
from tml_ros.records import SAMPLE_RATE_HZ
from tml_ros.training.overlap_clips import LONGEST, MS, Clip, Counts, Sound, even, fade, levels, trim

__all__ = ["noises", "read", "recordings", "rows", "speech_from"]

_WORD_WEIGHT, _READING_WEIGHT = 2.0, 6.0
"""How often a recorded word and a beginning of a sentence are used, in another room each time."""
_RARE, _RARE_WEIGHT = 100, 10.0
"""A word with fewer recordings in its folder ("stop", "off") is used more often."""
_CUTS = 4
"""Every so many recordings of "go" also give a back-channel: an "oh" without its g is hard to tell from go."""


def recordings(data: Path, counts: Counts, rng: Generator) -> Iterator[Clip]:
    """Yield words, beginnings of speech, and turns of meetings; nothing of a folder that is absent."""
    vad = SileroVad()
    for folder, share in (
        ("gsc_v001_subset", 1.0),
        ("dspspeech_en", 0.2),
        ("an4_nemo_subset", 0.1),
        ("precise_community", 0.15),
        ("rosfeiyu_commands", 0.05),
    ):
        yield from _words(data / "speech" / folder, round(counts.real_words * share), rng, vad)
    for row in rows(data / "speech" / "librispeech_snips"):
        sound = read(data / "speech" / "librispeech_snips" / row["path"])
        for begin in _starts(sound):
            piece = speech_from(vad, even(sound[begin : begin + LONGEST]))
            held = row["split"] == "dev"
            yield Clip("bid", row["speaker"], piece, 0, held, 1.0 if held else _READING_WEIGHT)
    for path in sorted(data.glob("dialogue/*/*.rttm")):
        yield from _turns(path, vad)


def speech_from(vad: SileroVad, sound: Sound) -> Sound:
    """Cut off what comes before speech, clicks of a button above all; empty when there is no speech.

    Args:
        vad: tells speech.
        sound: [N] float32 at 16 kHz that begins with its first audible sample.
    """
    lead = 3 * FRAME_SAMPLES
    padded = np.concatenate([np.zeros(lead, np.float32), sound, np.zeros(FRAME_SAMPLES, np.float32)])
    is_speech = np.array(vad.open().push(padded)) >= 0.5
    if not is_speech.any():
        return sound[:0]
    first = int(np.argmax(is_speech)) * FRAME_SAMPLES - lead
    return sound if first <= 110 * MS else sound[first - 48 * MS :]


def rows(folder: Path) -> list[dict[str, str]]:
    """Return what labels.csv of a folder says; nothing when there is none."""
    path = folder / "labels.csv"
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _words(folder: Path, most: int, rng: Generator, vad: SileroVad) -> Iterator[Clip]:
    found = [row for row in rows(folder) if "<" not in row["transcript"]]
    order = rng.permutation(len(found))
    taken = [[found[i] for i in order if (found[i]["split"] == "dev") is held] for held in (False, True)]
    recorded = Counter(row["transcript"] for row in taken[0])
    for number, row in enumerate((*taken[0][:most], *taken[1][: max(20, most // 4)])):
        sound = speech_from(vad, trim(read(folder / row["path"])))
        held, word = row["split"] == "dev", row["transcript"]
        if word != "right":  # which may be either
            kind, bid_at = ("word", -1) if word == "wow" else ("bid", 0)
            weight = _WORD_WEIGHT if recorded[word] >= _RARE else _RARE_WEIGHT
            yield Clip(kind, row["speaker"], sound, bid_at, held, 1.0 if held else weight)
        piece = _piece_of(word, sound) if held or word == "yes" or number % _CUTS == 0 else None
        if piece is not None:
            yield Clip("word" if word == "yes" else "hum", f"{row['speaker']}/cut", piece, -1, held)


def _piece_of(word: str, sound: Sound) -> Sound | None:
    """Cut a back-channel out of a word: "oh" of go, "yeah" of yes."""
    if len(sound) < 100 * MS:
        return None
    level = levels(sound)
    hiss = levels(np.diff(sound, prepend=np.float32(0))) - level
    if word == "yes" and len(level) > 20:
        after = np.flatnonzero(hiss[8:] > -3)
        return fade(sound[: (8 + int(after[0])) * 10 * MS], 8, 60) if len(after) else None
    if word == "go" and len(level) > 15:
        return fade(sound[60 * MS :], 30, 80)
    return None


def _starts(sound: Sound) -> list[int]:
    """Return where speech begins after at least 80 ms that are much quieter."""
    level = levels(sound)
    is_quiet = level < max(level.max() - 32, np.percentile(level, 8) + 6)
    found: list[int] = []
    for frame in range(8, len(level) - 60):
        begins = is_quiet[frame - 8 : frame].all() and not is_quiet[frame : frame + 4].any()
        if begins and (not found or frame * 10 * MS - found[-1] > 500 * MS):
            found.append(frame * 10 * MS)
    return found


def _turns(path: Path, vad: SileroVad) -> Iterator[Clip]:
    """Long and short turns of a meeting during whose beginning nobody else speaks."""
    turns: dict[str, list[tuple[float, float, str]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        fields = line.split()
        turns.setdefault(fields[1], []).append((float(fields[3]), float(fields[4]), fields[7]))
    for name, all_of_it in turns.items():
        found = sorted(path.parent.glob(f"*/{name}.*")) or sorted(path.parent.glob(f"*/{name.replace('trn', 'tr')}.*"))
        if not found:
            continue
        sound, held = read(found[0]), found[0].parent.name != "train"
        for begin, seconds, speaker in all_of_it:
            others = [turn for turn in all_of_it if turn != (begin, seconds, speaker)]
            alone_s = min((other[0] for other in others if other[0] >= begin - 0.1), default=30.0) - begin
            before_s = begin - max((other[0] + other[1] for other in others if other[0] < begin), default=-1.0)
            if before_s < 0.15:
                continue
            first, last = round(begin * SAMPLE_RATE_HZ), round((begin + seconds) * SAMPLE_RATE_HZ)
            turn = speech_from(vad, trim(sound[first:last]))
            if seconds >= 1.5 and alone_s >= 1.0:
                yield Clip("bid", f"ami_{speaker}", turn, 0, held, 6.0)
            elif seconds < 0.75 and alone_s >= seconds:
                yield Clip("word", f"ami_{speaker}", turn, -1, held, 6.0)


def noises(data: Path, counts: Counts, rng: Generator) -> Iterator[Clip]:
    """Pieces that begin with a rise of at least 6 dB."""
    folder = data / "speech" / "noise"
    for held in (False, True):
        recordings = [read(folder / row["path"]) for row in rows(folder) if (row["split"] == "dev") is held]
        for _ in range(counts.noises // (5 if held else 1) if recordings else 0):
            sound = recordings[rng.integers(len(recordings))]
            begin = int(rng.integers(max(1, len(sound) - SAMPLE_RATE_HZ)))
            rise = np.flatnonzero(np.diff(levels(sound[begin : begin + SAMPLE_RATE_HZ])) > 6)
            begin += (int(rise[0]) + 1) * 10 * MS if len(rise) else 0
            piece = sound[begin : begin + round(rng.uniform(0.1, 1.5) * SAMPLE_RATE_HZ)]
            yield Clip("noise", "noise", fade(even(piece), 2, 20), -1, held)


def read(path: Path) -> Sound:
    """Return the first channel of a sound file at 16 kHz, [N] float32."""
    sound, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    return np.asarray(
        sound[:, 0] if rate_hz == SAMPLE_RATE_HZ else soxr.resample(sound[:, 0], rate_hz, SAMPLE_RATE_HZ), np.float32
    )
