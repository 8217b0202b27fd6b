"""What happens on benches: hands that reach and carry, flames, smoke, spills, and who stands behind."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from numpy.random import PCG64, Generator

from tml_ros.sights.acts import Act, Flame, Hand, Smoke, Spill, Vessel, Walker
from tml_ros.sights.canvas import Canvas, Point
from tml_ros.sights.figures import random_look
from tml_ros.sights.places import paint_bench, paint_clutter, paint_tabletop, paint_zone
from tml_ros.sights.props import LIQUIDS, VESSELS, blob
from tml_ros.sights.stage import Stage
from tml_ros.sights.theme_parts import REST, both, fixed, look_alikes, pick, random_color, random_stage, repeat
from tml_ros.sights.tracks import Track, pulse

__all__ = ["Bench", "bench_painters", "eyewear", "hands", "hazards", "random_bench", "transfer"]


@dataclass(frozen=True, slots=True)
class Bench:
    """A bench before a wall. edge: where its top begins. places: where things stand, feet. size: of vessels."""

    edge: float
    places: tuple[Point, ...]
    zone: tuple[Point, ...]
    size: float


def random_bench(rng: Generator, *, is_steep: bool = False) -> Bench:
    edge = float(rng.uniform(-200, -60)) if is_steep or rng.random() < 0.35 else float(rng.uniform(180, 280))
    back = max(edge, 0.0) + 30.0
    x, y = float(rng.uniform(170, 470)), float(rng.uniform(back + 70, 420))
    half, deep = float(rng.uniform(80, 150)), float(rng.uniform(45, 75))
    zone = ((x - 0.85 * half, y - deep), (x + 0.85 * half, y - deep), (x + half, y + deep), (x - half, y + deep))
    places = [
        (float(rng.uniform(-40, 680)), float(rng.uniform(back, back + 50))) for _ in range(int(rng.integers(2, 7)))
    ]
    return Bench(edge, tuple(places), zone, float(rng.uniform(70, 130)))


def bench_painters(
    rng: Generator, bench: Bench, *, has_zone: bool
) -> tuple[Callable[[Canvas], None], Callable[[Canvas], None]]:
    seeds = rng.integers(1 << 31, size=2)

    def back(canvas: Canvas) -> None:
        paint_bench(canvas, Generator(PCG64(int(seeds[0]))), bench.edge)

    def top(canvas: Canvas) -> None:
        own = Generator(PCG64(int(seeds[1])))
        paint_tabletop(canvas, own, bench.edge, float(own.choice([own.uniform(440, 470), 900.0])))
        if has_zone:
            paint_zone(canvas, own, bench.zone)
        paint_clutter(canvas, own, bench.places, bench.size)

    return back, top


def hands(rng: Generator, duration_s: float) -> Stage:
    """Hands that reach into a zone, or beside it, and lift vessels."""
    bench = random_bench(rng)
    acts: list[Act] = look_alikes(rng, duration_s, bench.edge, few=True)
    begin_s = float(rng.uniform(1.5, 4.0))
    for actor in range(1, 4):
        end_s = begin_s + float(rng.uniform(2.5, 5.0))
        if end_s > duration_s - 1.0:
            break
        in_zone = rng.random() < 0.6
        left, right = bench.zone[3][0], bench.zone[2][0]
        middle = 0.5 * (bench.zone[0][1] + bench.zone[2][1])
        if in_zone:
            x = rng.uniform(left + 40, right - 40)
        else:  # beside it, where there is more room
            x = rng.uniform(30, left - 100) if left > 640 - right else rng.uniform(right + 100, 610)
        target = (float(x), float(middle + rng.uniform(-20, 25)))
        reach = _reach(rng, actor, target, begin_s, end_s, bench.size, beside=not in_zone)
        acts += reach
        begin_s = float(rng.uniform(1.0, 2.5)) + max(act.x.times_s[-1] for act in reach if isinstance(act, Hand))
    back, top = bench_painters(rng, bench, has_zone=True)
    return random_stage("hands", rng, duration_s, both(back, top), tuple(acts), zone=bench.zone)


def _reach(
    rng: Generator, actor: int, target: Point, begin_s: float, end_s: float, size: float, *, beside: bool
) -> list[Act]:
    """Make a hand that reaches for a target, with a vessel there or not, and goes back."""
    hand_size = float(rng.uniform(75, 120))
    sides: list[Point] = [(target[0] + float(rng.uniform(-150, 150)), 760.0)]
    if not beside:
        sides += [(-150.0, target[1] + 90), (790.0, target[1] + 90)]
    elif target[0] < 320:
        sides += [(-200.0, target[1] + 60)]
    else:
        sides += [(840.0, target[1] + 60)]
    if rng.random() < 0.2:
        sides = [(target[0] + float(rng.uniform(-150, 150)), -280.0)]
    root = sides[int(rng.integers(len(sides)))]
    ramp_s = float(rng.uniform(0.5, 1.0))
    x = Track.of((begin_s, root[0]), (begin_s + ramp_s, target[0]), (end_s - ramp_s, target[0]), (end_s, root[0]))
    y_keys = [(begin_s, root[1]), (begin_s + ramp_s, target[1]), (end_s - ramp_s, target[1]), (end_s, root[1])]
    grip = pulse(begin_s + ramp_s, end_s - ramp_s, 0.3)
    look = random_look(rng, coat=bool(rng.random() < 0.5), gloves=bool(rng.random() < 0.5))
    if rng.random() < 0.5:
        return [Hand(actor, root, x, Track.of(*y_keys), hand_size, look, grip)]
    along = math.atan2(target[1] - root[1], target[0] - root[0])
    grasp = (0.6 * hand_size * math.cos(along), 0.6 * hand_size * math.sin(along) + 0.4 * size)
    if rng.random() < 0.5:  # it is taken away, and brought back
        back_s = end_s + float(rng.uniform(1.0, 5.0))
        wrist_x = _there_and_back(begin_s, back_s, ramp_s, root[0], target[0], end_s)
        wrist_y = _there_and_back(begin_s, back_s, ramp_s, root[1], target[1], end_s)
        taken, put = begin_s + ramp_s + 0.2, back_s + ramp_s
        hand = Hand(actor, root, wrist_x, wrist_y, hand_size, look, fixed(0.8))
        x, y = (_held(track, taken, put, shift) for track, shift in ((wrist_x, grasp[0]), (wrist_y, grasp[1])))
        return [Vessel(pick(rng, VESSELS), x, y, size, random_color(rng, LIQUIDS), REST, actor), hand]
    lift = float(rng.uniform(20, 120))
    rise = Track.of(
        (begin_s + ramp_s + 0.2, 0.0),
        (begin_s + ramp_s + 0.7, lift),
        (end_s - ramp_s - 0.6, lift),
        (end_s - ramp_s - 0.1, 0.0),
    )
    y_keys[1:3] = [
        (begin_s + ramp_s, target[1]),
        (begin_s + ramp_s + 0.2, target[1]),
        (begin_s + ramp_s + 0.7, target[1] - lift),
        (end_s - ramp_s - 0.6, target[1] - lift),
        (end_s - ramp_s - 0.1, target[1]),
    ]
    at = (fixed(target[0] + grasp[0]), fixed(target[1] + grasp[1]))
    vessel = Vessel(pick(rng, VESSELS), *at, size, random_color(rng, LIQUIDS), rise, actor)
    return [vessel, Hand(actor, root, x, Track.of(*y_keys), hand_size, look, grip)]


def _there_and_back(begin_s: float, back_s: float, ramp_s: float, root: float, target: float, out_s: float) -> Track:
    """Return one coordinate of a wrist that goes in and out, and after back_s once more."""
    first = ((begin_s, root), (begin_s + ramp_s, target), (begin_s + ramp_s + 0.4, target), (out_s, root))
    return Track.of(
        *first,
        (back_s, root),
        (back_s + ramp_s, target),
        (back_s + ramp_s + 0.4, target),
        (back_s + 2 * ramp_s + 0.4, root),
    )


def _held(wrist: Track, taken_s: float, put_s: float, shift: float) -> Track:
    """Return one coordinate of a vessel that goes with the wrist from when it is taken until it is put back."""
    times = [taken_s, *(time_s for time_s in wrist.times_s if taken_s < time_s < put_s), put_s]
    return Track.of(*((time_s, wrist.at(time_s) + shift) for time_s in times))


def transfer(rng: Generator, duration_s: float) -> Stage:
    """A vessel that a hand takes from one place to another and back, over and over."""
    bench = random_bench(rng, is_steep=bool(rng.random() < 0.5))
    period_s = float(rng.uniform(3.0, 5.5))
    repetitions = repeat(rng, "transfers", duration_s, period_s)
    y = float(rng.uniform(max(bench.edge, 0) + 120, 430))
    here, there = float(rng.uniform(130, 250)), float(rng.uniform(390, 510))
    if rng.random() < 0.5:
        here, there = there, here
    x, lift = _transfer_tracks(repetitions.marks_s, here, there, float(rng.uniform(15, 60)))
    size, hand_size = bench.size, float(rng.uniform(80, 120))
    vessel = Vessel(pick(rng, VESSELS), x, fixed(y), size, random_color(rng, LIQUIDS), lift, 1)
    wrist_y = Track(lift.times_s, tuple(y - 0.45 * size + 0.62 * hand_size - value for value in lift.values))
    root = (float(rng.uniform(200, 440)), 800.0)
    hand = Hand(
        1, root, x, wrist_y, hand_size, random_look(rng, coat=True, gloves=bool(rng.random() < 0.6)), fixed(0.8)
    )
    back, top = bench_painters(rng, replace(bench, places=bench.places[:2]), has_zone=False)
    pads = _pads(rng, (here, y), (there, y))
    return random_stage(
        "transfer", rng, duration_s, both(back, top, pads), (vessel, hand), faults=0.0, repetitions=((repetitions, 1),)
    )


def _transfer_tracks(marks_s: Sequence[float], here: float, there: float, lift: float) -> tuple[Track, Track]:
    """Return x and lift: over in the first 45 % of a repetition, back from its middle to 95 %."""
    x, up = [(0.0, here)], [(0.0, 0.0)]
    for begin_s, end_s in pairwise(marks_s):
        length_s = end_s - begin_s
        x += [
            (begin_s + share * length_s, at) for share, at in ((0.08, here), (0.4, there), (0.55, there), (0.9, here))
        ]
        up += [
            (begin_s + share * length_s, lift * at)
            for share, at in ((0.0, 0.0), (0.1, 1), (0.38, 1), (0.46, 0), (0.5, 0), (0.58, 1), (0.86, 1), (0.95, 0))
        ]
    return Track.of(*x[1:]), Track.of(*up[1:])


def _pads(rng: Generator, *places: Point) -> Callable[[Canvas], None]:
    color = random_color(rng, LIQUIDS)

    def paint(canvas: Canvas) -> None:
        for x, y in places:
            canvas.ellipse((x, y), (62, 22), color, 0.7)

    return paint


def hazards(rng: Generator, duration_s: float) -> Stage:
    """Flames, smoke and spills on a bench."""
    bench = random_bench(rng)
    begin_s = float(rng.uniform(2.0, 0.5 * duration_s))
    acts: list[Act] = look_alikes(rng, duration_s, bench.edge, few=True)
    kind = str(rng.choice(["flame", "smoke", "spill", "spill", "flame and smoke", "smoke then flame"]))
    foot = (float(rng.uniform(110, 530)), float(rng.uniform(max(bench.edge, 0) + 90, 420)))
    if kind == "spill" or rng.random() < 0.2:
        acts.append(_spill(rng, 3, foot, begin_s, bench.edge))
    if kind != "spill":
        stand = Vessel(pick(rng, VESSELS), fixed(foot[0]), fixed(foot[1]), bench.size, random_color(rng, LIQUIDS), REST)
        acts.append(stand)
        foot = (foot[0], foot[1] - float(rng.uniform(0.2, 0.95)) * bench.size)
    if "smoke" in kind:
        grey = float(rng.uniform(60, 225))
        share = _grows(rng, begin_s, duration_s, float(rng.uniform(1.5, 4.0)))
        acts.append(Smoke(2, foot, float(rng.uniform(150, 300)), share, (grey, grey, grey), float(rng.normal(0, 0.25))))
    if "flame" in kind:
        later = 4.0 if kind == "smoke then flame" else 0.0
        share = _grows(rng, begin_s + later, duration_s, float(rng.uniform(0.3, 2.0)))
        acts.append(Flame(1, foot, float(rng.uniform(70, 190)), share, float(rng.random())))
    back, top = bench_painters(rng, bench, has_zone=False)
    return random_stage("hazards", rng, duration_s, both(back, top), tuple(acts))


def _spill(rng: Generator, actor: int, at: Point, begin_s: float, edge: float) -> Spill:
    is_steep = edge < 0
    color = random_color(rng, LIQUIDS)
    outline = blob(rng, float(rng.uniform(0.5, 0.9)) if is_steep else float(rng.uniform(0.25, 0.45)))
    return Spill(
        actor, at, outline, float(rng.uniform(70, 150)), color, begin_s, begin_s + float(rng.uniform(4.0, 14.0))
    )


def _grows(rng: Generator, begin_s: float, duration_s: float, ramp_s: float) -> Track:
    keys = [(begin_s, 0.0), (begin_s + ramp_s, 1.0)]
    end_s = begin_s + ramp_s + float(rng.uniform(3.0, 10.0))
    if end_s < duration_s - 2.0 and rng.random() < 0.5:
        keys += [(end_s, 1.0), (end_s + 1.0, 0.0)]
    return Track.of(*keys)


def eyewear(rng: Generator, duration_s: float) -> Stage:
    """Somebody behind a bench, who wears goggles or not, or takes them off or puts them on."""
    bench = random_bench(rng)
    edge = float(rng.uniform(270, 340))
    bench = Bench(edge, tuple((x, edge + 40 + 0.3 * y) for x, y in bench.places[:4]), (), 0.8 * bench.size)
    tall = float(rng.uniform(0.75, 1.0)) * (edge - 45.0) / 0.46
    feet = edge + 0.52 * tall
    worn = random_look(rng, coat=bool(rng.random() < 0.85), gloves=bool(rng.random() < 0.5), eyewear=True)
    bare = replace(worn, eyewear=None)
    change_s = float(rng.uniform(0.45, 0.65)) * duration_s
    first, then = ((bare, worn), (worn, bare), (worn, worn), (bare, bare))[int(rng.integers(4))]
    come_s = float(rng.choice([-20.0, rng.uniform(1.0, 3.0)]))
    side, stop = float(rng.choice([-300.0, 940.0])), float(rng.uniform(220, 420))
    x = Track.of((come_s, side), (come_s + float(rng.uniform(1.5, 2.5)), stop))
    gesture = pulse(change_s - 0.7, change_s + 0.6, 0.5) if first is not then else None
    person = Walker(1, x, fixed(feet), lambda y: tall, ((-99.0, first), (change_s, then)), "front", gesture)
    back, top = bench_painters(rng, bench, has_zone=False)
    behind = (*look_alikes(rng, duration_s, edge, few=True), person)
    return random_stage("eyewear", rng, duration_s, back, (), behind=behind, cover=top, is_lab=True)
