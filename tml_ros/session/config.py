"""Every parameter of the interaction node and of an offline replay; a model's own come under the model's name."""

from dataclasses import dataclass, field

from tml_ros.config import param
from tml_ros.media.foreign_audio import AudioInputConfig
from tml_ros.safety.config import SafetyConfig
from tml_ros.speech.echo import EchoConfig
from tml_ros.windowing import WindowConfig

__all__ = ["DelegationConfig", "EngineConfig", "InteractionConfig", "SpeechConfig", "TimeConfig"]


@dataclass(frozen=True, slots=True)
class SpeechConfig:
    """How text becomes sound."""

    synthesiser: str = param(
        "flite",
        "Program that speaks: flite is the more intelligible here; piper is more natural and needs a voice file",
        choices=("flite", "espeak", "piper"),
    )
    voice: str = param(
        "", "Voice such as rms (flite) or de+f3 (espeak), path of the .onnx voice file (piper); empty: slt or en-us"
    )
    speed: float = param(1.0, "Speaking rate, 1 is the voice's own", minimum=0.5, maximum=2.0)
    lead_pieces: int = param(
        1,
        "Pieces of 200 ms sent ahead of the loudspeaker, so that it does not run dry between two micro-turns",
        unit="pieces",
        minimum=0,
        maximum=10,
    )
    resume_within_s: float = param(
        10.0,
        "Time after an interruption for nothing within which the rest is still said; later nobody remembers it",
        unit="s",
        minimum=0.0,
        maximum=600.0,
    )


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """How micro-turns are queued for the model and what gives way under overload."""

    queue_windows: int = param(
        50,
        "Micro-turns that may wait for the model; beyond it the oldest is given up and counted, the last resort",
        unit="micro-turns",
        minimum=2,
        maximum=3000,
    )
    drop_frames_depth: int = param(
        2, "Waiting micro-turns from which on pictures are left out", unit="micro-turns", minimum=1, maximum=3000
    )
    shorten_depth: int = param(
        5, "Waiting micro-turns from which on new replies are left out too", unit="micro-turns", minimum=1, maximum=3000
    )
    deadline_ms: int = param(
        200,
        "Compute beyond which a micro-turn counts as a missed deadline",
        unit="ms",
        minimum=10,
        maximum=2000,
    )


@dataclass(frozen=True, slots=True)
class DelegationConfig:
    """What is handed to the background model, and how its results come into the talk."""

    enabled: bool = param(True, "Hand what the model cannot answer itself to the background node")
    budget_s: float = param(
        30.0, "Time that the background model has for a task", unit="s", minimum=0.5, maximum=3600.0
    )
    max_open: int = param(3, "Tasks of one conversation at once; one more is refused in words", minimum=1, maximum=64)
    filler_after_s: float = param(
        2.0,
        "Silence of both sides after which the robot says that it is still at it; people leave after about three",
        unit="s",
        minimum=0.2,
        maximum=600.0,
    )
    filler_repeat_s: float = param(10.0, "Silence after which it says so again", unit="s", minimum=0.2, maximum=600.0)
    floor_free_ms: int = param(
        200,
        "Silence of the person from which the floor is free for a result",
        unit="ms",
        minimum=0,
        maximum=10_000,
    )
    result_ttl_s: float = param(
        120.0, "Time that a result waits for a free floor before it is dropped", unit="s", minimum=1.0, maximum=3600.0
    )
    change_window_s: float = param(
        10.0,
        "Time after an interruption within which a new request takes the place of the one that was interrupted",
        unit="s",
        minimum=0.0,
        maximum=120.0,
    )
    urgent_priority: int = param(
        200, "Priority of a task from which its result does not wait for the floor", minimum=0, maximum=255
    )
    max_spoken_chars: int = param(
        600, "Longest report that is spoken in full; a longer one ends after a sentence", minimum=40, maximum=20_000
    )
    max_context_chars: int = param(
        24_000, "Size of the conversation that goes with a task, newest first", minimum=1_000, maximum=200_000
    )
    max_images: int = param(4, "Pictures that go with a task", minimum=0, maximum=4)
    image_spacing_s: float = param(
        1.0, "Time between these pictures, the newest apart", unit="s", minimum=0.0, maximum=60.0
    )
    confirm_intents: bool = param(
        True, "Ask for confirmation of every intent that a result proposes, whatever the allow-list says of it"
    )
    robot: str = param("", "What the background model is told about the robot")
    lab: str = param("", "What the background model is told about the place")
    facts: tuple[str, ...] = param(
        ("",), "What it may take for granted, each as NAME=VALUE; plans check their preconditions against it"
    )


@dataclass(frozen=True, slots=True)
class TimeConfig:
    """Timers, processes that are timed, and counting."""

    history_file: str = param(
        "",
        "SQLite file in which running processes and how long earlier ones took survive a restart: names, times and "
        "durations, no words that were heard; empty: in memory only. A replay never writes it",
    )
    count_region: tuple[float, ...] = param(
        (0.0, 0.0, 1.0, 1.0),
        "Part of the picture in which is counted: left, top, right and bottom edge as shares of width and height",
        minimum=0.0,
        maximum=1.0,
    )


@dataclass(frozen=True, slots=True)
class InteractionConfig:
    """The whole configuration but the model's."""

    model: str = param("cascade", "Name of the duplex model, see `tml models`")
    seed: int = param(0, "Seed of everything random; the same bag and seed give the same answers", minimum=0)
    intents_file: str = param("config/intents.yaml", "Allow-list of intents: a path, or a file of this package")
    image_backend: str = param(
        "own",
        "Converter of raw images; cv_bridge only in a ROS installation",
        choices=("own", "cv_bridge"),
    )
    foxglove: bool = param(
        False,
        "Publish what is heard and said as foxglove_msgs/RawAudio on foxglove/heard and foxglove/said too, where that "
        "package is installed; off, because it sends everything that is said near the robot once more",
    )
    audio_input: AudioInputConfig = field(default_factory=AudioInputConfig)
    window: WindowConfig = field(default_factory=WindowConfig)
    echo: EchoConfig = field(default_factory=EchoConfig)
    speech: SpeechConfig = field(default_factory=SpeechConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    delegation: DelegationConfig = field(default_factory=DelegationConfig)
    safety: SafetyConfig = field(default_factory=SafetyConfig)
    time: TimeConfig = field(default_factory=TimeConfig)
