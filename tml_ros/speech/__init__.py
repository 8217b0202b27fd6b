"""Speech output: turning text into sound and getting it to the loudspeaker."""

from tml_ros.speech.synthesis import (
    CachedSynthesiser,
    EspeakSynthesiser,
    FliteSynthesiser,
    PiperSynthesiser,
    Synthesiser,
    create_synthesiser,
    split_clauses,
    split_sentences,
)

__all__ = [
    "CachedSynthesiser",
    "EspeakSynthesiser",
    "FliteSynthesiser",
    "PiperSynthesiser",
    "Synthesiser",
    "create_synthesiser",
    "split_clauses",
    "split_sentences",
]
