"""Ogg Opus as a stream, by sphn, which Moshi's own server and client use. Sound at 24 kHz, one channel."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tml_ros.duplex.remote.stream import ProtocolError
from tml_ros.duplex.remote.voice import SERVER_RATE_HZ
from tml_ros.errors import MissingDependencyError

__all__ = ["FRAME_SAMPLES", "OpusReader", "OpusWriter", "load_sphn"]

FRAME_SAMPLES = SERVER_RATE_HZ * 80 // 1000  # what the server's codec takes at once, so a packet holds as much


def load_sphn() -> Any:
    """Import sphn.

    Raises:
        MissingDependencyError: it is absent.
    """
    try:
        import sphn
    except ImportError as err:
        raise MissingDependencyError(
            "the model moshi needs the package sphn for Opus; pip install 'tml_ros[moshi]'"
        ) from err
    return sphn


class OpusWriter:
    """Sound to packets of 80 ms."""

    def __init__(self) -> None:
        self._writer = load_sphn().OpusStreamWriter(SERVER_RATE_HZ)
        self._waiting = np.zeros(0, np.float32)

    def add(self, sound: NDArray[np.float32]) -> list[bytes]:
        """Return the packets that are now full. sound: [N] float32."""
        self._waiting = np.concatenate([self._waiting, sound])
        packets = []
        while len(self._waiting) >= FRAME_SAMPLES:
            frame, self._waiting = np.split(self._waiting, [FRAME_SAMPLES])
            packets.append(bytes(self._writer.append_pcm(frame)))
        return [packet for packet in packets if packet]


class OpusReader:
    """Packets to sound."""

    def __init__(self) -> None:
        self._reader = load_sphn().OpusStreamReader(SERVER_RATE_HZ)

    def add(self, packet: bytes) -> NDArray[np.float32]:
        """Return the sound that a part of the stream completes, [N] float32.

        Raises:
            ProtocolError: it is no Ogg Opus; nothing after it can be read either.
        """
        try:
            return np.asarray(self._reader.append_bytes(packet), np.float32)
        except (ValueError, RuntimeError) as err:
            raise ProtocolError(f"the server's sound is no Ogg Opus ({err}); check that it is a Moshi server") from err
