"""Kinds of watchers by name. Others add theirs through the entry-point group ``tml_ros.watchers``."""

from tml_ros.plugins import Registry

__all__ = ["WATCHERS"]

WATCHERS = Registry(
    "tml_ros.watchers",
    "watcher",
    {
        "alarm_tone": "tml_ros.safety.alarm_tone:AlarmTone",
        "call": "tml_ros.safety.call:CallWatcher",
        "camera": "tml_ros.safety.camera_health:CameraHealth",
        "equipment": "tml_ros.safety.equipment:EquipmentWatcher",
        "flame": "tml_ros.safety.flame:FlameWatcher",
        "hum": "tml_ros.safety.hum:Hum",
        "items": "tml_ros.safety.items:ItemsWatcher",
        "objects": "tml_ros.safety.objects:ObjectsWatcher",
        "person": "tml_ros.safety.person:PersonWatcher",
        "posture": "tml_ros.safety.posture:PostureWatcher",
        "smoke": "tml_ros.safety.smoke:SmokeWatcher",
        "sound_level": "tml_ros.safety.sound_level:SoundLevel",
        "surface": "tml_ros.safety.surface:SurfaceWatcher",
        "zone": "tml_ros.safety.zone:ZoneWatcher",
    },
)
