"""Scenes in which somebody makes a sound over a speaking robot, and what the microphone gives after echo cancellation.

The robot speaks without pause; its voice comes back late, coloured by a room and weaker. Every two seconds or so one
clip sounds, in a room of its own, louder or softer. Noise and the microphone's band are drawn per scene. The result
goes through the same echo canceller as on the robot. It knows no network.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import soxr
from numpy.random import Generator
from numpy.typing import NDArray

from tml_ros.records import SAMPLE_RATE_HZ
from tml_ros.speech.echo import EchoCanceller, EchoConfig
from tml_ros.training.acoustics import banded, in_room
from tml_ros.training.overlap_clips import LONGEST, Clip

__all__ = ["AFTER", "BEFORE", "Example", "examples"]

Sound = NDArray[np.float32]
_MS = SAMPLE_RATE_HZ // 1000
_FRAME = 10 * _MS
BEFORE = 160 * _MS
"""Samples of an example in front of the onset."""
AFTER = 1250 * _MS
_TURN = 200 * _MS
_EVENTS = 24
_OVER_ROBOT = 0.7
"""Share of scenes with echo, which take most of the time."""


@dataclass(frozen=True, slots=True)
class Example:
    """What the classifier hears of one clip.

    Attributes:
        kind: as the clip's, or echo: nobody made a sound.
        voice: as the clip's.
        sound: [BEFORE + AFTER] float32 at 16 kHz; the clip begins at BEFORE.
        bid_ms: from which time after the onset on it asks for the floor; -1: never.
        length_ms: of the clip.
        weight: how often it counts.
    """

    kind: str
    voice: str
    sound: Sound
    bid_ms: int
    length_ms: int
    weight: float


def examples(clips: list[Clip], lines: list[Sound], rng: Generator) -> Iterator[Example]:
    """Yield every clip as often as its weight says, and where the robot speaks a piece of mere echo for every six."""
    repeated = [_resized(clip, rng) for clip in clips for _ in range(round(clip.weight))]
    order = rng.permutation(len(repeated))
    for first in range(0, len(order), _EVENTS):
        yield from _scene([repeated[i] for i in order[first : first + _EVENTS]], lines, rng)


def _resized(clip: Clip, rng: Generator) -> Clip:
    """Make half of the clips to learn from a little faster or slower, which makes the speaker smaller or larger."""
    if clip.held or rng.random() < 0.5:
        return clip
    factor = float(rng.uniform(0.87, 1.15))
    sound = soxr.resample(clip.sound, SAMPLE_RATE_HZ, round(SAMPLE_RATE_HZ * factor)).astype(np.float32)
    return replace(clip, sound=sound[:LONGEST], bid_at=clip.bid_at if clip.bid_at <= 0 else round(clip.bid_at * factor))


def _scene(clips: list[Clip], lines: list[Sound], rng: Generator) -> Iterator[Example]:
    begins, position = [], round(rng.uniform(1.0, 2.5) * SAMPLE_RATE_HZ)
    echoes: list[int] = []
    for number, clip in enumerate(clips):
        begins.append(position)
        position += max(len(clip.sound), 600 * _MS) + round(rng.uniform(0.7, 1.0) * SAMPLE_RATE_HZ)
        if number % 6 == 5:
            echoes.append(position)
            position += round(1.55 * SAMPLE_RATE_HZ)
    size = (position + AFTER) // _TURN * _TURN
    person = _persons(clips, begins, size, rng)
    is_over_robot = rng.random() < _OVER_ROBOT
    heard = _over_robot(person, lines, rng) if is_over_robot else _noisy(person, rng)
    for clip, begin in zip(clips, begins, strict=True):
        length_ms, bid_ms = len(clip.sound) // _MS, -1 if clip.bid_at < 0 else clip.bid_at // _MS
        yield Example(clip.kind, clip.voice, _cut(heard, begin), bid_ms, length_ms, 1.0)
    for begin in echoes if is_over_robot else ():
        yield Example("echo", "robot", _cut(heard, _loudest(heard, begin)), -1, 1000, 1.0)


def _cut(heard: Sound, begin: int) -> Sound:
    return heard[begin - BEFORE : begin + AFTER].copy()


def _loudest(heard: Sound, begin: int) -> int:
    """Return where echo is likeliest to be taken for a sound: the steepest rise in a quarter of a second."""
    level = np.log(np.mean(heard[begin : begin + 250 * _MS].reshape(-1, _FRAME) ** 2, axis=1) + 1e-9)
    return begin + int(np.argmax(level[4:] - level[:-4])) * _FRAME


def _robot(lines: list[Sound], size: int, rng: Generator) -> Sound:
    own = rng.integers(4) * (len(lines) // 4)
    pieces: list[Sound] = []
    while sum(map(len, pieces)) < size:
        pieces += [
            lines[own + rng.integers(len(lines) // 4)],
            np.zeros(round(rng.uniform(0.1, 0.4) * SAMPLE_RATE_HZ), np.float32),
        ]
    robot = np.concatenate(pieces)[:size]
    return np.asarray(robot * (10 ** (rng.uniform(-24, -12) / 20) / np.sqrt(np.mean(robot**2))), np.float32)


def _persons(clips: list[Clip], begins: list[int], size: int, rng: Generator) -> Sound:
    person = np.zeros(size, np.float32)
    for clip, begin in zip(clips, begins, strict=True):
        gain = np.float32(10 ** (rng.uniform(-9, 7) / 20))
        sound = in_room(banded(clip.sound, rng), rng)[: size - begin] * gain
        person[begin : begin + len(sound)] += sound
    return person


def _over_robot(person: Sound, lines: list[Sound], rng: Generator) -> Sound:
    """Add the robot's echo and take it out again."""
    robot = _robot(lines, len(person), rng)
    echo = in_room(banded(robot, rng), rng)[: len(robot)] * np.float32(10 ** (rng.uniform(-18, -5) / 20))
    delay = round(rng.uniform(10, 250) * _MS)
    heard = person.copy()
    heard[delay:] += echo[: len(heard) - delay]
    canceller = EchoCanceller(EchoConfig(noise_suppression=bool(rng.random() < 0.1)))
    turns = zip(_noisy(heard, rng).reshape(-1, _TURN), robot.reshape(-1, _TURN), strict=True)
    return np.concatenate([canceller.process(turn, played) for turn, played in turns])


def _noisy(heard: Sound, rng: Generator) -> Sound:
    noise = banded(rng.standard_normal(4 * SAMPLE_RATE_HZ).astype(np.float32), rng)
    level = np.float32(10 ** (rng.uniform(-80, -50) / 20))
    return np.asarray(np.clip(heard + np.resize(noise, len(heard)) * level, -1, 1), np.float32)
