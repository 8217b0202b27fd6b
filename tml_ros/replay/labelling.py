"""Prefill the labels of a bag: where somebody speaks, and what was heard, proposed and said there.

What the bag holds of a robot's outputs is taken; if it holds none, a model hears it now. A person then corrects the
table. Times count from the first micro-turn. It writes no file.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tml_ros.bags import BagReader
from tml_ros.duplex.cascade.vad import FRAME_SAMPLES, SileroVad
from tml_ros.errors import BagError
from tml_ros.intents.grammar import Grammar
from tml_ros.intents.labels import Label, answered
from tml_ros.records import (
    SAMPLE_RATE_HZ,
    DelegationEvent,
    DelegationPhase,
    IntentProposal,
    SpeechPiece,
    TranscriptEvent,
)
from tml_ros.replay.run import ReplayOptions, replay
from tml_ros.session import TurnRecords
from tml_ros.wire import OUTPUT_TYPES, Published, published

__all__ = ["HeardBag", "hear", "prefill"]

_OUTPUTS = ("transcript", "action_intent", "speech", "delegation")
_IS_SPEECH = 0.5
_LONGEST_GAP_S, _SHORTEST_S = 0.35, 0.15
_ANSWERED_WITHIN_S = 3.0


@dataclass(frozen=True, slots=True)
class HeardBag:
    """A bag as a session hears it. audio: [N] float32 at 16 kHz, echo taken out, from start_ns on.

    records: what was published, by the robot that was recorded or by the model that heard it now.
    """

    audio: NDArray[np.float32]
    start_ns: int
    records: tuple[Published, ...] = ()

    def seconds(self, stamp_ns: int) -> float:
        """Return the time of a stamp."""
        return (stamp_ns - self.start_ns) / 1e9


@dataclass(slots=True)
class _Gathered:
    audio: list[NDArray[np.float32]] = field(default_factory=list)
    starts_ns: list[int] = field(default_factory=list)
    records: list[Published] = field(default_factory=list)

    def add(self, done: TurnRecords) -> None:
        self.audio.append(done.turn.audio)
        self.starts_ns.append(done.turn.start_ns)
        self.records += done.records


def hear(bag: Path, values: Mapping[str, Any], topics: Mapping[str, str]) -> HeardBag:
    """Play a bag. values: parameters of the model that hears it where nothing of a robot was recorded.

    Raises:
        BagError: the bag is missing, damaged or holds no sound.
        ConfigError, ModelError, MissingDependencyError: the model cannot be made from the values.
    """
    recorded = _recorded(bag)
    gathered = _Gathered()
    chosen = {"model": "silence"} if recorded else values
    replay(bag, ReplayOptions(values=chosen, topics=topics, background="none"), on_records=gathered.add)
    if not gathered.audio:
        raise BagError(f"{bag} holds no micro-turn of sound; record audio/in")
    return HeardBag(np.concatenate(gathered.audio), gathered.starts_ns[0], recorded or tuple(gathered.records))


def prefill(heard: HeardBag, grammar: Grammar, said: str = "") -> list[Label]:
    """Return a label for each time that somebody speaks, with what was made of it then.

    grammar: gives what should follow from the words. said: the words of every turn, where they are known.
    """
    turns = _turns(heard.audio)
    nexts = [start_s for start_s, _ in turns[1:]] + [float("inf")]
    labels = []
    for (start_s, end_s), next_s in zip(turns, nexts, strict=True):
        words = said or _words(heard, start_s, end_s)
        found = _followed(heard, start_s, min(end_s + _ANSWERED_WITHIN_S, next_s))
        labels.append(answered(Label(start_s, end_s, words, **found), grammar))
    return labels


def _recorded(bag: Path) -> tuple[Published, ...]:
    """Return what a robot published when the bag was recorded."""
    names = {type_name: name for name, type_name in OUTPUT_TYPES.items() if name in _OUTPUTS}
    with BagReader(bag) as reader:
        topics = {topic: names[one.type] for topic, one in reader.info.topics.items() if one.type in names}
        messages = reader.messages(topics) if topics else ()
        found = [published(topics[message.topic], message.message) for message in messages]
    return tuple(one for one in found if one is not None)


def _turns(audio: NDArray[np.float32]) -> list[tuple[float, float]]:
    """Return when somebody speaks, pauses within a turn left in."""
    whole = np.pad(audio, (0, -len(audio) % FRAME_SAMPLES))
    frame_s = FRAME_SAMPLES / SAMPLE_RATE_HZ
    spans: list[list[float]] = []
    for number in np.flatnonzero(np.array(SileroVad().open().push(whole)) >= _IS_SPEECH):
        start_s, end_s = float(number) * frame_s, (float(number) + 1) * frame_s
        if spans and start_s - spans[-1][1] <= _LONGEST_GAP_S:
            spans[-1][1] = end_s
        else:
            spans.append([start_s, end_s])
    return [(start_s, end_s) for start_s, end_s in spans if end_s - start_s >= _SHORTEST_S]


def _words(heard: HeardBag, start_s: float, end_s: float) -> str:
    """Return what was understood of a turn."""
    events = [one for one in heard.records if isinstance(one, TranscriptEvent) and one.final and one.speaker == "user"]
    inside = [
        one
        for one in events
        if heard.seconds(one.start_ns) < end_s and heard.seconds(one.end_ns) > start_s and one.text
    ]
    return " ".join(one.text for one in inside)


def _followed(heard: HeardBag, start_s: float, until_s: float) -> dict[str, Any]:
    """Return what was proposed, said and handed on from a time on."""
    inside = [one for one in heard.records if start_s < heard.seconds(_stamp_ns(one)) <= until_s]
    found: dict[str, Any] = {"reply": _reply(one for one in inside if isinstance(one, SpeechPiece))}
    for one in inside:
        if isinstance(one, IntentProposal) and "intent" not in found and not one.is_withdrawn:
            found |= {"intent": one.intent, "data": json.loads(one.data)}
        if isinstance(one, DelegationEvent) and one.event is DelegationPhase.REQUESTED:
            found["task"] = one.task
    return found


def _reply(pieces: Iterable[SpeechPiece]) -> str:
    said: Sequence[SpeechPiece] = list(pieces)
    return " ".join(one.text for one in said if one.text and one.utterance_id == said[0].utterance_id)


def _stamp_ns(record: Published) -> int:
    return record.end_ns if isinstance(record, TranscriptEvent) else record.stamp_ns
