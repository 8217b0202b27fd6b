"""Build the corpus: python -m tml_ros.training.corpus_build --data DIR --out DIR [--export DIR].

Collects recordings, has sentences, words and the robot's own lines spoken by every local synthesiser, makes hums,
coughs and knocks, and writes ``corpus``'s folder. The same seed and counts give the same texts and voices on every
machine with the same synthesisers. ``--export`` writes a small copy for a machine without them.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from tml_ros.errors import SynthesisError
from tml_ros.speech.synthesis import create_synthesiser
from tml_ros.training import overlap_sounds
from tml_ros.training.corpus import Part, export, save
from tml_ros.training.corpus_clips import Job, Piece, as_part, real_parts, spoken_part
from tml_ros.training.corpus_texts import COMMAND_WORDS, OTHER_WORDS, Texts
from tml_ros.training.meanings import BACKCHANNEL, FILLER, Meanings
from tml_ros.training.overlap_clips import trim
from tml_ros.training.overlap_texts import BACK_CHANNELS, HUMS
from tml_ros.training.overlap_voices import common_words, robot_lines

__all__ = ["Amounts", "jobs", "main", "pieces"]

_HELD_SHARE = 12  # one held part for so many to learn from
_ROBOT_VOICES = (("flite", "slt"), ("flite", "slt"), ("flite", "rms"), ("espeak", "en-us"), ("espeak", "en-gb+f2"))


@dataclass(frozen=True, slots=True)
class Amounts:
    """How many synthetic parts of each kind to learn from; for measuring a twelfth as many are made.

    command_word, other_word: for each word. replies: different texts of the robot.
    """

    command_word: int = 120
    other_word: int = 16
    sentences: int = 16000
    paused: int = 2000
    corrected: int = 400
    talks: int = 400
    replies: int = 200
    murmurs: int = 500
    hums: int = 400
    coughs: int = 250
    knocks: int = 200

    def scaled(self, factor: float) -> "Amounts":
        """Return so many times the amounts, one at least."""
        return Amounts(**{one.name: max(1, round(getattr(self, one.name) * factor)) for one in fields(self)})


def jobs(amounts: Amounts, seed: int) -> list[Job]:
    """Return what voices have to say."""
    texts, found = Texts(seed, common_words()), list[Job]()
    for held in (False, True):
        part = _HELD_SHARE if held else 1
        for words, count in ((COMMAND_WORDS, amounts.command_word), (OTHER_WORDS, amounts.other_word)):
            found += [Job("word", word, (0, 0), held) for word in words for _ in range(-(-count // part))]
        found += [Job("sentence", texts.sentence(), (0, 0), held) for _ in range(-(-amounts.sentences // part))]
        for count, draw in ((amounts.paused, texts.paused), (amounts.corrected, texts.corrected)):
            for _ in range(-(-count // part)):
                said, means = draw()
                found.append(Job("paused", said, (0, 0), held, means))
        for _ in range(-(-amounts.talks // part)):
            found.append(Job("talk", ". ".join(texts.talk() for _ in range(3)), (0, 0), held))
        murmurs = (*BACK_CHANNELS[:9], *BACK_CHANNELS, *HUMS)
        found += [Job("hum", murmurs[i % len(murmurs)], (0, 0), held) for i in range(-(-amounts.murmurs // part))]
    return [replace(job, seed=(seed, number)) for number, job in enumerate(found)]


def pieces(data: Path | None, amounts: Amounts, seed: int, threads: int = 2) -> Iterator[Piece]:
    """Yield every part with its sound, what is spoken in any order: whoever stops early has some of everything.

    Raises:
        MissingDependencyError: espeak-ng or flite is not installed.
    """
    wanted = jobs(amounts, seed)
    yield from _robot(wanted, amounts.replies)
    for held in (False, True):
        yield from _made(amounts, np.random.default_rng([seed, held]), held)
    if data is not None:
        yield from real_parts(data)
    np.random.default_rng(seed).shuffle(wanted)
    with ThreadPoolExecutor(threads) as pool:  # the work is done by child processes
        for piece in pool.map(spoken_part, wanted):
            if piece is not None:
                yield piece


def _robot(wanted: list[Job], most: int) -> Iterator[Piece]:
    """Yield long lines, and the replies that are given most often."""
    for held in (False, True):
        for line in robot_lines(held):
            yield as_part(Job("robot", "", (0, 0), held), "robot", line)
    meanings, counts = Meanings(), dict[str, int]()
    for job in wanted:
        reply = meanings.of(job.means or job.said).reply
        counts[reply] = counts.get(reply, 0) + bool(reply)
    often = sorted((reply for reply in counts if reply), key=lambda reply: (-counts[reply], reply))
    for number, reply in enumerate((BACKCHANNEL, FILLER, *often[:most])):
        program, voice = _ROBOT_VOICES[number % len(_ROBOT_VOICES)]
        try:
            sound = create_synthesiser(program, voice).synthesise(reply)
        except SynthesisError:  # flite hangs now and then
            continue
        if len(sound):
            yield as_part(Job("reply", reply, (0, 0)), f"{program}:{voice}", trim(sound, 1 << 18))


def _made(amounts: Amounts, rng: np.random.Generator, held: bool) -> Iterator[Piece]:
    split = "held" if held else "train"
    for kind, count, make in (
        ("hum", amounts.hums, overlap_sounds.hum),
        ("cough", amounts.coughs, overlap_sounds.cough),
        ("knock", amounts.knocks, overlap_sounds.knock),
    ):
        for _ in range(-(-count // (_HELD_SHARE if held else 1))):
            sound = trim(make(rng))
            speech = ((0, len(sound)),) if kind == "hum" else ()
            yield Part(kind, "", "made", split, 0, 0, speech), sound


def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, help="folder with speech/*/labels.csv and dialogue/*/labels.csv")
    parser.add_argument("--out", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--scale", type=float, default=1.0, help="how much synthetic speech, 1: some ten hours")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--export", type=Path, help="folder for a small copy")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    save(options.out, pieces(options.data, Amounts().scaled(options.scale), options.seed, options.threads))
    print(f"{options.out} after {time.monotonic() - began:.0f} s", file=sys.stderr)
    if options.export:
        size = export(options.out, options.export)
        print(f"{options.export}: {size / 2**20:.1f} MiB", file=sys.stderr)


if __name__ == "__main__":
    main()
