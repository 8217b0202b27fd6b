"""People and things without any model file: who is there, what was taken, what was put down, what veils the picture."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tml_ros.records import AlertState, Frame
from tml_ros.safety import SafetyMonitor, load_lab
from tml_ros.safety.eye import Eye
from tml_ros.safety.items import ItemsConfig, ItemsWatcher
from tml_ros.safety.people_finder import PeopleConfig, PeopleFinder
from tml_ros.safety.person import PersonConfig, PersonWatcher
from tml_ros.safety.smoke import SmokeConfig, SmokeWatcher
from tml_ros.safety.watcher import Surroundings
from tml_ros.sights import make_scene

sys.path.insert(0, str(Path(__file__).parent))
from safety_scenes import noisy, room, turn, watch
from test_watchers import person

NOWHERE = Surroundings()


def bench(*places: int) -> np.ndarray:
    """The room with dark bottles on the floor, their middles at some x."""
    drawn = room()
    for x in places:
        cv2.rectangle(drawn, (x - 5, 76), (x + 5, 104), (40, 60, 120), -1)
        cv2.rectangle(drawn, (x - 3, 82), (x + 3, 94), (230, 230, 225), -1)
    return drawn


def test_thing_is_away_until_it_is_back_when_it_is_taken():
    pictures = [noisy(bench(60, 110), n) for n in range(15)] + [noisy(bench(60), n) for n in range(15)]
    pictures += [noisy(bench(60, 110), n) for n in range(15)]
    values = watch(ItemsWatcher(ItemsConfig(expected=2), NOWHERE), pictures)
    assert [values[n]["count"] for n in (14, 29, 44)] == [2.0, 1.0, 2.0]
    assert values[29]["away"] == 1.0


def test_thing_is_added_when_it_is_put_down():
    pictures = [noisy(bench(60), n) for n in range(15)] + [noisy(bench(60, 110), n) for n in range(15)]
    values = watch(ItemsWatcher(ItemsConfig(), NOWHERE), pictures)
    assert (values[-1]["added"], values[-1]["away"]) == (1.0, 0.0)


def test_person_is_there_and_then_absent_when_somebody_walks_through():
    way = [None] * 15 + [*range(10, 150, 8)] + [None] * 20
    pictures = [noisy(room() if x is None else person(room(), x, 100), n) for n, x in enumerate(way)]
    values = watch(PersonWatcher(PersonConfig(find=PeopleConfig(method="motion")), NOWHERE), pictures)
    assert values[25]["present"] == 1.0
    assert values[25]["people"] == 1.0
    assert values[-1]["present"] == 0.0
    assert values[-1]["absent_s"] == pytest.approx(2.0, abs=0.4)


LAB = """version: 1
lab: bench
watchers: {people: {kind: person, hold_s: 0, find: {method: motion}}}
facts: {heater_on: {true_when: [the heater is on], initially: true}}
rules:
  alone:
    when: {all: [{fact: heater_on}, {value: people.absent_s, above: 2}]}
    describe: The heater is on and nobody has been here for {people.absent_s} seconds.
  somebody: {when: {value: people.people, above: 0.5}, describe: Somebody is here.}
"""


def test_nobody_present_is_told_when_a_device_is_on_and_alerts_say_where_people_are(tmp_path):
    path = tmp_path / "lab.yaml"
    path.write_text(LAB, encoding="utf-8")
    monitor = SafetyMonitor(load_lab(path), share_images=True)
    way = [None] * 8 + [*range(20, 100, 6)] + [None] * 26
    pictures = [noisy(room() if x is None else person(room(), x, 100), n) for n, x in enumerate(way)]
    turns = (turn(n, pictures[2 * n : 2 * n + 2]) for n in range(len(way) // 2))
    raised = [alert for one in turns for alert in monitor.step(one).alerts if alert.state is AlertState.RAISED]
    assert [alert.rule for alert in raised] == ["somebody", "alone"]
    region = raised[0].regions[0]
    assert 20 < region.x + region.width / 2 < 60
    assert region.height > 30
    assert cv2.imdecode(np.frombuffer(raised[0].evidence, np.uint8), cv2.IMREAD_COLOR).shape == (120, 160, 3)
    assert not raised[1].regions


def test_smoke_is_seen_when_grey_veils_the_picture_and_churns_and_a_shadow_is_none():
    y, x = np.indices((120, 160))
    smoke, shadow = [], []
    for n in range(40):
        rng = np.random.default_rng(n)
        places = [(70 + 6 * np.sin(0.7 * n + k), 70 - 9 * k + 3 * np.cos(n + 2 * k)) for k in range(5)]
        clouds = (np.exp(-((x - a) ** 2 + (y - b) ** 2) / 160.0) * rng.uniform(0.5, 1.0) for a, b in places)
        veil = np.clip(0.9 * sum(clouds), 0.0, 0.8)[..., None]
        dark = (0.5 * np.exp(-((x - 3 * n) ** 2 + (y - 60) ** 2) / 900.0))[..., None]
        smoke.append(noisy((room() * (1 - veil) + 165 * veil).astype(np.uint8), n))
        shadow.append(noisy((room() * (1 - dark)).astype(np.uint8), n))
    clear = [noisy(room(), n) for n in range(15)]
    assert max(one["smoke"] or 0.0 for one in watch(SmokeWatcher(SmokeConfig(), NOWHERE), clear + smoke)) == 1.0
    assert max(one["smoke"] or 0.0 for one in watch(SmokeWatcher(SmokeConfig(), NOWHERE), clear + shadow)) == 0.0


def test_upright_person_is_found_by_hog_when_nothing_has_moved():
    picture = make_scene(77, 0, "walks").picture(10.0)
    eye, finder = Eye(), PeopleFinder(PeopleConfig(method="hog", every_s=0.1))
    boxes = [finder.find(eye.look(Frame(n * 100_000_000, noisy(picture, n)))) for n in range(4)]
    assert boxes[0] == ()
    assert len(boxes[-1]) == 1
    assert finder.find(eye.look(Frame(400_000_000, noisy(room(), 9)))) == ()
