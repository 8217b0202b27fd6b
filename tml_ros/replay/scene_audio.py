"""Mix the sounds of a scene, piece by piece.

Recordings and synthesised speech are loaded when their time comes and forgotten when it is over, so a long scene costs
no more memory than its longest sound. Knows samples only: no messages, no files to be written, no clock. The same
scene gives the same samples on every run.
"""

import logging
from collections import deque
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import soxr
from numpy.typing import NDArray

from tml_ros.errors import ConfigError, SceneError
from tml_ros.media import read_audio_file
from tml_ros.records import SAMPLE_RATE_HZ
from tml_ros.replay.scene import Noise, Scene, Sound, SoundFile, Speech
from tml_ros.speech import CachedSynthesiser, Synthesiser, create_synthesiser

__all__ = ["AudioMix", "synthesiser_for"]

PINK_LOOP_SAMPLES = 1 << 18
HUM_HZ = 50.0
HUM_HARMONICS = (1.0, 0.5, 0.25)

_log = logging.getLogger(__name__)


class AudioMix:
    """One stream of mixed sound, read once from start to end.

    Attributes:
        clipped: samples beyond full scale so far; they are saturated.
        spoken: (text, start_ns, end_ns) of the speech so far, since the start of the scene.

    Thread: one at a time.
    """

    def __init__(self, scene: Scene, sounds: tuple[Sound, ...], stream: int = 0) -> None:
        """Prepare a stream; stream tells the noise of two streams of a scene apart."""
        self._scene = scene
        self._waiting = deque(sorted(enumerate(sounds), key=lambda pair: pair[1].at_ns))
        self._stream = stream
        self._synthesisers: dict[tuple[str, float], Synthesiser] = {}
        self.total = self._index(scene.duration_ns)
        self.clipped = 0
        self.spoken: list[tuple[str, int, int]] = []

    def blocks(self, size: int) -> Iterator[NDArray[np.float32]]:
        """Yield the stream in blocks [size, C] float32 within [-1, 1]; the last one may be shorter.

        Raises:
            SceneError: A voice does not exist, or from_s lies behind the end of a file.
            AudioFormatError: A file cannot be read.
            SynthesisError: A text cannot be spoken.
            MissingDependencyError: A synthesiser is not installed.
        """
        playing: list[_Player] = []
        for first in range(0, self.total, size):
            block = np.zeros((min(size, self.total - first), self._scene.channels), np.float32)
            while self._waiting and self._index(self._waiting[0][1].at_ns) < first + len(block):
                playing.append(self._player(*self._waiting.popleft()))
            for player in playing:
                player.add_to(block, first)
            playing = [player for player in playing if player.stop > first + len(block)]
            self.clipped += int(np.count_nonzero(np.abs(block) > 1.0))
            yield np.clip(block, -1.0, 1.0)

    def _index(self, time_ns: int) -> int:
        return round(time_ns * self._scene.rate_hz / 1_000_000_000)

    def _player(self, number: int, sound: Sound) -> "_Player":
        start, limit = self._index(sound.at_ns), self._index(sound.until_ns or self._scene.duration_ns)
        gain = float(10.0 ** (sound.gain_db / 20.0))
        if isinstance(sound, Noise):
            seed = [self._scene.seed, self._stream, number]
            return _Player(_noise(sound.color, self._scene.rate_hz, seed), start, limit, gain, sound.channel)
        samples = self._file(sound) if isinstance(sound, SoundFile) else self._speech(sound, start, limit)
        return _Player(_Samples(samples), start, min(limit, start + len(samples)), gain, sound.channel)

    def _file(self, sound: SoundFile) -> NDArray[np.float32]:
        samples, rate_hz = read_audio_file(sound.path, sound.rate_hz, sound.encoding, sound.file_channels)
        samples = samples[round(sound.from_s * rate_hz) :]
        if not len(samples):
            raise SceneError(f"from_s {sound.from_s} lies behind the end of {sound.path}; choose a smaller one")
        return _resample(self._pick(sound, samples), rate_hz, self._scene.rate_hz)

    def _pick(self, sound: SoundFile, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Reduce [N, F] of a file to [N, 1], or to [N, C] when it fits the scene channel by channel."""
        count = samples.shape[1]
        if sound.file_channel is not None:
            if sound.file_channel >= count:
                raise SceneError(f"file_channel {sound.file_channel} is not in {sound.path}, which has {count}")
            return samples[:, sound.file_channel : sound.file_channel + 1]
        if count == self._scene.channels and sound.channel is None:
            return samples
        mono: NDArray[np.float32] = samples.mean(axis=1, keepdims=True, dtype=np.float32)
        return mono

    def _speech(self, sound: Speech, start: int, limit: int) -> NDArray[np.float32]:
        choice = (sound.voice, sound.speed)
        if choice not in self._synthesisers:
            self._synthesisers[choice] = CachedSynthesiser(synthesiser_for(*choice), max_items=64)
        samples = self._synthesisers[choice].synthesise(sound.text)
        samples = _resample(samples[:, None], SAMPLE_RATE_HZ, self._scene.rate_hz)
        if start + len(samples) > limit:
            _log.warning("scene %s: %r is cut off at %.2f s", self._scene.name, sound.text, limit / self._scene.rate_hz)
        end_ns = min(start + len(samples), limit) * 1_000_000_000 // self._scene.rate_hz
        self.spoken.append((sound.text, sound.at_ns, end_ns))
        return samples


def synthesiser_for(voice: str, speed: float = 1.0) -> Synthesiser:
    """Make the synthesiser for a voice of a scene: ``slt`` and ``flite:slt`` are flite's, ``espeak:de`` is espeak-ng's.

    Raises:
        SceneError: There is no such voice.
        MissingDependencyError: The program is not installed.
    """
    program, colon, name = voice.partition(":")
    try:
        return create_synthesiser(program, name, speed) if colon else create_synthesiser("flite", voice, speed)
    except ConfigError as err:
        raise SceneError(f"voice {voice!r}: {err}; voices of espeak-ng are written espeak:en-us") from err


# --------------------------------------------------------------------------------------------------------- sources


class _Source(Protocol):
    def read(self, count: int) -> NDArray[np.float32]:
        """Return the next [count, 1 or C] samples."""


class _Player:
    """A source on its place in the stream: samples [start, stop)."""

    def __init__(self, source: _Source, start: int, stop: int, gain: float, channel: int | None) -> None:
        self._source = source
        self._start = start
        self.stop = stop
        self._gain = np.float32(gain)
        self._columns = slice(None) if channel is None else slice(channel, channel + 1)

    def add_to(self, block: NDArray[np.float32], first: int) -> None:
        """Add what falls into a block [n, C] that begins at sample first; blocks must come in order."""
        begin, end = max(self._start - first, 0), min(self.stop - first, len(block))
        if begin < end:
            block[begin:end, self._columns] += self._gain * self._source.read(end - begin)


class _Samples:
    """Sound that is there as a whole. samples: [N, 1 or C]."""

    def __init__(self, samples: NDArray[np.float32]) -> None:
        self._samples = samples
        self._position = 0

    def read(self, count: int) -> NDArray[np.float32]:
        self._position += count
        return self._samples[self._position - count : self._position]


class _White:
    """White noise of RMS 1."""

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator

    def read(self, count: int) -> NDArray[np.float32]:
        return self._generator.standard_normal((count, 1), np.float32)


class _Loop:
    """A period of sound, repeated. period: [P]."""

    def __init__(self, period: NDArray[np.float32]) -> None:
        self._period = period
        self._position = 0

    def read(self, count: int) -> NDArray[np.float32]:
        indices = np.arange(self._position, self._position + count)
        self._position += count
        return self._period[indices % len(self._period), None]


def _noise(color: str, rate_hz: int, seed: list[int]) -> _Source:
    generator = np.random.Generator(np.random.PCG64(seed))
    if color == "white":
        return _White(generator)
    return _Loop(_pink(generator) if color == "pink" else _hum(rate_hz))


def _pink(generator: np.random.Generator) -> NDArray[np.float32]:
    """Return a seamless loop of noise whose power falls with 1/f, RMS 1, about 16 s at 16 kHz."""
    bins = PINK_LOOP_SAMPLES // 2 + 1
    spectrum = generator.standard_normal(bins) + 1j * generator.standard_normal(bins)
    spectrum[0] = 0.0
    spectrum[1:] /= np.sqrt(np.arange(1, bins))
    return _unit_rms(np.fft.irfft(spectrum))


def _hum(rate_hz: int) -> NDArray[np.float32]:
    """Return one second of mains hum, a whole number of periods, RMS 1."""
    time_s = np.arange(rate_hz) / rate_hz
    parts = (a * np.sin(2.0 * np.pi * HUM_HZ * k * time_s) for k, a in enumerate(HUM_HARMONICS, start=1))
    return _unit_rms(np.sum(list(parts), axis=0))


def _unit_rms(samples: NDArray[np.float64]) -> NDArray[np.float32]:
    loudness = float(np.sqrt(np.mean(samples**2)))
    return (samples / loudness).astype(np.float32)


def _resample(samples: NDArray[np.float32], from_hz: int, to_hz: int) -> NDArray[np.float32]:
    """Change the rate of samples [N, C]."""
    if from_hz == to_hz:
        return samples
    changed: NDArray[np.float32] = soxr.resample(samples, from_hz, to_hz)
    return changed
