"""Scenes become bags, bags are replayed through models, and runs become reports."""

from tml_ros.replay.make_bag import make_bag
from tml_ros.replay.report import write_report
from tml_ros.replay.run import ReplayOptions, ReplayResult, replay
from tml_ros.replay.runlog import RunLog
from tml_ros.replay.scene import load_scene

__all__ = ["ReplayOptions", "ReplayResult", "RunLog", "load_scene", "make_bag", "replay", "write_report"]
