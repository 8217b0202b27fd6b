"""Paint what never moves: rooms, benches and desks with random layout, colours and texture, and marked zones.

Everything is painted some way beyond the design's borders, as the camera may look from elsewhere. It knows no time.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tml_ros.sights.canvas import Canvas, Color, Point
from tml_ros.sights.props import LIQUIDS, VESSELS, draw_vessel

__all__ = [
    "FAR",
    "paint_bench",
    "paint_clutter",
    "paint_desk",
    "paint_pillar",
    "paint_room",
    "paint_tabletop",
    "paint_zone",
    "texture",
]

FAR = 260.0
"""How far beyond the design's borders things are painted."""
LEFT, RIGHT, TOP, BOTTOM = -FAR, 640.0 + FAR, -FAR, 480.0 + FAR
WALLS: tuple[Color, ...] = (
    (188, 180, 168),
    (206, 208, 206),
    (170, 190, 196),
    (150, 134, 112),
    (196, 200, 220),
    (130, 128, 126),
)
FLOORS: tuple[Color, ...] = (
    (50, 76, 120),
    (110, 116, 122),
    (150, 156, 160),
    (84, 90, 96),
    (120, 150, 176),
    (96, 84, 70),
)
TABLES: tuple[Color, ...] = (
    (222, 226, 226),
    (190, 196, 198),
    (70, 72, 74),
    (110, 150, 190),
    (60, 90, 130),
    (160, 170, 150),
)
TAPES: tuple[Color, ...] = ((40, 210, 240), (40, 40, 210), (230, 230, 230), (200, 120, 30), (40, 150, 40))


def paint_room(canvas: Canvas, rng: Generator, horizon: float) -> None:
    """Paint a room with a floor. horizon: where floor and wall meet."""
    wall, floor = _pick(WALLS, rng), _pick(FLOORS, rng)
    canvas.gradient(_box(LEFT, TOP, RIGHT, horizon), _lit(wall, 0.9), wall)
    canvas.gradient(_box(LEFT, horizon, RIGHT, BOTTOM), _lit(floor, 0.8), _lit(floor, 1.12))
    _floor_lines(canvas, rng, horizon, floor)
    canvas.polygon(_box(LEFT, horizon - 7, RIGHT, horizon + 1), _lit(wall, rng.uniform(0.4, 1.2)))
    if rng.random() < 0.7:
        _window(canvas, rng, float(rng.uniform(20, 500)), horizon)
    if rng.random() < 0.7:
        _door(canvas, rng, float(rng.uniform(-40, 560)), horizon)
    if rng.random() < 0.6:
        _poster(canvas, rng, float(rng.uniform(60, 540)), horizon - rng.uniform(150, 190))
    for _ in range(int(rng.integers(0, 4))):
        x, size = float(rng.uniform(-40, 680)), float(rng.uniform(40, 110))
        draw_vessel(canvas, "box", (x, horizon + rng.uniform(2, 20)), size, _pick((*TABLES, *FLOORS), rng))
    if rng.random() < 0.4:
        _chair(canvas, float(rng.choice([rng.uniform(-20, 90), rng.uniform(540, 660)])), horizon + 60, 120.0, rng)
    _lights(canvas, rng)


def paint_bench(canvas: Canvas, rng: Generator, edge: float) -> None:
    """Paint a wall behind a bench, without the bench. edge: where the bench will begin."""
    wall = _pick(WALLS, rng)
    canvas.gradient(_box(LEFT, TOP, RIGHT, edge + 4), _lit(wall, 0.82), wall)
    if rng.random() < 0.6:
        step = float(rng.uniform(50, 100))
        for x in np.arange(LEFT, RIGHT, step):
            canvas.polygon(_box(x, TOP, x + 1.4, edge), _lit(wall, 0.8), 0.6)
        for y in np.arange(TOP, edge, 0.75 * step):
            canvas.polygon(_box(LEFT, y, RIGHT, y + 1.4), _lit(wall, 0.8), 0.6)
    if rng.random() < 0.7:
        _shelf(canvas, rng, float(rng.uniform(0, 300)), edge - rng.uniform(120, 170))
    if rng.random() < 0.35:
        _poster(canvas, rng, float(rng.uniform(380, 560)), edge - rng.uniform(190, 240))
    if rng.random() < 0.4:
        _window(canvas, rng, float(rng.uniform(350, 560)), edge - 20)
    _lights(canvas, rng)


def paint_tabletop(canvas: Canvas, rng: Generator, edge: float, lip: float = 480 + FAR) -> None:
    """Paint the top of a bench or table, from its far edge to its near one, with what stands at its back."""
    top = _pick(TABLES, rng)
    canvas.gradient(_box(LEFT, edge, RIGHT, lip), _lit(top, 0.86), _lit(top, 1.06))
    canvas.polygon(_box(LEFT, edge, RIGHT, edge + 2.5), _lit(top, 0.7))
    if lip < BOTTOM:
        canvas.gradient(_box(LEFT, lip, RIGHT, BOTTOM), _lit(top, 0.66), _lit(top, 0.45))
    canvas.glow((float(rng.uniform(100, 540)), edge + 80), (260, 90), (22, 24, 26), float(rng.uniform(-1, 1)))


def paint_clutter(canvas: Canvas, rng: Generator, places: Sequence[Point], size: float) -> None:
    """Put vessels that nobody moves at some places, back to front."""
    for x, y in sorted(places, key=lambda place: place[1]):
        kind = VESSELS[int(rng.integers(len(VESSELS)))]
        color = _pick((*LIQUIDS, *TABLES, (40, 40, 200), (40, 60, 225)), rng)
        draw_vessel(canvas, kind, (x, y), size * float(rng.uniform(0.75, 1.3)), color)


def paint_desk(canvas: Canvas, rng: Generator, floor: float) -> None:
    """Paint an office with a floor line; desk and chair are drawn with who sits there."""
    wall, ground = _pick(WALLS, rng), _pick(FLOORS, rng)
    canvas.gradient(_box(LEFT, TOP, RIGHT, floor - 40), _lit(wall, 0.88), wall)
    canvas.gradient(_box(LEFT, floor - 40, RIGHT, BOTTOM), _lit(ground, 0.8), _lit(ground, 1.1))
    if rng.random() < 0.6:
        _window(canvas, rng, float(rng.uniform(0, 540)), floor - 150)
    if rng.random() < 0.5:
        _poster(canvas, rng, float(rng.uniform(40, 560)), float(rng.uniform(40, 110)))
    if rng.random() < 0.5:
        _shelf(canvas, rng, float(rng.uniform(0, 320)), float(rng.uniform(100, 170)))
    _lights(canvas, rng)


def paint_pillar(canvas: Canvas, rng: Generator, floor: float) -> None:
    """Paint a pillar or a cabinet in the foreground, which hides who walks behind it. floor: where it stands."""
    x, width = float(rng.uniform(60, 580)), float(rng.uniform(24, 70))
    top = TOP if rng.random() < 0.6 else floor - float(rng.uniform(120, 220))
    color = _pick((*WALLS, *TABLES), rng)
    canvas.glow((x + 0.6 * width, floor), (width, 14), (80, 80, 80), -1.0)
    canvas.gradient(_box(x, top, x + width, floor), color, _lit(color, 0.85))
    canvas.polygon(_box(x + 0.7 * width, top, x + width, floor), _lit(color, 0.72))


def paint_zone(canvas: Canvas, rng: Generator, corners: Sequence[Point]) -> None:
    """Mark a zone on a floor or bench with tape, dashes, hazard stripes or a coloured mat."""
    color = _pick(TAPES, rng)
    style = int(rng.integers(4))
    width = float(rng.uniform(4.0, 9.0))
    if style == 3:
        canvas.polygon(corners, color, float(rng.uniform(0.35, 0.8)))
    for begin, end in zip(corners, [*corners[1:], corners[0]], strict=True):
        pieces = max(2, round(math.dist(begin, end) / (2.4 * width)))
        canvas.line([begin, end], color, width)
        if style in (1, 2):
            for number in range(0, pieces, 2):
                a, b = number / pieces, (number + 1) / pieces
                canvas.line(
                    [_mid(begin, end, a), _mid(begin, end, b)], (30, 30, 32) if style == 1 else (236, 236, 236), width
                )


def texture(image: NDArray[np.uint8], rng: Generator) -> None:
    """Give a painted background the unevenness of real surfaces and lenses, in place."""
    height, width = image.shape[:2]
    coarse = cv2.resize(rng.normal(0.0, 1.0, (5, 7)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    middle = cv2.resize(
        rng.normal(0.0, 1.0, (30, 40)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
    )
    fine = cv2.GaussianBlur(rng.normal(0.0, 1.0, (height, width)).astype(np.float32), (3, 3), 0.7)
    x, y = np.linspace(-1, 1, width)[None, :], np.linspace(-1, 1, height)[:, None]
    vignette = 1.0 - rng.uniform(0.05, 0.28) * (x**2 + y**2)
    gain = (
        vignette
        + rng.uniform(0.02, 0.07) * coarse
        + rng.uniform(0.008, 0.02) * middle
        + rng.uniform(0.005, 0.02) * fine
    )
    image[...] = np.clip(image * gain[..., None], 0, 255).astype(np.uint8)


# ------------------------------------------------------------------------------------------------------- details


def _floor_lines(canvas: Canvas, rng: Generator, horizon: float, floor: Color) -> None:
    style = int(rng.integers(3))
    if style == 0:
        return
    vanish = (float(rng.uniform(200, 440)), horizon - rng.uniform(60, 160))
    color = _lit(floor, rng.uniform(0.6, 0.85))
    for x in np.arange(-1500, 2200, rng.uniform(60, 180)):
        share = (horizon - vanish[1]) / (BOTTOM - vanish[1])
        canvas.line([(vanish[0] + share * (x - vanish[0]), horizon), (float(x), BOTTOM)], color, 1.2)
    if style == 2:
        for number in range(1, 14):
            y = horizon + (BOTTOM - horizon) * (number / 14) ** 2
            canvas.line([(LEFT, y), (RIGHT, y)], color, 1.2)


def _window(canvas: Canvas, rng: Generator, x: float, down: float) -> None:
    width, height = float(rng.uniform(70, 150)), float(rng.uniform(80, 150))
    y = down - height - rng.uniform(20, 60)
    sky = _pick(((240, 226, 200), (250, 246, 238), (120, 100, 80), (60, 44, 34)), rng)
    canvas.gradient(_box(x, y, x + width, y + height), sky, _lit(sky, 0.85))
    for a, b in (
        ((x, y), (x + width, y)),
        ((x, y + height), (x + width, y + height)),
        ((x, y), (x, y + height)),
        ((x + width, y), (x + width, y + height)),
        ((x + width / 2, y), (x + width / 2, y + height)),
    ):
        canvas.line([a, b], (206, 208, 208), 6)


def _door(canvas: Canvas, rng: Generator, x: float, floor: float) -> None:
    color = _pick(((60, 90, 130), (190, 196, 198), (96, 80, 60), (70, 110, 160)), rng)
    canvas.gradient(_box(x, floor - 190, x + 90, floor), _lit(color, 1.1), color)
    canvas.line([(x, floor), (x, floor - 190), (x + 90, floor - 190), (x + 90, floor)], _lit(color, 0.6), 4)
    canvas.ellipse((x + 78, floor - 92), (4, 4), (170, 180, 184))


def _poster(canvas: Canvas, rng: Generator, x: float, y: float) -> None:
    """Hang up a picture; often one of a face."""
    canvas.polygon(_box(x, y, x + 62, y + 80), (236, 236, 232))
    canvas.polygon(_box(x + 4, y + 4, x + 58, y + 76), _pick(TABLES, rng))
    if rng.random() < 0.6:
        canvas.polygon([(x + 10, y + 76), (x + 20, y + 58), (x + 42, y + 58), (x + 52, y + 76)], _pick(FLOORS, rng))
        canvas.ellipse((x + 31, y + 36), (16, 21), (40, 50, 66))
        canvas.ellipse((x + 31, y + 40), (13, 17), (150, 178, 218))
        for eye in (26, 36):
            canvas.ellipse((x + eye, y + 38), (2.0, 1.6), (40, 40, 44))
        canvas.line([(x + 27, y + 49), (x + 35, y + 49)], (90, 90, 160), 1.5)
    else:
        for row in range(5):
            canvas.line([(x + 10, y + 16 + 11 * row), (x + rng.uniform(30, 52), y + 16 + 11 * row)], (80, 80, 90), 3)


def _shelf(canvas: Canvas, rng: Generator, x: float, y: float) -> None:
    width = float(rng.uniform(160, 320))
    canvas.gradient(_box(x, y, x + width, y + 9), (96, 128, 158), (70, 96, 124))
    at = x + 8
    while at < x + width - 36:
        wide, high = float(rng.uniform(14, 36)), float(rng.uniform(34, 70))
        color = _pick((*LIQUIDS, *TABLES, *FLOORS, (44, 50, 190)), rng)
        canvas.gradient(_box(at, y - high, at + wide, y), color, _lit(color, 0.7))
        canvas.polygon(_box(at + 2, y - 0.6 * high, at + wide - 2, y - 0.3 * high), (246, 248, 248), 0.7)
        at += wide + float(rng.uniform(2, 18))


def _chair(canvas: Canvas, x: float, y: float, size: float, rng: Generator) -> None:
    color = _pick(FLOORS, rng)
    for dx in (-0.3, 0.3):
        canvas.line([(x + dx * size, y), (x + 0.7 * dx * size, y - 0.45 * size)], _lit(color, 0.6), 5)
    canvas.polygon(_box(x - 0.32 * size, y - 0.5 * size, x + 0.32 * size, y - 0.42 * size), color)
    canvas.polygon(_box(x - 0.3 * size, y - size, x - 0.2 * size, y - 0.45 * size), _lit(color, 0.9))


def _lights(canvas: Canvas, rng: Generator) -> None:
    for _ in range(int(rng.integers(1, 4))):
        center = (float(rng.uniform(-60, 700)), float(rng.uniform(-60, 400)))
        axes = (float(rng.uniform(120, 380)), float(rng.uniform(100, 300)))
        canvas.glow(center, axes, (40, 48, 52), float(rng.uniform(-0.9, 1.0)))
    if rng.random() < 0.3:
        canvas.ellipse((float(rng.uniform(60, 580)), float(rng.uniform(4, 40))), (34, 9), (244, 250, 252))


def _pick(colors: Sequence[Color], rng: Generator) -> Color:
    color = colors[int(rng.integers(len(colors)))]
    blue, green, red = np.clip(np.array(color) * rng.uniform(0.85, 1.12) + rng.normal(0, 5, 3), 8, 250)
    return (float(blue), float(green), float(red))


def _box(left: float, up: float, right: float, down: float) -> list[Point]:
    return [(left, up), (right, up), (right, down), (left, down)]


def _mid(a: Point, b: Point, share: float) -> Point:
    return (a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]))


def _lit(color: Color, light: float) -> Color:
    return (min(255.0, color[0] * light), min(255.0, color[1] * light), min(255.0, color[2] * light))
