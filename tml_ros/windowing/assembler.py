"""Cut stamped inputs into half-open 200 ms windows aligned to the session's start.

Windows advance by stamps and a watermark, never by a timer: the watermark is the end of the newest sound (or, while
there is no sound, the newest picture less the patience), and a window closes when the watermark has passed its end by
the lateness bound. What arrives within that bound gives the same windows in whatever order and chunking it came.
It knows no ROS, decodes no pictures and never drops sound in silence: every dropped item is counted.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tml_ros.errors import AudioFormatError
from tml_ros.media.pcm import decode
from tml_ros.records import (
    MICRO_TURN_NS,
    MICRO_TURN_SAMPLES,
    AudioChunk,
    MicroTurn,
    PlaybackReport,
    StampedImage,
    TextInput,
)
from tml_ros.windowing.config import WindowConfig
from tml_ros.windowing.track import CHUNK_SLACK_NS, AudioTrack, MonoChunk, TakenAudio

__all__ = ["ClosedWindow", "MicroTurnAssembler", "WindowReport"]

T = TypeVar("T")

_MS = 1_000_000
_AHEAD_ITEMS = 3  # pictures in a row that must run ahead before they may close windows without sound


@dataclass(frozen=True, slots=True)
class WindowReport:
    """What went into a window. missing_samples: of 3200 at 16 kHz, those before the end of a finished stream.

    av_skew_s: the newest picture's stamp minus the window's end, 0 without pictures. late_messages: since the last one.
    counters: totals of the assembler when the window closed, by name.
    """

    missing_samples: int
    late_messages: int
    frames_seen: int
    frames_skipped: int
    av_skew_s: float
    counters: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ClosedWindow:
    """A window whose pictures are not decoded yet. session: counts up at every clock jump."""

    session: int
    turn: MicroTurn
    images: tuple[StampedImage, ...]
    report: WindowReport


class MicroTurnAssembler:
    """Collects inputs of all streams; every ``add_*`` returns the windows that it closed, in order.

    Thread: one caller at a time.
    """

    _audio_end_ns: int | None
    _other_ns: int | None

    def __init__(self, config: WindowConfig) -> None:
        self._config = config
        self._total: Counter[str] = Counter()
        self._session = 0
        self._open_session()

    @property
    def counters(self) -> dict[str, int]:
        """What was received, dropped and mended so far, over all sessions, by name."""
        merged = self._total + self._mic.counters
        merged.update({f"reference_{name}": count for name, count in self._reference.counters.items()})
        return {name: count for name, count in sorted(merged.items()) if count}

    def count(self, name: str) -> None:
        """Count something that a caller saw, to be published with the assembler's own counters."""
        self._total[name] += 1

    def add_audio(self, chunk: AudioChunk) -> list[ClosedWindow]:
        """Take in microphone sound.

        Raises:
            AudioFormatError: the chunk cannot be decoded; it is counted under ``bad_audio``.
        """
        mono = self._mix(chunk, "bad_audio")
        closed = self._follow_clock(mono.stamp_ns)
        self._mic.add(mono)
        end_ns = self._audio_end_ns
        self._audio_end_ns = mono.end_ns if end_ns is None else max(end_ns, mono.end_ns)
        self._ahead = 0
        return closed + self._close_ready()

    def add_reference(self, chunk: AudioChunk) -> list[ClosedWindow]:
        """Take in what the loudspeaker plays, stamped at device output time.

        Raises:
            AudioFormatError: the chunk cannot be decoded; it is counted under ``bad_reference``.
        """
        mono = self._mix(chunk, "bad_reference")
        if self._is_stray(mono.stamp_ns):
            return []
        closed = self._follow_clock(mono.stamp_ns)
        self._reference.add(mono)
        return closed + self._close_ready()

    def add_image(self, image: StampedImage) -> list[ClosedWindow]:
        """Take in a picture."""
        if self._is_stray(image.stamp_ns):
            return []
        closed = self._follow_clock(image.stamp_ns)
        if self._start_ns is not None and image.stamp_ns < self._closed_ns:
            self._total["late_images"] += 1
            self._total["late_messages"] += 1
        elif image.stamp_ns in self._images:
            self._total["duplicate_images"] += 1
        else:
            self._images[image.stamp_ns] = image
            self._note_other(image.stamp_ns)
        return closed + self._close_ready()

    def add_text(self, text: TextInput) -> list[ClosedWindow]:
        """Take in a line of text; one that comes late goes into the next window, for words are never dropped."""
        self._texts.append(text)
        return []

    def add_playback(self, report: PlaybackReport) -> list[ClosedWindow]:
        """Take in how much of an utterance was played."""
        self._playback.append(report)
        return []

    def flush(self) -> list[ClosedWindow]:
        """Close every window that holds data; the streams have ended."""
        if self._start_ns is None:
            earliest = self._earliest_ns()
            if earliest is None:
                return []
            self._begin(earliest)
        self._mic.finish()
        self._reference.finish()
        closed = []
        while self._mic.holds_data or self._reference.holds_data or self._images or self._texts:
            closed.append(self._close(at_end=True))
        return closed

    def _open_session(self) -> None:
        drift_ns = self._config.drift_ms * _MS
        self._mic, self._reference = AudioTrack(drift_ns), AudioTrack(drift_ns)
        self._images: dict[int, StampedImage] = {}
        self._texts: list[TextInput] = []
        self._playback: list[PlaybackReport] = []
        self._last_playback: PlaybackReport | None = None
        self._start_ns: int | None = None
        self._index = 0
        self._audio_end_ns = None
        self._other_ns = None
        self._ahead = 0
        self._late_reported = 0

    def _mix(self, chunk: AudioChunk, counter: str) -> MonoChunk:
        try:
            samples, nonfinite = decode(chunk)
            mono = self._choose_channel(samples)
        except Exception:
            self._total[counter] += 1
            raise
        self._total["nonfinite_samples"] += nonfinite
        return MonoChunk(chunk.stamp_ns, chunk.stream_id, chunk.first_sample, chunk.rate_hz, mono)

    def _choose_channel(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return one channel or the mean of all. samples: [N, C] float32."""
        if samples.shape[1] == 1:
            return samples[:, 0]
        if self._config.channel < 0:
            return np.asarray(samples.mean(axis=1), np.float32)
        if self._config.channel >= samples.shape[1]:
            raise AudioFormatError(
                f"window.channel is {self._config.channel}, but the sound has {samples.shape[1]} channels (0.."
                f"{samples.shape[1] - 1}); set window.channel to one of them or to -1 for the mean"
            )
        return samples[:, self._config.channel]

    # ------------------------------------------------------------------------------------------------- time

    def _watermark(self) -> int | None:
        """Return the time up to which data has come in, or None before the first data."""
        other_ns = None
        if self._other_ns is not None and self._ahead >= _AHEAD_ITEMS:
            other_ns = self._other_ns - self._config.audio_patience_ms * _MS
        known = [ns for ns in (self._audio_end_ns, other_ns) if ns is not None]
        return max(known) if known else None

    def _note_other(self, stamp_ns: int) -> None:
        self._other_ns = max(self._other_ns or stamp_ns, stamp_ns)
        patience_ns = self._config.audio_patience_ms * _MS
        self._ahead += self._audio_end_ns is None or stamp_ns > self._audio_end_ns + patience_ns

    def _is_jump(self, stamp_ns: int) -> bool:
        known = [ns for ns in (self._audio_end_ns, self._other_ns) if ns is not None]
        ahead_ns = stamp_ns - max(known, default=stamp_ns)
        return not -self._config.back_jump_s * 1e9 <= ahead_ns <= self._config.max_gap_s * 1e9

    def _is_stray(self, stamp_ns: int) -> bool:
        """Tell whether a picture's clock is wrong: it jumps while sound goes on. Sound decides where both exist."""
        if not self._is_jump(stamp_ns) or self._audio_end_ns is None:
            return False
        if (self._other_ns or 0) - self._audio_end_ns >= self._config.max_gap_s * 1e9:
            return False
        self._total["bad_stamps"] += 1
        return True

    def _follow_clock(self, stamp_ns: int) -> list[ClosedWindow]:
        """Open a new session where the clock jumped, and return what the old one still held."""
        if not self._is_jump(stamp_ns):
            return []
        closed = self.flush()
        self._total += self._mic.counters
        self._total.update({f"reference_{name}": count for name, count in self._reference.counters.items()})
        self._total["clock_jumps"] += 1
        self._session += 1
        self._open_session()
        return closed

    def _earliest_ns(self) -> int | None:
        stamps = [self._mic.earliest_ns, self._reference.earliest_ns, min(self._images, default=None)]
        return min((ns for ns in stamps if ns is not None), default=None)

    def _begin(self, start_ns: int) -> None:
        self._start_ns = start_ns
        self._mic.begin(start_ns)
        self._reference.begin(start_ns)

    @property
    def _closed_ns(self) -> int:
        """End of the last closed window."""
        return (self._start_ns or 0) + self._index * MICRO_TURN_NS

    # ---------------------------------------------------------------------------------------------- closing

    def _close_ready(self) -> list[ClosedWindow]:
        watermark = self._watermark()
        if watermark is None:
            return []
        horizon = watermark - self._config.lateness_ms * _MS
        if self._start_ns is None:
            earliest = self._earliest_ns()
            if earliest is None or earliest + CHUNK_SLACK_NS > horizon:
                return []
            self._begin(earliest)
        self._mic.advance(horizon)
        self._reference.advance(horizon)
        closed = []
        while self._closed_ns + MICRO_TURN_NS <= horizon and self._is_complete(horizon):
            closed.append(self._close(at_end=False))
        return closed

    def _is_complete(self, horizon_ns: int) -> bool:
        """Tell whether all sound of the open window is written, or cannot come within lateness any more."""
        start_ns = self._closed_ns
        waited_ns = horizon_ns - start_ns - MICRO_TURN_NS
        return all(t.covers(self._index) or waited_ns >= t.slack_ns(start_ns) for t in (self._mic, self._reference))

    def _close(self, *, at_end: bool) -> ClosedWindow:
        start_ns, index = self._closed_ns, self._index
        end_ns = start_ns + MICRO_TURN_NS
        mic, reference = self._mic.take(index), self._reference.take(index)
        self._index += 1
        seen = sorted(stamp for stamp in self._images if stamp < end_ns)
        images = _spread([self._images.pop(stamp) for stamp in seen], self._config.max_frames)
        self._total["skipped_images"] += len(seen) - len(images)
        turn = MicroTurn(
            index=index,
            start_ns=start_ns,
            end_ns=end_ns,
            audio=mic.audio if mic else np.zeros(MICRO_TURN_SAMPLES, np.float32),
            audio_valid=float(mic.valid.mean()) if mic else 0.0,
            reference=reference.audio if reference else None,
            texts=_split_off(self._texts, lambda text: text.stamp_ns < end_ns or at_end),
            playback=self._newest_playback(end_ns),
        )
        skew_s = (seen[-1] - end_ns) / 1e9 if seen else 0.0
        missing = self._missing(mic, at_end=at_end and not self._mic.holds_data)
        late = self._new_late_messages()
        report = WindowReport(missing, late, len(seen), len(seen) - len(images), skew_s, self.counters)
        return ClosedWindow(self._session, turn, images, report)

    def _missing(self, mic: TakenAudio | None, *, at_end: bool) -> int:
        """Count zero-filled samples; behind the end of a finished stream they are padding, not missing."""
        if mic is None:
            missing, padding = (0, MICRO_TURN_SAMPLES) if at_end else (MICRO_TURN_SAMPLES, 0)
        else:
            padding = int(np.argmax(mic.valid[::-1])) if at_end else 0
            missing = MICRO_TURN_SAMPLES - int(mic.valid.sum()) - padding
        self._total["missing_samples"] += missing
        self._total["padding_samples"] += padding
        return missing

    def _new_late_messages(self) -> int:
        late = self._total["late_messages"] + self._mic.counters["late_messages"]
        late += self._reference.counters["late_messages"]
        new, self._late_reported = late - self._late_reported, late
        return new

    def _newest_playback(self, end_ns: int) -> PlaybackReport | None:
        passed = _split_off(self._playback, lambda report: report.stamp_ns < end_ns)
        if passed:
            self._last_playback = max(passed, key=lambda report: report.stamp_ns)
        return self._last_playback


def _split_off(items: list[T], wanted: Callable[[T], bool]) -> tuple[T, ...]:
    taken = tuple(item for item in items if wanted(item))
    items[:] = [item for item in items if not wanted(item)]
    return taken


def _spread(images: list[StampedImage], count: int) -> tuple[StampedImage, ...]:
    """Choose ``count`` images spread evenly over the list; the last one is always among them."""
    if len(images) <= count:
        return tuple(images)
    return tuple(images[((number + 1) * len(images)) // count - 1] for number in range(count))
