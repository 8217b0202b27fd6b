"""A stage: all that a scene is made of, before anything is drawn. It knows no pictures and makes no choices."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tml_ros.sights.acts import Act
from tml_ros.sights.camera import Camera
from tml_ros.sights.canvas import Canvas, Point
from tml_ros.sights.tracks import Repetitions

__all__ = ["Stage"]


def _nothing(canvas: Canvas) -> None:
    """Paint nothing."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What there is in a scene.

    theme: what it is about. paint: what never moves, behind everything. behind: acts before that, back to front.
    cover: what never moves and stands before those, such as a bench. acts: before all of it, back to front. zone:
    corners in the design, before the view. is_lab: whether eyewear has to be worn. view: [3, 3] from what is drawn
    to what the camera shows. repetitions: with the actor who does them.
    """

    theme: str
    duration_s: float
    paint: Callable[[Canvas], None]
    view: NDArray[np.float64]
    camera: Camera
    behind: tuple[Act, ...] = ()
    cover: Callable[[Canvas], None] = _nothing
    acts: tuple[Act, ...] = ()
    zone: tuple[Point, ...] = ()
    is_lab: bool = False
    repetitions: tuple[tuple[Repetitions, int], ...] = field(default=())

    @property
    def has_cover(self) -> bool:
        """Whether anything stands before the acts behind."""
        return self.cover is not _nothing
