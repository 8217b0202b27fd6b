"""A sound server without hardware: a private PulseAudio with null sinks, and sounddevice's way to it.

A null sink plays at the pace of a real clock into nothing; what was played comes out of its monitor. So the monitor of
``robot_room`` serves as a microphone and ``robot_speaker`` as a loudspeaker. The server has its own socket, home and
configuration in a folder that goes when it ends: nobody's own PulseAudio or PipeWire is heard of, and no sound card.
Knows nothing of rooms, robots or ROS.

Source: PulseAudio 16 (pulseaudio(1), pactl(1), module-null-sink), alsa-plugins' pulse plugin, pulse/simple.h.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PACKAGES = {"pulseaudio": "pulseaudio", "pactl": "pulseaudio-utils"}
START_TIMEOUT_S = 10.0
BLOCK_S = 0.01
LEAKS = ("PULSE_SINK", "PULSE_SOURCE", "PULSE_LATENCY_MSEC", "PULSE_CONFIG_PATH", "DBUS_SESSION_BUS_ADDRESS", "DISPLAY")

# PortAudio aborts the program when ALSA knows no pcm.default; this one leads to no card and is not listed.
NO_CARD = "<confdir:pcm/default.conf>\n"
CAPTURE = "pcm.{name} {{ type asym capture.pcm {{ type pulse device {device} }} }}\n"
PLAYBACK = "pcm.{name} {{ type asym playback.pcm {{ type pulse device {device} }} }}\n"


def missing_packages() -> list[str]:
    """Return the Debian packages that are needed and not there."""
    missing = [package for program, package in PACKAGES.items() if shutil.which(program) is None]
    if not any(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so")):
        missing.append("libasound2-plugins")
    return missing


class PulseServer:
    """A running server; as a context manager it ends with the block.

    ``devices`` maps what sounddevice shall see to a sink (a loudspeaker) or ``SINK.monitor`` (a microphone); the sinks
    need not exist yet. Give ``environment()`` to the programs that shall see them.
    """

    def __init__(self, devices: Mapping[str, str] | None = None, rate_hz: int = 48_000) -> None:
        if missing := missing_packages():
            raise RuntimeError(f"missing: {' '.join(missing)}; run: apt-get install {' '.join(missing)}")
        self.rate_hz = rate_hz
        self.folder = Path(tempfile.mkdtemp(prefix="tml_pulse_"))
        self.set_devices(devices or {"microphone": "robot_room.monitor", "loudspeaker": "robot_speaker"})
        (self.folder / "client.conf").write_text("autospawn = no\nenable-shm = no\n")
        (self.folder / "daemon.conf").write_text("enable-shm = no\nflat-volumes = no\nexit-idle-time = -1\n")
        self._sinks: dict[str, str] = {}
        self._process: subprocess.Popen | None = None

    # ------------------------------------------------------------------------------------------------ start and end

    def __enter__(self) -> "PulseServer":
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the server; it knows no sink yet."""
        socket = f"module-native-protocol-unix auth-anonymous=1 socket={self.folder}/native"
        options = ["-n", "--daemonize=no", "--use-pid-file=no", "--high-priority=yes"]
        # Where it may, the server has real-time priority, as it has beside hardware: its devices are never late.
        options += ["--realtime=yes"]
        options += ["--exit-idle-time=-1", "--disable-shm=yes", "--log-target=stderr", "--log-level=notice"]
        # It shall not outlive a test that is killed.
        guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*guard, "pulseaudio", *options, "--load", socket],
                env=self.environment() | {"HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + START_TIMEOUT_S
        while self._pactl("info").returncode:
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"PulseAudio does not start: {self.log_text()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End the server as a crash would; every sink is gone, ``start`` brings the server back."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(5.0)
        self._sinks.clear()

    def close(self) -> None:
        """End the server and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log_text(self) -> str:
        """Return what the server wrote."""
        path = self.folder / "server.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def environment(self) -> dict[str, str]:
        """Return the environment of a program that shall see this server and no other."""
        own = {
            "PULSE_SERVER": f"unix:{self.folder}/native",
            "PULSE_RUNTIME_PATH": str(self.folder),
            "PULSE_STATE_PATH": str(self.folder),
            "PULSE_COOKIE": str(self.folder / "cookie"),
            "PULSE_CLIENTCONFIG": str(self.folder / "client.conf"),
            "PULSE_CONFIG": str(self.folder / "daemon.conf"),
            "XDG_RUNTIME_DIR": str(self.folder),
            "ALSA_CONFIG_PATH": str(self.folder / "asound.conf"),
        }
        return {name: value for name, value in os.environ.items() if name not in LEAKS} | own

    # ------------------------------------------------------------------------------------------------------- devices

    def set_devices(self, devices: Mapping[str, str]) -> None:
        """Write what sounddevice sees from its next initialisation on; an empty mapping is a machine without sound."""
        lines = [NO_CARD] + [
            (CAPTURE if device.endswith(".monitor") else PLAYBACK).format(name=name, device=device)
            for name, device in devices.items()
        ]
        (self.folder / "asound.conf").write_text("".join(lines))

    def add_sink(self, name: str, rate_hz: int | None = None, channels: int = 1) -> None:
        """Plug in a loudspeaker; its other side is the source ``NAME.monitor``."""
        fields = [f"sink_name={name}", f"rate={rate_hz or self.rate_hz}", f"channels={channels}", "norewinds=1"]
        result = self._pactl("load-module", "module-null-sink", "format=float32le", *fields)
        if result.returncode:
            raise RuntimeError(f"sink {name}: {result.stderr.strip()} {self.log_text()}")
        self._sinks[name] = result.stdout.strip()

    def remove_sink(self, name: str) -> None:
        """Unplug it; whoever plays to it or records from it loses his stream."""
        result = self._pactl("unload-module", self._sinks.pop(name))
        if result.returncode:
            raise RuntimeError(f"sink {name}: {result.stderr.strip()}")

    def suspend(self, name: str, is_suspended: bool = True) -> None:
        """Stop or start the clock of a sink: its streams stay open and get no time."""
        self._pactl("suspend-sink", name, "1" if is_suspended else "0")

    def streams(self) -> tuple[int, int]:
        """Return how many programs play and how many record."""
        lists = [self._pactl("list", "short", what).stdout for what in ("sink-inputs", "source-outputs")]
        return len(lists[0].splitlines()), len(lists[1].splitlines())

    def _pactl(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["pactl", *words], env=self.environment(), capture_output=True, text=True, timeout=10.0, check=False
        )


# ---------------------------------------------------------------------------------------------------- streams of ours


class _Spec(ctypes.Structure):
    _fields_ = (("format", ctypes.c_int), ("rate", ctypes.c_uint32), ("channels", ctypes.c_uint8))


class _Attributes(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint32) for name in ("maxlength", "tlength", "prebuf", "minreq", "fragsize"))


class PulseStream:
    """One blocking stream of mono float32 to a sink, or from the monitor of one.

    The process must have been started with the server's ``environment()``, or ``server`` be given.

    Args:
        device: a sink to play to, or ``SINK.monitor`` to record from.
        rate_hz: of the samples; the server converts.
        latency_s: how much is buffered between here and the device.
        server: as PULSE_SERVER says it, empty for that variable.
    """

    PLAY, RECORD, FLOAT32LE = 1, 2, 5

    def __init__(self, device: str, rate_hz: int = 48_000, latency_s: float = 0.02, server: str = "") -> None:
        self._library = ctypes.CDLL("libpulse-simple.so.0")
        for name, kind in (("new", ctypes.c_void_p), ("get_latency", ctypes.c_uint64)):
            getattr(self._library, f"pa_simple_{name}").restype = kind
        is_source = device.endswith(".monitor")
        size = 4 * round(latency_s * rate_hz)
        unset = 2**32 - 1
        block = 4 * round(BLOCK_S * rate_hz)
        # Without prebuffering a stream's time runs on while it is empty, and what is written then comes too late.
        attributes = _Attributes(unset, size, size // 2, block, block)
        error = ctypes.c_int(0)
        self._stream = self._library.pa_simple_new(
            server.encode() or None,
            b"tml test",
            self.RECORD if is_source else self.PLAY,
            device.encode(),
            b"sound",
            ctypes.byref(_Spec(self.FLOAT32LE, rate_hz, 1)),
            None,
            ctypes.byref(attributes),
            ctypes.byref(error),
        )
        self._check(0 if self._stream else -1, error, f"open {device}")

    def read(self, samples: int) -> NDArray[np.float32]:
        """Wait for that many samples and return them."""
        block = np.empty(samples, np.float32)
        self._transfer("read", block)
        return block

    def write(self, block: NDArray[np.float32]) -> None:
        """Hand over samples; waits while more than the latency is buffered."""
        self._transfer("write", np.ascontiguousarray(block, np.float32))

    def latency_s(self) -> float:
        """Return how old a sample just read is, or how long one just written waits."""
        error = ctypes.c_int(0)
        found = self._library.pa_simple_get_latency(ctypes.c_void_p(self._stream), ctypes.byref(error))
        return float(np.int64(np.uint64(found))) / 1e6

    def close(self) -> None:
        """End the stream; what was written and not played is dropped."""
        if self._stream:
            self._library.pa_simple_free(ctypes.c_void_p(self._stream))
            self._stream = None

    def _transfer(self, name: str, block: NDArray[np.float32]) -> None:
        error = ctypes.c_int(0)
        call = getattr(self._library, f"pa_simple_{name}")
        size = ctypes.c_size_t(block.nbytes)
        result = call(ctypes.c_void_p(self._stream), ctypes.c_void_p(block.ctypes.data), size, ctypes.byref(error))
        self._check(result, error, name)

    def _check(self, result: int, error: ctypes.c_int, what: str) -> None:
        if result < 0:
            self._library.pa_strerror.restype = ctypes.c_char_p
            raise OSError(f"PulseAudio cannot {what}: {self._library.pa_strerror(error).decode()}")


def play(sound: NDArray[np.float32], sink: str, server: PulseServer) -> None:
    """Play mono sound at the server's rate to a sink; returns when its last block is handed over."""
    stream = PulseStream(sink, server.rate_hz, server=server.environment()["PULSE_SERVER"])
    try:
        block = round(BLOCK_S * server.rate_hz)
        for start in range(0, len(sound), block):
            stream.write(sound[start : start + block])
        time.sleep(stream.latency_s())
    finally:
        stream.close()


def record(source: str, seconds: float, server: PulseServer) -> NDArray[np.float32]:
    """Return that many seconds of mono sound from a monitor, at the server's rate."""
    stream = PulseStream(source, server.rate_hz, server=server.environment()["PULSE_SERVER"])
    try:
        return stream.read(round(seconds * server.rate_hz))
    finally:
        stream.close()
