"""Voice activity: Silero VAD on frames of 32 ms, and segments of speech with hysteresis.

Frames do not divide a micro-turn (200 ms are 6.25 of them), so samples are carried over. It knows sound and time only.

Source: Silero VAD v6 (ONNX file of the silero-vad wheel; the package itself is not imported, for it needs torch).
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from tml_ros.duplex.cascade.config import CascadeConfig
from tml_ros.errors import MissingDependencyError
from tml_ros.records import SAMPLE_RATE_HZ

__all__ = ["FRAME_MS", "FRAME_SAMPLES", "SileroVad", "SpeechSegmenter", "VadStream"]

FRAME_SAMPLES = 512
FRAME_MS = FRAME_SAMPLES * 1000 // SAMPLE_RATE_HZ
_CONTEXT_SAMPLES = 64


class SileroVad:
    """The network; its streams share the weights.

    Raises:
        MissingDependencyError: the silero-vad wheel is not installed.
    """

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # more threads may change the last bit
        self._session = onnxruntime.InferenceSession(str(_find_model()), options, providers=["CPUExecutionProvider"])

    def open(self) -> "VadStream":
        """Begin a stream."""
        return VadStream(self._session)


class VadStream:
    """One stream's recurrent state."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self._state = np.zeros((2, 1, 128), np.float32)
        self._context = np.zeros(_CONTEXT_SAMPLES, np.float32)
        self._rest = np.zeros(0, np.float32)
        self._rate = np.array(SAMPLE_RATE_HZ, np.int64)

    @property
    def carried_samples(self) -> int:
        """Samples that wait for the rest of their frame."""
        return len(self._rest)

    def push(self, audio: NDArray[np.float32]) -> list[float]:
        """Return the speech probability of every frame that is now complete. audio: [N] float32 at 16 kHz."""
        samples = np.concatenate([self._rest, audio])
        whole = len(samples) // FRAME_SAMPLES * FRAME_SAMPLES
        self._rest = samples[whole:]
        return [self._frame(frame) for frame in samples[:whole].reshape(-1, FRAME_SAMPLES)]

    def _frame(self, frame: NDArray[np.float32]) -> float:
        inputs = {"input": np.concatenate([self._context, frame])[None], "state": self._state, "sr": self._rate}
        probability, self._state = self._session.run(None, inputs)
        self._context = frame[-_CONTEXT_SAMPLES:]
        return float(probability[0, 0])


@dataclass(slots=True)
class SpeechSegmenter:
    """Turns probabilities into speech that begins, pauses and ends. Positions are samples since the stream began."""

    config: CascadeConfig
    position: int = 0
    start: int | None = None
    last_speech: int = 0
    speech_frames: int = 0
    _candidate: int = 0
    _candidate_frames: int = 0

    @property
    def is_active(self) -> bool:
        """Whether a segment has begun and not been closed."""
        return self.start is not None

    @property
    def silence_ms(self) -> int:
        """How long the active segment has been silent."""
        return (self.position - self.last_speech) * 1000 // SAMPLE_RATE_HZ if self.is_active else 0

    def push(self, probability: float) -> None:
        """Take in the next frame."""
        begin, self.position = self.position, self.position + FRAME_SAMPLES
        if self.start is not None:
            if probability >= self.config.vad_off:
                self.last_speech = self.position
                self.speech_frames += 1
            return
        if probability < self.config.vad_on:
            self._candidate_frames = 0
            return
        self._candidate = begin if not self._candidate_frames else self._candidate
        self._candidate_frames += 1
        if self._candidate_frames * FRAME_MS >= self.config.min_speech_ms:
            self.start, self.last_speech, self.speech_frames = self._candidate, self.position, self._candidate_frames

    def close(self) -> None:
        """End the active segment."""
        self.start, self._candidate_frames = None, 0


def _find_model() -> Path:
    spec = importlib.util.find_spec("silero_vad")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "data" / "silero_vad.onnx"
        if path.is_file():
            return path
    raise MissingDependencyError(
        "the voice activity detector silero_vad.onnx is missing; install it with: pip install --no-deps silero-vad"
    )
