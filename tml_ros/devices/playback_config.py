"""Parameters of the loudspeaker."""

from dataclasses import dataclass, field

from tml_ros.config import param
from tml_ros.devices.mixer import MixerConfig
from tml_ros.media.pcm import MAX_CHANNELS, MAX_RATE_HZ

__all__ = ["PlaybackConfig"]


@dataclass(frozen=True, slots=True)
class PlaybackConfig:
    """Where speech is played, and how soon."""

    device: str = param(
        "", "Loudspeaker: an index, a name or a part of one, as `python -m sounddevice` lists them; empty: the default"
    )
    rate_hz: int = param(
        0,
        "Sampling rate; 0 takes what the device prefers, so that no driver has to convert",
        unit="Hz",
        minimum=0,
        maximum=MAX_RATE_HZ,
    )
    channels: int = param(
        0,
        "Channels to open, all of which play the same; 0 takes two, or one where the device has no more",
        minimum=0,
        maximum=MAX_CHANNELS,
    )
    block_ms: int = param(
        10,
        "Length of a block. A piece of speech and a command wait for the next one; 5 halves that for twice the load",
        unit="ms",
        minimum=2,
        maximum=20,
    )
    latency_ms: int = param(
        30,
        "What is buffered for the device, and how long this computer may be busy without a gap. Two busy programs "
        "beside it made none at 20; more delays every stop",
        unit="ms",
        minimum=0,
        maximum=500,
    )
    frame_id: str = param("loudspeaker", "Frame of the reference and of the reports")
    report_s: float = param(
        0.1, "Time between reports of an utterance that plays: two in a micro-turn", unit="s", minimum=0.02, maximum=0.1
    )
    stall_s: float = param(
        0.5,
        "Without a request for sound for this long the device counts as lost; sound servers pause for some 0.1 s when "
        "they move a stream",
        unit="s",
        minimum=0.3,
        maximum=60.0,
    )
    reopen_s: float = param(
        0.5, "How often a lost device is looked for; a look takes some 10 ms", unit="s", minimum=0.05, maximum=60.0
    )
    realtime_priority: int = param(
        5,
        "Real-time priority (SCHED_RR) of the node where the system allows it, sound servers' own by default; 0: none. "
        "Beside six busy programs on two cores a thread without it woke up to 50 ms late, whatever its nice, with it 4",
        minimum=0,
        maximum=50,
    )
    mix: MixerConfig = field(default_factory=MixerConfig)
