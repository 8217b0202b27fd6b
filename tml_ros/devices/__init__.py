"""Sound devices: a microphone as stamped chunks (``capture``), and a loudspeaker for speech (``playback``)."""

from tml_ros.devices.device_clock import DeviceClock
from tml_ros.devices.portaudio import Device, find_device, list_devices

__all__ = ["Device", "DeviceClock", "find_device", "list_devices"]
