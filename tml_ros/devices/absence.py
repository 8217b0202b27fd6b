"""What a microphone and a loudspeaker that come and go have in common: the sound system, a watch, and what is logged.

It knows no stream.
"""

import logging
from collections.abc import Callable
from typing import Protocol

from tml_ros.clock import Clock
from tml_ros.devices.portaudio import Device, Stream

__all__ = ["Absence", "Devices", "Watch"]


class Devices(Protocol):
    """What is used of the module ``tml_ros.devices.portaudio``."""

    find_device: Callable[..., Device]
    open_stream: Callable[..., Stream]
    close_stream: Callable[..., bool]
    refresh: Callable[[], bool]


class Watch(Protocol):
    """Tells of a device that vanished without ending its stream; see ``tml_ros.devices.pulse.MoveWatch``."""

    def vanished(self) -> str:
        """Return its name, empty while all is well."""

    def close(self) -> None:
        """Watch no longer."""


class Absence:
    """Says once that a device is missing, however many tries fail after that, and once that it is there."""

    def __init__(self, log: logging.Logger, clock: Clock, reopen_s: float) -> None:
        self._log, self._clock, self._reopen_s = log, clock, reopen_s
        self._since_ns: int | None = None

    def begin(self, text: str) -> None:
        """Take note that there is no sound. text: why."""
        if self._since_ns is None:
            self._since_ns = self._clock.monotonic_ns()
            self._log.warning("%s; looking for it every %g s", text, self._reopen_s)

    def end(self, text: str) -> None:
        """Take note that there is sound. text: what the device does now."""
        if self._since_ns is None:
            self._log.info("%s", text)
        else:
            self._log.info("%s, after %.1f s without", text, (self._clock.monotonic_ns() - self._since_ns) / 1e9)
        self._since_ns = None
