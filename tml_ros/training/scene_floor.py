"""Scenes about who has the floor: bids and back-channels over the speaking robot, and the robot's own back-channel.

Each skill takes a Cast and returns a Conversation. Over the robot, a bid takes the floor in the micro-turn in which its
200th millisecond lies, the second at the latest; a hum, a cough, a knock or a "yeah" does not.
"""

import itertools

import numpy as np
from numpy.typing import NDArray

from tml_ros.records import MICRO_TURN_SAMPLES, SAMPLE_RATE_HZ, Floor, SpeechText, TextSource
from tml_ros.training.acoustics import amplitude
from tml_ros.training.conversation import Conversation
from tml_ros.training.corpus import Part
from tml_ros.training.meanings import BACKCHANNEL
from tml_ros.training.overlap_texts import ROBOT_LINES
from tml_ros.training.scene_cast import Cast
from tml_ros.training.scene_timeline import Timeline, turn_of

__all__ = ["backchannel", "backchannel_out", "barge_in"]

_BID_AFTER = 200 * SAMPLE_RATE_HZ // 1000
_LEAST_TALK = 4 * SAMPLE_RATE_HZ
"""So long somebody has talked before the robot shows that it listens."""
_CLAUSE_GAP = 200 * SAMPLE_RATE_HZ // 1000
_BETWEEN = 6 * SAMPLE_RATE_HZ
_MOST_TALK = 14 * SAMPLE_RATE_HZ


def barge_in(cast: Cast) -> Conversation:
    """The robot speaks, somebody interrupts it, it falls silent at once; what was said has its effect."""
    line = Timeline("barge_in")
    robot, begin = _robot(cast), cast.seconds(0, 0.6)
    _report(cast, line, begin)
    onset = begin + cast.seconds(0.5, max(0.8, len(robot) / SAMPLE_RATE_HZ - 0.6))
    if cast.chance(0.35):  # harmless sounds first
        _murmur(cast, line, begin + cast.seconds(0.3, 0.8))
        onset = max(onset, begin + cast.seconds(2.2, 3.0))
    bid = _bid(cast)
    said = cast.say(line, bid, onset)
    stop = turn_of(onset + _BID_AFTER)
    # The player falls silent after the micro-turn in which the floor is given up, sometimes one later.
    silent = (stop + 1) * MICRO_TURN_SAMPLES + cast.seconds(0.0, 0.12) + MICRO_TURN_SAMPLES * cast.chance(0.15)
    last = line.play(robot[: silent - begin], begin)
    line.floor(turn_of(begin), stop - 1, Floor.SPEAK)
    line.floor(stop, max(stop, last), Floor.YIELD)
    cast.answer(line, cast.meaning(bid), max(said.over, stop, last + 1))
    return cast.finish(line)


def backchannel(cast: Cast) -> Conversation:
    """The robot speaks, somebody hums, coughs, says "yeah", drops something: it speaks on."""
    line = Timeline("backchannel")
    robot, begin = _robot(cast), cast.seconds(0, 0.6)
    _report(cast, line, begin)
    last = line.play(robot, begin)
    at = begin + cast.seconds(0.4, 1.2)
    while at < begin + len(robot) - SAMPLE_RATE_HZ:
        at = _murmur(cast, line, at) + cast.seconds(0.8, 2.5)
    line.floor(turn_of(begin), last, Floor.SPEAK)
    return cast.finish(line)


def backchannel_out(cast: Cast) -> Conversation:
    """Somebody talks for long: in a pause between clauses the robot shows that it listens, and says nothing else."""
    line, at = Timeline("backchannel_out"), cast.seconds(0.2, 0.8)
    begin, latest, spoken = at, -_BETWEEN, list[tuple[int, int]]()
    while at - begin < _MOST_TALK:
        part = cast.pick(cast.parts("talk"))
        at, spoken = _clause(cast, line, part, at, spoken)
        at += cast.seconds(0.1, 0.9)
    for (_, end), (after, _) in itertools.pairwise(spoken):
        if after - end >= _CLAUSE_GAP and end - begin >= _LEAST_TALK and end - latest >= _BETWEEN:
            turn = turn_of(end + _CLAUSE_GAP)
            line.put(turn, SpeechText(BACKCHANNEL))
            cast.speak(line, BACKCHANNEL, turn, Floor.BACKCHANNEL)
            latest = end
    line.turn(begin, spoken[-1][1] + SAMPLE_RATE_HZ // 2)
    return cast.finish(line, tail=6)


def _report(cast: Cast, line: Timeline, begin: int) -> None:
    """Let what the robot says, in every other scene, be what a task has found: that text came in before."""
    if cast.chance(0.5):
        words = " ".join(str(cast.rng.choice(ROBOT_LINES)) for _ in range(int(cast.rng.integers(1, 6))))
        line.text(max(0, turn_of(begin) - int(cast.chance(0.5))), TextSource.BACKGROUND, words)


def _robot(cast: Cast) -> NDArray[np.float32]:
    """Return four to eight seconds of the robot's voice, at some level."""
    one, after = (cast.corpus.sound(cast.pick(cast.parts("robot"))) for _ in range(2))
    first = int(cast.rng.integers(len(one) // 2)) if cast.chance(0.5) else 0
    sound = np.concatenate([one[first:], np.zeros(cast.seconds(0.1, 0.4), np.float32), after])
    return np.asarray(sound[: cast.seconds(4, 8)] * amplitude(float(cast.rng.uniform(-8, 6))), np.float32)


def _bid(cast: Cast) -> Part:
    """Return a command, talk or a sentence."""
    form = cast.rng.random()
    if form < 0.4:
        part = cast.word(str(cast.rng.choice(("stop", "no", "go", "left", "right", "help", "up", "down", "close"))))
        if part is not None:
            return part
    return cast.pick(cast.parts("talk" if form > 0.8 else "sentence"))


def _murmur(cast: Cast, line: Timeline, at: int) -> int:
    """Let somebody make a sound that asks for nothing. Returns its end."""
    kind = str(cast.rng.choice(("hum", "hum", "hum", "cough", "knock")))
    part = cast.pick(cast.parts(kind))
    sound, factor = cast.dressed(cast.corpus.sound(part))
    line.sound(sound, at)
    end = at + round(part.length * factor)
    # Whether a hum counts as speech is a matter of taste; a "yeah" does.
    for whose in ("user",) if part.text else ("unclear",):
        line.speech(whose, at, end)
    return end


def _clause(
    cast: Cast, line: Timeline, part: Part, at: int, spoken: list[tuple[int, int]]
) -> tuple[int, list[tuple[int, int]]]:
    """Let somebody go on talking, and return the end and all that was spoken."""
    sound, factor = cast.dressed(cast.corpus.sound(part))
    line.sound(sound, at)
    found = [(at + round(begin * factor), at + round(end * factor)) for begin, end in part.speech]
    for begin, end in found:
        line.speech("user", begin, end)
    for word, end in zip(part.text.split(), part.word_ends, strict=not part.real):
        line.heard(word, at + round(end * factor))
    return at + round(part.length * factor), [*spoken, *found]
