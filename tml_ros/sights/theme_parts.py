"""What themes share: a random camera and its faults, light, look-alikes, repetitions. It makes no scene of its own."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tml_ros.sights.acts import Act, Fan, Glint, Screen, Shadow, Vessel
from tml_ros.sights.camera import Camera, Cover, random_camera
from tml_ros.sights.canvas import Canvas, Color, Point
from tml_ros.sights.props import LIQUIDS, VESSELS
from tml_ros.sights.stage import Stage
from tml_ros.sights.tracks import Repetitions, Track, pulse

__all__ = ["REST", "both", "faulty", "fixed", "look_alikes", "pick", "random_color", "random_stage", "repeat"]

WARM: tuple[Color, ...] = ((40, 60, 230), (40, 140, 250), (60, 200, 250), (200, 120, 60), (220, 220, 220), (40, 40, 40))
REST = Track.of((0.0, 0.0))


def random_stage(
    theme: str,
    rng: Generator,
    duration_s: float,
    paint: Callable[[Canvas], None],
    acts: tuple[Act, ...],
    *,
    behind: tuple[Act, ...] = (),
    cover: Callable[[Canvas], None] | None = None,
    zone: tuple[Point, ...] = (),
    is_lab: bool = False,
    repetitions: tuple[tuple[Repetitions, int], ...] = (),
    faults: float = 0.06,
) -> Stage:
    camera = random_camera(rng, _light(rng, duration_s))
    if rng.random() < faults:
        camera = faulty(rng, camera, duration_s)
    stage = Stage(
        theme,
        duration_s,
        paint,
        _view(rng),
        camera,
        behind,
        acts=acts,
        zone=zone,
        is_lab=is_lab,
        repetitions=repetitions,
    )
    return stage if cover is None else replace(stage, cover=cover)


def _light(rng: Generator, duration_s: float) -> Track | None:
    """Return a light that is switched or dimmed, but stays bright enough; None mostly."""
    if rng.random() > 0.25:
        return None
    at_s, ramp_s = float(rng.uniform(2.0, duration_s - 2.0)), float(rng.choice([0.05, rng.uniform(0.3, 3.0)]))
    before, after = float(rng.uniform(0.8, 1.1)), float(rng.uniform(0.42, 0.7))
    if rng.random() < 0.5:
        before, after = after, before
    return Track.of((at_s, before), (at_s + ramp_s, after))


def faulty(rng: Generator, camera: Camera, duration_s: float, *, one_more: bool = False) -> Camera:
    begin_s = float(rng.uniform(2.0, 0.5 * duration_s))
    end_s = begin_s + float(rng.uniform(2.5, 0.4 * duration_s))
    kind = str(rng.choice(["cover", "freeze", "dark"]))
    if kind == "freeze":
        return replace(camera, freezes=((begin_s, end_s if rng.random() < 0.6 else duration_s + 1.0),))
    if kind == "dark":
        low, ramp_s = float(rng.uniform(0.0, 0.07)), float(rng.choice([0.05, rng.uniform(0.5, 2.0)]))
        light = camera.light.at(0.0)
        keys = [(begin_s, light), (begin_s + ramp_s, low)]
        keys += [(end_s + ramp_s, low), (end_s + 2 * ramp_s, light)] if rng.random() < 0.6 else []
        return replace(camera, light=Track.of(*keys))
    color = random_color(rng, ((22, 24, 38), (60, 70, 110), (110, 130, 170), (40, 40, 40), (150, 150, 150)))
    most = float(rng.uniform(0.75, 1.15))
    ramp_s = float(rng.uniform(0.15, 0.7))
    share = Track.of((begin_s, -0.1), (begin_s + ramp_s, most), (end_s, most), (end_s + ramp_s, -0.1))
    return replace(camera, covers=(Cover(pick(rng, ("left", "right", "top", "bottom")), share, color),))


def look_alikes(rng: Generator, duration_s: float, edge: float, *, few: bool = False) -> list[Act]:
    """Make things that must not raise anything."""
    makers = (_screen, _shadow, _glint, _fan, _red_bottle)
    number = int(rng.integers(0, 2 if few else 4))
    return [makers[int(pick)](rng, duration_s, edge) for pick in rng.choice(len(makers), number, replace=False)]


def _screen(rng: Generator, duration_s: float, edge: float) -> Act:
    colors = tuple(random_color(rng, WARM) for _ in range(3))
    corner = (float(rng.uniform(20, 540)), max(10.0, edge - float(rng.uniform(90, 140))))
    return Screen(corner, float(rng.uniform(60, 110)), colors, float(rng.uniform(0.4, 6.0)))


def _shadow(rng: Generator, duration_s: float, edge: float) -> Act:
    at_s, time_s = float(rng.uniform(1.0, duration_s - 4.0)), float(rng.uniform(2.0, 8.0))
    x = Track.of((at_s, -350.0), (at_s + time_s, 990.0))
    axes = (float(rng.uniform(60, 240)), float(rng.uniform(60, 260)))
    return Shadow(x, float(rng.uniform(100, 420)), axes, float(rng.choice([-1.0, -0.7, 0.6])))


def _glint(rng: Generator, duration_s: float, edge: float) -> Act:
    begin_s = float(rng.uniform(1.0, duration_s - 4.0))
    size = float(rng.uniform(20, 110))
    color = random_color(rng, ((40, 130, 200), (150, 170, 180), (60, 60, 190), (200, 180, 140)))
    at = (float(rng.uniform(60, 580)), float(rng.uniform(60, 430)))
    ramp_s = float(rng.choice([0.05, rng.uniform(0.3, 1.5)]))
    return Glint(at, (size, size), color, pulse(begin_s, begin_s + float(rng.uniform(2.0, 8.0)), ramp_s))


def _fan(rng: Generator, duration_s: float, edge: float) -> Act:
    at = (float(rng.uniform(40, 600)), max(50.0, edge - float(rng.uniform(30, 110))))
    return Fan(at, float(rng.uniform(18, 46)), random_color(rng, (*WARM, *LIQUIDS)), float(rng.uniform(0.3, 3.0)))


def _red_bottle(rng: Generator, duration_s: float, edge: float) -> Act:
    color = random_color(rng, ((40, 40, 210), (30, 90, 240), (40, 160, 250)))
    x, y = float(rng.uniform(40, 600)), max(edge, 0.0) + float(rng.uniform(40, 90))
    return Vessel(pick(rng, VESSELS), fixed(x), fixed(y), float(rng.uniform(60, 120)), color, REST)


def repeat(rng: Generator, what: str, duration_s: float, period_s: float) -> Repetitions:
    marks = [float(rng.uniform(1.0, 3.5))]
    most = int(rng.integers(3, 13))
    while len(marks) <= most:
        after = marks[-1] + period_s * float(rng.uniform(0.85, 1.2))
        if after > duration_s - 1.0 and len(marks) > 1:
            break
        marks.append(after)
    return Repetitions(what, tuple(marks), float(rng.uniform(0.0, 0.3)))


def _view(rng: Generator) -> NDArray[np.float64]:
    """Return a random camera: turned, nearer or farther, tilted, mirrored."""
    angle, zoom = math.radians(float(rng.normal(0.0, 2.5))), float(rng.uniform(0.92, 1.2))
    flip = float(rng.choice([-1.0, 1.0]))
    cos, sin = zoom * math.cos(angle), zoom * math.sin(angle)
    to_middle = np.array([[1.0, 0.0, -320.0], [0.0, 1.0, -240.0], [0.0, 0.0, 1.0]])
    turn = np.array([[flip * cos, -sin, 0.0], [flip * sin, cos, 0.0], [0.0, 0.0, 1.0]])
    tilt = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [*rng.normal(0.0, 1.5e-4, 2), 1.0]])
    x, y = rng.normal(0.0, 14.0, 2)
    back = np.array([[1.0, 0.0, 320.0 + x], [0.0, 1.0, 240.0 + y], [0.0, 0.0, 1.0]])
    view: NDArray[np.float64] = back @ tilt @ turn @ to_middle
    return view


def both(*painters: Callable[[Canvas], None]) -> Callable[[Canvas], None]:
    def paint(canvas: Canvas) -> None:
        for painter in painters:
            painter(canvas)

    return paint


def fixed(value: float) -> Track:
    return Track.of((0.0, value))


def pick(rng: Generator, names: tuple[str, ...]) -> str:
    return names[int(rng.integers(len(names)))]


def random_color(rng: Generator, colors: tuple[Color, ...]) -> Color:
    blue, green, red = np.clip(np.array(colors[int(rng.integers(len(colors)))]) * rng.uniform(0.85, 1.15), 5, 250)
    return (float(blue), float(green), float(red))
