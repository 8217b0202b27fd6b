"""Train the overlap classifier: python -m tml_ros.training.overlap --data DIR --out DIR.

Collects and makes sounds, plays them over a speaking robot, learns, measures on voices and speakers that it never
heard, and writes weights.npz. The same seed gives the same weights on the same machine.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from tml_ros.errors import InputError
from tml_ros.training import overlap_sounds as sounds
from tml_ros.training.overlap_clips import MS, Clip, Counts, Sound, levels, trim
from tml_ros.training.overlap_net import Settings, TrainingSet, export, train
from tml_ros.training.overlap_recordings import noises, recordings
from tml_ros.training.overlap_report import answers, lines, looks, recommend
from tml_ros.training.overlap_scenes import Example, examples
from tml_ros.training.overlap_voices import robot_lines, spoken

__all__ = ["collect", "main", "make"]


def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with speech/*/labels.csv and dialogue/*/*.rttm"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for weights.npz and report.txt")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=Settings().epochs)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # more threads may change the last bit
    began = time.monotonic()
    clips = collect(options.data, Counts(), options.seed)
    _say(f"{len(clips)} clips after {time.monotonic() - began:.0f} s")
    rng = np.random.default_rng(options.seed + 1)
    learnt, held = make(clips, rng, held=False), make(clips, rng, held=True)
    _say(f"{len(learnt)} examples to learn from, {len(held)} to measure on, after {time.monotonic() - began:.0f} s")
    net = train(TrainingSet(learnt), Settings(epochs=options.epochs, seed=options.seed), _say)
    options.out.mkdir(parents=True, exist_ok=True)
    np.savez(options.out / "weights.npz", **export(net))  # type: ignore[arg-type]
    seen = looks(held, answers(net, TrainingSet(held)))
    report = "\n".join(lines(held, seen, recommend(held, seen)))
    (options.out / "report.txt").write_text(report + "\n", encoding="utf-8")
    _say(f"{report}\nafter {time.monotonic() - began:.0f} s")


def collect(data: Path, counts: Counts, seed: int) -> list[Clip]:
    """Return every clip, in the same order for the same seed.

    Raises:
        InputError: there is no speech in the folder.
        MissingDependencyError: espeak-ng or flite is not installed.
    """
    rng = np.random.default_rng(seed)
    real = list(recordings(data, counts, rng))
    if not real:
        raise InputError(f"no speech in {data}: expected speech/*/labels.csv and the recordings that they name")
    made = [*_made(counts, rng, real), *spoken(counts, rng), *noises(data, counts, rng)]
    return [clip for clip in (*real, *made) if len(clip.sound) > _least_samples(clip)]


def _least_samples(clip: Clip) -> int:
    """Return what a clip must have: something, and something of the words that come after a back-channel."""
    return clip.bid_at + 200 * MS if clip.bid_at > 0 else 20 * MS


def make(clips: list[Clip], rng: np.random.Generator, *, held: bool) -> list[Example]:
    """Return the examples of the clips to learn from, or of those to measure on."""
    chosen, said = [clip for clip in clips if clip.held is held], list(robot_lines(held))
    return list(examples(chosen, said, rng))


def _made(counts: Counts, rng: np.random.Generator, real: list[Clip]) -> Iterator[Clip]:
    """Yield sounds of the throat and of things, and hums in the voices of those who really spoke."""
    for kind, count, make in (
        ("hum", counts.hums, sounds.hum),
        ("cough", counts.coughs, sounds.cough),
        ("knock", counts.knocks, sounds.knock),
    ):
        for number in range(count + count // 5):
            yield Clip(kind, "made", trim(make(rng)), -1, number >= count)
    for held in (False, True):
        voices = [clip for clip in real if clip.held is held and clip.kind == "bid" and len(clip.sound) > 1000 * MS]
        for _ in range(counts.real_hums // (5 if held else 1) if voices else 0):
            clip = voices[rng.integers(len(voices))]
            yield Clip("hum", f"{clip.voice}/hum", trim(sounds.hum_from(rng, _voiced(clip.sound))), -1, held)


def _voiced(sound: Sound) -> Sound:
    """Return the loudest 0.75 s below 1 kHz."""
    spectrum = np.fft.rfft(sound)
    spectrum[len(spectrum) // 8 :] = 0
    low = np.fft.irfft(spectrum, len(sound)).astype(np.float32)
    level = np.convolve(10 ** (levels(low) / 10), np.ones(75), "valid")
    begin = int(np.argmax(level)) * 10 * MS
    return sound[begin : begin + 750 * MS]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
