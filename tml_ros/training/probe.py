"""How much a model has learned, found out as a robot would: by streaming, its own outputs going back in.

Every intent and every heard transcript that a scene asks for is a trial; one that comes in time is a hit, one that
nobody asked for is false. Rows are streamed together. It knows no files but a tokenizer and changes no weights.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tml_ros.duplex.native.inputs import ABSENT, StreamInputs
from tml_ros.duplex.native.markup import MarkupParser, Record
from tml_ros.duplex.native.shape import NativeShape
from tml_ros.duplex.native.stepping import StepOptions, Stepper
from tml_ros.duplex.native.tokens import FLOOR_MARKERS, Marker
from tml_ros.duplex.native.transformer import InteractionTransformer
from tml_ros.duplex.native.vocabulary import Vocabulary, normalise
from tml_ros.records import MICRO_TURN_NS, MICRO_TURN_SAMPLES, IntentDraft, MicroTurn, TranscriptEvent
from tml_ros.training.conversation import Conversation
from tml_ros.training.encoding import Encoder
from tml_ros.training.learner import Learner
from tml_ros.training.settings import TrainSettings
from tml_ros.training.source import open_source

__all__ = ["Findings", "Score", "probe", "probe_settings"]

_EARLY_TURNS, _LATE_TURNS = 2, 6
"""So much earlier or later than asked for, in micro-turns, a structure still counts."""
_PROBE_SEED = 1 << 20  # scenes that training does not draw
_SILENCE = np.zeros(MICRO_TURN_SAMPLES, np.float32)


@dataclass(slots=True)
class Score:
    """hits of trials; false: what nobody asked for."""

    hits: int = 0
    trials: int = 0
    false: int = 0


@dataclass(slots=True)
class Findings:
    """Scores by skill and kind (``intent``, ``heard``), with the seconds that were heard of each skill."""

    scores: dict[tuple[str, str], Score] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def score(self, skill: str, kind: str) -> Score:
        """Return a score to add to."""
        return self.scores.setdefault((skill, kind), Score())

    def listen(self, scene: Conversation) -> None:
        """Count the seconds of a scene."""
        seconds = scene.turns * MICRO_TURN_NS / 1e9
        self.seconds[scene.skill] = self.seconds.get(scene.skill, 0.0) + seconds

    def line(self) -> str:
        """Return everything in one line."""
        parts = (
            f"{skill} {kind} {score.hits}/{score.trials} (+{score.false})"
            for (skill, kind), score in sorted(self.scores.items())
        )
        return f"by streaming, hits of trials (+false): {', '.join(parts)}"

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        found: dict[str, Any] = {skill: {"seconds": round(seconds, 1)} for skill, seconds in self.seconds.items()}
        for (skill, kind), score in self.scores.items():
            found[skill][kind] = {"hits": score.hits, "trials": score.trials, "false": score.false}
        return found


def probe(
    model: InteractionTransformer, scenes: Sequence[Conversation], vocabulary: Vocabulary, rows: int = 32
) -> Findings:
    """Stream scenes, so many side by side, and compare what comes with what was asked for."""
    findings, training = Findings(), model.training
    model.eval()
    try:
        ordered = sorted(scenes, key=lambda scene: scene.turns)
        for begin in range(0, len(ordered), rows):
            group = ordered[begin : begin + rows]
            for scene, found in zip(group, _streamed(model, group, vocabulary), strict=True):
                findings.listen(scene)
                _compare(findings, scene, found)
    finally:
        model.train(training)
    return findings


def probe_settings(learner: Learner, settings: TrainSettings, shape: NativeShape, tokenizer: Path) -> Findings:
    """Probe the weights as they would be saved now, with fresh scenes of the stage that is being practised.

    A source with a method ``probe``, with the arguments of ``batch``, gives scenes of people that it does not train on.
    """
    stage, source = settings.stage(learner.step), open_source(settings.source)
    make = getattr(source, "probe", source.batch)
    scenes = [row[0] for row in make(stage, settings.seed + _PROBE_SEED, 0, settings.probe_rows, stage.turns)]
    model = InteractionTransformer(shape)
    model.load_state_dict(learner.weights())
    return probe(model.to(learner.model.embedding.weight.device), scenes, Vocabulary.load(tokenizer))


# ------------------------------------------------------------------------------------------------------- streaming

_Found = list[tuple[int, Record]]


def _streamed(model: InteractionTransformer, scenes: Sequence[Conversation], vocabulary: Vocabulary) -> list[_Found]:
    """Return what came of each scene, with the micro-turn in which it was complete."""
    stepper = Stepper(model, StepOptions(deterministic=False))
    state = model.new_state(list(range(len(scenes))))
    parsers = [MarkupParser(vocabulary) for _ in scenes]
    found: list[_Found] = [[] for _ in scenes]
    for turn, inputs in enumerate(_inputs(model.shape, scenes, vocabulary)):
        result = stepper.step(inputs.to(model.embedding.weight.device), state)
        for row, (floor, text) in enumerate(zip(result.floor.tolist(), result.text.tolist(), strict=True)):
            ids = [token for token in text if token != ABSENT]
            where = MicroTurn(turn, turn * MICRO_TURN_NS, (turn + 1) * MICRO_TURN_NS, _SILENCE, 1.0)
            parsed = parsers[row].push(ids, FLOOR_MARKERS[Marker(floor)], where)
            found[row] += [(turn, one) for one in parsed.intents]
            found[row] += [(turn, one) for one in parsed.transcripts]
    return found


def _inputs(shape: NativeShape, scenes: Sequence[Conversation], vocabulary: Vocabulary) -> Iterator[StreamInputs]:
    """Yield the micro-turns of scenes side by side, as a session would take them in."""
    turns = max(scene.turns for scene in scenes)
    batch = Encoder(shape, vocabulary).batch([[scene] for scene in scenes], turns).inputs
    present = batch.frame_present
    frames = batch.frames
    if frames is not None and present is not None:
        frames = frames.new_zeros(*present.shape, *frames.shape[1:]).masked_scatter(
            present[..., None, None, None], frames
        )
    whole = replace(
        batch,
        audio=_sound(scenes, turns, "audio"),
        levels=None,
        frames=frames,
        reference=None if batch.reference_levels is None else _sound(scenes, turns, "reference"),
        reference_levels=None,
    )
    for turn in range(turns):
        yield whole.turn(turn)


def _sound(scenes: Sequence[Conversation], turns: int, name: str) -> torch.Tensor:
    made = torch.zeros(len(scenes), turns, MICRO_TURN_SAMPLES)
    for row, scene in enumerate(scenes):
        sound = getattr(scene, name)
        if sound is not None:
            made[row, : scene.turns] = torch.from_numpy(sound).view(-1, MICRO_TURN_SAMPLES)
    return made


# ------------------------------------------------------------------------------------------------------- comparing


def _compare(findings: Findings, scene: Conversation, found: _Found) -> None:
    asked = [(turn, _key(record)) for turn, target in enumerate(scene.targets) for record in target.records]
    came = [(turn, _key(record)) for turn, record in found if turn < scene.turns]
    for kind in ("intent", "heard"):
        score = findings.score(scene.skill, kind)
        waiting = [(turn, key) for turn, key in asked if key is not None and key[0] == kind]
        score.trials += len(waiting)
        for turn, key in came:
            if key is None or key[0] != kind:
                continue
            match = next((one for one in waiting if one[1] == key and _is_in_time(one[0], turn)), None)
            if match is None:
                score.false += 1
            else:
                waiting.remove(match)
                score.hits += 1


def _is_in_time(asked: int, came: int) -> bool:
    return asked - _EARLY_TURNS <= came <= asked + _LATE_TURNS


def _key(record: Record) -> tuple[str, Any] | None:
    """Return what two records have to share to be the same."""
    if isinstance(record, IntentDraft):
        return "intent", (record.intent, _plain(record.data))
    if isinstance(record, TranscriptEvent):
        return ("heard", normalise(record.text)) if record.final else None
    return None


def _plain(data: Mapping[str, Any]) -> Any:
    return {name: _plain(value) if isinstance(value, Mapping) else str(value) for name, value in data.items()}
