"""What every server needs: where it is, what opens it, and how long it is waited for."""

from dataclasses import dataclass

from tml_ros.config import param

__all__ = ["RemoteConfig"]


@dataclass(frozen=True, slots=True)
class RemoteConfig:
    """No address is configured by default, so that nothing leaves the machine unless somebody names where to."""

    url: str = param("", "Address of the server, ws:// or wss://; empty: none, and the model cannot be made")
    api_key_env: str = param(
        "", "NAME of the environment variable that holds the key, never the key itself; empty: no key"
    )
    connect_timeout_s: float = param(
        10.0, "Time until the server is ready for sound", unit="s", minimum=0.05, maximum=120.0
    )
    wait_ms: int = param(
        80,
        "Time that a micro-turn waits for what the server says to it; what comes later goes out with the next one",
        unit="ms",
        minimum=0,
        maximum=180,
    )
    pace: str = param(
        "auto",
        "Hold micro-turns back to the speed of life, for scenarios and bags that are played faster; auto: unless they "
        "are of this moment, as on a robot, whose microphone sets the pace",
        choices=("auto", "always", "never"),
    )
