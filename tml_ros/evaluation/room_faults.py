"""A room in which things go wrong: sound that is lost or late, clocks that jump, a model that stalls or breaks.

Sound goes through the real assembler in chunks of 20 ms, so that what a robot does about it is what is measured. The
draw of what is lost has its own seed. It knows no verdicts.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tml_ros.clock import ManualClock
from tml_ros.duplex.protocol import DuplexModel, DuplexStream, SessionInfo
from tml_ros.evaluation.room import ClosedRoom, RoomConfig
from tml_ros.evaluation.scenario import Fault
from tml_ros.records import (
    MICRO_TURN_NS,
    SAMPLE_RATE_HZ,
    AudioChunk,
    MicroTurn,
    MicroTurnOutput,
    StampedImage,
)
from tml_ros.session.engine import InferenceEngine
from tml_ros.windowing import ClosedWindow, MicroTurnAssembler, WindowConfig
from tml_ros.wire import Published

__all__ = ["FaultyRoom", "Watched"]

_CHUNK = SAMPLE_RATE_HZ // 50
_CHUNK_S = 0.02
_TURN_S = MICRO_TURN_NS / 1e9
_ROUNDING_S = 1e-9
_EVERY = 3  # of the chunks that a late microphone delivers, one in three is late


@dataclass(frozen=True, slots=True)
class _OnItsWay:
    arrives_s: float
    chunk: AudioChunk


class FaultyRoom(ClosedRoom):
    """A closed room with faults between devices and engine.

    Thread: one caller at a time.
    """

    def __init__(
        self,
        engine: InferenceEngine,
        clock: ManualClock,
        config: RoomConfig,
        faults: Sequence[Fault],
        window: WindowConfig,
    ) -> None:
        super().__init__(engine, clock, config)
        self._faults = faults
        self._lateness_s = window.lateness_ms / 1e3
        # what comes within the lateness is delivered before the window closes, so the assembler need not wait
        self._assembler = MicroTurnAssembler(replace(window, lateness_ms=0))
        self._draw = np.random.default_rng([config.seed, 2])
        self._on_its_way: list[_OnItsWay] = []
        self._windows: deque[ClosedWindow] = deque()
        self._chunks = 0
        self._stream = 0
        self._first_chunk = 0

    def _work(self, turn: MicroTurn, images: Sequence[StampedImage]) -> tuple[Published, ...]:
        self._clock.set_ns(turn.end_ns)
        start_s = self.now_s - _TURN_S
        self._engine.is_muted = self._is_on("mute", start_s)
        if any(one.kind == "restart" and start_s <= one.at_s < self.now_s for one in self._faults):
            self._stream, self._first_chunk = self._stream + 1, self._chunks
        jumps = (one.amount for one in self._faults if one.kind == "clock_jump_s" and one.at_s <= start_s)
        turn, images = _moved(turn, () if self._is_on("blind", start_s) else images, round(sum(jumps) * 1e9))
        self._deliver(turn, images)
        self._deliver_microphone(turn, start_s)
        if any(one.kind == "stall_s" and one.at_s <= start_s < one.at_s + one.amount for one in self._faults):
            return ()
        records: list[Published] = []
        while self._windows:
            window = self._windows.popleft()
            self._clock.set_ns(window.turn.end_ns)
            records += self._engine.process(window, len(self._windows)).records
        return tuple(records)

    def _deliver(self, turn: MicroTurn, images: Sequence[StampedImage]) -> None:
        """Give the assembler what comes in besides the microphone; the windows close by that."""
        for number in range(len(turn.reference) // _CHUNK if turn.reference is not None else 0):
            self._windows.extend(self._assembler.add_reference(_reference(turn, number)))
        for image in images:
            self._windows.extend(self._assembler.add_image(image))
        for text in turn.texts:
            self._assembler.add_text(text)
        if turn.playback is not None:
            self._assembler.add_playback(turn.playback)

    def _deliver_microphone(self, turn: MicroTurn, start_s: float) -> None:
        """Give the assembler the sound that has arrived by the end of a micro-turn, in the order of its stamps."""
        for number in range(len(turn.audio) // _CHUNK):
            at_s = start_s + number * _CHUNK_S
            late_s = self._fate(at_s)
            if late_s is not None:
                self._on_its_way.append(_OnItsWay(at_s + _CHUNK_S + late_s, self._chunk(turn, number)))
            self._chunks += 1
        until_s = self.now_s + self._lateness_s + _ROUNDING_S
        ready = [one.chunk for one in self._on_its_way if one.arrives_s <= until_s]
        self._on_its_way = [one for one in self._on_its_way if one.arrives_s > until_s]
        for chunk in sorted(ready, key=lambda chunk: chunk.stamp_ns):
            self._windows.extend(self._assembler.add_audio(chunk))

    def _fate(self, at_s: float) -> float | None:
        """Return by how much a chunk comes late, None if it never comes."""
        for one in self._faults:
            if not one.at_s <= at_s < one.until_s:
                continue
            if one.kind == "lose" and self._draw.random() < one.amount:
                return None
            if one.kind == "late_ms" and self._chunks % _EVERY == 0:
                return one.amount / 1e3
        return 0.0

    def _chunk(self, turn: MicroTurn, number: int) -> AudioChunk:
        first = (self._chunks - self._first_chunk) * _CHUNK
        return _cut(turn.audio, number, turn.start_ns, f"microphone{self._stream}", first)

    def _is_on(self, kind: str, at_s: float) -> bool:
        return any(one.kind == kind and one.at_s <= at_s < one.until_s for one in self._faults)


def _reference(turn: MicroTurn, number: int) -> AudioChunk:
    assert turn.reference is not None
    first = turn.index * len(turn.audio) + number * _CHUNK
    return _cut(turn.reference, number, turn.start_ns, "loudspeaker", first)


def _cut(sound: NDArray[np.float32], number: int, start_ns: int, stream: str, first: int) -> AudioChunk:
    """Return a chunk of a micro-turn's sound, as a device would deliver it."""
    data = sound[number * _CHUNK : (number + 1) * _CHUNK].astype("<f4").tobytes()
    return AudioChunk(start_ns + round(number * _CHUNK_S * 1e9), stream, first, SAMPLE_RATE_HZ, 1, "F32LE", data)


def _moved(turn: MicroTurn, images: Sequence[StampedImage], by_ns: int) -> tuple[MicroTurn, tuple[StampedImage, ...]]:
    """Move every stamp of what comes in."""
    playback = turn.playback and replace(turn.playback, stamp_ns=turn.playback.stamp_ns + by_ns)
    texts = tuple(replace(text, stamp_ns=text.stamp_ns + by_ns) for text in turn.texts)
    moved = replace(turn, start_ns=turn.start_ns + by_ns, end_ns=turn.end_ns + by_ns, texts=texts, playback=playback)
    return moved, tuple(replace(image, stamp_ns=image.stamp_ns + by_ns) for image in images)


class Watched:
    """A model that remembers what it raised, and that breaks by itself when a scenario wants it to.

    crashes: times in seconds, since the first micro-turn, at which it breaks. error: what the model itself raised last.

    Thread: as the model.
    """

    def __init__(self, model: DuplexModel, crashes: Sequence[float] = ()) -> None:
        self.name = model.name
        self.error: Exception | None = None
        self._model = model
        self._crashes = sorted(crashes)
        self._turns = 0

    def open(self, info: SessionInfo) -> DuplexStream:
        """Begin a session."""
        return _WatchedStream(self, self._model.open(info))

    def close(self) -> None:
        """Do nothing: the model goes on to other scenarios."""

    def is_to_crash(self) -> bool:
        """Count a micro-turn; tell whether the model is to break in it."""
        self._turns += 1
        if self._crashes and self._turns * _TURN_S > self._crashes[0]:
            self._crashes.pop(0)
            return True
        return False


class _WatchedStream:
    def __init__(self, watched: Watched, stream: DuplexStream) -> None:
        self._watched = watched
        self._stream = stream

    def step(self, turn: MicroTurn) -> MicroTurnOutput:
        if self._watched.is_to_crash():
            raise RuntimeError("the scenario lets the model break here")
        try:
            return self._stream.step(turn)
        except Exception as err:
            self._watched.error = err
            raise

    def counters(self) -> dict[str, int]:
        return self._stream.counters()

    def close(self) -> None:
        self._stream.close()
