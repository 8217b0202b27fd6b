"""What comes in during a scenario, micro-turn by micro-turn: sound, pictures and typed lines at their times.

An input that waits for something that the robot does is sent when that has happened, never before the next micro-turn.
Of speech and recordings it is the voice that begins at the input's time: silence before it does not count. Synthesised
lines and recordings are kept in memory, for they come again and again. It knows no model and judges nothing.
"""

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from tml_ros.errors import InputError
from tml_ros.evaluation.clips import sound_span
from tml_ros.evaluation.scenario import Input, NoiseBed, Recording, Say, Scenario, Trigger, Typed
from tml_ros.evaluation.timeline import Timeline
from tml_ros.media import read_audio_file
from tml_ros.records import MICRO_TURN_NS, MICRO_TURN_SAMPLES, SAMPLE_RATE_HZ, StampedImage, TextInput
from tml_ros.replay.scene import Noise, Scene
from tml_ros.replay.scene_audio import AudioMix, synthesiser_for
from tml_ros.replay.scene_video import frames

__all__ = ["Stage"]

Sound = NDArray[np.float32]
_SOUND_LEVEL = 0.004  # what the synthesisers of this package take for silence ends below it
_TURN_S = MICRO_TURN_NS / 1e9


class Stage:
    """The inputs of one scenario; ask it once per micro-turn, in order.

    Thread: one caller at a time.
    """

    def __init__(self, scenario: Scenario, timeline: Timeline, start_ns: int) -> None:
        """Prepare. timeline: what has happened so far, and where what was sent is noted. start_ns: on the room's clock.

        Raises:
            InputError: a recording cannot be read or holds no sound.
            SynthesisError, MissingDependencyError: a line cannot be spoken.
        """
        self._scenario = scenario
        self._timeline = timeline
        self._start_ns = start_ns
        self._sound = _noise(scenario)
        self._typed: list[tuple[float, str]] = []
        self._waiting = [one for one in scenario.inputs if not isinstance(one.source, NoiseBed)]
        self._frames = frames(_scene(scenario))
        self._ahead = next(self._frames, None)
        self._send_ready(0.0)

    def sound(self, now_s: float) -> Sound:
        """Return [3200] float32 at 16 kHz of the micro-turn that begins now; what is due by then is sent."""
        self._send_ready(now_s)
        first = round(now_s * SAMPLE_RATE_HZ)
        return self._sound[first : first + MICRO_TURN_SAMPLES]

    def texts(self, now_s: float) -> list[TextInput]:
        """Return the lines that are typed in the micro-turn that begins now."""
        due = [one for one in self._typed if one[0] < now_s + _TURN_S]
        self._typed = [one for one in self._typed if one not in due]
        return [TextInput(self._start_ns + round(at_s * 1e9), text) for at_s, text in due]

    def images(self, now_s: float) -> Iterator[StampedImage]:
        """Yield what the camera sees in the micro-turn that begins now."""
        until_ns = round((now_s + _TURN_S) * 1e9)
        while self._ahead is not None and self._ahead[0] < until_ns:
            at_ns, picture = self._ahead
            height, width = picture.shape[:2]
            yield StampedImage(self._start_ns + at_ns, "bgr8", picture.tobytes(), width, height, 3 * width)
            self._ahead = next(self._frames, None)

    def _send_ready(self, now_s: float) -> None:
        """Send what has its time; one may be what another waits for, so go round until nothing is new."""
        while True:
            ready = [(one, at_s) for one in self._waiting if (at_s := self._time(one, now_s)) is not None]
            if not ready:
                return
            for one, at_s in ready:
                self._waiting.remove(one)
                self._send(one, at_s)

    def _time(self, one: Input, now_s: float) -> float | None:
        if one.send_after is None:
            return one.at_s
        event_s = self._event_time(one.send_after)
        return None if event_s is None else max(now_s, event_s + one.send_after.delay_s)

    def _event_time(self, trigger: Trigger) -> float | None:
        since_s = 0.0
        if trigger.since:
            if trigger.since not in self._timeline.inputs:
                return None
            since_s = self._timeline.inputs[trigger.since][1]
        times = [at_s for at_s in self._timeline.times(trigger.event) if at_s >= since_s]
        return times[trigger.nth - 1] if len(times) >= trigger.nth else None

    def _send(self, one: Input, at_s: float) -> None:
        if isinstance(one.source, Typed):
            self._typed.append((at_s, one.source.text))
            self._timeline.inputs[one.name] = (at_s, at_s)
            return
        assert isinstance(one.source, Say | Recording)
        samples, start, stop = _voice(one.source)
        place = round(at_s * SAMPLE_RATE_HZ) - start
        skipped = max(0, -place)
        stretch = self._sound[place + skipped : max(0, place + len(samples))]
        stretch += np.float32(10.0 ** (one.source.gain_db / 20.0)) * samples[skipped : skipped + len(stretch)]
        self._timeline.inputs[one.name] = (at_s, at_s + (stop - start) / SAMPLE_RATE_HZ)


def _noise(scenario: Scenario) -> Sound:
    """Return the noise under everything, to which the rest is added. [N] float32."""
    beds = [(one.at_s or 0.0, one.source) for one in scenario.inputs if isinstance(one.source, NoiseBed)]
    sounds = tuple(
        Noise(round(at_s * 1e9), round(bed.until_s * 1e9), bed.gain_db, None, bed.color) for at_s, bed in beds
    )
    count = round(scenario.duration_s * SAMPLE_RATE_HZ)
    if not sounds:
        return np.zeros(count, np.float32)
    mix = AudioMix(_scene(scenario), sounds)
    return np.concatenate([block[:, 0] for block in mix.blocks(SAMPLE_RATE_HZ)])[:count]


def _scene(scenario: Scenario) -> Scene:
    return Scene(scenario.name, round(scenario.duration_s * 1e9), scenario.seed, video=scenario.video)


def _voice(source: Say | Recording) -> tuple[Sound, int, int]:
    """Return samples, and where the voice in them begins and ends."""
    if isinstance(source, Say):
        return _spoken(source.text, source.voice, source.speed)
    return _recorded(source.path, source.from_s, source.length_s)


@functools.lru_cache(maxsize=1024)
def _spoken(text: str, voice: str, speed: float) -> tuple[Sound, int, int]:
    samples = synthesiser_for(voice, speed).synthesise(text)
    loud = np.flatnonzero(np.abs(samples) > _SOUND_LEVEL)
    if not len(loud):
        raise InputError(f"voice {voice!r} makes no sound of {text!r}; write words")
    return samples, int(loud[0]), int(loud[-1]) + 1


@functools.lru_cache(maxsize=256)
def _recorded(path: Path, from_s: float, length_s: float | None) -> tuple[Sound, int, int]:
    samples, rate_hz = read_audio_file(path)
    samples = samples[round(from_s * rate_hz) :][: None if length_s is None else round(length_s * rate_hz)]
    mono: Sound = samples.mean(axis=1, dtype=np.float32)
    if rate_hz != SAMPLE_RATE_HZ:
        mono = soxr.resample(mono, rate_hz, SAMPLE_RATE_HZ)
    if not np.any(np.abs(mono) > 1e-5):
        raise InputError(f"{path} holds no sound from {from_s:g} s on; choose another part of it")
    return mono, *sound_span(mono)
