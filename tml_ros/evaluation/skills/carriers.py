"""Item 2: whole sentences with slots, in voices that nothing was trained on: intent and every slot right, or not.

The sentences are drawn, with other values for every voice; what each means says the grammar of the intents file, and of
reminders that come again, which it does not know, the sentence itself.
"""

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tml_ros.duplex.native.markup import as_timer
from tml_ros.evaluation.clips import spoken
from tml_ros.evaluation.skills.bench import Bench
from tml_ros.evaluation.skills.counts import Trial, counted, grouped, middle
from tml_ros.evaluation.skills.material import HELD_VOICES, Material, present_voices
from tml_ros.evaluation.skills.meaning import Wanted, judged
from tml_ros.evaluation.skills.streams import placed_stream
from tml_ros.evaluation.skills.subject import Subject
from tml_ros.intents import Grammar, IntentsFile, load_intents
from tml_ros.intents.numbers import number_to_words
from tml_ros.records import TimerDraft

__all__ = ["Carriers", "Sentence", "sentences"]

WITHIN_S = 2.0
WANTED = 0.9
_SNR_DB = 30.0
_GAP_S = (3.5, 4.2)
_ROUNDS = 2
_FRAMES = (
    "move forward {number} meters",
    "go {direction} {number} meters",
    "turn {side} {number} degrees",
    "go to the {place}",
    "take me to the {place}",
    "bring me the {color} {object}",
    "give me a {object}",
    "pick up the {color} {object}",
    "grab the {object}",
    "put the {object} on the {support}",
    "start {activity}",
    "set a timer for {number} minutes",
    "remind me in {number} seconds",
    "remind me to {task} every {number} {unit}",
)
_TASKS = ("check the temperature", "close the window", "look at the sample", "open the valve")
_UNITS_S = {"minutes": 60, "seconds": 1}
_NUMBERS = (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 25, 30, 40, 45, 50, 60, 90)


@dataclass(frozen=True, slots=True)
class Sentence:
    """Something to be said, and what it means."""

    text: str
    wanted: Wanted


class Carriers:
    """Sentences with slots; one stream for every voice."""

    name, number, alone = "carriers", 2, False

    def pieces(self, material: Material) -> int:
        """Return the number of voices."""
        return len(present_voices(HELD_VOICES))

    def play(self, material: Material, number: int, bench: Bench, label: str) -> list[Trial]:
        """Let a model hear the sentences of one voice."""
        subject = bench.take("as it is", label, Subject)
        voice = present_voices(HELD_VOICES)[number]
        said = list(itertools.islice(sentences(number), material.limit))
        sounds = [(one.text, voice, spoken(voice, one.text)) for one in said]
        stream = placed_stream(sounds, (), _GAP_S, _SNR_DB, 100 + number)
        heard = subject.play(stream)
        pairs = zip(said, stream.placed, strict=True)
        return [judged(one.wanted, heard.within(at.start_s, at.end_s + WITHIN_S), voice, at.end_s) for one, at in pairs]

    def figures(self, parts: Sequence[list[Trial]]) -> dict[str, Any]:
        """Return the figures of a model."""
        trials = [one for part in parts for one in part]
        figures = counted(sum(one.is_hit() for one in trials), len(trials))
        return {**figures, "by_voice": grouped(trials), "late_s": middle(one.late_s for one in trials)}

    def is_met(self, figures: Mapping[str, Any]) -> bool:
        """Whether the figures of a model are as good as wanted."""
        return (figures["figure"] or 0.0) >= WANTED


def sentences(seed: int) -> Iterator[Sentence]:
    """Yield every frame, twice over, with drawn values."""
    rng, file = np.random.default_rng([seed, 3]), load_intents()
    for number in range(_ROUNDS * len(_FRAMES)):
        frame = _FRAMES[number % len(_FRAMES)]
        values = {name: str(rng.choice(words)) for name, words in _words(file).items()}
        yield Sentence(frame.format(**values), _meaning(frame, values))


def _meaning(frame: str, values: Mapping[str, str]) -> Wanted:
    """Return what a sentence means."""
    if "{task}" in frame:
        times_s = float(_value_of(values["number"]) * _UNITS_S[values["unit"]])
        return Wanted(timer=TimerDraft(values["task"], times_s, times_s))
    meaning = _grammar().parse(frame.format(**values))
    assert meaning is not None, frame  # a test reads every frame
    timer = meaning.timer if meaning.time is None else as_timer(meaning.time)
    return Wanted(timer=timer) if timer else Wanted(meaning.intent, meaning.data)


def _words(file: IntentsFile) -> dict[str, list[str]]:
    """Return the words from which each part of a frame is drawn: of a slot one form of each of its values."""
    slots = ("direction", "side", "place", "object", "color", "support", "activity")
    found = {name: [str(forms[0]) for forms in file.slots[name]["values"].values()] for name in slots}
    found |= {"number": [number_to_words(number) for number in _NUMBERS]}
    return found | {"task": list(_TASKS), "unit": list(_UNITS_S)}


def _value_of(words: str) -> int:
    return next(number for number in _NUMBERS if number_to_words(number) == words)


@functools.lru_cache(maxsize=1)
def _grammar() -> Grammar:
    return Grammar(load_intents())
