"""Stamped inputs in any order become synchronized 200 ms micro-turns."""

from tml_ros.windowing.assembler import ClosedWindow, MicroTurnAssembler, WindowReport
from tml_ros.windowing.config import WindowConfig

__all__ = ["ClosedWindow", "MicroTurnAssembler", "WindowConfig", "WindowReport"]
