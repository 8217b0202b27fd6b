"""A bench on which something goes wrong every few seconds, with the moment of the first evidence known to the frame.

Pictures come from ``sights`` with their exact truth, the sound is an alarm in the noise of a room. They are drawn once
and played again and again. It knows neither watchers nor ROS, and measures nothing.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import PCG64, Generator
from numpy.typing import NDArray

from tml_ros.evaluation.safety_scenes import RULES
from tml_ros.records import SAMPLE_RATE_HZ
from tml_ros.sights import SightEvent, SightKind, SightScene
from tml_ros.sights.acts import Flame, Hand
from tml_ros.sights.camera import Camera, Cover
from tml_ros.sights.figures import random_look
from tml_ros.sights.stage import Stage
from tml_ros.sights.theme_benches import bench_painters, random_bench
from tml_ros.sights.theme_parts import both, fixed
from tml_ros.sights.tracks import Track, pulse

__all__ = ["ALARM", "KINDS", "QUIET", "Segment", "lab_text", "make_segments"]

ALARM = "alarm"
QUIET = "quiet"
KINDS = (SightKind.HAND_IN_ZONE.value, SightKind.FLAME.value, SightKind.LENS_COVERED.value, ALARM)
_SEGMENT_S = 7.0
_BEGIN_S, _END_S = 1.4, 3.9
_QUIET_S = 1.4
_WORDS = {
    SightKind.HAND_IN_ZONE.value: "There is a hand in the zone.",
    SightKind.FLAME.value: "I see what looks like a flame.",
    SightKind.LENS_COVERED.value: "Something covers the camera.",
    ALARM: "I hear an alarm.",
}
_CONDITIONS = {kind.value: condition for kind, condition in RULES.items()} | {ALARM: "{value: alarm.alarm, above: 0.5}"}
_WATCHERS = (
    "{camera: {kind: camera}, flame: {kind: flame}, zone: {kind: zone, zone: area}, "
    "alarm: {kind: alarm_tone}, surface: {kind: surface, zone: area}}"
)


@dataclass(frozen=True, slots=True)
class Segment:
    """Some seconds of the bench. begin_s: of the first evidence, None where nothing happens; end_s: of the last.

    frames: [H, W, 3] uint8 RGB each, evenly spaced. sound: [N] float32 at 16 kHz, as long as they are.
    """

    kind: str
    frames: tuple[NDArray[np.uint8], ...]
    sound: NDArray[np.float32]
    begin_s: float | None = None
    end_s: float | None = None


def make_segments(fps: float, size: tuple[int, int] = (640, 480), seed: int = 3) -> dict[str, Segment]:
    """Draw one segment of each kind and one in which nothing happens.

    Args:
        fps: pictures a second.
        size: width and height.
        seed: of the bench, its look and the noise.
    """
    scene = _scene(seed)
    frames = [rgb for _, rgb in scene.frames(fps, size)]
    truth = scene.truth(fps)
    rng = Generator(PCG64([seed, 2]))
    made = {}
    for number, kind in enumerate(KINDS):
        first, last = (round((number + shift) * _SEGMENT_S * fps) for shift in (0, 1))
        sound = _noise(rng, (last - first) / fps)
        if kind == ALARM:
            begin_s, end_s = _BEGIN_S, _END_S
            _add_alarm(sound, begin_s, end_s)
        else:
            begin_s, end_s = _span(truth, kind, first / fps)
        made[kind] = Segment(kind, tuple(frames[first:last]), sound, begin_s, end_s)
    count = round(_QUIET_S * fps)
    made[QUIET] = Segment(QUIET, tuple(frames[:count]), _noise(rng, count / fps))
    return made


def lab_text(kinds: Sequence[str] = KINDS, seed: int = 3) -> str:
    """Return a lab file that watches this bench."""
    zone = json.dumps([[round(min(1.0, max(0.0, value)), 4) for value in point] for point in _scene(seed).zone])
    rules = "\n".join(
        f"  {kind}: {{when: {_CONDITIONS[kind]}, describe: {_WORDS[kind]}, clear_after_s: 0.4}}" for kind in kinds
    )
    return f"version: 1\nlab: bench\nzones: {{area: {zone}}}\nwatchers: {_WATCHERS}\nrules:\n{rules}\n"


def _scene(seed: int) -> SightScene:
    """Set the stage: a bench from above, one thing after the other."""
    rng = Generator(PCG64([seed, 1]))
    bench = random_bench(rng, is_steep=True)
    back, top = bench_painters(rng, bench, has_zone=True)
    starts = {kind: number * _SEGMENT_S for number, kind in enumerate(KINDS)}
    at_s = starts[SightKind.HAND_IN_ZONE.value] + _BEGIN_S - 0.4
    x = 0.5 * (bench.zone[2][0] + bench.zone[3][0])
    y = 0.5 * (bench.zone[0][1] + bench.zone[2][1])
    reach = Track.of((at_s, 760.0), (at_s + 0.7, y), (at_s + 2.8, y), (at_s + 3.5, 760.0))
    hand = Hand(1, (x + 60.0, 760.0), fixed(x), reach, 95.0, random_look(rng, coat=True, gloves=False), fixed(0.3))
    at_s = starts[SightKind.FLAME.value] + _BEGIN_S
    burns = Track.of((at_s - 0.1, 0.0), (at_s + 0.3, 1.0), (at_s + 2.6, 1.0), (at_s + 2.9, 0.0))
    flame = Flame(2, (x, y + 20.0), 90.0, burns, 0.3)
    at_s = starts[SightKind.LENS_COVERED.value] + _BEGIN_S
    cover = Cover("left", pulse(at_s - 0.06, at_s + 2.44, 0.05), (40.0, 45.0, 60.0))  # from one frame to the next
    camera = Camera(
        light=Track.of((0.0, 0.95)),
        warmth=(1.0, 1.0, 1.0),
        gamma=1.0,
        black=5.0,
        noise=2.5,
        blur=0.5,
        shake=0.0,
        quality=0,
        hum=0.0,
        hum_hz=1.0,
        vignette=0.1,
        covers=(cover,),
    )
    view = np.eye(3)
    duration_s = len(KINDS) * _SEGMENT_S
    stage = Stage("bench", duration_s, both(back, top), view, camera, acts=(hand, flame), zone=bench.zone)
    return SightScene(stage, seed=seed)


def _span(truth: Sequence[SightEvent], kind: str, start_s: float) -> tuple[float, float]:
    """Return begin and end of what is seen in one segment, from its start."""

    def inside() -> Iterator[SightEvent]:
        return (one for one in truth if one.kind.value == kind and start_s <= one.begin_s < start_s + _SEGMENT_S)

    return min(one.begin_s for one in inside()) - start_s, max(one.end_s for one in inside()) - start_s


def _noise(rng: Generator, seconds: float) -> NDArray[np.float32]:
    return rng.normal(0.0, 0.002, round(seconds * SAMPLE_RATE_HZ)).astype(np.float32)


def _add_alarm(sound: NDArray[np.float32], begin_s: float, end_s: float) -> None:
    """Add a beeper of 2.9 kHz."""
    first, last = round(begin_s * SAMPLE_RATE_HZ), round(end_s * SAMPLE_RATE_HZ)
    times = np.arange(last - first) / SAMPLE_RATE_HZ
    sound[first:last] += (0.1 * np.sin(2 * np.pi * 2900.0 * times)).astype(np.float32)
