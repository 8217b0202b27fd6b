"""Watch a place and say when something is wrong: watchers, rules and alerts. Advisory, never a safety function."""

from tml_ros.safety.lab_file import LabFile, load_lab
from tml_ros.safety.monitor import SafetyMonitor, SafetyOutput

__all__ = ["LabFile", "SafetyMonitor", "SafetyOutput", "load_lab"]
