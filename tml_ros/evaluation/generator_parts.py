"""What the generators of scenarios share: voices, places in time, the robot that talks at length, names."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

__all__ = ["MONOLOGUE", "VOICES", "Parts", "may", "monologue", "say", "scenario"]

T = TypeVar("T")
VOICES = ("flite:slt", "flite:awb", "flite:rms", "flite:kal", "espeak:en-us", "espeak:en-gb")
MONOLOGUE = (
    "The robot that you are talking to lives in a laboratory. It can bring you glassware and it can lead you to every "
    "station. In the morning it cleans the benches and checks that all the bottles are closed. After that it waits "
    "for somebody who needs help with an experiment. In the evening it goes back to its place near the door, where it "
    "charges the battery and thinks about the day."
)
"""About twenty seconds of speech, without a number in it."""

_GOLDEN = 0.6180339887498949
_TURN_S = 0.2
_ASK = "tell me about yourself in detail"


@dataclass(slots=True)
class Parts:
    """What a generator draws from. voices: in turn. data: folder of recordings, or None. count: how many are wanted."""

    kind: str
    rng: np.random.Generator
    voices: Sequence[str]
    data: Path | None = None
    count: int | None = None
    _number: int = field(default=0)

    def pairs(self, parts: Sequence[T], least: int = 0) -> Iterator[tuple[str, T]]:
        """Yield (voice, part): every part in another voice, round after round, in a drawn order.

        At least ``least`` of them where no count is asked for.
        """
        wanted = self.count or max(least, len(parts))
        number = 0
        while number < wanted:
            for place in self.rng.permutation(len(parts)):
                yield self.voices[number % len(self.voices)], parts[place]
                number += 1

    def place_s(self, lead_s: float = 0.8) -> float:
        """Return a time at which somebody begins: another place of the grid of micro-turns every time."""
        self._number += 1
        return round(lead_s + self._number * _GOLDEN % 1.0 * _TURN_S, 3)

    def between(self, low: float, high: float) -> float:
        """Draw a number."""
        return round(float(self.rng.uniform(low, high)), 3)


def scenario(
    parts: Parts,
    words: str,
    duration_s: float,
    inputs: Sequence[Mapping[str, Any]],
    expect: Sequence[Mapping[str, Any]],
    **more: Any,
) -> dict[str, Any]:
    """Return a scenario as it would stand in a file; its seed and name follow from what was drawn so far."""
    parts.rng.random()
    tags = {"part": words} | more.pop("tags", {})
    number = int(parts.rng.integers(1, 1 << 20))
    return {
        "name": f"{parts.kind}_{_slug(words)}_{number:05x}",
        "seed": number,
        "duration_s": duration_s,
        "tags": tags,
        "input": [dict(one) for one in inputs],
        "expect": [dict(one) for one in expect],
        **more,
    }


def say(name: str, text: str, voice: str, at_s: float | None = None, **more: Any) -> dict[str, Any]:
    """Return a line that somebody says, at a time or (``send_after``) after an event."""
    when = {} if at_s is None else {"at_s": at_s}
    return {"name": name, "say": text, "voice": voice, **when, **more}


def may(*intents: str) -> list[dict[str, Any]]:
    """Return that these intents may be proposed or not, so that they do not count as false ones."""
    return [
        {"name": f"may propose {one}", "intent": {"name": f"__intent_{one}__"}, "times": [0, 99]} for one in intents
    ]


def monologue(at_s: float = 0.2) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the input that makes a robot talk for about twenty seconds, and the key ``background`` that lets it."""
    asked = {"name": "asked", "text": _ASK, "at_s": at_s}
    return asked, {"background": [{"match": "yourself", "updates": [{"result": {"report": MONOLOGUE}}]}]}


def _slug(words: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")[:40]
