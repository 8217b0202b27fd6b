"""Item 7: five new commands, taught from twenty labelled recordings each: what others reach then, and what it cost.

The commands are words of the recordings that mean nothing so far and that more than one person says, wake words first.
Twenty recordings, of as few people as there are twenty of, are labelled and taught; everybody else's are heard in a
stream of noise. Single words and sentences are measured before and after. Only a native checkpoint can be taught.
"""

import functools
import itertools
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from tml_ros.errors import InputError
from tml_ros.evaluation.clips import sound_span, spoken
from tml_ros.evaluation.runner import ModelSpec
from tml_ros.evaluation.skills.bench import Bench
from tml_ros.evaluation.skills.carriers import Carriers
from tml_ros.evaluation.skills.commands import Commands
from tml_ros.evaluation.skills.counts import Trial, counted, grouped
from tml_ros.evaluation.skills.material import HELD_VOICES, Material, Row, present_voices, voice_of
from tml_ros.evaluation.skills.meaning import Wanted, judged
from tml_ros.evaluation.skills.streams import placed_stream
from tml_ros.evaluation.skills.subject import Subject
from tml_ros.intents import Grammar, load_intents
from tml_ros.intents.labels import Label
from tml_ros.records import SAMPLE_RATE_HZ
from tml_ros.resources import find

__all__ = ["Finetune", "NewCommand", "choose", "with_commands"]

Sound = NDArray[np.float32]
COMMANDS, EXAMPLES = 5, 20
WANTED, MOST_LOST, MOST_S = 0.85, 0.02, 900.0
_PREFERRED = "precise_community"
_FEWEST_TESTS, _MOST_TESTS = 8, 40
_SNR_DB, _WITHIN_S, _GAP_S = 20.0, 1.5, (2.2, 3.2)
_OLD_LIMIT = 8
_GAP = SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class NewCommand:
    """A word to be taught. taught: recordings that are labelled; others: of people who are not among them."""

    text: str
    taught: tuple[Row, ...]
    others: tuple[Row, ...]

    @property
    def intent(self) -> str:
        """Name of the intent that is to follow."""
        return f"__intent_{self.text.replace(' ', '_')}__"


@dataclass(frozen=True, slots=True)
class _Old:
    """skills: hits and trials by name. false: intents in so many seconds of talk and noise, at the own threshold."""

    skills: Mapping[str, tuple[int, int]]
    false: int
    talk_s: float


@dataclass(frozen=True, slots=True)
class Taught:
    """What came of it. new: trials of other people; voices: of synthetic ones. before, after: of old skills.

    seconds: of learning, everything it needs included.
    """

    commands: tuple[str, ...]
    new: tuple[Trial, ...]
    voices: tuple[Trial, ...]
    before: "_Old"
    after: "_Old"
    seconds: float
    adapter_bytes: int


class Finetune:
    """New commands."""

    name, number, alone = "finetune", 7, True

    def pieces(self, material: Material) -> int:
        """Return 1: one lab is taught."""
        return 1

    def play(self, material: Material, number: int, bench: Bench, label: str) -> Taught:
        """Teach a model, and hear what it knows then."""
        commands = choose(material)
        spec = bench.take("values", label, _Values).spec
        with tempfile.TemporaryDirectory(prefix="tml_finetune_") as folder:
            intents = Path(folder, "intents.yaml")
            intents.write_text(with_commands(commands), encoding="utf-8")
            began = time.monotonic()
            adapter = _teach(spec, commands, Grammar(load_intents(intents)), Path(folder))
            seconds = time.monotonic() - began
            taught = {**spec.values, "native.adapters": [str(adapter)], "intents_file": str(intents)}
            after = Bench({label: replace(spec, values=taught)})
            subject = after.take("as it is", label, Subject)
            new = _hear(subject, commands, [_real(one) for one in commands], material, 1)
            voices = _hear(subject, commands, [_made(one) for one in commands], material, 2)
            old = (_old(material, bench, label), _old(material, after, label))
            after.close()
            size = adapter.stat().st_size
        return Taught(tuple(one.text for one in commands), tuple(new), tuple(voices), *old, round(seconds, 1), size)

    def figures(self, parts: Sequence[Taught]) -> dict[str, Any]:
        """Return the figures of a model; ``figure`` is the share of other speakers' commands that were right."""
        (taught,) = parts
        both = (("before", taught.before), ("after", taught.after))
        shares = [_share(old.skills) for _, old in both]
        return {
            **counted(sum(one.is_hit() for one in taught.new), len(taught.new)),
            "by_command": grouped(taught.new),
            "synthetic_voices": counted(sum(one.is_hit() for one in taught.voices), len(taught.voices)),
            "old_skills": {when: {name: counted(*pair) for name, pair in old.skills.items()} for when, old in both},
            "false_in_talk": {when: {"false": old.false, "minutes": round(old.talk_s / 60.0, 2)} for when, old in both},
            "points_lost": round(100.0 * (shares[0] - shares[1]), 2),
            "seconds": taught.seconds,
            "adapter_bytes": taught.adapter_bytes,
        }

    def is_met(self, figures: Mapping[str, Any]) -> bool:
        """Whether the figures of a model are as good as wanted."""
        is_kept = figures["points_lost"] <= 100.0 * MOST_LOST and figures["seconds"] <= MOST_S
        return is_kept and (figures["figure"] or 0.0) >= WANTED


def _share(skills: Mapping[str, tuple[int, int]]) -> float:
    return sum(hits for hits, _ in skills.values()) / max(1, sum(trials for _, trials in skills.values()))


class _Values:
    """The parameters of a model, without the model."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec

    def close(self) -> None:
        """Do nothing."""


# ------------------------------------------------------------------------------------------------------- choosing


@functools.lru_cache(maxsize=4)
def choose(material: Material) -> tuple[NewCommand, ...]:
    """Return five commands with twenty recordings to be taught and some of other people.

    Raises:
        InputError: there are not as many.
    """
    grammar = Grammar(load_intents())
    train, own = (list(replace(material, split=split).rows(material.speech)) for split in ("train", material.split))
    texts = {row.text for row in (*train, *own) if "<" not in row.text and grammar.parse(row.text) is None}
    pairs = (([row for row in rows if row.text == text] for rows in (train, own)) for text in sorted(texts))
    found = [command for ours, others in pairs if (command := _command(ours, others)) is not None]
    found.sort(key=lambda one: (one.taught[0].data != _PREFERRED, -len(one.others), one.text))
    if len(found) < COMMANDS:
        raise InputError(
            f"{material.speech} has {len(found)} new words with {EXAMPLES} recordings and {_FEWEST_TESTS} of other "
            f"people, expected {COMMANDS}; add recordings"
        )
    return tuple(found[:COMMANDS])


def _command(train: Sequence[Row], own: Sequence[Row]) -> NewCommand | None:
    """Return a command; None if there are too few recordings.

    train: of these the examples are taken, of as few people as possible. own: of the split that is measured; others of
    ``train`` are heard only behind them.
    """
    by_speaker = sorted(_by_speaker(train), key=lambda some: -len(some))
    taught = list(itertools.chain.from_iterable(by_speaker))[:EXAMPLES]
    speakers = {row.speaker for row in taught}
    tests = [row for rows in (own, train) for row in _in_turn(rows, speakers)]
    tests = list(dict.fromkeys(tests))[:_MOST_TESTS]
    if len(taught) < EXAMPLES or len(tests) < _FEWEST_TESTS:
        return None
    return NewCommand(taught[0].text, tuple(taught), tuple(tests))


def _by_speaker(rows: Sequence[Row]) -> list[list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.speaker, []).append(row)
    return list(found.values())


def _in_turn(rows: Sequence[Row], without: set[str]) -> Iterator[Row]:
    """Yield one recording of every other speaker, then the second, and so on."""
    others = [some for some in _by_speaker(rows) if some[0].speaker not in without]
    return (row for turn in itertools.zip_longest(*others) for row in turn if row is not None)


def with_commands(commands: Sequence[NewCommand]) -> str:
    """Return the shipped intents file with an intent and a rule for each new command, as a lab would write it."""
    content = yaml.safe_load(find("config/intents.yaml").read_text(encoding="utf-8"))
    for one in commands:
        content["intents"][one.intent] = {"description": f"Does {one.text}.", "ttl_s": 5.0, "data": {"properties": {}}}
        content["rules"].append({"phrases": [one.text], "intent": one.intent})
    return yaml.safe_dump(content, sort_keys=False, width=120)


# ------------------------------------------------------------------------------------------------------- teaching


def _teach(spec: ModelSpec, commands: Sequence[NewCommand], grammar: Grammar, folder: Path) -> Path:
    from tml_ros.training.lessons import Lessons  # torch is needed here alone
    from tml_ros.training.tuning import rehearsal_corpus, tune

    corpus = rehearsal_corpus(folder / "rehearsal")
    lessons = Lessons([_recording(one) for one in commands], corpus, grammar)
    checkpoint, out = str(spec.values["native.checkpoint"]), folder / "lab.safetensors"
    return tune(checkpoint, lessons, out, say=lambda line: None).adapter


def _recording(command: NewCommand) -> Any:
    """Return the examples one after the other, labelled."""
    from tml_ros.training.lessons import Recording

    parts: list[Sound] = []
    labels, place = [], 0
    for row in command.taught:
        sound = voice_of(row.path)
        start, stop = sound_span(sound)
        times = ((place + start) / SAMPLE_RATE_HZ, (place + stop) / SAMPLE_RATE_HZ)
        labels.append(Label(*times, command.text, command.intent))
        parts += [sound, np.zeros(_GAP, np.float32)]
        place += len(sound) + _GAP
    return Recording(command.text, np.concatenate(parts), tuple(labels))


# -------------------------------------------------------------------------------------------------------- hearing


def _real(command: NewCommand) -> Iterator[tuple[str, str, Sound]]:
    return ((command.text, row.data, voice_of(row.path)) for row in command.others)


def _made(command: NewCommand) -> Iterator[tuple[str, str, Sound]]:
    return ((command.text, voice, spoken(voice, command.text)) for voice in present_voices(HELD_VOICES))


def _hear(
    subject: Subject,
    commands: Sequence[NewCommand],
    said: Sequence[Iterator[tuple[str, str, Sound]]],
    material: Material,
    seed: int,
) -> list[Trial]:
    """Play every command in turn, in the noise of the split."""
    turns = [one for turn in itertools.zip_longest(*said) for one in turn if one is not None]
    stream = placed_stream(turns, material.kind("noise"), _GAP_S, _SNR_DB, seed)
    heard = subject.play(stream)
    intents = {one.text: one.intent for one in commands}
    return [
        judged(Wanted(intents[at.text], {}), heard.within(at.start_s, at.end_s + _WITHIN_S), at.text, at.end_s)
        for at in stream.placed
    ]


def _old(material: Material, bench: Bench, label: str) -> _Old:
    """Return hits and trials of single words and of sentences, at no threshold, and what is false in talk."""
    small = replace(material, limit=min(material.limit or _OLD_LIMIT, _OLD_LIMIT))
    words, sentences = Commands(), Carriers()
    heard = [words.play(small, number, bench, label) for number in range(words.pieces(small))]
    trials = [one for part in heard for one in part.words]
    spoken_ = [one for n in range(sentences.pieces(small)) for one in sentences.play(small, n, bench, label)]
    skills = {
        "commands": (sum(one.is_hit() for one in trials), len(trials)),
        "carriers": (sum(one.is_hit() for one in spoken_), len(spoken_)),
    }
    false = sum(value >= part.own for part in heard for value in part.false)
    return _Old(skills, false, sum(part.talk_s for part in heard))
