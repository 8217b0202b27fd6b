"""The records that flow through the system, as plain frozen dataclasses.

Time is always int nanoseconds; intervals are half-open [start, end). Nothing here knows ROS, a model or a file
format. Inputs come first, then the micro-turn, then what a model puts out, then what is published.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "APART_UTTERANCES",
    "MICRO_TURN_NS",
    "MICRO_TURN_SAMPLES",
    "SAMPLE_RATE_HZ",
    "AgentState",
    "AlertDraft",
    "AlertState",
    "AudioChunk",
    "CountDraft",
    "DelegationDraft",
    "DelegationEvent",
    "DelegationPhase",
    "Floor",
    "Frame",
    "IntentDraft",
    "IntentProposal",
    "MicroTurn",
    "MicroTurnOutput",
    "PlaybackReport",
    "PlaybackState",
    "Region",
    "SafetyAlert",
    "SessionState",
    "SpeechCommand",
    "SpeechControl",
    "SpeechKind",
    "SpeechPiece",
    "SpeechText",
    "StampedImage",
    "TextInput",
    "TextSource",
    "TimeAction",
    "TimeRequest",
    "TimerDraft",
    "TranscriptEvent",
    "TurnMetrics",
    "UserState",
]

SAMPLE_RATE_HZ = 16_000
MICRO_TURN_NS = 200_000_000
MICRO_TURN_SAMPLES = 3_200
APART_UTTERANCES = 1 << 32
"""Utterances from this number on are no part of a conversation, such as the alerts of the watchers: they neither begin
a session nor end with one."""


# ---------------------------------------------------------------------------------------------------------- inputs


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """A piece of interleaved PCM as a device delivered it.

    stamp_ns: time of the first sample. first_sample: index of that sample (per channel) since stream_id began.
    encoding: ``S16LE`` or ``F32LE``. data: interleaved bytes, len = samples * channels * sample width.
    """

    stamp_ns: int
    stream_id: str
    first_sample: int
    rate_hz: int
    channels: int
    encoding: str
    data: bytes | memoryview
    frame_id: str = ""


@dataclass(frozen=True, slots=True)
class StampedImage:
    """An image as it was received, not decoded yet.

    encoding: a sensor_msgs/Image encoding (``rgb8``, ``bayer_rggb8``, ``16UC1`` ...), or ``compressed`` for a JPEG or
    PNG stream, for which width, height and step are 0. step: bytes in a row, padding included.
    """

    stamp_ns: int
    encoding: str
    data: bytes | memoryview
    width: int = 0
    height: int = 0
    step: int = 0
    is_bigendian: bool = False
    frame_id: str = ""


class TextSource(StrEnum):
    """Where a text that enters a micro-turn came from."""

    USER = "user"
    BACKGROUND = "background"
    TIMER = "timer"
    CUE = "cue"


@dataclass(frozen=True, slots=True)
class TextInput:
    """A line of text that enters the micro-turn in which its stamp lies."""

    stamp_ns: int
    text: str
    source: TextSource = TextSource.USER


class PlaybackState(IntEnum):
    """What the loudspeaker does; the values are those of tml_interfaces/PlaybackStatus."""

    IDLE = 0
    PLAYING = 1
    PAUSED = 2
    FLUSHED = 3
    FINISHED = 4


@dataclass(frozen=True, slots=True)
class PlaybackReport:
    """How much of an utterance the loudspeaker has really played, at device output time."""

    stamp_ns: int
    utterance_id: int
    state: PlaybackState
    samples_played: int


# ------------------------------------------------------------------------------------------------------ micro-turn


@dataclass(frozen=True, slots=True)
class Frame:
    """A decoded picture. rgb: [H, W, 3] uint8."""

    stamp_ns: int
    rgb: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class MicroTurn:
    """200 ms of what was heard and seen.

    audio: [3200] float32 at 16 kHz, zero where nothing was received. audio_valid: share of samples really received.
    reference: what the loudspeaker played, in step with audio, or None when no reference stream covers the window.
    frames: at most ``window.max_frames``, by stamp. playback: the newest report before end_ns, or None.
    """

    index: int
    start_ns: int
    end_ns: int
    audio: NDArray[np.float32]
    audio_valid: float
    reference: NDArray[np.float32] | None = None
    frames: tuple[Frame, ...] = ()
    texts: tuple[TextInput, ...] = ()
    playback: PlaybackReport | None = None

    @property
    def is_playing(self) -> bool:
        """Whether the loudspeaker plays, as far as it has told."""
        return self.playback is not None and self.playback.state is PlaybackState.PLAYING


# ---------------------------------------------------------------------------------------------------- model output


class Floor(StrEnum):
    """Who the model wants to hold the floor in this micro-turn."""

    LISTEN = "listen"
    HOLD = "hold"
    SPEAK = "speak"
    BACKCHANNEL = "backchannel"
    YIELD = "yield"


class SpeechKind(IntEnum):
    """Why the robot speaks; the values are those of tml_interfaces/SpeechChunk."""

    REPLY = 0
    BACKCHANNEL = 1
    FILLER = 2
    ALERT = 3
    BACKGROUND = 4
    CORRECTION = 5


@dataclass(frozen=True, slots=True)
class SpeechText:
    """Words to be spoken. A model may deliver an utterance in several deltas of whole words; ``last`` ends it."""

    text: str
    kind: SpeechKind = SpeechKind.REPLY
    last: bool = True
    priority: int = 128
    interruptible: bool = True
    revises: int = 0


@dataclass(frozen=True, slots=True)
class IntentDraft:
    """An action that the model suggests, not checked yet. data: JSON roles. modality as in ROS4HRI's Intent."""

    intent: str
    data: Mapping[str, Any]
    confidence: float = 1.0
    source: str = "__unknown_agent__"
    modality: str = "speech"
    priority: int = 128


@dataclass(frozen=True, slots=True)
class DelegationDraft:
    """A task for the background model. replaces: the person asks for this instead of what was asked for last."""

    task: str
    priority: int = 128
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class TimerDraft:
    """A wish to be told something later. repeat_s 0: once."""

    text: str
    after_s: float
    repeat_s: float = 0.0


class TimeAction(StrEnum):
    """What the session is asked to do with time."""

    REMIND = "remind"
    CANCEL = "cancel"
    LEFT = "left"
    START = "start"
    STOP = "stop"
    ELAPSED = "elapsed"
    LAST = "last"
    USUAL = "usual"
    WATCH = "watch"
    SINCE_SAID = "since_said"
    COUNT = "count"
    COUNTED = "counted"
    STOP_COUNTING = "stop_counting"
    HUSH = "hush"


@dataclass(frozen=True, slots=True)
class TimeRequest:
    """Something for the session's clock: a reminder, a process that is timed, a question, something to be counted.

    name: what it is about, such as ``incubation``; empty: the newest. at_ns: when it was asked for. span_s: how long.
    text: what a reminder says. repeats: again and again. until_stop: until somebody says stop. than: WATCH for longer
    than ``last`` or ``usual``, empty: than span_s. otherwise: a task for the background model if nothing of that name
    is known.
    """

    action: TimeAction
    name: str = ""
    at_ns: int = 0
    span_s: float = 0.0
    text: str = ""
    repeats: bool = False
    until_stop: bool = False
    than: str = ""
    otherwise: str = ""


@dataclass(frozen=True, slots=True)
class CountDraft:
    """How often something was seen or heard so far. what: such as ``push ups``."""

    what: str
    count: int


class AlertState(IntEnum):
    """Life of an advisory alert; the values are those of tml_interfaces/SafetyAlert."""

    RAISED = 0
    UPDATED = 1
    CLEARED = 2
    ACKNOWLEDGED = 3


@dataclass(frozen=True, slots=True)
class AlertDraft:
    """Something that a person should know now. Advisory, never a safety function."""

    rule: str
    description: str
    severity: int = 1
    category: str = ""
    state: AlertState = AlertState.RAISED
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class TranscriptEvent:
    """Words that were heard or said. A partial (final False) replaces the partial before it."""

    speaker: str
    text: str
    final: bool
    confidence: float
    start_ns: int
    end_ns: int


class UserState(IntEnum):
    """What the person does, as far as the model knows; the values are those of tml_interfaces/SessionState."""

    UNKNOWN = 0
    SILENT = 1
    SPEAKING = 2
    PAUSING = 3


@dataclass(frozen=True, slots=True)
class MicroTurnOutput:
    """What a model puts out for one micro-turn. audio: [N] float32 at 16 kHz, or None to have the text synthesised.

    floor HOLD while the robot speaks: somebody else makes a sound, and whether he wants the floor shows soon. hushes:
    he probably does, so the robot stops in the middle of the word, and goes on there if HOLD ends. resumes: the robot
    was interrupted for nothing, or cuts in on itself with what is due, and says the rest. withdraws: what was delegated
    is no longer wanted. times: what the session shall do with time and answer by itself.
    """

    floor: Floor = Floor.LISTEN
    user_state: UserState = UserState.UNKNOWN
    speech: tuple[SpeechText, ...] = ()
    audio: NDArray[np.float32] | None = None
    hushes: bool = False
    resumes: bool = False
    intents: tuple[IntentDraft, ...] = ()
    delegations: tuple[DelegationDraft, ...] = ()
    withdraws: bool = False
    timers: tuple[TimerDraft, ...] = ()
    times: tuple[TimeRequest, ...] = ()
    counts: tuple[CountDraft, ...] = ()
    alerts: tuple[AlertDraft, ...] = ()
    transcripts: tuple[TranscriptEvent, ...] = ()


# ------------------------------------------------------------------------------------------------------- published


@dataclass(frozen=True, slots=True)
class SpeechPiece:
    """A piece of an utterance on its way to the loudspeaker. audio: [N] float32 at 16 kHz, N may be 0.

    stamp_ns: the earliest time at which the first sample can leave the loudspeaker (the end of the micro-turn, plus
    what the pieces before it still take).
    """

    stamp_ns: int
    session_id: str
    window_seq: int
    utterance_id: int
    seq: int
    kind: SpeechKind
    text: str
    audio: NDArray[np.float32]
    first_sample: int = 0
    priority: int = 128
    interruptible: bool = True
    last: bool = False
    revises: int = 0


class SpeechCommand(IntEnum):
    """What the speech player shall do; the values are those of tml_interfaces/SpeechControl."""

    FLUSH = 0
    PAUSE = 1
    RESUME = 2
    DUCK = 3


@dataclass(frozen=True, slots=True)
class SpeechControl:
    """A command to the speech player. utterance_id 0: all."""

    stamp_ns: int
    utterance_id: int
    command: SpeechCommand


@dataclass(frozen=True, slots=True)
class IntentProposal:
    """An intent that passed the allow-list. A proposal, never a command to an actuator.

    A later one with the same ``intent_id`` takes its place; ``expires_ns`` not after ``stamp_ns`` withdraws it.
    """

    stamp_ns: int
    intent_id: str
    session_id: str
    window_seq: int
    expires_ns: int
    requires_confirmation: bool
    intent: str
    data: str
    source: str
    modality: str
    priority: int
    confidence: float

    @property
    def is_withdrawn(self) -> bool:
        """Whether this takes an earlier proposal back."""
        return self.expires_ns <= self.stamp_ns


@dataclass(frozen=True, slots=True)
class Region:
    """A box in a picture, in pixels of it. x, y: its upper left corner."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class SafetyAlert:
    """An advisory alert as it is published.

    regions: where it was seen, in pixels of the picture as the camera gave it. evidence: that picture as JPEG, empty
    unless sharing is switched on.
    """

    stamp_ns: int
    alert_id: str
    state: AlertState
    severity: int
    rule: str
    category: str
    description: str
    confidence: float
    observed_start_ns: int
    observed_end_ns: int
    recommended_action: str = ""
    regions: tuple[Region, ...] = ()
    evidence: bytes = b""


class DelegationPhase(IntEnum):
    """What happens to a delegated task; the values are those of tml_interfaces/DelegationEvent."""

    REQUESTED = 0
    PROGRESS = 1
    PARTIAL = 2
    ENDED = 3
    WITHDRAWN = 4


@dataclass(frozen=True, slots=True)
class DelegationEvent:
    """Something that happened to a delegated task. text: may be spoken. outcome: as in the action Delegate."""

    stamp_ns: int
    session_id: str
    window_seq: int
    delegation_id: str
    event: DelegationPhase
    task: str = ""
    stage: str = ""
    text: str = ""
    outcome: int = 0
    result_json: str = ""


class AgentState(IntEnum):
    """What the robot does; the values are those of tml_interfaces/SessionState."""

    IDLE = 0
    LISTENING = 1
    THINKING = 2
    SPEAKING = 3


@dataclass(frozen=True, slots=True)
class SessionState:
    """A change of the conversation's state."""

    stamp_ns: int
    session_id: str
    agent_state: AgentState
    user_state: UserState
    floor: Floor
    overlap: bool
    agent_since_ns: int
    user_since_ns: int
    window_seq: int
    active_delegations: tuple[str, ...] = ()
    mic_muted: bool = False
    degraded: bool = False


@dataclass(frozen=True, slots=True)
class TurnMetrics:
    """Health of one micro-turn. The fields under `wall clock` are left out of every digest.

    erle_db, echo_delay_sec: how much quieter the robot's echo is for the model than at the microphone, and how long
    after audio/reference it comes; 0 as long as there is none.
    """

    stamp_ns: int
    session_id: str
    window_seq: int
    window_sec: float
    frames: int
    missing_samples: int
    late_messages: int
    av_skew_sec: float
    counters: Mapping[str, int] = field(default_factory=dict)
    erle_db: float = 0.0
    echo_delay_sec: float = 0.0
    # wall clock
    ingest_age_sec: float = 0.0
    inference_sec: float = 0.0
    queue_depth: int = 0
    deadline_missed: bool = False
