"""Learn the way from the loudspeaker to the microphone, and subtract what came along it.

A linear filter in the frequency domain whose step follows from a Kalman filter: it learns while only the robot speaks
and holds still while a person does, so that it does not bend a person's voice. What it cannot model (clipping, late
reverberation) stays. It knows neither frames of a canceller nor delays; what came more than 0.3 s late stays, too.
It knows how unsure it is of each frequency, and from how much of that it usually leaves it tells where somebody else
sounds: there is much more left then. That is also so when the loudspeaker or the microphone skipped; then the room is
the same and comes a little earlier or later, and so its response is moved instead of learnt anew.

Source: Enzner and Vary, "Frequency-domain adaptive Kalman filter for acoustic echo control in hands-free telephones",
2006; partitioned as by Kuech, Mabande and Enzner, "State-space architecture of the partitioned-block-based acoustic
echo controller", 2014.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tml_ros.records import MICRO_TURN_SAMPLES, SAMPLE_RATE_HZ

__all__ = ["BLOCK_SAMPLES", "EchoFilter"]

BLOCK_SAMPLES = 320  # 20 ms
_PARTITIONS = 16
# Of what is known of the room, per block; larger follows a drifting clock less. The response itself does not fade:
# where nothing was heard for a while, it is what it was.
_TRANSITION = 0.998
_SMOOTHING = 0.8  # of the power of what is left
_FIRST_VARIANCE = 0.01  # of the unknown room's response: a loudspeaker at -20 dB; a larger one diverges at first
_LEAST_POWER = 1e-8
_SHORT, _LONG = 0.7, 0.98  # smoothing of powers over about 60 ms and 1 s
_PROVEN = 0.25  # of the power of what was heard
_AUDIBLE = 1e-6  # mean square of an echo worth judging the filter by
_BETTER, _WORSE = 0.03, 0.004  # how fast that figure follows: a person lowers it, who is not the filter's fault
_LEAST_ERLE_DB = 20.0  # a filter that leaves more cannot tell a person from its own faults
_SETTLED = 300  # blocks with an echo, until which it learns the room too fast to tell
_AGAIN = 30  # blocks later it learns once more from each, until it is settled
_FAINT = 10.0**-6.6  # mean square of the microphone's noise
# What is left over what usually is, in dB, smoothed over 60 ms: 13.3 at most in 170 s of talk without a person, 99.9 %
# below 11.7; with a word as loud as the echo 20 to 40 for a tenth of a second and more.
_PERHAPS_DB, _SURELY_DB = 13.0, 17.0
# A filter that made things louder by this lost its way at a stroke: the loudspeaker skipped, the delay is another.
_LOST, _FOUND = 1.5, 0.1
_LOST_BLOCKS = 150
_SLIPS = SAMPLE_RATE_HZ * 150 // 1000  # either way; PulseAudio makes 10 to 110 ms
_LEAST_SLIP = 0.3  # samples; what is less, the filter follows by itself
_LEAST_SKIP = 4.0  # what is less is a clock that is followed: beside a person a sample aside may fit a bit better
_PARTS = (MICRO_TURN_SAMPLES, MICRO_TURN_SAMPLES // 2)  # the skip may have come in the middle of a window
# Of what was heard with the echo that is expected then: 0.99 after a skip; with a person as loud as the echo 0.7.
_SAME = 0.9
_LESS_LEFT = 0.7  # of the power that this correlation leaves without a skip
# In the middle of a skip it is the most like it at another time, and not at all where it was expected: 0.81 to 0.98 in
# six of seven skips, with people 0.75 at most.
_ALIKE, _UNLIKE = 0.76, 0.5
_MOST_MISSING = 15  # windows; then the room is another
_UNSURE = 10.0  # by which the variance of a response that was moved grows
_KEPT_ENERGY = 0.98  # of a response that is moved; the rest would fall off its ends

_HISTORY = _PARTITIONS * BLOCK_SAMPLES + MICRO_TURN_SAMPLES + _SLIPS
_KNOWN = ("_erle_db", "_less_db", "_echo_blocks")
_LEARNT = ("_room", "_variance", "_noise", "_lost_blocks", *_KNOWN)
_REPORTED = ("_near", "_echoes", "_lost", "_history", "_trusted")

_Sound = NDArray[np.float64]
_Spectrum = NDArray[np.complex128]


class EchoFilter:
    """One session's filter. B = 321 bins, P = 16 partitions."""

    def __init__(self) -> None:
        shape = (_PARTITIONS, BLOCK_SAMPLES + 1)
        self._played = np.zeros(2 * BLOCK_SAMPLES)
        self._spectra: _Spectrum = np.zeros(shape, np.complex128)  # [P, B] of what was played, newest first
        self._room: _Spectrum = np.zeros(shape, np.complex128)  # [P, B] response
        self._variance = np.full(shape, _FIRST_VARIANCE)
        self._noise = np.full(shape[1], 1e-3)
        self._heard_powers = np.full(2, 1e-6)  # smoothed short and long
        self._left_powers = np.full(2, 1e-6)
        self._is_proven = False
        self._echo_power = 1e-6
        self._echo_blocks = 0
        self._erle_db = 0.0
        self._doubt_power = 1e-6  # of what the response may be wrong by
        self._less_db = 0.0  # how much less is usually left
        self._near: list[float] = []
        self._echoes: list[float] = []
        self._lost: list[bool] = []
        self._lost_blocks = 0
        self._missing = 0  # windows in a row
        self._history = np.zeros(_HISTORY)  # of what was played
        self._trusted: _Spectrum | None = None  # [P, B] response that left little in the last window
        self._waiting: tuple[tuple[_Spectrum, _Sound], ...] = ()  # blocks to be learnt from again: played, heard

    @property
    def lost(self) -> NDArray[np.bool_]:
        """Whether a filter that worked has lost its way, by block of the last call, [N // 320]; for 3 s at most."""
        return np.array(self._lost, np.bool_)

    @property
    def erle_db(self) -> float:
        """How much of the echo it takes away, in dB: what it does when nobody else speaks, remembered for seconds."""
        return self._erle_db

    @property
    def near(self) -> NDArray[np.float32]:
        """How surely somebody else sounds in each block of 20 ms of the last call, 0 to 1, [N // 320]."""
        return np.array(self._near, np.float32)

    @property
    def echo_power(self) -> NDArray[np.float64]:
        """Mean square over some 60 ms of the echo that it took away, by block of the last call, [N // 320].

        0 where there is none, and as long as the filter does not know the room.
        """
        return np.array(self._echoes)

    def process(self, heard: NDArray[np.float32], played: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what is left. heard, played: [N] float32, N a multiple of 320."""
        self._history = np.concatenate([self._history[len(played) :], played])[-_HISTORY:]
        before = self._state()
        left = self._run(heard, played)
        if self.near.any() or self.lost.any():
            return left if self._trusted is None else self._check_for_a_skip(self._trusted, heard, played, before, left)
        self._missing = 0
        if self._knows_the_room:
            self._trusted = self._room
        return left

    def _run(self, heard: NDArray[np.float32], played: NDArray[np.float32]) -> NDArray[np.float32]:
        self._near, self._echoes, self._lost = [], [], []
        blocks = (
            self._block(heard[start : start + BLOCK_SAMPLES].astype(np.float64), played[start : start + BLOCK_SAMPLES])
            for start in range(0, len(heard), BLOCK_SAMPLES)
        )
        return np.concatenate(list(blocks)).astype(np.float32)

    # --------------------------------------------------------------------------------------------- after a skip

    def _check_for_a_skip(
        self,
        trusted: _Spectrum,
        heard: NDArray[np.float32],
        played: NDArray[np.float32],
        before: dict[str, Any],
        left: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Return what is left with the response moved, where that explains what was heard; otherwise ``left``.

        A window in which the echo skipped to another time, or did not come where it was expected, is silent. Nothing is
        learnt where no skip explains it, for somebody else sounds, unless that goes on for too long.
        """
        response = np.fft.irfft(trusted, 2 * BLOCK_SAMPLES, axis=1)[:, :BLOCK_SAMPLES].reshape(-1)
        size, now = len(self._history) + len(response), len(self._history)
        echo = np.fft.irfft(np.fft.rfft(self._history, size) * np.fft.rfft(response, size), size)
        parts = [(heard[-part:].astype(np.float64), echo[now - part - _SLIPS : now + _SLIPS]) for part in _PARTS]
        found = [_alike(*part) for part in parts]
        slip = next((_SLIPS - best for best, most, usual in found if _is_slip(best, most, usual)), None)
        moved = None if slip is None else _moved(response, slip)
        if moved is not None:
            self._restore(before, moved)
            left = self._run(heard, played)
            self._take_back(before, _KNOWN)  # a skip says nothing of that
            self._lost_blocks = 0
            if slip is not None and abs(slip) < _LEAST_SKIP:
                return left
        elif self._missing < _MOST_MISSING:
            self._take_back(before, _LEARNT)  # nothing is to be learnt from this
            self._missing += 1
            if not any(most >= _ALIKE and usual < _UNLIKE for _, most, usual in found):
                return left
        else:
            return left
        self._near, self._lost = [0.0] * len(self._near), [True] * len(self._lost)
        return left

    def _state(self) -> dict[str, Any]:
        """Return what a call changes, apart from what it reports; arrays are replaced, never written into."""
        return {name: value for name, value in vars(self).items() if name not in _REPORTED}

    def _take_back(self, state: dict[str, Any], names: tuple[str, ...]) -> None:
        vars(self).update({name: state[name] for name in names})

    def _restore(self, state: dict[str, Any], response: _Sound) -> None:
        """Go back to a state, with another response of the room."""
        vars(self).update(state)
        parts = response.reshape(_PARTITIONS, BLOCK_SAMPLES)
        self._room = np.fft.rfft(parts, 2 * BLOCK_SAMPLES, axis=1)
        self._variance = np.minimum(_UNSURE * self._variance, _FIRST_VARIANCE)
        self._trusted = self._room

    def _block(self, heard: NDArray[np.float64], played: NDArray[np.float32]) -> NDArray[np.float64]:
        self._played = np.concatenate([self._played[BLOCK_SAMPLES:], played])
        self._spectra = np.roll(self._spectra, 1, axis=0)
        self._spectra[0] = np.fft.rfft(self._played)
        if not self._spectra.any():
            self._near.append(0.0)
            self._echoes.append(0.0)
            self._lost.append(False)
            return heard  # nothing was played: nothing to take away, nothing to learn
        echo = self._echo(self._spectra)
        left = heard - echo
        error = _spectrum(left)
        self._noise = _SMOOTHING * self._noise + (1 - _SMOOTHING) * np.abs(error) ** 2
        doubt = float(np.sum(self._learn(self._spectra, error))) / BLOCK_SAMPLES**2
        self._doubt_power = _SHORT * self._doubt_power + (1 - _SHORT) * doubt
        self._practise(heard)
        helps = self._helps(heard, left)
        self._near.append(self._judge(echo) if helps else 0.0)
        self._echoes.append(self._echo_power if helps and self._knows_the_room else 0.0)
        self._lost.append(self._has_lost_its_way(is_audible=float(np.mean(echo**2)) > _AUDIBLE))
        return left if helps else heard

    @property
    def _knows_the_room(self) -> bool:
        """Whether what it leaves says anything: it takes enough away, and did so for a while."""
        return self._erle_db >= _LEAST_ERLE_DB and self._echo_blocks >= _SETTLED

    def _has_lost_its_way(self, *, is_audible: bool) -> bool:
        ratio = float(self._left_powers[0] / (self._heard_powers[0] + 1e-10))
        if self._knows_the_room and is_audible and ratio > _LOST:
            self._lost_blocks = _LOST_BLOCKS
            self._erle_db, self._less_db, self._echo_blocks = 0.0, 0.0, 0  # what it usually leaves is to be learnt anew
        elif self._lost_blocks:
            self._lost_blocks = 0 if ratio < _FOUND else self._lost_blocks - 1
        return self._lost_blocks > 0

    def _judge(self, echo: NDArray[np.float64]) -> float:
        """Tell how surely somebody else sounds: much more of the echo is left then than this filter usually leaves."""
        power = float(np.mean(echo**2))
        self._echo_power = _SHORT * self._echo_power + (1 - _SHORT) * power
        usual = self._doubt_power * 10.0 ** (-self._less_db / 10.0) + _FAINT
        knew_the_room = self._knows_the_room
        more_db = 10.0 * float(np.log10(self._left_powers[0] / usual))
        if power > _AUDIBLE:
            self._echo_blocks += 1
            self._erle_db = _followed(self._erle_db, self._heard_powers[0], self._left_powers[0])
            self._less_db = _followed(self._less_db, self._doubt_power, self._left_powers[0])
        return float(np.clip((more_db - _PERHAPS_DB) / (_SURELY_DB - _PERHAPS_DB), 0.0, 1.0)) if knew_the_room else 0.0

    def _helps(self, heard: NDArray[np.float64], left: NDArray[np.float64]) -> bool:
        """Tell whether what is left is better to go on with: not before 6 dB are gone, and never where it is louder.

        A filter that still learns changes faster than the canceller behind it can follow.
        """
        kept = np.array([_SHORT, _LONG])
        self._heard_powers = kept * self._heard_powers + (1 - kept) * np.mean(heard**2)
        self._left_powers = kept * self._left_powers + (1 - kept) * np.mean(left**2)
        self._is_proven |= bool(self._left_powers[1] < _PROVEN * self._heard_powers[1])
        return self._is_proven and bool(self._left_powers[0] <= self._heard_powers[0])

    def _practise(self, heard: NDArray[np.float64]) -> None:
        """Learn once more from a block that has been before, as long as little is known."""
        if self._echo_blocks >= _SETTLED:
            self._waiting = ()
            return
        self._waiting = (*self._waiting, (self._spectra, heard))
        if len(self._waiting) > _AGAIN:
            (spectra, before), *waiting = self._waiting
            self._waiting = tuple(waiting)
            self._learn(spectra, _spectrum(before - self._echo(spectra)))

    def _echo(self, spectra: _Spectrum) -> NDArray[np.float64]:
        whole = np.fft.irfft(np.sum(self._room * spectra, axis=0), 2 * BLOCK_SAMPLES)
        return np.asarray(whole[BLOCK_SAMPLES:])

    def _learn(self, spectra: _Spectrum, error: _Spectrum) -> NDArray[np.float64]:
        """Learn from what is left of a block; return the power, [B], of what the response might be wrong by."""
        power = np.abs(spectra) ** 2
        doubt = np.asarray(0.5 * np.sum(power * self._variance, axis=0))
        gain = self._variance / (doubt + self._noise + _LEAST_POWER)
        step = np.fft.irfft(gain * np.conj(spectra) * error, 2 * BLOCK_SAMPLES, axis=1)
        step[:, BLOCK_SAMPLES:] = 0.0  # a partition's response is one block long
        self._room = self._room + np.fft.rfft(step, axis=1)
        kept = _TRANSITION**2
        learnt = kept * (1 - 0.5 * gain * power) * self._variance
        self._variance = learnt + (1 - kept) * np.abs(self._room) ** 2 + 1e-9
        return doubt


def _followed(known_db: float, before: float, after: float) -> float:
    """Return by how many dB power usually falls, with what is known now."""
    now_db = 10.0 * float(np.log10((before + 1e-10) / (after + 1e-10)))
    return known_db + (_BETTER if now_db > known_db else _WORSE) * (now_db - known_db)


def _spectrum(left: NDArray[np.float64]) -> _Spectrum:
    return np.fft.rfft(np.concatenate([np.zeros(BLOCK_SAMPLES), left]))


def _alike(heard: _Sound, echo: _Sound) -> tuple[float, float, float]:
    """Return where what was heard is most like what was expected, its correlation there, and that without a skip.

    Args:
        heard: [N].
        echo: [N + 2 * _SLIPS], what was expected, from _SLIPS before heard until _SLIPS after it.
    """
    power = float(np.sum(heard**2))
    if power < _AUDIBLE * len(heard):
        return float(_SLIPS), 0.0, 0.0
    size = len(echo) + len(heard)
    products = np.fft.irfft(np.fft.rfft(echo, size) * np.conj(np.fft.rfft(heard, size)), size)[: 2 * _SLIPS + 1]
    sums = np.concatenate([[0.0], np.cumsum(echo**2)])
    same = products / np.sqrt(power * (sums[len(heard) :] - sums[: 2 * _SLIPS + 1]) + 1e-9)
    return (*_peak(same), float(same[_SLIPS]))


def _is_slip(best: float, most: float, usual: float) -> bool:
    """Tell whether a skip explains what was heard. best, most, usual: as of ``_alike``."""
    return most >= _SAME and 1 - most**2 <= _LESS_LEFT * (1 - usual**2) and abs(_SLIPS - best) >= _LEAST_SLIP


def _peak(values: _Sound) -> tuple[float, float]:
    """Return where a parabola through the largest value and its neighbours is highest, and how high, at most 1."""
    at = int(np.argmax(values))
    if not 0 < at < len(values) - 1:
        return float(at), float(values[at])
    before, here, after = values[at - 1 : at + 2]
    bend = before - 2 * here + after
    aside = 0.5 * (before - after) / bend if bend < 0 else 0.0
    return at + float(aside), min(1.0, float(here - 0.25 * (before - after) * aside))


def _moved(response: _Sound, slip: float) -> _Sound | None:
    """Return a response that comes later by so many samples; None when too much of it would fall off its ends."""
    size = 2 * len(response)
    turns = np.exp(-2j * np.pi * slip * np.fft.rfftfreq(size))
    moved = np.fft.irfft(np.fft.rfft(response, size) * turns, size)[: len(response)]
    return moved if np.sum(moved**2) >= _KEPT_ENERGY * np.sum(response**2) else None
