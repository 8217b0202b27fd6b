"""Training scenes of what is seen: rendered pictures, and what the model shall say about them, or not.

A short warning begins within two micro-turns of the first frame that shows the event; repetitions are counted when
somebody asked for it; look-alikes are left without a word. It knows no drawing and no tensors.
"""

import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.random import PCG64, Generator
from numpy.typing import NDArray

from tml_ros.duplex.native.markup import Record
from tml_ros.records import MICRO_TURN_SAMPLES, CountDraft, Floor, SpeechKind, SpeechText, TextSource
from tml_ros.sights import PHRASES, SightEvent, SightKind, SightScene, make_scene
from tml_ros.training.conversation import Conversation, Target

__all__ = ["COUNT_REQUESTS", "due_turn", "sight_conversation", "sight_conversations", "skill_of"]

TURN_S = 0.2
COUNT_REQUESTS = ("count my {}", "count the {}", "please count {}", "how many {} do i do")
DELAY_TURNS: Mapping[SightKind, int] = {SightKind.SLOUCHING: 2, SightKind.FROZEN: 2, SightKind.REPETITION: 0}
"""Micro-turns from that of the first frame that shows it to that in which it is said, where it is not 1."""
SAME_S = 2.0
"""What is seen again so soon after it was said is not said again."""
LETTERS_PER_S = 14.0
"""Pace of speech: the floor is held for as long as the words take."""
ASKED_SHARE = 0.85
DROPPED_SHARE = 0.02


def sight_conversations(
    seed: int, start: int = 0, theme: str | None = None, duration_s: float = 20.0
) -> Iterator[Conversation]:
    """Yield training scenes without end, those of ``make_scene(seed, start)`` and after, each made when asked for."""
    while True:
        yield sight_conversation(make_scene(seed, start, theme, duration_s), int(seed * 1_000_003 + start))
        start += 1


def sight_conversation(
    scene: SightScene,
    seed: int,
    sound: Callable[[int], NDArray[np.float32]] | None = None,
    size: tuple[int, int] = (320, 240),
) -> Conversation:
    """Return a scene as training sees it: the newest picture of each micro-turn, few of them lost.

    Args:
        scene: what is seen; truth is taken at 10 frames per second.
        seed: of the frames' phase, of losses, and of whether somebody asks to count.
        sound: gives n samples at 16 kHz of what is heard; None is faint noise.
        size: width and height of the pictures.
    """
    rng = Generator(PCG64([seed, 91]))
    turns = int(scene.duration_s / TURN_S + 1e-6)
    taken = _taken(rng, turns)
    frames = {turn: scene.picture(time_s, size) for turn, time_s in taken.items()}
    truth = [event for event in scene.truth() if event.kind is not SightKind.OBJECT_AWAY]
    asked = rng.random() < ASKED_SHARE
    wanted = [event for event in truth if asked or event.kind is not SightKind.REPETITION]
    texts = _request(rng, wanted)
    heard = sound(turns * MICRO_TURN_SAMPLES) if sound else _faint(rng, turns * MICRO_TURN_SAMPLES)
    return Conversation(skill_of(wanted), heard, _targets(wanted, taken, turns), frames=frames, texts=texts)


def skill_of(truth: list[SightEvent]) -> str:
    """Return ``sight_<kind>`` of the first event that is more than somebody who enters, ``sight_nothing`` of none."""
    kinds = [event.kind for event in truth]
    special = [kind for kind in kinds if kind is not SightKind.PERSON_ENTERS]
    return f"sight_{(special or kinds or ['nothing'])[0]}"


def due_turn(event: SightEvent, taken: Mapping[int, float]) -> int | None:
    """Return the micro-turn in which an event is to be told, None when no frame shows it.

    Args:
        event: what happens.
        taken: micro-turn to the time of its newest frame, seconds.
    """
    since_s = event.end_s if event.kind is SightKind.REPETITION else event.begin_s
    shown = [turn for turn, time_s in taken.items() if time_s >= since_s - 1e-9]
    return min(shown) + DELAY_TURNS.get(event.kind, 1) if shown else None


def _taken(rng: Generator, turns: int) -> dict[int, float]:
    """Return the time of the newest frame of each micro-turn, on the grid of 10 frames per second."""
    newest = int(rng.integers(0, 2))  # the frame at 0.1 s of the micro-turn, or that at 0.0 s when that one is late
    kept = rng.random(turns) >= DROPPED_SHARE
    return {turn: round(turn * TURN_S + 0.1 * newest, 6) for turn in range(turns) if kept[turn] or turn == 0}


def _targets(truth: list[SightEvent], taken: Mapping[int, float], turns: int) -> tuple[Target, ...]:
    records: dict[int, list[Record]] = {}
    speaking: set[int] = set()
    said: dict[SightKind, int] = {}
    for event in truth:
        turn = due_turn(event, taken)
        if turn is None or turn >= turns:
            continue
        if event.kind is SightKind.REPETITION:
            records.setdefault(turn, []).append(CountDraft(event.what, event.number))
            continue
        if event.kind in said and (turn - said[event.kind]) * TURN_S < SAME_S:
            continue
        said[event.kind] = turn
        words = PHRASES[event.kind]
        records.setdefault(turn, []).append(SpeechText(words, SpeechKind.REPLY))
        speaking |= set(range(turn, turn + math.ceil(len(words) / LETTERS_PER_S / TURN_S)))
    return tuple(
        Target(
            Floor.SPEAK if turn in speaking else Floor.LISTEN,
            tuple(records.get(turn, ())),
            user_speaking=0.0,
            speech_present=0.0,
        )
        for turn in range(turns)
    )


def _request(rng: Generator, truth: list[SightEvent]) -> dict[int, tuple[tuple[TextSource, str], ...]]:
    """Let somebody ask to count what is repeated, at the start."""
    what = [event.what for event in truth if event.kind is SightKind.REPETITION]
    if not what:
        return {}
    words = COUNT_REQUESTS[int(rng.integers(len(COUNT_REQUESTS)))].format(what[0])
    return {0: ((TextSource.USER, words),)}


def _faint(rng: Generator, samples: int) -> NDArray[np.float32]:
    level = 10.0 ** (float(rng.uniform(-85.0, -50.0)) / 20.0)
    noise: NDArray[np.float32] = rng.standard_normal(samples, np.float32) * np.float32(level)
    return noise
