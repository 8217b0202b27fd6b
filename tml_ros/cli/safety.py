"""``tml safety``: how well the watchers do, on rendered scenes, on made sounds and on labelled films.

Prints a table of events found, false alerts and delays per kind, and what went wrong, and ends with one line of JSON.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tml_ros.evaluation.film_bags import bag_alerts, make_film_bag
from tml_ros.evaluation.safety_scenes import Cost, Found, Score, alerts_of, events_table, lab_of, score, table
from tml_ros.evaluation.safety_sounds import make_sound, score_sounds, talk_of
from tml_ros.sights import Film, SightEvent, load_films, make_scene

__all__ = ["films", "scenes", "sounds"]


def scenes(options: argparse.Namespace) -> int:
    """Score the watchers on rendered scenes of a seed, themes in turn."""
    scores: dict[str, Score] = {}
    wrong: list[str] = []
    cost = Cost()
    for index in range(options.number):
        scene = make_scene(options.seed, index, options.theme)
        truth = scene.truth()
        faults = score(alerts_of(scene, truth, options.fps, cost), truth, scores, has_zone=bool(scene.zone))
        wrong += [f"{options.seed}/{index} {scene.theme}: {fault}" for fault in faults]
    return _tell(options, scores, wrong, {"seed": options.seed, "scenes": options.number, **cost.figures()})


def films(options: argparse.Namespace) -> int:
    """Score the watchers on the films of a folder with its labels; with ``--bags`` on bags that are made of them."""
    scores: dict[str, Score] = {}
    wrong: list[str] = []
    each: list[Found] = []
    cost = Cost()
    found = load_films(options.folder)
    for film in found:
        truth = film.truth()
        if options.bags:
            alerts = _alerts_of_bag(film, truth, options.bags, options.fps)
        else:
            alerts = alerts_of(film, truth, options.fps, cost)
        name, has_zone = film.path.name, bool(film.zone)
        faults = score(alerts, truth, scores, has_zone=has_zone, where=name, each=each)
        wrong += [f"{film.path.name}: {fault}" for fault in faults]
    if not options.json:
        print(events_table(each) + "\n")
    names = [film.path.name for film in found]
    return _tell(options, scores, wrong, {"films": names, **cost.figures()})


def _alerts_of_bag(film: Film, truth: Sequence[SightEvent], folder: Path, fps: float) -> list[tuple[str, float]]:
    """Make a bag and its lab file where there is none yet, and play it."""
    folder.mkdir(parents=True, exist_ok=True)
    bag, lab_file = folder / f"{film.theme}_{fps:g}hz", folder / f"{film.theme}.yaml"
    if not bag.exists():
        make_film_bag(film, bag, fps)
    lab_file.write_text(lab_of(film, truth), encoding="utf-8")
    return bag_alerts(bag, lab_file)


def sounds(options: argparse.Namespace) -> int:
    """Score the alarm watcher on made sounds of a seed, beds in turn."""
    talk = talk_of(options.talk)
    scores: dict[str, Score] = {}
    made = [make_sound(options.seed, index, talk) for index in range(options.number)]
    wrong = score_sounds(made, scores)
    ordered = {name: scores[name] for name in sorted(scores, key=lambda name: (name == "all", name))}
    return _tell(options, ordered, wrong, {"seed": options.seed, "sounds": options.number})


def _tell(options: argparse.Namespace, scores: Mapping[str, Score], wrong: list[str], about: dict[str, Any]) -> int:
    for fault in wrong:
        print(fault, file=sys.stderr)
    if not options.json:
        print(table(scores))
    kinds = {str(kind): _figures(one) for kind, one in scores.items()}
    print(json.dumps({**about, "kinds": kinds, "wrong": wrong}, sort_keys=True))
    return 0


def _figures(one: Score) -> dict[str, Any]:
    median, most = (float(np.quantile(one.delays_s, q)) if one.delays_s else None for q in (0.5, 0.95))
    counts = {"events": one.events, "found": one.found, "false": one.false}
    return counts | {"recall": one.recall, "precision": one.precision, "delay_p50_s": median, "delay_p95_s": most}
