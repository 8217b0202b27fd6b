"""The lines that stand out of what is heard: several in every frame, the pitches among them, and what is around them.

A sounder is one line, or a line and its multiples; it has nothing within an octave that goes with it. A voice has lines
all over that octave, which move as it does, and so has a chord. So the spectra of all frames that have a line are laid
on one another by its pitch: what goes with it stays, and what only happens to sound at the same time is spread out.
It knows no alarms.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tml_ros.safety.spectrum import BIN_HZ, BINS, HOP_S, LOBE, Spectra

__all__ = ["MEMORY", "Ear", "Glide", "Pitch", "gap_of", "glide_of", "pitch_of"]

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

MEMORY = round(5.0 / HOP_S)
"""Frames that are remembered."""
_LINES = 5  # of a frame
_GLIDES = 3
_USUAL_UP_S, _USUAL_DOWN_S = 10.0, 1.0
_ABOVE_USUAL = 3.0
_PROMINENT = 6.0  # times the floor around a line
_BELOW_LOUDEST_DB = 20.0
_AROUND = tuple(step for step in range(-10, 11) if abs(step) >= 4)
_FAR_AROUND = tuple(step for step in range(-14, 15) if abs(step) >= 7)
_WIDE = 3  # bins on both sides of a line that moves within a frame
_SAME, _SAME_HZ = 0.01, 6.0
_FADED_DB = 6.0  # softer than that below its usual level, a line is over
_LATELY, _LONG = round(1.0 / HOP_S), round(2.0 / HOP_S)
_GAP = 3  # frames
_JUMP = 0.25  # from one frame to the next, log: no glide is as fast
_FARTHEST = 0.12
_OCTAVE = np.exp(np.linspace(np.log(0.56), np.log(1.75), 49))
_NEAR = 4.0  # bins that belong to a line
_NOTHING_DB = -100.0
_BOX = np.ones(5, np.float32)


@dataclass(frozen=True, slots=True)
class Pitch:
    """A pitch that has been held, in one piece or in pulses, and what goes with it.

    lately_s, long_s: for how long within one second and two. level_db: of the line, of full scale. alone_db: over the
    strongest that goes with it within an octave, up or down. octave_db, half_db: an octave above it and below it, over
    the line. share: of what is not usual, in the line. drift: how far it is from its middle, share. fades_db: from its
    loud to its soft tenth. pulses: first and last frame of each, counted from the newest, the newest pulse last.
    """

    hz: float
    lately_s: float
    long_s: float
    level_db: float
    alone_db: float
    octave_db: float
    half_db: float
    share: float
    drift: float
    fades_db: float
    pulses: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Glide:
    """A line that moves. spans: log of its pitch, piece by piece between jumps. covered: share of the frames that have
    it. share, alone_db: as of a pitch.
    """

    spans: tuple[NDArray[np.float64], ...]
    hz: float
    covered: float
    share: float
    alone_db: float


class Ear:
    """Remembers the lines of the last seconds.

    Thread: one caller at a time.
    """

    def __init__(self, low_hz: float, high_hz: float, level_db: float) -> None:
        self._spectra = Spectra()
        first, last = max(_WIDE + 1, round(low_hz / BIN_HZ)), min(BINS - 2 - _WIDE, round(high_hz / BIN_HZ))
        self._band = (first, max(first + 2, last))
        self._level_db = level_db
        self._usual = np.zeros(BINS, np.float32)
        self._heard = 0
        self.excess: Floats = np.zeros((0, BINS), np.float32)
        self.hz: Floats = np.zeros((0, _LINES), np.float32)
        self.level_db: Floats = np.zeros((0, _LINES), np.float32)
        self.wide_hz: Floats = np.zeros((0, _GLIDES), np.float32)
        self.wide_level_db: Floats = np.zeros((0, _GLIDES), np.float32)

    def add(self, audio: Floats, keep: Mask) -> int:
        """Take in samples and return the number of frames that are new. keep: [257], where nothing becomes usual."""
        power = self._spectra.add(audio)
        rows = [self._frame(one, keep) for one in power]
        if rows:
            excess, hz, level, wide_hz, wide_level = (np.stack(parts) for parts in zip(*rows, strict=True))
            self.excess = _appended(self.excess, excess)
            self.hz, self.level_db = _appended(self.hz, hz), _appended(self.level_db, level)
            self.wide_hz = _appended(self.wide_hz, wide_hz)
            self.wide_level_db = _appended(self.wide_level_db, wide_level)
        return len(rows)

    def _frame(self, power: Floats, keep: Mask) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        self._heard += 1
        if self._heard == 1:
            self._usual = power.copy()
        usual = self._usual
        new = np.maximum(power - np.float32(_ABOVE_USUAL) * usual, np.float32(0.0))
        excess = np.maximum(power - usual, np.float32(0.01) * power)
        hz, level = self._lines(power, new)
        wide_hz, wide_level = self._wide_lines(power, new)
        first = 1.0 / self._heard
        pace = np.where(power > usual, max(first, HOP_S / _USUAL_UP_S), max(first, HOP_S / _USUAL_DOWN_S))
        pace[keep & (power > usual)] = 0.0
        self._usual = usual + pace.astype(np.float32) * (power - usual)
        return excess, hz, level, wide_hz, wide_level

    def _lines(self, power: Floats, new: Floats) -> tuple[Floats, Floats]:
        """Return pitch and level [5] of the strongest lines, 0 Hz for none."""
        tops = self._tops(new)
        floor = _floor(power, tops, _AROUND)
        loud = 10.0 * np.log10(power[tops[:, None] + np.arange(-LOBE, LOBE + 1)].sum(axis=1) + 1e-12)
        chosen = self._strongest(loud, new[tops] > _PROMINENT * floor, _LINES)
        return _padded(_exact(new, tops[chosen]) * BIN_HZ, loud[chosen], _LINES)

    def _wide_lines(self, power: Floats, new: Floats) -> tuple[Floats, Floats]:
        """Return pitch and level [3] of the strongest, each of which may move within the frame."""
        spread = np.convolve(new, _BOX, "same").astype(np.float32)
        tops = self._tops(spread)
        floor = _floor(np.convolve(power, _BOX, "same").astype(np.float32), tops, _FAR_AROUND)
        beside = tops[:, None] + np.arange(-_WIDE, _WIDE + 1)
        weights = new[beside] + np.float32(1e-12)
        loud = 10.0 * np.log10(power[beside].sum(axis=1) + 1e-12)
        chosen = self._strongest(loud, spread[tops] > _PROMINENT * floor, _GLIDES)
        middle = (weights * beside).sum(axis=1) / weights.sum(axis=1)
        return _padded(middle[chosen] * BIN_HZ, loud[chosen], _GLIDES)

    def _tops(self, values: Floats) -> NDArray[np.intp]:
        first, last = self._band
        inner = values[first : last + 1]
        is_top = (inner > values[first - 1 : last]) & (inner >= values[first + 1 : last + 2])
        return np.flatnonzero(is_top).astype(np.intp) + first

    def _strongest(self, loud: Floats, is_line: Mask, most: int) -> NDArray[np.intp]:
        """Return which of some tops are the loudest lines, the loudest first."""
        is_loud = is_line & (loud >= self._level_db) & (loud > loud.max(initial=_NOTHING_DB) - _BELOW_LOUDEST_DB)
        order = np.argsort(-loud, kind="stable")
        return np.asarray(order[is_loud[order]][:most], np.intp)

    def pitches(self, newest: int) -> Iterator[float]:
        """Yield the pitches of the newest frames, the loudest first."""
        hz, level = self.hz[-newest:].ravel(), self.level_db[-newest:].ravel()
        hz, level = hz[hz > 0.0], level[hz > 0.0]
        while len(hz):
            top = float(hz[int(np.argmax(level))])
            same = _is_same(hz, top)
            if int(same.sum()) >= _GAP:
                yield float(np.median(hz[same]))
            others = ~_is_same(hz, top, 2.0)
            hz, level = hz[others], level[others]


def pitch_of(ear: Ear, hz: float) -> Pitch | None:
    """Return what is known of a pitch, None where it is only a frame or two."""
    fits = _is_same(ear.hz, hz)
    level = np.where(fits, ear.level_db, _NOTHING_DB).max(axis=1)
    pitch = np.where(fits, ear.hz, 0.0).max(axis=1)
    frames = len(level)
    ago = frames - 1 - np.arange(frames)
    has = level > _NOTHING_DB
    within = has & (ago < _LONG)
    if not within.any():
        return None
    loud = float(np.quantile(level[within], 0.8))
    on = has & (level >= loud - _FADED_DB)
    lately = on & (ago < _LATELY)
    if int(lately.sum()) < 2 * _GAP:
        return None
    pulses = _pulses(np.flatnonzero(on))
    inner = np.concatenate([np.arange(a + 2, b - 1) for a, b in pulses if b - a >= 2 * _GAP] or [np.zeros(0, int)])
    inner = inner[has[inner] & (ago[inner] < _LONG)]
    fades = float(np.quantile(level[inner], 0.9) - np.quantile(level[inner], 0.1)) if len(inner) > _GAP else 0.0
    chosen = ear.excess[lately]
    together = 10.0 * np.log10(chosen + 1e-10).mean(axis=0)
    middle, place = float(np.median(pitch[lately])), hz / BIN_HZ
    line = float(together[round(place) - 1 : round(place) + 2].max())
    bins = np.arange(BINS)
    beside = (np.abs(bins - place) > _NEAR - 1.0) & (bins >= _OCTAVE[0] * place) & (bins <= _OCTAVE[-1] * place)
    in_line = np.array([one[round(place) - LOBE : round(place) + LOBE + 1].sum() for one in chosen])
    return Pitch(
        hz=middle,
        lately_s=float(lately.sum()) * HOP_S,
        long_s=float((on & (ago < _LONG)).sum()) * HOP_S,
        level_db=loud,
        alone_db=line - float(together[beside].max()) if beside.any() else -_NOTHING_DB,
        octave_db=_at(together, 2.0 * place) - line,
        half_db=_at(together, 0.5 * place) - line,
        share=float(np.median(in_line / (chosen[:, LOBE:].sum(axis=1) + 1e-12))),
        drift=float(np.median(np.abs(pitch[lately] - middle))) / middle,
        fades_db=fades,
        pulses=tuple((frames - 1 - first, frames - 1 - last) for first, last in pulses),
    )


def gap_of(ear: Ear, pitch: Pitch, pulses: tuple[tuple[int, int], ...]) -> float:
    """Return the level of a pitch between pulses over that in them, dB."""
    newest, place = len(ear.excess) - 1, round(pitch.hz / BIN_HZ)
    between = [np.arange(newest - last + 1, newest - first) for (_, last), (first, _) in itertools.pairwise(pulses)]
    frames = np.concatenate(between)
    if not len(frames):
        return 0.0
    levels = 10.0 * np.log10(ear.excess[frames, place - LOBE : place + LOBE + 1].sum(axis=1) + 1e-12)
    return float(np.median(levels)) - pitch.level_db


def glide_of(ear: Ear, frames: int) -> Glide | None:
    """Return the line that moves most evenly through the newest frames, None where there is hardly any.

    Source: dynamic programming over the lines of each frame, as pitch is followed in D. Talkin, "RAPT", 1995.
    """
    hz, level = ear.wide_hz[-frames:], ear.wide_level_db[-frames:]
    excess = ear.excess[-frames:]
    rows = np.flatnonzero(hz[:, 0] > 0.0)
    if len(hz) < frames or len(rows) < 0.6 * frames:
        return None
    share = np.minimum(1.0, 10.0 ** (level / 10.0) / (excess[:, LOBE:].sum(axis=1, keepdims=True) + 1e-12))
    logs = np.log(np.maximum(hz, 1.0))
    path = _best_path(logs[rows], np.where(hz[rows] > 0.0, share[rows], -1.0), np.diff(rows))
    contour = logs[rows, path]
    jumps = np.flatnonzero(np.abs(np.diff(contour)) > _JUMP * np.diff(rows))
    spans = tuple(np.split(contour, jumps + 1))
    return Glide(
        spans,
        float(np.exp(contour[-1])),
        len(rows) / frames,
        float(np.median(share[rows, path])),
        _alone_along(excess[rows], np.exp(contour) / BIN_HZ),
    )


def _best_path(logs: Floats, worth: Floats, steps: NDArray[np.intp]) -> NDArray[np.intp]:
    total, came = worth[0], []
    for row, step in enumerate(steps, start=1):
        far = (logs[row][None, :] - logs[row - 1][:, None]) / (_FARTHEST * float(step))
        both = total[:, None] - 0.5 * np.minimum(1.0, far**2)
        came.append(np.argmax(both, axis=0))
        total = both.max(axis=0) + worth[row]
    path = [int(np.argmax(total))]
    for before in reversed(came):
        path.append(int(before[path[-1]]))
    return np.array(path[::-1], np.intp)


def _alone_along(excess: Floats, places: NDArray[np.float64]) -> float:
    """Return by how much a line is above the strongest that goes with it, dB. places: [N] in bins."""
    spread = np.apply_along_axis(lambda one: np.convolve(one, np.ones(5) / 5.0, "same"), 1, excess)
    logs = 10.0 * np.log10(spread + 1e-10)
    rows = np.arange(len(places))
    line = float(logs[rows, np.round(places).astype(int)].mean())
    beside = places[:, None] * _OCTAVE[None, :]
    is_far = np.abs(beside - places[:, None]) > _NEAR + 2.0
    there = logs[rows[:, None], np.clip(np.round(beside), 0, BINS - 1).astype(int)]
    enough = is_far.mean(axis=0) > 0.6
    if not enough.any():
        return -_NOTHING_DB
    means = (there * is_far).sum(axis=0)[enough] / is_far.sum(axis=0)[enough]
    return line - float(means.max())


def _pulses(frames: NDArray[np.intp]) -> list[tuple[int, int]]:
    """Return first and last of every run of frames, gaps bridged, specks left out."""
    if not len(frames):
        return []
    parts = np.split(frames, np.flatnonzero(np.diff(frames) > _GAP) + 1)
    return [(int(part[0]), int(part[-1])) for part in parts if part[-1] - part[0] >= 2]


def _exact(values: Floats, tops: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return where between the bins the tops are."""
    left, middle, right = (np.log(values[tops + step].astype(np.float64) + 1e-12) for step in (-1, 0, 1))
    bend = np.minimum(left - 2.0 * middle + right, -1e-9)
    return np.asarray(tops + np.clip(0.5 * (left - right) / bend, -0.5, 0.5), np.float64)


def _floor(power: Floats, tops: NDArray[np.intp], around: tuple[int, ...]) -> Floats:
    """Return the level around tops."""
    if not len(tops):
        return np.zeros(0, np.float32)
    floor: Floats = np.median(power[np.clip(tops[:, None] + np.array(around), 0, BINS - 1)], axis=1)
    return floor


def _padded(hz: NDArray[Any], level: NDArray[Any], most: int) -> tuple[Floats, Floats]:
    """Return both at a length of ``most``, 0 Hz for none."""
    missing = (0, most - len(hz))
    padded = np.pad(hz, missing), np.pad(level, missing, constant_values=_NOTHING_DB)
    return padded[0].astype(np.float32), padded[1].astype(np.float32)


def _is_same(hz: Floats, pitch: float, width: float = 1.0) -> Mask:
    same: Mask = np.abs(hz - pitch) < width * max(_SAME * pitch, _SAME_HZ)
    return same


def _at(logs: Floats, place: float) -> float:
    """Return a level between two bins, that of the stronger one; nothing above the last."""
    low = int(place)
    return float(logs[low : low + 2].max()) if low + 1 < BINS else _NOTHING_DB


def _appended(rows: Floats, more: Floats) -> Floats:
    return np.concatenate([rows, more])[-MEMORY:]
