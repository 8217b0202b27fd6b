"""Item 4: the robot talks at length; somebody cuts in, and it must fall silent; or only shows that he listens.

The robot tells what the background model found, as it would after a task: the task is put into the mouth of whatever
model is measured, and the rest goes its own way. A bid is heeded when the robot is silent within two micro-turns after
the one in which it began (0.7 s, the reaction of the player counted). A listener's sound is let pass when the robot is
not silenced within 1.5 s of it.
"""

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tml_ros.duplex.protocol import DuplexModel, DuplexStream, SessionInfo
from tml_ros.evaluation.expectations import Anchor, Expectation, read_expectation
from tml_ros.evaluation.fdb import STOP_WITHIN_S
from tml_ros.evaluation.generator_parts import MONOLOGUE
from tml_ros.evaluation.runner import Runner
from tml_ros.evaluation.scenario import Input, Recording, Say, Scenario, Trigger
from tml_ros.evaluation.skills.bench import Bench
from tml_ros.evaluation.skills.counts import counted, middle
from tml_ros.evaluation.skills.material import HELD_VOICES, Material, Row
from tml_ros.records import DelegationDraft, MicroTurn, MicroTurnOutput

__all__ = ["BargeIn"]

WANTED_STOPS, WANTED_GOES_ON = 0.95, 0.90
_BIDS = (
    "stop",
    "wait a minute",
    "stop talking please",
    "excuse me i have a question",
    "hold on robot",
    "no that is wrong",
    "turn left",
    "what is your name",
)
_LISTENING = ("uh-huh", "yeah", "okay", "i see", "sure", "mm-hmm", "oh okay", "all right")
_WORDS = ("stop", "go", "left", "right", "no", "down")
_RECORDED_BIDS, _RECORDED_LISTENERS = 24, 12
_LONGEST_LISTENER_S = 0.75
_ALONE_S = 0.3
_DURATION_S = 9.0
_DELAY_S = (1.5, 3.0)
_ASKED_AT = 3  # micro-turn
_TASK = "tell me about yourself"
_PIECE = 8


@dataclass(frozen=True, slots=True)
class Sound:
    """A sound over the robot's voice. is_bid: it asks for the floor."""

    name: str
    source: Say | Recording
    is_bid: bool
    group: str


@dataclass(frozen=True, slots=True)
class Reaction:
    """What the robot did about it. has_spoken: it was speaking by then. stop_s: after how long it was silent."""

    sound: Sound
    has_spoken: bool
    is_right: bool
    stop_s: float | None


class BargeIn:
    """Bids and listeners' sounds over the robot's voice."""

    name, number, alone = "barge_in", 4, False

    def pieces(self, material: Material) -> int:
        """Return the number of groups of sounds."""
        return -(-len(_sounds(material)) // _PIECE)

    def play(self, material: Material, number: int, bench: Bench, label: str) -> list[Reaction]:
        """Make some sounds over the voice of a model."""
        runner = bench.take("barge in", label, lambda spec: Runner(spec, wrap=Asked))
        first = number * _PIECE
        some = enumerate(_sounds(material)[first : first + _PIECE], first)
        return [_react(runner, sound, place) for place, sound in some]

    def figures(self, parts: Sequence[list[Reaction]]) -> dict[str, Any]:
        """Return the figures of a model."""
        every = [one for part in parts for one in part]
        bids, others = ([one for one in every if one.sound.is_bid is is_bid] for is_bid in (True, False))
        stops = [one.stop_s for one in bids if one.stop_s is not None]
        return {
            **_count(bids),
            "stop_median_s": middle(stops),
            "stop_p95_s": round(float(np.quantile(stops, 0.95)), 3) if stops else None,
            "by_group": _groups(bids),
            "back_channels": {**_count(others), "by_group": _groups(others)},
        }

    def is_met(self, figures: Mapping[str, Any]) -> bool:
        """Whether the figures of a model are as good as wanted."""
        goes_on = figures["back_channels"]["figure"] or 0.0
        return (figures["figure"] or 0.0) >= WANTED_STOPS and goes_on >= WANTED_GOES_ON


class Asked:
    """A model that has been asked to tell something long, and hands that on."""

    def __init__(self, model: DuplexModel) -> None:
        self.name = model.name
        self._model = model

    def open(self, info: SessionInfo) -> DuplexStream:
        """Begin a session in which it hands the task on."""
        return _AskedStream(self._model.open(info))

    def close(self) -> None:
        """Do nothing: the model belongs to somebody else."""


class _AskedStream:
    def __init__(self, stream: DuplexStream) -> None:
        self._stream = stream

    def step(self, turn: MicroTurn) -> MicroTurnOutput:
        output = self._stream.step(turn)
        if turn.index != _ASKED_AT:
            return output
        return replace(output, delegations=(*output.delegations, DelegationDraft(_TASK)))

    def counters(self) -> dict[str, int]:
        return self._stream.counters()

    def close(self) -> None:
        self._stream.close()


def _react(runner: Runner, sound: Sound, number: int) -> Reaction:
    result = runner.run(_scenario(sound, number)).result
    checks = {check.name: check for check in result.checks}
    stopped = checks.get("silent")
    late = [one.value for one in result.observations if one.measure == "stop_latency_s"]
    has_spoken = stopped is not None and not stopped.detail.endswith("never came")
    is_right = has_spoken and checks["right"].passed
    return Reaction(sound, has_spoken, is_right, round(late[0], 3) if late else None)


def _scenario(sound: Sound, number: int) -> Scenario:
    rng = np.random.default_rng([number, 5])
    trigger = Trigger("robot_speaks", round(float(rng.uniform(*_DELAY_S)), 3))
    return Scenario(
        name=f"{sound.group} {number}",
        suite="skills",
        seed=number,
        duration_s=_DURATION_S,
        inputs=(Input("sound", sound.source, send_after=trigger),),
        expectations=_expected(sound),
        background=({"match": "yourself", "updates": [{"result": {"report": MONOLOGUE}}]},),
    )


def _expected(sound: Sound) -> tuple[Expectation, ...]:
    anchor = Anchor("sound.start")
    within = {"within_ms": round(STOP_WITHIN_S * 1e3)} if sound.is_bid else {"within_ms": 1500, "absent": True}
    return (
        read_expectation({"name": "right", "stops": True, **within}, anchor, 0),
        read_expectation({"name": "silent", "stops": True, "within_ms": 3000, "latency": "stop_latency_s"}, anchor, 1),
    )


# ---------------------------------------------------------------------------------------------------------- sounds


@functools.lru_cache(maxsize=4)
def _sounds(material: Material) -> list[Sound]:
    voices = [voice for voice in HELD_VOICES if not voice.startswith("festival")]
    kinds = (
        _said(_BIDS, voices, is_bid=True),
        _said(_LISTENING, voices, is_bid=False),
        itertools.islice(_recorded_bids(material), _RECORDED_BIDS),
        itertools.islice(_recorded_listeners(material), _RECORDED_LISTENERS),
    )
    return [sound for kind in kinds for sound in itertools.islice(kind, material.limit)]


def _said(texts: Sequence[str], voices: Sequence[str], *, is_bid: bool) -> Iterator[Sound]:
    """Yield every text in some of the voices."""
    for number, text in enumerate(itertools.chain.from_iterable(itertools.repeat(texts, 4))):
        voice = voices[(number + number // len(texts)) % len(voices)]
        yield Sound(text, Say(text, voice), is_bid, "synthesised")


def _recorded_bids(material: Material) -> Iterator[Sound]:
    """Yield real people who cut in with a word, each of them once; the words take turns."""
    rows: dict[str, list[Row]] = {word: [] for word in _WORDS}
    speakers: set[str] = set()
    for row in material.rows(material.speech):
        if row.text in rows and row.speaker not in speakers:
            speakers.add(row.speaker)
            rows[row.text].append(row)
    for some in itertools.zip_longest(*rows.values()):
        yield from (Sound(row.text, Recording(row.path), True, "recorded") for row in some if row is not None)


def _recorded_listeners(material: Material) -> Iterator[Sound]:
    """Yield short turns of meetings, nobody else talking near them: most are back-channels."""
    for row in material.kind("conversation"):
        for start_s, length_s, gap_s in _turns(row.path):
            if 0.2 <= length_s <= _LONGEST_LISTENER_S and gap_s >= _ALONE_S:
                source = Recording(row.path, max(0.0, start_s - 0.05), length_s + 0.1)
                yield Sound(f"{row.path.stem} {start_s:g}", source, False, "meeting")


def _turns(path: Path) -> Iterator[tuple[float, float, float]]:
    """Yield start and length of each turn of a meeting, and how far the nearest other one is (negative: they overlap).

    Source: RTTM, NIST Rich Transcription 2009, appendix A; one ``*.rttm`` for several recordings lies beside the set.
    """
    lines = [line.split() for rttm in sorted(path.parent.parent.glob("*.rttm")) for line in _lines(rttm)]
    found = [(float(one[3]), float(one[4])) for one in lines if len(one) > 4 and one[1] == path.stem]
    for start, length in found:
        others = [one for one in found if one != (start, length)]
        gaps = (max(begin - start - length, start - begin - size) for begin, size in others)
        yield start, length, min(gaps, default=float("inf"))


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


# --------------------------------------------------------------------------------------------------------- figures


def _count(reactions: Sequence[Reaction]) -> dict[str, Any]:
    """Count what was right; a robot that was not speaking had it wrong."""
    silent = sum(not one.has_spoken for one in reactions)
    return {**counted(sum(one.is_right for one in reactions), len(reactions)), "was_not_speaking": silent}


def _groups(reactions: Sequence[Reaction]) -> dict[str, Any]:
    names = sorted({one.sound.group for one in reactions})
    return {name: _count([one for one in reactions if one.sound.group == name]) for name in names}
