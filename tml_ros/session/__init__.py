"""The conversation: floor, speech, intents and state around a duplex model, and the engine that runs it."""

from tml_ros.intents.allow_list import AllowList
from tml_ros.session.config import InteractionConfig
from tml_ros.session.engine import InferenceEngine, TurnRecords
from tml_ros.session.session import InteractionSession

__all__ = ["AllowList", "InferenceEngine", "InteractionConfig", "InteractionSession", "TurnRecords"]
