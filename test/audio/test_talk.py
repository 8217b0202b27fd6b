"""A robot that talks, in a room where its voice comes back into its microphone, and people who talk over it.

One run of all four nodes through a sound server: the robot alone, a person who speaks over it, sounds at random moments
of its speech, and on until the time is up. Every figure is read from the recording of both sides.
"""

import contextlib
import gc
import itertools
import os
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: run `make setup`")

from tml_interfaces.msg import SpeechControl

RATE_HZ = 48_000
COMMON_HZ = 16_000
SEED = 0
WHOLE = 30  # trials from which on a run is held to the project's marks; a short one only shows that nothing broke
FULL_AGAIN_S = 0.3  # a loudspeaker after a gap
UNTOLD_S = 0.002  # of a gap: what speech_player leaves to its clock
UNFIT = 0.005  # of the processor taken away: twenty gaps in a short talk, after each of which it may hear itself
LONGEST_STOP_S = 2.5  # a robot that has not stopped by then did not


@pytest.fixture(scope="module")
def talk(server, graph, audio, amount, request):
    """Everything that happened; each test reads a part of it."""
    clips, trials, robot_module = audio("clips"), audio("trials"), audio("robot")
    told = SimpleNamespace(measure=audio("measure"), trials=trials, seconds=robot_module.seconds)
    number = int(amount("TRIALS", 6))
    speech = request.config.rootpath.parent / "shared" / "data" / "speech"
    told.is_whole = number >= WHOLE
    told.bids = clips.bids(number, speech if speech.is_dir() else None, SEED)
    sounds = trials.plan(told.bids, clips.others(int(amount("OTHERS", 2 * number)), SEED), SEED)
    voices = (0, 2, 4) if told.is_whole else (0,)
    told.robot = robot = robot_module.Robot(graph, server, audio("room").Room)
    began = time.time()
    gc.disable()  # looking through half an hour of messages takes a core for up to 0.8 s, and a block may be late then
    with contextlib.ExitStack() as stack:
        stack.callback(gc.enable)
        watch = stack.enter_context(audio("standstill").Watch())
        stack.callback(lambda: print(robot.log_texts()))
        stack.callback(robot.room.kill)
        told.alone = _alone(robot, 60.0 * amount("MINUTES", 0.4))
        told.commands = [_command(robot, clips.spoken("go forward ten meters", voice)) for voice in voices]
        told.events = trials.run(robot, sounds, lambda clip: any(clip is bid for bid in told.bids), SEED)
        while time.time() - began < 3600.0 * amount("HOURS", 0.0):
            robot.talk()
            graph.spin(1.0)
        told.recording = robot.room.end()
        told.standstills, taken = watch.spans(), watch.taken_away()
        told.is_held = told.is_whole or taken <= UNFIT
        print(f"the machine took {taken:.1%} of the processor away" + "; no mark is held" * (not told.is_held))
        if os.environ.get("KEEP"):
            _keep(Path(os.environ["KEEP"]), told)
        control = robot.received["speech/control"]
        flushes_s = [at_s for at_s, message in control if message.command == SpeechControl.FLUSH]
        told.outcomes = trials.judge(told.events, told.recording, robot.room.begun, flushes_s, told.measure)
        yield told


def _keep(folder: Path, talk) -> None:
    """Write both sides of the room as one sound, and all that was published as a bag for `tml replay` (KEEP=folder)."""
    import soundfile
    from rclpy.serialization import serialize_message

    from tml_ros.bags.writer import BagWriter

    folder.mkdir(parents=True, exist_ok=True)
    recording = talk.recording
    loudspeaker = np.roll(recording.loudspeaker, -recording.shift)
    size = min(len(loudspeaker), len(recording.microphone))
    soundfile.write(folder / "room.flac", np.stack([recording.microphone[:size], loudspeaker[:size]], 1), RATE_HZ)
    everything = [(at_s, topic, m) for topic, received in talk.robot.received.items() for at_s, m in received]
    with BagWriter(folder / "talk") as bag:
        for at_s, topic, message in sorted(everything, key=lambda one: one[0]):
            kind = f"{type(message).__module__.split('.')[0]}/msg/{type(message).__name__}"
            bag.write_raw(f"/tml/{topic}", kind, serialize_message(message), round(at_s * 1e9))


def _alone(robot, seconds: float) -> tuple[float, float, int]:
    """Let the robot talk while nobody else does; return begin, end and how often it was asked to."""
    robot.talk()
    began, asked = time.time(), 1
    while time.time() - began < seconds:
        asked += not robot.is_speaking
        robot.talk()
        robot.graph.spin(0.2)
    return began, time.time(), asked


def _command(robot, command) -> tuple[float, float]:
    """Speak a command over the robot's voice; return begin and end of that."""
    robot.talk()
    robot.graph.spin(1.0)
    _, began = robot.say(command)
    with contextlib.suppress(AssertionError):
        robot.graph.wait(
            lambda: bool(robot.received["action_intent"].between(began, time.time())), "the proposal", timeout_s=6.0
        )
    robot.graph.spin(1.0)
    return began, time.time()


def _most(talk, whole: float, short: float) -> float:
    """Return a mark: the project's for a whole run, whatever the machine; for a short one, if the machine is fit."""
    mark = whole if talk.is_whole else short
    return mark if talk.is_held else float("inf")


def _is_bid(talk, outcome) -> bool:
    return any(outcome.event.clip is bid for bid in talk.bids)


# ------------------------------------------------------------------------------------------ its own voice, a person's


def test_robot_neither_answers_nor_interrupts_itself_when_nobody_else_talks(talk):
    begin_s, end_s, asked = talk.alone
    received = talk.robot.received
    commands = [m.command for m in received["speech/control"].between(begin_s, end_s)]
    words = [m for m in received["transcript"].between(begin_s, end_s) if m.speaker == "user"]
    intents = [m.intent for m in received["action_intent"].between(begin_s, end_s)]
    spoken = talk.measure.segments(talk.recording.loudspeaker, RATE_HZ)
    offset_s = talk.recording.microphone_s - talk.recording.shift / RATE_HZ
    inside = [(max(b + offset_s, begin_s), min(e + offset_s, end_s)) for b, e in spoken]
    loud_s = sum(max(0.0, end - begin) for begin, end in inside)
    print(
        f"alone: {end_s - begin_s:.0f} s, {loud_s:.0f} s of them speech, asked to talk {asked} times; flushed "
        f"{commands.count(SpeechControl.FLUSH)}, ducked {commands.count(SpeechControl.DUCK)} times; heard "
        f"{[m.text for m in words if m.final]}; intents {intents}"
    )
    # A loudspeaker that skips on a shared machine moves the echo, and the robot may hear itself for a few seconds: in a
    # short run that is no sign of anything else. Without a canceller it hears itself all the time.
    most = _most(talk, 0, 3)
    assert commands.count(SpeechControl.FLUSH) <= most
    assert len(intents) <= most
    assert len([m.text for m in words if m.final]) <= most
    assert loud_s >= (0.85 if talk.is_whole else 0.6) * (end_s - begin_s)


def test_person_is_heard_when_he_speaks_over_the_robot(talk):
    proposed = 0
    for begin_s, end_s in talk.commands:
        intents = [m.intent for m in talk.robot.received["action_intent"].between(begin_s, end_s)]
        words = [m.text for m in talk.robot.received["transcript"].between(begin_s, end_s) if m.speaker == "user"]
        commands = [m.command for m in talk.robot.received["speech/control"].between(begin_s, end_s)]
        print(f"over it: 'go forward ten meters' was heard as {words[-1:]}, intents {intents}")
        assert (words and SpeechControl.FLUSH in commands) or not talk.is_held
        assert len(intents) <= 1
        proposed += intents == ["__intent_move_by__"]
    # Half of such commands are understood over a robot (docs/lab_notes.md), in these voices nearly all.
    assert proposed >= 2 or not talk.is_whole


# ------------------------------------------------------------------------------------------------------- interruptions


def test_robot_stops_soon_when_a_person_takes_the_floor(talk):
    every = [outcome for outcome in talk.outcomes if _is_bid(talk, outcome)]
    bids = [outcome for outcome in every if not np.isnan(outcome.stop_s)]
    latencies = [outcome.stop_s if outcome.stop_s < LONGEST_STOP_S else float("nan") for outcome in bids]
    median_s, p95_s = talk.measure.median_and_p95(latencies)
    slow = sum(not latency_s <= 0.7 for latency_s in latencies)
    for outcome in bids:
        print(f"  {outcome.stop_s:5.2f} s {outcome.event.clip.kind} {outcome.event.clip.name}")
    number = f"{len(bids)} of {len(every)}"
    print(f"stop latency: median {median_s:.2f} s, p95 {p95_s:.2f} s over {number}; {_budget(talk, bids)}")
    assert len(bids) >= (0.8 if talk.is_whole else 0.5) * len(
        every
    )  # the others came just when the robot had said everything
    assert median_s <= _most(talk, 0.45, 1.0)
    assert slow <= 0.05 * len(bids) or not talk.is_whole


def test_robot_goes_on_when_a_sound_takes_no_floor(talk):
    others = [outcome for outcome in talk.outcomes if not _is_bid(talk, outcome)]
    ends = [o for o in others if o.stop_s <= len(o.event.clip.sound) / RATE_HZ + talk.trials.AFTER_OTHER_S]
    stops = [outcome for outcome in ends if _flushes(talk, outcome)]
    void = len(ends) - len(stops) + sum(np.isnan(outcome.stop_s) for outcome in others)
    names = [f"{outcome.event.clip.name} after {outcome.stop_s:.2f} s" for outcome in stops]
    print(f"false stops: {len(stops)} of {len(others)} {names}; {void} came when the robot ended by itself")
    assert len(stops) <= _most(talk, 0.05, 0.25) * len(others)
    assert void <= max(2, 0.1 * len(others))


def _flushes(talk, outcome) -> list[tuple[float, float]]:
    """Return of every FLUSH between a sound's onset and the robot's silence when it came and its stamp."""
    onset_s = talk.recording.microphone_s + outcome.onset / RATE_HZ
    return [
        (at_s - onset_s, talk.seconds(m.header.stamp) - onset_s)
        for at_s, m in talk.robot.received["speech/control"]
        if m.command == SpeechControl.FLUSH and 0.0 < at_s - onset_s < outcome.stop_s + 0.1
    ]


def _budget(talk, outcomes) -> str:
    """Say where the time goes, medians in ms."""
    parts = []
    for outcome in outcomes:
        onset_s = talk.recording.microphone_s + outcome.onset / RATE_HZ
        chunk_s = next((at for at, m in talk.robot.received["audio/in"] if talk.seconds(m.header.stamp) > onset_s), 0.0)
        for came_s, decided_s in _flushes(talk, outcome)[:1]:
            parts.append((chunk_s - onset_s, decided_s, came_s - decided_s, outcome.stop_s - came_s))
    if not parts:
        return "no FLUSH was seen"
    chunk, heard, decided, silent = np.median(np.array(parts), axis=0) * 1e3
    return (
        f"medians in ms: next chunk is there {chunk:.0f}, end of the window that decides {heard:.0f}, FLUSH after that "
        f"{decided:.0f}, silence after FLUSH {silent:.0f}"
    )


# ------------------------------------------------------------------------------------------- every sample, and in time


def _stream(messages) -> tuple[np.ndarray, float, int]:
    """Return the samples of a topic in their places, when the first was due by its stamp, and the rate."""
    first, last = messages[0], messages[-1]
    kind = "<i2" if first.encoding == "S16LE" else "<f4"
    pieces = [
        (m.first_sample - first.first_sample, np.frombuffer(bytes(m.data), kind)[:: m.channels]) for m in messages
    ]
    sound = np.zeros(last.first_sample - first.first_sample + len(pieces[-1][1]), kind)
    for place, piece in pieces:
        sound[place : place + len(piece)] = piece
    return sound, first.header.stamp.sec + first.header.stamp.nanosec / 1e9, first.sample_rate


def _resampled(sound: np.ndarray, rate_hz: int) -> np.ndarray:
    import soxr

    sound = sound / np.float32(32_768.0) if sound.dtype == np.int16 else sound
    return soxr.resample(sound.astype(np.float32), rate_hz, COMMON_HZ)


@pytest.mark.parametrize(("topic", "side"), [("audio/in", "microphone"), ("audio/reference", "loudspeaker")])
def test_no_sample_is_lost_when_a_topic_is_compared_with_what_was_there(talk, topic, side):
    messages = talk.robot.received[topic].messages
    gaps = [
        talk.seconds(b.header.stamp)
        for a, b in itertools.pairwise(messages)
        if b.first_sample - a.first_sample != len(a.data) // (2 if a.encoding == "S16LE" else 4) // a.channels
    ]
    # A core that was not run did nothing for sound; what the device says of it comes in two parts.
    excused = [gap for gap in gaps if any(0.0 < gap - begin < FULL_AGAIN_S for begin, _ in talk.standstills)]
    longest_ms = max((end - begin for begin, end in talk.standstills), default=0.0) * 1e3
    sound, began_s, rate_hz = _stream(messages)
    truth_s = talk.recording.microphone_s - (talk.recording.shift / RATE_HZ if side == "loudspeaker" else 0.0)
    truth = _resampled(np.asarray(getattr(talk.recording, side)), RATE_HZ)
    lag = round((truth_s - began_s) * COMMON_HZ)
    found = talk.measure.slips(truth, _resampled(sound, rate_hz), lag, COMMON_HZ // 2, COMMON_HZ // 10)
    error_ms = (np.median(found.lags) - lag) / COMMON_HZ * 1e3
    ppm, _ = talk.measure.slope(np.arange(len(found.lags)) * 0.5 * COMMON_HZ, found.lags)
    print(
        f"{topic}: {len(sound) / rate_hz:.0f} s at {rate_hz} Hz, {len({m.stream_id for m in messages})} stream, "
        f"{len(gaps)} gaps, {len(excused)} of them as a core stood still (in all {len(talk.standstills)} times, "
        f"{longest_ms:.0f} ms at most); {found.lost} samples lost or added, "
        f"stamps {error_ms:+.1f} ms from the device's time, drift {ppm * 1e6:.1f} ppm, worst fit {found.worst:.2f}"
    )
    assert len({m.stream_id for m in messages}) == 1
    if topic == "audio/in" or talk.is_whole:
        assert gaps == excused
        assert found.lost <= len(excused) * UNTOLD_S * COMMON_HZ
    else:  # a loudspeaker needs the processor every 10 ms, which a machine that is shared does not promise
        assert len(gaps) <= len(excused) + _most(talk, 0, 5)
        assert found.lost <= _most(talk, 0, 0.01) * len(sound)


def test_nothing_grows_older_when_time_goes_by(talk):
    for topic in ("audio/in", "audio/reference"):
        received = [(at_s, m) for at_s, m in talk.robot.received[topic] if at_s > talk.alone[0]]
        stamps = np.array([talk.seconds(m.header.stamp) for _, m in received])
        ages = np.array([at_s for at_s, _ in received]) - stamps
        early, late = (np.median(part) for part in (ages[: len(ages) // 4], ages[-len(ages) // 4 :]))
        seconds = stamps - stamps[0]
        rate, error = talk.measure.slope(seconds, ages)
        # Both devices run on this computer's clock, so a stamp is where its position says, and stays there.
        positions = np.array([m.first_sample / m.sample_rate for _, m in received])
        off = stamps - positions
        drifted = np.median(off[-len(off) // 4 :]) - np.median(off[: len(off) // 4])
        print(
            f"{topic}: age {np.median(ages) * 1e3:.1f} ms (p99 {np.percentile(ages, 99) * 1e3:.1f}), from "
            f"{early * 1e3:.1f} to {late * 1e3:.1f} ms over {seconds[-1]:.0f} s, slope {rate * 1e6:.1f} +- "
            f"{error * 1e6:.1f} ppm; stamps drifted {drifted * 1e3:+.2f} ms, {np.ptp(off) * 1e3:.2f} at most"
        )
        # In half an hour a clock that is off by 6 ppm makes more than 10 ms; the first seconds settle within 20.
        assert abs(drifted) <= _most(talk, 0.01, 0.02)
        # A server hands over what it has sooner, or later, by a part of its fragment of 25 ms, and keeps to that.
        parts = np.array([np.median(part) for part in np.array_split(ages, max(2, round(seconds[-1] / 10)))])
        assert abs(late - early) <= _most(talk, 0.03, 0.03)
        assert np.ptp(parts) <= _most(talk, 0.04, 0.04)
