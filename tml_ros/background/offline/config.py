"""Parameters of the offline background model."""

from dataclasses import dataclass

from tml_ros.config import param

__all__ = ["OfflineConfig"]


@dataclass(frozen=True, slots=True)
class OfflineConfig:
    """When an answer from the documents is good enough, and how long it may be."""

    passages: int = param(10, "Passages of the documents that are weighed for an answer", minimum=1, maximum=100)
    min_score: float = param(
        0.3, "BM25 score below which a passage is no answer; raise it when answers are off", minimum=0.0, maximum=100.0
    )
    min_coverage: float = param(
        0.45,
        "Share of what a question asks for (its words, the rarer the heavier) that a passage must speak of",
        minimum=0.0,
        maximum=1.0,
    )
    max_sentences: int = param(3, "Sentences of an answer", minimum=1, maximum=10)
    max_characters: int = param(
        400, "Length of an answer; the first sentence is always said in full", minimum=40, maximum=4000
    )
