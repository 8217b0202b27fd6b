"""Draw vessels, flames, smoke and spills, each anywhere and in any size. It knows no time tables."""

import math

import numpy as np
from numpy.random import Generator

from tml_ros.sights.canvas import Canvas, Color, Point, oval

__all__ = ["LIQUIDS", "VESSELS", "blob", "draw_flame", "draw_smoke", "draw_spill", "draw_vessel", "tongue"]

LIQUIDS: tuple[Color, ...] = (
    (214, 140, 44),
    (60, 168, 236),
    (70, 70, 200),
    (90, 170, 80),
    (160, 80, 150),
    (190, 190, 120),
    (60, 70, 90),
)
VESSELS = ("beaker", "bottle", "cup", "flask", "box")
_ANGLES = np.linspace(0.0, 2.0 * math.pi, 40, endpoint=False)
_TONGUE_UP = 0.5 - 0.5 * np.cos(_ANGLES)
_TONGUE_HALF = np.sin(_ANGLES) * (1.0 - _TONGUE_UP) ** 0.55 * 1.5
GLASS, WHITE, DARK = (238.0, 234.0, 228.0), (246.0, 248.0, 248.0), (52.0, 48.0, 46.0)


def draw_vessel(canvas: Canvas, kind: str, foot: Point, size: float, color: Color, shadow: float = 1.0) -> None:
    """Draw a vessel from the side.

    Args:
        canvas: where to.
        kind: one of VESSELS.
        foot: the middle of where it stands.
        size: its height.
        color: of what is in it, or of itself.
        shadow: how near to what it stands on it is, 0 to 1.
    """
    x, y = foot
    canvas.glow((x + 0.1 * size, y), (0.5 * size, 0.1 * size), (80, 80, 78), -0.9 * shadow)
    if kind == "beaker":
        _beaker(canvas, x, y, size, color)
    elif kind == "flask":
        _flask(canvas, x, y, size, color)
    elif kind == "bottle":
        _bottle(canvas, x, y, size, color)
    elif kind == "cup":
        canvas.polygon(
            [
                (x - 0.36 * size, y - 0.8 * size),
                (x + 0.36 * size, y - 0.8 * size),
                (x + 0.28 * size, y),
                (x - 0.28 * size, y),
            ],
            color,
        )
        canvas.line(oval((x + 0.4 * size, y - 0.45 * size), (0.16 * size, 0.2 * size), 0, -90, 90), color, 0.08 * size)
        canvas.ellipse((x, y - 0.8 * size), (0.36 * size, 0.09 * size), _lit(color, 0.6))
        canvas.polygon(_box(x - 0.26 * size, y - 0.7 * size, x - 0.16 * size, y - 0.1 * size), _lit(color, 1.25))
    else:
        canvas.polygon(_box(x - 0.4 * size, y - 0.6 * size, x + 0.4 * size, y), color)
        canvas.polygon(
            [
                (x - 0.4 * size, y - 0.6 * size),
                (x + 0.4 * size, y - 0.6 * size),
                (x + 0.5 * size, y - 0.74 * size),
                (x - 0.3 * size, y - 0.74 * size),
            ],
            _lit(color, 1.2),
        )
        canvas.polygon(
            [
                (x + 0.4 * size, y - 0.6 * size),
                (x + 0.5 * size, y - 0.74 * size),
                (x + 0.5 * size, y - 0.12 * size),
                (x + 0.4 * size, y),
            ],
            _lit(color, 0.75),
        )
        canvas.polygon(_box(x - 0.25 * size, y - 0.45 * size, x + 0.2 * size, y - 0.2 * size), WHITE, 0.8)


def _beaker(canvas: Canvas, x: float, y: float, size: float, color: Color) -> None:
    half = 0.36 * size
    canvas.polygon(_box(x - half, y - size, x + half, y), GLASS, 0.28)
    canvas.polygon(
        [
            *oval((x, y - 0.04 * size), (half, 0.08 * size), 0.0, 0.0, 180.0),
            (x - half, y - 0.55 * size),
            (x + half, y - 0.55 * size),
        ],
        color,
        0.85,
    )
    canvas.ellipse((x, y - 0.55 * size), (half, 0.08 * size), _lit(color, 1.25), 0.95)
    canvas.line([(x - half - 2, y - size - 2), (x - half, y - 0.96 * size), (x - half, y)], (200, 194, 186), 1.8)
    canvas.line([(x + half, y - size), (x + half, y)], (180, 174, 166), 1.8)
    canvas.line(oval((x, y - size), (half, 0.07 * size)), (222, 218, 212), 1.5)
    canvas.polygon(_box(x - 0.8 * half, y - 0.85 * size, x - 0.6 * half, y - 0.12 * size), WHITE, 0.35)


def _flask(canvas: Canvas, x: float, y: float, size: float, color: Color) -> None:
    outline = [
        (x - 0.1 * size, y - size),
        (x + 0.1 * size, y - size),
        (x + 0.1 * size, y - 0.7 * size),
        (x + 0.4 * size, y - 0.06 * size),
        (x + 0.34 * size, y),
        (x - 0.34 * size, y),
        (x - 0.4 * size, y - 0.06 * size),
        (x - 0.1 * size, y - 0.7 * size),
    ]
    canvas.polygon(outline, GLASS, 0.35)
    canvas.polygon([(x - 0.25 * size, y - 0.38 * size), (x + 0.25 * size, y - 0.38 * size), *outline[3:7]], color, 0.88)
    canvas.ellipse((x, y - 0.38 * size), (0.25 * size, 0.045 * size), _lit(color, 1.25), 0.9)
    canvas.line([*outline, outline[0]], (196, 190, 182), 1.6)
    canvas.line([(x - 0.12 * size, y - 0.55 * size), (x - 0.28 * size, y - 0.16 * size)], WHITE, 2.2)


def _bottle(canvas: Canvas, x: float, y: float, size: float, color: Color) -> None:
    half = 0.21 * size
    canvas.polygon(
        [
            (x - half, y - 0.64 * size),
            (x - 0.09 * size, y - 0.78 * size),
            (x + 0.09 * size, y - 0.78 * size),
            (x + half, y - 0.64 * size),
            (x + half, y - 0.03 * size),
            (x + 0.8 * half, y),
            (x - 0.8 * half, y),
            (x - half, y - 0.03 * size),
        ],
        color,
    )
    canvas.polygon(_box(x + 0.55 * half, y - 0.62 * size, x + half, y - 0.04 * size), _lit(color, 0.7))
    canvas.polygon(_box(x - 0.09 * size, y - 0.9 * size, x + 0.09 * size, y - 0.77 * size), _lit(color, 0.9))
    canvas.polygon(
        _box(x - 0.12 * size, y - size, x + 0.12 * size, y - 0.86 * size), _lit((color[2], color[1], color[0]), 0.9)
    )
    canvas.polygon(_box(x - 0.9 * half, y - 0.5 * size, x + 0.9 * half, y - 0.18 * size), WHITE)
    for row in (0.44, 0.36, 0.28):
        canvas.line([(x - 0.6 * half, y - row * size), (x + 0.5 * half, y - row * size)], (130, 126, 122), 1.4)
    canvas.polygon(_box(x - 0.82 * half, y - 0.62 * size, x - 0.6 * half, y - 0.05 * size), WHITE, 0.32)


def draw_flame(canvas: Canvas, foot: Point, size: float, time_s: float, share: float, mood: float = 0.0) -> None:
    """Draw a flame that stands at foot and flickers.

    Args:
        canvas: where to.
        foot: the middle of its base.
        size: its height when share is 1.
        time_s: of its flicker.
        share: how much of it there is, 0 to 1.
        mood: 0 to 1, of which flame it is: its shape, its flicker, and with it from orange to pale yellow.
    """
    if share <= 0.0:
        return
    (x, y), pace, pale = foot, time_s + 37.0 * mood, mood
    beat = 1.0 + 0.08 * math.sin(17 * pace) + 0.06 * math.sin(29.3 * pace)
    canvas.glow((x, y - 0.3 * size), (1.6 * size, 1.4 * size), (30, 105 + 50 * pale, 200), 0.45 * share * beat)
    tongues = []
    for number in range(3):
        phase = pace + 2.1 * number + 5.0 * mood
        sway = size * (0.07 * math.sin(6.1 * phase) + 0.04 * math.sin(13.7 * phase + number))
        height = (1.0, 0.62, 0.72)[number] * (1.0 + 0.16 * math.sin(9.3 * phase) + 0.1 * math.sin(21.0 * phase))
        side = (0.0, -0.13, 0.12)[number] * (1.0 + 0.4 * math.sin(3.0 * phase))
        tongues.append((x + side * size * share, sway, height * size * share * beat, (0.15, 0.11, 0.1)[number] * size))
    layers: tuple[tuple[float, float, Color, float], ...] = (
        (1.25, 1.12, (30, 90 + 60 * pale, 225), 0.3),
        (1.0, 1.0, (50, 135 + 50 * pale, 250), 0.5),
        (0.68, 0.74, (90, 195 + 30 * pale, 255), 0.6),
        (0.4, 0.48, (190, 245, 255), 0.75),
    )
    for width, reach, color, alpha in layers:
        for left, sway, height, half in tongues:
            canvas.polygon(tongue(left, y, half * width * (0.4 + 0.6 * share), height * reach, sway), color, alpha)
    canvas.haze((x, y - 0.2 * size * share), (0.2 * size, 0.32 * size * share), (225, 250, 255), 0.7 * share)


def tongue(x: float, base: float, width: float, height: float, sway: float) -> list[Point]:
    """Return the outline of a flame: round below, a swaying tip above."""
    across = x + width * _TONGUE_HALF + sway * _TONGUE_UP * _TONGUE_UP
    up = base + 6 - (height + 6) * _TONGUE_UP
    return list(zip(across.tolist(), up.tolist(), strict=True))


def draw_smoke(
    canvas: Canvas, foot: Point, size: float, time_s: float, share: float, color: Color, drift: float = 0.0
) -> None:
    """Draw smoke that rises from foot. size: how high. share: how thick, 0 to 1. drift: to the side, per height."""
    if share <= 0.0:
        return
    puffs = 7
    for number in range(puffs):
        rise = (0.28 * time_s + number / puffs) % 1.0
        wave = 0.06 * size * math.sin(2.3 * time_s + 2.6 * number)
        center = (foot[0] + wave + drift * size * rise, foot[1] - size * rise * (0.4 + 0.6 * share))
        spread = (0.09 + 0.26 * rise) * size * (0.5 + 0.5 * share)
        thick = 0.95 * share * math.sin(math.pi * (0.12 + 0.88 * rise)) ** 0.7
        canvas.haze(center, (spread, 0.9 * spread), color, thick)


def blob(rng: Generator, flat: float) -> list[Point]:
    """Make the outline of a puddle of radius about 1. flat: its height over its width."""
    angles = np.linspace(0.0, 2.0 * math.pi, 48, endpoint=False)
    radius = np.ones_like(angles)
    for wave in range(2, 7):
        radius += rng.normal(0.0, 0.28 / wave) * np.cos(wave * angles + rng.uniform(0.0, 2 * math.pi))
    return [(float(r * math.cos(a)), float(flat * r * math.sin(a))) for r, a in zip(radius, angles, strict=True)]


def draw_spill(canvas: Canvas, outline: list[Point], center: Point, size: float, color: Color) -> None:
    """Draw a puddle. outline: as blob gives it. size: its radius."""
    if size <= 0.5:
        return
    edge = [(center[0] + size * x, center[1] + size * y) for x, y in outline]
    canvas.polygon(edge, _lit(color, 0.8), 0.5)
    inner = [(center[0] + 0.93 * size * x, center[1] - 0.02 * size + 0.9 * size * y) for x, y in outline]
    canvas.polygon(inner, color, 0.72)
    shine = [(center[0] - 0.2 * size + 0.35 * size * x, center[1] - 0.1 * size + 0.22 * size * y) for x, y in outline]
    canvas.polygon(shine, _lit(color, 1.5), 0.28)


# ------------------------------------------------------------------------------------------------------ helpers


def _box(left: float, up: float, right: float, down: float) -> list[Point]:
    return [(left, up), (right, up), (right, down), (left, down)]


def _lit(color: Color, light: float) -> Color:
    return (min(255.0, color[0] * light), min(255.0, color[1] * light), min(255.0, color[2] * light))
