"""What happens in rooms: people come in, cross a marked zone or pass it, walk up, exercise."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from numpy.random import PCG64, Generator

from tml_ros.sights.acts import Act, Drill, Walker
from tml_ros.sights.canvas import Canvas, Point
from tml_ros.sights.figures import random_look
from tml_ros.sights.places import paint_pillar, paint_room, paint_zone
from tml_ros.sights.poses import arm_raise, push_up, squat
from tml_ros.sights.stage import Stage
from tml_ros.sights.theme_parts import look_alikes, random_stage, repeat
from tml_ros.sights.tracks import Track

__all__ = ["Floor", "approaches", "exercise", "random_room", "room_painter", "walks"]


@dataclass(frozen=True, slots=True)
class Floor:
    """A room's floor. horizon: where it meets the wall. tallness: height of people at the lower border."""

    horizon: float
    tallness: float

    def size(self, y: float) -> float:
        """Return the height of a person whose feet are at y."""
        eye = self.horizon - 140.0
        return self.tallness * (y - eye) / (480.0 - eye)

    def zone(self, rng: Generator) -> tuple[Point, ...]:
        far, near = self.horizon + rng.uniform(45, 90), self.horizon + rng.uniform(150, 230)
        x, half = float(rng.uniform(200, 440)), float(rng.uniform(70, 140))
        slope = float(rng.uniform(-40, 40))
        return ((x - half, far), (x + half, far), (x + 1.4 * half + slope, near), (x - 1.4 * half + slope, near))


def random_room(rng: Generator) -> Floor:
    return Floor(float(rng.uniform(150, 230)), float(rng.uniform(350, 490)))


def walks(rng: Generator, duration_s: float) -> Stage:
    """People who come in, cross a zone or pass it."""
    floor = random_room(rng)
    zone = floor.zone(rng)
    has_zone = rng.random() < 0.8
    walkers = [
        _walker(rng, floor, zone, actor, duration_s, goes_in=has_zone and bool(rng.random() < 0.6))
        for actor in range(1, int(rng.integers(2, 4)))
    ]
    painter = room_painter(rng, floor, zone if has_zone else ())
    foot, seed = floor.horizon + float(rng.uniform(60, 170)), int(rng.integers(1 << 31))
    has_pillar = rng.random() < 0.3
    behind = [walker for walker in walkers if has_pillar and walker.y.at(0.0) < foot]
    acts = (*look_alikes(rng, duration_s, floor.horizon), *(walker for walker in walkers if walker not in behind))

    def pillar(canvas: Canvas) -> None:
        paint_pillar(canvas, Generator(PCG64(seed)), foot)

    return random_stage(
        "walks",
        rng,
        duration_s,
        painter,
        acts,
        behind=tuple(behind),
        cover=pillar if has_pillar else None,
        zone=zone if has_zone else (),
    )


def _walker(
    rng: Generator, floor: Floor, zone: tuple[Point, ...], actor: int, duration_s: float, *, goes_in: bool
) -> Walker:
    """Make a person who comes in from a side, stands somewhere, and may leave again."""
    far, near = zone[0][1], zone[2][1]
    middle = sum(x for x, _ in zone) / 4
    if goes_in:
        stop = (middle + float(rng.uniform(-30, 30)), far + (near - far) * float(rng.uniform(0.35, 0.8)))
    else:
        side = float(rng.choice([-1, 1]))
        stop = (middle + side * float(rng.uniform(230, 330)), float(rng.uniform(floor.horizon + 20, 440)))
    come = float(rng.choice([-1, 1])) if goes_in else math.copysign(1.0, stop[0] - middle)
    beyond = 320.0 + come * 620.0
    speed = float(rng.uniform(110, 230)) * floor.size(stop[1]) / 300
    begin_s = float(rng.uniform(1.0, 0.35 * duration_s)) + 3.0 * (actor - 1)
    if rng.random() < 0.15:
        begin_s = -20.0
    arrive_s = begin_s + abs(beyond - stop[0]) / speed
    leave_s = arrive_s + float(rng.uniform(1.5, 0.35 * duration_s))
    leaves = rng.random() < 0.7
    out_s = leave_s + abs(beyond - stop[0]) / speed
    keys = [(begin_s, beyond), (arrive_s, stop[0]), *([(leave_s, stop[0]), (out_s, beyond)] if leaves else [])]
    if not goes_in and rng.random() < 0.35:  # past the zone, behind it
        stop = (stop[0], float(rng.uniform(floor.horizon + 12, max(floor.horizon + 14, far - 25))))
        keys = [(begin_s, beyond), (begin_s + 1240.0 / (0.8 * speed), 640.0 - beyond)]
    y = Track.of((0.0, stop[1]))
    looks = ((0.0, random_look(rng, coat=bool(rng.random() < 0.2))),)
    return Walker(actor, Track.of(*keys), y, floor.size, looks, str(rng.choice(["front", "front", "back"])))


def approaches(rng: Generator, duration_s: float) -> Stage:
    """A person who comes out of a doorway towards the camera, or past it away from it."""
    floor = random_room(rng)
    x, begin_s = float(rng.uniform(180, 460)), float(rng.uniform(2.0, 0.3 * duration_s))
    near = 470.0 + float(rng.uniform(-40, 120))
    far = floor.horizon + float(rng.uniform(15, 40))
    time_s = float(rng.uniform(3.0, 6.0))
    look = ((0.0, random_look(rng)),)
    side = float(rng.choice([-1, 1]))
    if rng.random() < 0.5:
        entry_s, beyond = 1.6, 320 + side * (420 + 0.5 * floor.size(near))
        across = Track.of((begin_s, beyond), (begin_s + entry_s, x), (begin_s + entry_s + 2 * time_s, x - 30 * side))
        y = Track.of((begin_s + entry_s, near), (begin_s + entry_s + time_s, far))
    else:
        entry_s = 3.0
        across = Track.of((begin_s, 320 + side * 580), (begin_s + entry_s, x))
        y = Track.of((begin_s + entry_s, far), (begin_s + entry_s + time_s, near))
    acts: list[Act] = [*look_alikes(rng, duration_s, floor.horizon), Walker(1, across, y, floor.size, look)]
    return random_stage("approaches", rng, duration_s, room_painter(rng, floor, ()), tuple(acts))


def exercise(rng: Generator, duration_s: float) -> Stage:
    """Push-ups, arm raises or squats."""
    floor = random_room(rng)
    kind = str(rng.choice(["push ups", "arm raises", "squats"]))
    period_s = float(rng.uniform(1.3, 3.2))
    repetitions = repeat(rng, kind, duration_s, period_s)
    look, y = random_look(rng), float(rng.uniform(floor.horizon + 110, 440))
    size, x = floor.size(y), float(rng.uniform(230, 410))
    width, mirror = float(rng.uniform(0.9, 1.1)), bool(rng.random() < 0.5)
    if kind == "push ups":
        act: Act = Drill(1, (x, y), 1.1 * size, look, repetitions, push_up, "side", mirror)
    else:
        pose = arm_raise if kind == "arm raises" else squat
        facing = str(rng.choice(["front", "back"]))
        act = Drill(1, (x, y), 0.92 * size, look, repetitions, lambda depth: pose(depth, width), facing, mirror)
    acts = (*look_alikes(rng, duration_s, floor.horizon, few=True), act)
    return random_stage(
        "exercise", rng, duration_s, room_painter(rng, floor, ()), acts, repetitions=((repetitions, 1),), faults=0.0
    )


def room_painter(rng: Generator, floor: Floor, zone: tuple[Point, ...]) -> Callable[[Canvas], None]:
    seed = int(rng.integers(1 << 31))

    def paint(canvas: Canvas) -> None:
        own = Generator(PCG64(seed))
        paint_room(canvas, own, floor.horizon)
        if zone:
            paint_zone(canvas, own, zone)

    return paint
