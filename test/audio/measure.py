"""Read a recording of both sides of a talk: when somebody began, when the robot fell silent, what was lost.

Pure functions of arrays, mono, float within -1 to 1 or int16. Silence: the level of 10 ms is below -50 dBFS, or 30 dB
below the robot's speech where that is higher, for at least 0.5 s. Shorter gaps are part of speech: Full-Duplex-Bench
v1.5 joins a model's voice segments across gaps of up to 0.5 s, and flite's pauses between sentences last up to 0.45 s.
A ducked voice is not silence.

Source: METRICS of Full-Duplex-Bench v1.5 (arXiv 2507.23159) for stop latency.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Sound = NDArray[np.float32] | NDArray[np.float64] | NDArray[np.int16]

FRAME_S = 0.01
SILENCE_DBFS = -50.0
BELOW_SPEECH_DB = 30.0
MIN_SILENCE_S = 0.5
TOLD_SILENCE_S = 0.2  # longer than a stop consonant
TOLD_S = 0.3
NOTHING_DBFS = -120.0
FAINTEST = 1e-8  # power, -80 dBFS: noise of a quiet microphone has more


def as_float(sound: Sound) -> NDArray[np.float64]:
    """Return samples within -1 to 1, of int16 or of what is that already."""
    return sound / 32_768.0 if sound.dtype == np.int16 else sound.astype(np.float64)


def levels(sound: Sound, rate_hz: int) -> NDArray[np.float64]:
    """Return the level of every 10 ms in dBFS (a full-scale square wave is 0), [N // (rate / 100)]."""
    size = round(FRAME_S * rate_hz)
    minute = 6_000 * size
    whole = len(sound) // size * size
    parts = (as_float(sound[start : min(start + minute, whole)]) for start in range(0, whole, minute))
    power = np.concatenate([np.zeros(0), *(np.mean(part.reshape(-1, size) ** 2, axis=1) for part in parts)])
    return 10.0 * np.log10(power + 10.0 ** (NOTHING_DBFS / 10.0))


def threshold_dbfs(sound: Sound, rate_hz: int) -> float:
    """Return below which level a recording of speech counts as silent."""
    found = levels(sound, rate_hz)
    loud = found[found > SILENCE_DBFS]
    speech = float(np.percentile(loud, 75)) if loud.size else NOTHING_DBFS
    return max(SILENCE_DBFS, speech - BELOW_SPEECH_DB)


def segments(
    sound: Sound, rate_hz: int, threshold: float = SILENCE_DBFS, join_s: float = MIN_SILENCE_S
) -> list[tuple[float, float]]:
    """Return begin and end in seconds of every run of speech, joined across gaps shorter than ``join_s``."""
    loud = np.flatnonzero(levels(sound, rate_hz) > threshold)
    if not loud.size:
        return []
    cuts = np.flatnonzero(np.diff(loud) - 1 >= round(join_s / FRAME_S))
    begins, ends = np.append(loud[0], loud[cuts + 1]), np.append(loud[cuts], loud[-1])
    return [(float(begin) * FRAME_S, float(end + 1) * FRAME_S) for begin, end in zip(begins, ends, strict=True)]


def stop_latency(
    spoken: list[tuple[float, float]],
    onset_s: float,
    pieces: list[tuple[float, float]] = (),
    told_s: list[float] = (),
) -> float:
    """Return how long after ``onset_s`` the run of speech ended that was under way then; nan if there was none.

    A robot that was told to stop and soon says something else has stopped all the same: the end of one of ``pieces``
    (segments joined across shorter gaps) within 0.3 s after one of ``told_s`` counts as well. All in seconds.
    """
    for begin, end in spoken:
        if begin <= onset_s < end:
            ends = [last for _, last in pieces for told in told_s if onset_s < told <= last <= told + TOLD_S]
            return min([end, *ends]) - onset_s
    return float("nan")


def find(clip: Sound, sound: Sound, near: int, reach: int) -> tuple[int, float]:
    """Return where a clip begins in a recording and how well it fits (correlation 0 to 1).

    Only the clip's first half second is looked for, within ``reach`` samples of ``near``.
    """
    clip = as_float(clip[:24_000])
    start = max(0, near - reach)
    piece = as_float(sound[start : near + reach + len(clip)])
    if len(piece) < len(clip) or not clip.any():
        return start, 0.0
    size = 1 << (len(piece) + len(clip)).bit_length()
    product = np.fft.irfft(np.fft.rfft(piece, size) * np.conj(np.fft.rfft(clip, size)), size)
    energy = np.cumsum(np.concatenate([[0.0], piece**2]))
    energy = np.maximum(energy[len(clip) :] - energy[: -len(clip)], 1e-12 * len(clip))
    fit = product[: len(energy)] / np.sqrt(energy) / np.linalg.norm(clip)
    best = int(np.argmax(fit))
    return start + best, float(fit[best])


def echo_delay(played: Sound, heard: Sound, longest: int) -> int:
    """Return by how many samples what was heard lags behind what was played, 0 to ``longest`` (by phase transform)."""
    size = 1 << (len(played) + len(heard)).bit_length()
    cross = np.fft.rfft(as_float(heard), size) * np.conj(np.fft.rfft(as_float(played), size))
    return int(np.argmax(np.fft.irfft(cross / (np.abs(cross) + 1e-9), size)[: longest + 1]))


@dataclass(frozen=True, slots=True)
class Slips:
    """How a copy lies beside its original, window by window: [N] lag in samples, and the worst correlation."""

    lags: NDArray[np.float64]
    worst: float

    @property
    def lost(self) -> int:
        """How many samples were lost or added in all; a clock that drifts loses none.

        A window whose neighbours agree on another place was misplaced, for what is lost does not come back.
        """
        if len(self.lags) < 3:
            return round(float(np.abs(np.round(np.diff(self.lags))).sum()))
        lasting = np.median(np.lib.stride_tricks.sliding_window_view(np.pad(self.lags, 1, "edge"), 3), axis=1)
        return round(float(np.abs(np.round(np.diff(lasting))).sum()))


def slips(original: Sound, copy: Sound, lag: int, window: int, reach: int) -> Slips:
    """Find every whole window of the original in the copy, ``lag`` samples later give or take ``reach``.

    Windows of silence, the last bits of a fade among them, are left out; lags are interpolated between samples.
    """
    lags, worst = [], 1.0
    for start in range(0, min(len(original), len(copy) - lag - reach) - window, window):
        piece = original[start : start + window]
        if start + lag < reach + 1 or float(np.mean(as_float(piece) ** 2)) < FAINTEST:
            continue
        place, fit = find(piece, copy, start + lag, reach)
        around = [
            float(as_float(copy[near : near + window]) @ as_float(piece)) for near in (place - 1, place, place + 1)
        ]
        bend = around[0] - 2.0 * around[1] + around[2]
        lags.append(place - start + (0.5 * (around[0] - around[2]) / bend if bend else 0.0))
        worst = min(worst, fit)
    return Slips(np.array(lags, np.float64), worst)


def slope(times_s: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[float, float]:
    """Return how much a value grows per second, and the standard error of that (least squares, [N] each)."""
    centred = times_s - times_s.mean()
    spread = float(np.sum(centred**2))
    rate = float(np.sum(centred * values)) / spread
    rest = values - values.mean() - rate * centred
    return rate, float(np.sqrt(np.sum(rest**2) / max(1, len(values) - 2) / spread))


def median_and_p95(latencies_s: list[float]) -> tuple[float, float]:
    """Return both in seconds; a robot that did not stop (nan) counts as one that never does."""
    known = np.where(np.isnan(latencies_s), np.inf, latencies_s)
    return float(np.percentile(known, 50, method="higher")), float(np.percentile(known, 95, method="higher"))
