"""Item 5: rendered benches and rooms with exact truth; a warning of the right kind must begin within 600 ms.

The time runs from the first picture that shows the event to the end of the micro-turn in which the warning begins. What
is said of nothing that can be seen then is false, but for an answer to somebody who asked for a count. The scenes are
of a seed that nothing is trained on. Real films stand beside them as they are, and so does counting, where somebody
asked for it.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tml_ros.evaluation.skills.bench import Bench
from tml_ros.evaluation.skills.counts import PER_MINUTES, counted, middle
from tml_ros.evaluation.skills.material import Material
from tml_ros.evaluation.skills.streams import Stream
from tml_ros.evaluation.skills.subject import Subject, Suggested
from tml_ros.evaluation.words import overlap
from tml_ros.records import MICRO_TURN_SAMPLES, StampedImage, TextInput
from tml_ros.sights import (
    CUES,
    PHRASES,
    STILL_S,
    WITHIN_S,
    Film,
    SightEvent,
    SightKind,
    SightScene,
    load_films,
    make_scene,
    to_be_told,
)
from tml_ros.training.sights import COUNT_REQUESTS

__all__ = ["Sights", "judged"]

WANTED, MOST_FALSE = 0.95, 1.0
SEED = 2_026_001
_SCENES, _PIECE = 60, 4
_TURN_S = 0.2
_LIKE = 0.6
_NOISE = 0.0003
_COUNT_OFF = 1
_ASKED_TURN = 1
_ANSWER_S = 2.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of a scene or a film. told: kind and delay of each event, None where it was not told in time.

    false: what was said of nothing, with its time. counted: last number and true number, where somebody asked.
    """

    source: str
    seconds: float
    told: tuple[tuple[str, float | None], ...]
    false: tuple[tuple[float, str], ...]
    counted: tuple[int, int] | None = None


class Sights:
    """Visual cues."""

    name, number, alone = "sights", 5, False

    def pieces(self, material: Material) -> int:
        """Return the number of groups of scenes, and of films."""
        return _groups(material) + len(_films(material))

    def play(self, material: Material, number: int, bench: Bench, label: str) -> list[Seen]:
        """Let a model see some scenes, or one film."""
        subject = bench.take("as it is", label, Subject)
        if number >= _groups(material):
            return [_watch(subject, _films(material)[number - _groups(material)], "film")]
        first, last = number * _PIECE, min((number + 1) * _PIECE, _scenes(material))
        return [_watch(subject, make_scene(SEED, index), "rendered") for index in range(first, last)]

    def figures(self, parts: Sequence[list[Seen]]) -> dict[str, Any]:
        """Return the figures of a model."""
        every = [one for part in parts for one in part]
        rendered = [one for one in every if one.source == "rendered"]
        counts = [one.counted for one in rendered if one.counted is not None]
        right = sum(abs(said - true) <= _COUNT_OFF for said, true in counts)
        return {
            **_count(rendered, tuple(map(str, CUES))),
            "by_kind": {str(kind): _told(rendered, (str(kind),)) for kind in PHRASES},
            "counting": counted(right, len(counts)),
            "films": {one.source: _count([one], tuple(PHRASES)) for one in every if one.source != "rendered"},
        }

    def is_met(self, figures: Mapping[str, Any]) -> bool:
        """Whether the figures of a model are as good as wanted."""
        false = figures["false_per_10_min"]
        return (figures["figure"] or 0.0) >= WANTED and false is not None and false <= MOST_FALSE


def _count(seen: Sequence[Seen], kinds: Sequence[str]) -> dict[str, Any]:
    minutes = sum(one.seconds for one in seen) / 60.0
    false = sum(len(one.false) for one in seen)
    late = [late_s for one in seen for kind, late_s in one.told if kind in kinds]
    return {
        **_told(seen, kinds),
        "late_s": middle(late),
        "false": false,
        "minutes": round(minutes, 2),
        "false_per_10_min": round(false / minutes * PER_MINUTES, 2) if minutes else None,
    }


def _told(seen: Sequence[Seen], kinds: Sequence[str]) -> dict[str, Any]:
    late = [late_s for one in seen for kind, late_s in one.told if kind in kinds]
    return counted(sum(one is not None for one in late), len(late))


# ------------------------------------------------------------------------------------------------------- watching


def _scenes(material: Material) -> int:
    return _SCENES if material.limit is None else min(_SCENES, 4 * material.limit)


def _groups(material: Material) -> int:
    return -(-_scenes(material) // _PIECE)


@functools.lru_cache(maxsize=4)
def _films(material: Material) -> tuple[Film, ...]:
    return load_films(material.video) if (material.video / "labels.json").is_file() else ()


def _watch(subject: Subject, shown: SightScene | Film, source: str) -> Seen:
    events = shown.truth()
    truth = to_be_told(events)
    reps = [event for event in events if event.kind is SightKind.REPETITION]
    turns = int(shown.duration_s / _TURN_S + 1e-6)
    noise = np.random.default_rng(turns).normal(0.0, _NOISE, turns * MICRO_TURN_SAMPLES).astype(np.float32)
    texts = {_ASKED_TURN: [TextInput(0, COUNT_REQUESTS[0].format(reps[0].what))]} if reps else {}
    suggested = subject.play(Stream(noise), _images(shown), texts)
    told, false = judged(truth, suggested, answered_s=_ASKED_TURN * _TURN_S + _ANSWER_S if reps else 0.0)
    last = suggested.counts
    is_film = isinstance(shown, Film)
    return Seen(
        shown.theme if is_film else source,
        shown.duration_s,
        told,
        false,
        (last[-1] if last else 0, len(reps)) if reps else None,
    )


def _images(shown: SightScene | Film) -> dict[int, list[StampedImage]]:
    """Return the newest picture of each micro-turn."""
    found: dict[int, list[StampedImage]] = {}
    for time_s, rgb in _pictures(shown):
        height, width = rgb.shape[:2]
        image = StampedImage(round(time_s * 1e9), "rgb8", rgb.tobytes(), width, height, 3 * width)
        found[int(time_s / _TURN_S + 1e-6)] = [image]
    return found


def _pictures(shown: SightScene | Film) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    if isinstance(shown, Film):
        yield from shown.frames(10.0, (320, 240))
        return
    for turn in range(int(shown.duration_s / _TURN_S + 1e-6)):
        time_s = round(turn * _TURN_S + 0.1, 6)
        yield time_s, shown.picture(time_s)


def judged(
    truth: Sequence[SightEvent], suggested: Suggested, answered_s: float = 0.0
) -> tuple[tuple[tuple[str, float | None], ...], tuple[tuple[float, str], ...]]:
    """Return for each event whether it was told in time, and what was said of nothing.

    Args:
        truth: what can be seen.
        suggested: what the model said and raised.
        answered_s: until then what is no warning answers somebody who asked.
    """
    said = [(at_s, text, _kind(text)) for at_s, text in suggested.warnings()]
    told: list[tuple[str, float | None]] = []
    for event in truth:
        late = [at_s - event.begin_s for at_s, _, kind in said if kind is event.kind]
        in_time = [value for value in late if 0.0 <= value <= WITHIN_S + 1e-9]
        told.append((str(event.kind), round(min(in_time), 3) if in_time else None))
    false = [
        (round(at_s, 2), text)
        for at_s, text, kind in said
        if not any(e.kind is kind and e.begin_s <= at_s <= e.end_s + STILL_S for e in truth)
        and not (kind is None and at_s <= answered_s)
    ]
    return tuple(told), tuple(false)


def _kind(text: str) -> SightKind | None:
    """Return the kind that a warning is of: the one whose phrase it is most like."""
    likeness = {kind: min(overlap(phrase, text), overlap(text, phrase)) for kind, phrase in PHRASES.items()}
    best = max(likeness, key=lambda kind: likeness[kind])
    return best if likeness[best] >= _LIKE else None
