"""Sound messages of other packages as AudioChunk records: which they are, what their samples are, where they belong.

A message is told by its fields, not by its package: two projects publish different messages as ``audio_common_msgs``,
and neither is needed here. Knows no ROS: rclpy's messages and a bag's are read alike.

Source: ros-drivers/audio_common (ros2) AudioDataStamped.msg, AudioInfo.msg, audio_capture_node.cpp (AudioInfo goes out
at the start and every 5 s, not latched); mgonzs13/audio_common 4.0 AudioStamped.msg, audio_capturer_node.cpp (best
effort; stamped before the samples are read); std_msgs Int16MultiArray.msg.
"""

import logging
from dataclasses import dataclass
from enum import Enum
from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tml_ros import wire
from tml_ros.config import param
from tml_ros.errors import AudioFormatError
from tml_ros.media.pcm import ENCODINGS, MAX_CHANNELS, MAX_RATE_HZ, MIN_RATE_HZ
from tml_ros.media.sample_clock import ARRIVAL, STAMPED, SampleClock
from tml_ros.media.sample_formats import PORTAUDIO_FORMATS, SAMPLE_FORMATS, to_known
from tml_ros.records import AudioChunk

__all__ = [
    "AUDIO_TYPES",
    "INFO_TYPE",
    "AudioInputConfig",
    "AudioKind",
    "ForeignAudio",
    "alike",
    "is_audio_type",
    "is_info",
    "kind_of",
]

AUDIO_TYPES = {  # message name: who has it; ours first
    "AudioChunk": "tml_interfaces",
    "AudioDataStamped": "ros-drivers audio_common_msgs",
    "AudioStamped": "mgonzs13 audio_common_msgs",
    "Int16MultiArray": "std_msgs",
}
INFO_TYPE = "AudioInfo"

_OWN_PACKAGES = {"AudioChunk": "tml_interfaces", "Int16MultiArray": "std_msgs"}
_UNCODED = ("", "wave", "wav", "raw", "pcm")
_HOLD_NS = 6_000_000_000  # the driver sends AudioInfo every 5 s
_MAX_HELD = 2_000
_TYPED_FIELDS = {
    "F32LE": ("float32_data", "<f4"),
    "S32LE": ("int32_data", "<i4"),
    "S16LE": ("int16_data", "<i2"),
    "S8": ("int8_data", "i1"),
    "U8": ("uint8_data", "u1"),
}
_log = logging.getLogger(__name__)

Received = tuple[Any, int]


@dataclass(frozen=True, slots=True)
class AudioInputConfig:
    """What sound messages that do not say so themselves hold."""

    rate_hz: int = param(
        16_000,
        "Rate of sound that comes as Int16MultiArray, or as AudioDataStamped without AudioInfo; the default is that of "
        "the ros-drivers driver",
        unit="Hz",
        minimum=MIN_RATE_HZ,
        maximum=MAX_RATE_HZ,
    )
    channels: int = param(1, "Channels of such sound, interleaved", minimum=1, maximum=MAX_CHANNELS)
    sample_format: str = param(
        "S16LE", "Samples of AudioDataStamped without AudioInfo, as the driver calls them", choices=SAMPLE_FORMATS
    )


class AudioKind(Enum):
    """The messages that sound may come in."""

    OWN = "tml_interfaces/AudioChunk"
    BYTES = "AudioDataStamped of ros-drivers"
    TYPED = "AudioStamped of mgonzs13"
    ARRAY = "std_msgs/Int16MultiArray"


@dataclass(frozen=True, slots=True)
class _Format:
    rate_hz: int
    channels: int
    sample_format: str


def is_audio_type(type_name: str) -> bool:
    """Tell whether ``package/msg/Name`` may be a sound message; its fields decide (``kind_of``)."""
    package, _, name = type_name.rpartition("/msg/")
    return name in AUDIO_TYPES and package == _OWN_PACKAGES.get(name, package) and bool(package)


def alike(topic: str, other: str) -> int:
    """Return how many leading parts of their names two topics share."""
    pairs = zip(topic.strip("/").split("/"), other.strip("/").split("/"), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def kind_of(message: Any) -> AudioKind | None:
    """Tell a sound message by its fields, None when it is none of those that can be read."""
    if hasattr(message, "stream_id") and hasattr(message, "first_sample"):
        return AudioKind.OWN
    if hasattr(message, "layout") and hasattr(message, "data"):
        return AudioKind.ARRAY
    if not hasattr(message, "header") or not hasattr(message, "audio"):
        return None
    if hasattr(message.audio, "audio_data") and hasattr(message.audio, "info"):
        return AudioKind.TYPED
    return AudioKind.BYTES if hasattr(message.audio, "data") else None


def is_info(message: Any) -> bool:
    """Tell whether a message is the AudioInfo of ros-drivers; that of mgonzs13 has the same name."""
    return all(hasattr(message, name) for name in ("channels", "sample_rate", "sample_format", "coding_format"))


class ForeignAudio:
    """Reads the sound messages of one topic.

    ``awaits_info``: set it while AudioInfo is published but has not come; sound whose format hangs on it is held until
    then, for at most 6 s.

    Thread: one caller at a time.
    """

    def __init__(self, config: AudioInputConfig) -> None:
        self.awaits_info = False
        self._default = _Format(config.rate_hz, config.channels, config.sample_format)
        self._info: Any = None
        self._held: list[Received] = []
        self._clock = SampleClock()

    @property
    def has_info(self) -> bool:
        """Whether AudioInfo has come."""
        return self._info is not None

    def set_info(self, message: Any) -> list[Received]:
        """Take in AudioInfo and return the messages that were held for it, oldest first.

        Raises:
            AudioFormatError: it is another message.
        """
        if not is_info(message):
            raise AudioFormatError(f"{type(message).__name__} is no AudioInfo of ros-drivers: it has no sample_format")
        self._info = message
        return self.release()

    def ready(self, message: Any, received_ns: int) -> list[Received]:
        """Return the messages that can be read now, this one included unless it must wait, oldest first."""
        self._held.append((message, received_ns))
        if self._info is None and self.awaits_info and kind_of(message) is AudioKind.BYTES:
            if 0 <= received_ns - self._held[0][1] < _HOLD_NS and len(self._held) < _MAX_HELD:
                return []
            self.awaits_info = False
            _log.warning("no AudioInfo within 6 s; the sound is read as %s by audio_input", self._default)
        return self.release()

    def read(self, message: Any, received_ns: int) -> AudioChunk:
        """Return a message as a chunk. received_ns: when it came, for stamps of zero and messages without.

        Raises:
            AudioFormatError: an unknown message, compressed sound, an unknown sample format.
        """
        kind = kind_of(message)
        if kind is AudioKind.OWN:
            return wire.audio_chunk(message, received_ns)
        if kind is None:
            raise AudioFormatError(
                f"{type(message).__name__} is no sound message that is known; expected one of {', '.join(AUDIO_TYPES)}"
            )
        if kind is AudioKind.BYTES:
            data = memoryview(message.audio.data).cast("B")
            return self._place(kind, self._driver_format(), data, message, received_ns)
        form, values = _typed(message) if kind is AudioKind.TYPED else self._array(message)
        return self._place(kind, form, values.tobytes(), message, received_ns)

    def release(self) -> list[Received]:
        """Return the messages that were held, oldest first."""
        ready, self._held = self._held, []
        return ready

    def _place(
        self, kind: AudioKind, form: _Format, data: bytes | memoryview, message: Any, received_ns: int
    ) -> AudioChunk:
        encoding, pcm = to_known(data, form.sample_format)
        frames = len(pcm) // (ENCODINGS[encoding].itemsize * max(1, form.channels))
        header = getattr(message, "header", None)
        stamp_ns = header.stamp.sec * 1_000_000_000 + header.stamp.nanosec if header is not None else 0
        quality = STAMPED if stamp_ns else ARRIVAL
        frame_id = str(header.frame_id) if header is not None else ""
        if not frames or not MIN_RATE_HZ <= form.rate_hz <= MAX_RATE_HZ or not 1 <= form.channels <= MAX_CHANNELS:
            # nothing that can be placed: whoever decodes it says what is wrong
            return AudioChunk(stamp_ns, kind.name, 0, form.rate_hz, form.channels, encoding, pcm, frame_id)
        stamp_ns = stamp_ns or received_ns - frames * 1_000_000_000 // form.rate_hz
        place = self._clock.place(stamp_ns, frames, form.rate_hz, form.channels, quality)
        stream = f"{kind.name.lower()}-{place.stream}"
        return AudioChunk(
            place.stamp_ns, stream, place.first_sample, form.rate_hz, form.channels, encoding, pcm, frame_id
        )

    def _driver_format(self) -> _Format:
        """Return what AudioInfo says, or else the parameters."""
        if self._info is None:
            return self._default
        coding = str(self._info.coding_format)
        if coding.strip().lower() not in _UNCODED:
            raise AudioFormatError(
                f"the sound is coded as {coding!r} by its AudioInfo, expected wave: compressed sound is not read; "
                "start the driver (audio_capture) with the parameter format:=wave"
            )
        return _Format(int(self._info.sample_rate), int(self._info.channels), str(self._info.sample_format))

    def _array(self, message: Any) -> tuple[_Format, NDArray[Any]]:
        values: NDArray[Any] = np.asarray(message.data)
        if values.size and values.dtype != np.int16:
            raise AudioFormatError(f"the array holds {values.dtype}, expected int16; publish an Int16MultiArray")
        return _Format(self._default.rate_hz, self._default.channels, "S16LE"), values.astype("<i2", copy=False)


def _typed(message: Any) -> tuple[_Format, NDArray[Any]]:
    info, arrays = message.audio.info, message.audio.audio_data
    if info.format not in PORTAUDIO_FORMATS:
        known = ", ".join(f"{code} ({name})" for code, name in PORTAUDIO_FORMATS.items())
        raise AudioFormatError(
            f"audio format {info.format} is unknown, expected a code of PortAudio: {known}; set the parameter format "
            "of the driver (audio_capturer_node)"
        )
    name = PORTAUDIO_FORMATS[int(info.format)]
    field, dtype = _TYPED_FIELDS[name]
    values: NDArray[Any] = np.asarray(getattr(arrays, field), dtype)
    if not values.size:
        raise AudioFormatError(
            f"audio format {info.format} is {name}, but {field} is empty; fill the array that the format names"
        )
    return _Format(int(info.rate), int(info.channels), name), values
