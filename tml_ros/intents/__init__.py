"""The intents file: how a request is worded, what it means, and which actions a robot may propose."""

from tml_ros.intents.allow_list import AllowList, Rejection
from tml_ros.intents.file import IntentsFile, IntentSpec, load_intents
from tml_ros.intents.grammar import Grammar, Meaning

__all__ = ["AllowList", "Grammar", "IntentSpec", "IntentsFile", "Meaning", "Rejection", "load_intents"]
