"""Notices that PulseAudio has moved a stream of this process because its device vanished.

PulseAudio does not end a stream whose device is unplugged as long as another one is left: it moves the stream there and
never back. A robot would then listen to the monitor of its own loudspeaker, or speak into a meeting room. PortAudio
cannot tell; PulseAudio (or PipeWire in its place) can. Where neither runs this does nothing.

A stream that was moved while its old device is still there was moved by somebody who wants it so.
"""

import logging
import os
from typing import Any

from tml_ros.devices.portaudio import Kind

__all__ = ["MoveWatch"]

_log = logging.getLogger(__name__)


class MoveWatch:
    """Watches the streams of this process; where each belongs is known from the first ``vanished`` after its opening.

    Args:
        kind: ``input`` watches what it records, ``output`` what it plays.

    Thread: used by one thread at a time; each call asks the sound server, for about 1 ms.
    """

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._homes: dict[int, tuple[int, str]] = {}  # stream: its first device, by index and name
        self._server = _connect()

    def vanished(self) -> str:
        """Return the name of a device that vanished under a stream which now is elsewhere; empty while all is well."""
        if self._server is None:
            return ""
        try:
            return self._compare()
        except Exception as err:  # the server has just ended, which PortAudio notices by itself
            _log.debug("moves of streams are not watched any more: %r", err)
            self.close()
            return ""

    def close(self) -> None:
        """Leave the server."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def _compare(self) -> str:
        is_input = self._kind == "input"
        devices = self._server.source_list() if is_input else self._server.sink_list()
        streams = self._server.source_output_list() if is_input else self._server.sink_input_list()
        names = {device.index: device.name for device in devices}
        for stream in streams:
            if stream.proplist.get("application.process.id") != str(os.getpid()):
                continue
            device = stream.source if is_input else stream.sink
            home, name = self._homes.setdefault(stream.index, (device, names.get(device, "")))
            if device != home and home not in names:
                return name
        return ""


def _connect() -> Any:
    """Return a connection to the sound server, None when there is none; takes 30 ms."""
    try:
        import pulsectl  # asks libpulse, which only machines with PulseAudio or PipeWire have

        server = pulsectl.Pulse("tml_ros", connect=False)
        server.connect(autospawn=False)
    except Exception as err:  # absent in one of several ways, each with an error of its own
        _log.debug("moves of streams are not watched: %r", err)
        return None
    return server
