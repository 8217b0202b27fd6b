"""A Moshi server as a duplex model; PersonaPlex speaks the same.

Sound goes both ways all the time, in packets of 80 ms; the words of the robot come beside its sound, those of the
person do not. The server's sound has no turns in it: an utterance is what is louder than a threshold, with short
pauses. It takes no text and no pictures.

Source: kyutai-labs/moshi, rust/protocol.md: a byte for the kind of the message, then its payload.
"""

from collections import Counter, deque
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from tml_ros.config import param
from tml_ros.devices.resampler import Resampler
from tml_ros.duplex.protocol import DuplexStream, SessionInfo
from tml_ros.duplex.remote.address import Address
from tml_ros.duplex.remote.config import RemoteConfig
from tml_ros.duplex.remote.link import Link, Message, websocket_client
from tml_ros.duplex.remote.opus import OpusReader, OpusWriter, load_sphn
from tml_ros.duplex.remote.stream import ProtocolError, RemoteStream, is_paced
from tml_ros.duplex.remote.voice import BLOCK, SERVER_RATE_HZ, Words
from tml_ros.records import MICRO_TURN_SAMPLES, SAMPLE_RATE_HZ, Floor, MicroTurn, MicroTurnOutput, SpeechText

__all__ = ["Kind", "MoshiConfig", "MoshiModel", "MoshiTalk"]

_PAUSE_BLOCKS = 3  # quiet micro-turns within an utterance; one more ends it
_MOST_BLOCKS = 3  # micro-turns of sound that may wait; more is lag


class Kind(IntEnum):
    """First byte of a message."""

    HANDSHAKE = 0
    AUDIO = 1
    TEXT = 2
    CONTROL = 3
    METADATA = 4
    ERROR = 5
    PING = 6


@dataclass(frozen=True, slots=True)
class MoshiConfig(RemoteConfig):
    """Where the server is, and from which level on its sound is speech."""

    speech_dbfs: float = param(
        -50.0, "Level of 200 ms of the server's sound from which on the robot speaks", minimum=-90.0, maximum=0.0
    )


class MoshiModel:
    """A Moshi or PersonaPlex server, over its WebSocket. Not deterministic."""

    name = "moshi"
    config_type = MoshiConfig

    def __init__(self, config: MoshiConfig) -> None:
        """Check the configuration; nothing is connected before a session begins.

        Raises:
            ConfigError: no address, or a wrong one.
            MissingDependencyError: sphn or websockets is absent.
        """
        self._config = config
        self._address = Address.of(self.name, config.url, config.api_key_env, "ws://localhost:8998/api/chat")
        load_sphn()
        websocket_client(self.name)

    def open(self, info: SessionInfo) -> DuplexStream:
        """Begin a session: a connection of its own."""
        link = Link(self._address, self._config.connect_timeout_s)
        talk = MoshiTalk(self._config, self._address)
        return RemoteStream(self._config, talk, link, paced=is_paced(self._config, info))

    def close(self) -> None:
        """Do nothing: connections are closed with their sessions."""


class MoshiTalk:
    """The protocol; see ``Talk``."""

    always_sends = True

    def __init__(self, config: MoshiConfig, address: Address) -> None:
        self.outbox: list[Message] = []
        self.counters: Counter[str] = Counter()
        self._threshold = 10.0 ** (config.speech_dbfs / 20.0)
        self._address = address
        self._writer = OpusWriter()
        self._reader = OpusReader()
        self._up = Resampler(SAMPLE_RATE_HZ, SERVER_RATE_HZ)
        self._down = Resampler(SERVER_RATE_HZ, SAMPLE_RATE_HZ)
        self._sound: deque[NDArray[np.float32]] = deque()
        self._waiting = 0
        self._received = 0
        self._taken = 0
        self._words = Words()
        self._is_ready = False
        self._quiet_blocks: int | None = None

    @property
    def is_ready(self) -> bool:
        """Whether the handshake has come; the server takes no sound before it."""
        return self._is_ready

    @property
    def is_owed(self) -> bool:
        """Whether less than a micro-turn of the server's sound is here."""
        return self._waiting < BLOCK

    def take(self, message: Message) -> None:
        """Take in a message; unknown kinds are left out, as the protocol wants it."""
        if isinstance(message, str) or not message:
            self.counters["malformed_messages"] += 1
            return
        kind, payload = message[0], message[1:]
        if kind == Kind.HANDSHAKE:
            self._is_ready = True
        elif kind == Kind.AUDIO:
            self._add(self._reader.add(payload))
        elif kind == Kind.TEXT:
            self._words.add(self._received, self._decoded(payload))
        elif kind == Kind.ERROR:
            raise ProtocolError(f"the server says: {self._address.said(self._decoded(payload))}; look at its log")
        elif kind not in (Kind.CONTROL, Kind.METADATA, Kind.PING):
            self.counters["malformed_messages"] += 1

    def hear(self, turn: MicroTurn) -> None:
        """Put the packets that are full into the outbox."""
        sound = self._up.process(turn.audio, BLOCK)
        self.outbox += [bytes([Kind.AUDIO]) + packet for packet in self._writer.add(sound)]
        self.counters["ignored_texts"] += len(turn.texts)

    def say(self, turn: MicroTurn) -> MicroTurnOutput:
        """Return the next 200 ms of the server's sound, as far as it is speech, with the words in it."""
        block = self._block()
        while self._quiet_blocks is None and self._waiting >= BLOCK and not self._is_loud(block):
            block = self._block()  # what lags behind is made up for in silence
        self.counters["starved_windows"] += self._is_ready and block is None
        if self._is_loud(block):
            self._quiet_blocks = 0
        elif self._quiet_blocks is not None:
            self._quiet_blocks += 1
        if self._quiet_blocks is None:
            return MicroTurnOutput()
        is_last = self._quiet_blocks > _PAUSE_BLOCKS
        if block is None and not is_last:
            return MicroTurnOutput(Floor.SPEAK)
        audio = np.zeros(0, np.float32) if block is None or is_last else block
        words = self._words.take(self._taken, ends=is_last)
        self._quiet_blocks = None if is_last else self._quiet_blocks
        floor = Floor.LISTEN if is_last else Floor.SPEAK
        return MicroTurnOutput(floor=floor, speech=(SpeechText(words, last=is_last),), audio=audio)

    def break_off(self) -> None:
        """Drop the sound that is here, and end the utterance."""
        self._sound.clear()
        self._waiting = 0
        self._is_ready = False
        if self._quiet_blocks is not None:
            self._quiet_blocks = _PAUSE_BLOCKS

    def _add(self, sound: NDArray[np.float32]) -> None:
        self._sound.append(sound)
        self._waiting += len(sound)
        self._received += len(sound)

    def _block(self) -> NDArray[np.float32] | None:
        """Return 200 ms at 16 kHz, None when they are not here yet; what lags too far behind is left out."""
        if self._waiting < BLOCK:
            return None
        sound = np.concatenate(self._sound)
        late = max(0, len(sound) // BLOCK - _MOST_BLOCKS) * BLOCK
        self.counters["skipped_samples"] += late * SAMPLE_RATE_HZ // SERVER_RATE_HZ
        block, rest = np.split(sound[late:], [BLOCK])
        self._sound = deque([rest])
        self._waiting = len(rest)
        self._taken += late + BLOCK
        return self._down.process(block, MICRO_TURN_SAMPLES)

    def _is_loud(self, block: NDArray[np.float32] | None) -> bool:
        return block is not None and float(np.sqrt(np.mean(block**2))) >= self._threshold

    def _decoded(self, payload: bytes) -> str:
        text = payload.decode("utf-8", "replace")
        self.counters["malformed_messages"] += "\N{REPLACEMENT CHARACTER}" in text
        return text
