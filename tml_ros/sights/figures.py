"""Draw people and hands from joints and a look. It knows no motion and no scene."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from tml_ros.sights.canvas import Canvas, Color, Point
from tml_ros.sights.labels import Role, label
from tml_ros.sights.poses import Pose

__all__ = ["Look", "draw_arm", "draw_figure", "random_look"]

SKINS: tuple[Color, ...] = (
    (150, 178, 218),
    (128, 160, 208),
    (176, 200, 232),
    (96, 130, 178),
    (66, 92, 138),
    (46, 66, 104),
)
HAIRS: tuple[Color, ...] = ((28, 30, 34), (40, 52, 74), (60, 84, 120), (110, 150, 190), (150, 150, 152), (30, 40, 110))
CLOTHES: tuple[Color, ...] = (
    (60, 50, 46),
    (110, 70, 40),
    (150, 120, 96),
    (70, 70, 140),
    (60, 110, 70),
    (170, 160, 150),
    (96, 96, 96),
    (40, 40, 52),
    (60, 120, 170),
    (130, 60, 100),
    (150, 150, 70),
    (60, 90, 200),
)
TROUSERS: tuple[Color, ...] = ((50, 44, 40), (110, 72, 48), (90, 90, 92), (60, 80, 104), (36, 36, 40), (130, 130, 128))
GLOVES: tuple[Color, ...] = ((176, 92, 104), (190, 130, 60), (60, 60, 60), (210, 210, 212), (120, 160, 60))
EYEWEAR: tuple[Color, ...] = ((236, 226, 206), (60, 180, 240), (210, 120, 60), (60, 60, 60))
COAT: Color = (234, 236, 234)


@dataclass(frozen=True, slots=True)
class Look:
    """How a person looks. Colours BGR; gloves, eyewear and hat are None where there are none."""

    skin: Color
    hair: Color
    shirt: Color
    trousers: Color
    shoes: Color
    build: float = 1.0
    long_hair: bool = False
    coat: bool = False
    gloves: Color | None = None
    eyewear: Color | None = None
    hat: Color | None = None
    vest: Color | None = None

    @property
    def outer(self) -> Color:
        """The colour of the uppermost garment."""
        return COAT if self.coat else self.shirt

    @property
    def hand(self) -> Color:
        """The colour of the hands."""
        return self.gloves or self.skin


def random_look(rng: Generator, *, coat: bool = False, gloves: bool = False, eyewear: bool = False) -> Look:
    """Make somebody up."""
    return Look(
        skin=_vary(SKINS, rng),
        hair=_vary(HAIRS, rng),
        shirt=_vary(CLOTHES, rng),
        trousers=_vary(TROUSERS, rng),
        shoes=_vary(TROUSERS, rng),
        build=float(rng.uniform(0.85, 1.25)),
        long_hair=bool(rng.random() < 0.35),
        coat=coat,
        gloves=_vary(GLOVES, rng) if gloves else None,
        eyewear=_vary(EYEWEAR, rng) if eyewear else None,
        hat=_vary(((40, 190, 230), (220, 220, 220), (180, 80, 40)), rng) if rng.random() < 0.1 else None,
        vest=_vary(((30, 90, 235), (40, 220, 200)), rng) if rng.random() < 0.1 and not coat else None,
    )


def draw_figure(
    canvas: Canvas, pose: Pose, look: Look, at: Point, height: float, *, facing: str, mirror: bool = False, actor: int
) -> None:
    """Draw a person.

    Args:
        canvas: where to.
        pose: joints in units of the figure's height.
        look: its look.
        at: where the middle of its feet is.
        height: of the figure when upright, in units of the canvas.
        facing: ``front``, ``back`` or ``side``, the last to the right unless mirrored.
        mirror: exchanges left and right.
        actor: its number in the labels.
    """
    sign = -1.0 if mirror else 1.0
    joints = {name: (at[0] + sign * x * height, at[1] + y * height) for name, (x, y) in pose.items()}
    figure = _Figure(canvas, joints, look, height, facing, sign, actor)
    figure.shadow(at)
    far, near = ("right", "left") if facing == "side" else ("left", "right")
    if facing == "back":
        figure.arm(far, 1.0)
        figure.arm(near, 1.0)
    elif facing == "side":
        figure.arm(far, 0.72)
    figure.leg(far, 0.78 if facing == "side" else 1.0)
    figure.leg(near, 1.0)
    figure.torso()
    figure.head()
    if facing != "back":
        figure.arm(near, 1.0)
    if facing == "front":
        figure.arm(far, 1.0)


@dataclass(slots=True)
class _Figure:
    canvas: Canvas
    joints: Pose
    look: Look
    height: float
    facing: str
    sign: float
    actor: int

    def shadow(self, at: Point) -> None:
        self.canvas.glow(at, (0.2 * self.height, 0.035 * self.height), (70, 70, 70), -1.0)

    def mark(self, role: Role) -> None:
        self.canvas.mark(label(role, self.actor))

    def leg(self, side: str, light: float) -> None:
        hip, knee, ankle = (self.joints[f"{side}_{part}"] for part in ("hip", "knee", "ankle"))
        self.mark(Role.PERSON)
        width = self.height * self.look.build
        color = _lit(self.look.trousers, light)
        self.canvas.line([hip, knee], color, 0.085 * width)
        self.canvas.line([knee, ankle], color, 0.065 * width)
        self.canvas.line([(hip[0] - 0.015 * width, hip[1]), knee, ankle], _lit(color, 1.18), 0.016 * width)
        self.mark(Role.FEET)
        along = 0.055 * self.sign if self.facing == "side" else 0.0
        toe = (ankle[0] + along * self.height, ankle[1] + 0.02 * self.height)
        self.canvas.line([(ankle[0], ankle[1] + 0.015 * self.height), toe], _lit(self.look.shoes, light), 0.052 * width)

    def arm(self, side: str, light: float) -> None:
        shoulder, elbow, wrist = (self.joints[f"{side}_{part}"] for part in ("shoulder", "elbow", "wrist"))
        width = self.height * self.look.build
        self.mark(Role.PERSON)
        color = _lit(self.look.outer, 0.92 * light)
        self.canvas.line([shoulder, elbow, wrist], _lit(color, 0.75), 0.066 * width)
        self.canvas.line([shoulder, elbow], color, 0.058 * width)
        self.canvas.line([elbow, wrist], color, 0.05 * width)
        self.mark(Role.HAND)
        tip = (wrist[0] + 0.18 * (wrist[0] - elbow[0]), wrist[1] + 0.18 * (wrist[1] - elbow[1]))
        self.canvas.line([wrist, tip], _lit(self.look.hand, light), 0.044 * self.height)

    def torso(self) -> None:
        self.mark(Role.PERSON)
        joints, size = self.joints, self.height * self.look.build
        neck, hip = joints["neck"], joints["hip"]
        across = _unit(neck, hip)
        half_top, half_low = (0.128, 0.092) if self.facing != "side" else (0.075, 0.072)
        is_long = self.look.coat and self.facing != "side" and abs(across[1]) > 0.7
        foot = (hip[0], hip[1] + (0.17 if is_long else 0.03) * self.height) if abs(across[1]) > 0.7 else hip
        left_top, right_top = _beside(neck, across, half_top * size, 0.06 * self.height)
        left_neck, right_neck = _beside(neck, across, 0.4 * half_top * size, 0.004 * self.height)
        left_low, right_low = _beside(foot, across, half_low * size, 0.0)
        waist_l, waist_r = _beside(hip, across, 0.86 * half_low * size, -0.1 * self.height)
        color = self.look.outer
        outline = [left_top, left_neck, right_neck, right_top, waist_r, right_low, left_low, waist_l]
        self.canvas.polygon(outline, color)
        if self.facing == "side":
            self.canvas.ellipse(hip, (0.082 * size, 0.078 * size), _lit(color, 0.9))
            self.canvas.ellipse(_mid(neck, hip, 0.2), (0.072 * size, 0.07 * size), color)
        shade = [left_top, _mid(left_top, right_top, 0.22), _mid(left_low, right_low, 0.2), left_low]
        self.canvas.polygon(shade, _lit(color, 0.82))
        if self.look.coat and self.facing == "front":
            self.canvas.polygon(
                [_mid(left_top, right_top, 0.36), _mid(left_top, right_top, 0.64), _mid(neck, hip, 0.4)],
                self.look.shirt,
            )
            self.canvas.line([_mid(neck, hip, 0.4), foot], _lit(color, 0.8), 0.008 * self.height)
        if self.look.vest is not None:
            self.canvas.polygon(
                [_mid(left_top, right_top, 0.1), _mid(left_top, right_top, 0.9), waist_r, waist_l], self.look.vest
            )
            self.canvas.line(
                [_mid(left_top, waist_l, 0.7), _mid(right_top, waist_r, 0.7)], (220, 224, 220), 0.02 * size
            )

    def head(self) -> None:
        (x, y), size, look = self.joints["head"], self.height, self.look
        up = _unit(self.joints["neck"], self.joints["head"])
        tilt = math.degrees(math.atan2(up[1], up[0])) - 90.0 if self.facing == "side" else 0.0
        self.mark(Role.PERSON)
        self.canvas.line([self.joints["neck"], (x, y + 0.03 * size)], _lit(look.skin, 0.8), 0.05 * size)
        if look.long_hair:
            behind = -0.025 * self.sign * size if self.facing == "side" else 0.0
            self.canvas.ellipse((x + behind, y + 0.045 * size), (0.062 * size, 0.095 * size), _lit(look.hair, 0.85))
        self.canvas.ellipse((x, y - 0.008 * size), (0.054 * size, 0.068 * size), look.hair, 1.0, tilt)
        if self.facing == "front":
            self._face((x, y), size)
        elif self.facing == "side":
            self._profile((x, y), size, tilt)
        if look.hat is not None:
            self.mark(Role.PERSON)
            self.canvas.ellipse((x, y - 0.042 * size), (0.062 * size, 0.04 * size), look.hat)
            self.canvas.line(
                [(x - 0.062 * size, y - 0.025 * size), (x + 0.062 * size, y - 0.025 * size)],
                _lit(look.hat, 0.8),
                0.012 * size,
            )

    def _face(self, center: Point, size: float) -> None:
        (x, y), look = center, self.look
        self.mark(Role.FACE)
        self.canvas.ellipse((x, y + 0.008 * size), (0.046 * size, 0.058 * size), look.skin)
        self.mark(Role.EYES)
        self.canvas.line(
            [(x - 0.03 * size, y - 0.006 * size), (x + 0.03 * size, y - 0.006 * size)], look.skin, 0.036 * size
        )
        self.mark(Role.FACE)
        self.canvas.polygon(
            [
                (x + 0.02 * size, y - 0.03 * size),
                (x + 0.045 * size, y),
                (x + 0.03 * size, y + 0.045 * size),
                (x + 0.012 * size, y + 0.06 * size),
            ],
            _lit(look.skin, 0.86),
        )
        self.mark(Role.EYES)
        for side in (-0.019, 0.019):
            self.canvas.line(
                [(x + (side - 0.009) * size, y - 0.017 * size), (x + (side + 0.009) * size, y - 0.018 * size)],
                _lit(look.hair, 0.9),
                0.005 * size,
            )
            self.canvas.ellipse((x + side * size, y - 0.004 * size), (0.0085 * size, 0.005 * size), (226, 228, 230))
            self.canvas.ellipse((x + side * size, y - 0.004 * size), (0.0042 * size, 0.0048 * size), (34, 34, 40))
        self.mark(Role.FACE)
        self.canvas.line(
            [(x, y), (x + 0.005 * size, y + 0.018 * size), (x - 0.004 * size, y + 0.02 * size)],
            _lit(look.skin, 0.72),
            0.004 * size,
        )
        self.canvas.line(
            [(x - 0.014 * size, y + 0.037 * size), (x + 0.014 * size, y + 0.037 * size)], (92, 90, 150), 0.006 * size
        )
        if look.eyewear is not None:
            self.mark(Role.EYEWEAR)
            box = [
                (x - 0.046 * size, y - 0.021 * size),
                (x + 0.046 * size, y - 0.021 * size),
                (x + 0.042 * size, y + 0.014 * size),
                (x + 0.01 * size, y + 0.016 * size),
                (x, y + 0.008 * size),
                (x - 0.01 * size, y + 0.016 * size),
                (x - 0.042 * size, y + 0.014 * size),
            ]
            self.canvas.polygon(box, look.eyewear, 0.55)
            self.canvas.line([*box, box[0]], _lit(look.eyewear, 0.55), 0.007 * size)
            self.canvas.line(
                [(x - 0.03 * size, y - 0.012 * size), (x - 0.016 * size, y - 0.014 * size)],
                (250, 250, 250),
                0.005 * size,
            )

    def _profile(self, center: Point, size: float, tilt: float) -> None:
        (x, y), look, sign = center, self.look, self.sign
        self.mark(Role.FACE)
        self.canvas.ellipse(
            (x + 0.016 * sign * size, y + 0.01 * size), (0.036 * size, 0.054 * size), look.skin, 1.0, tilt
        )
        self.canvas.polygon(
            [
                (x + 0.045 * sign * size, y - 0.004 * size),
                (x + 0.064 * sign * size, y + 0.014 * size),
                (x + 0.044 * sign * size, y + 0.02 * size),
            ],
            _lit(look.skin, 0.95),
        )
        self.mark(Role.EYES)
        eyes = [(x - 0.005 * sign * size, y - 0.005 * size), (x + 0.042 * sign * size, y - 0.005 * size)]
        self.canvas.line(eyes, look.skin, 0.024 * size)
        self.canvas.ellipse((x + 0.034 * sign * size, y - 0.006 * size), (0.005 * size, 0.004 * size), (30, 30, 34))
        if look.eyewear is not None:
            self.mark(Role.EYEWEAR)
            self.canvas.line(
                [(x - 0.02 * sign * size, y - 0.006 * size), (x + 0.05 * sign * size, y - 0.004 * size)],
                _lit(look.eyewear, 0.8),
                0.028 * size,
            )


def draw_arm(
    canvas: Canvas, look: Look, root: Point, wrist: Point, *, size: float, grip: float = 0.0, actor: int
) -> None:
    """Draw a forearm that reaches into the picture, with its hand.

    Args:
        canvas: where to.
        look: gives sleeve and skin.
        root: where the arm comes from, outside of the picture.
        wrist: where the hand begins.
        size: length of the hand.
        grip: 0 for an open hand, 1 for a fist.
        actor: its number in the labels.
    """
    canvas.mark(label(Role.HAND, actor))
    along = _unit(wrist, root)
    across = (-along[1], along[0])
    canvas.line([root, _move(wrist, along, -0.05 * size)], _lit(look.outer, 0.8), 0.78 * size)
    canvas.line([root, _move(wrist, along, -0.25 * size)], look.outer, 0.62 * size)
    hand = look.hand
    canvas.line([_move(wrist, along, -0.2 * size), _move(wrist, along, 0.1 * size)], _lit(hand, 0.92), 0.42 * size)
    palm = _move(wrist, along, 0.32 * size)
    canvas.line([wrist, palm], _lit(hand, 0.8), 0.62 * size)
    canvas.line([wrist, palm], hand, 0.54 * size)
    reach = size * (0.95 - 0.4 * grip)
    for number in range(4):
        beside = (number - 1.5) * 0.17 * size * (1.0 - 0.25 * grip)
        knuckle = _move(_move(wrist, along, 0.42 * size), across, beside)
        tip = _move(_move(wrist, along, reach * (1.0 - 0.06 * abs(number - 1.2))), across, 1.15 * beside)
        canvas.line([knuckle, tip], _lit(hand, 0.72), 0.17 * size)
        canvas.line([knuckle, tip], _lit(hand, 1.04), 0.12 * size)
    thumb = _move(_move(wrist, along, 0.15 * size), across, 0.22 * size)
    tip = _move(_move(wrist, along, 0.55 * size), across, (0.52 - 0.3 * grip) * size)
    canvas.line([thumb, tip], _lit(hand, 0.75), 0.2 * size)
    canvas.line([thumb, tip], _lit(hand, 0.98), 0.14 * size)


# ------------------------------------------------------------------------------------------------------ helpers


def _vary(colors: tuple[Color, ...], rng: Generator) -> Color:
    color = colors[int(rng.integers(len(colors)))]
    blue, green, red = np.clip(np.array(color) * rng.uniform(0.8, 1.15) + rng.normal(0, 6, 3), 8, 246)
    return (float(blue), float(green), float(red))


def _lit(color: Color, light: float) -> Color:
    return (min(255.0, color[0] * light), min(255.0, color[1] * light), min(255.0, color[2] * light))


def _unit(to: Point, origin: Point) -> Point:
    dx, dy = to[0] - origin[0], to[1] - origin[1]
    length = math.hypot(dx, dy) or 1.0
    return (dx / length, dy / length)


def _move(point: Point, along: Point, by: float) -> Point:
    return (point[0] + by * along[0], point[1] + by * along[1])


def _mid(a: Point, b: Point, share: float) -> Point:
    return (a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]))


def _beside(point: Point, along: Point, half: float, back: float) -> tuple[Point, Point]:
    """Return the points to both sides of a line, moved back along it."""
    x, y = point[0] - back * along[0], point[1] - back * along[1]
    return (x + half * along[1], y - half * along[0]), (x - half * along[1], y + half * along[0])
