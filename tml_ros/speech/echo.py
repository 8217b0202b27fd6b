"""Take the robot's own voice out of what the microphone hears, one micro-turn at a time.

First a linear filter of our own takes away what it can without harm to a person's voice, then WebRTC's audio processing
(AEC3), as packaged in the livekit wheel, suppresses the rest. That also presses down a person who speaks over the
robot: where the filter tells that somebody else sounds, what it leaves goes past AEC3 (figures in docs/echo.md). Both
work with what was played (``audio/reference``) as their reference. The same windows give the same sound in every
process. It knows neither models nor ROS, and the library is loaded only when there is work for it.

Source: WebRTC modules/audio_processing, whose AEC3 always comes with its high-pass filter at 100 Hz.
"""

import importlib.util
import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tml_ros.config import param
from tml_ros.errors import MissingDependencyError
from tml_ros.records import SAMPLE_RATE_HZ
from tml_ros.speech.echo_filter import BLOCK_SAMPLES, EchoFilter
from tml_ros.speech.echo_meter import EchoMeter

__all__ = ["EchoCanceller", "EchoConfig"]

_FRAME_SAMPLES = SAMPLE_RATE_HZ // 100  # AEC3 takes frames of 10 ms
_FRAME_BYTES = 2 * _FRAME_SAMPLES
_LEAST_DELAY = SAMPLE_RATE_HZ * 5 // 1000  # an echo within 2 ms of its reference is not taken out
_SAFE_DELAY = SAMPLE_RATE_HZ * 15 // 1000
_WORKING_ERLE_DB = 10.0
_LATE_WINDOWS = 3  # after that the loudspeaker is taken to be closed
_AEC3_DELAY = 182  # samples by which its output is late, by cross-correlation
_BEFORE = 3  # blocks of 20 ms in front of where a person is sure: his onset is softer
_FADE = 0.8  # of what is done for a person, from one block to the next after him
_SHORT = 0.7  # smoothing of power over about 60 ms, as the filter's
_CLOSING = 0.6  # of the gate, from one block to the next: gaps between syllables are short
_SOFTER_DB = 4.0  # over which the gate opens
_NOISE = 4.0  # times the noise of the room is a sound
_RISE = 1.01  # of that noise from one block to the next, when it grows
_SHUT = 0.1  # 20 dB
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EchoConfig:
    """What is done to the microphone before the model hears it."""

    canceller: str = param(
        "webrtc",
        "Takes the robot's own voice out of what it hears, by audio/reference; off leaves the sound as it is",
        choices=("webrtc", "off"),
    )
    lead_ms: int = param(
        10,
        "Time by which the microphone is held back, so that an echo comes after its reference even where stamps are "
        "a little wrong; 3 are needed. It is raised by itself where an echo is found to come earlier",
        unit="ms",
        minimum=0,
        maximum=200,
    )
    gate_db: float = param(
        16.0,
        "What is left while the robot speaks counts as the rest of its echo, and is pressed down, where it is softer "
        "than the echo by more than this. In a room all rests were 17.6 dB softer or more, a person who spoke as "
        "loud as the robot 2; smaller presses down soft people, larger lets the robot hear itself",
        unit="dB",
        minimum=0.0,
        maximum=100.0,
    )
    noise_suppression: bool = param(False, "Also reduce steady noise; recognisers are trained on sound that was not")
    gain_control: bool = param(False, "Also bring speech to an even level; raises noise and echo along with it")

    @property
    def changes_all_sound(self) -> bool:
        """Whether sound is worked on even where nothing is played."""
        return self.noise_suppression or self.gain_control


class EchoCanceller:
    """Cleans the windows of one session, in order.

    Thread: one caller at a time.
    """

    def __init__(self, config: EchoConfig) -> None:
        """Check that what is chosen can be had; nothing is loaded yet.

        Raises:
            MissingDependencyError: the livekit wheel is not installed.
        """
        self.meter = EchoMeter()
        self._config = config
        self._filter = EchoFilter()
        self._module: _Webrtc | None = None
        self._late = np.zeros(_AEC3_DELAY, np.float32)
        self._unknown = 0  # windows in a row without a reference
        self._past = _Fader()
        self._open = _Fader(fade=_CLOSING)
        self._idle = _Fader(1.0, before=0, fade=0.0)
        self._left_power = 0.0
        self._least_power = 1.0
        self._held = np.zeros(config.lead_ms * SAMPLE_RATE_HZ // 1000, np.float32)
        if config.canceller == "webrtc" and not _is_installed():
            raise MissingDependencyError(_missing("it is not installed"))

    def process(self, audio: NDArray[np.float32], reference: NDArray[np.float32] | None) -> NDArray[np.float32]:
        """Return what was heard without what was played.

        Args:
            audio: [N] float32 at 16 kHz, N a multiple of 320, zero where nothing was received.
            reference: what was played, [N] in step with audio, or None when nothing is known of it: the sound then
                goes through untouched, but for the first windows after an echo was taken away, which are silent.

        Raises:
            MissingDependencyError: the livekit wheel cannot be loaded.
        """
        self._unknown = self._unknown + 1 if reference is None else 0
        if self._config.canceller == "off" or (reference is None and not self._config.changes_all_sound):
            self._held[:] = 0.0  # what waits is old by the time the reference is back
            return np.zeros_like(audio) if self._is_reference_late else audio
        played = np.zeros_like(audio) if reference is None else reference
        cleaned = self._cancel(self._hold_back(audio), played)
        if reference is not None:
            self.meter.add(audio, reference, cleaned)
            self._keep_ahead()
        return cleaned

    @property
    def _is_reference_late(self) -> bool:
        """Whether echo that it took away till now may be in this window, and nothing is known of it."""
        return 0 < self._unknown <= _LATE_WINDOWS and self._filter.erle_db >= _WORKING_ERLE_DB

    def _keep_ahead(self) -> None:
        """Hold the microphone back further where its echo comes too soon after the reference, or even before it.

        A filter that works shows that it does not: a delay that was found while a person spoke may be any.
        """
        if self._filter.erle_db >= _WORKING_ERLE_DB:
            return
        delay = self.meter.delay_samples
        if delay is not None and delay + len(self._held) < _LEAST_DELAY:
            more = np.zeros(_SAFE_DELAY - delay - len(self._held), np.float32)
            self._held = np.concatenate([more, self._held])

    def _hold_back(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        sound = np.concatenate([self._held, audio])
        self._held = sound[len(audio) :]
        return sound[: len(audio)]

    def _cancel(self, audio: NDArray[np.float32], played: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._module is None:
            self._module = _load(self._config)
        linear = self._filter.process(audio, played)
        late = np.concatenate([self._late, linear])
        late, self._late = late[: len(audio)], late[len(audio) :]
        suppressed = self._module.run(linear, played)
        past = self._past.follow(self._filter.near)
        cleaned = np.asarray(suppressed + past * (late - suppressed), np.float32)
        heard = np.repeat(~self._filter.lost, BLOCK_SAMPLES)
        return np.asarray(cleaned * self._gate(cleaned) * heard, np.float32)

    def _gate(self, cleaned: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return by how much to press down what was cleaned, [N]: what is much softer than the echo is its rest."""
        wanted, echo_powers = [], self._filter.echo_power
        powers = np.mean(cleaned.reshape(-1, BLOCK_SAMPLES).astype(np.float64) ** 2, axis=1)
        for power, echo_power in zip(powers, echo_powers, strict=True):
            self._left_power = _SHORT * self._left_power + (1 - _SHORT) * float(power)
            self._least_power = min(self._left_power, _RISE * self._least_power)
            softer_db = 10.0 * float(np.log10((echo_power + 1e-12) / (self._left_power + 1e-12)))
            is_sound = echo_power > 0.0 and self._left_power > _NOISE * self._least_power
            wanted.append((self._config.gate_db - softer_db) / _SOFTER_DB if is_sound else 0.0)
        is_open = np.maximum(self._open.follow(np.clip(wanted, 0.0, 1.0)), self._idle.follow(echo_powers == 0.0))
        return np.asarray(_SHUT + (1 - _SHUT) * is_open, np.float32)


class _Fader:
    """A share that follows what is wanted block by block: up at once and ahead of time, down slowly."""

    def __init__(self, share: float = 0.0, before: int = _BEFORE, fade: float = _FADE) -> None:
        self._share = share
        self._before = before
        self._fade = fade

    def follow(self, wanted: NDArray[Any]) -> NDArray[np.float32]:
        """Return the share of each sample, [N], up so many blocks ahead of where it is wanted; wanted: [N // 320]."""
        shares = [self._share]
        for block in range(len(wanted)):
            ahead = float(wanted[block : block + self._before + 1].max())
            shares.append(max(ahead, self._fade * shares[-1]))
        self._share = shares[-1]
        edges = np.arange(len(shares)) * BLOCK_SAMPLES
        return np.asarray(np.interp(np.arange(len(wanted) * BLOCK_SAMPLES), edges, shares), np.float32)


class _Webrtc:
    """The livekit wheel's audio processing over whole windows."""

    def __init__(self, rtc: Any, config: EchoConfig) -> None:
        self._rtc = rtc
        self._module = rtc.AudioProcessingModule(
            echo_cancellation=True,
            high_pass_filter=True,
            noise_suppression=config.noise_suppression,
            auto_gain_control=config.gain_control,
        )

    def run(self, audio: NDArray[np.float32], played: NDArray[np.float32]) -> NDArray[np.float32]:
        """Feed one frame of what was played, then one of what was heard, until the window is done."""
        cleaned = bytearray()
        for heard, said in zip(self._frames(audio), self._frames(played), strict=True):
            self._module.process_reverse_stream(said)
            self._module.process_stream(heard)
            cleaned += heard.data.cast("B")
        return np.frombuffer(cleaned, "<i2").astype(np.float32) / np.float32(32_768)

    def _frames(self, sound: NDArray[np.float32]) -> list[Any]:
        data = np.clip(np.rint(sound * 32_768.0), -32_768, 32_767).astype("<i2").tobytes()
        parts = [bytearray(data[start : start + _FRAME_BYTES]) for start in range(0, len(data), _FRAME_BYTES)]
        return [self._rtc.AudioFrame(part, SAMPLE_RATE_HZ, 1, _FRAME_SAMPLES) for part in parts]


def _is_installed() -> bool:
    """Tell whether the wheel is there, without running any of it."""
    spec = importlib.util.find_spec("livekit")
    return spec is not None and importlib.util.find_spec("livekit.rtc") is not None


def _load(config: EchoConfig) -> _Webrtc:
    logging.getLogger("livekit").setLevel(logging.WARNING)  # it reports its start and end
    try:
        from livekit import rtc

        return _Webrtc(rtc, config)
    except (ImportError, OSError, RuntimeError) as err:
        raise MissingDependencyError(_missing(" ".join(str(err).split()))) from err


def _missing(reason: str) -> str:
    return (
        f"the echo canceller needs livekit, but {reason}; install it with: pip install livekit, "
        "or set the parameter echo.canceller to off"
    )
