"""A recording of a robot as a shift: its alerts, how long robot, eyes and ears were there, and where they were not.

Reads a bag twice, whatever its length in bounded memory: once what the robot published, once what it saw and heard.
Times of a sensor are its stamps, or the times of reception where its clock is not that of the recorder. Knows no page.

Source: tml_interfaces/msg/*.msg.
"""

import struct
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from tml_ros import wire
from tml_ros.bags import BagInfo, BagMessage, BagReader
from tml_ros.bags.decoding import deserialize
from tml_ros.errors import BagError, TmlError
from tml_ros.evaluation.shift_alerts import AlertEvent, AlertStory, find_spoken, match_sounds, tell_stories
from tml_ros.media import to_rgb
from tml_ros.media.jpeg import thumbnail
from tml_ros.records import PlaybackReport, SafetyAlert, SessionState, SpeechPiece, StampedImage, TurnMetrics
from tml_ros.replay.inputs import find_inputs

__all__ = ["Coverage", "Shift", "find_outputs", "iterate_gaps", "read_shift"]

MAX_STILLS = 120
STILL_WIDTH = 320
_NEEDED = ("safety_alert", "speech", "micro_turn", "session_state")
_CLOCKS_AGREE_NS = 5_000_000_000
_LEAST_GAP_S = {"sight": 1.0, "hearing": 0.5, "robot": 2.0}
_PERIODS = 5.0
_MOST_TIMES = 200_000


@dataclass(slots=True)
class Coverage:
    """When something was there. gaps: (start_ns, end_ns). is_recorded: whether the bag has its topic at all."""

    name: str
    is_recorded: bool = False
    messages: int = 0
    gaps: list[tuple[int, int]] = field(default_factory=list)

    @property
    def gap_s(self) -> float:
        """Seconds in which it was not there."""
        return sum(end - start for start, end in self.gaps) / 1e9

    def share(self, duration_s: float) -> float | None:
        """Return the share of the time that it was there, None where it was not recorded."""
        return max(0.0, 1.0 - self.gap_s / duration_s) if self.is_recorded and duration_s else None


@dataclass(slots=True)
class Shift:
    """What a bag tells of a shift. sessions: how many began. degraded_s: seconds in which the robot said it was."""

    path: Path
    start_ns: int
    end_ns: int
    stories: list[AlertStory] = field(default_factory=list)
    robot: Coverage = field(default_factory=lambda: Coverage("robot"))
    sight: Coverage = field(default_factory=lambda: Coverage("sight"))
    hearing: Coverage = field(default_factory=lambda: Coverage("hearing"))
    sessions: int = 0
    missing_s: float = 0.0
    late_messages: int = 0
    deadlines_missed: int = 0
    degraded_s: float = 0.0
    bad_messages: int = 0

    @property
    def duration_s(self) -> float:
        """Length of the recording."""
        return (self.end_ns - self.start_ns) / 1e9

    def seconds(self, at_ns: int) -> float:
        """Return seconds from the start."""
        return (at_ns - self.start_ns) / 1e9


def read_shift(path: Path) -> Shift:
    """Read a bag.

    Raises:
        BagError: there is none, it is damaged, or it has nothing of a robot.
    """
    with BagReader(path) as bag:
        shift = Shift(path, bag.info.start_ns, max(bag.info.start_ns, bag.info.end_ns - 1))
        outputs = find_outputs(bag.info)
        inputs = _find_senses(path, bag.info)
        if not outputs and not inputs:
            held = ", ".join(bag.info.topics) or "no topic at all"
            raise BagError(f"{path} has nothing that a robot of this package publishes or senses, but {held}")
        _read_outputs(shift, bag, outputs)
        _read_senses(shift, bag, inputs)
    return shift


def find_outputs(info: BagInfo) -> dict[str, str]:
    """Return topic to name of what a robot publishes, ``playback`` included: by type, and by name where several fit."""
    wanted = {name: wire.OUTPUT_TYPES[name] for name in _NEEDED} | {"playback": wire.INPUT_TYPES["playback"]}
    found = {}
    for name, type_name in wanted.items():
        fitting = [topic.name for topic in info.topics.values() if topic.type == type_name]
        named = sorted((topic for topic in fitting if topic.endswith(f"/{name}")), key=len)
        if named or fitting:
            found[(named or fitting)[0]] = name
    return found


def _find_senses(path: Path, info: BagInfo) -> dict[str, str]:
    """Return topic to ``sight`` or ``hearing``."""
    try:
        inputs = find_inputs(path, info, {})
    except BagError:  # a robot without senses has alerts all the same
        return {}
    senses = {"audio/in": "hearing", "image": "sight", "image/compressed": "sight"}
    return {topic: senses[name] for topic, name in inputs.items() if name in senses}


# --------------------------------------------------------------------------------------------------------- published


def _read_outputs(shift: Shift, bag: BagReader, outputs: dict[str, str]) -> None:
    events: list[AlertEvent] = []
    pieces: list[tuple[int, SpeechPiece]] = []
    reports: list[tuple[int, PlaybackReport]] = []
    turns = _Times(shift.robot)
    states = _States(shift)
    sessions: set[str] = set()
    for message in bag.messages(set(outputs)) if outputs else ():
        record = _record(shift, outputs[message.topic], message)
        if isinstance(record, SafetyAlert):
            picture = next((bytes(one.data) for one in message.message.evidence), b"")
            events.append(AlertEvent(message.log_ns, record, picture))
        elif isinstance(record, SpeechPiece):
            pieces.append((message.log_ns, record))
        elif isinstance(record, PlaybackReport):
            reports.append((message.log_ns, record))
        elif isinstance(record, TurnMetrics):
            turns.add(message.log_ns)
            sessions.add(record.session_id)
            shift.missing_s += record.missing_samples / 16_000
            shift.late_messages += record.late_messages
            shift.deadlines_missed += record.deadline_missed
        elif isinstance(record, SessionState):
            states.add(message.log_ns, record)
    turns.close(shift.start_ns, shift.end_ns)
    states.close()
    shift.sessions = len(sessions)
    shift.stories = tell_stories(events)
    match_sounds(shift.stories, find_spoken(pieces, reports))
    for story in shift.stories[:MAX_STILLS]:
        evidence = next((event.evidence for event in story.events if event.evidence), b"")
        story.still = _shrunk(StampedImage(0, "compressed", evidence)) if evidence else b""
        story.still_is_evidence = bool(story.still)


def _shrunk(image: StampedImage) -> bytes:
    try:
        return thumbnail(to_rgb(image), STILL_WIDTH)
    except (TmlError, ValueError):
        return b""


def _record(shift: Shift, name: str, message: BagMessage) -> Any:
    try:
        return wire.playback_report(message.message) if name == "playback" else wire.published(name, message.message)
    except (TmlError, ValueError):  # a constant that is none
        shift.bad_messages += 1
        return None


class _States:
    """Adds up how long the robot said that it was degraded."""

    def __init__(self, shift: Shift) -> None:
        self._shift = shift
        self._since_ns: int | None = None

    def add(self, at_ns: int, state: SessionState) -> None:
        if state.degraded and self._since_ns is None:
            self._since_ns = at_ns
        elif not state.degraded:
            self._end(at_ns)

    def close(self) -> None:
        self._end(self._shift.end_ns)

    def _end(self, at_ns: int) -> None:
        if self._since_ns is not None:
            self._shift.degraded_s += (at_ns - self._since_ns) / 1e9
            self._since_ns = None


class _Times:
    """Finds the gaps between messages; a step back in time is a clock that was set, and no gap."""

    def __init__(self, coverage: Coverage) -> None:
        self._coverage = coverage
        self._last_ns: int | None = None
        self._steps: list[float] = []
        self._wide: list[tuple[int, int]] = []
        self._first_ns = 0
        self._least_s = _LEAST_GAP_S[coverage.name]

    def add(self, at_ns: int) -> None:
        self._coverage.is_recorded = True
        self._coverage.messages += 1
        if self._last_ns is None:
            self._first_ns = at_ns
        else:
            step_s = (at_ns - self._last_ns) / 1e9
            if step_s > self._least_s:
                self._wide.append((self._last_ns, at_ns))
            if step_s > 0.0 and len(self._steps) < _MOST_TIMES:
                self._steps.append(step_s)
        self._last_ns = at_ns

    def close(self, start_ns: int, end_ns: int) -> None:
        """Keep the gaps that are wide beside the usual step, those at both ends included."""
        if self._last_ns is None:
            return
        usual_s = float(np.median(self._steps)) if self._steps else 0.0
        least_s = max(self._least_s, _PERIODS * usual_s)
        ends = [(start_ns, self._first_ns), *self._wide, (self._last_ns, end_ns)]
        self._coverage.gaps = [(start, end) for start, end in ends if (end - start) / 1e9 > least_s]


# ------------------------------------------------------------------------------------------------------------ senses


def _read_senses(shift: Shift, bag: BagReader, inputs: dict[str, str]) -> None:
    coverages = {"sight": shift.sight, "hearing": shift.hearing}
    times = {name: _Times(coverage) for name, coverage in coverages.items()}
    stills = _Stills(bag, [story for story in shift.stories if not story.still][:MAX_STILLS])
    for message in bag.messages(set(inputs), raw=True) if inputs else ():
        sense = inputs[message.topic]
        at_ns = _time_of(message)
        times[sense].add(at_ns)
        if sense == "sight":
            stills.add(at_ns, message)
    for one in times.values():
        one.close(shift.start_ns, shift.end_ns)
    stills.close()
    for topic, sense in inputs.items():
        coverages[sense].is_recorded |= bool(bag.info.topics[topic].message_count)


def _time_of(message: BagMessage) -> int:
    """Return the stamp, which every header begins with; the time of reception where the two are far apart."""
    data = message.message
    if len(data) < 12:
        return message.log_ns
    seconds, nanoseconds = struct.unpack_from("<iI" if data[1] else ">iI", data, 4)
    stamp_ns = int(seconds) * 1_000_000_000 + int(nanoseconds)
    return stamp_ns if abs(stamp_ns - message.log_ns) < _CLOCKS_AGREE_NS else message.log_ns


class _Stills:
    """Gives every alert the picture nearest to it. Pictures come by time; two of them are held."""

    def __init__(self, bag: BagReader, stories: Sequence[AlertStory]) -> None:
        self._bag = bag
        self._wanted = sorted(stories, key=_seen_ns)
        self._times = [_seen_ns(story) for story in self._wanted]
        self._next = 0
        self._last: tuple[int, BagMessage] | None = None

    def add(self, at_ns: int, message: BagMessage) -> None:
        due = bisect_left(self._times, at_ns, self._next)
        for story, wanted_ns in zip(self._wanted[self._next : due], self._times[self._next : due], strict=True):
            is_nearer = self._last is not None and wanted_ns - self._last[0] <= at_ns - wanted_ns
            story.still = self._encoded(cast(tuple[int, BagMessage], self._last)[1] if is_nearer else message)
        self._next, self._last = max(due, self._next), (at_ns, message)

    def close(self) -> None:
        if self._last is not None and self._next < len(self._wanted):
            picture = self._encoded(self._last[1])
            for story in self._wanted[self._next :]:
                story.still = picture

    def _encoded(self, message: BagMessage) -> bytes:
        read = wire.compressed_image if message.type.endswith("CompressedImage") else wire.image
        decoded = deserialize(self._bag.typestore(message.type), message.type, message.message)
        return _shrunk(read(decoded, message.log_ns))


def _seen_ns(story: AlertStory) -> int:
    alert = story.first.alert
    return alert.observed_end_ns or alert.stamp_ns or story.first.at_ns


def iterate_gaps(shift: Shift) -> Iterator[tuple[str, int, int]]:
    """Yield what was not there, from when to when, by time."""
    named = [(one.name, *gap) for one in (shift.robot, shift.sight, shift.hearing) for gap in one.gaps]
    yield from sorted(named, key=lambda gap: gap[1])
