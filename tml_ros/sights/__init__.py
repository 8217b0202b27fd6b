"""Rendered scenes and real films as pictures with exact truth. L1: numpy and OpenCV only; no bags, no ROS, no torch."""

from tml_ros.sights.films import Film, load_films
from tml_ros.sights.phrases import CUES, PHRASES, STILL_S, WITHIN_S, to_be_told
from tml_ros.sights.scene import SightScene
from tml_ros.sights.themes import THEMES, make_scene
from tml_ros.sights.truth import EVIDENCE, SightEvent, SightKind

__all__ = [
    "CUES",
    "EVIDENCE",
    "PHRASES",
    "STILL_S",
    "THEMES",
    "WITHIN_S",
    "Film",
    "SightEvent",
    "SightKind",
    "SightScene",
    "load_films",
    "make_scene",
    "to_be_told",
]
