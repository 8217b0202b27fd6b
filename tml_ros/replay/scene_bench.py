"""Draw a laboratory bench as a fixed camera sees it, with things that happen on it.

A wall with a shelf and a clock; on the bench a test tube rack, a beaker on a stirrer, a flask, a bottle and a lamp.
Events: ``hand`` lifts the bottle and puts it back, ``spill`` spreads from the beaker, ``flame`` burns on the flask,
``person`` walks behind the bench, ``cover`` darkens the lens, ``freeze`` stops the picture. Every frame depends on its
time and the seed alone, so frames may be drawn in any order. Knows nothing of files or messages.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tml_ros.replay.scene import RenderEvent
from tml_ros.sights.canvas import Canvas, Color, Point, oval
from tml_ros.sights.props import tongue

__all__ = ["BenchRenderer"]

RAMP_S = 0.8
NOISE_LEVEL = 1.6
NOISE_MARGIN = 32

WALL_TOP, WALL_BOTTOM = (150.0, 134.0, 112.0), (188.0, 176.0, 158.0)
BENCH_BACK, BENCH_FRONT = (206.0, 209.0, 210.0), (233.0, 236.0, 236.0)
BENCH_EDGE_Y, BENCH_LIP_Y = 306.0, 448.0
STEEL, DARK, WHITE = (120.0, 118.0, 116.0), (52.0, 48.0, 46.0), (246.0, 248.0, 248.0)
BLUE_LIQUID, BLUE_DEEP = (214.0, 140.0, 44.0), (150.0, 78.0, 18.0)
AMBER_LIQUID, AMBER_DEEP = (60.0, 168.0, 236.0), (26.0, 112.0, 196.0)
GLOVE, GLOVE_DARK, GLOVE_LIGHT = (176.0, 92.0, 104.0), (128.0, 58.0, 68.0), (206.0, 132.0, 142.0)
COAT, COAT_SHADE = (240.0, 240.0, 238.0), (196.0, 194.0, 190.0)
SKIN, HAIR = (150.0, 178.0, 218.0), (40.0, 52.0, 74.0)
LENS_COVER = (22.0, 24.0, 38.0)


@dataclass(frozen=True, slots=True)
class _Moment:
    """What is going on at one time. All shares lie in 0..1."""

    time_s: float
    hand: float = 0.0
    lift: float = 0.0
    spill: float = 0.0
    flame: float = 0.0
    person_x: float | None = None
    cover: float = 0.0


class BenchRenderer:
    """Renders frames of one bench. Thread: any; frames do not change the renderer."""

    def __init__(self, size: tuple[int, int], events: Sequence[RenderEvent] = (), seed: int = 0) -> None:
        """Draw what never moves. size: width, height. Times of the events are those given to ``render``."""
        self._size = size
        self._events = tuple(events)
        self._seed = seed
        noise = np.random.Generator(np.random.PCG64([seed, 77])).normal(
            0.0, NOISE_LEVEL, (size[1] + NOISE_MARGIN, size[0] + NOISE_MARGIN, 3)
        )
        self._noise = np.rint(noise).astype(np.int16)
        self._back = np.zeros((size[1], size[0], 3), np.uint8)
        _draw_room(Canvas(self._back))
        self._still = self._back.copy()
        _draw_bench(Canvas(self._still))

    def render(self, time_ns: int) -> NDArray[np.uint8]:
        """Return the picture [H, W, 3] uint8 BGR at a time."""
        for event in self._events:
            if event.what == "freeze" and event.at_ns <= time_ns < event.until_ns:
                time_ns = event.at_ns
        moment = _moment(self._events, time_ns)
        if moment.person_x is None:
            canvas = Canvas(self._still.copy())
            _draw_clock_hands(canvas, moment.time_s)
        else:
            canvas = Canvas(self._back.copy())
            _draw_clock_hands(canvas, moment.time_s)
            _draw_person(canvas, moment.person_x, moment.time_s)
            _draw_bench(canvas)
        _draw_contents(canvas, moment)
        _draw_cover(canvas, moment.cover)
        return self._add_noise(canvas.image, time_ns)

    def _add_noise(self, image: NDArray[np.uint8], time_ns: int) -> NDArray[np.uint8]:
        dx, dy = np.random.Generator(np.random.PCG64([self._seed, time_ns])).integers(0, NOISE_MARGIN, 2)
        noise = self._noise[dy : dy + image.shape[0], dx : dx + image.shape[1]]
        noisy: NDArray[np.uint8] = np.asarray(cv2.add(image, noise, dtype=cv2.CV_8U), np.uint8)
        return noisy


# -------------------------------------------------------------------------------------------------------- timing


def _moment(events: Sequence[RenderEvent], time_ns: int) -> _Moment:
    shares = {"hand": 0.0, "flame": 0.0, "cover": 0.0, "spill": 0.0}
    lift, person_x = 0.0, None
    for event in events:
        since_s, left_s = (time_ns - event.at_ns) / 1e9, (event.until_ns - time_ns) / 1e9
        if since_s < 0 or left_s <= 0:
            continue
        if event.what == "person":
            person_x = -110.0 + 860.0 * _walk(since_s / (since_s + left_s))
        elif event.what == "spill":
            shares["spill"] = max(shares["spill"], _ease(since_s / min(3.0, since_s + left_s)))
        elif event.what in shares:
            ramp_s = 0.25 if event.what == "cover" else RAMP_S
            shares[event.what] = max(shares[event.what], _ease(min(since_s, left_s) / ramp_s))
        if event.what == "hand":
            lift = max(lift, _ease((min(since_s, left_s) - 1.2) / RAMP_S))
    return _Moment(time_ns / 1e9, lift=lift, person_x=person_x, **shares)


def _ease(share: float) -> float:
    """Return the smooth step from 0 to 1."""
    share = min(1.0, max(0.0, share))
    return share * share * (3.0 - 2.0 * share)


def _walk(share: float) -> float:
    """Return how far a person has come who walks in, stands in the middle and walks out."""
    return 0.5 * _ease(share / 0.35) + 0.5 * _ease((share - 0.65) / 0.35)


# ---------------------------------------------------------------------------------------------------------- room


def _box(left: float, up: float, right: float, down: float) -> list[Point]:
    return [(left, up), (right, up), (right, down), (left, down)]


def _draw_room(canvas: Canvas) -> None:
    canvas.gradient(_box(0, 0, 640, BENCH_EDGE_Y + 2), WALL_TOP, WALL_BOTTOM)
    for x in range(40, 640, 80):
        canvas.polygon(_box(x, 0, x + 1.2, BENCH_EDGE_Y), (140, 128, 112), 0.5)
    for y in range(30, int(BENCH_EDGE_Y), 60):
        canvas.polygon(_box(0, y, 640, y + 1.2), (140, 128, 112), 0.5)
    canvas.glow((470, 200), (330, 260), (46, 52, 56))
    _draw_shelf(canvas)
    _draw_clock(canvas)


def _draw_shelf(canvas: Canvas) -> None:
    canvas.glow((206, 170), (164, 20), (64, 60, 54), -1.0)
    canvas.gradient(_box(50, 158, 362, 168), (96, 128, 158), (70, 96, 124))
    rows: list[tuple[float, float, float, Color, Color]] = [
        (66, 24, 62, (44, 78, 132), (28, 50, 92)),
        (96, 24, 56, (44, 78, 132), (28, 50, 92)),
        (126, 24, 64, (44, 78, 132), (28, 50, 92)),
        (166, 44, 48, (92, 128, 88), (66, 96, 64)),
        (216, 16, 70, (90, 84, 190), (62, 58, 150)),
        (234, 16, 74, (176, 130, 74), (134, 96, 52)),
        (252, 16, 66, (92, 186, 214), (64, 144, 172)),
        (286, 30, 46, (226, 226, 222), (186, 186, 182)),
        (322, 30, 52, (226, 226, 222), (186, 186, 182)),
    ]
    for left, width, height, top, bottom in rows:
        canvas.gradient(_box(left, 158 - height, left + width, 158), top, bottom)
        canvas.polygon(_box(left + 2, 160 - height, left + 5, 156), WHITE, 0.25)
        canvas.polygon(_box(left + 2, 158 - 0.6 * height, left + width - 2, 158 - 0.3 * height), WHITE, 0.75)
    for left in (66, 96, 126):
        canvas.gradient(_box(left + 6, 88, left + 18, 104), (52, 50, 50), (34, 32, 32))


def _draw_clock(canvas: Canvas) -> None:
    canvas.glow((446, 84), (48, 48), (60, 56, 50), -1.0)
    canvas.ellipse((440, 76), (36, 36), DARK)
    canvas.ellipse((440, 76), (32, 32), WHITE)
    for hour in range(12):
        angle = math.radians(30 * hour)
        tip = (440 + 29 * math.sin(angle), 76 - 29 * math.cos(angle))
        root = (440 + 25 * math.sin(angle), 76 - 25 * math.cos(angle))
        canvas.line([root, tip], DARK, 1.5)


def _draw_clock_hands(canvas: Canvas, time_s: float) -> None:
    for turns, length, width, color in (
        (10.1 / 12 + time_s / 43_200, 15.0, 3.0, DARK),
        (8 / 60 + time_s / 3_600, 23.0, 2.0, DARK),
        (time_s / 60, 26.0, 1.0, (50.0, 50.0, 210.0)),
    ):
        angle = 2 * math.pi * turns
        canvas.line([(440, 76), (440 + length * math.sin(angle), 76 - length * math.cos(angle))], color, width)
    canvas.ellipse((440, 76), (2.5, 2.5), (50, 50, 210))


def _draw_person(canvas: Canvas, x: float, time_s: float) -> None:
    y = 150 + 2.5 * math.sin(2 * math.pi * 1.6 * time_s)
    canvas.gradient([(x - 74, y + 62), (x - 30, y + 40), (x + 30, y + 40), (x + 74, y + 62),
                     (x + 84, y + 190), (x - 84, y + 190)], COAT, COAT_SHADE)  # fmt: skip
    canvas.polygon([(x - 17, y + 36), (x + 17, y + 36), (x, y + 92)], (168, 122, 78))
    canvas.line([(x - 18, y + 38), (x, y + 94), (x + 18, y + 38)], COAT_SHADE, 4)
    canvas.line([(x, y + 94), (x + 1, y + 180)], COAT_SHADE, 2)
    canvas.gradient(_box(x - 13, y + 18, x + 13, y + 46), (122, 148, 190), SKIN)
    canvas.ellipse((x, y - 10), (33, 41), HAIR)
    canvas.ellipse((x, y - 2), (29, 37), SKIN)
    canvas.polygon(oval((x, y - 12), (31, 32), 0.0, 190.0, 350.0), HAIR)
    canvas.polygon(_box(x - 28, y - 10, x + 28, y + 6), (236, 226, 206), 0.55)
    canvas.line([(x - 28, y - 10), (x + 28, y - 10), (x + 28, y + 6), (x + 3, y + 6), (x, y + 1), (x - 3, y + 6),
                 (x - 28, y + 6), (x - 28, y - 10)], (92, 82, 70), 1.5)  # fmt: skip
    for side in (-13, 13):
        canvas.ellipse((x + side, y - 2), (3.2, 3.2), DARK)
    canvas.line([(x, y + 2), (x + 3, y + 12), (x - 2, y + 13)], (116, 142, 186), 1.5)
    canvas.line([(x - 8, y + 22), (x, y + 24), (x + 8, y + 22)], (96, 104, 168), 2)


# --------------------------------------------------------------------------------------------------------- bench


def _draw_bench(canvas: Canvas) -> None:
    canvas.gradient(_box(0, BENCH_EDGE_Y, 640, BENCH_LIP_Y), BENCH_BACK, BENCH_FRONT)
    canvas.polygon(_box(0, BENCH_EDGE_Y, 640, BENCH_EDGE_Y + 2), (168, 168, 166))
    canvas.gradient(_box(0, BENCH_LIP_Y, 640, 480), (156, 152, 148), (112, 108, 104))
    canvas.polygon(_box(0, BENCH_LIP_Y, 640, BENCH_LIP_Y + 2), WHITE, 0.8)
    canvas.glow((430, 380), (240, 86), (20, 24, 26))
    for center, axes in (
        ((146, 380), (84, 16)),
        ((272, 408), (92, 18)),
        ((384, 396), (58, 13)),
        ((588, 408), (62, 13)),
    ):
        canvas.glow(center, axes, (80, 80, 78), -1.0)
    _draw_rack(canvas)
    _draw_stirrer(canvas)
    _draw_lamp(canvas)


def _draw_rack(canvas: Canvas) -> None:
    colors: list[tuple[Color, Color]] = [
        ((90, 90, 214), (63, 63, 150)),
        ((84, 178, 92), (59, 125, 64)),
        ((60, 190, 226), (42, 133, 158)),
        ((190, 110, 150), (133, 77, 105)),
    ]
    canvas.gradient(_box(88, 366, 204, 378), (150, 172, 190), (116, 138, 158))
    for number, (top, bottom) in enumerate(colors):
        x = 102 + 26 * number
        tube = [(x, 288), (x + 12, 288), (x + 12, 360), (x + 9, 368), (x + 3, 368), (x, 360)]
        canvas.polygon(tube, (240, 238, 234), 0.45)
        level = 318 + 9 * ((number * 5) % 4)
        canvas.gradient([(x + 1, level), (x + 11, level), (x + 11, 360), (x + 8, 366), (x + 4, 366), (x + 1, 360)],
                        top, bottom, 0.85)  # fmt: skip
        canvas.polygon(_box(x + 2.5, 292, x + 4.5, 356), WHITE, 0.6)
        canvas.line([(x - 1, 288), (x + 13, 288)], (210, 206, 200), 2)
    for y in (310, 342):
        canvas.gradient(_box(88, y, 204, y + 7), (166, 188, 204), (130, 152, 172), 0.92)
    for x in (88, 198):
        canvas.gradient(_box(x, 306, x + 6, 378), (158, 180, 198), (120, 142, 162))


def _draw_stirrer(canvas: Canvas) -> None:
    canvas.gradient([(214, 388), (330, 388), (338, 414), (206, 414)], (92, 90, 88), (60, 58, 56))
    canvas.gradient([(218, 378), (326, 378), (332, 390), (212, 390)], (236, 238, 238), (206, 208, 208))
    canvas.polygon(_box(252, 394, 292, 408), (24, 22, 22))
    for x, angle in ((232, 0.6), (312, -0.9)):
        canvas.ellipse((x, 401), (7.5, 7.5), (36, 34, 34))
        canvas.line([(x, 401), (x + 6 * math.sin(angle), 401 - 6 * math.cos(angle))], WHITE, 1.5)


def _draw_lamp(canvas: Canvas) -> None:
    canvas.ellipse((588, 404), (40, 10), (70, 62, 60))
    canvas.ellipse((588, 400), (38, 9), (104, 94, 90))
    canvas.line([(588, 398), (616, 300), (562, 208)], (96, 88, 84), 6)
    canvas.line([(586, 398), (614, 300), (560, 208)], (142, 134, 128), 2)
    canvas.ellipse((616, 300), (7, 7), (70, 62, 60))
    canvas.glow((532, 244), (56, 44), (52, 72, 78))
    canvas.gradient([(552, 196), (574, 210), (562, 248), (514, 220)], (110, 100, 94), (70, 62, 58))
    canvas.ellipse((538, 234), (28, 9), (206, 242, 255), 1.0, 31.0)
    canvas.ellipse((540, 233), (14, 4.5), WHITE, 1.0, 31.0)


# ------------------------------------------------------------------------------------------------- what can move


def _draw_contents(canvas: Canvas, moment: _Moment) -> None:
    _draw_spill(canvas, moment.spill)
    _draw_beaker(canvas, moment)
    _draw_display(canvas, moment.time_s)
    _draw_flask(canvas, moment)
    shift = -46.0 * moment.lift
    canvas.glow((500, 396), (40.0 + 14 * moment.lift, 11), (80, 80, 78), -(1.0 - 0.5 * moment.lift))
    _draw_bottle(canvas, 500.0 - 10 * moment.lift, 392.0 + shift)
    if moment.flame > 0.0:
        _draw_flame(canvas, moment.time_s, moment.flame)
    if moment.hand > 0.0:
        tremor = 0.8 * math.sin(2 * math.pi * 3.1 * moment.time_s)
        x = 500.0 - 10 * moment.lift + 230.0 * (1.0 - moment.hand)
        _draw_hand(canvas, x, 346.0 + shift + tremor + 30.0 * (1.0 - moment.hand))


def _draw_beaker(canvas: Canvas, moment: _Moment) -> None:
    level = 312.0 + 34.0 * moment.spill + 1.2 * math.sin(2 * math.pi * 0.9 * moment.time_s)
    canvas.gradient(_box(232, 268, 312, 378), (240, 236, 230), (228, 222, 214), 0.35)
    body = [*oval((272, 370), (38, 8), 0.0, 0.0, 180.0), (234, level), (310, level)]
    canvas.gradient(body, BLUE_LIQUID, BLUE_DEEP, 0.9)
    canvas.ellipse((272, level), (38, 7), (232, 176, 92), 0.95)
    canvas.ellipse((272, level), (16, 3), (180, 104, 30), 0.8)
    for number in range(2):
        start = 360.0 * (1.5 * moment.time_s + 0.5 * number) % 360.0
        canvas.line(oval((272, level), (26, 4.5), 0.0, start, start + 80.0), (244, 214, 160), 1.2)
    for number in range(6):
        rise = (0.35 * moment.time_s + 0.618 * number) % 1.0
        x = 246 + 9.5 * number + 3 * math.sin(5 * rise + number)
        canvas.ellipse((x, 368 - (358 - level) * rise), (1.6 + rise, 1.6 + rise), (244, 220, 180), 0.7)
    canvas.ellipse((272, 372), (11, 2.6), WHITE, 0.9, 50.0 * math.sin(9.0 * moment.time_s))
    _draw_glass(canvas, [(230, 266), (234, 272), (234, 372)], [(314, 266), (310, 272), (310, 372)])
    canvas.line(oval((272, 268), (41, 7)), (226, 222, 216), 1.6)
    for mark in range(5):
        y = 292 + 16 * mark
        canvas.line([(238, y), (252 if mark % 2 else 246, y)], WHITE, 1.2)


def _draw_glass(canvas: Canvas, left: list[Point], right: list[Point]) -> None:
    canvas.line(left, (214, 208, 200), 1.8)
    canvas.line(right, (188, 182, 174), 1.8)
    canvas.polygon([(left[-1][0] + 7, left[1][1] + 6), (left[-1][0] + 12, left[1][1] + 6),
                    (left[-1][0] + 12, left[-1][1] - 8), (left[-1][0] + 7, left[-1][1] - 8)], WHITE, 0.35)  # fmt: skip


def _draw_display(canvas: Canvas, time_s: float) -> None:
    canvas.text(f"{62.0 + 0.9 * math.sin(time_s / 7.0):4.1f}", (255, 406), (70, 90, 250), 9.0)
    on = time_s % 1.0 < 0.5
    canvas.ellipse((301, 394), (1.8, 1.8), (90, 250, 120) if on else (40, 90, 50))


def _draw_flask(canvas: Canvas, moment: _Moment) -> None:
    outline = [(376, 292), (392, 292), (392, 322), (424, 384), (416, 392), (352, 392), (344, 384), (376, 322)]
    canvas.gradient(outline, (242, 240, 236), (226, 222, 216), 0.4)
    y = 354 + 0.8 * math.sin(2 * math.pi * 0.4 * moment.time_s)
    canvas.gradient(
        [(359, y), (409, y), (423, 384), (416, 391), (352, 391), (345, 384)], AMBER_LIQUID, AMBER_DEEP, 0.88
    )
    canvas.ellipse((384, y), (25, 4.5), (110, 200, 246), 0.9)
    canvas.line([(376, 292), (376, 322), (344, 384), (352, 392), (416, 392), (424, 384), (392, 322), (392, 292)],
                (206, 200, 192), 1.6)  # fmt: skip
    canvas.line(oval((384, 292), (10, 2.6)), (222, 218, 212), 2)
    canvas.line([(372, 338), (356, 374)], WHITE, 2.5)


def _draw_bottle(canvas: Canvas, x: float, base: float) -> None:
    """Draw the reagent bottle; x is its middle, base its foot."""
    canvas.gradient([(x - 26, base - 76), (x - 11, base - 92), (x + 11, base - 92), (x + 26, base - 76),
                     (x + 26, base - 4), (x + 20, base), (x - 20, base), (x - 26, base - 4)],
                    (46, 82, 140), (22, 46, 88))  # fmt: skip
    canvas.gradient(_box(x - 11, base - 106, x + 11, base - 90), (54, 92, 150), (40, 70, 120))
    canvas.gradient(_box(x - 14, base - 120, x + 14, base - 103), (196, 120, 52), (150, 84, 30))
    for rib in range(-10, 14, 6):
        canvas.line([(x + rib, base - 118), (x + rib, base - 105)], (140, 80, 30), 1)
    canvas.polygon(_box(x - 24, base - 64, x + 24, base - 22), WHITE)
    canvas.polygon(_box(x - 24, base - 64, x + 24, base - 54), (60, 60, 200))
    canvas.text("HCl", (x - 15, base - 38), DARK, 10.0)
    canvas.line([(x - 17, base - 29), (x + 17, base - 29)], (150, 148, 146), 1.4)
    canvas.polygon(_box(x - 21, base - 74, x - 16, base - 6), WHITE, 0.3)


def _draw_spill(canvas: Canvas, share: float) -> None:
    if share <= 0.0:
        return
    canvas.line([(311, 344), (317, 352), (321, 388), (320, 418)], BLUE_LIQUID, 4.0 * min(1.0, 3 * share))
    for (x, y), (width, height) in (((300, 426), (104, 15)), ((356, 432), (66, 10)), ((246, 430), (60, 9))):
        canvas.ellipse((x, y), (width * share, height * share), BLUE_LIQUID, 0.85)
    canvas.ellipse((318, 423), (58 * share, 4.5 * share), (246, 216, 168), 0.7)


def _draw_flame(canvas: Canvas, time_s: float, share: float) -> None:
    for number in range(4):
        rise = (0.45 * time_s + 0.25 * number) % 1.0
        center = (386 + 16 * math.sin(2.3 * time_s + 2 * number), 236 - 190 * rise)
        canvas.haze(center, (26 + 60 * rise, 24 + 46 * rise), (84, 86, 88), 0.75 * share * (1 - rise))
    canvas.glow((384, 262), (190, 170), (30, 120, 210), 0.55 * share * (0.85 + 0.15 * math.sin(17 * time_s)))
    layers: tuple[tuple[float, float, Color, float], ...] = (
        (30, 128, (24, 70, 232), 0.8),
        (22, 98, (30, 140, 252), 0.85),
        (14, 68, (70, 214, 255), 0.9),
        (7, 38, (214, 250, 255), 0.95),
    )
    for depth, (width, height, color, alpha) in enumerate(layers):
        sway = 7 * math.sin(6.1 * time_s + depth) + 4 * math.sin(13.7 * time_s + 2 * depth)
        reach = height * share * (1.0 + 0.14 * math.sin(9.3 * time_s + 1.7 * depth))
        canvas.polygon(tongue(384.0, 298.0, width * (0.5 + 0.5 * share), reach, sway), color, alpha)


def _draw_hand(canvas: Canvas, x: float, y: float) -> None:
    """Draw a gloved hand that reaches around the bottle from the right; x, y is the middle of the bottle's body."""
    canvas.gradient([(x + 70, y - 16), (x + 240, y + 10), (x + 240, y + 104), (x + 66, y + 30)], COAT, COAT_SHADE)
    canvas.line([(x + 120, y + 2), (x + 132, y + 42)], COAT_SHADE, 2)
    canvas.line([(x + 168, y + 8), (x + 188, y + 62)], COAT_SHADE, 2)
    canvas.gradient([(x + 58, y - 20), (x + 78, y - 17), (x + 74, y + 34), (x + 52, y + 32)], GLOVE_LIGHT, GLOVE_DARK)
    canvas.gradient([(x + 22, y - 34), (x + 48, y - 32), (x + 66, y - 19), (x + 62, y + 32), (x + 40, y + 40),
                     (x + 18, y + 36)], GLOVE, GLOVE_DARK)  # fmt: skip
    canvas.line([(x + 44, y - 30), (x + 26, y - 44), (x + 12, y - 52)], GLOVE_DARK, 16)
    canvas.line([(x + 44, y - 30), (x + 26, y - 44), (x + 12, y - 52)], GLOVE, 13)
    for number in range(4):
        bend = (0.0, 4.0, 3.0, -4.0)[number]
        finger = [(x + 34, y - 24 + 16 * number), (x + 4, y - 22 + 15 * number), (x - 22 - bend, y - 17 + 14 * number)]
        canvas.line(finger, GLOVE_DARK, 15)
        canvas.line(finger, GLOVE, 12)
        canvas.line([(px, py - 3) for px, py in finger[1:]], GLOVE_LIGHT, 3)


def _draw_cover(canvas: Canvas, share: float) -> None:
    """Darken the picture from above, as a hand or cloth over the lens does; the edge is out of focus."""
    if share <= 0.0:
        return
    rows = np.arange(canvas.image.shape[0], dtype=np.float32) / canvas.image.shape[0]
    dark = np.clip((1.5 * np.float32(share) - rows) / 0.5, 0.0, 1.0)[:, None, None] * np.float32(0.97)
    picture = canvas.image.astype(np.float32)
    canvas.image[...] = (picture + dark * (np.array(LENS_COVER, np.float32) - picture)).astype(np.uint8)
