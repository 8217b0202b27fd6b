"""The measures of Full-Duplex-Bench on words and voice segments, and the folders that it keeps its samples in.

Pure functions of times in seconds; only the reader of sample folders knows files and sound. Our tables are made of our
own clips and are called "FDB-style"; the published data and judges are not here. What v1.5 lets a language model judge,
how the robot behaved, is told from which utterance went on and which was new.

Source: Full-Duplex-Bench v1 (Lin et al., arXiv 2503.04721), sections 3 and 4, and v1.5 (arXiv 2507.23159); own code
from the definitions.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from tml_ros.errors import InputError
from tml_ros.evaluation.intervals import Interval, intersection, merged
from tml_ros.evaluation.results import Observation
from tml_ros.media import read_audio_file
from tml_ros.records import SAMPLE_RATE_HZ

__all__ = [
    "STOP_WITHIN_S",
    "WANTED",
    "Backchannels",
    "Behaviour",
    "Sample",
    "SampleKind",
    "Utterance",
    "Word",
    "backchannels",
    "behaviour",
    "divergence",
    "interruption_latency_s",
    "is_takeover",
    "judge",
    "overlaps",
    "read_human_backchannels",
    "read_sample",
    "read_words",
    "response_latency_s",
    "silenced_after_s",
    "stop_latencies_s",
    "turn_taking_latency_s",
    "voice_segments",
    "voiced_words",
    "words_within",
]

STOP_WITHIN_S = 0.7
"""A bid for the floor counts as heeded when the robot is silent this long after it began."""

_SHORT_SPAN_S = 1.0
_FEW_WORDS = 3
_LONG_SEGMENT_S = 3.0
_BACKCHANNEL_S = 1.0
_BACKCHANNEL_WORDS = 2
_BIN_S = 0.2
_USER_GAP_S = 0.6
_ROBOT_GAP_S = 0.5
_VOICE_ON, _VOICE_OFF = 0.5, 0.35
_MIN_VOICE_S, _MIN_SILENCE_S = 0.25, 0.1


@dataclass(frozen=True, slots=True)
class Word:
    """A word that the robot said. Times in seconds since the first sample of the input."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Utterance:
    """Something that the robot said. text: all that it meant to say. start_s, end_s: what was heard of it.

    is_cut: it ended before its last word.
    """

    text: str
    start_s: float
    end_s: float
    is_cut: bool = False


class Behaviour(StrEnum):
    """What the robot did about a sound that came while it spoke; the four of v1.5."""

    RESPOND = "respond"
    RESUME = "resume"
    UNCERTAIN = "uncertain"
    UNKNOWN = "unknown"


WANTED: Mapping[str, Behaviour] = {
    "user_interruption": Behaviour.RESPOND,
    "user_backchannel": Behaviour.RESUME,
    "talking_to_other": Behaviour.RESUME,
    "background_speech": Behaviour.RESUME,
}
"""What is wanted in each situation of v1.5."""


@dataclass(frozen=True, slots=True)
class Backchannels:
    """What the robot uttered while the person had the floor. starts_s: of its back-channels."""

    takeover: bool
    starts_s: tuple[float, ...]
    per_second: float


# ---------------------------------------------------------------------------------------------------------------- v1


def is_takeover(words: Sequence[Word]) -> bool:
    """Tell whether the robot took the turn (TOR): it said words, and not just up to three within less than a second."""
    if not words:
        return False
    span_s = words[-1].end_s - words[0].start_s
    return span_s >= _SHORT_SPAN_S or len(words) > _FEW_WORDS


def turn_taking_latency_s(words: Sequence[Word], user_end_s: float) -> float | None:
    """Return the time from the person's end to the robot's first word, floored at 0; None without a takeover."""
    return max(0.0, words[0].start_s - user_end_s) if is_takeover(words) else None


def interruption_latency_s(words: Sequence[Word], interruption_end_s: float) -> float | None:
    """Return the time from the end of the interrupting speech to the first word after it; None without a takeover."""
    return turn_taking_latency_s(words_within(words, interruption_end_s), interruption_end_s)


def words_within(words: Iterable[Word], start_s: float, end_s: float = float("inf")) -> list[Word]:
    """Return the words that begin in [start_s, end_s)."""
    return [word for word in words if start_s <= word.start_s < end_s]


def backchannels(segments: Sequence[tuple[float, float]], words: Sequence[Word], duration_s: float) -> Backchannels:
    """Judge the robot's voice segments in a clip in which the person never gives the turn away.

    Args:
        segments: (start, end) of the robot's voice in seconds, by a voice activity detector.
        words: what it said.
        duration_s: length of the clip.
    """
    starts = []
    for start, end in segments:
        inside = sum(word.start_s < end and word.end_s > start for word in words)
        if end - start > _LONG_SEGMENT_S or inside > _FEW_WORDS:
            return Backchannels(True, (), 0.0)
        if end - start < _BACKCHANNEL_S and inside <= _BACKCHANNEL_WORDS:
            starts.append(start)
    return Backchannels(False, tuple(starts), len(starts) / duration_s)


def divergence(starts_s: Sequence[float], human: Sequence[float]) -> float:
    """Return how far the times of back-channels are from people's: 0 (alike) to 0.83, and 1.0 if there are none.

    Square root of the Jensen-Shannon divergence with natural logarithms. human: weight of each bin of 200 ms.
    """
    wanted = np.asarray(human, np.float64)
    found = np.zeros_like(wanted)
    for start in starts_s:
        found[min(int(start / _BIN_S), len(found) - 1)] += 1.0
    if not found.sum() or not wanted.sum():
        return 1.0
    found, wanted = found / found.sum(), wanted / wanted.sum()
    middle = (found + wanted) / 2.0
    parts = [float(np.sum(p[p > 0] * np.log(p[p > 0] / middle[p > 0]))) for p in (found, wanted)]
    return float(np.sqrt(max(0.0, sum(parts) / 2.0)))


# -------------------------------------------------------------------------------------------------------------- v1.5


def overlaps(user: Iterable[Interval], robot: Iterable[Interval]) -> list[Interval]:
    """Return when both spoke: segments of the person merged across gaps of 0.6 s, of the robot across 0.5 s."""
    return intersection(merged(user, _USER_GAP_S), merged(robot, _ROBOT_GAP_S))


def stop_latencies_s(user: Iterable[Interval], robot: Iterable[Interval]) -> list[float]:
    """Return how long each overlap lasts, whoever ends it."""
    return [end - start for start, end in overlaps(user, robot)]


def response_latency_s(user_end_s: float, robot: Iterable[Interval]) -> float | None:
    """Return the time from a person's (merged) segment's end to the robot's next start; None if there is none."""
    starts = [start for start, _ in merged(robot, _ROBOT_GAP_S) if start >= user_end_s]
    return starts[0] - user_end_s if starts else None


def silenced_after_s(bid_start_s: float, robot: Iterable[Interval]) -> float | None:
    """Return the time from the start of a bid for the floor until the robot is silent; None if it was not speaking.

    A stop latency also ends where the person does; this one does not, so that a short "stop" cannot look heeded. A
    robot that would have ended by itself looks heeded in both: bid while it has much left to say.
    """
    over = (end for start, end in merged(robot, _ROBOT_GAP_S) if start <= bid_start_s < end)
    end_s = next(over, None)
    return None if end_s is None else end_s - bid_start_s


def behaviour(
    utterances: Iterable[Utterance], sound: Interval, within_s: float = 5.0, unsure: Iterable[str] = ("sorry", "pardon")
) -> Behaviour:
    """Tell what the robot did about a sound that came while it spoke.

    An utterance that begins after the sound did, and at most ``within_s`` after its end, is a response; an uncertain
    one if its first word is one of ``unsure``. What only says the rest of one that was cut is none. Without a response
    the robot resumed, if it was heard to its last word. Anything else is unknown.
    """
    start_s, end_s = sound
    told = sorted((one for one in utterances if one.end_s > start_s), key=lambda one: one.start_s)
    told = [one for one in told if one.start_s <= end_s + within_s]
    for number, one in enumerate(told):
        if one.start_s > start_s and not any(_goes_on(one, cut) for cut in told[:number] if cut.is_cut):
            is_unsure = bool(set(_plain_words(one.text)[:1]) & set(unsure))
            return Behaviour.UNCERTAIN if is_unsure else Behaviour.RESPOND
    return Behaviour.RESUME if told and not told[-1].is_cut else Behaviour.UNKNOWN


def _goes_on(later: Utterance, cut: Utterance) -> bool:
    """Whether an utterance ends as one that was cut, from any of its words on, but for a lead such as "as I said"."""
    whole, said = _plain_words(cut.text), _plain_words(later.text)
    same = takewhile(lambda pair: pair[0] == pair[1], zip(reversed(whole), reversed(said), strict=False))
    return bool(said) and sum(1 for _ in same) >= max(1, len(said) - _FEW_WORDS)


def _plain_words(text: str) -> list[str]:
    return [plain for word in text.lower().split() if (plain := "".join(filter(str.isalnum, word)))]


# ------------------------------------------------------------------------------------------------------------- voice


def voice_segments(audio: NDArray[np.float32]) -> list[Interval]:
    """Return when somebody speaks, by Silero VAD with its usual thresholds. audio: [N] float32 at 16 kHz.

    Segments shorter than 250 ms are dropped and gaps shorter than 100 ms closed, as Silero's own tool does.
    """
    from tml_ros.duplex.cascade.vad import FRAME_SAMPLES, SileroVad  # loads onnxruntime, which words do without

    whole = np.pad(audio, (0, -len(audio) % FRAME_SAMPLES))
    frame_s = FRAME_SAMPLES / SAMPLE_RATE_HZ
    found: list[list[float]] = []
    is_voice = False
    for number, probability in enumerate(SileroVad().open().push(whole)):
        was_voice, is_voice = is_voice, probability >= (_VOICE_OFF if is_voice else _VOICE_ON)
        if is_voice and not was_voice:
            found.append([number * frame_s, 0.0])
        if is_voice:
            found[-1][1] = min((number + 1) * frame_s, len(audio) / SAMPLE_RATE_HZ)
    closed = merged(((start, end) for start, end in found), _MIN_SILENCE_S)
    return [(start, end) for start, end in closed if end - start >= _MIN_VOICE_S]


def voiced_words(segments: Iterable[Interval]) -> list[Word]:
    """Return a voice whose words nobody knows as words for the measures of v1: one without letters for each segment."""
    return [Word("", start, end) for start, end in segments]


# ----------------------------------------------------------------------------------------------------------- folders


class SampleKind(StrEnum):
    """What a sample is for. Each but the last has a file of that meaning with the times of what happens in it."""

    PAUSE = "pause"
    TURN_TAKING = "turn_taking"
    INTERRUPTION = "interruption"
    BACKCHANNEL = "backchannel"


_EVENT_FILES = {
    SampleKind.PAUSE: "pause.json",
    SampleKind.TURN_TAKING: "turn_taking.json",
    SampleKind.INTERRUPTION: "interrupt.json",
}


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample with what a robot made of it. heard, said: [N] float32 at 16 kHz, sample 0 of both at the same time.

    events: pauses; where the turn may be taken; the interrupting speech. Empty for back-channels.
    """

    kind: SampleKind
    heard: NDArray[np.float32]
    said: NDArray[np.float32]
    words: tuple[Word, ...]
    events: tuple[Interval, ...] = ()


def read_sample(folder: Path) -> Sample:
    """Read a sample folder: input.wav, output.wav, output.json, and at most one file that says what happens.

    Raises:
        InputError: a file is absent or of another form, or there are several that say what happens.
    """
    kinds = [kind for kind, name in _EVENT_FILES.items() if (folder / name).is_file()]
    if len(kinds) > 1:
        raise InputError(f"{folder} is of more than one kind ({', '.join(kinds)}); leave one of {_names(kinds)}")
    kind = kinds[0] if kinds else SampleKind.BACKCHANNEL
    events = _read_events(folder / _EVENT_FILES[kind]) if kinds else ()
    heard, said = (_read_sound(folder / name) for name in ("input.wav", "output.wav"))
    return Sample(kind, heard, said, tuple(read_words(folder / "output.json")), events)


def judge(sample: Sample, human: Sequence[float] = ()) -> list[Observation]:
    """Return what the measures of v1 observe in a sample. human: see ``divergence``; without it there is none."""
    words = sample.words
    match sample.kind:
        case SampleKind.PAUSE:
            return [Observation("pause_tor", float(is_takeover(words)))]
        case SampleKind.TURN_TAKING:
            tor = [Observation("turn_taking_tor", float(is_takeover(words)))]
            latency_s = turn_taking_latency_s(words, sample.events[0][0])
            return tor + _observed(("turn_taking_latency_s", "turn_taking_latency_mean_s"), latency_s)
        case SampleKind.INTERRUPTION:
            end_s = sample.events[0][1]
            tor = [Observation("interruption_tor", float(is_takeover(words_within(words, end_s))))]
            return tor + _observed(("interruption_latency_s",), interruption_latency_s(words, end_s))
    found = backchannels(voice_segments(sample.said), words, len(sample.heard) / SAMPLE_RATE_HZ)
    return [
        Observation("backchannel_takeover", float(found.takeover)),
        Observation("backchannel_frequency", found.per_second),
        *_observed(("backchannel_jsd",), divergence(found.starts_s, human) if len(human) else None),
    ]


def _observed(measures: Iterable[str], value: float | None) -> list[Observation]:
    return [] if value is None else [Observation(name, value) for name in measures]


def _names(kinds: Iterable[SampleKind]) -> str:
    return ", ".join(_EVENT_FILES[kind] for kind in kinds)


def _read_sound(path: Path) -> NDArray[np.float32]:
    samples, rate_hz = read_audio_file(path)
    mono = samples.mean(axis=1)
    return mono if rate_hz == SAMPLE_RATE_HZ else np.asarray(soxr.resample(mono, rate_hz, SAMPLE_RATE_HZ), np.float32)


def _read_events(path: Path) -> tuple[Interval, ...]:
    """Read [{"timestamp": [start, end]}, ...], at least one, in seconds."""
    try:
        times = [one["timestamp"] for one in json.loads(path.read_text(encoding="utf-8"))]
        events = tuple((float(start), float(end)) for start, end in times)
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise InputError(
            f"{path} is no list of times ({err!r}); expected [{{'timestamp': [start, end]}}, ...]"
        ) from err
    if not events:
        raise InputError(f"{path} holds no times; expected at least one {{'timestamp': [start, end]}}")
    return events


def read_human_backchannels(path: Path) -> dict[str, list[float]]:
    """Read when people gave back-channels: the weight of each bin of 200 ms, by the name of the sample.

    Raises:
        InputError: the file is not of that form.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {name: [float(weight) for weight in weights] for name, weights in found.items()}
    except (OSError, ValueError, AttributeError, TypeError) as err:
        raise InputError(f"{path} holds no histograms ({err!r}); expected {{sample: [weight of each 200 ms]}}") from err


def read_words(path: Path) -> list[Word]:
    """Read an ``output.json``: {"text", "chunks": [{"text": word, "timestamp": [start, end]}]}.

    Raises:
        InputError: the file is not of that form.
    """
    try:
        chunks = json.loads(path.read_text(encoding="utf-8"))["chunks"]
        return [Word(one["text"].strip(), *map(float, one["timestamp"])) for one in chunks]
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise InputError(
            f"{path} is no list of words ({err!r}); expected the output.json of Full-Duplex-Bench"
        ) from err
