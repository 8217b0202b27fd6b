"""Compose training scenes from a corpus: the same for the same corpus, weights, stage, seed and index.

    corpus = Corpus.load(folder)
    scene = compose(corpus, WEIGHTS, seed=0, index=7, stage=FULL)
    for stream in streams(corpus, WEIGHTS, seed=0, turns=100): ...

Composition needs numpy only and is cheap enough to be done on the fly, in as many processes as one likes: give each
indices of its own. It knows the skills' names, not what happens in them, and no tensors.
"""

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from tml_ros.errors import ConfigError, nearest_name
from tml_ros.records import MICRO_TURN_SAMPLES
from tml_ros.training import scene_floor, scene_requests, scene_words
from tml_ros.training.conversation import Conversation
from tml_ros.training.corpus import Corpus
from tml_ros.training.meanings import Meanings
from tml_ros.training.scene_cast import Cast
from tml_ros.training.scene_stage import EASY, FULL, Stage, stage_at

__all__ = ["EASY", "FULL", "SKILLS", "WEIGHTS", "Stage", "Stream", "compose", "joined", "stage_at", "stream", "streams"]

SKILLS: Mapping[str, Callable[[Cast], Conversation]] = {
    "word": scene_words.word,
    "none": scene_words.none,
    "sentence": scene_requests.sentence,
    "reply": scene_requests.reply,
    "pause": scene_requests.pause,
    "delegate": scene_requests.delegate,
    "timer": scene_requests.timer,
    "typed": scene_requests.typed,
    "barge_in": scene_floor.barge_in,
    "backchannel": scene_floor.backchannel,
    "backchannel_out": scene_floor.backchannel_out,
}
WEIGHTS: Mapping[str, float] = {
    "word": 4.0, "sentence": 4.0, "none": 2.0, "reply": 1.0, "pause": 1.5, "barge_in": 1.2, "backchannel": 1.0,
    "backchannel_out": 0.4, "delegate": 0.7, "timer": 0.7, "typed": 0.5,
}  # fmt: skip
"""How often each skill comes, relative to the others."""
_HEARS_ITSELF = frozenset({"reply", "delegate", "barge_in", "backchannel", "backchannel_out"})
"""Skills in which it is always known what the loudspeaker plays."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Scenes one after the other. skills: name and micro-turns [begin, end) of each."""

    conversation: Conversation
    skills: tuple[tuple[str, int, int], ...]


def compose(corpus: Corpus, weights: Mapping[str, float], seed: int, index: int, stage: Stage = FULL) -> Conversation:
    """Return one scene.

    Args:
        corpus: where parts come from.
        weights: of the skills; one that is not named does not come.
        seed: of a run.
        index: of the scene within it.
        stage: how hard it is, and whether it is made of what is kept aside.

    Raises:
        ConfigError: there is no such skill, or none has a weight.
    """
    names, shares = _shares(tuple(weights.items()))
    rng = np.random.default_rng([seed, index])
    skill = str(rng.choice(names, p=shares))
    if skill in _HEARS_ITSELF:
        stage = replace(stage, silent=0.0)
    return SKILLS[skill](Cast(corpus, _meanings(), stage, rng))


def joined(scenes: list[Conversation], turns: int | None = None) -> Conversation:
    """Return scenes one after the other, cut after some micro-turns; the skill is that of all, or ``mixed``."""
    begins = np.cumsum([0, *(scene.turns for scene in scenes)])
    total = int(begins[-1]) if turns is None else min(turns, int(begins[-1]))
    has_reference = any(scene.reference is not None for scene in scenes)
    silence = [np.zeros(len(scene.audio), np.float32) for scene in scenes]
    references = [s if scene.reference is None else scene.reference for s, scene in zip(silence, scenes, strict=True)]
    playing = [np.zeros(one.turns, np.bool_) if one.playing is None else one.playing for one in scenes]
    keyed = list(zip(begins[:-1].tolist(), scenes, strict=True))
    return Conversation(
        skill=scenes[0].skill if len({scene.skill for scene in scenes}) == 1 else "mixed",
        audio=np.concatenate([scene.audio for scene in scenes])[: total * MICRO_TURN_SAMPLES],
        targets=tuple(target for scene in scenes for target in scene.targets)[:total],
        reference=np.concatenate(references)[: total * MICRO_TURN_SAMPLES] if has_reference else None,
        playing=np.concatenate(playing)[:total],
        frames={begin + t: f for begin, one in keyed for t, f in one.frames.items() if begin + t < total},
        texts={begin + t: lines for begin, one in keyed for t, lines in one.texts.items() if begin + t < total},
    )


def streams(
    corpus: Corpus,
    weights: Mapping[str, float],
    seed: int,
    turns: int,
    *,
    stage: Callable[[int], Stage] = lambda index: FULL,
    first: int = 0,
    step: int = 1,
) -> Iterator[Stream]:
    """Yield streams of exactly ``turns`` micro-turns, for ever.

    Args:
        corpus: where parts come from.
        weights: of the skills.
        seed: of the run.
        turns: T.
        stage: how hard the stream of an index is.
        first: index of the first stream; a trainer that resumes gives the one it has come to.
        step: to the next index, the number of workers; each begins at another ``first``.
    """
    index = first
    while True:
        yield stream(corpus, weights, seed, turns, index, stage(index))
        index += step


def stream(
    corpus: Corpus, weights: Mapping[str, float], seed: int, turns: int, index: int, stage: Stage = FULL
) -> Stream:
    """Return the stream of an index: scenes until there are ``turns`` micro-turns, the last one cut."""
    scenes: list[Conversation] = []
    skills: list[tuple[str, int, int]] = []
    begin = 0
    while begin < turns:
        one = compose(corpus, weights, seed, (index << 10) + len(scenes), stage)
        skills.append((one.skill, begin, min(turns, begin + one.turns)))
        scenes.append(one)
        begin += one.turns
    return Stream(joined(scenes, turns), tuple(skills))


@functools.lru_cache(maxsize=64)
def _shares(weights: tuple[tuple[str, float], ...]) -> tuple[list[str], list[float]]:
    for name, _ in weights:
        if name not in SKILLS:
            raise ConfigError(f"no skill {name!r}{nearest_name(name, SKILLS)}; there are {', '.join(SKILLS)}")
    total = sum(weight for _, weight in weights)
    if total <= 0:
        raise ConfigError(f"weights of skills must have a positive sum, got {dict(weights)}; give one of them a weight")
    return [name for name, _ in weights], [weight / total for _, weight in weights]


@functools.lru_cache(maxsize=1)
def _meanings() -> Meanings:
    return Meanings()
