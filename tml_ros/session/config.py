"""Every parameter of the interaction node and of an offline replay; a model's own come under the model's name."""

from dataclasses import dataclass, field

from tml_ros.config import param
from tml_ros.windowing import WindowConfig

__all__ = ["EngineConfig", "InteractionConfig", "SpeechConfig"]


@dataclass(frozen=True, slots=True)
class SpeechConfig:
    """How text becomes sound."""

    synthesiser: str = param(
        "flite", "Program that speaks: flite is the more intelligible here", choices=("flite", "espeak-ng")
    )
    voice: str = param("slt", "Voice of the synthesiser; empty for its default")
    speed: float = param(1.0, "Speaking rate, 1 is the voice's own", minimum=0.5, maximum=2.0)
    lead_pieces: int = param(
        1,
        "Pieces of 200 ms sent ahead of the loudspeaker, so that it does not run dry between two micro-turns",
        unit="pieces",
        minimum=0,
        maximum=10,
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
    window: WindowConfig = field(default_factory=WindowConfig)
    speech: SpeechConfig = field(default_factory=SpeechConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
