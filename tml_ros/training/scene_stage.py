"""How hard scenes are: noise, rooms, length. A curriculum goes from one of these to another. Plain numbers only."""

from dataclasses import dataclass, fields
from typing import Any

__all__ = ["EASY", "FULL", "Stage", "stage_at"]


@dataclass(frozen=True, slots=True)
class Stage:
    """Ranges from which a scene is drawn.

    Attributes:
        snr_db: of the person over the noise; the level of a person is that of the louder half of what he says.
        talk_snr_db: of the person over other people who talk behind him.
        level_db: of the person, relative to -20 dB of full scale.
        seconds: of a scene of words or talk; others take what they need.
        talk: share of scenes with people who talk in the background.
        room: share of sounds that come through a room and a microphone's band.
        resize: share of voices that are made larger or smaller, by at most 14 %.
        clip: share of scenes that are too loud for the converter.
        silent: share of replies that are not heard, because nothing tells what the loudspeaker plays.
        canceller: share of scenes with the robot's voice in which the real echo canceller does its work; it is slow.
        held: whether voices, and split is that of real speakers, are the ones kept aside for measuring.
    """

    snr_db: tuple[float, float] = (5.0, 25.0)
    talk_snr_db: tuple[float, float] = (5.0, 20.0)
    level_db: tuple[float, float] = (-20.0, 6.0)
    seconds: tuple[float, float] = (4.0, 10.0)
    talk: float = 0.3
    room: float = 0.6
    resize: float = 0.5
    clip: float = 0.05
    silent: float = 0.3
    canceller: float = 0.04
    held: bool = False


EASY = Stage(
    snr_db=(20.0, 45.0), talk_snr_db=(18.0, 25.0), level_db=(-8.0, 4.0), seconds=(2.0, 4.0), talk=0.05, room=0.3,
    clip=0.0, canceller=0.0,
)  # fmt: skip
"""Isolated words in short streams."""
FULL = Stage()


def stage_at(progress: float, first: Stage = EASY, last: Stage = FULL) -> Stage:
    """Return the stage at 0 (the first) to 1 (the last) of a curriculum."""
    share = min(1.0, max(0.0, progress))
    values: dict[str, Any] = {}
    for field in fields(Stage):
        low, high = getattr(first, field.name), getattr(last, field.name)
        values[field.name] = high if isinstance(high, bool) else _between(low, high, share)
    return Stage(**values)


def _between(low: object, high: object, share: float) -> object:
    if isinstance(low, tuple) and isinstance(high, tuple):
        return tuple(_between(a, b, share) for a, b in zip(low, high, strict=True))
    assert isinstance(low, float) and isinstance(high, float)
    return low + share * (high - low)
