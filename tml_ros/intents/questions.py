"""Tell questions and wishes that no rule of the grammar covers from other talk. It knows words only."""

import re

__all__ = ["is_question"]

_SHORTEST_QUESTION = 4  # words; shorter ones are too often something else that was misheard
_VERBS = "is|are|was|were|do|does|did|can|could|should|would|will|has|have"
_QUESTION = re.compile(
    rf"(what|which) ({_VERBS}|time|kind|happens|happened) |(where|when|why|who) ({_VERBS}) "
    rf"|how ({_VERBS}|much|many|long|far|often|old|big|hot|heavy) "
    r"|(can|could) you tell me |do you know |remind me (to|every|that) "
)


def is_question(text: str) -> bool:
    """Whether words ask for something, ``Grammar.request`` having taken off what stands around them."""
    words = text.split()
    return len(words) >= _SHORTEST_QUESTION and _QUESTION.match(" ".join(words)) is not None
