"""Talk over a robot many times, and find out from the recording what it did about it.

A plan mixes bids for the floor with sounds that are none; each comes at a random moment of the robot's speech, while it
is loud. What the robot did is read from the recording of both sides; messages only tell where the time went.
"""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

RATE_HZ = 48_000
AFTER_OTHER_S = 1.2  # a robot that has not stopped by then does not stop because of it
AFTER_BID_S = 0.9  # for the person's turn to end
PATIENCE_S = 2.0


@dataclass(frozen=True, slots=True)
class Event:
    """One sound over the robot's voice. number: of the clip in the room. at_s: system time."""

    clip: Any
    number: int
    at_s: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it. stop_s: from its first sample to the robot's silence, nan if that was none or not its end."""

    event: Event
    onset: int
    stop_s: float


def plan(bids: list, others: list, seed: int) -> list:
    """Mix both at random."""
    mixed = [*bids, *others]
    return [mixed[place] for place in np.random.default_rng(seed).permutation(len(mixed))]


def run(robot: Any, clips: list, is_bid: Any, seed: int) -> list[Event]:
    """Play every clip over the robot's speech."""
    rng = np.random.default_rng(seed)
    events = []
    for clip in clips:
        robot.talk()
        before_s = max(0.0, 0.7 - robot.spoken_for_s) + float(rng.uniform(0.1, 1.2))
        robot.graph.spin(before_s)
        robot.talk()
        number, at_s = robot.say(clip.sound)
        events.append(Event(clip, number, at_s))
        length_s = len(clip.sound) / RATE_HZ
        if is_bid(clip):
            _wait_for_silence(robot, length_s)
        else:
            robot.graph.spin(length_s + AFTER_OTHER_S)
    return events


def _wait_for_silence(robot: Any, length_s: float) -> None:
    began = time.monotonic()
    while robot.is_speaking and time.monotonic() - began < max(length_s, PATIENCE_S):
        robot.graph.spin(0.05)
    robot.graph.spin(max(0.0, length_s - (time.monotonic() - began)) + AFTER_BID_S)


def judge(
    events: list[Event], recording: Any, begun: dict[int, int], flushes_s: list[float], measure: Any
) -> list[Outcome]:
    """Find every clip in the microphone's recording and the robot's silence after it in the loudspeaker's.

    flushes_s: when the robot was told to stop, system time.
    """
    threshold = measure.threshold_dbfs(recording.loudspeaker, RATE_HZ)
    spoken = measure.segments(recording.loudspeaker, RATE_HZ, threshold)
    pieces = measure.segments(recording.loudspeaker, RATE_HZ, threshold, measure.TOLD_SILENCE_S)
    told_s = [at_s - recording.microphone_s + recording.shift / RATE_HZ for at_s in flushes_s]
    outcomes, offset = [], 0
    for event in events:
        onset = begun[event.number] + offset
        if event.clip.sound.any():
            place, fit = measure.find(event.clip.sound, recording.microphone, onset, RATE_HZ // 5)
            if fit > 0.3:
                onset, offset = place, place - begun[event.number]
        latency = measure.stop_latency(spoken, (onset + recording.shift) / RATE_HZ, pieces, told_s)
        outcomes.append(Outcome(event, onset, latency))
    return outcomes
