"""Parameters of the window assembler."""

from dataclasses import dataclass

from tml_ros.config import param

__all__ = ["WindowConfig"]


@dataclass(frozen=True, slots=True)
class WindowConfig:
    """How stamped inputs become micro-turns."""

    lateness_ms: int = param(
        20,
        "How long a window waits for data with older stamps; adds to the reply latency, and data later than this is "
        "dropped and counted. 20 covers a microphone on the same machine; a camera that takes longer wants more",
        unit="ms",
        minimum=0,
        maximum=2000,
    )
    max_frames: int = param(
        2, "Pictures handed to the model per micro-turn, spread evenly", unit="frames", minimum=0, maximum=16
    )
    drift_ms: int = param(
        40,
        "Largest difference between a chunk's stamp and the time its sample index gives; beyond it the stream is "
        "placed anew by its stamp. Below it stamps may jitter without effect",
        unit="ms",
        minimum=5,
        maximum=1000,
    )
    audio_patience_ms: int = param(
        500,
        "How far pictures may run ahead of the sound before windows close without waiting for sound any longer",
        unit="ms",
        minimum=100,
        maximum=10_000,
    )
    back_jump_s: float = param(
        2.0,
        "A stamp older than this is a clock jump (a bag that loops): a new session",
        unit="s",
        minimum=0.5,
        maximum=60.0,
    )
    max_gap_s: float = param(
        30.0, "A stamp further ahead than this is a clock jump: a new session", unit="s", minimum=1.0, maximum=3600.0
    )
    channel: int = param(-1, "Channel of the microphone to use, -1 mixes all", minimum=-1, maximum=63)
