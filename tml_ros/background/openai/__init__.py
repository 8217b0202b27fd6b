"""A background model behind any endpoint with the OpenAI chat completions interface, a local server included."""

from tml_ros.background.openai.config import OpenAIConfig
from tml_ros.background.openai.model import OpenAIModel

__all__ = ["OpenAIConfig", "OpenAIModel"]
