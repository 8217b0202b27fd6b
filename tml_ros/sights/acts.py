"""What moves in a scene: people, hands with what they carry, hazards, and things that look like them but are none.

An act draws itself at any time, in any order, so pictures and truth come from the same code. It knows nothing of the
scene around it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tml_ros.sights.canvas import Canvas, Color, Point
from tml_ros.sights.figures import Look, draw_arm, draw_figure
from tml_ros.sights.labels import Role, label
from tml_ros.sights.poses import Pose, front, sit, walk
from tml_ros.sights.props import draw_flame, draw_smoke, draw_spill, draw_vessel
from tml_ros.sights.tracks import Repetitions, Track

__all__ = [
    "Act",
    "Drill",
    "Fan",
    "Flame",
    "Glint",
    "Hand",
    "Screen",
    "Shadow",
    "Sitter",
    "Smoke",
    "Spill",
    "Vessel",
    "Walker",
]

OUTSIDE = 150.0
STRIDE = 7.5
"""Phase of the gait, radians, per height of the figure."""


class Act(Protocol):
    """Something that moves. actor: its number in the labels."""

    @property
    def actor(self) -> int: ...

    def is_active(self, time_s: float) -> bool:
        """Return whether it has to be drawn."""

    def draw(self, canvas: Canvas, time_s: float) -> None:
        """Draw it as it is at a time."""


@dataclass(frozen=True, slots=True)
class Walker:
    """A person who walks, and stands where the tracks rest. x, y: the feet. size: height at a y of the feet.

    looks: (from when on, look), in order of time. faces: where a standing person looks.
    """

    actor: int
    x: Track
    y: Track
    size: Callable[[float], float]
    looks: tuple[tuple[float, Look], ...]
    faces: str = "front"
    gesture: Track | None = None  # a hand goes to the face

    def is_active(self, time_s: float) -> bool:
        size = self.size(self.y.at(time_s))
        return -OUTSIDE - 0.3 * size < self.x.at(time_s) < 640 + OUTSIDE + 0.3 * size

    def draw(self, canvas: Canvas, time_s: float) -> None:
        x, y = self.x.at(time_s), self.y.at(time_s)
        dx, dy = self.x.at(time_s + 0.1) - self.x.at(time_s - 0.1), self.y.at(time_s + 0.1) - self.y.at(time_s - 0.1)
        size = self.size(y)
        look = [one for since_s, one in self.looks if since_s <= time_s or since_s == self.looks[0][0]][-1]
        pose, facing = self._pose(time_s, x, y, dx, dy, size)
        draw_figure(canvas, pose, look, (x, y), size, facing=facing, mirror=dx < 0, actor=self.actor)

    def _pose(self, time_s: float, x: float, y: float, dx: float, dy: float, size: float) -> tuple[Pose, str]:
        step = STRIDE * (x + 2.5 * y) / size
        if abs(dx) > 0.006 * size and abs(dx) > abs(dy):
            return walk(step), "side"
        if abs(dy) > 0.003 * size:
            return front(2.0 * step), "front" if dy > 0 else "back"
        pose = front(0.0, 0.006 * math.sin(1.3 * time_s + self.actor))
        raised = self.gesture.at(time_s) if self.gesture is not None else 0.0
        if raised > 0.0:
            for side, sign in (("left", -1.0), ("right", 1.0)):
                shoulder = pose[f"{side}_shoulder"]
                pose[f"{side}_elbow"] = (shoulder[0] + 0.05 * sign, shoulder[1] + 0.15 - 0.03 * raised)
                low = pose[f"{side}_wrist"]
                pose[f"{side}_wrist"] = _mid(low, (0.088 * sign, pose["head"][1] + 0.05), raised)
        return pose, self.faces


@dataclass(frozen=True, slots=True)
class Drill:
    """A person at exercise. pose: of a depth from 0 to 1."""

    actor: int
    at: Point
    size: float
    look: Look
    repetitions: Repetitions
    pose: Callable[[float], Pose]
    facing: str
    mirror: bool

    def is_active(self, time_s: float) -> bool:
        return True

    def draw(self, canvas: Canvas, time_s: float) -> None:
        pose = self.pose(self.repetitions.depth(time_s))
        draw_figure(
            canvas, pose, self.look, self.at, self.size, facing=self.facing, mirror=self.mirror, actor=self.actor
        )


@dataclass(frozen=True, slots=True)
class Sitter:
    """A person at a desk with a screen. lean: degrees of the back from upright."""

    actor: int
    at: Point
    size: float
    look: Look
    lean: Track
    mirror: bool
    desk: Color
    chair: Color

    def is_active(self, time_s: float) -> bool:
        return True

    def lean_at(self, time_s: float) -> float:
        """Return how far the back leans, degrees."""
        return self.lean.at(time_s) + 1.5 * math.sin(0.9 * time_s + self.actor)

    def draw(self, canvas: Canvas, time_s: float) -> None:
        typing = 0.15 * math.sin(7.0 * time_s) * math.sin(0.8 * time_s)
        canvas.mark(0)
        self._line(canvas, [(-0.1, -0.26), (-0.1, 0.0)], self.chair, 0.04)
        self._line(canvas, [(-0.13, -0.55), (-0.12, -0.27), (0.1, -0.26)], self.chair, 0.055)
        pose = sit(self.lean_at(time_s), typing)
        draw_figure(canvas, pose, self.look, self.at, self.size, facing="side", mirror=self.mirror, actor=self.actor)
        canvas.mark(0)
        self._line(canvas, [(0.2, -0.40), (0.95, -0.40)], self.desk, 0.035)
        self._line(canvas, [(0.9, -0.39), (0.9, 0.0)], self.desk, 0.04)
        self._line(canvas, [(0.62, -0.41), (0.62, -0.5)], (60, 60, 60), 0.03)
        self._line(canvas, [(0.58, -0.50), (0.62, -0.74)], (44, 42, 40), 0.035)
        self._line(canvas, [(0.34, -0.43), (0.46, -0.43)], (90, 90, 90), 0.014)

    def _line(self, canvas: Canvas, points: list[Point], color: Color, width: float) -> None:
        sign = -1.0 if self.mirror else 1.0
        moved = [(self.at[0] + sign * x * self.size, self.at[1] + y * self.size) for x, y in points]
        canvas.line(moved, color, width * self.size)


@dataclass(frozen=True, slots=True)
class Vessel:
    """A vessel that is moved about. lift: how far above where it stands it is, design units. actor 0: never moved."""

    kind: str
    x: Track
    y: Track
    size: float
    color: Color
    lift: Track
    actor: int = 0

    def is_active(self, time_s: float) -> bool:
        return True

    def away(self, time_s: float) -> float:
        """Return how far it is from where it was first, in heights of itself."""
        dx, dy = self.x.at(time_s) - self.x.values[0], self.y.at(time_s) - self.y.values[0]
        return math.hypot(dx, dy - self.lift.at(time_s)) / self.size

    def draw(self, canvas: Canvas, time_s: float) -> None:
        lift = self.lift.at(time_s)
        canvas.mark(label(Role.VESSEL, self.actor) if self.actor else 0)
        foot = (self.x.at(time_s), self.y.at(time_s) - lift)
        draw_vessel(canvas, self.kind, foot, self.size, self.color, max(0.0, 1.0 - lift / 40.0))


@dataclass(frozen=True, slots=True)
class Hand:
    """A hand that reaches in from outside. x, y: of the wrist. root: where its arm comes from."""

    actor: int
    root: Point
    x: Track
    y: Track
    size: float
    look: Look
    grip: Track

    def is_active(self, time_s: float) -> bool:
        away = math.dist((self.x.at(time_s), self.y.at(time_s)), self.root)
        return away > 0.3 * self.size

    def draw(self, canvas: Canvas, time_s: float) -> None:
        tremor = 0.02 * self.size * math.sin(2 * math.pi * 3.1 * time_s)
        wrist = (self.x.at(time_s), self.y.at(time_s) + tremor)
        draw_arm(canvas, self.look, self.root, wrist, size=self.size, grip=self.grip.at(time_s), actor=self.actor)


@dataclass(frozen=True, slots=True)
class Flame:
    """A flame. share: how much of its size it has. mood: which flame it is, 0 to 1."""

    actor: int
    foot: Point
    size: float
    share: Track
    mood: float

    def is_active(self, time_s: float) -> bool:
        return self.share.at(time_s) > 0.0

    def draw(self, canvas: Canvas, time_s: float) -> None:
        canvas.mark(label(Role.FLAME, self.actor))
        draw_flame(canvas, self.foot, self.size, time_s, self.share.at(time_s), self.mood)


@dataclass(frozen=True, slots=True)
class Smoke:
    """Smoke. share: how thick it is."""

    actor: int
    foot: Point
    size: float
    share: Track
    color: Color
    drift: float

    def is_active(self, time_s: float) -> bool:
        return self.share.at(time_s) > 0.0

    def draw(self, canvas: Canvas, time_s: float) -> None:
        canvas.mark(label(Role.SMOKE, self.actor))
        draw_smoke(canvas, self.foot, self.size, time_s, self.share.at(time_s), self.color, self.drift)


@dataclass(frozen=True, slots=True)
class Spill:
    """A puddle that spreads from one moment to another: its area grows evenly at first, then ever more slowly."""

    actor: int
    center: Point
    outline: list[Point]
    size: float
    color: Color
    begin_s: float
    end_s: float

    def is_active(self, time_s: float) -> bool:
        return time_s > self.begin_s

    def draw(self, canvas: Canvas, time_s: float) -> None:
        share = min(1.0, (time_s - self.begin_s) / (self.end_s - self.begin_s))
        area = 1.0 - (1.0 - share) ** 1.6
        canvas.mark(label(Role.SPILL, self.actor))
        draw_spill(canvas, self.outline, self.center, self.size * math.sqrt(area), self.color)


# ------------------------------------------------------------------------------- what looks like something, and is not


@dataclass(frozen=True, slots=True)
class Screen:
    """A screen whose picture changes, warm colours among them. corner: upper left."""

    corner: Point
    width: float
    colors: tuple[Color, ...]
    pace_hz: float
    actor: int = 0

    def is_active(self, time_s: float) -> bool:
        return True

    def draw(self, canvas: Canvas, time_s: float) -> None:
        (x, y), width = self.corner, self.width
        height = 0.62 * width
        canvas.mark(0)
        canvas.polygon(_box(x - 4, y - 4, x + width + 4, y + height + 4), (30, 30, 32))
        number = int(time_s * self.pace_hz)
        canvas.polygon(_box(x, y, x + width, y + height), self.colors[number % len(self.colors)])
        for row in range(3):
            color = self.colors[(number + row + 1) % len(self.colors)]
            left, up = x + width * (0.1 + 0.23 * ((number * 3 + row * 5) % 3)), y + height * (0.12 + 0.28 * row)
            canvas.polygon(_box(left, up, left + 0.3 * width, up + 0.18 * height), color)


@dataclass(frozen=True, slots=True)
class Shadow:
    """A soft shadow, or a patch of light, that passes over everything."""

    x: Track
    y: float
    axes: Point
    strength: float
    actor: int = 0

    def is_active(self, time_s: float) -> bool:
        return -self.axes[0] < self.x.at(time_s) < 640 + self.axes[0]

    def draw(self, canvas: Canvas, time_s: float) -> None:
        canvas.glow((self.x.at(time_s), self.y), self.axes, (70, 74, 78), self.strength)


@dataclass(frozen=True, slots=True)
class Glint:
    """A reflection, or the light of a lamp, that comes and goes."""

    at: Point
    axes: Point
    color: Color
    share: Track
    actor: int = 0

    def is_active(self, time_s: float) -> bool:
        return self.share.at(time_s) > 0.0

    def draw(self, canvas: Canvas, time_s: float) -> None:
        share = self.share.at(time_s)
        canvas.glow(self.at, self.axes, self.color, share)
        canvas.glow(self.at, (0.3 * self.axes[0], 0.3 * self.axes[1]), (160, 180, 190), 0.8 * share)


@dataclass(frozen=True, slots=True)
class Fan:
    """A fan that turns, or a stirrer: motion that never matters."""

    at: Point
    size: float
    color: Color
    pace_hz: float
    actor: int = 0

    def is_active(self, time_s: float) -> bool:
        return True

    def draw(self, canvas: Canvas, time_s: float) -> None:
        canvas.mark(0)
        x, y = self.at
        canvas.ellipse(self.at, (self.size, self.size), (64, 62, 60))
        for blade in range(3):
            angle = 2 * math.pi * (self.pace_hz * time_s + blade / 3)
            tip = (x + 0.85 * self.size * math.cos(angle), y + 0.85 * self.size * math.sin(angle))
            canvas.line([self.at, tip], self.color, 0.3 * self.size)
        canvas.ellipse(self.at, (0.2 * self.size, 0.2 * self.size), (40, 40, 40))


def _mid(a: Point, b: Point, share: float) -> Point:
    return (a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]))


def _box(left: float, up: float, right: float, down: float) -> list[Point]:
    return [(left, up), (right, up), (right, down), (left, down)]
