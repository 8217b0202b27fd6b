"""Kinds of watchers by name. Others add theirs through the entry-point group ``tml_ros.watchers``."""

from tml_ros.plugins import Registry

__all__ = ["WATCHERS"]

WATCHERS = Registry(
    "tml_ros.watchers",
    "watcher",
    {
        "camera": "tml_ros.safety.camera_health:CameraHealth",
        "zone": "tml_ros.safety.zone:ZoneWatcher",
    },
)
