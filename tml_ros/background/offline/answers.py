"""Answers from documents: the sentences of the passage that say most of what was asked, and where they stand.

Nothing is made up: an answer is a quotation. When too little of a question is found, there is no answer. A question for
a place prefers sentences that name one (``X is next to Y``), a question for what to do prefers numbered steps and gets
a short passage in full: half an instruction can be worse than none.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import PurePosixPath

from tml_ros.background.documents import DocumentIndex, Passage
from tml_ros.background.offline.config import OfflineConfig
from tml_ros.background.protocol import Result

__all__ = ["answer_result"]

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"(])")
_STEP = re.compile(r"[0-9]{1,3}\. ")
_ASKS_WHERE = re.compile(r"\bwhere(?:'?s)?\b")
_ASKS_HOW = re.compile(
    r"\bhow (?:do|can|should|to|does|must)\b|\bwhat (?:do|should|must|shall|can) (?:i|we) do\b|\bwhat to do\b"
)
_ASKS = re.compile(
    r"\b(?:what|when|who|which|why|how)\b|"
    r"^\W*(?:is|are|was|were|can|could|may|must|should|shall|do|does|did|has|have|will|would)\b"
)
_NAMES_PLACE = re.compile(
    r"(?P<what>.{1,120}?)\b(?:is|are|hangs?|stands?|lies?)(?: (?:also|all|both|found|just|kept|located|stored))* "
    r"(?:above|at|behind|below|beside|between|by|in|inside|near|next to|on|opposite|to the|under)\b"
)
_HEADING_SHARE = 0.3
"""What a sentence is credited for a word that its heading has already: the others in the section have it, too."""
_ALSO = 0.6
"""A sentence after the best one is said, too, when it fits at least this well compared with it."""
_KIND_BONUS = 2.0
"""How much more a passage of the kind that was asked for (a place, steps) is worth."""


@dataclass(frozen=True, slots=True)
class _Sentence:
    text: str
    is_step: bool


@dataclass(frozen=True, slots=True)
class _Question:
    """terms: see ``DocumentIndex.query_terms``."""

    terms: tuple[str, ...]
    asks_where: bool
    asks_how: bool


def answer_result(text: str, index: DocumentIndex, config: OfflineConfig) -> Result | None:
    """Return the best answer of the documents, None when they have none."""
    words = text.lower()
    question = _Question(index.query_terms(text), *_kind(words))
    found = [passage for passage in index.search(text, config.passages) if passage.score >= config.min_score]
    shares = [(passage, _coverage(passage, question, index)) for passage in found]
    rated = [
        (passage, passage.score * share * _bonus(passage, question, index))
        for passage, share in shares
        if share >= config.min_coverage
    ]
    if not rated:
        return None
    rated.sort(key=lambda pair: -pair[1])
    best = rated[0][0]
    quote = _quote(best, question, index, config)
    data = {
        "kind": "answer",
        "source": {"file": best.source, "heading": best.heading},
        "quote": quote,
        "passages": [{"file": p.source, "heading": p.heading, "score": round(p.score, 3)} for p, _ in rated],
    }
    return Result(f"{quote} That is from the {_spoken_source(best.source)}.", data)


def _kind(words: str) -> tuple[bool, bool]:
    """Return whether a place is asked for, and whether it is what to do; so it is when words are no question at all."""
    if _ASKS_WHERE.search(words):
        return True, False
    return False, _ASKS_HOW.search(words) is not None or _ASKS.search(words) is None


def _coverage(passage: Passage, question: _Question, index: DocumentIndex) -> float:
    """Return which share of what is asked for a passage, its heading and its file's name speak of, 0 to 1."""
    there = {*index.terms(f"{passage.heading} {_spoken_source(passage.source)} {passage.text}")}
    total = sum(map(index.weight, question.terms))
    return sum(index.weight(term) for term in question.terms if term in there) / total


def _bonus(passage: Passage, question: _Question, index: DocumentIndex) -> float:
    sentences = _sentences(passage.text)
    if question.asks_where:
        return _KIND_BONUS if any(_names_place(sentence.text, question, index) for sentence in sentences) else 1.0
    if question.asks_how:
        return _KIND_BONUS if any(sentence.is_step for sentence in sentences) else 1.0
    return 1.0


def _names_place(sentence: str, question: _Question, index: DocumentIndex) -> bool:
    """Return whether a sentence says where something is that was asked for."""
    found = _NAMES_PLACE.match(sentence)
    return found is not None and not {*index.terms(found["what"])}.isdisjoint(question.terms)


def _quote(passage: Passage, question: _Question, index: DocumentIndex, config: OfflineConfig) -> str:
    sentences = _sentences(passage.text)
    heading = {*index.terms(passage.heading)}
    scores = [_fit(sentence, question, heading, index) for sentence in sentences]
    best = max(range(len(sentences)), key=lambda at: (scores[at], -at))
    if question.asks_how and len(sentences) <= config.max_sentences and len(passage.text) <= config.max_characters:
        return " ".join(sentence.text for sentence in sentences)
    said = [sentences[best].text]
    for at in range(best + 1, min(best + config.max_sentences, len(sentences))):
        goes_on = question.asks_how and sentences[best].is_step
        if not goes_on and not scores[at] >= _ALSO * scores[best] > 0:
            break
        if len(" ".join([*said, sentences[at].text])) > config.max_characters:
            break
        said.append(sentences[at].text)
    return " ".join(said)


def _fit(sentence: _Sentence, question: _Question, heading: Collection[str], index: DocumentIndex) -> float:
    """Return how well a sentence fits; of steps whose heading says it all, the first is the best."""
    share = 0.0 if question.asks_how and sentence.is_step else _HEADING_SHARE
    there = {*index.terms(sentence.text)}
    score = sum(index.weight(term) * (share if term in heading else 1.0) for term in question.terms if term in there)
    return score * (_KIND_BONUS if question.asks_where and _names_place(sentence.text, question, index) else 1.0)


def _sentences(text: str) -> list[_Sentence]:
    found = []
    for line in text.splitlines():
        is_step = _STEP.match(line) is not None
        for part in _SENTENCE_END.split(_STEP.sub("", line, count=1) if is_step else line):
            closed = part if part.endswith((".", "!", "?")) else f"{part.rstrip(':;,')}."
            found.append(_Sentence(closed, is_step))
    return found


def _spoken_source(source: str) -> str:
    return PurePosixPath(source).stem.replace("_", " ").replace("-", " ")
