"""Parameters of the microphone."""

from dataclasses import dataclass

from tml_ros.config import param
from tml_ros.media.pcm import MAX_CHANNELS, MAX_RATE_HZ

__all__ = ["MOST_OWN_CHANNELS", "CaptureConfig"]

MOST_OWN_CHANNELS = 16  # arrays have that many; a sound server's devices claim 32 to 128, and mix what one asks for


@dataclass(frozen=True, slots=True)
class CaptureConfig:
    """What is recorded, and how."""

    device: str = param(
        "",
        "Microphone: an index, a name or a part of one, as `python -m sounddevice` lists them; empty: the default. "
        "Where that lists a sound server as one device, PULSE_SOURCE in the environment picks the microphone",
    )
    rate_hz: int = param(
        16_000,
        "Sampling rate; 16000 is what models hear, and a sound server converts to it with less delay than windows do, "
        "37 ms from 48000. 0 takes what the device prefers, and so does a rate that it refuses",
        unit="Hz",
        minimum=0,
        maximum=MAX_RATE_HZ,
    )
    channels: int = param(
        0,
        "Channels to open; 0 takes all that the device has. Of one that claims more than "
        f"{MOST_OWN_CHANNELS}, which only sound servers do, it takes one",
        minimum=0,
        maximum=MAX_CHANNELS,
    )
    channel_map: tuple[int, ...] = param(
        (-1,),
        "Channels of an array to publish, counted from 0 and in this order; -1 alone publishes all",
        minimum=-1,
        maximum=MAX_CHANNELS - 1,
    )
    chunk_ms: int = param(
        20,
        "Length of a chunk. 20 adds a tenth of a micro-turn to the latency, at 50 messages a second",
        unit="ms",
        minimum=10,
        maximum=100,
    )
    frame_id: str = param("microphone", "Frame of the chunks")
    latency_ms: int = param(
        40,
        "What may be buffered on the way, so how long this computer may be busy without losing samples of a sound card "
        "of its own. PulseAudio itself loses none, and above 40 delivers in bursts that come later",
        unit="ms",
        minimum=0,
        maximum=1000,
    )
    stall_s: float = param(
        1.0,
        "Without a sample for this long the device counts as lost; sound servers pause for some 0.1 s when they move "
        "a stream",
        unit="s",
        minimum=0.3,
        maximum=60.0,
    )
    reopen_s: float = param(
        1.0, "How often a lost device is looked for; a look takes some 10 ms", unit="s", minimum=0.05, maximum=60.0
    )
    silent_dbfs: float = param(
        -80.0,
        "Level below which a microphone gives no sound: a real one has noise of -75 dBFS and more, a muted one zeros",
        unit="dBFS",
        minimum=-120.0,
        maximum=-20.0,
    )
    silent_s: float = param(
        10.0,
        "How long it must give none before that is said; longer than a noise gate stays shut in a conversation",
        unit="s",
        minimum=0.5,
        maximum=3600.0,
    )
