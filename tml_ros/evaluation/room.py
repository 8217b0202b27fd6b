"""A room without a sound server: a robot and its player in a closed loop, as fast as the processor allows.

What the player plays comes back into the microphone through a room, together with what somebody says there; what the
engine decides of a micro-turn reaches the player a fixed time after its end. So the next sound can depend on what the
robot did, and the same sounds give the same answers. It knows no ROS, no devices and no verdicts.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tml_ros.clock import ManualClock
from tml_ros.devices.mixer import Block, Mixer, MixerConfig
from tml_ros.errors import ConfigError
from tml_ros.records import (
    MICRO_TURN_NS,
    MICRO_TURN_SAMPLES,
    SAMPLE_RATE_HZ,
    MicroTurn,
    PlaybackReport,
    SpeechControl,
    SpeechPiece,
    StampedImage,
    TextInput,
)
from tml_ros.session.engine import InferenceEngine
from tml_ros.windowing import ClosedWindow, WindowReport
from tml_ros.wire import Published

__all__ = ["ClosedRoom", "Room", "RoomConfig", "RoomTurn", "room_response"]

Sound = NDArray[np.float32]
_EPOCH_NS = 1_700_000_000_000_000_000


@dataclass(frozen=True, slots=True)
class RoomConfig:
    """What lies between loudspeaker and microphone, and between a decision and its effect.

    echo_db: level of the robot's voice in the microphone over that at the loudspeaker; None: no echo, no reference.
    echo_delay_s: from the loudspeaker to the direct sound. reverberation_s: until the tail is 60 dB down.
    noise_dbfs: the microphone's own. react_s: from the end of a micro-turn until the player obeys, below 0.2 s.
    """

    echo_db: float | None = -10.0
    echo_delay_s: float = 0.04
    reverberation_s: float = 0.25
    noise_dbfs: float = -66.0
    react_s: float = 0.1
    seed: int = 0


@dataclass(frozen=True, slots=True)
class RoomTurn:
    """One micro-turn of the room: what the microphone and the loudspeaker gave, and what the engine published.

    playback: every report of the loudspeaker, in order.
    """

    start_s: float
    microphone: Sound
    loudspeaker: Sound
    records: tuple[Published, ...]
    playback: tuple[PlaybackReport, ...] = ()


def room_response(config: RoomConfig) -> Sound:
    """Return the way from loudspeaker to microphone: the direct sound, four walls, a decaying tail. [N] at 16 kHz.

    Its energy is ``echo_db``; the seed draws the tail.
    """
    rng = np.random.default_rng(config.seed)
    tail = rng.normal(0.0, 0.06, SAMPLE_RATE_HZ // 10)
    tail *= 10.0 ** (-3.0 * np.arange(len(tail)) / (config.reverberation_s * SAMPLE_RATE_HZ))
    tail[: SAMPLE_RATE_HZ // 200] = 0.0
    tail[0] = 1.0
    for after_s, gain in ((0.0043, 0.45), (0.0079, -0.35), (0.0131, 0.28), (0.0217, 0.2)):
        tail[round(after_s * SAMPLE_RATE_HZ)] += gain
    gain = 10.0 ** ((config.echo_db or 0.0) / 20.0) / np.sqrt(np.sum(tail**2))
    return np.concatenate([np.zeros(round(config.echo_delay_s * SAMPLE_RATE_HZ)), gain * tail]).astype(np.float32)


class Room(ABC):
    """A robot with its player in a room; ``step`` moves both on by 200 ms. Where the robot works is for subclasses.

    Thread: one caller at a time.
    """

    def __init__(self, config: RoomConfig, mixer: MixerConfig | None = None, epoch_ns: int = _EPOCH_NS) -> None:
        """Prepare. epoch_ns: time of the room's clock at its beginning.

        Raises:
            ConfigError: react_s is not within a micro-turn.
        """
        if not 0.0 <= config.react_s < 0.2:
            raise ConfigError(f"react_s must lie in [0, 0.2), got {config.react_s}; later effects are not simulated")
        self._epoch_ns = epoch_ns
        self._config = config
        self._mixer = Mixer(mixer)
        self._response = room_response(config)
        self._tail = np.zeros(len(self._response) - 1, np.float32)
        self._rng = np.random.default_rng(config.seed + 1)
        self._turns = 0
        self._pending: tuple[Published, ...] = ()
        self._playback: PlaybackReport | None = None
        self._reports: list[PlaybackReport] = []

    @property
    def now_ns(self) -> int:
        """Time of the room's clock at the start of the next micro-turn."""
        return self._epoch_ns + self._turns * MICRO_TURN_NS

    @property
    def now_s(self) -> float:
        """Time since the room began, at the start of the next micro-turn."""
        return self._turns * MICRO_TURN_SAMPLES / SAMPLE_RATE_HZ

    def step(self, sound: Sound, images: Sequence[StampedImage] = (), texts: Sequence[TextInput] = ()) -> RoomTurn:
        """Let 200 ms pass.

        Args:
            sound: [3200] float32 at 16 kHz, what else is heard at the microphone.
            images: what the camera saw, stamped within the micro-turn.
            texts: what was typed.

        Returns:
            Both sides' sound, [3200] each, and what was published of this micro-turn.
        """
        start_s, start_ns = self.now_s, self.now_ns
        self._reports = []
        played = self._play(start_ns)
        microphone = self._hear(sound, played)
        has_echo = self._config.echo_db is not None
        turn = MicroTurn(
            index=self._turns,
            start_ns=start_ns,
            end_ns=start_ns + MICRO_TURN_NS,
            audio=microphone,
            audio_valid=1.0,
            reference=played if has_echo else None,
            texts=tuple(texts),
            playback=self._playback,
        )
        self._turns += 1
        self._pending = self._work(turn, images)
        return RoomTurn(start_s, microphone, played, self._pending, tuple(self._reports))

    @abstractmethod
    def _work(self, turn: MicroTurn, images: Sequence[StampedImage]) -> tuple[Published, ...]:
        """Let the robot work on what the devices gave in a micro-turn; return what it publishes by then."""

    def _play(self, start_ns: int) -> Sound:
        """Play 200 ms; what was published of the micro-turn before takes effect on the way."""
        late = round(self._config.react_s * SAMPLE_RATE_HZ)
        before = self._render(late, start_ns)
        for record in self._pending:
            if isinstance(record, SpeechPiece):
                self._mixer.add(record)
            elif isinstance(record, SpeechControl):
                self._mixer.control(record)
        after = self._render(MICRO_TURN_SAMPLES - late, start_ns + late * 1_000_000_000 // SAMPLE_RATE_HZ)
        return np.concatenate([before, after])

    def _render(self, count: int, start_ns: int) -> Sound:
        if not count:
            return np.zeros(0, np.float32)
        block: Block = self._mixer.render(count)
        for mark in block.marks:
            stamp_ns = start_ns + mark.offset * 1_000_000_000 // SAMPLE_RATE_HZ
            self._playback = PlaybackReport(stamp_ns, mark.utterance_id, mark.state, mark.samples_played)
            self._reports.append(self._playback)
        return block.samples

    def _hear(self, sound: Sound, played: Sound) -> Sound:
        noise = self._rng.normal(0.0, 10.0 ** (self._config.noise_dbfs / 20.0), len(sound))
        heard = sound + noise
        if self._config.echo_db is not None:
            size = len(played) + len(self._response) - 1
            echo = np.fft.irfft(np.fft.rfft(played, size) * np.fft.rfft(self._response, size), size)
            echo[: len(self._tail)] += self._tail
            heard = heard + echo[: len(played)]
            self._tail = echo[len(played) :].astype(np.float32)
        return np.clip(heard, -1.0, 1.0).astype(np.float32)


class ClosedRoom(Room):
    """An engine with its player in a room.

    Thread: one caller at a time.
    """

    def __init__(
        self,
        engine: InferenceEngine,
        clock: ManualClock,
        config: RoomConfig = RoomConfig(),
        mixer: MixerConfig | None = None,
    ) -> None:
        """Take an engine that ``build`` made with this clock.

        Raises:
            ConfigError: react_s is not within a micro-turn.
        """
        super().__init__(config, mixer)
        self._engine = engine
        self._clock = clock

    def _work(self, turn: MicroTurn, images: Sequence[StampedImage]) -> tuple[Published, ...]:
        self._clock.set_ns(turn.end_ns)
        report = WindowReport(0, 0, len(images), 0, 0.0, {})
        return self._engine.process(ClosedWindow(0, turn, tuple(images), report)).records
