"""A duplex model made of parts: Silero VAD, a recogniser by name, an intent grammar and a policy."""

from tml_ros.duplex.cascade.config import CascadeConfig
from tml_ros.duplex.cascade.model import CascadeModel

__all__ = ["CascadeConfig", "CascadeModel"]
