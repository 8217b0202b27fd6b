"""Microphones and loudspeakers as PortAudio has them: find one, open it, close it, look again for new ones.

Everything that touches ``sounddevice`` is here, and faults come out as ``DeviceError`` with what was asked for, what
was found and the next step. Knows nothing of chunks, stamps or who listens. PortAudio is loaded at first use, so that
this module imports on a machine without sound.

PortAudio takes its list of devices once, when it is initialised; a device that was plugged in later is seen after
``refresh`` only, which kills every stream of this process: one stream per process, or none while refreshing.

Source: PortAudio 19.6, portaudio.h.
"""

import atexit
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol
from weakref import WeakSet

from tml_ros.devices import alsa
from tml_ros.errors import DeviceError, MissingDependencyError

__all__ = ["Device", "Kind", "Stream", "close_stream", "find_device", "list_devices", "open_stream", "refresh"]

Kind = Literal["input", "output"]

_COMMON_RATES_HZ = (8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000)
_INVALID_RATE, _INVALID_CHANNELS, _INVALID_DEVICE, _BUSY = -9997, -9998, -9996, -9985  # PaErrorCode, portaudio.h
_PLURAL = {"input": "microphones", "output": "loudspeakers"}
_log = logging.getLogger(__name__)
_lock = threading.RLock()  # PortAudio itself is not thread-safe outside its callbacks
_streams: WeakSet[Any] = WeakSet()


class Stream(Protocol):
    """The part of a sounddevice stream that is used here."""

    @property
    def active(self) -> bool:
        """Whether it runs; False too when the device died and PortAudio noticed."""

    @property
    def closed(self) -> bool:
        """Whether it was closed."""

    @property
    def latency(self) -> float:
        """Seconds between the device and the callback, as PortAudio estimates them."""

    @property
    def samplerate(self) -> float:
        """Rate in Hz."""

    def close(self) -> None:
        """End it; may hang when the device died."""


@dataclass(frozen=True, slots=True)
class Device:
    """A microphone or loudspeaker. rate_hz: what it prefers. index: valid until the next ``refresh``."""

    index: int
    name: str
    channels: int
    rate_hz: int
    host_api: str


def list_devices(kind: Kind) -> list[Device]:
    """Return every device that records or plays.

    Raises:
        MissingDependencyError: libportaudio or sounddevice is not installed.
        DeviceError: PortAudio does not answer.
    """
    sd = _sounddevice()
    with _lock:
        try:
            found = [_device(sd, info, kind) for info in sd.query_devices()]
        except sd.PortAudioError as err:
            raise DeviceError(f"PortAudio cannot list the {_PLURAL[kind]}: {err}; check the sound server") from err
    return [device for device in found if device.channels > 0]


def find_device(wanted: str, kind: Kind) -> Device:
    """Return one device.

    Args:
        wanted: empty for the system's default, an index in digits, a name, or a part of one that only one name has.
        kind: ``input`` or ``output``.

    Raises:
        MissingDependencyError: libportaudio or sounddevice is not installed.
        DeviceError: it is not there, or several fit; names the known ones.
    """
    known = list_devices(kind)
    if not wanted:
        return _default(known, kind)
    fitting = list(_fitting(wanted, known))
    if len(fitting) == 1 or (fitting and all(one.name == wanted for one in fitting)):
        return fitting[0]  # the same name in two host interfaces: the first is PortAudio's own choice
    if fitting:
        raise DeviceError(f"{wanted!r} fits several {_PLURAL[kind]}: {_listed(fitting)}; give a whole name or an index")
    raise DeviceError(f"no {kind} device fits {wanted!r}; {_there_are(known, kind)}")


def open_stream(
    kind: Kind,
    device: Device,
    callback: Callable[..., None],
    *,
    rate_hz: int,
    channels: int,
    dtype: str = "int16",
    block: int = 0,
    latency: float | Literal["low", "high"] = "low",
    finished: Callable[[], None] | None = None,
) -> Stream:
    """Open a device and start its callbacks.

    Args:
        kind: ``input`` or ``output``.
        device: from ``find_device``, later than the last ``refresh``.
        callback: called with (buffer, frames, time, status) in PortAudio's thread; see sounddevice.RawInputStream.
        rate_hz: sampling rate.
        channels: of the device, interleaved in the buffer.
        dtype: ``int16`` or ``float32``.
        block: samples per callback; 0 leaves it to the device.
        latency: seconds, or what PortAudio finds low or high.
        finished: called when the stream has ended, for whatever reason.

    Raises:
        MissingDependencyError: libportaudio or sounddevice is not installed.
        DeviceError: the device is busy, gone, or refuses the rate or the channels; says which rates it takes.
    """
    sd = _sounddevice()
    make = sd.RawInputStream if kind == "input" else sd.RawOutputStream
    options = {"samplerate": rate_hz, "blocksize": block, "channels": channels, "dtype": dtype, "latency": latency}
    stream: Any = None
    with _lock, alsa.chatter_held_back():
        try:
            stream = make(device=device.index, callback=callback, finished_callback=finished, **options)
            _streams.add(stream)
            stream.start()
        except (sd.PortAudioError, ValueError) as err:  # ValueError: the index is not there any more
            if stream is not None:
                stream.close()
            raise DeviceError(_refusal(sd, kind, device, rate_hz, channels, dtype, err)) from err
    opened: Stream = stream
    return opened


def close_stream(stream: Stream, timeout_s: float = 2.0) -> bool:
    """Close a stream; return False when that hangs, in which case it is left to a thread of its own.

    PortAudio waits for its callback thread when it closes a stream, and that thread may wait for a device that died:
    the caller goes on after ``timeout_s``. PortAudio's clean-up at exit would hang likewise and is left out then.
    """
    thread = threading.Thread(target=_close_quietly, args=(stream,), name="close_stream", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if not thread.is_alive():
        return True
    sd = _sounddevice()
    atexit.unregister(sd._exit_handler)
    _log.warning("a sound device did not close within %g s and is left behind; restart the node if it stays", timeout_s)
    return False


def refresh() -> bool:
    """Make PortAudio look for devices again; return False, and do nothing, while a stream of this process is open.

    Raises:
        MissingDependencyError: libportaudio or sounddevice is not installed.
        DeviceError: PortAudio cannot be initialised again.
    """
    sd = _sounddevice()
    with _lock:
        if any(not stream.closed for stream in _streams):
            return False
        try:
            while sd._initialized:  # private, but the only way: sounddevice itself never looks twice
                sd._terminate()
            alsa.check_default()
            sd._initialize()
        except sd.PortAudioError as err:
            raise DeviceError(f"PortAudio does not start again: {err}; check the sound server") from err
    return True


def _sounddevice() -> Any:
    """Return the module; its import loads libportaudio and asks the sound server, which only device nodes need."""
    if "sounddevice" not in sys.modules:
        alsa.check_default()
    try:
        import sounddevice
    except ImportError as err:
        raise MissingDependencyError("sounddevice is not installed; run: pip install sounddevice") from err
    except OSError as err:
        raise MissingDependencyError(f"{err}: libportaudio is needed; run: apt-get install libportaudio2") from err
    except Exception as err:  # PortAudioError, which cannot be named before the import
        raise DeviceError(f"PortAudio does not start: {err}; check the sound server") from err
    return sounddevice


def _close_quietly(stream: Stream) -> None:
    try:
        stream.close()
    except Exception as err:  # a device that died may fail in any way, and nothing is left to be done
        _log.debug("closing a sound device: %s", err)


def _device(sd: Any, info: Any, kind: Kind) -> Device:
    channels, host_api = int(info[f"max_{kind}_channels"]), str(sd.query_hostapis(info["hostapi"])["name"])
    return Device(int(info["index"]), str(info["name"]), channels, round(info["default_samplerate"]), host_api)


def _default(known: list[Device], kind: Kind) -> Device:
    sd = _sounddevice()
    with _lock:
        index = int(sd.query_hostapis(sd.default.hostapi)[f"default_{kind}_device"])
    for device in known:
        if device.index == index:
            return device
    raise DeviceError(f"the system has no default {kind} device; {_there_are(known, kind)}")


def _fitting(wanted: str, known: list[Device]) -> Iterator[Device]:
    """Yield what fits best: the index, else the whole name, else a part of the name in any case."""
    if wanted.isdecimal():
        yield from (device for device in known if device.index == int(wanted))
        return
    exact = [device for device in known if device.name == wanted]
    yield from exact or [device for device in known if wanted.casefold() in device.name.casefold()]


def _listed(devices: list[Device]) -> str:
    return ", ".join(f"{device.index} {device.name!r}" for device in devices)


def _there_are(known: list[Device], kind: Kind) -> str:
    if known:
        return f"there are {_listed(known)}; name one of them, or plug it in"
    return f"there are no {_PLURAL[kind]} at all; plug one in, or start the sound server"


def _refusal(sd: Any, kind: Kind, device: Device, rate_hz: int, channels: int, dtype: str, err: Exception) -> str:
    asked = f"{kind} device {device.name!r} cannot be opened with {rate_hz} Hz and {channels} channels"
    code = err.args[1] if len(err.args) > 1 else 0
    if channels > device.channels or code == _INVALID_CHANNELS:
        return f"{asked}: it has {device.channels}; ask for no more"
    if code == _BUSY:
        return f"{asked}: it is busy{alsa.holders(kind)}; stop that program, or use the sound server's device instead"
    if code == _INVALID_RATE:
        rates = ", ".join(str(rate) for rate in _rates(sd, kind, device, channels, dtype))
        return f"{asked}: it refuses that rate; it takes {rates or 'none of the usual rates'}; use one of them, or 0"
    if code == _INVALID_DEVICE:
        return f"{asked}: it is gone; plug it in again"
    return f"{asked}: it does not answer ({err}); check that it is plugged in and that the sound server runs"


def _rates(sd: Any, kind: Kind, device: Device, channels: int, dtype: str) -> Iterator[int]:
    check = sd.check_input_settings if kind == "input" else sd.check_output_settings
    for rate in sorted({*_COMMON_RATES_HZ, device.rate_hz}):
        try:
            check(device=device.index, channels=channels, dtype=dtype, samplerate=rate)
        except sd.PortAudioError:
            continue
        yield rate
