"""What happens in a scene, at random: one function per theme, each with its look-alikes.

Every choice comes from one generator of random numbers, so (seed, index) give the scene. It draws nothing itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from numpy.random import PCG64, Generator

from tml_ros.errors import ConfigError, nearest_name
from tml_ros.sights.acts import Sitter
from tml_ros.sights.camera import random_camera
from tml_ros.sights.figures import random_look
from tml_ros.sights.places import paint_desk
from tml_ros.sights.scene import SightScene
from tml_ros.sights.stage import Stage
from tml_ros.sights.theme_benches import bench_painters, eyewear, hands, hazards, random_bench, transfer
from tml_ros.sights.theme_parts import both, faulty, look_alikes, random_color, random_stage
from tml_ros.sights.theme_rooms import approaches, exercise, random_room, room_painter, walks
from tml_ros.sights.tracks import Track

__all__ = ["DURATION_S", "THEMES", "make_scene"]

DURATION_S = 20.0
"""Length of a scene where nothing else is asked for."""


def make_scene(seed: int, index: int, theme: str | None = None, duration_s: float = DURATION_S) -> SightScene:
    """Make the scene that seed and index stand for.

    Args:
        seed: of a set of scenes, not negative.
        index: of a scene in it, not negative; themes take turns with it.
        theme: one of THEMES, or None.
        duration_s: at least 8.

    Raises:
        ConfigError: an argument is none of these.
    """
    if seed < 0 or index < 0:
        raise ConfigError(f"seed and index of a scene must not be negative, got {seed} and {index}")
    if not duration_s >= 8.0:
        raise ConfigError(f"duration_s of a scene must be at least 8, got {duration_s}")
    names = sorted(THEMES)
    name = names[index % len(names)] if theme is None else theme
    if name not in THEMES:
        raise ConfigError(f"unknown theme {name}{nearest_name(name, THEMES)}; use one of {', '.join(names)}")
    rng = Generator(PCG64([seed, index]))
    return SightScene(THEMES[name](rng, duration_s), seed=int(rng.integers(1 << 31)))


def _desk(rng: Generator, duration_s: float) -> Stage:
    """Somebody at a desk, upright or slouching."""
    keys, time_s, slouches = [(0.0, float(rng.uniform(-4, 8)))], 0.0, bool(rng.random() < 0.15)
    if slouches:
        keys = [(0.0, float(rng.uniform(28, 44)))]
    while True:
        time_s += float(rng.uniform(3.0, 7.0))
        if time_s > duration_s - 3.0:
            break
        slouches = not slouches if rng.random() < 0.75 else slouches
        keys.append((time_s, keys[-1][1]))
        time_s += float(rng.uniform(0.5, 1.6))
        keys.append((time_s, float(rng.uniform(28, 46) if slouches else rng.uniform(-6, 11))))
    floor, size = float(rng.uniform(420, 560)), float(rng.uniform(430, 620))
    mirror = bool(rng.random() < 0.5)
    at = (320.0 - (-1 if mirror else 1) * float(rng.uniform(0.1, 0.3)) * size, floor)
    sitter = Sitter(
        1,
        at,
        size,
        random_look(rng),
        Track.of(*keys),
        mirror,
        random_color(rng, ((110, 150, 190), (60, 90, 130))),
        random_color(rng, ((50, 50, 50), (110, 60, 40))),
    )
    seed = int(rng.integers(1 << 31))
    acts = (*look_alikes(rng, duration_s, 200.0, few=True), sitter)
    return random_stage("desk", rng, duration_s, lambda canvas: paint_desk(canvas, Generator(PCG64(seed)), floor), acts)


def _faults(rng: Generator, duration_s: float) -> Stage:
    """A covered lens, a frozen picture, or darkness, in some other scene."""
    other = (walks, hands, _desk, _quiet)[int(rng.integers(4))](rng, duration_s)
    return replace(other, theme="faults", camera=faulty(rng, random_camera(rng), duration_s, one_more=True))


def _quiet(rng: Generator, duration_s: float) -> Stage:
    """Nothing but what looks like something: red bottles, reflections, lights, posters, screens, shadows."""
    if rng.random() < 0.5:
        floor = random_room(rng)
        painter, edge = room_painter(rng, floor, floor.zone(rng) if rng.random() < 0.5 else ()), floor.horizon
    else:
        bench = random_bench(rng)
        back, top = bench_painters(rng, bench, has_zone=bool(rng.random() < 0.5))
        painter, edge = both(back, top), bench.edge
    acts = tuple(look_alikes(rng, duration_s, edge) + look_alikes(rng, duration_s, edge))
    return random_stage("quiet", rng, duration_s, painter, acts, faults=0.0)


THEMES: Mapping[str, Callable[[Generator, float], Stage]] = {
    "approaches": approaches,
    "desk": _desk,
    "exercise": exercise,
    "eyewear": eyewear,
    "faults": _faults,
    "hands": hands,
    "hazards": hazards,
    "quiet": _quiet,
    "transfer": transfer,
    "walks": walks,
}
"""What scenes are about; with an index and no theme, they take turns in this order."""
