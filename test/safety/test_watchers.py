"""Watchers of pictures and sound on scenes and sounds that are exact: what they find, when, and what they let pass."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tml_ros.errors import ConfigError
from tml_ros.records import MICRO_TURN_NS
from tml_ros.safety.alarm_tone import AlarmTone, AlarmToneConfig
from tml_ros.safety.camera_health import CameraHealth, CameraHealthConfig
from tml_ros.safety.flame import FlameConfig, FlameWatcher
from tml_ros.safety.hum import Hum, HumConfig
from tml_ros.safety.sound_level import SoundLevel, SoundLevelConfig
from tml_ros.safety.surface import SurfaceConfig, SurfaceWatcher
from tml_ros.safety.watcher import SafetyTurn, Surroundings
from tml_ros.safety.zone import ZoneConfig, ZoneWatcher
from tml_ros.safety.zones import Zone

sys.path.insert(0, str(Path(__file__).parent))
from safety_scenes import listen, noisy, room, watch

NOWHERE = Surroundings()
FLOOR = Surroundings({"floor": Zone("floor", ((0.5, 0.6), (1.0, 0.6), (1.0, 1.0), (0.5, 1.0)))})
RATE = 16_000


def first(values: list[dict[str, float | None]], name: str) -> int | None:
    """The first step in which a value is above one half."""
    return next((number for number, one in enumerate(values) if (one[name] or 0.0) > 0.5), None)


def person(picture: np.ndarray, x: int, feet: int) -> np.ndarray:
    """Draw somebody 50 pixels tall."""
    drawn = picture.copy()
    cv2.rectangle(drawn, (x - 5, feet - 38), (x + 5, feet - 18), (40, 60, 160), -1)
    cv2.rectangle(drawn, (x - 4, feet - 18), (x + 4, feet), (50, 40, 30), -1)
    cv2.circle(drawn, (x, feet - 43), 4, (200, 160, 140), -1)
    return drawn


def tone(hz: float, seconds: float, level: float = 0.2) -> np.ndarray:
    return level * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE)) / RATE)


def hiss(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 0.003, int(seconds * RATE))


# ------------------------------------------------------------------------------------------------------------ camera


def test_frozen_is_seen_at_the_second_repetition_when_noise_is_usual():
    pictures = [noisy(room(), number) for number in range(20)]
    pictures += [pictures[-1]] * 5
    assert first(watch(CameraHealth(CameraHealthConfig(), NOWHERE), pictures), "frozen") == 21


def test_frozen_is_not_seen_when_a_camera_gives_every_picture_twice():
    pictures = [noisy(room(), number // 2) for number in range(60)]
    assert first(watch(CameraHealth(CameraHealthConfig(), NOWHERE), pictures)[12:], "frozen") is None


def test_covered_lens_is_seen_when_something_slides_before_it():
    pictures = [noisy(room(), number) for number in range(15)]
    for number in range(10):
        covered = cv2.GaussianBlur(room(), (3, 3), 0)
        covered[:, : 16 * (number + 1)] = (70, 60, 50)
        pictures.append(noisy(covered, 100 + number))
    values = watch(CameraHealth(CameraHealthConfig(), NOWHERE), pictures)
    assert first(values, "covered") in (19, 20)
    assert first(values, "dark") is None


@pytest.mark.parametrize("share", [0.0, 0.05])
def test_darkness_is_not_a_covered_lens_when_the_light_goes_out(share):
    dark = (room() * share + 6).astype(np.uint8)
    pictures = [noisy(room(), number) for number in range(15)] + [noisy(dark, number) for number in range(5)]
    values = watch(CameraHealth(CameraHealthConfig(), NOWHERE), pictures)
    assert first(values, "dark") == 15
    assert first(values, "covered") is None


def plain_bench() -> np.ndarray:
    """A bench from above with next to nothing on it but two things in the corners."""
    picture = np.full((120, 160, 3), 110, np.uint8)
    cv2.rectangle(picture, (0, 0), (5, 7), (220, 180, 190), -1)
    cv2.rectangle(picture, (152, 0), (159, 5), (220, 180, 190), -1)
    return picture


def test_lens_is_not_covered_when_a_bench_is_plain():
    pictures = [noisy(plain_bench(), n) for n in range(15)]
    assert first(watch(CameraHealth(CameraHealthConfig(), NOWHERE), pictures), "covered") is None


def test_cover_is_seen_when_a_bench_is_plain():
    pictures = [noisy(plain_bench(), n) for n in range(15)]
    pictures += [noisy(np.full((120, 160, 3), (70, 45, 40), np.uint8), n) for n in range(5)]
    assert first(watch(CameraHealth(CameraHealthConfig(), NOWHERE), pictures), "covered") == 15


def test_lens_is_not_covered_when_the_light_of_a_room_with_faint_edges_falls_for_long():
    faint = cv2.GaussianBlur(room(), (0, 0), 6)
    pictures = [noisy(faint, n) for n in range(15)]
    pictures += [noisy((faint * 0.4).astype(np.uint8), n) for n in range(60)]
    assert first(watch(CameraHealth(CameraHealthConfig(), NOWHERE), pictures), "covered") is None


def test_missing_pictures_are_told_when_none_come():
    watcher = CameraHealth(CameraHealthConfig(), NOWHERE)
    assert listen(watcher, hiss(3.0))[-1]["missing_s"] == pytest.approx(3.0)


# -------------------------------------------------------------------------------------------------------------- zone


def test_person_is_in_the_zone_when_his_feet_are():
    way = [None] * 15 + [*range(10, 150, 6)]
    pictures = [noisy(room() if x is None else person(room(), x, 100), n) for n, x in enumerate(way)]
    values = watch(ZoneWatcher(ZoneConfig(zone="floor"), FLOOR), pictures)
    entered = next(number for number, x in enumerate(way) if x is not None and x >= 76)
    assert first(values, "people") in range(entered - 1, entered + 3)


def test_person_is_not_in_the_zone_when_only_his_head_is_before_it():
    pictures = [noisy(room(), n) for n in range(15)] + [noisy(person(room(), 110, 70), n) for n in range(10)]
    high = Surroundings({"floor": Zone("floor", ((0.5, 0.0), (1.0, 0.0), (1.0, 0.4), (0.5, 0.4)))})
    assert first(watch(ZoneWatcher(ZoneConfig(zone="floor"), high), pictures), "people") is None


def test_person_is_not_in_the_zone_when_the_legs_that_are_out_of_it_look_like_the_floor():
    def in_dark_trousers(x: int, feet: int) -> np.ndarray:
        drawn = person(room(), x, feet)
        drawn[feet - 18 : feet - 7] = room()[feet - 18 : feet - 7]
        return drawn

    high = Surroundings({"floor": Zone("floor", ((0.0, 0.0), (1.0, 0.0), (1.0, 0.8), (0.0, 0.8)))})
    pictures = [noisy(room(), n) for n in range(15)]
    pictures += [noisy(in_dark_trousers(40 + 2 * n, 108), n) for n in range(20)]
    values = watch(ZoneWatcher(ZoneConfig(zone="floor"), high), pictures)
    assert max(one["new"] or 0.0 for one in values) > 0.01
    assert first(values, "people") is None


def test_nothing_is_new_when_only_the_light_changes():
    pictures = [noisy((room() * (1.0 - 0.02 * max(0, n - 15))).astype(np.uint8), n) for n in range(35)]
    values = watch(ZoneWatcher(ZoneConfig(), NOWHERE), pictures)
    assert max(one["new"] or 0.0 for one in values) < 0.01


def test_unknown_zone_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match=r"no zone 'flor'.*did you mean 'floor'"):
        ZoneWatcher(ZoneConfig(zone="flor"), FLOOR)


# ----------------------------------------------------------------------------------------------------- flame and spill


def flame(picture: np.ndarray, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    drawn = picture.copy()
    tall = rng.uniform(16, 28)
    tip = (60 + int(rng.integers(-4, 5)), int(80 - tall))
    outer = np.array(
        [(52, 80), (54 + rng.integers(-2, 3), 80 - tall / 2), tip, (67, 80 - tall / 2), (68, 80)], np.int32
    )
    cv2.fillPoly(drawn, [outer], (250, 110, 20))
    cv2.ellipse(drawn, (60, 76), (5, int(tall / 3)), 0, 0, 360, (255, 225, 110), -1)
    return drawn


def test_flame_is_seen_when_something_burns():
    pictures = [noisy(room(), n) for n in range(15)] + [noisy(flame(room(), n), n) for n in range(20)]
    assert first(watch(FlameWatcher(FlameConfig(), NOWHERE), pictures), "flame") in range(18, 24)


def test_no_flame_is_seen_when_something_of_its_colours_stands_there():
    pictures = [noisy(room(), n) for n in range(15)] + [noisy(flame(room(), 1), n) for n in range(20)]
    assert first(watch(FlameWatcher(FlameConfig(), NOWHERE), pictures), "flame") is None


def shaken(picture: np.ndarray, seed: int) -> np.ndarray:
    x, y = np.random.default_rng(seed).uniform(-1.0, 1.0, 2)
    shift = np.array([[1.0, 0.0, x], [0.0, 1.0, y]], np.float32)
    return np.asarray(cv2.warpAffine(picture, shift, picture.shape[1::-1], borderMode=cv2.BORDER_REPLICATE), np.uint8)


def test_no_flame_is_seen_when_something_of_its_colours_stands_there_and_the_camera_shakes():
    pictures = [noisy(shaken(room(), n), n) for n in range(15)]
    pictures += [noisy(shaken(flame(room(), 1), n), n) for n in range(15, 45)]
    assert first(watch(FlameWatcher(FlameConfig(), NOWHERE), pictures), "flame") is None


def test_flame_is_seen_when_something_burns_and_the_camera_shakes():
    pictures = [noisy(shaken(room(), n), n) for n in range(15)]
    pictures += [noisy(shaken(flame(room(), n), n), n) for n in range(15, 45)]
    assert first(watch(FlameWatcher(FlameConfig(), NOWHERE), pictures), "flame") in range(18, 30)


def puddle(radius: float) -> np.ndarray:
    drawn = room()
    cv2.ellipse(drawn, (80, 95), (round(radius), round(0.6 * radius)), 0, 0, 360, (40, 90, 190), -1)
    return drawn


def test_spill_is_seen_when_something_spreads():
    pictures = [noisy(room(), n) for n in range(15)] + [noisy(puddle(4 + 0.5 * n), n) for n in range(40)]
    assert first(watch(SurfaceWatcher(SurfaceConfig(), NOWHERE), pictures), "spill") in range(20, 32)


def seen_from_above(radius: float) -> np.ndarray:
    drawn = room()
    cv2.ellipse(drawn, (80, 80), (round(0.9 * radius), round(radius)), 0, 0, 360, (40, 90, 190), -1)
    return drawn


def test_spill_is_seen_when_it_is_as_tall_as_wide():
    pictures = [noisy(room(), n) for n in range(15)] + [noisy(seen_from_above(5 + 0.5 * n), n) for n in range(40)]
    assert first(watch(SurfaceWatcher(SurfaceConfig(), NOWHERE), pictures), "spill") in range(20, 40)


def test_spill_is_seen_when_it_leaks_slowly():
    def leak(radius: float) -> np.ndarray:
        drawn, part = room(), 16
        axes = (round(part * radius), round(0.6 * part * radius))
        cv2.ellipse(drawn, (80 * part, 92 * part), axes, 0, 0, 360, (40, 90, 190), -1, cv2.LINE_AA, 4)
        return drawn

    pictures = [noisy(room(), n) for n in range(15)]
    pictures += [noisy(leak(18 + 0.04 * n), n) for n in range(150)]
    assert first(watch(SurfaceWatcher(SurfaceConfig(), NOWHERE), pictures), "spill") in range(50, 150)


def test_spill_is_seen_when_a_lamp_is_switched_on_beside_it():
    spot = np.zeros((120, 160), np.float32)
    cv2.circle(spot, (92, 100), 16, 1.0, -1)
    light = cv2.GaussianBlur(spot, (0, 0), 5)[..., None] * np.array([110.0, 95.0, 40.0], np.float32)
    lit = [np.clip(room() + light, 0, 255).astype(np.uint8) for _ in range(40)]
    for n, picture in enumerate(lit):
        radius = 4 + 0.5 * n
        cv2.ellipse(picture, (80, 95), (round(radius), round(0.6 * radius)), 0, 0, 360, (40, 90, 190), -1)
    pictures = [noisy(room(), n) for n in range(15)] + [noisy(picture, n) for n, picture in enumerate(lit)]
    assert first(watch(SurfaceWatcher(SurfaceConfig(), NOWHERE), pictures), "spill") in range(20, 40)


def test_spill_is_seen_when_a_flame_burns_in_its_middle():
    def burning(n: int) -> np.ndarray:
        drawn = flame(room(), 100 + n)
        radius = 6 + 0.5 * n
        lying = room()
        cv2.ellipse(lying, (60, 82), (round(1.6 * radius), round(0.6 * radius)), 0, 0, 360, (170, 240, 160), -1)
        is_flame = (drawn != room()).any(axis=2, keepdims=True)
        return np.where(is_flame, drawn, lying)

    pictures = [noisy(room(), n) for n in range(15)] + [noisy(burning(n), n) for n in range(40)]
    assert first(watch(SurfaceWatcher(SurfaceConfig(), NOWHERE), pictures), "spill") in range(18, 35)


def test_spill_is_seen_when_it_spreads_while_the_camera_is_blind():
    pictures = [noisy(room(), n) for n in range(15)] + [noisy(puddle(5 + 0.5 * n), n) for n in range(4)]
    pictures += [noisy(np.zeros_like(room()), n) for n in range(20)] + [noisy(puddle(20), n) for n in range(20)]
    assert first(watch(SurfaceWatcher(SurfaceConfig(), NOWHERE), pictures), "spill") in range(39, 50)


def test_no_spill_is_seen_when_a_thing_grows_on_one_side_while_the_camera_is_blind():
    def box(right: int) -> np.ndarray:
        drawn = room()
        cv2.rectangle(drawn, (60, 90), (right, 104), (40, 90, 190), -1)
        return drawn

    pictures = [noisy(room(), n) for n in range(15)] + [noisy(box(75), n) for n in range(4)]
    pictures += [noisy(np.zeros_like(room()), n) for n in range(20)] + [noisy(box(110), n) for n in range(40)]
    assert first(watch(SurfaceWatcher(SurfaceConfig(), NOWHERE), pictures), "spill") is None


def test_spill_is_seen_when_it_is_so_large_that_its_middle_seems_lit():
    def flooded(radius: float) -> np.ndarray:
        drawn = room()
        cv2.ellipse(drawn, (80, 70), (round(1.3 * radius), round(0.9 * radius)), 0, 0, 360, (150, 210, 235), -1)
        return drawn

    pictures = [noisy(room(), n) for n in range(15)] + [noisy(flooded(26 + 1.5 * n), n) for n in range(14)]
    assert first(watch(SurfaceWatcher(SurfaceConfig(), NOWHERE), pictures), "spill") in range(15, 29)


@pytest.mark.parametrize("seconds", [1.4, 1.8])
def test_no_spill_is_seen_when_something_shrinks_and_grows_again(seconds):
    period = 10 * seconds
    pictures = [noisy(room(), n) for n in range(15)] + [noisy(puddle(17), n) for n in range(10)]
    pictures += [noisy(puddle(12 + 5 * abs(2 * (n % period) / period - 1)), n) for n in range(60)]
    assert first(watch(SurfaceWatcher(SurfaceConfig(), NOWHERE), pictures), "spill") is None


def test_no_spill_is_seen_when_somebody_comes_nearer():
    def nearer(n: int) -> np.ndarray:
        drawn, tall = room(), 30 + 2 * n
        cv2.rectangle(drawn, (80 - tall // 6, 60 - tall // 3), (80 + tall // 6, 60 + tall // 2), (40, 60, 160), -1)
        return drawn

    pictures = [noisy(room(), n) for n in range(15)] + [noisy(nearer(n), n) for n in range(20)]
    assert first(watch(SurfaceWatcher(SurfaceConfig(), NOWHERE), pictures), "spill") is None


def test_something_is_left_and_no_spill_when_it_is_there_at_once():
    pictures = [noisy(room(), n) for n in range(15)] + [noisy(puddle(14), n) for n in range(40)]
    values = watch(SurfaceWatcher(SurfaceConfig(), NOWHERE), pictures)
    assert first(values, "spill") is None
    assert values[-1]["left"] > 0.01


# ------------------------------------------------------------------------------------------------------------- sound


@pytest.mark.parametrize("hz", [520.0, 970.0, 3100.0])
def test_beeper_is_heard_within_half_a_second_when_it_beeps(hz):
    pulses = np.concatenate([tone(hz, 0.25), np.zeros(4000)] * 4)
    values = listen(AlarmTone(AlarmToneConfig(), NOWHERE), np.concatenate([hiss(2.0), pulses + hiss(2.0, 1)]))
    assert first(values, "alarm") in range(11, 13)
    assert values[-1]["hz"] == pytest.approx(hz, rel=0.02)


def test_siren_is_heard_when_the_pitch_glides():
    pitch = 900 + 350 * np.sin(2 * np.pi * 0.4 * np.arange(3 * RATE) / RATE)
    siren = 0.2 * np.sin(2 * np.pi * np.cumsum(pitch) / RATE)
    values = listen(AlarmTone(AlarmToneConfig(), NOWHERE), np.concatenate([hiss(2.0), siren + hiss(3.0, 1)]))
    assert first(values, "siren") in range(11, 16)


def test_siren_is_heard_when_its_pitch_jumps_back_three_times_a_second():
    way = (3.0 * np.arange(3 * RATE) / RATE) % 1.0
    yelp = 0.2 * np.sin(2 * np.pi * np.cumsum(600 + 600 * way) / RATE)
    values = listen(AlarmTone(AlarmToneConfig(), NOWHERE), np.concatenate([hiss(2.0), yelp + hiss(3.0, 1)]))
    assert first(values, "siren") in range(11, 16)


def voice(seconds: float) -> np.ndarray:
    """Vowels whose pitch falls, one after the other, as loud as people talk beside a microphone."""
    time = np.arange(int(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(150 - 50 * (time % 0.6)) / RATE
    return sum(0.12 / k**0.7 * np.sin(k * phase) for k in range(1, 24)) * (time % 0.6 < 0.5)


def test_alarm_is_heard_when_somebody_talks_as_loud():
    pulses = np.concatenate([tone(970.0, 0.3, 0.2), np.zeros(4800)] * 5)
    talk = voice(5.0) + hiss(5.0)
    talk[2 * RATE :] += pulses[: 3 * RATE]
    values = listen(AlarmTone(AlarmToneConfig(), NOWHERE), talk)
    assert first(values, "alarm") in range(11, 20)


def test_no_alarm_is_heard_when_somebody_only_talks():
    assert first(listen(AlarmTone(AlarmToneConfig(), NOWHERE), voice(8.0) + hiss(8.0)), "alarm") is None


def melody(seconds: float) -> np.ndarray:
    """Notes as blown, each with its multiples and as long as half a second, none twice in a row."""
    notes = [440.0 * 2 ** (step / 12) for step in (0, 4, 7, 12, 9, 5, 2, 11)]
    sound = np.concatenate([sum(tone(k * hz, 0.5, 0.1 / k) for k in range(1, 6)) for hz in notes * 3])
    return sound[: int(seconds * RATE)] * np.minimum(1.0, (np.arange(int(seconds * RATE)) % 8000) / 400)


def test_no_alarm_is_heard_when_a_melody_is_played():
    assert first(listen(AlarmTone(AlarmToneConfig(), NOWHERE), melody(10.0) + hiss(10.0)), "alarm") is None


def test_alarm_with_an_octave_is_heard_over_a_melody_when_its_pulses_are_all_alike():
    horn = tone(620.0, 10.0, 0.15) + tone(1240.0, 10.0, 0.05)
    gate = (np.arange(10 * RATE) >= 4 * RATE) & (np.arange(10 * RATE) % 9600 < 4800)
    values = listen(AlarmTone(AlarmToneConfig(), NOWHERE), melody(10.0) + horn * gate + hiss(10.0))
    assert first(values, "alarm") in range(21, 36)


def test_no_alarm_is_heard_when_a_voice_sings_a_vowel():
    voice = sum(tone(170.0 * k, 4.0, 0.15 / k) for k in range(1, 12))
    values = listen(AlarmTone(AlarmToneConfig(), NOWHERE), voice + hiss(4.0))
    assert first(values, "alarm") is None


def test_bang_is_heard_and_a_long_loud_noise_is_not():
    sound = hiss(4.0)
    sound[2 * RATE : 2 * RATE + 800] += np.random.default_rng(1).normal(0, 0.4, 800) * np.exp(-np.arange(800) / 200)
    assert [one["bang"] for one in listen(SoundLevel(SoundLevelConfig(), NOWHERE), sound)].count(1.0) == 1
    swelling = np.random.default_rng(2).normal(0, 1, 4 * RATE) * np.linspace(0.003, 0.4, 4 * RATE)
    values = listen(SoundLevel(SoundLevelConfig(), NOWHERE), swelling)
    assert first(values, "bang") is None
    assert values[-1]["loud_s"] > 1.0


def test_lost_microphone_is_told_and_over_when_sound_comes_again():
    watcher, nothing = SoundLevel(SoundLevelConfig(), NOWHERE), np.zeros(3200, np.float32)
    came = [1.0] * 3 + [0.0] * 6 + [0.4]
    turns = [SafetyTurn(n * MICRO_TURN_NS, (n + 1) * MICRO_TURN_NS, nothing, share) for n, share in enumerate(came)]
    missing = [watcher.step(one).values["missing_s"] for one in turns]
    assert missing == [0.0, 0.0, 0.0, *(pytest.approx(0.2 * n) for n in range(1, 7)), 0.0]


def test_microphone_is_missing_from_the_start_when_no_sound_ever_comes():
    watcher, nothing = SoundLevel(SoundLevelConfig(), NOWHERE), np.zeros(3200, np.float32)
    turns = [SafetyTurn(n * MICRO_TURN_NS, (n + 1) * MICRO_TURN_NS, nothing, 0.0) for n in range(5)]
    assert [watcher.step(one).values["missing_s"] for one in turns][-1] == pytest.approx(1.0)


def test_whine_is_no_alarm_when_the_microphone_comes_back_to_it():
    whine = tone(1000.0, 9.0, 0.02) + hiss(9.0)
    watcher, values = AlarmTone(AlarmToneConfig(), NOWHERE), []
    for n in range(45):
        is_lost = 20 <= n < 35
        sound = np.zeros(3200) if is_lost else whine[3200 * n : 3200 * (n + 1)]
        span = (n * MICRO_TURN_NS, (n + 1) * MICRO_TURN_NS)
        values.append(watcher.step(SafetyTurn(*span, sound.astype(np.float32), 0.0 if is_lost else 1.0)).values)
    assert first(values, "alarm") is None


def test_machine_is_silent_when_its_hum_ends():
    hum = tone(120.0, 4.0, 0.02) + hiss(4.0)
    values = listen(Hum(HumConfig(), NOWHERE), np.concatenate([hum, hiss(2.0, 3) * 0.1]))
    assert all(one["hums"] for one in values[1:19])
    assert values[-1]["silent_s"] == pytest.approx(1.8, abs=0.3)
