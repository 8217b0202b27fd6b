"""Duplex models: the protocol, the registry and the models that come with the package."""

from tml_ros.duplex.protocol import DuplexModel, DuplexStream, SessionInfo
from tml_ros.duplex.registry import available_models, create_model

__all__ = ["DuplexModel", "DuplexStream", "SessionInfo", "available_models", "create_model"]
